//! What the worker knows of one connection to a node: where it goes, whether it is up, what is on its way.
//!
//! Pure; the socket belongs to the connection's task in `node_link`.

pub(crate) mod aside;
pub(crate) mod blocking;
pub(crate) mod choke;
pub(crate) mod deadlines;
pub(crate) mod failover;
pub(crate) mod failure;
pub(crate) mod handshake;
pub(crate) mod hold;
pub(crate) mod keepalive;
pub(crate) mod new_view;
pub(crate) mod node_link;
pub(crate) mod pin;
pub(crate) mod pipeline;
pub(crate) mod rerun;
pub(crate) mod write_times;

use std::sync::Arc;
use std::time::Instant;

use cluster::{Address, NodeId};
use resp::Protocol;

use crate::client::download::Download;
use crate::link::pin::Pin;
use crate::link::pipeline::Pipeline;
use crate::metrics::traffic::NodeTraffic;
use crate::target::ClientId;

/// Index of a link in the worker's slab.
pub(crate) type LinkId = usize;

/// A connection to one node in one protocol version. Replies to RESP3 clients come over a RESP3 connection,
/// so they pass through as they are.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) node: NodeId,
    pub(crate) address: Address,
    pub(crate) protocol: Protocol,
    /// Connected, and the node has answered the handshake: requests go into the pipeline. Until then they
    /// are held, so that a node's refusal is nobody's reply.
    pub(crate) up: bool,
    /// Since when it is not up.
    pub(crate) down_since: Instant,
    /// When it was connected or last answered.
    pub(crate) heard: Instant,
    /// Whether it is in the list of links with bytes to write.
    pub(crate) listed: bool,
    /// Its number among the node's clients, if the node has told.
    pub(crate) client_id: Option<u64>,
    /// Whether the node knows `MULTI`: it was asked with the handshake.
    pub(crate) transactions: bool,
    pub(crate) pipeline: Pipeline,
    /// The large reply that is being passed on.
    pub(crate) download: Option<Download>,
    /// Clients that may not send more until this link has drained.
    pub(crate) choked: Vec<ClientId>,
    /// When it was last reported as slow.
    pub(crate) suspected: Option<Instant>,
    /// The last attempt to connect failed; said once, not at each attempt.
    pub(crate) failing: bool,
    /// What is counted of its node.
    pub(crate) traffic: Arc<NodeTraffic>,
    /// Whose it is, when it is not shared by all.
    pub(crate) pin: Option<Pin>,
}

impl Link {
    pub(crate) fn new(
        node: NodeId,
        address: Address,
        protocol: Protocol,
        now: Instant,
        traffic: Arc<NodeTraffic>,
    ) -> Self {
        Self {
            node,
            address,
            protocol,
            up: false,
            down_since: now,
            heard: now,
            listed: false,
            client_id: None,
            transactions: false,
            pipeline: Pipeline::default(),
            download: None,
            choked: Vec::new(),
            suspected: None,
            failing: false,
            traffic,
            pin: None,
        }
    }

    /// Whether the passing of time matters to it: an answer is due, or it is kept for a while. Who is blocked may be
    /// so for ever.
    pub(crate) fn is_timed(&self) -> bool {
        match self.pin {
            Some(Pin::Idle(_)) => true,
            _ if self.is_halted() => false,
            Some(Pin::Upload(_)) => true,
            // Once the answer has begun its wait is over.
            Some(Pin::Blocked(_)) if self.up && self.download.is_none() => false,
            _ => !self.pipeline.is_empty(),
        }
    }

    /// Whether others wait behind the reply that its client does not take.
    pub(crate) fn delays_others(&self) -> bool {
        self.is_halted() && self.pipeline.len() > 1
    }

    /// Since when its node has owed it a sign of life. A node that answers is not silent, however long the queue is;
    /// and a new connection has not been silent for as long as a request has waited that was sent again.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        if !self.is_timed() {
            return None;
        }
        match self.pipeline.oldest() {
            Some(oldest) => Some(oldest.since.max(self.heard)),
            // It should take more of a large value.
            None => (self.takes_upload() && !self.pipeline.unsent().is_empty()).then_some(self.heard),
        }
    }

    /// Whether the requests on it are those of many clients.
    pub(crate) fn is_or_was_shared(&self) -> bool {
        matches!(self.pin, None | Some(Pin::Aside))
    }

    /// Whether it carries a large value.
    pub(crate) fn takes_upload(&self) -> bool {
        matches!(self.pin, Some(Pin::Upload(_)))
    }

    /// Whether it is not read, because a client does not take what comes over it.
    pub(crate) fn is_halted(&self) -> bool {
        self.download.as_ref().is_some_and(|download| download.halted)
    }
}
