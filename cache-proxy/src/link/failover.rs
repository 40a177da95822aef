//! What the dispatcher does when connections come and go.
//!
//! A request is never answered with its node's failure while there is hope: it moves into the hold, and out
//! of it to the same node (if it may run there again), to the stand-in that a new view names, or, when its
//! time is up, to an error that says what happened.

use cluster::{NodeId, Routing};
use resp::{Limits, Protocol, ProtocolError, RequestScanner};

use crate::dispatch::{Dispatcher, Job};
use crate::link::blocking::null_in;
use crate::link::failure::Failure;
use crate::link::hold::{Held, Sent, Via};
use crate::link::pin::Pin;
use crate::link::pipeline::{Past, Pipeline, Waiter};
use crate::link::rerun::outrun;
use crate::link::{Link, LinkId};
use crate::outbox::{RareWork, Suspicion};
use crate::target::{Receiver, Target};
use crate::transaction::unit;
use crate::transaction::watch::is_watched;

impl Dispatcher {
    /// The node is there: what waited for it goes out, in order. What it may have executed before and may not
    /// execute twice is answered with an error, because the requests behind it cannot wait: they would
    /// overtake it.
    pub(crate) fn link_up(&mut self, id: LinkId) {
        let link = &mut self.links[id];
        link.up = true;
        link.traffic.links_up.add(1);
        self.stats.connected_links += 1;
        if std::mem::take(&mut link.failing) {
            tracing::info!(node = %link.node, "node connection is back");
        }
        if let Some(Pin::Subscriber { .. }) = link.pin {
            return self.subscriber_up(id);
        }
        self.provide_scripts(id);
        self.send_held(id);
    }

    /// Sends what waits for this link.
    fn send_held(&mut self, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        let waiting = if link.is_or_was_shared() {
            self.hold.take_if(|held| held.waits_for(id, link))
        } else {
            self.hold.take_pinned(id)
        };
        let outrun = outrun(&waiting, |target| self.client_behind(target));
        for (place, held) in waiting.into_iter().enumerate() {
            if !held.may_repeat() || outrun.contains(&place) {
                self.expire(&held);
                continue;
            }
            self.stats.resent += u64::from(held.sent != Sent::Nowhere);
            let (bound, past) = (held.bound, held.past());
            let waiter = Waiter { bound, past, ..Waiter::new(held.target, held.since, held.class) };
            if held.is_unit() {
                self.push_unit(id, &held.wire, waiter);
            } else if let Some(link) = self.links.get_mut(id) {
                link.pipeline.push(&held.wire, waiter);
            }
        }
        self.list_link(id);
    }

    /// Puts the link into the list of those with bytes to write, if it has any.
    pub(crate) fn list_link(&mut self, id: LinkId) {
        // A pinned link whose request may not be repeated is gone.
        let Some(link) = self.links.get_mut(id) else { return };
        if !link.pipeline.unsent().is_empty() && !link.listed {
            link.listed = true;
            self.outbox.links.push(id);
        }
    }

    /// A link was lost, or could not be made: its requests are held, and the health service is told, unless
    /// it is this proxy that is at fault.
    pub(crate) fn link_failed(&mut self, id: LinkId, failure: &Failure) {
        let Some(link) = self.links.get(id) else { return };
        if let Some(Pin::Idle(_)) = link.pin {
            // A node may close a connection that nobody uses.
            return self.drop_pinned(id);
        }
        link.traffic.link_failures.add(1);
        if let Some(kind) = failure.kind() {
            let (node, detail) = (link.node.clone(), failure.to_string());
            self.outbox.rare.push(RareWork::Report(Suspicion { node, kind, detail }));
        }
        let (node, protocol) = (link.node.clone(), link.protocol);
        self.empty(id, Some(failure));
        // What waits for a pinned link is planned anew by the view that moves its keys.
        let is_shared = self.links.get(id).is_some_and(Link::is_or_was_shared);
        if let Some(routing) = self.routing.clone().filter(|_| is_shared) {
            // Keys that moved while their requests were on the way are served elsewhere now.
            self.resend_if(|held| held.node == node && !held.bound && has_moved(held, &routing));
        }
        match self.links.get(id).and_then(|link| link.pin) {
            Some(Pin::Subscriber { .. }) => self.subscriber_down(id),
            Some(Pin::Aside) => {
                self.drop_pinned(id);
                self.send_held_for(&node, protocol);
            }
            Some(Pin::Watching(client)) => self.watching_failed(id, client),
            Some(Pin::Released) => self.released_failed(id),
            Some(_) => self.pinned_failed(id),
            None => {}
        }
    }

    /// Sends the held requests for which `wanted` holds to where their keys live now.
    pub(crate) fn resend_if(&mut self, wanted: impl FnMut(&Held) -> bool) {
        for held in self.hold.take_if(wanted) {
            self.resend(held);
        }
    }

    /// Sends what is held for a node over its shared link, if that is up; else it goes when it is.
    pub(crate) fn send_held_for(&mut self, node: &NodeId, protocol: Protocol) {
        let index = self.routing.as_ref().and_then(|routing| routing.index_of(node.as_str()));
        let Some(index) = index else { return };
        let id = self.link_to(index, protocol);
        if self.links.get(id).is_some_and(|link| link.up) {
            self.send_held(id);
        }
    }

    /// Takes everything off a link and marks it as down; why, unless it is closed on purpose.
    pub(crate) fn empty(&mut self, id: LinkId, failure: Option<&Failure>) {
        self.release(id);
        let begun = self.break_off(id);
        let now = self.now;
        let link = &mut self.links[id];
        if std::mem::take(&mut link.up) {
            self.stats.connected_links -= 1;
            link.traffic.links_up.subtract(1);
            link.down_since = now;
        }
        if let Some(Pin::Upload(_)) = link.pin {
            let (node, pipeline) = (link.node.clone(), std::mem::take(&mut link.pipeline));
            return self.fail_uploaded(&node, &pipeline);
        }
        if let (Some(Failure::Reply(error)), false) = (failure, begun) {
            self.fail_unreadable(id, error);
        }
        let held = self.held_of(id, usize::from(begun));
        self.links[id].pipeline = Pipeline::default();
        held.into_iter().for_each(|held| self.hold(held));
    }

    /// Answers whoever asked for what cannot be read: the same question would break the next connection too.
    fn fail_unreadable(&mut self, id: LinkId, error: &ProtocolError) {
        let link = &mut self.links[id];
        let first = link.pipeline.due().or_else(|| link.pipeline.unit_in_turn());
        let Some(target) = first.map(|waiter| waiter.target).filter(|target| !target.is_proxy()) else {
            return;
        };
        link.pipeline.give_up(0);
        let text = format!(
            "ERR the reply of node {} cannot be read ({error}); the command may have been executed",
            link.node
        );
        self.fail(target, &text);
    }

    /// What is on its way over a link, but for the first `skipped` requests, as it is to be held. What the proxy itself
    /// asked is asked again.
    pub(crate) fn held_of(&self, id: LinkId, skipped: usize) -> Vec<Held> {
        let link = &self.links[id];
        let was_blocked = matches!(link.pin, Some(Pin::Blocked(_)));
        let down_since = if link.up { self.now } else { link.down_since };
        let requests = link.pipeline.unanswered().skip(skipped);
        let asked = requests.filter(|request| !request.waiter.target.is_proxy());
        let held = asked.map(|request| {
            let waiter = request.waiter;
            // Who was blocked waited for an element; for the node it waits from now on.
            let since = if was_blocked { self.now } else { waiter.since };
            let sent = match (request.sent, waiter.past) {
                (true, _) => Sent::Here,
                (false, Past::Tried) => Sent::Elsewhere,
                (false, Past::None | Past::Held) => Sent::Nowhere,
            };
            Held {
                wire: request.wire.to_vec(),
                target: waiter.target,
                protocol: link.protocol,
                class: waiter.class,
                since,
                deadline: self.deadline(since, down_since),
                bound: waiter.bound,
                node: link.node.clone(),
                sent,
                via: Via::of(id, link),
            }
        });
        held.collect()
    }

    /// Sends a held request where its keys live now. It is planned anew: the keys of one request to a failed
    /// node may have several stand-ins.
    fn resend(&mut self, mut held: Held) {
        if let Via::Pinned(link) = held.via {
            self.drop_pinned(link);
        }
        if held.bound {
            return self.deliver_absent(held.target);
        }
        if held.sent == Sent::Here && !self.still_serves(&held) {
            // What a node did with keys that are another's now is discarded.
            held.sent = Sent::Elsewhere;
        }
        if !held.may_repeat() {
            return self.expire(&held);
        }
        if is_watched(&held) {
            return self.deliver(held.target, null_in(held.protocol));
        }
        self.stats.resent += u64::from(held.sent != Sent::Nowhere);
        let mut scanner = RequestScanner::new(Limits::default());
        let Ok(Some(_)) = scanner.scan(&held.wire) else {
            return self.fail(held.target, "ERR the proxy held a request that it cannot read");
        };
        let request = scanner.request(&held.wire);
        let (target, protocol, class, since) = (held.target, held.protocol, held.class, held.since);
        let job = Job { request: &request, target, protocol, class, since, past: held.past() };
        if held.is_unit() {
            self.resend_unit(&held.wire, &job);
        } else if let Some(command) = request.get(0).and_then(commands::lookup) {
            self.carry_out(command, &job);
        }
    }

    /// Whether the node that a request is held for serves one of its keys.
    fn still_serves(&self, held: &Held) -> bool {
        let Some(routing) = &self.routing else { return false };
        let here = routing.index_of(held.node.as_str());
        unit::any_name(&held.wire, |name| routing.serving(routing.slot(name)) == here)
    }

    /// Answers for a node that has left the cluster.
    fn deliver_absent(&mut self, target: Target) {
        if let Receiver::Part(gather, _) = target.receiver()
            && let Some(absent) = self.gathers.get(gather as usize).map(|gather| gather.absent())
        {
            self.deliver(target, absent);
        }
    }
}

/// Whether another node than the one it is held for serves a key of the request now.
pub(crate) fn has_moved(held: &Held, routing: &Routing) -> bool {
    keys_have_moved(&held.wire, &held.node, routing)
}

/// Whether another node than this one serves a key of the request now.
pub(crate) fn keys_have_moved(wire: &[u8], node: &NodeId, routing: &Routing) -> bool {
    let here = routing.index_of(node.as_str());
    unit::any_name(wire, |name| routing.serving(routing.slot(name)) != here)
}
