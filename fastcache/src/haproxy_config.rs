//! The HAProxy configuration: one template, for the committed `haproxy/haproxy.cfg` and for `fastcache up`.
//!
//! HAProxy balances connections and checks the proxies; it knows nothing of nodes. The text is valid for
//! HAProxy 2.6 (Debian 12) and 2.8 (the container image).

use std::fmt::Write;

/// The standard ports, which the container setup keeps.
pub(crate) const ENTRY_PORT: u16 = 6380;
pub(crate) const STATS_PORT: u16 = 8404;

/// The ways of spreading connections that are offered: in turn, or to the proxy with the fewest.
pub(crate) const BALANCES: [&str; 2] = ["roundrobin", "leastconn"];

/// A proxy as HAProxy sees it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// Where it takes clients, as `host:port`.
    pub(crate) address: String,
    /// The host where it tells whether it is ready, when that is another one.
    pub(crate) admin_host: Option<String>,
    /// The port there.
    pub(crate) admin_port: u16,
}

/// What differs between places where HAProxy runs.
#[derive(Debug)]
pub(crate) struct HaproxyConfig {
    /// Where clients connect: the argument of `bind`.
    pub(crate) entry: String,
    /// Where statistics and metrics are: the argument of `bind`.
    pub(crate) stats: String,
    /// The most connections at once; each takes two file descriptors.
    pub(crate) max_connections: u64,
    /// How connections are spread: the argument of `balance`.
    pub(crate) balance: String,
    pub(crate) proxies: Vec<Server>,
    /// Whether the addresses are names to be asked of Docker's DNS again when containers move.
    pub(crate) docker_names: bool,
}

impl HaproxyConfig {
    /// The one for the container setup with this many proxies.
    pub(crate) fn for_containers(proxies: u64) -> Self {
        let proxy = |number| Server {
            name: format!("proxy{number}"),
            address: format!("fastcache-proxy{number}:6379"),
            admin_host: None,
            admin_port: 9382,
        };
        Self {
            entry: format!(":{ENTRY_PORT}"),
            stats: format!(":{STATS_PORT}"),
            // As many as one Redis takes. At the gigabyte that docker-compose.yml allows, each has 100 KB, or
            // 25 KB while each of three old workers is left with as many: 4 KB at rest, and a buffer of 16 KB
            // while one side does not read.
            max_connections: 10_000,
            // HAProxy's own syntax for an environment variable with a default.
            balance: format!("\"${{HAPROXY_BALANCE-{}}}\"", BALANCES[0]),
            proxies: (1..=proxies).map(proxy).collect(),
            docker_names: true,
        }
    }

    /// The text of the configuration file.
    pub(crate) fn render(&self) -> String {
        let resolvers = if self.docker_names { RESOLVERS } else { "" };
        let resolve = if self.docker_names { RESOLVE } else { "" };
        let mut servers = String::new();
        for Server { name, address, admin_host, admin_port } in &self.proxies {
            let elsewhere = match admin_host {
                Some(host) if host.contains(':') => format!("addr [{host}] "),
                Some(host) => format!("addr {host} "),
                None => String::new(),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(servers, "    server {name} {address} check {elsewhere}port {admin_port}");
        }
        TEMPLATE
            .replace("{max_connections}", &self.max_connections.to_string())
            .replace("{entry}", &self.entry)
            .replace("{stats}", &self.stats)
            .replace("{balance}", &self.balance)
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
    use crate::compose::SMALL_PROXIES;

    #[test]
    fn the_committed_file_is_what_the_generator_makes() {
        for (committed, proxies, file) in [
            (include_str!("../../haproxy/haproxy.cfg"), 5, "haproxy.cfg"),
            (include_str!("../../haproxy/small.cfg"), SMALL_PROXIES, "small.cfg"),
        ] {
            let generated = HaproxyConfig::for_containers(proxies).render();
            assert_eq!(
                committed, generated,
                "write it again with `fastcache haproxy-config --proxies {proxies} > haproxy/{file}`"
            );
        }
    }

    #[test]
    fn every_proxy_is_a_checked_server_and_nothing_is_left_to_fill_in() {
        let server = |name: &str, port: u16, admin_host: Option<&str>, admin_port| Server {
            name: name.into(),
            address: format!("127.0.0.1:{port}"),
            admin_host: admin_host.map(str::to_owned),
            admin_port,
        };
        let config = HaproxyConfig {
            entry: "127.0.0.1:7380".into(),
            stats: "127.0.0.1:9404".into(),
            max_connections: 100,
            balance: "leastconn".into(),
            proxies: vec![server("proxy1", 1, None, 11), server("proxy2", 2, Some("::1"), 12)],
            docker_names: false,
        };
        let text = config.render();
        assert!(text.contains("    bind 127.0.0.1:7380\n"));
        assert!(text.contains("    bind 127.0.0.1:9404\n"));
        assert!(text.contains("    balance leastconn\n"));
        assert!(text.contains(
            "    server proxy1 127.0.0.1:1 check port 11\n    server proxy2 127.0.0.1:2 check addr [::1] port 12\n"
        ));
        assert!(!text.contains("resolvers"), "{text}");
        let is_condition = |line: &&str| line.contains(" if {") || line.contains(" unless {");
        for line in text.lines().filter(|line| !is_condition(line)) {
            assert!(!line.replace("${", "").contains('{'), "{line}");
        }
    }
}
