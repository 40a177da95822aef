//! The settings of the health service, checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::{ApiToken, NodeLogin, Topology, TopologyError};
use daemon::{Kind, Program, Setting, Settings};

use crate::verdict::Policy;

/// The program: its name and settings.
pub static PROGRAM: Program = Program {
    name: "health-service",
    about: "Probes every node and proxy, judges their health, and publishes the view that proxies route by",
    settings: &SETTINGS,
};

static SETTINGS: [Setting; 14] = [
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
    Setting {
        name: "node-password",
        env: Some("NODE_PASSWORD"),
        default: None,
        kind: Kind::Secret,
        help: "Password to give the nodes; a node without one is probed as well",
    },
    Setting {
        name: "node-username",
        env: Some("NODE_USERNAME"),
        default: None,
        kind: Kind::Text,
        help: "User to log in to the nodes as; without it the one whom their requirepass is for",
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
    /// What to say to the nodes first.
    pub node_login: Option<NodeLogin>,
}

/// Settings that are fine one by one, but not together, and what is wrong with the topology.
#[derive(Debug, thiserror::Error)]
#[error("{}", .mistakes.join("\n"))]
pub struct ConfigError {
    /// One for each mistake, each with the setting or the file that it is in.
    pub mistakes: Vec<String>,
}

impl Config {
    /// Turns settings into a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] with all that is wrong: the topology cannot be read or has mistakes, settings contradict
    /// each other.
    pub fn from_settings(settings: &Settings) -> Result<Self, ConfigError> {
        let mut mistakes = Vec::new();
        let policy = policy(settings, &mut mistakes);
        let topology = topology(settings).map_err(|found| mistakes.extend(found)).ok();
        let api_token = settings.optional_text("api-token").map(ApiToken::new).transpose();
        let api_token =
            api_token.map_err(|error| mistakes.push(format!("--api-token: {error}"))).ok().flatten();
        let (user, password) =
            (settings.optional_text("node-username"), settings.optional_text("node-password"));
        let node_login = NodeLogin::new(user, password);
        let node_login =
            node_login.map_err(|error| mistakes.push(format!("--node-username: {error}"))).ok().flatten();
        let (Some(topology), true) = (topology, mistakes.is_empty()) else {
            return Err(ConfigError { mistakes });
        };
        Ok(Self {
            host: settings.text("host").to_owned(),
            port: settings.port("port"),
            topology,
            policy,
            state_dir: settings.optional_path("state-dir").map(Path::to_path_buf),
            api_token,
            node_login,
        })
    }
}

fn policy(settings: &Settings, mistakes: &mut Vec<String>) -> Policy {
    let interval = settings.duration("interval");
    let timeout = settings.duration("timeout");
    if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) {
        mistakes.push("--interval must be at least 100ms and at most 1 day".to_owned());
    }
    if timeout.is_zero() || timeout > interval {
        mistakes.push("--timeout must be more than 0 and no longer than --interval".to_owned());
    }
    // The settings bound both at 100.
    let threshold = |name: &str| u32::try_from(settings.count(name)).unwrap_or(u32::MAX);
    Policy { interval, timeout, failures: threshold("failures"), successes: threshold("successes") }
}

/// The nodes and proxies, or every mistake in them. A count that is said as well must agree with them.
fn topology(settings: &Settings) -> Result<Topology, Vec<String>> {
    let topology = read_topology(settings)?;
    let known = topology.nodes.len();
    match settings.optional_count("node-count") {
        Some(said) if said != known as u64 => {
            Err(vec![format!("--node-count is {said}, but {known} nodes are configured")])
        }
        _ => Ok(topology),
    }
}

fn read_topology(settings: &Settings) -> Result<Topology, Vec<String>> {
    let place = |place: &str| {
        let place = place.to_owned();
        move |error: TopologyError| -> Vec<String> {
            error.mistakes.iter().map(|mistake| format!("{place}: {mistake}")).collect()
        }
    };
    if let Some(path) = settings.optional_text("cluster") {
        let text = std::fs::read_to_string(path)
            .map_err(|error| vec![format!("cannot read the cluster file {path}: {error}")])?;
        return Topology::from_toml(&text).map_err(place(path));
    }
    let proxies = settings.optional_text("cluster-proxies").unwrap_or_default();
    if let Some(nodes) = settings.optional_text("cluster-nodes") {
        return Topology::from_lists(nodes, proxies).map_err(place("--cluster-nodes and --cluster-proxies"));
    }
    let count = settings.optional_count("node-count").and_then(|count| usize::try_from(count).ok());
    let local = Topology::local(count.unwrap_or(DEFAULT_NODE_COUNT)).map_err(place("--node-count"))?;
    let listed = Topology::from_lists("unused=localhost:1", proxies).map_err(place("--cluster-proxies"))?;
    Ok(Topology { proxies: listed.proxies, ..local })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_told_each_with_its_place() {
        let flags =
            ["--interval", "1s", "--timeout", "5s", "--cluster-nodes", "a=h:1,b", "--cluster-proxies", "p"];
        let settings = PROGRAM.from_flags(&[&flags[..], &["--api-token", "two words"]].concat()).unwrap();
        let error = Config::from_settings(&settings).unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 4, "{error}");
        assert_eq!(lines[0], "--timeout must be more than 0 and no longer than --interval");
        for line in &lines[1..3] {
            assert!(line.starts_with("--cluster-nodes and --cluster-proxies: \""), "{line}");
        }
        assert!(lines[3].starts_with("--api-token: the API token must be "), "{error}");
    }
}
