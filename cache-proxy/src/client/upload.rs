//! Large values on their way to a node: passed on while they come, and never held whole.
//!
//! The request must name its key before the value, as `SET`, `APPEND`, `HSET` and `LPUSH` do, so that its node is
//! known when the value begins. It gets a pinned link; the session gives the bytes on as they arrive, and reads its
//! client no further while the node is slower. What has been passed on is forgotten. So a value whose node is lost
//! midway cannot be sent again: the rest of it is read and dropped, and its client is told. A node that finds a value too
//! large says so and closes the connection in the middle of it. If its words arrive, they are what the client is told.
//!
//! Until a node can take the value, its client is not read: that is the hold of a request that is not here yet.
//!
//! Pure.

use std::time::Instant;

use cluster::{NodeId, NodeIndex};
use commands::Class;
use resp::{Protocol, ProtocolError, Unfinished};

use crate::client::stream::{STREAM_AHEAD, STREAM_FROM};
use crate::dispatch::Dispatcher;
use crate::link::pin::Pin;
use crate::link::pipeline::{Pipeline, Waiter};
use crate::link::{Link, LinkId};
use crate::outbox::RareWork;
use crate::plan;
use crate::plan::refuse::{NO_NODE, NO_VIEW};
use crate::target::{ClientId, Target};

/// What is done with a request whose large argument is arriving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It is gathered whole, like a small one.
    Closed,
    /// It is not read for now; ask again when the client may send more.
    Later,
    /// Its bytes are given to [`Dispatcher::upload`] from now on, and its end to [`Dispatcher::finish_upload`].
    Open,
}

/// A client's large value.
#[derive(Debug)]
pub(crate) struct Upload {
    since: Instant,
    way: Way,
    /// Bytes of it that the node has not taken.
    ahead: usize,
}

#[derive(Debug)]
enum Way {
    /// It begins when this link is up, and is given up after the deadline.
    Waiting { link: LinkId, deadline: Instant },
    /// It begins over another link.
    Detached,
    /// It goes over this link.
    Flowing { link: LinkId, node: NodeId, target: Target, class: Class },
    /// It goes nowhere; this error is its answer.
    Lost { target: Target, text: String },
}

impl Upload {
    fn new(since: Instant, way: Way) -> Box<Self> {
        Box::new(Self { since, way, ahead: 0 })
    }

    /// Bytes of it that the proxy holds.
    pub(crate) fn held_bytes(&self) -> usize {
        self.ahead
    }

    /// The link that it occupies.
    pub(crate) fn link(&self) -> Option<LinkId> {
        match self.way {
            Way::Waiting { link, .. } | Way::Flowing { link, .. } => Some(link),
            Way::Detached | Way::Lost { .. } => None,
        }
    }
}

impl Dispatcher {
    /// Decides about a request whose large argument is arriving; asked again until it is decided.
    #[cold]
    pub(crate) fn begin_upload(&mut self, id: ClientId, request: &Unfinished<'_>) -> Passage {
        let command = request.complete.get(0).and_then(commands::lookup);
        let Some(command) = command.filter(|command| plan::goes_by_first_argument(command, request.args))
        else {
            return Passage::Closed;
        };
        let (now, Some(key)) = (self.now, request.complete.get(1)) else { return Passage::Closed };
        let Some(client) = self.client(id) else { return Passage::Closed };
        if request.arriving <= STREAM_FROM || client.special {
            return Passage::Closed;
        }
        if client.owed() > 0 {
            client.barrier = true;
            return Passage::Later;
        }
        let protocol = client.protocol;
        let since = client.upload.as_ref().map_or(now, |upload| upload.since);
        let link = match self.node_of_key(key) {
            Ok(node) => self.link_for_upload(id, node, protocol, since),
            Err(text) => return self.lose_upload(id, since, text.to_owned()),
        };
        match link {
            Some(link) if self.links[link].up => self.open_upload(id, link, command.class, key, since),
            Some(link) => self.await_upload(id, link, since),
            None => Passage::Later,
        }
    }

    fn node_of_key(&self, key: &[u8]) -> Result<NodeIndex, &'static str> {
        let routing = self.routing.as_ref().ok_or(NO_VIEW)?;
        routing.serving(routing.slot(key)).ok_or(NO_NODE)
    }

    /// The pinned link on which the client waits, if it goes to this node still, or another one.
    fn link_for_upload(
        &mut self,
        id: ClientId,
        node: NodeIndex,
        protocol: Protocol,
        since: Instant,
    ) -> Option<LinkId> {
        let waiting = self.client(id)?.upload.as_ref().and_then(|upload| upload.link());
        let wanted = self.routing.as_ref()?.node(node).node_id.clone();
        if let Some(link) = waiting {
            if self.links.get(link).is_some_and(|link| link.node == wanted) {
                return Some(link);
            }
            self.drop_pinned(link);
        }
        let link = self.pin(node, protocol, Pin::Upload(id))?;
        let deadline = self.deadline(since, self.links[link].down_since);
        self.client(id)?.upload = Some(Upload::new(since, Way::Waiting { link, deadline }));
        Some(link)
    }

    fn open_upload(
        &mut self,
        id: ClientId,
        link: LinkId,
        class: Class,
        key: &[u8],
        since: Instant,
    ) -> Passage {
        let node = self.links[link].node.clone();
        let Some(client) = self.client(id) else { return Passage::Closed };
        let target = Target::client(id, client.expect());
        client.barrier = true;
        client.upload = Some(Upload::new(since, Way::Flowing { link, node, target, class }));
        self.stats.requests += 1;
        self.published.traffic.class(class).requests.add(1);
        if self.stats.requests >= self.sample_at {
            self.sample_key(Some(key));
        }
        Passage::Open
    }

    /// The client is not read until its link is up, or for as long as a request would be held.
    fn await_upload(&mut self, id: ClientId, link: LinkId, since: Instant) -> Passage {
        let now = self.now;
        if matches!(self.way_of(id), Some(Way::Waiting { deadline, .. }) if *deadline < now) {
            let node = self.links[link].node.clone();
            let text = self.unanswered(&node, since, "was not executed");
            self.count_expired(&node);
            self.drop_pinned(link);
            return self.lose_upload(id, since, text);
        }
        self.choke_client(link, id);
        // For the deadline.
        self.outbox.rare.push(RareWork::Watch);
        Passage::Later
    }

    /// The value is read and dropped; then its client is told.
    fn lose_upload(&mut self, id: ClientId, since: Instant, text: String) -> Passage {
        let Some(client) = self.client(id) else { return Passage::Closed };
        let target = Target::client(id, client.expect());
        client.upload = Some(Upload::new(since, Way::Lost { target, text }));
        self.stats.requests += 1;
        Passage::Open
    }

    /// Whether more of a client's large value may be read now. That it is owed the answer is no reason to wait.
    pub(crate) fn may_upload(&mut self, id: ClientId) -> bool {
        self.client(id).is_some_and(|client| !client.closing && !client.choked)
    }

    /// Passes on a piece of a large value.
    pub(crate) fn upload(&mut self, id: ClientId, piece: &[u8]) {
        let now = self.now;
        let Some(Way::Flowing { link, .. }) = self.way_of(id) else { return };
        let link_id = *link;
        let Some(link) = self.links.get_mut(link_id) else { return };
        if link.pipeline.unsent().is_empty() {
            // From now on the node has something to take.
            link.heard = now;
        }
        link.pipeline.stream(piece);
        let ahead = link.pipeline.unsent().len();
        self.list_link(link_id);
        self.note_ahead(id, ahead);
        self.note_growth(piece.len());
        if ahead > STREAM_AHEAD {
            self.choke_client(link_id, id);
        }
    }

    fn note_ahead(&mut self, id: ClientId, bytes: usize) {
        if let Some(upload) = self.client(id).and_then(|client| client.upload.as_mut()) {
            upload.ahead = bytes;
        }
    }

    fn way_of(&mut self, id: ClientId) -> Option<&mut Way> {
        self.client(id)?.upload.as_mut().map(|upload| &mut upload.way)
    }

    /// Takes the end of a request that was passed on: from here on it waits for its answer like any other.
    pub(crate) fn finish_upload(&mut self, id: ClientId, tail: &[u8]) {
        let Some(upload) = self.client(id).and_then(|client| client.upload.take()) else { return };
        match upload.way {
            Way::Flowing { link: link_id, target, class, .. } => {
                let Some(link) = self.links.get_mut(link_id) else { return };
                link.pipeline.push(tail, Waiter::new(target, upload.since, class));
                self.list_link(link_id);
            }
            Way::Lost { target, text } => self.fail(target, &text),
            Way::Waiting { .. } | Way::Detached => {}
        }
    }

    /// Ends a client whose large value breaks the protocol.
    pub(crate) fn break_upload(&mut self, id: ClientId, error: &ProtocolError) {
        let Some(upload) = self.client(id).and_then(|client| client.upload.take()) else { return };
        if let Some(client) = self.client(id) {
            client.closing = true;
        }
        match upload.way {
            Way::Flowing { link, target, .. } => {
                self.drop_pinned(link);
                self.fail(target, &format!("ERR {error}"));
            }
            Way::Lost { target, .. } => self.fail(target, &format!("ERR {error}")),
            Way::Waiting { .. } | Way::Detached => {}
        }
    }

    /// Bytes of a large value have been written to its node.
    pub(crate) fn upload_written(&mut self, link_id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get_mut(link_id) else { return };
        link.heard = now;
        let ahead = link.pipeline.unsent().len();
        if let Some(Pin::Upload(id)) = link.pin {
            self.note_ahead(id, ahead);
        }
        if ahead <= STREAM_AHEAD / 2 {
            self.release(link_id);
        }
    }

    /// The link of a client's large value is gone.
    pub(crate) fn upload_lost_its_link(&mut self, id: ClientId) {
        let Some(way) = self.way_of(id) else { return };
        match way {
            Way::Flowing { target, node, .. } => {
                *way = Way::Lost { target: *target, text: lost(node, "was not executed") };
            }
            Way::Waiting { .. } => *way = Way::Detached,
            Way::Detached | Way::Lost { .. } => {}
        }
    }

    /// Takes an error that a node gives before it has the whole of a large value: it refuses it, and will close the
    /// connection. That is no failure of the node. `false`: it is no such error. What a node says on a link that is not
    /// up is about the connection: it has too many clients.
    #[cold]
    pub(crate) fn upload_refused(&mut self, link_id: LinkId, reply: &[u8]) -> bool {
        let Some(link) = self.links.get(link_id).filter(|link| link.up) else { return false };
        let (Some(Pin::Upload(id)), Some(error)) = (link.pin, reply.strip_prefix(b"-")) else { return false };
        // The client may have sent the end of it, which the node has not taken.
        let last = link.pipeline.oldest().copied();
        let text = String::from_utf8_lossy(error).trim_end().to_owned();
        let flowing = self.client(id).and_then(|client| client.upload.as_mut()).and_then(|upload| {
            let Way::Flowing { link, target, class, .. } = upload.way else { return None };
            debug_assert_eq!(link, link_id, "a client's value flows over its own link");
            upload.way = Way::Lost { target, text };
            Some(Waiter::new(target, upload.since, class))
        });
        let Some(waiter) = flowing.or(last) else { return false };
        self.note_answer(link_id, &waiter, self.now.saturating_duration_since(waiter.since), reply);
        if flowing.is_none() {
            self.deliver(waiter.target, reply);
        }
        self.drop_pinned(link_id);
        true
    }

    /// Answers for a large value that had been passed on to its end when its link was lost.
    pub(crate) fn fail_uploaded(&mut self, node: &NodeId, pipeline: &Pipeline) {
        for request in pipeline.unanswered().filter(|request| request.waiter.target != Target::HANDSHAKE) {
            let executed = if request.sent { "may have been executed" } else { "was not executed" };
            self.fail(request.waiter.target, &lost(node, executed));
        }
    }

    /// Whether a client waits for this link to begin its large value.
    pub(crate) fn upload_waits_for(&mut self, link: LinkId) -> bool {
        let Some(Pin::Upload(id)) = self.links.get(link).and_then(|link| link.pin) else { return false };
        matches!(self.way_of(id), Some(Way::Waiting { link: waiting, .. }) if *waiting == link)
    }

    /// Has the clients that wait to begin look at their deadlines.
    pub(crate) fn rouse_uploads(&mut self) {
        let waits = |(_, link): &(LinkId, &Link)| !link.up && matches!(link.pin, Some(Pin::Upload(_)));
        let waiting: Vec<_> = self.links.iter().filter(waits).map(|(id, _)| id).collect();
        waiting.into_iter().for_each(|id| self.release(id));
    }
}

fn lost(node: &NodeId, executed: &str) -> String {
    format!("UNAVAILABLE node {node} was lost while it was sent a large value; the command {executed}")
}
