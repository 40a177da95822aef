//! Links set aside: what was the shared link of a node until a client began to take a large reply from it slowly.
//!
//! New requests go over another link, so they do not wait behind that reply. Those who have requests on the old one send
//! nothing more until these are answered: a later request must not overtake an earlier one on another connection. What
//! those have asked who only read can be asked again over the new link, because reading twice changes nothing; the old
//! link's reply to it is then nobody's. With nothing left to do, the old link becomes an idle pinned one.
//!
//! Pure.

use std::collections::HashSet;

use commands::Class;

use crate::dispatch::Dispatcher;
use crate::link::hold::{Held, Sent, Via};
use crate::link::pin::Pin;
use crate::link::pipeline::{Past, Waiter};
use crate::link::{Link, LinkId};
use crate::target::ClientId;

/// Most links per node and protocol version that are set aside at a time: with more slow readers than this, they share
/// one link and its patience. A node has connections to spare for so many.
const MOST_ASIDE: usize = 64;

impl Dispatcher {
    /// Has new requests for the link's node go over another one. Those who have requests on this one wait until these
    /// are answered.
    pub(crate) fn set_aside(&mut self, id: LinkId) {
        let link = &self.links[id];
        let same = |other: &Link| other.node == link.node && other.protocol == link.protocol;
        let is_aside = |other: &Link| other.pin == Some(Pin::Aside) && same(other);
        if self.links.iter().filter(|(_, other)| is_aside(other)).count() >= MOST_ASIDE {
            return;
        }
        let Some(shared) = self.shared_entry(id).filter(|shared| **shared == Some(id)) else { return };
        *shared = None;
        // Nobody feeds it any more, so nobody waits until it has drained: that may take its slow client for ever.
        self.release(id);
        let link = &mut self.links[id];
        link.pin = Some(Pin::Aside);
        let targets: Vec<_> = link.pipeline.receivers().collect();
        for target in targets {
            if let Some(client) = self.client_behind(target).and_then(|id| self.client(id)) {
                client.barrier = true;
            }
        }
    }

    /// Lets requests go over the link again if no other was needed meanwhile.
    pub(crate) fn share_again(&mut self, id: LinkId) {
        let is_aside = self.links.get(id).is_some_and(|link| link.pin == Some(Pin::Aside));
        if !is_aside || self.routing.as_ref().is_none_or(|routing| self.kept_for(id, routing).is_none()) {
            return;
        }
        if let Some(shared @ None) = self.shared_entry(id) {
            *shared = Some(id);
            self.links[id].pin = None;
        }
    }

    /// Where the shared link to the node of `id` is named.
    fn shared_entry(&mut self, id: LinkId) -> Option<&mut Option<LinkId>> {
        let link = self.links.get(id)?;
        let node = self.routing.as_ref()?.index_of(link.node.as_str())?;
        Some(&mut self.link_of[node.get()][link.protocol as usize])
    }

    /// Leaves a link whose node is out of service to the reply that is under way, if there is one: no other node could
    /// send the rest. Whatever else is on its way is held.
    pub(crate) fn leave_to_finish(&mut self, id: LinkId) -> bool {
        let link = &self.links[id];
        let is_under_way = link.download.is_some();
        // The node executes what comes behind the reply when that has been taken: perhaps long after the stand-in did,
        // and after it was emptied to come back. Only a read may be late.
        let only_reads = link.pipeline.unanswered().skip(1).all(|behind| behind.waiter.class == Class::Read);
        if !is_under_way || !only_reads || !matches!(link.pin, None | Some(Pin::Aside | Pin::Blocked(_))) {
            return false;
        }
        let (node, protocol) = (link.node.clone(), link.protocol);
        let held = self.held_of(id, 1);
        let link = &mut self.links[id];
        (1..link.pipeline.len()).for_each(|place| link.pipeline.give_up(place));
        link.pin = link.pin.or(Some(Pin::Aside));
        held.into_iter().for_each(|held| self.hold(held));
        if self.links[id].is_or_was_shared() {
            // That of a blocked client is left for its keys, too, and then its node stays.
            self.hold.leave(&node, protocol);
        }
        self.release(id);
        true
    }

    /// Asks again, over the shared link, what others than the first client want to read, in their order.
    pub(crate) fn ask_again(&mut self, id: LinkId) {
        let link = &self.links[id];
        let node = self.routing.as_ref().and_then(|routing| routing.index_of(link.node.as_str()));
        let (Some(Pin::Aside), Some(node)) = (link.pin, node) else { return };
        let protocol = link.protocol;
        let reads = self.reads_behind(id);
        if reads.is_empty() {
            return;
        }
        let shared = self.link_to(node, protocol);
        for (place, waiter, wire) in reads {
            self.links[id].pipeline.give_up(place);
            self.send_again(shared, waiter, wire);
        }
    }

    /// The reads of clients that only read, with their places. What a client has written there the node may have executed
    /// already: another read of it would see that too early, or too late.
    fn reads_behind(&self, id: LinkId) -> Vec<(usize, Waiter, Vec<u8>)> {
        let pipeline = &self.links[id].pipeline;
        let asked = || {
            let requests = pipeline.unanswered().enumerate();
            requests.filter_map(|(place, request)| {
                Some((place, self.client_behind(request.waiter.target)?, request))
            })
        };
        // The first client has what it waits for under way.
        let stays = |place: usize, waiter: &Waiter| place == 0 || waiter.class != Class::Read;
        let staying = asked().filter(|(place, _, request)| stays(*place, &request.waiter));
        let staying: HashSet<ClientId> = staying.map(|(_, client, _)| client).collect();
        let reads = asked().filter(|(_, client, _)| !staying.contains(client));
        reads.map(|(place, _, request)| (place, request.waiter, request.wire.to_vec())).collect()
    }

    fn send_again(&mut self, id: LinkId, waiter: Waiter, wire: Vec<u8>) {
        self.stats.resent += 1;
        let Some(link) = self.links.get_mut(id) else { return };
        if link.up {
            link.pipeline.push(&wire, waiter);
            return self.list_link(id);
        }
        let (node, protocol, via) = (link.node.clone(), link.protocol, Via::of(id, link));
        let deadline = self.deadline(waiter.since, self.links[id].down_since);
        let sent = if waiter.past == Past::Tried { Sent::Elsewhere } else { Sent::Nowhere };
        let Waiter { target, since, class, bound, .. } = waiter;
        self.hold(Held { wire, target, protocol, class, since, deadline, bound, node, sent, via });
    }
}
