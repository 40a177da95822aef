//! Everything the clients of one node share: the keyspace, the clients themselves, parameters and counters.

use crate::client::{Client, ClientId, Ending};
use crate::config::Config;
use crate::engine::{Counters, Engine, Limits, Random};
use commands::ID_COUNT;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

/// One cache node, as commands see it.
#[derive(Debug)]
pub struct Node {
    /// The keyspace.
    pub engine: Engine,
    /// What CONFIG SET can change, and what it started with.
    pub config: Config,
    /// Connected clients by number.
    pub clients: BTreeMap<ClientId, Rc<Client>>,
    /// Counters for INFO.
    pub stats: Stats,
    /// 40 hexadecimal digits, new with every start: tells "came back" from "never left".
    pub run_id: String,
    /// Start of the process, Unix milliseconds.
    pub started: u64,
    /// Port it listens on.
    pub port: u16,
    /// Port of the admin endpoints, where there are any.
    pub admin_port: Option<u16>,
    next_client: ClientId,
    /// No client is silent for too long before this time, Unix milliseconds.
    silence_check: u64,
    /// Bytes of unfinished requests of all clients.
    unread: usize,
}

/// Least time between two searches for silent clients, in milliseconds: the limit is in seconds, and a search
/// looks at every client.
const SILENCE_CHECK_PAUSE: u64 = 1_000;
/// Bytes of unfinished requests that all clients together may have: Redis' limit for a single one, so that the
/// longest legal request fits.
const UNREAD_MAX: u64 = 1024 * 1024 * 1024;
/// A smaller `maxmemory` is the limit for unfinished requests too, down to this: a thousand full read buffers.
const UNREAD_MIN: u64 = 64 * 1024 * 1024;

/// Counters since the start, or since CONFIG RESETSTAT.
#[derive(Debug)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused because of `maxclients`.
    pub refused: u64,
    /// Commands executed.
    pub commands: u64,
    /// Error replies given.
    pub errors: u64,
    /// Bytes read from clients.
    pub bytes_in: u64,
    /// Bytes of replies.
    pub bytes_out: u64,
    /// Most memory used by data so far.
    pub peak_memory: u64,
    /// By `CommandId`.
    pub of_command: Box<[CommandStats]>,
}

/// How often one command came, and what became of it.
#[derive(Debug, Default, Clone, Copy)]
pub struct CommandStats {
    /// Executions.
    pub calls: u64,
    /// Refusals before execution: wrong number of arguments, no permission, no memory.
    pub rejected: u64,
    /// Executions that ended in an error reply.
    pub failed: u64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            connections: 0,
            refused: 0,
            commands: 0,
            errors: 0,
            bytes_in: 0,
            bytes_out: 0,
            peak_memory: 0,
            of_command: vec![CommandStats::default(); ID_COUNT].into_boxed_slice(),
        }
    }
}

impl Node {
    /// A node with an empty keyspace.
    pub fn new(config: Config, port: u16, now: u64) -> Self {
        // The standard library's hasher keys are the process' source of randomness.
        let mut random = Random::new(RandomState::new().hash_one(now));
        let run_id = (0..3).map(|_| format!("{:016x}", random.next())).collect::<String>();
        Self {
            engine: Engine::new(config.limits, random.next()),
            config,
            clients: BTreeMap::new(),
            stats: Stats::default(),
            run_id: run_id[..40].to_owned(),
            started: now,
            port,
            admin_port: None,
            next_client: 1,
            silence_check: 0,
            unread: 0,
        }
    }

    /// The number of the next client.
    pub fn new_client_id(&mut self) -> ClientId {
        let id = self.next_client;
        self.next_client += 1;
        id
    }

    /// CONFIG RESETSTAT.
    pub fn reset_counters(&mut self) {
        self.stats = Stats::default();
        self.engine.counters = Counters::default();
    }

    /// Applies limits that CONFIG SET changed.
    pub fn apply_limits(&mut self, limits: Limits) {
        self.config.limits = limits;
        self.engine.limits = limits;
    }

    /// True while this client may do nothing but authenticate. Who connected while a password was set is let in
    /// when it is taken away; who connected before stays in when one is set, as in Redis.
    pub fn must_authenticate(&self, client: &Client) -> bool {
        !self.config.requirepass.is_empty() && !client.authenticated.get()
    }

    /// Sets how many seconds a client may be silent; 0 is for ever.
    pub fn set_timeout(&mut self, seconds: u64) {
        self.config.timeout = seconds;
        self.silence_check = 0;
    }

    /// When it is time for `end_silent_clients`, Unix milliseconds; `None` when clients may be silent.
    pub fn next_silence_check(&self) -> Option<u64> {
        (self.config.timeout > 0).then_some(self.silence_check)
    }

    /// Ends clients that have been silent for too long, if it is time to look for them.
    pub fn end_silent_clients(&mut self, now: u64) {
        if self.next_silence_check().is_none_or(|due| now < due) {
            return;
        }
        let timeout = self.config.timeout.saturating_mul(1_000);
        let mut next = now.saturating_add(timeout);
        for client in self.clients.values() {
            match client.active.get().saturating_add(timeout) {
                due if due <= now => client.end(Ending::Now),
                due => next = next.min(due),
            }
        }
        self.silence_check = next.max(now + SILENCE_CHECK_PAUSE);
    }

    /// Notes that a client has `len` bytes of an unfinished request, and ends the client that has most of them when
    /// all together are too many: else a few could take all memory without ever finishing a request.
    pub fn note_unread(&mut self, client: &Client, len: usize) {
        self.unread = self.unread + len - client.unread.replace(len);
        let limit = self.config.limits.maxmemory;
        let most = if limit == 0 { UNREAD_MAX } else { limit.clamp(UNREAD_MIN, UNREAD_MAX) };
        if self.unread as u64 <= most {
            return;
        }
        let open = || self.clients.values().filter(|client| client.ending() != Ending::Now);
        if open().map(|client| client.unread.get() as u64).sum::<u64>() <= most {
            // Enough are on their way out.
            return;
        }
        if let Some(largest) = open().max_by_key(|client| client.unread.get()) {
            tracing::warn!(client = %largest.peer, bytes = largest.unread.get(), "too much unfinished input");
            largest.end(Ending::Now);
        }
    }

    /// Forgets a client whose connection has ended.
    pub fn remove_client(&mut self, id: ClientId) {
        if let Some(client) = self.clients.remove(&id) {
            self.unread -= client.unread.get();
        }
    }

    /// Notes how much memory data take now.
    pub fn note_memory(&mut self) {
        self.stats.peak_memory = self.stats.peak_memory.max(self.engine.used_memory());
    }
}
