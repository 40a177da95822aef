//! Room for as many sockets as there may be clients.

/// Files a node has open besides its clients' sockets: listeners, epoll, the standard streams; with some to spare.
const RESERVED: u64 = 32;

/// Raises the limit for `clients` clients; returns for how many there is room, at least one.
pub(crate) fn make_room_for(clients: usize) -> usize {
    daemon::open_files::room_for(clients, RESERVED)
}
