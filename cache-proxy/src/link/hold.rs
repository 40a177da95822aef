//! Requests whose node cannot take them now, kept until another node serves their keys, the node is back, or
//! their time is up.
//!
//! A node's failure is no answer to a client. The request waits here, in the order of arrival, while the
//! health service decides; the deadline bounds the wait and a byte limit bounds the memory.
//!
//! Pure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use cluster::NodeId;
use commands::Class;
use resp::Protocol;

use crate::link::pin::Pin;
use crate::link::pipeline::Past;
use crate::link::{Link, LinkId};
use crate::target::{Receiver, Target};
use crate::transaction::unit;

/// Most bytes of requests held by one worker. At 100 000 requests of 100 bytes a second and one node of
/// fifty down, a second's hold is 200 KB; 64 MiB leave room for large values and many nodes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) wire: Vec<u8>,
    pub(crate) target: Target,
    pub(crate) protocol: Protocol,
    /// What it is, to whoever counts.
    pub(crate) class: Class,
    /// Since when the client has been waiting.
    pub(crate) since: Instant,
    /// When it is given up.
    pub(crate) deadline: Instant,
    /// Whether it was meant for `node` and no other.
    pub(crate) bound: bool,
    /// The node it was meant for.
    pub(crate) node: NodeId,
    /// Who may have executed it.
    pub(crate) sent: Sent,
    /// The link it waits for.
    pub(crate) via: Via,
}

/// Which link to its node a held request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// The one that all share.
    Shared,
    /// The one that serves its client.
    Pinned(LinkId),
    /// That one is gone: the request is planned anew.
    Lost,
    /// None: it cannot be sent again, and waits for a view without its node.
    Verdict,
}

impl Via {
    /// The way of a request that was to travel over this link.
    pub(crate) fn of(id: LinkId, link: &Link) -> Self {
        match link.pin {
            None | Some(Pin::Aside) => Self::Shared,
            Some(_) => Self::Pinned(id),
        }
    }
}

/// Where a held request has been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Nowhere: it was certainly not executed.
    Nowhere,
    /// To a node that does not serve its keys any more: what that one did with them is discarded.
    Elsewhere,
    /// To the node it is held for.
    Here,
}

impl Held {
    /// Whether it may be sent once more.
    pub(crate) fn may_repeat(&self) -> bool {
        match self.sent {
            Sent::Nowhere => true,
            // What the other node did with its data is discarded; what it told subscribers they have heard.
            Sent::Elsewhere => !unit::publishes(&self.wire),
            // A second run must change nothing, and answer the same.
            Sent::Here => unit::is_repeatable(&self.wire),
        }
    }

    /// As whoever sends it is to know it.
    pub(crate) fn past(&self) -> Past {
        if self.sent == Sent::Nowhere { Past::Held } else { Past::Tried }
    }

    /// Whether it is a whole transaction.
    pub(crate) fn is_unit(&self) -> bool {
        matches!(self.target.receiver(), Receiver::Unit(_))
    }

    /// Whether it goes out when this link is up.
    pub(crate) fn waits_for(&self, id: LinkId, link: &Link) -> bool {
        match self.via {
            Via::Shared => link.pin.is_none() && self.node == link.node && self.protocol == link.protocol,
            Via::Pinned(pinned) => pinned == id,
            Via::Lost | Via::Verdict => false,
        }
    }

    /// Memory it takes.
    fn cost(&self) -> usize {
        self.wire.len() + size_of::<Self>()
    }
}

/// The requests held by one worker.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// What waits for shared links, or is to be planned anew.
    queue: VecDeque<Held>,
    /// What waits for pinned links, by link: when a node dies, thousands of blocked clients each ask for their own.
    pinned: HashMap<LinkId, Vec<Held>>,
    /// Their number: it is published with every event.
    len: usize,
    bytes: usize,
    /// No request's deadline is before this.
    earliest: Option<Instant>,
}

impl Hold {
    /// Keeps a request, or gives it back when there is no room.
    pub(crate) fn push(&mut self, held: Held) -> Result<(), Held> {
        // One request is always taken: a large value is no reason to fail.
        if !self.is_empty() && self.bytes + held.cost() > MOST_BYTES {
            return Err(held);
        }
        self.bytes += held.cost();
        self.len += 1;
        self.earliest = Some(self.earliest.map_or(held.deadline, |earliest| earliest.min(held.deadline)));
        match held.via {
            Via::Pinned(id) => self.pinned.entry(id).or_default().push(held),
            Via::Shared | Via::Lost | Via::Verdict => self.queue.push_back(held),
        }
        Ok(())
    }

    /// Takes out the requests for which `wanted` holds; those that wait for a shared link in order.
    pub(crate) fn take_if(&mut self, mut wanted: impl FnMut(&Held) -> bool) -> Vec<Held> {
        let mut taken = Vec::new();
        let mut kept = VecDeque::with_capacity(self.queue.len());
        for held in self.queue.drain(..) {
            if wanted(&held) {
                taken.push(held);
            } else {
                kept.push_back(held);
            }
        }
        self.queue = kept;
        for held in self.pinned.values_mut() {
            taken.extend(held.extract_if(.., |held| wanted(held)));
        }
        self.pinned.retain(|_, held| !held.is_empty());
        self.note_taken(&taken);
        taken
    }

    /// Notes that the process is gone, or discards what it did, that may have executed requests for `node`:
    /// they may run on another.
    pub(crate) fn leave(&mut self, node: &NodeId, protocol: Protocol) {
        for held in self.queue.iter_mut().filter(|held| held.node == *node && held.protocol == protocol) {
            if held.sent == Sent::Here {
                held.sent = Sent::Elsewhere;
            }
        }
    }

    /// Notes that a pinned link is gone for good; `with_node`: and with it what its node did.
    pub(crate) fn lose_pinned(&mut self, id: LinkId, with_node: bool) {
        for mut held in self.pinned.remove(&id).unwrap_or_default() {
            held.via = Via::Lost;
            if with_node && held.sent == Sent::Here {
                held.sent = Sent::Elsewhere;
            }
            self.queue.push_back(held);
        }
    }

    /// The shared links that something waits for.
    pub(crate) fn awaited_links(&self) -> HashSet<(NodeId, Protocol)> {
        let shared = self.queue.iter().filter(|held| held.via == Via::Shared);
        shared.map(|held| (held.node.clone(), held.protocol)).collect()
    }

    /// Takes out what waits for this pinned link.
    pub(crate) fn take_pinned(&mut self, id: LinkId) -> Vec<Held> {
        let taken = self.pinned.remove(&id).unwrap_or_default();
        self.note_taken(&taken);
        taken
    }

    fn note_taken(&mut self, taken: &[Held]) {
        self.len -= taken.len();
        self.bytes -= taken.iter().map(Held::cost).sum::<usize>();
    }

    /// Whether something waits for this pinned link.
    pub(crate) fn waits_for_pinned(&self, id: LinkId) -> bool {
        self.pinned.contains_key(&id)
    }

    /// Takes out the requests whose deadline is before `now`. Costs nothing while there are none.
    pub(crate) fn take_overdue(&mut self, now: Instant) -> Vec<Held> {
        if self.earliest.is_none_or(|earliest| earliest >= now) {
            return Vec::new();
        }
        let overdue = self.take_if(|held| held.deadline < now);
        let left = self.queue.iter().chain(self.pinned.values().flatten());
        self.earliest = left.map(|held| held.deadline).min();
        overdue
    }

    /// The number of requests held.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn held(node: &str, bytes: usize) -> Held {
        Held {
            wire: vec![b'x'; bytes],
            target: Target::HANDSHAKE,
            protocol: Protocol::Resp2,
            class: Class::Read,
            since: Instant::now(),
            deadline: Instant::now(),
            bound: false,
            node: NodeId::new(node).unwrap(),
            sent: Sent::Here,
            via: Via::Shared,
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
        assert_eq!(hold.bytes, 4 + 2 * size_of::<Held>());
        assert_eq!(lens(hold.take_if(|_| true)), [1, 3]);
        assert!(hold.is_empty() && hold.bytes == 0);
    }

    #[test]
    fn what_waits_for_a_pinned_link_is_that_links_alone() {
        let mut hold = Hold::default();
        for (link, bytes) in [(1, 1), (2, 2), (3, 4)] {
            hold.push(Held { via: Via::Pinned(link), ..held("a", bytes) }).unwrap();
        }
        assert!(hold.waits_for_pinned(1) && !hold.waits_for_pinned(4));
        assert_eq!(hold.take_pinned(1).len(), 1);
        assert_eq!((hold.waits_for_pinned(1), hold.take_pinned(1).len(), hold.len()), (false, 0, 2));
        hold.lose_pinned(2, true);
        let lost = hold.take_if(|held| held.via == Via::Lost);
        assert_eq!((lost.len(), lost[0].sent), (1, Sent::Elsewhere));
        hold.lose_pinned(3, false);
        let lost = hold.take_if(|held| held.via == Via::Lost);
        assert_eq!((lost.len(), lost[0].sent), (1, Sent::Here), "its node is still there");
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
    fn what_is_overdue_is_taken_and_nothing_else() {
        let start = Instant::now();
        let mut hold = Hold::default();
        for seconds in [3, 1, 2] {
            let deadline = start + Duration::from_secs(seconds);
            hold.push(Held { deadline, ..held("a", 1) }).unwrap();
        }
        let overdue =
            |hold: &mut Hold, seconds| hold.take_overdue(start + Duration::from_secs(seconds)).len();
        assert_eq!([overdue(&mut hold, 1), overdue(&mut hold, 2), overdue(&mut hold, 9)], [0, 1, 2]);
        hold.push(Held { deadline: start, ..held("a", 1) }).unwrap();
        assert_eq!(overdue(&mut hold, 1), 1);
    }

    #[test]
    fn what_may_have_run_is_repeated_only_when_it_may_run_twice() {
        let request = |sent: Sent, wire: &str| Held { sent, wire: wire.as_bytes().to_vec(), ..held("a", 1) };
        let get = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
        let incr = "*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n";
        let publish = "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$1\r\nm\r\n";
        assert!(request(Sent::Elsewhere, incr).may_repeat());
        assert!(request(Sent::Nowhere, publish).may_repeat());
        assert!(!request(Sent::Elsewhere, publish).may_repeat(), "it has been heard");
        assert!(request(Sent::Here, get).may_repeat());
        assert!(!request(Sent::Here, incr).may_repeat());
    }
}
