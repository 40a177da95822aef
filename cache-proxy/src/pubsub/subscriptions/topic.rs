//! What a client can subscribe to: a channel, a pattern or a shard channel; and on which nodes that lives.
//!
//! Pure.

use std::collections::HashMap;
use std::rc::Rc;

use crate::client::replies::Place;
use crate::link::LinkId;
use crate::target::ClientId;

/// The kinds of topics. Names of different kinds do not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `SUBSCRIBE`.
    Channel,
    /// `PSUBSCRIBE`.
    Pattern,
    /// `SSUBSCRIBE`.
    Shard,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::Shard];

    /// The command that asks for a topic of this kind; also the first word of its confirmation.
    pub(crate) const fn subscribe(self) -> &'static str {
        match self {
            Self::Channel => "subscribe",
            Self::Pattern => "psubscribe",
            Self::Shard => "ssubscribe",
        }
    }

    /// The command that ends it; also the first word of its confirmation.
    pub(crate) const fn unsubscribe(self) -> &'static str {
        match self {
            Self::Channel => "unsubscribe",
            Self::Pattern => "punsubscribe",
            Self::Shard => "sunsubscribe",
        }
    }

    /// The first word of its messages.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Channel => "message",
            Self::Pattern => "pmessage",
            Self::Shard => "smessage",
        }
    }

    /// Where topics of this kind and name live.
    pub(crate) fn home(self, name: &[u8]) -> Home<'_> {
        match self {
            Self::Pattern => Home::Everywhere,
            Self::Channel if name.starts_with(KEY_EVENTS) => Home::Everywhere,
            Self::Channel | Self::Shard => Home::Slot(slot_name(name)),
        }
    }
}

/// What happens to keys is told by the node that holds them, so these channels are on every node.
const KEY_EVENTS: &[u8] = b"__keyevent@";

/// What happens to one key is told by its own node: `__keyspace@0__:key`.
const KEY_SPACE: &[u8] = b"__keyspace@";

/// What of a channel's name decides about its slot.
pub(crate) fn slot_name(channel: &[u8]) -> &[u8] {
    /// Between the number of the database and the key.
    const BEFORE_KEY: &[u8] = b"__:";
    let key = channel.strip_prefix(KEY_SPACE).and_then(|rest| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest[digits..].strip_prefix(BEFORE_KEY)
    });
    key.unwrap_or(channel)
}

/// Where a topic lives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Home<'a> {
    /// On the node that serves the slot of this name.
    Slot(&'a [u8]),
    /// On every node.
    Everywhere,
}

/// Tells one request to a node from all others. 0 is nobody's.
pub(crate) type Token = u64;

/// One life of a subscriber link: until it is lost. Then the link has another line, because the node at its end knows
/// nothing any more, and what had a seat on the old one finds that out by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Line {
    pub(crate) link: LinkId,
    /// Tells it from others of this link, and of a later link in the same slab entry.
    pub(crate) serial: u64,
}

/// Something that at least one client of this worker listens to.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) kind: Kind,
    pub(crate) name: Rc<[u8]>,
    /// The lines over which its messages come.
    pub(crate) seats: Vec<Seat>,
    /// Who gets its messages.
    pub(crate) audience: HashMap<ClientId, Interest>,
    /// Requests that are answered when every seat is confirmed.
    pub(crate) waiting: Vec<(ClientId, Place)>,
    /// The review that has last looked at its seats.
    pub(crate) reviewed: u64,
}

impl Topic {
    pub(crate) fn new(kind: Kind, name: Rc<[u8]>, reviewed: u64) -> Self {
        Self { kind, name, seats: Vec::new(), audience: HashMap::new(), waiting: Vec::new(), reviewed }
    }

    /// Whether each of its nodes will send its messages.
    pub(crate) fn is_confirmed(&self) -> bool {
        !self.seats.is_empty() && self.seats.iter().all(|seat| seat.state == SeatState::Confirmed)
    }
}

/// Why a client is in a topic's audience.
#[derive(Debug)]
pub(crate) struct Interest {
    /// The request it subscribed with: it gets what comes after the answer.
    pub(crate) since: Place,
    /// Later requests that named the topic while that one waited. If it fails, they still count.
    pub(crate) again: Vec<Place>,
}

impl Interest {
    pub(crate) const fn new(since: Place) -> Self {
        Self { since, again: Vec::new() }
    }

    /// Whether another request than the one in this place, which has failed, still speaks for it.
    pub(crate) fn survives_without(&mut self, place: Place) -> bool {
        self.again.retain(|later| *later != place);
        if self.since != place {
            return true;
        }
        if self.again.is_empty() {
            return false;
        }
        self.since = self.again.remove(0);
        true
    }
}

/// A topic on one line.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) line: Line,
    pub(crate) state: SeatState,
}

/// How far a node is with a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeatState {
    /// The node knows nothing of it: the line is not up.
    Unasked,
    /// It was asked by the request with this token.
    Asked(Token),
    /// It sends the messages.
    Confirmed,
    /// It said no.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_lives_where_its_messages_are_published() {
        let home = |kind: Kind, name: &'static str| kind.home(name.as_bytes());
        assert_eq!(home(Kind::Channel, "news"), Home::Slot(b"news"));
        assert_eq!(home(Kind::Shard, "news"), Home::Slot(b"news"));
        assert_eq!(home(Kind::Pattern, "news"), Home::Everywhere);
        assert_eq!(home(Kind::Channel, "__keyspace@0__:user:1"), Home::Slot(b"user:1"));
        assert_eq!(home(Kind::Channel, "__keyspace@0:user:1"), Home::Slot(b"__keyspace@0:user:1"));
        assert_eq!(home(Kind::Channel, "__keyevent@0__:expired"), Home::Everywhere);
    }
}
