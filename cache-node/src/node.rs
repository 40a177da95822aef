//! Everything the clients of one node share: the keyspace, the clients themselves, parameters and counters.

use crate::client::{Client, ClientId, Ending, Patience};
use crate::config::Config;
use crate::engine::{Counters, Engine, Limits, Random};
use crate::failure::Failure;
use crate::transaction::Transaction;
use crate::waiting::Waiting;
use commands::{Command, ID_COUNT};
use resp::Request;
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
    /// Clients that wait for a sorted set to have members.
    pub waiting: Waiting,
    /// Queued commands are being executed.
    pub(crate) in_transaction: bool,
    /// Keys that they may have put sorted sets under, while somebody waits.
    pub(crate) with_members: Vec<Box<[u8]>>,
    /// Bytes of unfinished requests and transactions of all clients.
    unfinished: usize,
}

/// Least time between two searches for silent clients, in milliseconds: the limit is in seconds, and a search
/// looks at every client.
const SILENCE_CHECK_PAUSE: u64 = 1_000;
/// Bytes of unfinished requests and transactions that all clients together may have: Redis' limit for a single
/// client's, so that the longest legal request fits.
const UNFINISHED_MAX: u64 = 1024 * 1024 * 1024;
/// A smaller `maxmemory` is the limit for unfinished requests too, down to this: a thousand full read buffers.
const UNFINISHED_MIN: u64 = 64 * 1024 * 1024;

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
            waiting: Waiting::default(),
            in_transaction: false,
            with_members: Vec::new(),
            unfinished: 0,
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
            // The answer may be there already, and what is in it was taken out for nobody else.
            if client.patience.get() != Patience::None {
                continue;
            }
            match client.active.get().saturating_add(timeout) {
                due if due <= now => client.end(Ending::Now),
                due => next = next.min(due),
            }
        }
        self.silence_check = next.max(now + SILENCE_CHECK_PAUSE);
    }

    /// Notes that a client has `len` bytes of an unfinished request.
    pub fn note_unread(&mut self, client: &Client, len: usize) {
        self.unfinished = self.unfinished + len - client.unread.replace(len);
        self.bound_unfinished();
    }

    /// Queues a command of a client's transaction.
    pub fn queue(
        &mut self,
        client: &Client,
        command: &Command,
        request: &Request<'_>,
    ) -> Result<(), Failure> {
        client.transaction.borrow_mut().queue(command, request, self.transaction_max())?;
        self.note_transaction(client);
        Ok(())
    }

    /// Makes a client's next transaction depend on `keys` being left alone.
    pub fn watch<'a>(
        &mut self,
        client: &Client,
        keys: impl Iterator<Item = &'a [u8]> + Clone,
        now: u64,
    ) -> Result<(), Failure> {
        let mut transaction = client.transaction.borrow_mut();
        transaction.must_fit_keys(keys.clone(), self.transaction_max())?;
        for key in keys {
            if !transaction.is_watching(key) {
                transaction.watch(self.engine.watch(key, now));
            }
        }
        drop(transaction);
        self.note_transaction(client);
        Ok(())
    }

    /// Ends the watching of a client.
    pub fn unwatch(&mut self, client: &Client) {
        let watches = client.transaction.borrow_mut().take_watches();
        watches.iter().for_each(|watch| self.engine.unwatch(watch));
        self.note_transaction(client);
    }

    /// True when a key that a client watches has changed.
    pub fn watches_changed(&mut self, client: &Client, now: u64) -> bool {
        client.transaction.borrow().watches().any(|watch| self.engine.has_changed(watch, now))
    }

    /// Ends a client's transaction and its watching; returns what was queued.
    pub fn end_transaction(&mut self, client: &Client) -> Transaction {
        self.unwatch(client);
        client.in_multi.set(false);
        let transaction = client.transaction.take();
        self.note_transaction(client);
        transaction
    }

    fn note_transaction(&mut self, client: &Client) {
        let len = client.transaction.borrow().bytes();
        self.note_held(client, len);
    }

    /// Notes how many bytes of keys a client waits for, beside its transaction.
    pub(crate) fn note_waiting(&mut self, client: &Client, bytes: usize) {
        let len = client.transaction.borrow().bytes() + bytes;
        self.note_held(client, len);
    }

    fn note_held(&mut self, client: &Client, len: usize) {
        self.unfinished = self.unfinished + len - client.held.replace(len);
        self.bound_unfinished();
    }

    /// Bytes of unfinished requests and transactions that all clients together may have.
    fn unfinished_max(&self) -> u64 {
        match self.config.limits.maxmemory {
            0 => UNFINISHED_MAX,
            limit => limit.clamp(UNFINISHED_MIN, UNFINISHED_MAX),
        }
    }

    /// Bytes of one transaction: it is one request that comes in pieces, and bounded as such.
    fn transaction_max(&self) -> usize {
        let request = resp::Limits::with_max_bulk_len(self.config.max_bulk_len).max_request_len;
        request.min(usize::try_from(self.unfinished_max()).unwrap_or(usize::MAX))
    }

    /// Ends the client that has most bytes unfinished when all together are too many: else a few could take all
    /// memory without ever finishing a request.
    fn bound_unfinished(&mut self) {
        let most = self.unfinished_max();
        if self.unfinished as u64 <= most {
            return;
        }
        let open = || self.clients.values().filter(|client| client.ending() != Ending::Now);
        if open().map(|client| client.unfinished() as u64).sum::<u64>() <= most {
            // Enough are on their way out.
            return;
        }
        if let Some(largest) = open().max_by_key(|client| client.unfinished()) {
            tracing::warn!(client = %largest.peer, bytes = largest.unfinished(), "too much unfinished input");
            largest.end(Ending::Now);
        }
    }

    /// Forgets a client whose connection has ended.
    pub fn remove_client(&mut self, id: ClientId) {
        if let Some(client) = self.clients.remove(&id) {
            self.waiting.leave(id);
            self.end_transaction(&client);
            self.unfinished -= client.unread.get();
        }
    }

    /// Notes how much memory data take now.
    pub fn note_memory(&mut self) {
        self.stats.peak_memory = self.stats.peak_memory.max(self.engine.used_memory());
    }
}
