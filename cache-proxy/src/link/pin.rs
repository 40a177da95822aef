//! Pinned links: connections to a node that serve one client for a while.
//!
//! Requests of all clients share one link per node. Some cannot: a blocking command would make everybody behind it
//! wait, WATCH belongs to a connection, and a large value occupies one until its last byte. Such a request gets a
//! link of its own, which is kept for the next one when it is done.
//!
//! A pinned link takes nothing of what the hold keeps for the shared one. What was on its way when it breaks is held
//! for it; a view that closes it has the request planned anew, so it finds its way to the stand-in by itself.
//!
//! Pure.

use std::time::{Duration, Instant};

use cluster::{NodeIndex, Routing};
use resp::Protocol;

use crate::dispatch::{Dispatcher, Job};
use crate::link::pipeline::Waiter;
use crate::link::{Link, LinkId};
use crate::outbox::RareWork;
use crate::target::{ClientId, Receiver, Target};

/// How long an idle one is kept: clients that block do it again at once. That bounds their number too: a link is opened
/// only when none is idle, so there are never more than were in use at one moment of this time. Those whose time is up
/// together, thousands perhaps, find theirs again.
const IDLE_FOR: Duration = Duration::from_secs(10);

/// What a pinned link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pin {
    /// Nobody, since then.
    Idle(Instant),
    /// Those whose requests it had when a client halted it; others go over another link. See `download`.
    Aside,
    /// This client is blocked.
    Blocked(ClientId),
    /// One request that must not wait behind what it is to stop.
    Urgent,
    /// This client watches keys.
    Watching(ClientId),
    /// Nobody any more, once what is on its way is answered.
    Released,
    /// The subscriptions of all clients, as the line with this serial; it carries none since then.
    Subscriber { line: u64, unused_since: Option<Instant> },
    /// This client's large value is on its way.
    Upload(ClientId),
}

/// The idle pinned links of a worker, by node of the routing and protocol version.
#[derive(Debug, Default)]
pub(crate) struct IdlePins(Vec<[Vec<LinkId>; 2]>);

impl IdlePins {
    /// None at all, for so many nodes.
    pub(crate) fn of(nodes: usize) -> Self {
        Self(std::iter::repeat_with(Default::default).take(nodes).collect())
    }

    /// Keeps an idle link, if its node is one of the routing's.
    pub(crate) fn put(&mut self, node: NodeIndex, protocol: Protocol, link: LinkId) -> bool {
        let Some(idle) = self.of_node(node, protocol) else { return false };
        idle.push(link);
        true
    }

    fn take(&mut self, node: NodeIndex, protocol: Protocol) -> Option<LinkId> {
        self.of_node(node, protocol)?.pop()
    }

    fn remove(&mut self, link: LinkId) {
        for idle in self.0.iter_mut().flatten() {
            // Those idle for longest come first, and are the first to be removed.
            if let Some(place) = idle.iter().position(|kept| *kept == link) {
                idle.remove(place);
                return;
            }
        }
    }

    fn of_node(&mut self, node: NodeIndex, protocol: Protocol) -> Option<&mut Vec<LinkId>> {
        self.0.get_mut(node.get()).map(|idle| &mut idle[protocol as usize])
    }
}

impl Dispatcher {
    /// A link to the node that serves nobody else: an idle one, or a new one, which is not up yet. Requests go over
    /// it with [`send_pinned`](Self::send_pinned).
    pub(crate) fn pin(&mut self, node: NodeIndex, protocol: Protocol, pin: Pin) -> Option<LinkId> {
        let id = match self.idle_pins.take(node, protocol) {
            Some(id) => id,
            None => self.open_link(node, protocol)?,
        };
        self.stats.blocked_clients += u64::from(matches!(pin, Pin::Blocked(_)));
        let link = &mut self.links[id];
        link.pin = Some(pin);
        link.suspected = None;
        // It may have been idle for long.
        link.heard = self.now;
        Some(id)
    }

    /// Sends a request over the pinned link that was taken for it.
    pub(crate) fn send_pinned(&mut self, id: LinkId, job: &Job<'_>, bound: bool) {
        self.send_over(id, job.request.wire(), job, bound);
        if self.links.get(id).is_some_and(|link| !link.up) && !self.hold.waits_for_pinned(id) {
            // The hold was full, and the client has been told so.
            self.drop_pinned(id);
        }
    }

    /// An idle pinned link that may serve all.
    pub(crate) fn take_idle_pin(&mut self, node: NodeIndex, protocol: Protocol) -> Option<LinkId> {
        let id = self.idle_pins.take(node, protocol)?;
        let link = &mut self.links[id];
        link.pin = None;
        link.suspected = None;
        link.heard = self.now;
        Some(id)
    }

    /// Takes back a pinned link whose client does not need it any more. The caller has cleaned up what the
    /// connection remembers; one on which something is still on its way is closed.
    pub(crate) fn unpin(&mut self, id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get_mut(id) else { return };
        let (protocol, is_clean) = (link.protocol, link.up && link.pipeline.is_empty());
        link.pin = Some(Pin::Idle(now));
        let node = self.routing.as_ref().and_then(|routing| self.kept_for(id, routing)).map(|(node, _)| node);
        if !is_clean || !node.is_some_and(|node| self.idle_pins.put(node, protocol, id)) {
            return self.drop_pinned(id);
        }
        self.release(id);
        // It is not kept for ever.
        self.outbox.rare.push(RareWork::Watch);
    }

    /// Closes a pinned link; what was on its way over it is nobody's any more.
    pub(crate) fn drop_pinned(&mut self, id: LinkId) {
        if !self.links.contains(id) {
            return;
        }
        self.release(id);
        if matches!(self.links[id].pin, Some(Pin::Idle(_))) {
            self.idle_pins.remove(id);
        }
        drop(self.hold.take_pinned(id));
        let link = self.links.remove(id);
        if link.up {
            self.stats.connected_links -= 1;
            link.traffic.links_up.subtract(1);
        }
        if let Some(pin) = link.pin {
            self.forget_pin(pin);
        }
        self.outbox.rare.push(RareWork::Close(id));
    }

    /// Tells the client of a pinned link that the link is gone, or serves it no longer.
    pub(crate) fn forget_pin(&mut self, pin: Pin) {
        match pin {
            Pin::Blocked(id) => {
                self.stats.blocked_clients -= 1;
                if let Some(client) = self.client(id) {
                    client.blocked_on = None;
                }
            }
            Pin::Upload(id) => self.upload_lost_its_link(id),
            Pin::Watching(id) => self.forget_watch(id),
            Pin::Idle(_) | Pin::Aside | Pin::Urgent | Pin::Released | Pin::Subscriber { .. } => {}
        }
    }

    /// A request over a pinned link has been answered.
    #[cold]
    pub(crate) fn pinned_answered(&mut self, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        match link.pin {
            Some(pin @ Pin::Blocked(_)) => {
                self.forget_pin(pin);
                self.unpin(id);
            }
            Some(Pin::Upload(_) | Pin::Urgent) => self.unpin(id),
            Some(Pin::Watching(client)) => self.watch_confirmed(client),
            Some(Pin::Aside | Pin::Released) if link.pipeline.is_empty() => self.unpin(id),
            Some(_) | None => {}
        }
    }

    /// A pinned link was lost; what was on its way is held for it. One that nothing waits for is not made again.
    pub(crate) fn pinned_failed(&mut self, id: LinkId) {
        if !self.hold.waits_for_pinned(id) && !self.upload_waits_for(id) {
            self.drop_pinned(id);
        }
    }

    /// Closes the links that have been idle for long enough.
    pub(crate) fn drop_idle_pins(&mut self) {
        let now = self.now;
        let is_old = |link: &Link| matches!(link.pin, Some(Pin::Idle(since)) if since + IDLE_FOR <= now);
        let old: Vec<_> = self.links.iter().filter(|(_, link)| is_old(link)).map(|(id, _)| id).collect();
        old.into_iter().for_each(|id| self.drop_pinned(id));
    }

    /// Whether the request that is being handled must wait until the client is owed nothing else. Then it is given
    /// back: the session brings it again. In any case nothing behind it is read before it is answered.
    pub(crate) fn must_wait(&mut self, target: Target) -> bool {
        let Receiver::Client(id, _) = target.receiver() else { return false };
        let Some(client) = self.client(id) else { return false };
        client.barrier = true;
        let waits = client.owed() > 1;
        if waits {
            client.give_back();
            self.stats.requests -= 1;
        }
        waits
    }
}

/// Whether a new view closes a pinned link although its node stays: somebody waits on it for keys that another node
/// serves now.
pub(crate) fn has_moved_away(link: &Link, routing: &Routing) -> bool {
    let waits = |waiter: &Waiter| waiter.target != Target::HANDSHAKE;
    matches!(link.pin, Some(Pin::Blocked(_) | Pin::Watching(_) | Pin::Released))
        && link.pipeline.unanswered().any(|request| {
            waits(&request.waiter)
                && crate::link::failover::keys_have_moved(request.wire, &link.node, routing)
        })
}
