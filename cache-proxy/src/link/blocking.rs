//! Commands that wait for an element: `BLPOP` and its kin, `XREAD … BLOCK`.
//!
//! Each occupies a pinned link until its reply, so nobody waits behind it. How long that takes is the command's own
//! affair: the time-out of nodes does not apply. When the client hangs up its link is closed at once, because the
//! node would give an element to somebody who is gone. What a lost node may have given is not asked for twice.
//!
//! Pure.

use commands::{Class, KeyPositions};
use resp::{Protocol, encode_request};

use crate::dispatch::{Dispatcher, Job};
use crate::link::pin::Pin;
use crate::link::pipeline::Waiter;
use crate::link::{Link, LinkId};
use crate::plan::refuse::NO_NODE;
use crate::plan::serving::node_of_all;
use crate::target::{Receiver, Target};

impl Dispatcher {
    /// Sends a blocking request over a link of its own, once all earlier requests of its client are answered.
    #[cold]
    pub(crate) fn block(&mut self, keys: &mut KeyPositions, job: &Job<'_>) {
        let Receiver::Client(id, _) = job.target.receiver() else { return };
        if self.client(id).is_none() || self.must_wait(job.target) {
            return;
        }
        let node = match node_of_all(self.routing.as_deref(), keys, job.request) {
            Ok(node) => node,
            Err(unserved) => return self.fail(job.target, &unserved.text(job.request)),
        };
        if self.leaving {
            return self.deliver(job.target, null_in(job.protocol));
        }
        let Some(link) = self.pin(node, job.protocol, Pin::Blocked(id)) else {
            return self.fail(job.target, NO_NODE);
        };
        if let Some(client) = self.client(id) {
            client.blocked_on = Some(link);
        }
        self.send_pinned(link, job, false);
    }

    /// Has every blocked client answered as if its time were up, and new ones at once: the proxy leaves. By their nodes,
    /// because an element that was given is on its way, and nobody else knows.
    pub(crate) fn unblock_all(&mut self) {
        self.leaving = true;
        for id in self.blocked_links() {
            if !self.ask_to_unblock(id) {
                self.unblock(id);
            }
        }
    }

    /// Answers those whose nodes have not.
    pub(crate) fn unblock_rest(&mut self) {
        let blocked = self.blocked_links();
        if !blocked.is_empty() {
            let clients = blocked.len();
            tracing::warn!(clients, "answering null to blocked clients whose nodes do not unblock them");
        }
        blocked.into_iter().for_each(|id| self.unblock(id));
    }

    /// The links on which clients are blocked whose answers have not begun.
    fn blocked_links(&self) -> Vec<LinkId> {
        let is_blocked = |link: &Link| matches!(link.pin, Some(Pin::Blocked(_))) && link.download.is_none();
        self.links.iter().filter(|(_, link)| is_blocked(link)).map(|(id, _)| id).collect()
    }

    /// Asks the node of a blocked client to end its wait; `false`: there is no way to ask.
    fn ask_to_unblock(&mut self, id: LinkId) -> bool {
        let link = &self.links[id];
        let node = self.routing.as_ref().and_then(|routing| routing.index_of(link.node.as_str()));
        let (true, Some(number), Some(node)) = (link.up, link.client_id, node) else { return false };
        let shared = self.link_to(node, Protocol::Resp2);
        let now = self.now;
        let Some(link) = self.links.get_mut(shared).filter(|link| link.up) else { return false };
        let mut wire = Vec::new();
        let number = number.to_string();
        encode_request(&mut wire, [&b"CLIENT"[..], b"UNBLOCK", number.as_bytes()].into_iter());
        let waiter = Waiter { bound: true, ..Waiter::new(Target::NOBODY, now, Class::Connection) };
        link.pipeline.push(&wire, waiter);
        self.list_link(shared);
        true
    }

    fn unblock(&mut self, id: LinkId) {
        let link = &self.links[id];
        let protocol = link.protocol;
        let sent = link.pipeline.receivers().find(|target| *target != Target::HANDSHAKE);
        let target = sent.or_else(|| self.hold.take_pinned(id).first().map(|held| held.target));
        self.drop_pinned(id);
        if let Some(target) = target {
            self.deliver(target, null_in(protocol));
        }
    }
}

/// What Redis answers to a blocking request whose time is up.
pub(crate) fn null_in(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Resp2 => b"*-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    }
}
