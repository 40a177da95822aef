//! The children of `fastcache up` and their command lines: pure, from the layout.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use daemon::{Secret, Settings};

use super::child::{ChildSpec, Told};
use super::inherited;
use crate::haproxy_config::Server;
use crate::layout::{HAPROXY, HEALTH, Layout, ProxyPorts, node_name, proxy_name};

/// All children, in the groups in which they start.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<ChildSpec>,
    pub(super) health: ChildSpec,
    pub(super) proxies: Vec<ChildSpec>,
    pub(super) haproxy: Option<ChildSpec>,
    /// Whether the user asked to see what goes as it should.
    pub(super) shows_routine: bool,
    /// Whether clients have to give a password.
    pub(super) asks_clients: bool,
}

impl Plan {
    /// Plans the children; `haproxy` is its executable if it is to be the entry.
    pub(super) fn new(
        settings: &Settings,
        layout: &Layout,
        haproxy: Option<&Path>,
        directory: &Path,
    ) -> Self {
        let common = Common {
            layout,
            directory,
            maxmemory: settings.size("maxmemory"),
            lame_duck: settings.duration("lame-duck"),
            passwords: [("REQUIREPASS", "requirepass"), ("NODE_PASSWORD", "node-password")].map(
                |(name, setting)| Told {
                    name,
                    secret: settings.optional_text(setting).map(Secret::from).unwrap_or_default(),
                    by_flag: settings.is_given_by_flag(setting),
                },
            ),
            logging: ["log-level", "log-format"].map(|name| (name, settings.text(name))),
        };
        Self {
            nodes: (0..layout.nodes.len()).map(|index| common.node(index)).collect(),
            health: common.health(),
            proxies: (0..layout.proxies.len()).map(|index| common.proxy(index)).collect(),
            haproxy: haproxy.map(|executable| common.haproxy(executable)),
            shows_routine: settings.is_given("log-level")
                && daemon::logging::lets_info_through(settings.text("log-level")),
            asks_clients: settings.optional_text("requirepass").is_some_and(|password| !password.is_empty()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len() + 1 + self.proxies.len() + usize::from(self.haproxy.is_some())
    }

    /// The width of the longest name.
    pub(super) fn name_width(&self) -> usize {
        let all = self.nodes.iter().chain(&self.proxies).chain([&self.health]).chain(&self.haproxy);
        all.map(|spec| spec.name.len()).max().unwrap_or(0)
    }
}

/// What the command lines are made of.
struct Common<'a> {
    layout: &'a Layout,
    directory: &'a Path,
    maxmemory: u64,
    lame_duck: Duration,
    /// Of the clients, of the nodes.
    passwords: [Told; 2],
    logging: [(&'a str, &'a str); 2],
}

impl Common<'_> {
    fn node(&self, index: usize) -> ChildSpec {
        let name = node_name(index);
        self.spec(
            &name,
            "cache-node",
            self.layout.nodes[index],
            &[("node-id", name.clone()), ("maxmemory", self.maxmemory.to_string())],
        )
    }

    fn health(&self) -> ChildSpec {
        let flags = [("cluster", self.file("cluster.toml")), ("state-dir", self.file("state/health"))];
        self.spec(HEALTH, "health-service", self.layout.health, &flags)
    }

    fn proxy(&self, index: usize) -> ChildSpec {
        let name = proxy_name(index);
        let ports = self.layout.proxies[index];
        let mut flags = vec![
            ("proxy-id", name.clone()),
            ("health-service", format!("http://{}", self.layout.address(self.layout.health))),
            ("admin-port", ports.admin.to_string()),
            ("state-dir", self.file(&format!("state/{name}"))),
            ("lame-duck", format!("{}ms", self.lame_duck.as_millis())),
        ];
        if let Some(host) = &self.layout.admin_host {
            flags.push(("admin-host", host.clone()));
        }
        if self.layout.stats.is_none() {
            flags.push(("entry-port", self.layout.entry.to_string()));
        }
        self.spec(&name, "cache-proxy", ports.clients, &flags)
    }

    fn haproxy(&self, executable: &Path) -> ChildSpec {
        let program = executable.to_string_lossy().into_owned();
        // -W: a master process that reloads the file on SIGUSR2 without losing a connection; -db: in the
        // foreground.
        ChildSpec {
            name: HAPROXY.into(),
            program,
            args: vec!["-W".into(), "-db".into(), "-f".into(), self.file("haproxy.cfg")],
            secrets: Vec::new(),
        }
    }

    fn spec(&self, name: &str, program: &str, port: u16, flags: &[(&str, String)]) -> ChildSpec {
        let (host, port) = (self.layout.host.clone(), port.to_string());
        let logging = self.logging.map(|(name, value)| (name, value.to_owned()));
        let all = [("host", host), ("port", port)].into_iter().chain(flags.iter().cloned()).chain(logging);
        let args = all.flat_map(|(name, value)| [format!("--{name}"), value]).collect();
        let mut spec = ChildSpec { name: name.into(), program: program.into(), args, secrets: Vec::new() };
        let own = spec.own();
        let is_read = |name: &str| inherited::secrets(own).any(|known| known == name);
        let told = self.passwords.iter().filter(|told| !told.secret.is_empty() && is_read(told.name));
        // Not as flags: those are seen by every user of the host.
        spec.secrets = told.cloned().collect();
        spec
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(name).to_string_lossy().into_owned()
    }
}

/// The proxies as HAProxy sees them.
pub(super) fn haproxy_servers(layout: &Layout) -> Vec<Server> {
    let server = |(index, ports): (usize, &ProxyPorts)| Server {
        name: proxy_name(index),
        address: layout.address(ports.clients),
        admin_host: layout.admin_host.clone(),
        admin_port: ports.admin,
    };
    layout.proxies.iter().enumerate().map(server).collect()
}

/// The topology file that the health service reads.
pub(super) fn cluster_toml(layout: &Layout) -> String {
    let nodes =
        layout.nodes.iter().enumerate().map(|(index, port)| (node_name(index), layout.address(*port)));
    let proxies = layout.proxies.iter().enumerate();
    let proxies = proxies.map(|(index, ports)| (proxy_name(index), layout.address(ports.clients)));
    let mut text = String::from("# Written by `fastcache up` at each start.\n");
    for (kind, members) in [("node", nodes.collect::<Vec<_>>()), ("proxy", proxies.collect())] {
        for (id, address) in members {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n[[{kind}]]\nid = \"{id}\"\naddress = \"{address}\"\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        let proxies = vec![ProxyPorts { clients: 6382, admin: 9382 }];
        Layout {
            host: "::1".into(),
            admin_host: Some("127.0.0.1".into()),
            nodes: vec![7001, 7002],
            proxies,
            health: 8080,
            entry: 6380,
            stats: None,
        }
    }

    #[test]
    fn the_services_take_these_command_lines() {
        let settings = super::super::PROGRAM.from_flags(&["--maxmemory", "1mb"]).unwrap();
        let plan = Plan::new(&settings, &layout(), Some(Path::new("/usr/sbin/haproxy")), Path::new("/base"));
        assert_eq!((plan.len(), plan.name_width()), (5, "haproxy".len()));
        let flags = |spec: &ChildSpec| spec.args.clone();
        for (spec, program) in [
            (&plan.nodes[1], &cache_node::PROGRAM),
            (&plan.proxies[0], &cache_proxy::PROGRAM),
            (&plan.health, &health_service::PROGRAM),
        ] {
            let flags = flags(spec);
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let settings = program.from_flags(&flags).unwrap();
            assert_eq!((spec.program.as_str(), settings.text("host")), (program.name, "::1"));
            assert!(settings.is_given("port"), "{flags:?}");
        }
        let proxy = flags(&plan.proxies[0]).join(" ");
        assert!(proxy.contains("--entry-port 6380") && proxy.contains("--admin-host 127.0.0.1"), "{proxy}");
    }

    #[test]
    fn everybody_is_told_the_passwords_that_concern_it() {
        let flags = ["--requirepass", "of clients", "--node-password", "of nodes"];
        let settings = super::super::PROGRAM.from_flags(&flags).unwrap();
        let plan = Plan::new(&settings, &layout(), Some(Path::new("/usr/sbin/haproxy")), Path::new("/base"));
        let told = |spec: &ChildSpec| spec.secrets.iter().map(|told| told.name).collect::<Vec<_>>();
        assert_eq!(told(&plan.proxies[0]), ["REQUIREPASS", "NODE_PASSWORD"]);
        assert_eq!(
            (told(&plan.nodes[0]), told(&plan.health)),
            (vec!["NODE_PASSWORD"], vec!["NODE_PASSWORD"])
        );
        assert!(told(&plan.haproxy.unwrap()).is_empty());
        assert!(plan.proxies[0].secrets.iter().all(|told| told.by_flag));
    }

    #[test]
    fn the_topology_is_one_that_the_cluster_reads() {
        let topology = cluster::Topology::from_toml(&cluster_toml(&layout())).unwrap();
        assert_eq!(topology.nodes[1].address.to_string(), "[::1]:7002");
        assert_eq!(topology.proxies.len(), 1);
    }
}
