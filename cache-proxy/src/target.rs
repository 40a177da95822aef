//! Where a reply goes: to a client's place in line, or into a gather that will merge it.

use crate::client::Client;
use crate::client::replies::Place;
use crate::pubsub::subscriptions::topic::Token;

/// A client of this worker. The serial tells a client from a later one in the same slab entry, so a reply
/// that comes after its client has left reaches nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientId {
    /// Index in the worker's slab of clients.
    pub(crate) index: u32,
    /// Counts the clients this worker has ever had.
    pub(crate) serial: u32,
}

/// The id of a client in the worker's slab.
pub(crate) fn id_of((index, client): (usize, &Client)) -> ClientId {
    // The limit of clients is far below 2^32.
    ClientId { index: index as u32, serial: client.serial }
}

/// Index of a gather in the worker's slab. A gather lives until all its parts are in, so no serial is needed.
pub(crate) type GatherId = u32;

/// Index of a unit in the worker's slab. It stays there until `EXEC`'s reply is in.
pub(crate) type UnitId = u32;

/// Where one reply goes, in two words: they travel in registers. An enum is written to memory piece by piece
/// and copied at once, and such a copy waits until every earlier write is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    who: u64,
    /// A client's place, or one of the constants below.
    which: u64,
}

// What `which` says. A client's place is below them all: no client asks 2^61 times.

/// No client's: the subscriptions, whose token is `who`.
const SUBSCRIPTION: u64 = 1 << 61;

/// A part of a gather: the low 16 bits are the part's index.
const PART: u64 = 1 << 62;

/// A unit. It has a bit that no part's index reaches.
const UNIT: u64 = PART | 1 << 32;

/// The proxy's own handshake.
const HANDSHAKE: u64 = 1 << 63;

/// Nobody. It is none of the figures, which are all above.
const NOBODY: u64 = HANDSHAKE | 1;

/// A node's figures: the low 16 bits are the place of the node among those asked.
const FIGURES: u64 = HANDSHAKE | 1 << 32;

/// What a [`Target`] means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// A client's place in line.
    Client(ClientId, Place),
    /// A part of a gather, by the part's index.
    Part(GatherId, u16),
    /// A unit, which has many replies and passes on the last.
    Unit(UnitId),
    /// The proxy itself: the reply to a connection's own handshake.
    Handshake,
    /// Nobody waits for it.
    Nobody,
    /// The subscriptions: the answer to what a node was asked with this token.
    Subscription(Token),
    /// A round of questions about the nodes' figures, and the place of the node among those asked.
    Figures(u32, u16),
}

impl Target {
    /// The proxy itself.
    pub(crate) const HANDSHAKE: Self = Self { who: 0, which: HANDSHAKE };

    /// Nobody: the reply is dropped.
    pub(crate) const NOBODY: Self = Self { who: 0, which: NOBODY };

    /// The subscriptions.
    pub(crate) const fn subscription(token: Token) -> Self {
        Self { who: token, which: SUBSCRIPTION }
    }

    /// Whether the proxy asked for itself and not for a client.
    pub(crate) const fn is_proxy(self) -> bool {
        !matches!(self.receiver(), Receiver::Client(..) | Receiver::Part(..) | Receiver::Unit(_))
    }

    /// A round of questions, and the place of the node in it.
    pub(crate) const fn figures(round: u32, place: u16) -> Self {
        Self { who: round as u64, which: FIGURES | place as u64 }
    }

    /// A client's place in line.
    #[inline]
    pub(crate) const fn client(id: ClientId, place: Place) -> Self {
        Self { who: (id.serial as u64) << 32 | id.index as u64, which: place }
    }

    /// Part `part` of a gather.
    #[inline]
    pub(crate) const fn part(gather: GatherId, part: u16) -> Self {
        Self { who: gather as u64, which: PART | part as u64 }
    }

    /// Whoever said `EXEC`.
    pub(crate) const fn unit(unit: UnitId) -> Self {
        Self { who: unit as u64, which: UNIT }
    }

    /// Who that is.
    #[inline]
    pub(crate) const fn receiver(self) -> Receiver {
        // Each half is what was put there.
        let (index, serial) = (self.who as u32, (self.who >> 32) as u32);
        match self.which {
            place if place < SUBSCRIPTION => Receiver::Client(ClientId { index, serial }, place),
            HANDSHAKE => Receiver::Handshake,
            SUBSCRIPTION => Receiver::Subscription(self.who),
            FIGURES.. => Receiver::Figures(index, self.which as u16),
            NOBODY => Receiver::Nobody,
            UNIT => Receiver::Unit(index),
            part => Receiver::Part(index, part as u16),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_means_what_it_was_made_of() {
        let id = ClientId { index: u32::MAX - 1, serial: u32::MAX };
        let last = SUBSCRIPTION - 1;
        assert_eq!(Target::client(id, last).receiver(), Receiver::Client(id, last));
        assert_eq!(Target::subscription(u64::MAX).receiver(), Receiver::Subscription(u64::MAX));
        assert_eq!(Target::part(u32::MAX, u16::MAX).receiver(), Receiver::Part(u32::MAX, u16::MAX));
        assert_eq!(Target::unit(u32::MAX).receiver(), Receiver::Unit(u32::MAX));
        assert_eq!(Target::HANDSHAKE.receiver(), Receiver::Handshake);
        assert_eq!(Target::NOBODY.receiver(), Receiver::Nobody);
        assert_eq!(Target::figures(u32::MAX, u16::MAX).receiver(), Receiver::Figures(u32::MAX, u16::MAX));
    }
}
