//! Where a reply goes: to a client's place in line, or into a gather that will merge it.

use crate::client::Client;
use crate::replies::Place;

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

/// The receiver of one reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A client's place in line.
    Client(ClientId, Place),
    /// Part `part` of a gather.
    Part {
        /// The gather.
        gather: GatherId,
        /// The part's index.
        part: u16,
    },
    /// The proxy itself: the reply to a connection's own handshake.
    Handshake,
}
