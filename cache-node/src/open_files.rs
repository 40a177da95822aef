//! Room for as many sockets as there may be clients: the soft limit of open files, raised as far as it may be.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files a node has open besides its clients' sockets: listeners, epoll, the standard streams; with some to spare.
const RESERVED: u64 = 32;

/// Raises the limit for `clients` clients, and says so when it cannot be raised that far.
pub(crate) fn make_room_for(clients: usize) {
    let wanted = clients as u64 + RESERVED;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    let possible = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum });
    if possible < wanted || raised.is_err() {
        tracing::warn!(wanted, possible, "the limit of open files is below maxclients: raise it (ulimit -n)");
    }
}
