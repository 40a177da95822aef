//! What a new view does to the links, and to what is on its way over them.
//!
//! A node that left, or is not routable any more, is left at once: its links are closed, and what they carried goes to
//! the stand-ins. Links to nodes that stay are kept, whatever has moved.
//!
//! Pure.

use std::sync::Arc;

use cluster::{NodeIndex, Routing};
use resp::Protocol;

use crate::dispatch::Dispatcher;
use crate::link::failover::has_moved;
use crate::link::hold::{Held, Via};
use crate::link::pin::{self, IdlePins, Pin};
use crate::link::{Link, LinkId};
use crate::outbox::RareWork;
use crate::pubsub::subscriptions::topic::Line;

impl Dispatcher {
    /// Routes by a new view from now on. Links to nodes that are no longer routable are closed, and what was
    /// on its way to them goes to their stand-ins.
    pub(crate) fn apply(&mut self, routing: &Arc<Routing>) {
        self.stats.epoch = routing.epoch();
        self.published.set_view(self.now);
        self.link_of = vec![[None; 2]; routing.nodes().len()];
        self.idle_pins = IdlePins::of(routing.nodes().len());
        self.subscriber_links = vec![None; routing.nodes().len()];
        let ids: Vec<_> = self.links.iter().map(|(id, _)| id).collect();
        for id in ids {
            match self.kept_for(id, routing) {
                Some(place) => self.keep(id, place),
                None => self.close(id, routing),
            }
        }
        let before = self.routing.replace(Arc::clone(routing));
        self.note_moved_watches();
        for (node, _) in (0..).map(NodeIndex).zip(routing.nodes()).filter(|(_, node)| node.routable) {
            // Connected before the first request needs it, and so that its loss is noticed without one.
            self.link_to(node, Protocol::Resp2);
        }
        self.rehome_subscriptions(before.as_deref());
        let is_routable = |held: &Held| {
            routing.index_of(held.node.as_str()).is_some_and(|index| routing.node(index).routable)
        };
        // A stand-in whose owner is back is routable, but what is held for it belongs to the owner again.
        self.resend_if(|held| {
            held.via == Via::Lost || !is_routable(held) || (!held.bound && has_moved(held, routing))
        });
        // A node with a new address has no link yet for requests in RESP3.
        for (node, protocol) in self.hold.awaited_links() {
            self.send_held_for(&node, protocol);
        }
        // Last: until here nodes that have left lost their links, which is counted.
        self.published.traffic.keep(|id| routing.index_of(id.as_str()).is_some());
    }

    /// Puts a link in its place in the new routing.
    fn keep(&mut self, id: LinkId, (node, protocol): (NodeIndex, Protocol)) {
        match self.links[id].pin {
            None => self.link_of[node.get()][protocol as usize] = Some(id),
            Some(Pin::Idle(_)) => {
                self.idle_pins.put(node, protocol, id);
            }
            Some(Pin::Subscriber { .. }) => self.subscriber_links[node.get()] = Some(id),
            Some(_) => {}
        }
    }

    /// The node a link still serves in the new routing, if it does.
    pub(crate) fn kept_for(&self, id: LinkId, routing: &Routing) -> Option<(NodeIndex, Protocol)> {
        let link = &self.links[id];
        let node = node_in_service(link, routing)?;
        (!pin::has_moved_away(link, routing)).then_some((node, link.protocol))
    }

    /// Closes a link that the new routing has no place for.
    fn close(&mut self, id: LinkId, routing: &Routing) {
        if self.leave_to_finish(id) {
            return;
        }
        self.empty(id, None);
        let link = self.links.remove(id);
        match link.pin {
            None | Some(Pin::Aside) => self.hold.leave(&link.node, link.protocol),
            Some(Pin::Subscriber { line: serial, .. }) => {
                self.subscriptions.line_down(Line { link: id, serial });
            }
            Some(pin) => {
                self.hold.lose_pinned(id, node_in_service(&link, routing).is_none());
                self.forget_pin(pin);
            }
        }
        self.outbox.rare.push(RareWork::Close(id));
    }
}

/// The node of a link, if it is in service, and at the same address: at another one it is another process.
fn node_in_service(link: &Link, routing: &Routing) -> Option<NodeIndex> {
    let index = routing.index_of(link.node.as_str())?;
    let node = routing.node(index);
    let same = node.routable && node.host == link.address.host && node.port == link.address.port;
    same.then_some(index)
}
