//! The settings of a cache node: Redis' names, read by `daemon`, turned into one typed value.

use crate::engine::{Limits, Policy};
use crate::types::sorted_set::PackedLimits;
use daemon::{Kind, Program, Secret, Setting, Settings};
use std::ops::RangeInclusive;

/// What a user can set.
pub static PROGRAM: Program = Program {
    name: "cache-node",
    about: "One cache node: a Redis-compatible in-memory store",
    settings: &SETTINGS,
};

static SETTINGS: [Setting; 10] = [
    Setting::new("host", Some("NODE_HOST"), Some("127.0.0.1"), Kind::Host, "Address to listen on"),
    Setting::new(
        "port",
        Some("NODE_PORT"),
        Some("7001"),
        Kind::Port,
        "Port to listen on; 0 takes any free one",
    ),
    Setting::new("node-id", Some("NODE_ID"), Some("node1"), Kind::Text, "Name of this node in logs and INFO"),
    Setting::new(
        "maxmemory",
        Some("NODE_MAXMEMORY"),
        Some("256mb"),
        Kind::Size,
        "Bytes of data to hold; 0 is no limit",
    ),
    Setting::new(
        "maxmemory-policy",
        Some("NODE_MAXMEMORY_POLICY"),
        Some("allkeys-lru"),
        Kind::Choice(Policy::NAMES),
        "What to evict at the limit",
    ),
    Setting::new(
        "maxmemory-samples",
        None,
        Some("5"),
        Kind::Count { min: 1, max: 64 },
        "Keys to look at per eviction: more come closer to the policy, fewer cost less",
    ),
    Setting::new(
        "maxclients",
        None,
        Some("10000"),
        Kind::Count { min: 1, max: u32::MAX as u64 },
        "Most clients at a time",
    ),
    Setting::new(
        "proto-max-bulk-len",
        Some("PROTO_MAX_BULK_LEN"),
        Some("512mb"),
        Kind::SizeWithin { min: *MAX_BULK_LEN.start(), max: *MAX_BULK_LEN.end() },
        "Longest value; writing one takes up to three times as much for a moment. Not less than the proxies allow",
    ),
    Setting::new("requirepass", Some("NODE_PASSWORD"), None, Kind::Secret, "Password that clients must give"),
    Setting::new(
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
    pub requirepass: Secret,
    /// Port of the admin endpoints.
    pub admin_port: Option<u16>,
    /// Seconds after which a silent client is disconnected; 0 is never.
    pub timeout: u64,
    /// Longest string, in bytes.
    pub max_bulk_len: usize,
    /// Most bytes of replies that are built for one client before it takes them; who asks for more is disconnected.
    pub max_reply_len: usize,
}

/// What `proto-max-bulk-len` can be, in bytes: Redis' least, and what the scanner was built for.
pub(crate) const MAX_BULK_LEN: RangeInclusive<u64> = (1 << 20)..=(512 << 20);

/// Room for the longest string and the batch before it. MGET or KEYS could ask for far more, and would take the
/// node's memory along: a buffer that grows by doubling may take twice as much for a moment.
const REPLY_MAX: usize = 512 * 1024 * 1024 + 512 * 1024;

impl Config {
    /// Reads the settings; their kinds have been checked already.
    pub fn from_settings(settings: &Settings) -> Self {
        let policy = Policy::named(settings.text("maxmemory-policy")).unwrap_or(Policy::NoEviction);
        let max_bulk_len = settings.size("proto-max-bulk-len") as usize;
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
            requirepass: settings.optional_text("requirepass").unwrap_or_default().into(),
            admin_port: settings.optional_port("admin-port"),
            max_bulk_len,
            // Who may send no more than this needs no longer reply than this.
            max_reply_len: resp::Limits::with_max_bulk_len(max_bulk_len).max_request_len.min(REPLY_MAX),
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
            requirepass: Secret::default(),
            admin_port: None,
            timeout: 0,
            max_bulk_len: resp::Limits::default().max_bulk_len,
            max_reply_len: REPLY_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, PROGRAM};

    #[test]
    fn debug_output_never_shows_the_password() {
        let config = Config { requirepass: "hunter2".into(), ..Config::default() };
        let shown = format!("{config:?}");
        assert!(shown.contains("requirepass: ***") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn the_longest_value_can_be_set_and_bounds_replies_too() {
        let lengths = |flags: &[&str]| {
            let config = Config::from_settings(&PROGRAM.from_flags(flags).unwrap());
            (config.max_bulk_len, config.max_reply_len)
        };
        let Config { max_bulk_len, max_reply_len, .. } = Config::default();
        assert_eq!(lengths(&[]), (max_bulk_len, max_reply_len), "Redis' own");
        assert_eq!(lengths(&["--proto-max-bulk-len", "48mb"]), (48 << 20, 96 << 20));
        for wrong in ["1023kb", "513mb", "0"] {
            assert!(PROGRAM.from_flags(&["--proto-max-bulk-len", wrong]).is_err(), "{wrong}");
        }
    }
}
