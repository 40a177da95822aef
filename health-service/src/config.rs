//! The settings of the health service, checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::{ApiToken, Topology};
use daemon::{Kind, Program, Setting, Settings};

use crate::verdict::Policy;

/// The program: its name and settings.
pub static PROGRAM: Program = Program {
    name: "health-service",
    about: "Probes every node and proxy, judges their health, and publishes the view that proxies route by",
    settings: &SETTINGS,
};

static SETTINGS: [Setting; 12] = [
    Setting {
        name: "host",
        env: Some("HEALTH_HOST"),
        default: Some("127.0.0.1"),
        kind: Kind::Host,
        help: "Address to listen on",
    },
    Setting {
        name: "port",
        env: Some("HEALTH_PORT"),
        default: Some("8080"),
        kind: Kind::Port,
        help: "Port to listen on; 0 takes any free one",
    },
    Setting {
        name: "cluster",
        env: Some("CLUSTER_FILE"),
        default: None,
        kind: Kind::Path,
        help: "cluster.toml with the nodes and proxies; without it CLUSTER_NODES or NODE_COUNT counts",
    },
    Setting {
        name: "cluster-nodes",
        env: Some("CLUSTER_NODES"),
        default: None,
        kind: Kind::Text,
        help: "Nodes as ID=HOST:PORT,ID=HOST:PORT,...",
    },
    Setting {
        name: "cluster-proxies",
        env: Some("CLUSTER_PROXIES"),
        default: None,
        kind: Kind::Text,
        help: "Proxies as ID=HOST:PORT,ID=HOST:PORT,...",
    },
    Setting {
        name: "node-count",
        env: Some("NODE_COUNT"),
        default: None,
        kind: Kind::Count { min: 1, max: 10_000 },
        help: "Number of nodes: node1 at 127.0.0.1:7001 and so on, or a check of the other sources",
    },
    Setting {
        name: "interval",
        env: Some("HEALTH_CHECK_INTERVAL"),
        default: Some("30s"),
        kind: Kind::Duration,
        help: "Each node and proxy is probed once in this time",
    },
    Setting {
        name: "timeout",
        env: Some("HEALTH_CHECK_TIMEOUT"),
        default: Some("5s"),
        kind: Kind::Duration,
        help: "A probe without an answer after this has failed",
    },
    Setting {
        name: "failures",
        env: Some("HEALTH_CHECK_FAILURES"),
        default: Some("3"),
        kind: Kind::Count { min: 1, max: 100 },
        help: "Failed probes in a row that make a node UNHEALTHY",
    },
    Setting {
        name: "successes",
        env: Some("HEALTH_CHECK_SUCCESSES"),
        default: Some("2"),
        kind: Kind::Count { min: 1, max: 100 },
        help: "Good probes in a row that make an UNHEALTHY node HEALTHY",
    },
    Setting {
        name: "state-dir",
        env: Some("HEALTH_STATE_DIR"),
        default: None,
        kind: Kind::Path,
        help: "Directory for what must survive a restart: the view and its epoch; without it, memory only",
    },
    Setting {
        name: "api-token",
        env: Some("HEALTH_API_TOKEN"),
        default: None,
        kind: Kind::Secret,
        help: "What a request that changes something must carry as `Authorization: Bearer SECRET`; none when unset",
    },
];

/// Number of nodes when nothing says which there are: the standard cluster.
const DEFAULT_NODE_COUNT: usize = 50;
/// The shortest interval: a probe of each node each 100 ms is a test's cluster already.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Longest interval: who looks at a node less than once a day need not look at all.
const MAX_INTERVAL: Duration = Duration::from_secs(86_400);

/// All that the health service is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on.
    pub port: u16,
    /// The nodes and proxies.
    pub topology: Topology,
    /// The rule of the verdict.
    pub policy: Policy,
    /// Where the journal is kept, if anywhere.
    pub state_dir: Option<PathBuf>,
    /// What requests that change something must carry, if anything.
    pub api_token: Option<ApiToken>,
}

/// Settings that are fine one by one, but not together.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The cluster file cannot be read.
    #[error("cannot read the cluster file {path}: {error}")]
    ClusterFile {
        /// Its path.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The nodes and proxies are not as they should be; one line for each mistake.
    #[error("{place}: {error}")]
    Topology {
        /// Where they are written.
        place: String,
        /// All mistakes.
        error: cluster::TopologyError,
    },
    /// Several mistakes of other kinds, one line for each.
    #[error("{}", .0.join("\n"))]
    Mistakes(Vec<String>),
}

impl Config {
    /// Turns settings into a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] when the topology cannot be read or has mistakes, or when settings contradict
    /// each other.
    pub fn from_settings(settings: &Settings) -> Result<Self, ConfigError> {
        let mut mistakes = Vec::new();
        let policy = policy(settings, &mut mistakes);
        let topology = topology(settings)?;
        let said = settings.optional_count("node-count");
        if said.is_some_and(|count| count != topology.nodes.len() as u64) {
            let (said, known) = (said.unwrap_or_default(), topology.nodes.len());
            mistakes.push(format!("node-count is {said}, but {known} nodes are configured"));
        }
        let api_token = settings.optional_text("api-token").map(ApiToken::new).transpose();
        mistakes.extend(api_token.as_ref().err().map(|error| format!("api-token: {error}")));
        let api_token = api_token.ok().flatten();
        if !mistakes.is_empty() {
            return Err(ConfigError::Mistakes(mistakes));
        }
        Ok(Self {
            host: settings.text("host").to_owned(),
            port: settings.port("port"),
            topology,
            policy,
            state_dir: settings.optional_path("state-dir").map(Path::to_path_buf),
            api_token,
        })
    }
}

fn policy(settings: &Settings, mistakes: &mut Vec<String>) -> Policy {
    let interval = settings.duration("interval");
    let timeout = settings.duration("timeout");
    if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) {
        mistakes.push("interval must be at least 100ms and at most 1 day".to_owned());
    }
    if timeout.is_zero() || timeout > interval {
        mistakes.push("timeout must be more than 0 and no longer than the interval".to_owned());
    }
    // The settings bound both at 100.
    let threshold = |name: &str| u32::try_from(settings.count(name)).unwrap_or(u32::MAX);
    Policy { interval, timeout, failures: threshold("failures"), successes: threshold("successes") }
}

fn topology(settings: &Settings) -> Result<Topology, ConfigError> {
    let place = |place: &str| {
        let place = place.to_owned();
        move |error| ConfigError::Topology { place, error }
    };
    if let Some(path) = settings.optional_text("cluster") {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::ClusterFile { path: path.to_owned(), error })?;
        return Topology::from_toml(&text).map_err(place(path));
    }
    let proxies = settings.optional_text("cluster-proxies").unwrap_or_default();
    if let Some(nodes) = settings.optional_text("cluster-nodes") {
        return Topology::from_lists(nodes, proxies).map_err(place("cluster-nodes and cluster-proxies"));
    }
    let count = settings.optional_count("node-count").and_then(|count| usize::try_from(count).ok());
    let local = Topology::local(count.unwrap_or(DEFAULT_NODE_COUNT)).map_err(place("node-count"))?;
    let listed = Topology::from_lists("unused=localhost:1", proxies).map_err(place("cluster-proxies"))?;
    Ok(Topology { proxies: listed.proxies, ..local })
}
