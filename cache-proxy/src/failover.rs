//! What the dispatcher does when connections come and go, when a new view arrives, and as time passes.
//!
//! A request is never answered with its node's failure while there is hope: it moves into the hold, and out
//! of it to the same node (if it may run there again), to the stand-in that a new view names, or, when its
//! time is up, to an error that says what happened.

use std::sync::Arc;
use std::time::Duration;

use cluster::{NodeIndex, ReportKind, Routing};
use resp::{Limits, Protocol, RequestScanner, encode_request};

use crate::dispatch::{Dispatcher, Job};
use crate::failure::Failure;
use crate::hold::Held;
use crate::link::LinkId;
use crate::outbox::{RareWork, Suspicion};
use crate::target::{Target, id_of};

/// A slow link is reported at most this often. The health service confirms within 250 ms, so once a second
/// keeps it informed.
const SUSPECT_EVERY: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// A link is connected: the handshake goes first, then what waited for this node, in order.
    pub(crate) fn link_up(&mut self, id: LinkId) {
        let now = self.now;
        let handshake = self.handshake(id);
        let Some(link) = self.links.get_mut(id) else { return };
        link.up = true;
        self.stats.connected_links += 1;
        link.suspected = None;
        if std::mem::take(&mut link.failing) {
            tracing::info!(node = %link.node, "node connection is back");
        }
        for request in handshake {
            link.pipeline.push(&request, Target::Handshake, now, true);
        }
        let (node, protocol) = (link.node.clone(), link.protocol);
        let waiting =
            self.hold.take_if(|held| held.node == node && held.protocol == protocol && held.may_repeat());
        let link = &mut self.links[id];
        for held in waiting {
            self.stats.resent += u64::from(held.sent);
            link.pipeline.push(&held.wire, held.target, held.since, held.bound);
        }
        if !link.pipeline.is_empty() && !link.listed {
            link.listed = true;
            self.outbox.links.push(id);
        }
    }

    /// What a new connection says first.
    fn handshake(&self, id: LinkId) -> Vec<Vec<u8>> {
        let encoded = |args: &[&[u8]]| {
            let mut wire = Vec::new();
            encode_request(&mut wire, args.iter().copied());
            wire
        };
        let auth =
            self.config.node_password.as_ref().map(|password| encoded(&[b"AUTH", password.as_bytes()]));
        let resp3 = self.links.get(id).is_some_and(|link| link.protocol == Protocol::Resp3);
        auth.into_iter().chain(resp3.then(|| encoded(&[b"HELLO", b"3"]))).collect()
    }

    /// A link was lost, or could not be made: its requests are held, and the health service is told.
    pub(crate) fn link_failed(&mut self, id: LinkId, failure: &Failure) {
        let Some(link) = self.links.get(id) else { return };
        self.stats.link_failures += 1;
        let (node, kind, detail) = (link.node.clone(), failure.kind(), failure.to_string());
        self.outbox.rare.push(RareWork::Report(Suspicion { node, kind, detail }));
        self.empty(id);
    }

    /// Takes everything off a link and marks it as down.
    fn empty(&mut self, id: LinkId) {
        self.release(id);
        let link = &mut self.links[id];
        self.stats.connected_links -= u64::from(std::mem::take(&mut link.up));
        let pipeline = std::mem::take(&mut link.pipeline);
        let (node, protocol) = (link.node.clone(), link.protocol);
        for request in pipeline.unanswered() {
            let waiter = request.waiter;
            if waiter.target == Target::Handshake {
                continue;
            }
            self.hold(Held {
                wire: request.wire.to_vec(),
                target: waiter.target,
                protocol,
                since: waiter.since,
                deadline: self.deadline(waiter.since),
                bound: waiter.bound,
                node: node.clone(),
                sent: request.sent,
            });
        }
    }

    /// Routes by a new view from now on. Links to nodes that are no longer routable are closed, and what was
    /// on its way to them goes to their stand-ins.
    pub(crate) fn apply(&mut self, routing: &Arc<Routing>) {
        self.stats.epoch = routing.epoch();
        self.link_of = vec![[None; 2]; routing.nodes().len()];
        let ids: Vec<_> = self.links.iter().map(|(id, _)| id).collect();
        for id in ids {
            match self.kept_for(id, routing) {
                Some((node, protocol)) => self.link_of[node.get()][protocol as usize] = Some(id),
                None => self.close(id),
            }
        }
        self.routing = Some(Arc::clone(routing));
        for (node, _) in (0..).map(NodeIndex).zip(routing.nodes()).filter(|(_, node)| node.routable) {
            // Connected before the first request needs it, and so that its loss is noticed without one.
            self.link_to(node, Protocol::Resp2);
        }
        let is_routable = |held: &Held| {
            routing.index_of(held.node.as_str()).is_some_and(|index| routing.node(index).routable)
        };
        for held in self.hold.take_if(|held| !is_routable(held)) {
            self.resend(&held);
        }
    }

    /// The node a link still serves in the new routing, if it does.
    fn kept_for(&self, id: LinkId, routing: &Routing) -> Option<(NodeIndex, Protocol)> {
        let link = &self.links[id];
        let index = routing.index_of(link.node.as_str())?;
        let node = routing.node(index);
        let same = node.routable && node.host == link.address.host && node.port == link.address.port;
        same.then_some((index, link.protocol))
    }

    fn close(&mut self, id: LinkId) {
        self.empty(id);
        self.links.remove(id);
        self.outbox.rare.push(RareWork::Close(id));
    }

    /// Sends a held request where its keys live now. It is planned anew: the keys of one request to a failed
    /// node may have several stand-ins.
    fn resend(&mut self, held: &Held) {
        self.stats.resent += 1;
        if held.bound {
            return self.deliver_absent(held.target);
        }
        let mut scanner = RequestScanner::new(Limits::default());
        let Ok(Some(_)) = scanner.scan(&held.wire) else {
            return self.fail(held.target, "ERR the proxy held a request that it cannot read");
        };
        let request = scanner.request(&held.wire);
        if let Some(command) = request.get(0).and_then(commands::lookup) {
            let (target, protocol, since) = (held.target, held.protocol, held.since);
            self.carry_out(command, Job { request, target, protocol, since });
        }
    }

    /// Answers for a node that has left the cluster.
    fn deliver_absent(&mut self, target: Target) {
        if let Target::Part { gather, .. } = target
            && let Some(absent) = self.gathers.get(gather as usize).map(|gather| gather.absent())
        {
            self.deliver(target, absent);
        }
    }

    /// Ends every client once it has what it is owed.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
        let ids: Vec<_> = self.clients.iter().map(id_of).collect();
        for id in ids {
            if let Some(client) = self.client(id) {
                client.closing = true;
            }
            self.list(id);
        }
    }

    /// Whether anything waits, so that time matters.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.hold.is_empty() || self.links.iter().any(|(_, link)| !link.pipeline.is_empty())
    }

    /// Gives up what has waited too long, and suspects links that are slow.
    pub(crate) fn tick(&mut self) {
        self.expire_held();
        let (now, patience) = (self.now, self.config.node_timeout);
        let suspect_after = self.config.suspect_after;
        for (id, link) in &mut self.links {
            let Some(oldest) = link.pipeline.oldest() else { continue };
            let waited = now.saturating_duration_since(oldest.since);
            if waited > patience {
                self.outbox.rare.push(RareWork::GiveUp(id));
            } else if waited > suspect_after && link.suspected.is_none_or(|at| at + SUSPECT_EVERY <= now) {
                link.suspected = Some(now);
                let detail = format!("no reply for {} ms", waited.as_millis());
                let suspicion = Suspicion { node: link.node.clone(), kind: ReportKind::Timeout, detail };
                self.outbox.rare.push(RareWork::Report(suspicion));
            }
        }
    }

    fn expire_held(&mut self) {
        let now = self.now;
        for held in self.hold.take_if(|held| held.deadline < now) {
            self.stats.expired += 1;
            let waited = now.saturating_duration_since(held.since).as_millis();
            let executed = if held.sent { "may have been executed" } else { "was not executed" };
            let text = format!(
                "UNAVAILABLE node {} gave no answer within {waited} ms (epoch {}); the command {executed}",
                held.node, self.stats.epoch
            );
            self.fail(held.target, &text);
        }
    }
}
