//! Requests whose node cannot take them now, kept until another node serves their keys, the node is back, or
//! their time is up.
//!
//! A node's failure is no answer to a client. The request waits here, in the order of arrival, while the
//! health service decides; the deadline bounds the wait and a byte limit bounds the memory.
//!
//! Pure.

use std::collections::VecDeque;
use std::time::Instant;

use cluster::NodeId;
use resp::{Limits, Protocol, RequestScanner};

use crate::target::Target;

/// Most bytes of requests held by one worker. At 100 000 requests of 100 bytes a second and one node of
/// fifty down, a second's hold is 200 KB; 64 MiB leave room for large values and many nodes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) wire: Vec<u8>,
    pub(crate) target: Target,
    pub(crate) protocol: Protocol,
    /// Since when the client has been waiting.
    pub(crate) since: Instant,
    /// When it is given up.
    pub(crate) deadline: Instant,
    /// Whether it was meant for `node` and no other.
    pub(crate) bound: bool,
    /// The node it was meant for.
    pub(crate) node: NodeId,
    /// Whether that node may have executed it.
    pub(crate) sent: bool,
}

impl Held {
    /// Whether the same node may be given it again: it never had it, or a second run changes nothing and
    /// answers the same. On another node every request may run: what the lost node did with it is discarded
    /// when that one rejoins.
    pub(crate) fn may_repeat(&self) -> bool {
        !self.sent || self.is_repeatable()
    }

    fn is_repeatable(&self) -> bool {
        let mut scanner = RequestScanner::new(Limits::default());
        let Ok(Some(_)) = scanner.scan(&self.wire) else { return false };
        let request = scanner.request(&self.wire);
        let command = request.get(0).and_then(commands::lookup);
        command.is_some_and(|command| command.repeatable(request.len(), |index| request.arg(index)))
    }
}

/// The requests held by one worker.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    queue: VecDeque<Held>,
    bytes: usize,
}

impl Hold {
    /// Keeps a request, or gives it back when there is no room.
    pub(crate) fn push(&mut self, held: Held) -> Result<(), Held> {
        // One request is always taken: a large value is no reason to fail.
        if !self.queue.is_empty() && self.bytes + held.wire.len() > MOST_BYTES {
            return Err(held);
        }
        self.bytes += held.wire.len();
        self.queue.push_back(held);
        Ok(())
    }

    /// Takes out, in order, the requests for which `wanted` holds.
    pub(crate) fn take_if(&mut self, mut wanted: impl FnMut(&Held) -> bool) -> Vec<Held> {
        let mut taken = Vec::new();
        let mut kept = VecDeque::with_capacity(self.queue.len());
        for held in self.queue.drain(..) {
            if wanted(&held) {
                self.bytes -= held.wire.len();
                taken.push(held);
            } else {
                kept.push_back(held);
            }
        }
        self.queue = kept;
        taken
    }

    /// The number of requests held.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(node: &str, bytes: usize) -> Held {
        Held {
            wire: vec![b'x'; bytes],
            target: Target::Handshake,
            protocol: Protocol::Resp2,
            since: Instant::now(),
            deadline: Instant::now(),
            bound: false,
            node: NodeId::new(node).unwrap(),
            sent: true,
        }
    }

    #[test]
    fn requests_are_taken_in_order_and_others_stay_in_order() {
        let mut hold = Hold::default();
        for (node, bytes) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
            hold.push(held(node, bytes)).unwrap();
        }
        let lens = |taken: Vec<Held>| taken.iter().map(|held| held.wire.len()).collect::<Vec<_>>();
        assert_eq!(lens(hold.take_if(|held| held.node.as_str() == "b")), [2, 4]);
        assert_eq!(hold.bytes, 4);
        assert_eq!(lens(hold.take_if(|_| true)), [1, 3]);
        assert!(hold.is_empty() && hold.bytes == 0);
    }

    #[test]
    fn a_full_hold_takes_no_more() {
        let mut hold = Hold::default();
        hold.push(held("a", MOST_BYTES)).unwrap();
        assert_eq!(hold.push(held("a", 1)).unwrap_err().wire.len(), 1);
        assert_eq!(hold.len(), 1);
    }

    #[test]
    fn what_may_have_run_is_repeated_only_when_it_may_run_twice() {
        let request = |sent, wire: &str| Held { sent, wire: wire.as_bytes().to_vec(), ..held("a", 1) };
        let get = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
        let incr = "*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n";
        assert!(request(false, incr).may_repeat());
        assert!(request(true, get).may_repeat());
        assert!(!request(true, incr).may_repeat());
    }
}
