//! What the dispatcher does when connections come and go, when a new view arrives, and as time passes.
//!
//! A request is never answered with its node's failure while there is hope: it moves into the hold, and out
//! of it to the same node (if it may run there again), to the stand-in that a new view names, or, when its
//! time is up, to an error that says what happened.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{NodeId, NodeIndex, ReportKind, Routing};
use resp::{Limits, Protocol, ProtocolError, RequestScanner};

use crate::dispatch::{Dispatcher, Job};
use crate::link::blocking::null_in;
use crate::link::failure::Failure;
use crate::link::hold::{Held, Sent, Via};
use crate::link::pin::{self, IdlePins, Pin};
use crate::link::pipeline::{Past, Pipeline, Waiter};
use crate::link::rerun::outrun;
use crate::link::{Link, LinkId};
use crate::outbox::{RareWork, Suspicion};
use crate::target::{Receiver, Target};
use crate::transaction::unit;
use crate::transaction::watch::is_watched;

/// A slow link is reported at most this often. The health service confirms within 250 ms, so once a second
/// keeps it informed.
const SUSPECT_EVERY: Duration = Duration::from_secs(1);

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
            Some(Pin::Subscriber { .. }) => self.subscriptions.link_down(id),
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
    fn resend_if(&mut self, wanted: impl FnMut(&Held) -> bool) {
        for held in self.hold.take_if(wanted) {
            self.resend(held);
        }
    }

    /// Sends what is held for a node over its shared link, if that is up; else it goes when it is.
    fn send_held_for(&mut self, node: &NodeId, protocol: Protocol) {
        let index = self.routing.as_ref().and_then(|routing| routing.index_of(node.as_str()));
        let Some(index) = index else { return };
        let id = self.link_to(index, protocol);
        if self.links.get(id).is_some_and(|link| link.up) {
            self.send_held(id);
        }
    }

    /// Takes everything off a link and marks it as down; why, unless it is closed on purpose.
    fn empty(&mut self, id: LinkId, failure: Option<&Failure>) {
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
            Some(Pin::Subscriber { .. }) => self.subscriptions.link_down(id),
            Some(pin) => {
                self.hold.lose_pinned(id, node_in_service(&link, routing).is_none());
                self.forget_pin(pin);
            }
        }
        self.outbox.rare.push(RareWork::Close(id));
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

    /// Whether anything waits, so that time matters.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.hold.is_empty()
            || self.links.iter().any(|(_, link)| link.is_timed() || link.delays_others())
            || self.subscriptions_wait()
            || self.node_info.is_waiting()
    }

    /// Gives up what has waited too long, and suspects links that are slow.
    pub(crate) fn tick(&mut self) {
        self.expire_held();
        self.end_overdue_info();
        self.drop_idle_pins();
        self.tend_downloads();
        self.tick_subscriptions();
        self.rouse_uploads();
        let (now, config) = (self.now, Arc::clone(&self.config));
        for (id, link) in &mut self.links {
            let Some(since) = link.waits_since() else { continue };
            let waited = now.saturating_duration_since(since);
            // Until the handshake is answered the node is still being connected to.
            let patience = if link.up { config.node_timeout } else { config.connect_timeout };
            if waited > patience {
                self.outbox.rare.push(RareWork::GiveUp(id));
            } else if waited > config.suspect_after
                && link.suspected.is_none_or(|at| at + SUSPECT_EVERY <= now)
            {
                link.suspected = Some(now);
                let detail = format!("no reply for {} ms", waited.as_millis());
                let suspicion = Suspicion { node: link.node.clone(), kind: ReportKind::Timeout, detail };
                self.outbox.rare.push(RareWork::Report(suspicion));
            }
        }
    }

    fn expire_held(&mut self) {
        for held in self.hold.take_overdue(self.now) {
            self.expire(&held);
        }
    }

    /// The error of a request whose time is up.
    pub(crate) fn unanswered(&self, node: &NodeId, since: Instant, executed: &str) -> String {
        let waited = self.now.saturating_duration_since(since).as_millis();
        let epoch = self.stats.epoch;
        format!(
            "UNAVAILABLE node {node} gave no answer within {waited} ms (epoch {epoch}); the command {executed}"
        )
    }

    /// Counts a request that is given up.
    pub(crate) fn note_expired(&mut self, held: &Held) {
        self.count_expired(&held.node);
        self.note_given_up(held);
    }

    pub(crate) fn count_expired(&mut self, node: &NodeId) {
        self.stats.expired += 1;
        if let Some(traffic) = self.published.traffic.known(node) {
            traffic.expired.add(1);
        }
    }

    /// Gives up a request: says what is known of it.
    fn expire(&mut self, held: &Held) {
        self.note_expired(held);
        let executed = match held.sent {
            Sent::Nowhere => "was not executed",
            Sent::Elsewhere | Sent::Here => "may have been executed",
        };
        let text = self.unanswered(&held.node, held.since, executed);
        self.fail(held.target, &text);
        if let Via::Pinned(link) = held.via {
            self.drop_pinned(link);
        }
    }
}

/// Whether another node than the one it is held for serves a key of the request now.
fn has_moved(held: &Held, routing: &Routing) -> bool {
    keys_have_moved(&held.wire, &held.node, routing)
}

/// Whether another node than this one serves a key of the request now.
pub(crate) fn keys_have_moved(wire: &[u8], node: &NodeId, routing: &Routing) -> bool {
    let here = routing.index_of(node.as_str());
    unit::any_name(wire, |name| routing.serving(routing.slot(name)) != here)
}

/// The node of a link, if it is in service, and at the same address: at another one it is another process.
fn node_in_service(link: &Link, routing: &Routing) -> Option<NodeIndex> {
    let index = routing.index_of(link.node.as_str())?;
    let node = routing.node(index);
    let same = node.routable && node.host == link.address.host && node.port == link.address.port;
    same.then_some(index)
}
