//! `WATCH`: a pinned link that knows what its client watches, until `EXEC` goes over it.
//!
//! The client's other requests travel over the shared links meanwhile. Around `WATCH` and around `EXEC` nothing of the
//! client is on its way: what it reads after `WATCH` was read after the node began to watch, and what it wrote before
//! `EXEC` was written before.
//!
//! When the link is lost, or another node serves a watched key, nobody knows whether the key was written meanwhile. So
//! `EXEC` answers null, as if it was, and the client tries again: that is what null asks for. Only an `EXEC` that was
//! sent and not answered, by a node that goes on serving, is answered with an error: it may have been executed.
//!
//! Pure.

use std::collections::BTreeSet;

use cluster::{NodeIndex, Routing, Slot};
use commands::{Class, Command};
use resp::Protocol;

use crate::dispatch::{Dispatcher, Job};
use crate::link::LinkId;
use crate::link::blocking::null_in;
use crate::link::hold::{Held, Sent, Via};
use crate::link::pin::Pin;
use crate::link::pipeline::Waiter;
use crate::plan::refuse::{NO_NODE, crossslot};
use crate::plan::serving::node_of_all;
use crate::target::{ClientId, Receiver, Target, UnitId};
use crate::transaction::Transaction;
use crate::transaction::unit::Unit;

const UNWATCH: &[u8] = b"*1\r\n$7\r\nUNWATCH\r\n";

/// What a slot takes, in nodes of a tree that are half full at worst.
const SLOT_COST: usize = 2 * size_of::<Slot>();

/// What a client watches.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The link that knows it; `None` when it was lost.
    link: Option<LinkId>,
    /// The node has confirmed something.
    confirmed: bool,
    /// Where the keys live. Slots and not keys: there are only so many of them.
    slots: BTreeSet<Slot>,
    /// The first key, for an error text.
    key: Vec<u8>,
    /// Another node has served one of the keys meanwhile.
    moved: bool,
}

impl Watch {
    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.len() * SLOT_COST
    }
}

impl Dispatcher {
    /// Sends `WATCH` over a link of its own, once all earlier requests of its client are answered.
    pub(crate) fn watch(&mut self, id: ClientId, command: &'static Command, job: &Job<'_>) {
        let Some(client) = self.client(id) else { return };
        if client.transaction.is_some() {
            return self.fail(job.target, "ERR WATCH inside MULTI is not allowed");
        }
        if self.must_wait(job.target) {
            return;
        }
        let Ok(keys) = command.keys(job.request.len(), |index| job.request.arg(index)) else { return };
        let node = match node_of_all(self.routing.as_deref(), &mut keys.clone(), job.request) {
            Ok(node) => node,
            Err(unserved) => return self.fail(job.target, &unserved.text(job.request)),
        };
        match self.watching_link(id, node, job) {
            Ok(Some(link)) => {
                self.note_watched(id, keys.map(|position| job.request.arg(position)));
                self.send_pinned(link, job, false);
            }
            // What it watches already is lost; EXEC will answer null.
            Ok(None) => self.deliver(job.target, b"+OK\r\n"),
            Err(text) => self.fail(job.target, &text),
        }
    }

    /// The link over which the client watches keys of this node; `None` when it is lost.
    fn watching_link(
        &mut self,
        id: ClientId,
        node: NodeIndex,
        job: &Job<'_>,
    ) -> Result<Option<LinkId>, String> {
        let watch = self.clients.get(id.index as usize).and_then(|client| client.watch.as_deref());
        let Some(watch) = watch else {
            let link = self.pin(node, job.protocol, Pin::Watching(id)).ok_or(NO_NODE)?;
            let watch = Watch {
                link: Some(link),
                confirmed: false,
                slots: BTreeSet::new(),
                key: Vec::new(),
                moved: false,
            };
            if let Some(client) = self.client(id) {
                client.watch = Some(Box::new(watch));
            }
            return Ok(Some(link));
        };
        let Some(link) = self.link_of_watch(watch, job.protocol) else { return Ok(None) };
        if self.node_of_link(link) == Some(node) {
            return Ok(Some(link));
        }
        Err(crossslot(&watch.key, job.request.arg(1)))
    }

    fn note_watched<'a>(&mut self, id: ClientId, keys: impl Iterator<Item = &'a [u8]>) {
        /// As much of it as error texts show.
        const SHOWN: usize = 64;
        let Some(routing) = self.routing.clone() else { return };
        let Some(watch) = self.client(id).and_then(|client| client.watch.as_mut()) else { return };
        let before = watch.bytes();
        for key in keys {
            if watch.slots.is_empty() {
                watch.key = key[..key.len().min(SHOWN)].to_vec();
            }
            watch.slots.insert(routing.slot(key));
        }
        let grown = watch.bytes() - before;
        self.note_growth(grown);
    }

    /// Notes who watches keys that another node serves by the new view. They may be written there, and be back here
    /// before `EXEC`.
    pub(crate) fn note_moved_watches(&mut self) {
        let Some(routing) = &self.routing else { return };
        for (_, link) in &self.links {
            let Some(Pin::Watching(id)) = link.pin else { continue };
            let client = self.clients.get_mut(id.index as usize).filter(|client| client.serial == id.serial);
            let Some(watch) = client.and_then(|client| client.watch.as_mut()) else { continue };
            let node = routing.index_of(link.node.as_str());
            watch.moved |= watch.slots.iter().any(|slot| routing.serving(*slot) != node);
        }
    }

    /// The link, if it still speaks the client's protocol version.
    fn link_of_watch(&self, watch: &Watch, protocol: Protocol) -> Option<LinkId> {
        watch.link.filter(|id| self.links.get(*id).is_some_and(|link| link.protocol == protocol))
    }

    fn node_of_link(&self, id: LinkId) -> Option<NodeIndex> {
        self.routing.as_ref()?.index_of(self.links.get(id)?.node.as_str())
    }

    /// Sends a transaction over the link that knows what is watched, or answers null.
    pub(crate) fn exec_watched(&mut self, watch: &Watch, transaction: Transaction, job: &Job<'_>) {
        let intact = self.routing.as_ref().and_then(|routing| self.intact(watch, routing, job.protocol));
        let Some((link, node)) = intact else {
            self.unwatch(watch);
            return self.deliver(job.target, null_in(job.protocol));
        };
        if let Err(text) = self.lives_on(node, watch, &transaction) {
            self.unwatch(watch);
            return self.fail(job.target, &crate::transaction::exec::aborted(&text));
        }
        let unit = self.units.insert(Unit::new(job.target, transaction.len()));
        // An entry of a slab that the clients bound: each waits for one at most.
        let target = Target::unit(unit as UnitId);
        // After EXEC nothing is watched.
        self.links[link].pin = Some(Pin::Released);
        self.push_unit(link, &transaction.into_wire(), Waiter::new(target, job.since, job.class));
        self.list_link(link);
        if self.links[link].pipeline.is_empty() {
            // It was refused, and the connection still watches.
            self.drop_pinned(link);
        }
    }

    /// The link and its node, if they have known of every write to the watched keys.
    fn intact(&self, watch: &Watch, routing: &Routing, protocol: Protocol) -> Option<(LinkId, NodeIndex)> {
        let link = self.link_of_watch(watch, protocol).filter(|id| self.links[*id].up && !watch.moved)?;
        let node = self.node_of_link(link)?;
        watch.slots.iter().all(|slot| routing.serving(*slot) == Some(node)).then_some((link, node))
    }

    /// Whether the keys of a transaction live on the node of the watched ones.
    fn lives_on(&self, node: NodeIndex, watch: &Watch, transaction: &Transaction) -> Result<(), String> {
        let (Some(routing), Some(key)) = (&self.routing, transaction.key()) else { return Ok(()) };
        if transaction.node(routing)? == node { Ok(()) } else { Err(crossslot(&watch.key, key)) }
    }

    /// Has the client's link forget what it knows.
    pub(crate) fn unwatch(&mut self, watch: &Watch) {
        let Some(id) = watch.link else { return };
        let now = self.now;
        let Some(link) = self.links.get_mut(id) else { return };
        if !link.up || !link.pipeline.is_empty() {
            return self.drop_pinned(id);
        }
        link.pin = Some(Pin::Released);
        link.pipeline.push(UNWATCH, Waiter::new(Target::NOBODY, now, Class::Transaction));
        self.list_link(id);
    }

    /// Ends what a client watches, if it does.
    pub(crate) fn end_watch(&mut self, id: ClientId) {
        if let Some(watch) = self.client(id).and_then(|client| client.watch.take()) {
            self.unwatch(&watch);
        }
    }

    /// A node has confirmed that it watches.
    pub(crate) fn watch_confirmed(&mut self, id: ClientId) {
        if let Some(watch) = self.client(id).and_then(|client| client.watch.as_mut()) {
            watch.confirmed = true;
        }
    }

    /// The link that knew what a client watches is gone. What was not confirmed is not lost: it is asked for anew.
    pub(crate) fn forget_watch(&mut self, id: ClientId) {
        let Some(client) = self.client(id) else { return };
        match &mut client.watch {
            Some(watch) if watch.confirmed => watch.link = None,
            watch => *watch = None,
        }
    }

    /// The connection of a watching link broke. A `WATCH` on its way waits for the next one, unless an earlier one is
    /// lost with this.
    pub(crate) fn watching_failed(&mut self, link: LinkId, id: ClientId) {
        let watch = self.client(id).and_then(|client| client.watch.as_ref());
        if !watch.is_some_and(|watch| watch.confirmed) {
            return self.pinned_failed(link);
        }
        for held in self.hold.take_pinned(link) {
            self.deliver(held.target, b"+OK\r\n");
        }
        self.drop_pinned(link);
    }

    /// The connection broke over which an `EXEC` went. If it was sent, only a view without the node tells that what it
    /// did does not count.
    pub(crate) fn released_failed(&mut self, link: LinkId) {
        for held in self.hold.take_pinned(link) {
            if held.sent == Sent::Here {
                self.hold(Held { via: Via::Verdict, ..held });
            } else {
                self.deliver(held.target, null_in(held.protocol));
            }
        }
        self.drop_pinned(link);
    }
}

/// Whether the unit went over a link that knew what its client watched: it is not to be sent over another.
pub(crate) fn is_watched(held: &Held) -> bool {
    matches!(held.target.receiver(), Receiver::Unit(_)) && held.via != Via::Shared
}
