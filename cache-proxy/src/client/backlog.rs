//! How much may pile up in a proxy for clients that do not take their replies, or do not end their requests.
//!
//! One client is slowed down first: it is read no further. It is closed only when what it was owed already turns out
//! far larger than its replies were before. All clients of a worker together are bounded if the operator says so
//! (`maxmemory-clients`); then the one that has most goes first.

use crate::config::Config;
use crate::dispatch::Dispatcher;
use crate::target::{ClientId, id_of};

/// The bounds of one worker, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BacklogLimits {
    /// A client with more replies not taken is closed when another one comes. One reply of any size is always
    /// passed on.
    pub(crate) close_at: usize,
    /// A client with this many is read no further until it takes some. Clients that write a whole pipeline before
    /// they read any of its replies hang when both sides' buffers are full, so this is what such a pipeline may
    /// answer.
    pub(crate) pause_at: usize,
    /// What the replies that a client is owed may add up to, by the size of its last ones.
    pub(crate) window: usize,
    /// What all clients together may have, unfinished requests included; `usize::MAX` when that is not bounded.
    pub(crate) all: usize,
    /// The growth after which all clients are looked at: `all` is passed by no more than an eighth, and a look, which
    /// costs some microseconds per thousand clients, is rare beside the bytes that were moved.
    pub(crate) look_after: usize,
}

impl BacklogLimits {
    /// The parts are such that only replies that suddenly grow to many times the size of the last ones close a client.
    pub(crate) fn of(config: &Config) -> Self {
        let close_at = config.client_output_buffer_limit;
        let all = match config.maxmemory_clients {
            0 => usize::MAX,
            all => all / config.workers,
        };
        Self { close_at, pause_at: close_at / 4, window: close_at / 8, all, look_after: all / 8 }
    }
}

impl Dispatcher {
    /// Notes how many bytes of a client its session keeps.
    pub(crate) fn note_unread(&mut self, id: ClientId, len: usize) {
        let Some(client) = self.client(id) else { return };
        let grown = len.saturating_sub(std::mem::replace(&mut client.unread, len));
        self.note_growth(grown);
    }

    /// Notes that this many bytes more are kept for clients.
    #[inline]
    pub(crate) fn note_growth(&mut self, len: usize) {
        self.grown = self.grown.saturating_add(len);
        if self.grown >= self.limits.look_after {
            self.bound_all();
        }
    }

    /// Closes the clients that have most, until the others have no more than all may have.
    #[cold]
    fn bound_all(&mut self) {
        self.grown = 0;
        let most = self.limits.all;
        // Those that are on their way out are gone in a moment.
        let open = self.clients.iter().filter(|(_, client)| !client.killed);
        let mut sizes: Vec<_> = open.map(|entry| (entry.1.kept(), id_of(entry))).collect();
        let mut sum: usize = sizes.iter().map(|(size, _)| size).sum();
        if sum > most {
            sizes.sort_unstable_by_key(|(size, _)| *size);
        }
        while sum > most
            && let Some((size, id)) = sizes.pop()
        {
            sum -= size;
            if let Some(client) = self.client(id) {
                tracing::warn!(peer = %client.peer, bytes = size, "closing a client: all have more than maxmemory-clients");
                client.closing = true;
                client.killed = true;
            }
            self.list(id);
        }
    }
}
