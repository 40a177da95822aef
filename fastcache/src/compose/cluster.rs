//! One cluster in `docker-compose.yml`: the services of its proxies and nodes, and how others name them.
//!
//! There are two: the one that `up` starts, and that of the profile `small`. Within its own networks each
//! proxy and node has the same name in both (`fastcache-node1`), so what is told to HAProxy, the health
//! service and Prometheus does not depend on which of the two runs. Text only; the frame around it, with
//! everything that is said once, is the template.

use std::fmt::Write;

/// The standard ports on the host; inside its container every process listens on 6379.
const FIRST_NODE_PORT: u64 = 7001;
const FIRST_PROXY_PORT: u64 = 6382;

/// Only the first node has it. Compose 1.29.2 looks for the services' images one by one, in the order of the
/// dependencies and then of the file, in which the first node is first; for all others the image is there.
/// Were it in every service, newer ones would build the image as often as there are services.
const BUILD: &str = "    build: {context: ., args: {FASTCACHE_GIT_REV: \"${FASTCACHE_GIT_REV:-}\"}}\n";

/// A cluster of the file.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Whether it is the one of the profile `small`.
    pub(super) is_small: bool,
    pub(super) nodes: u64,
    pub(super) proxies: u64,
}

impl Cluster {
    /// What the health service is told of the members.
    pub(super) fn members(&self) -> String {
        let Self { nodes, proxies, .. } = self;
        format!(
            "      NODE_COUNT: \"{nodes}\"\n      \
             CLUSTER_NODES: \"\\\n{}\"\n      \
             CLUSTER_PROXIES: \"\\\n{}\"\n",
            addresses("node", *nodes),
            addresses("proxy", *proxies)
        )
    }

    /// Every node, as what has to be started first.
    pub(super) fn node_dependencies(&self) -> String {
        self.dependencies("node", self.nodes, "service_started")
    }

    /// Every proxy, as what has to be healthy first.
    pub(super) fn proxy_dependencies(&self) -> String {
        self.dependencies("proxy", self.proxies, "service_healthy")
    }

    /// The services of all proxies and nodes.
    pub(super) fn services(&self) -> String {
        let proxies = (1..=self.proxies).map(|number| self.proxy(number));
        proxies.chain((1..=self.nodes).map(|number| self.node(number))).collect()
    }

    /// The volumes of the proxies.
    pub(super) fn proxy_volumes(&self) -> String {
        (1..=self.proxies).map(|number| format!("  {}: {{}}\n", self.proxy_volume(number))).collect()
    }

    fn node(&self, number: u64) -> String {
        let mut text = self.head("node", number);
        if number == 1 {
            text += BUILD;
        }
        if self.is_small {
            text += &format!("    networks: {{small-nodes: {{aliases: [fastcache-node{number}]}}}}\n");
        }
        text += &identity("node", "NODE_ID", number);
        text += &published("NODE", FIRST_NODE_PORT, self.nodes, number);
        text
    }

    fn proxy(&self, number: u64) -> String {
        let mut text = self.head("proxy", number);
        if self.is_small {
            text += &format!(
                "    networks: {{small-front: {{aliases: [fastcache-proxy{number}]}}, small-nodes: {{}}}}\n    \
                 depends_on:\n      small-health-checker: {{condition: service_healthy}}\n"
            );
        }
        text += &identity("proxy", "PROXY_ID", number);
        text += &published("PROXY", FIRST_PROXY_PORT, self.proxies, number);
        text += &format!("    volumes: [\"{}:/var/lib/fastcache\"]\n", self.proxy_volume(number));
        text
    }

    fn head(&self, kind: &str, number: u64) -> String {
        let profile = if self.is_small { "    profiles: [small]\n" } else { "" };
        format!("\n  {}-{kind}{number}:\n    <<: *{kind}\n{profile}", self.prefix())
    }

    fn dependencies(&self, kind: &str, count: u64, condition: &str) -> String {
        let prefix = self.prefix();
        let line = |number| format!("      {prefix}-{kind}{number}: {{condition: {condition}}}\n");
        (1..=count).map(line).collect()
    }

    fn proxy_volume(&self, number: u64) -> String {
        let prefix = if self.is_small { "small-" } else { "" };
        format!("{prefix}proxy{number}-state")
    }

    fn prefix(&self) -> &'static str {
        if self.is_small { "small" } else { "fastcache" }
    }
}

fn identity(kind: &str, variable: &str, number: u64) -> String {
    format!("    environment:\n      <<: *{kind}-environment\n      {variable}: {kind}{number}\n")
}

/// Compose cannot add numbers, but it can put digits together: as long as all ports have the same hundreds,
/// those are a variable. A larger cluster has fixed ports. The address is apart from that of the other ports,
/// because nodes ask nobody for a password.
fn published(kind: &str, first: u64, count: u64, number: u64) -> String {
    let port = first + number - 1;
    let hundreds = first / 100;
    let port = if (first + count - 1) / 100 == hundreds {
        format!("${{{kind}_PORT_PREFIX:-{hundreds}}}{:02}", port % 100)
    } else {
        port.to_string()
    };
    format!("    ports: [\"${{NODE_BIND_ADDRESS:-127.0.0.1}}:{port}:6379\"]\n")
}

/// `node1=fastcache-node1:6379,…`, one per line of a YAML string whose line ends are escaped.
fn addresses(kind: &str, count: u64) -> String {
    let mut text = String::new();
    for number in 1..=count {
        let end = if number < count { ",\\\n" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "        {kind}{number}=fastcache-{kind}{number}:6379{end}");
    }
    text
}
