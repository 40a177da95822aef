//! Who listens where in a cluster on one host: names and ports, nothing else.

/// The standard cluster: 50 nodes from 7001, 5 proxies from 6382.
pub(crate) const STANDARD_NODES: &str = "50";
pub(crate) const STANDARD_PROXIES: &str = "5";
/// More processes than this on one host is a slip of the keyboard.
pub(crate) const MAX_NODES: u64 = 1000;
pub(crate) const MAX_PROXIES: u64 = 100;

/// Names of the processes there is one of.
pub(crate) const HEALTH: &str = "health";
pub(crate) const HAPROXY: &str = "haproxy";

/// The first port of each kind; each further process has the next one. 0 asks for any free ports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstPorts {
    pub(crate) entry: u16,
    pub(crate) node: u16,
    pub(crate) proxy: u16,
    pub(crate) admin: u16,
    pub(crate) health: u16,
    pub(crate) stats: u16,
}

/// A port and who listens on it, named as in messages: `node17`, `proxy1 (admin)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) port: u16,
}

/// A proxy's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProxyPorts {
    pub(crate) clients: u16,
    pub(crate) admin: u16,
}

/// All ports of a cluster on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) host: String,
    /// Where the proxies' admin ports listen, when that is elsewhere.
    pub(crate) admin_host: Option<String>,
    pub(crate) nodes: Vec<u16>,
    pub(crate) proxies: Vec<ProxyPorts>,
    pub(crate) health: u16,
    /// Where clients connect.
    pub(crate) entry: u16,
    /// HAProxy's statistics; `None` when the proxies share the entry port without HAProxy.
    pub(crate) stats: Option<u16>,
}

impl Layout {
    /// Lays out the ports; `free` gives one that nobody listens on.
    ///
    /// # Errors
    /// One line for each thing that does not fit: ports past 65535, ports asked for twice.
    pub(crate) fn new(
        host: &str,
        (nodes, proxies): (u64, u64),
        first: FirstPorts,
        with_haproxy: bool,
        mut free: impl FnMut() -> std::io::Result<u16>,
    ) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut run = |what: &str, first: u16, count: u64| match ports(first, count, &mut free) {
            Ok(ports) => ports,
            Err(problem) => {
                mistakes.push(format!("{what}: {problem}"));
                Vec::new()
            }
        };
        let nodes = run("--node-port", first.node, nodes);
        let clients = run("--proxy-port", first.proxy, proxies);
        let admins = run("--admin-port", first.admin, proxies);
        let health = run("--health-port", first.health, 1);
        let entry = run("--entry-port", first.entry, 1);
        let stats = run("--stats-port", first.stats, u64::from(with_haproxy));
        let (&[health], &[entry], true) = (health.as_slice(), entry.as_slice(), mistakes.is_empty()) else {
            return Err(mistakes);
        };
        let stats = stats.first().copied();
        let proxies =
            clients.into_iter().zip(admins).map(|(clients, admin)| ProxyPorts { clients, admin }).collect();
        let layout = Self { host: host.to_owned(), admin_host: None, nodes, proxies, health, entry, stats };
        let twice = layout.asked_for_twice();
        if twice.is_empty() { Ok(layout) } else { Err(twice) }
    }

    /// Every port with the name of who listens there, the entry first.
    pub(crate) fn places(&self) -> Vec<Place> {
        let place = |name: String, port| Place { name, port };
        let mut places =
            vec![place("the entry".into(), self.entry), place("the health service".into(), self.health)];
        places.extend(self.stats.map(|port| place("HAProxy's statistics".into(), port)));
        for (index, ports) in self.proxies.iter().enumerate() {
            places.push(place(proxy_name(index), ports.clients));
            places.push(place(format!("{}'s admin endpoints", proxy_name(index)), ports.admin));
        }
        places.extend(self.nodes.iter().enumerate().map(|(index, port)| place(node_name(index), *port)));
        places
    }

    /// The port by which the process of this name is found.
    pub(crate) fn port_of(&self, name: &str) -> Option<u16> {
        match name {
            HEALTH => Some(self.health),
            HAPROXY => self.stats,
            _ => self.places().into_iter().find(|place| place.name == name).map(|place| place.port),
        }
    }

    /// Where the process that has this port listens.
    pub(crate) fn host_of(&self, port: u16) -> &str {
        let is_admin = self.proxies.iter().any(|ports| ports.admin == port);
        self.admin_host.as_deref().filter(|_| is_admin).unwrap_or(&self.host)
    }

    /// `host:port`, an IPv6 host in brackets.
    pub(crate) fn address(&self, port: u16) -> String {
        if self.host.contains(':') {
            format!("[{}]:{port}", self.host)
        } else {
            format!("{}:{port}", self.host)
        }
    }

    fn asked_for_twice(&self) -> Vec<String> {
        let places = self.places();
        let mut lines = Vec::new();
        for (index, place) in places.iter().enumerate() {
            if let Some(other) = places[..index].iter().find(|other| other.port == place.port) {
                lines
                    .push(format!("port {} is wanted by both {} and {}", place.port, other.name, place.name));
            }
        }
        lines
    }
}

/// The name of the node at this index, counting from 0.
pub(crate) fn node_name(index: usize) -> String {
    format!("node{}", index + 1)
}

/// The name of the proxy at this index, counting from 0.
pub(crate) fn proxy_name(index: usize) -> String {
    format!("proxy{}", index + 1)
}

fn ports(first: u16, count: u64, mut free: impl FnMut() -> std::io::Result<u16>) -> Result<Vec<u16>, String> {
    if first == 0 {
        return (0..count).map(|_| free().map_err(|error| format!("no free port: {error}"))).collect();
    }
    let port = |offset: u64| u16::try_from(u64::from(first) + offset);
    let ports: Result<Vec<u16>, _> = (0..count).map(port).collect();
    ports.map_err(|_| format!("{count} ports from {first} go past 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: FirstPorts =
        FirstPorts { entry: 6380, node: 7001, proxy: 6382, admin: 9382, health: 8080, stats: 8404 };

    fn no_free_port() -> std::io::Result<u16> {
        Err(std::io::Error::other("none left"))
    }

    #[test]
    fn the_standard_ports_are_those_that_everything_else_names() {
        let layout = Layout::new("127.0.0.1", (50, 5), STANDARD, true, no_free_port).unwrap();
        assert_eq!((layout.nodes[0], layout.nodes[49]), (7001, 7050));
        assert_eq!(layout.proxies[4], ProxyPorts { clients: 6386, admin: 9386 });
        assert_eq!(layout.places().len(), 50 + 2 * 5 + 3);
        assert_eq!(layout.address(7001), "127.0.0.1:7001");
        let elsewhere = Layout { admin_host: Some("::1".into()), ..layout };
        assert_eq!((elsewhere.host_of(9382), elsewhere.host_of(6382)), ("::1", "127.0.0.1"));
    }

    #[test]
    fn ports_wanted_twice_are_all_named() {
        let first = FirstPorts { entry: 6383, stats: 7002, ..STANDARD };
        let mistakes = Layout::new("127.0.0.1", (3, 2), first, true, no_free_port).unwrap_err();
        assert_eq!(
            mistakes,
            [
                "port 6383 is wanted by both the entry and proxy2",
                "port 7002 is wanted by both HAProxy's statistics and node2",
            ]
        );
        assert!(
            Layout::new("127.0.0.1", (3, 2), FirstPorts { entry: 6380, ..first }, false, no_free_port)
                .is_ok()
        );
    }

    #[test]
    fn everything_that_does_not_fit_is_reported() {
        let first = FirstPorts { node: 65_500, admin: 65_535, health: 0, ..STANDARD };
        let mistakes = Layout::new("127.0.0.1", (50, 5), first, false, no_free_port).unwrap_err();
        assert_eq!(
            mistakes,
            [
                "--node-port: 50 ports from 65500 go past 65535",
                "--admin-port: 5 ports from 65535 go past 65535",
                "--health-port: no free port: none left",
            ]
        );
    }

    #[test]
    fn port_zero_takes_free_ones() {
        let mut next = 20_000;
        let free = || {
            next += 1;
            Ok(next)
        };
        let layout = Layout::new("::1", (2, 1), FirstPorts { node: 0, ..STANDARD }, false, free).unwrap();
        assert_eq!(layout.nodes, [20_001, 20_002]);
        assert_eq!(layout.address(20_001), "[::1]:20001");
    }
}
