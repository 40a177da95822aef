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
}

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

    /// When a client will have been silent for too long, Unix milliseconds; `None` without such a limit.
    pub fn next_timeout(&self) -> Option<u64> {
        let timeout = self.config.timeout.checked_mul(1_000).filter(|timeout| *timeout > 0)?;
        self.clients.values().map(|client| client.active.get() + timeout).min()
    }

    /// Ends clients that have been silent for too long.
    pub fn end_silent_clients(&self, now: u64) {
        let timeout = self.config.timeout.saturating_mul(1_000);
        let silent = |client: &&Rc<Client>| client.active.get() + timeout <= now;
        if timeout > 0 {
            self.clients.values().filter(silent).for_each(|client| client.end(Ending::Now));
        }
    }

    /// Notes how much memory data take now.
    pub fn note_memory(&mut self) {
        self.stats.peak_memory = self.stats.peak_memory.max(self.engine.used_memory());
    }
}
