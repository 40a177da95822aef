//! Probes: a PING over TCP, with one deadline from connect to answer.
//!
//! Each member has one [`Prober`] that keeps its connection between probes. A kept connection is a
//! witness of its own: when the other side closes it, the member is suspected at once, without any
//! steady traffic for it. A probe that must decide alone (confirming, requested) does not trust a
//! kept connection and makes its own, so it also proves that the member accepts.
//!
//! On every new connection `INFO server` is asked along with the PING, for the `run_id`: a process
//! that was restarted cannot have kept the connection.

use std::io;
use std::time::Duration;

use cluster::Address;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::verdict::{Cause, Event, Failure, MemberIndex, Outcome, ProbeId, Success};

/// Longest reply that is read: `INFO server` of Redis 7 is 500 bytes.
const MAX_REPLY_LEN: usize = 64 << 10;
/// Longest part of an unexpected answer that is shown.
const SHOWN_LEN: usize = 80;
/// Steady probes that may wait for the one on its way; there are at most two of them.
const QUEUE: usize = 4;

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const INFO_SERVER: &[u8] = b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n";

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
    address: Address,
    steady: mpsc::Sender<Probe>,
    events: mpsc::UnboundedSender<Event>,
}

impl Prober {
    /// Starts the task that keeps the member's connection. It ends when the prober is dropped.
    #[must_use]
    pub fn start(member: MemberIndex, address: Address, events: mpsc::UnboundedSender<Event>) -> Self {
        let (steady, probes) = mpsc::channel(QUEUE);
        tokio::spawn(keep(member, address.clone(), probes, events.clone()));
        Self { member, address, steady, events }
    }

    /// Where the member listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Makes a probe; its outcome comes as an event.
    pub fn probe(&self, probe: Probe) {
        let alone = matches!(probe.cause, Cause::Confirm | Cause::Request);
        if !alone && self.steady.try_send(probe).is_ok() {
            return;
        }
        let (address, events) = (self.address.clone(), self.events.clone());
        tracing::debug!(member = self.member.0, cause = probe.cause.as_str(), "probe on its own connection");
        tokio::spawn(async move {
            let outcome = limited(probe.timeout, ask(&address, &mut None)).await;
            let _ = events.send(Event::Probed(probe.id, outcome));
        });
    }
}

/// Probes over one kept connection, and watches it in between.
async fn keep(
    member: MemberIndex,
    address: Address,
    mut probes: mpsc::Receiver<Probe>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut kept: Option<Connection> = None;
    loop {
        let event = tokio::select! {
            probe = probes.recv() => {
                let Some(probe) = probe else { return };
                let outcome = limited(probe.timeout, ask(&address, &mut kept)).await;
                if outcome.is_err() {
                    kept = None;
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

async fn limited(limit: Duration, ask: impl Future<Output = Outcome>) -> Outcome {
    timeout(limit, ask).await.unwrap_or(Err(Failure::Timeout(limit)))
}

/// Resolves when the kept connection ends, or says something without being asked.
async fn closed(kept: &mut Option<Connection>) {
    match kept {
        Some(connection) => connection.wait_for_end().await,
        None => std::future::pending().await,
    }
}

/// One exchange, over the kept connection if that still works, else over a new one that is kept.
async fn ask(address: &Address, kept: &mut Option<Connection>) -> Outcome {
    let started = Instant::now();
    if let Some(mut connection) = kept.take() {
        match connection.ping().await {
            Ok(()) => {
                *kept = Some(connection);
                return Ok(Success { response_time: started.elapsed(), run_id: None });
            }
            // It may have been closed for being idle: only a new one can tell.
            Err(Failure::Closed(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    let mut connection = Connection::open(address).await?;
    let run_id = connection.ping_and_run_id().await?;
    *kept = Some(connection);
    Ok(Success { response_time: started.elapsed(), run_id })
}

/// A connection to a node or proxy that speaks RESP.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &Address) -> Result<Self, Failure> {
        let stream = TcpStream::connect((address.host.as_str(), address.port))
            .await
            .map_err(|e| connect_failure(&e))?;
        // A probe is one small write; waiting for more would only delay it.
        stream.set_nodelay(true).map_err(|e| Failure::Closed(e.to_string()))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends one command as it stands on the wire and reads its reply.
    pub(crate) async fn call(&mut self, command: &[u8]) -> Result<OwnedFrame, Failure> {
        self.send(command).await?;
        self.reply().await
    }

    async fn ping(&mut self) -> Result<(), Failure> {
        expect_pong(self.call(PING).await?)
    }

    async fn ping_and_run_id(&mut self) -> Result<Option<String>, Failure> {
        self.send(&[PING, INFO_SERVER].concat()).await?;
        expect_pong(self.reply().await?)?;
        Ok(run_id(&self.reply().await?))
    }

    /// Asks which process this is; `None` when it does not say.
    pub(crate) async fn run_id(&mut self) -> Result<Option<String>, Failure> {
        Ok(run_id(&self.call(INFO_SERVER).await?))
    }

    async fn send(&mut self, command: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(command).await.map_err(|e| Failure::Closed(e.to_string()))
    }

    async fn reply(&mut self) -> Result<OwnedFrame, Failure> {
        loop {
            // None of the commands sent here is answered by an array, and the decoder recurses into
            // them without a limit.
            if self.received.first().is_some_and(|first| !b"+-:$".contains(first)) {
                return Err(Failure::Garbage(shown(&self.received)));
            }
            match decode(&self.received) {
                Ok(Some((frame, len))) => {
                    self.received.drain(..len);
                    return Ok(frame);
                }
                Ok(None) if self.received.len() < MAX_REPLY_LEN => self.receive().await?,
                Ok(None) | Err(_) => return Err(Failure::Garbage(shown(&self.received))),
            }
        }
    }

    async fn receive(&mut self) -> Result<(), Failure> {
        match self.stream.read_buf(&mut self.received).await {
            Ok(0) => Err(Failure::Closed("end of stream".to_owned())),
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::Closed(error.to_string())),
        }
    }

    async fn wait_for_end(&mut self) {
        // Bytes that nobody asked for end it as well: the next reply could not be told from them.
        let _ = self.stream.read_u8().await;
    }
}

fn connect_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::ConnectionReset => Failure::Closed(error.to_string()),
        _ => Failure::Unreachable(error.to_string()),
    }
}

fn expect_pong(reply: OwnedFrame) -> Result<(), Failure> {
    match reply {
        OwnedFrame::SimpleString(text) if text == b"PONG" => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// The failure that a reply other than the expected one is.
pub(crate) fn unexpected(reply: &OwnedFrame) -> Failure {
    match reply {
        OwnedFrame::Error(text) => Failure::Error(shown(text.as_bytes())),
        OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => Failure::Garbage(shown(bytes)),
        OwnedFrame::Integer(number) => Failure::Garbage(number.to_string()),
        OwnedFrame::Array(_) | OwnedFrame::Null => Failure::Garbage("an array or null".to_owned()),
    }
}

fn run_id(info: &OwnedFrame) -> Option<String> {
    let OwnedFrame::BulkString(text) = info else { return None };
    let text = String::from_utf8_lossy(text);
    let line = text.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    // Redis' own have 40 digits; more than a few more is no run id.
    let fits = !line.is_empty() && line.len() <= 64 && line.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then(|| line.to_owned())
}

/// The start of an answer, printable.
fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(SHOWN_LEN)].escape_ascii().to_string()
}
