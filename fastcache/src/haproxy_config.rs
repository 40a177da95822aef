//! The HAProxy configuration: one template, for the committed `haproxy/haproxy.cfg` and for `fastcache up`.
//!
//! HAProxy balances connections and checks the proxies; it knows nothing of nodes. The text is valid for
//! HAProxy 2.6 (Debian 12) and 2.8 (the container image).

use std::fmt::Write;

/// The standard ports, which the container setup keeps.
pub(crate) const ENTRY_PORT: u16 = 6380;
pub(crate) const STATS_PORT: u16 = 8404;

/// What differs between places where HAProxy runs.
#[derive(Debug)]
pub(crate) struct HaproxyConfig {
    /// Where clients connect: the argument of `bind`.
    pub(crate) entry: String,
    /// Where statistics and metrics are: the argument of `bind`.
    pub(crate) stats: String,
    /// The most connections at once; each takes two file descriptors.
    pub(crate) max_connections: u64,
    /// Name and address of each proxy.
    pub(crate) proxies: Vec<(String, String)>,
    /// Whether the addresses are names to be asked of Docker's DNS again when containers move.
    pub(crate) docker_names: bool,
}

impl HaproxyConfig {
    /// The one for the container setup with this many proxies.
    pub(crate) fn for_containers(proxies: u64) -> Self {
        let proxy = |number| (format!("proxy{number}"), format!("fastcache-proxy{number}:6379"));
        Self {
            entry: format!(":{ENTRY_PORT}"),
            stats: format!(":{STATS_PORT}"),
            // As many as one Redis takes. At the gigabyte that docker-compose.yml allows, each has 100 KB:
            // two buffers of 16 KB, and what the kernel holds.
            max_connections: 10_000,
            proxies: (1..=proxies).map(proxy).collect(),
            docker_names: true,
        }
    }

    /// The text of the configuration file.
    pub(crate) fn render(&self) -> String {
        let resolvers = if self.docker_names { RESOLVERS } else { "" };
        let resolve = if self.docker_names { RESOLVE } else { "" };
        let mut servers = String::new();
        for (name, address) in &self.proxies {
            // Writing to a String cannot fail.
            let _ = writeln!(servers, "    server {name} {address} check");
        }
        TEMPLATE
            .replace("{max_connections}", &self.max_connections.to_string())
            .replace("{entry}", &self.entry)
            .replace("{stats}", &self.stats)
            .replace("{resolvers}", resolvers)
            .replace("{resolve}", resolve)
            .replace("{servers}", &servers)
    }
}

const RESOLVERS: &str = "\
# A container that is replaced gets a new address: ask Docker's DNS again instead of once at start.
resolvers docker
    nameserver dns 127.0.0.11:53
    hold valid 5s
    resolve_retries 3
    timeout resolve 1s
    timeout retry 1s

";

/// `init-addr … none`: HAProxy starts even while a proxy's name is not known yet.
const RESOLVE: &str = " resolvers docker init-addr last,libc,none";

const TEMPLATE: &str = include_str!("../templates/haproxy.cfg");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_file_is_what_the_generator_makes() {
        let committed = include_str!("../../haproxy/haproxy.cfg");
        let generated = HaproxyConfig::for_containers(5).render();
        assert_eq!(
            committed, generated,
            "write it again with `fastcache haproxy-config > haproxy/haproxy.cfg`"
        );
    }

    #[test]
    fn every_proxy_is_a_checked_server_and_nothing_is_left_to_fill_in() {
        let config = HaproxyConfig {
            entry: "127.0.0.1:7380".into(),
            stats: "127.0.0.1:9404".into(),
            max_connections: 100,
            proxies: vec![("proxy1".into(), "127.0.0.1:1".into()), ("proxy2".into(), "127.0.0.1:2".into())],
            docker_names: false,
        };
        let text = config.render();
        assert!(text.contains("    bind 127.0.0.1:7380\n"));
        assert!(text.contains("    bind 127.0.0.1:9404\n"));
        assert!(text.contains("    server proxy1 127.0.0.1:1 check\n    server proxy2 127.0.0.1:2 check\n"));
        assert!(!text.contains("resolvers"), "{text}");
        let is_condition = |line: &&str| line.contains(" if {") || line.contains(" unless {");
        for line in text.lines().filter(|line| !is_condition(line)) {
            assert!(!line.contains('{'), "{line}");
        }
    }
}
