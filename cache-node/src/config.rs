//! The settings of a cache node: Redis' names, read by `daemon`, turned into one typed value.

use crate::engine::{Limits, Policy};
use crate::types::sorted_set::PackedLimits;
use daemon::{Kind, Program, Setting, Settings};

/// What a user can set.
pub static PROGRAM: Program = Program {
    name: "cache-node",
    about: "One cache node: a Redis-compatible in-memory store",
    settings: &SETTINGS,
};

const fn setting(
    name: &'static str,
    env: Option<&'static str>,
    default: Option<&'static str>,
    kind: Kind,
    help: &'static str,
) -> Setting {
    Setting { name, env, default, kind, help }
}

static SETTINGS: [Setting; 9] = [
    setting("host", Some("NODE_HOST"), Some("127.0.0.1"), Kind::Host, "Address to listen on"),
    setting("port", Some("NODE_PORT"), Some("7001"), Kind::Port, "Port to listen on; 0 takes any free one"),
    setting("node-id", Some("NODE_ID"), Some("node1"), Kind::Text, "Name of this node in logs and INFO"),
    setting(
        "maxmemory",
        Some("NODE_MAXMEMORY"),
        Some("256mb"),
        Kind::Size,
        "Bytes of data to hold; 0 is no limit",
    ),
    setting(
        "maxmemory-policy",
        Some("NODE_MAXMEMORY_POLICY"),
        Some("allkeys-lru"),
        Kind::Choice(Policy::NAMES),
        "What to evict at the limit",
    ),
    setting(
        "maxmemory-samples",
        None,
        Some("5"),
        Kind::Count { min: 1, max: 64 },
        "Keys to look at per eviction: more come closer to the policy, fewer cost less",
    ),
    setting(
        "maxclients",
        None,
        Some("10000"),
        Kind::Count { min: 1, max: u32::MAX as u64 },
        "Most clients at a time",
    ),
    setting("requirepass", Some("NODE_PASSWORD"), None, Kind::Secret, "Password that clients must give"),
    setting(
        "admin-port",
        Some("NODE_ADMIN_PORT"),
        None,
        Kind::Port,
        "Port for /livez, /readyz and /metrics; off by default",
    ),
];

/// A validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on.
    pub port: u16,
    /// Name of this node.
    pub node_id: String,
    /// Memory, eviction and encodings.
    pub limits: Limits,
    /// Most clients at a time.
    pub maxclients: usize,
    /// Password; empty is none.
    pub requirepass: String,
    /// Port of the admin endpoints.
    pub admin_port: Option<u16>,
    /// Seconds after which a silent client is disconnected; 0 is never.
    pub timeout: u64,
    /// Longest string, in bytes.
    pub max_bulk_len: usize,
}

impl Config {
    /// Reads the settings; their kinds have been checked already.
    pub fn from_settings(settings: &Settings) -> Self {
        let policy = Policy::named(settings.text("maxmemory-policy")).unwrap_or(Policy::NoEviction);
        Self {
            host: settings.text("host").to_owned(),
            port: settings.port("port"),
            node_id: settings.text("node-id").to_owned(),
            limits: Limits {
                maxmemory: settings.size("maxmemory"),
                policy,
                samples: settings.count("maxmemory-samples") as usize,
                packed: PackedLimits::default(),
            },
            maxclients: settings.count("maxclients") as usize,
            requirepass: settings.optional_text("requirepass").unwrap_or_default().to_owned(),
            admin_port: settings.optional_port("admin-port"),
            ..Self::default()
        }
    }
}

impl Default for Config {
    /// What Redis does without a configuration: no limit, no eviction, no password. For tests and embedding;
    /// the program's own defaults are in its settings.
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 0,
            node_id: "node1".to_owned(),
            limits: Limits {
                maxmemory: 0,
                policy: Policy::NoEviction,
                samples: 5,
                packed: PackedLimits::default(),
            },
            maxclients: 10_000,
            requirepass: String::new(),
            admin_port: None,
            timeout: 0,
            max_bulk_len: resp::Limits::default().max_bulk_len,
        }
    }
}
