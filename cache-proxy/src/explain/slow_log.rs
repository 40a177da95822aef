//! The log of slow requests: how long a client waited, and how much of that the node took.
//!
//! Redis' `SLOWLOG` tells what a server executed for long; this one tells what a request met on its whole way, so it
//! says whether the node was slow, the way to it, or nobody would take the request for a while. Arguments other than
//! the first key are not kept: they are the application's data.
//!
//! One ring for all workers, behind a lock that only slow requests and readers take; and not all of those when
//! everything is slow (see `slow_quota`). All are counted: a gap in the numbers is what was not noted.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cluster::NodeId;
use commands::Class;
use resp::{Limits, RequestScanner};

use crate::dispatch::Dispatcher;
use crate::explain::answer::{Answer, shown};
use crate::link::LinkId;
use crate::link::hold::{Held, Sent};
use crate::link::pipeline::{Past, Waiter};
use crate::target::Target;

/// One slow request.
#[derive(Debug, Clone)]
pub(crate) struct SlowRequest {
    /// When it arrived.
    pub(crate) arrived: Instant,
    /// From then until its reply was here.
    pub(crate) total: Duration,
    /// The part of it between the write to the node and the node's reply. `None`: no reply came, it was given up.
    pub(crate) of_node: Option<Duration>,
    pub(crate) command: &'static str,
    /// Its first key, as far as it is shown.
    pub(crate) key: Option<String>,
    pub(crate) client: Option<SocketAddr>,
    pub(crate) client_name: String,
    pub(crate) node: NodeId,
    /// Epoch of the view routed by when the reply came.
    pub(crate) epoch: u64,
    /// It had been sent before, to this node or another.
    pub(crate) resent: bool,
}

/// The newest slow requests.
#[derive(Debug, Default)]
pub(crate) struct SlowLog {
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    /// The newest last, each with its number.
    entries: VecDeque<(u64, Arc<SlowRequest>)>,
    /// Number of the next one.
    next: u64,
}

impl SlowLog {
    /// Adds a request before which so many were left out, and forgets the oldest beyond `most`.
    fn push(&self, request: SlowRequest, left_out: u64, most: usize) {
        let request = Arc::new(request);
        let mut ring = self.lock();
        let number = ring.next + left_out;
        ring.next = number + 1;
        ring.entries.push_back((number, request));
        while ring.entries.len() > most {
            ring.entries.pop_front();
        }
    }

    /// The newest `most`, the newest first. Not copied: a worker may wait for the lock.
    pub(crate) fn newest(&self, most: usize) -> Vec<(u64, Arc<SlowRequest>)> {
        self.lock().entries.iter().rev().take(most).cloned().collect()
    }

    /// How many it holds.
    pub(crate) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Forgets all.
    pub(crate) fn reset(&self) {
        self.lock().entries.clear();
    }

    /// A thread that panicked with the ring in hand has not left it half changed.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlowRequest {
    /// As it is told; `now` and `clock` are the same moment.
    pub(crate) fn tell(&self, number: u64, now: Instant, clock: SystemTime) -> Answer {
        let ago = now.saturating_duration_since(self.arrived);
        let time = clock.checked_sub(ago).and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Answer::Fields(vec![
            ("id", number.into()),
            ("time", time.map(|time| time.as_secs()).into()),
            ("totalMicros", micros(self.total).into()),
            ("nodeMicros", self.of_node.map(micros).into()),
            ("command", self.command.into()),
            ("key", self.key.clone().into()),
            ("node", self.node.as_str().into()),
            ("epoch", self.epoch.into()),
            ("resent", self.resent.into()),
            ("client", self.client.map(|client| client.to_string()).into()),
            ("clientName", self.client_name.as_str().into()),
        ])
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Dispatcher {
    /// Notes the request whose reply has just come over `link`, and which took `total`.
    #[cold]
    pub(crate) fn note_slow(&mut self, link: LinkId, waiter: &Waiter, total: Duration) {
        let Some(link) = self.links.get(link) else { return };
        // Who waits in the node on purpose is not slow, nor is a value that comes as its client sends or takes it, nor
        // the proxy's own talk with the node.
        let follows_client = link.download.is_some() || link.takes_upload();
        if waiter.class == Class::Blocking || follows_client || waiter.target == Target::HANDSHAKE {
            return;
        }
        let Some(left_out) = self.slow_quota.take(self.now) else { return };
        let Some((wire, written)) = link.pipeline.first() else { return };
        let of_node = self.now.saturating_duration_since(written).min(total);
        let request = SlowRequest {
            of_node: Some(of_node),
            resent: waiter.past == Past::Tried,
            ..self.slow_request(wire, waiter.target, total, link.node.clone())
        };
        self.overview.slow_log.push(request, left_out, self.config.slowlog_max_len);
    }

    /// Notes a request that was given up.
    pub(crate) fn note_given_up(&mut self, held: &Held) {
        let total = self.now.saturating_duration_since(held.since);
        if total < self.slow_from || held.class == Class::Blocking {
            return;
        }
        let Some(left_out) = self.slow_quota.take(self.now) else { return };
        let request = SlowRequest {
            resent: held.sent != Sent::Nowhere,
            ..self.slow_request(&held.wire, held.target, total, held.node.clone())
        };
        self.overview.slow_log.push(request, left_out, self.config.slowlog_max_len);
    }

    fn slow_request(&self, wire: &[u8], target: Target, total: Duration, node: NodeId) -> SlowRequest {
        let (command, key) = command_and_key(wire);
        let client = self.client_behind(target);
        let client = client
            .and_then(|id| self.clients.get(id.index as usize).filter(|client| client.serial == id.serial));
        SlowRequest {
            arrived: self.now.checked_sub(total).unwrap_or(self.now),
            total,
            of_node: None,
            command,
            key,
            client: client.map(|client| client.peer),
            client_name: client.map(|client| shown(&client.name)).unwrap_or_default(),
            node,
            epoch: self.stats.epoch,
            resent: false,
        }
    }
}

/// What a request does, and its first key, for a person. A transaction, which is sent as one from MULTI to EXEC, is its
/// EXEC with the first key of all its commands.
fn command_and_key(mut wire: &[u8]) -> (&'static str, Option<String>) {
    let (mut name, mut is_unit) = ("?", false);
    let mut scanner = RequestScanner::new(Limits::default());
    while let Ok(Some(len)) = scanner.scan(wire) {
        let request = scanner.request(wire);
        let Some(command) = request.get(0).and_then(commands::lookup) else { break };
        let command = request.get(1).and_then(|word| command.subcommand(word)).unwrap_or(command);
        is_unit |= command.name == "multi";
        name = if is_unit { "exec" } else { command.name };
        let keys = command.keys(request.len(), |index| request.arg(index));
        if let Some(position) = keys.ok().and_then(|mut keys| keys.next()) {
            return (name, Some(shown(request.arg(position))));
        }
        wire = &wire[len..];
    }
    (name, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(command: &'static str) -> SlowRequest {
        SlowRequest {
            arrived: Instant::now(),
            total: Duration::from_micros(12_345),
            of_node: Some(Duration::from_micros(345)),
            command,
            key: None,
            client: None,
            client_name: String::new(),
            node: NodeId::new("n1").unwrap(),
            epoch: 7,
            resent: false,
        }
    }

    #[test]
    fn the_newest_are_kept_and_numbered_for_ever() {
        let log = SlowLog::default();
        ["get", "set", "del"].into_iter().for_each(|command| log.push(slow(command), 0, 2));
        let told = |log: &SlowLog, most| -> Vec<_> {
            log.newest(most).into_iter().map(|(number, request)| (number, request.command)).collect()
        };
        assert_eq!((told(&log, 9), log.len()), (vec![(2, "del"), (1, "set")], 2));
        assert_eq!(told(&log, 1), [(2, "del")]);
        log.reset();
        assert_eq!(log.len(), 0);
        log.push(slow("get"), 7, 2);
        assert_eq!(told(&log, 9), [(10, "get")], "seven were left out");
        log.push(slow("get"), 0, 0);
        assert_eq!(log.len(), 0);
    }

    #[test]
    fn values_are_not_shown_and_keys_are_shortened() {
        let wire = |args: &[&[u8]]| {
            let mut wire = Vec::new();
            resp::encode_request(&mut wire, args.iter().copied());
            wire
        };
        let told = |args: &[&[u8]]| command_and_key(&wire(args));
        assert_eq!(told(&[b"Set", b"a\nb", b"secret"]), ("set", Some("a\\nb".to_owned())));
        assert_eq!(told(&[b"OBJECT", b"ENCODING", b"k"]), ("object|encoding", Some("k".to_owned())));
        assert_eq!(told(&[b"DBSIZE"]), ("dbsize", None));
        let unit = [wire(&[b"MULTI"]), wire(&[b"PING"]), wire(&[b"GET", b"k"]), wire(&[b"EXEC"])].concat();
        assert_eq!(command_and_key(&unit), ("exec", Some("k".to_owned())));
        assert_eq!(command_and_key(b"what is no command\r\n"), ("?", None));
        let (_, key) = told(&[b"GET", &[b'x'; 500]]);
        assert_eq!(key.unwrap().chars().count(), 65, "64 and a sign that there is more");
    }
}
