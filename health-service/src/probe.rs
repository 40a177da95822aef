//! Probes: a PING over TCP, with one deadline from connect to answer. A name is resolved before, in
//! time of its own: how quick the name server is says nothing about the member.
//!
//! Each member has one [`Prober`] that keeps its connection between probes. A kept connection is a
//! witness of its own: when the other side closes it, the member is suspected at once, without any
//! steady traffic for it. A probe that must decide alone (confirming, requested) does not trust a
//! kept connection and makes its own, so it also proves that the member accepts.
//!
//! A node that has a password is logged in to first, on every new connection; a proxy answers PING without.
//!
//! On every new connection `INFO server` is asked along with the PING, for the `run_id`: a process
//! that was restarted cannot have kept the connection.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster::{Address, NodeLogin, NodeType};
use tokio::net::lookup_host;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::connection::{Connection, is_local};
use crate::verdict::{Cause, Event, Failure, MemberIndex, Outcome, ProbeId, Success};

/// How long a name server has to answer.
const LOOKUP: Duration = Duration::from_secs(1);
/// Steady probes that may wait for the one on its way; there are at most two of them.
const QUEUE: usize = 4;

/// Where a member listens, and what it is told first.
#[derive(Debug, Clone)]
pub struct Place {
    address: Address,
    kind: NodeType,
    login: Option<NodeLogin>,
}

impl Place {
    /// A node's.
    #[must_use]
    pub fn of_node(address: Address, login: Option<NodeLogin>) -> Self {
        Self { address, kind: NodeType::Node, login }
    }

    /// Connects, and logs in where that is wanted.
    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        let mut connection = Connection::to(&resolve(&self.address).await?, self.kind).await?;
        if let Some(login) = &self.login {
            connection.log_in(login).await?;
        }
        Ok(connection)
    }

    /// A proxy's: the nodes' password is none of its business.
    #[must_use]
    pub fn of_proxy(address: Address) -> Self {
        Self { address, kind: NodeType::Proxy, login: None }
    }
}

/// A probe to make.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// To be named with the outcome.
    pub id: ProbeId,
    /// Why it is made.
    pub cause: Cause,
    /// From connect to answer.
    pub timeout: Duration,
}

/// Makes the probes of one member.
#[derive(Debug)]
pub struct Prober {
    member: MemberIndex,
    target: Arc<Target>,
    steady: mpsc::Sender<Probe>,
    events: mpsc::UnboundedSender<Event>,
}

impl Prober {
    /// Starts the task that keeps the member's connection. It ends when the prober is dropped.
    #[must_use]
    pub fn start(member: MemberIndex, place: Place, events: mpsc::UnboundedSender<Event>) -> Self {
        let (steady, probes) = mpsc::channel(QUEUE);
        let target = Arc::new(Target { place, known: Mutex::default() });
        tokio::spawn(keep(member, Arc::clone(&target), probes, events.clone()));
        Self { member, target, steady, events }
    }

    /// Where the member listens.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.target.place
    }

    /// Makes a probe; its outcome comes as an event.
    pub fn probe(&self, probe: Probe) {
        let alone = matches!(probe.cause, Cause::Confirm | Cause::Request);
        if !alone && self.steady.try_send(probe).is_ok() {
            return;
        }
        let (target, events) = (Arc::clone(&self.target), self.events.clone());
        tracing::debug!(member = self.member.0, cause = probe.cause.as_str(), "probe on its own connection");
        tokio::spawn(async move {
            let outcome = target.ask(probe.timeout, &mut None).await;
            let _ = events.send(Event::Probed(probe.id, outcome));
        });
    }
}

/// Probes over one kept connection, and watches it in between.
async fn keep(
    member: MemberIndex,
    target: Arc<Target>,
    mut probes: mpsc::Receiver<Probe>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut kept: Option<Connection> = None;
    loop {
        let event = tokio::select! {
            probe = probes.recv() => {
                let Some(probe) = probe else { return };
                let had_one = kept.is_some();
                let outcome = target.ask(probe.timeout, &mut kept).await;
                if outcome.is_err() {
                    kept = None;
                }
                // Its end was found by asking: that must be known before what the refused login means.
                if had_one && matches!(outcome, Err(Failure::Login(_))) && events.send(Event::Lost(member)).is_err() {
                    return;
                }
                Event::Probed(probe.id, outcome)
            }
            () = closed(&mut kept) => {
                kept = None;
                Event::Lost(member)
            }
        };
        if events.send(event).is_err() {
            return;
        }
    }
}

/// Where a member listens, and what its name meant last.
#[derive(Debug)]
struct Target {
    place: Place,
    known: Mutex<Vec<SocketAddr>>,
}

impl Target {
    async fn ask(&self, limit: Duration, kept: &mut Option<Connection>) -> Outcome {
        let started = Instant::now();
        if let Some(connection) = kept.take()
            && let Some(outcome) = timeout(limit, ask_kept(connection, kept))
                .await
                .unwrap_or(Err(Failure::Timeout(limit)))
                .transpose()
        {
            return outcome;
        }
        let asked = started.elapsed();
        let addrs = self.resolve().await?;
        let left = limit.saturating_sub(asked);
        timeout(left, ask_anew(&addrs, &self.place, kept)).await.unwrap_or(Err(Failure::Timeout(limit)))
    }

    /// A name that cannot be resolved now means what it meant before: whether the member is there is
    /// for the member to show, and not for the name server.
    async fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let found = resolve(&self.place.address).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(addrs) => known.clone_from(&addrs),
            Err(failure) if known.is_empty() => return Err(failure),
            Err(failure) => {
                tracing::debug!(address = %self.place.address, %failure, "the address known last is used");
            }
        }
        Ok(known.clone())
    }
}

/// Resolves when the kept connection ends, or says something without being asked.
async fn closed(kept: &mut Option<Connection>) {
    match kept {
        Some(connection) => connection.wait_for_end().await,
        None => std::future::pending().await,
    }
}

/// One exchange over the kept connection, which stays if it works; nothing when it is at its end.
async fn ask_kept(
    mut connection: Connection,
    kept: &mut Option<Connection>,
) -> Result<Option<Success>, Failure> {
    let started = Instant::now();
    match connection.ping().await {
        Ok(()) => {
            *kept = Some(connection);
            Ok(Some(Success { response_time: started.elapsed(), run_id: None }))
        }
        // It may have been closed for being idle: only a new one can tell.
        Err(Failure::Closed(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// One exchange over a new connection that is kept.
async fn ask_anew(addrs: &[SocketAddr], place: &Place, kept: &mut Option<Connection>) -> Outcome {
    let started = Instant::now();
    let mut connection = Connection::to(addrs, place.kind).await?;
    let run_id = connection.log_in_and_ping(place.login.as_ref()).await?;
    *kept = Some(connection);
    Ok(Success { response_time: started.elapsed(), run_id })
}

async fn resolve(address: &Address) -> Result<Vec<SocketAddr>, Failure> {
    let found = timeout(LOOKUP, lookup_host((address.host.as_str(), address.port))).await;
    let late = || Failure::Local(format!("no address of {} within {} ms", address.host, LOOKUP.as_millis()));
    let addrs: Vec<_> = found.map_err(|_| late())?.map_err(|e| lookup_failure(&e))?.collect();
    if addrs.is_empty() {
        return Err(Failure::Unreachable(format!("{} has no address", address.host)));
    }
    Ok(addrs)
}

/// Only a name server that says so makes a host one that does not exist. The texts are those of
/// `EAI_NONAME` and `EAI_NODATA` in glibc and musl; there is no number to tell them by.
fn lookup_failure(error: &io::Error) -> Failure {
    let text = error.to_string();
    let absent = ["Name or service not known", "No address associated", "Name does not resolve"];
    match absent.iter().any(|absent| text.contains(absent)) {
        true if !is_local(error) => Failure::Unreachable(text),
        _ => Failure::Local(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_is_said_not_to_exist_is_unreachable() {
        let failure = |text: &str| {
            lookup_failure(&io::Error::other(format!("failed to lookup address information: {text}")))
        };
        assert!(matches!(failure("Name or service not known"), Failure::Unreachable(_)));
        assert!(matches!(failure("Temporary failure in name resolution"), Failure::Local(_)));
        assert!(matches!(failure("System error"), Failure::Local(_)));
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_means_what_it_meant_before() {
        let address = Address { host: "no-such-host.invalid".to_owned(), port: 1 };
        let known = "127.0.0.1:7001".parse().unwrap();
        let target = Target { place: Place::of_proxy(address), known: Mutex::default() };
        assert!(target.resolve().await.is_err());
        target.known.lock().unwrap().push(known);
        assert_eq!(target.resolve().await, Ok(vec![known]));
    }
}
