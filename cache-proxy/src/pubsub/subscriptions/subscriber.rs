//! One client's side of the subscriptions: what it listens to, and which of its requests wait.
//!
//! Pure, as the rest.

use std::collections::HashSet;
use std::time::Instant;

use super::topic::Kind;
use super::{TopicId, WAIT_COST};
use crate::client::replies::Place;

/// A wish that waits for nodes.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) place: Place,
    pub(super) since: Instant,
    /// Topics not confirmed yet.
    pub(super) missing: usize,
    pub(super) reply: Vec<u8>,
    /// The topics it named.
    pub(super) named: Vec<TopicId>,
}

impl Pending {
    /// Bytes it takes while it waits.
    pub(super) fn cost(&self) -> usize {
        self.reply.len() + self.named.len() * WAIT_COST
    }
}

/// What one client listens to.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    pub(super) topics: [HashSet<TopicId>; 3],
    pub(super) pending: Vec<Pending>,
}

impl Subscriber {
    /// How many subscriptions it has, as a confirmation of `kind` counts them.
    pub(super) fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel | Kind::Pattern => {
                self.topics[Kind::Channel as usize].len() + self.topics[Kind::Pattern as usize].len()
            }
            Kind::Shard => self.topics[Kind::Shard as usize].len(),
        }
    }

    /// Whether the request in this place has not been answered.
    pub(super) fn waits_at(&self, place: Place) -> bool {
        self.pending.iter().any(|pending| pending.place == place)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.topics.iter().all(HashSet::is_empty)
    }
}
