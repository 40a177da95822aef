//! A cluster of separate processes, each of which a test can kill, stop and bring back at its old address.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::binaries::fastcache;
use crate::client::Client;
use crate::clients::install::valkey_server;
use crate::eventually::eventually;
use crate::http;
use crate::ports::free_port;
use crate::process::Process;
use crate::redis_server;

/// A process with what it takes to start it again.
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) address: String,
    pub(crate) process: Process,
    program: Program,
}

/// How a kind of member is started, and what it says when it is ready.
#[derive(Clone, Copy)]
struct Program {
    command: fn(&Setup, &str, &str) -> Command,
    await_ready: fn(&Member),
    /// A user that nodes of this kind have beside the default one.
    user: Option<&'static str>,
}

/// What the command lines are made of.
struct Setup {
    files: TempDir,
    health: String,
    /// By the id of the proxy.
    admin_ports: BTreeMap<String, u16>,
    /// What the nodes ask for, and the others log in with.
    password: Option<&'static str>,
    /// Whom the others log in as, when it is not the default user.
    user: Option<&'static str>,
}

/// A node that only waits for a processor, or makes a reply of 256 MB, stays in use however busy the machine is: a
/// test that reads what it has written counts on it. One that has died is out at once all the same, because its
/// connections break; one that is frozen, after the three seconds.
pub(crate) const PATIENT: [(&str, &str); 6] = [
    ("HEALTH_CHECK_INTERVAL", "3s"),
    ("HEALTH_CHECK_TIMEOUT", "3s"),
    ("SUSPECT_AFTER", "3s"),
    ("NODE_TIMEOUT", "20s"),
    ("CONNECT_TIMEOUT", "20s"),
    // A request waits for the new view, not for an error.
    ("HOLD_TIMEOUT", "20s"),
];

/// Nodes, a health service, and proxies that follow it.
pub(crate) struct Cluster {
    setup: Setup,
    pub(crate) nodes: Vec<Member>,
    pub(crate) health: Member,
    pub(crate) proxies: Vec<Member>,
}

impl Cluster {
    /// Starts everything and waits until the health service calls all of it healthy and every proxy routes.
    pub(crate) fn start(nodes: usize, proxies: usize) -> Self {
        Self::over(NODE, nodes, proxies, None)
    }

    /// The same over nodes that are stock Redis servers.
    pub(crate) fn over_redis(nodes: usize, proxies: usize) -> Self {
        redis_server::assert_installed();
        Self::over(REDIS_NODE, nodes, proxies, None)
    }

    /// Nodes that ask for a password, which all the others know.
    pub(crate) fn with_password(nodes: usize, proxies: usize, password: &'static str) -> Self {
        Self::over(NODE, nodes, proxies, Some(password))
    }

    /// Stock Redis servers whose default user is off: the others log in as one of an access control list.
    pub(crate) fn over_redis_with_user(nodes: usize, proxies: usize, password: &'static str) -> Self {
        redis_server::assert_installed();
        Self::over(REDIS_USER_NODE, nodes, proxies, Some(password))
    }

    /// Nodes that ask for none of the password that the others know.
    pub(crate) fn with_login_only(nodes: usize, proxies: usize, password: &'static str) -> Self {
        Self::over(OPEN_NODE, nodes, proxies, Some(password))
    }

    /// The same over nodes that are stock Redis servers.
    pub(crate) fn over_redis_with_password(nodes: usize, proxies: usize, password: &'static str) -> Self {
        redis_server::assert_installed();
        Self::over(REDIS_NODE, nodes, proxies, Some(password))
    }

    /// The same over nodes that are stock Valkey servers.
    pub(crate) fn over_valkey(nodes: usize, proxies: usize) -> Self {
        Self::over(VALKEY_NODE, nodes, proxies, None)
    }

    fn over(node: Program, nodes: usize, proxies: usize, password: Option<&'static str>) -> Self {
        let address = || format!("127.0.0.1:{}", free_port());
        let named = |kind: &str, count: usize| -> Vec<(String, String)> {
            (1..=count).map(|number| (format!("{kind}{number}"), address())).collect()
        };
        let (nodes, proxies) = (named("node", nodes), named("proxy", proxies));
        let files = TempDir::new().expect("a temporary directory");
        fs::write(files.path().join("cluster.toml"), topology(&nodes, &proxies))
            .expect("a writable directory");
        let admin_ports = proxies.iter().map(|(id, _)| (id.clone(), free_port())).collect();
        let setup = Setup { files, health: address(), admin_ports, password, user: node.user };
        let start_all = |places: Vec<(String, String)>, program| -> Vec<Member> {
            places.into_iter().map(|(id, address)| Member::start(&setup, id, address, program)).collect()
        };
        let nodes = start_all(nodes, node);
        let health = Member::start(&setup, "health".to_owned(), setup.health.clone(), HEALTH);
        let proxies = start_all(proxies, PROXY);
        let mut cluster = Self { setup, nodes, health, proxies };
        cluster.nodes.iter_mut().chain(&mut cluster.proxies).for_each(Member::await_ready);
        cluster.health.await_ready();
        cluster.until_nodes_are("HEALTHY", |_| true);
        cluster.until_every_proxy_serves();
        cluster
    }

    /// The JSON of a path of the health service.
    pub(crate) fn health(&self, path: &str) -> Result<Value, String> {
        http::get_json(&self.setup.health, path)
    }

    /// The epoch of the view.
    pub(crate) fn epoch(&self) -> u64 {
        eventually("the health service tells its epoch", || {
            let view = self.health("/health/view")?;
            view["epoch"].as_u64().ok_or_else(|| format!("no epoch in {view}"))
        })
    }

    /// Waits until the chosen nodes have this status and every proxy routes by that. `HEALTHY` are those that may be
    /// sent traffic, as the processes that run now: one that was restarted is HEALTHY until somebody notices.
    pub(crate) fn until_nodes_are(&self, status: &str, chosen: impl Fn(&str) -> bool) {
        let is_healthy = status == "HEALTHY";
        let ids = self.nodes.iter().map(|node| node.id.as_str()).enumerate();
        let wanted = ids.filter(|(_, id)| chosen(id));
        let wanted: Vec<_> = wanted.map(|(at, id)| (id, is_healthy.then(|| self.run_id(at)))).collect();
        let epoch = eventually(&format!("the nodes are {status}"), || {
            let view = self.health("/health/view")?;
            let nodes = view["nodes"].as_array().ok_or_else(|| format!("no nodes in {view}"))?;
            let is_so = |(id, run_id): &(&str, Option<String>)| {
                nodes.iter().find(|node| node["nodeId"] == *id).is_some_and(|node| {
                    node["status"] == status
                        && node["routable"] == is_healthy
                        && run_id.as_ref().is_none_or(|run_id| node["runId"] == **run_id)
                })
            };
            view["epoch"].as_u64().filter(|_| wanted.iter().all(is_so)).ok_or_else(|| view.to_string())
        });
        self.until_proxies_route_by(epoch);
    }

    /// The number of the process of the node at this index.
    fn run_id(&self, index: usize) -> String {
        let info = self.node_client(index).ask("INFO server");
        let field = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        field.unwrap_or_else(|| panic!("no run_id in {info}")).to_owned()
    }

    fn until_every_proxy_serves(&self) {
        for index in 0..self.proxies.len() {
            eventually(&format!("proxy {index} serves"), || match self.client(index).ask("PING") {
                pong if pong == "+PONG\r\n" => Ok(()),
                other => Err(other),
            });
        }
    }

    /// Waits until every proxy routes by this view or a newer one.
    pub(crate) fn until_proxies_route_by(&self, epoch: u64) {
        for index in 0..self.proxies.len() {
            eventually(&format!("proxy {index} routes by epoch {epoch}"), || {
                let info = self.client(index).ask("INFO fastcache");
                let field = info.lines().find_map(|line| line.strip_prefix("view_epoch:"));
                let known = field.and_then(|number| number.parse::<u64>().ok());
                if known >= Some(epoch) { Ok(()) } else { Err(info) }
            });
        }
    }

    /// Waits until the proxy at this index has the newest view on disk.
    pub(crate) fn until_proxy_keeps_its_view(&self, index: usize) {
        let file = self.setup.files.path().join(&self.proxies[index].id).join("view.json");
        let epoch = self.epoch();
        eventually("the proxy keeps its view", || {
            let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            let kept: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
            if kept["epoch"].as_u64() >= Some(epoch) { Ok(()) } else { Err(text) }
        });
    }

    /// Waits until the node at this index holds keys.
    pub(crate) fn until_node_has_keys(&self, index: usize) {
        eventually(&format!("node {index} has keys"), || match self.node_client(index).ask("DBSIZE") {
            empty if empty == ":0\r\n" => Err(empty),
            _ => Ok(()),
        });
    }

    /// A connection to the proxy at this index.
    pub(crate) fn client(&self, proxy: usize) -> Client {
        let address = &self.proxies[proxy].address;
        Client::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// The port of the admin endpoints of the proxy at this index.
    pub(crate) fn admin_port(&self, proxy: usize) -> u16 {
        self.setup.admin_ports[&self.proxies[proxy].id]
    }

    /// A connection to the node at this index, past the proxies.
    pub(crate) fn node_client(&self, node: usize) -> Client {
        let address = &self.nodes[node].address;
        let mut client = Client::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        if let Some(password) = self.setup.password {
            let user = self.setup.user.unwrap_or("default");
            client.ask(&format!("AUTH {user} {password}"));
        }
        client
    }

    /// Starts a killed node again, empty, at its old address.
    pub(crate) fn restart_node(&mut self, index: usize) {
        self.nodes[index].restart(&self.setup);
    }

    /// The same with another password than the others know.
    pub(crate) fn restart_node_with_password(&mut self, index: usize, password: &'static str) {
        let right = self.setup.password.replace(password);
        self.nodes[index].restart(&self.setup);
        self.setup.password = right;
    }

    /// Starts a killed proxy again at its old address, with the view it had kept.
    pub(crate) fn restart_proxy(&mut self, index: usize) {
        self.proxies[index].restart(&self.setup);
        self.until_every_proxy_serves();
    }

    /// The same with another password than the nodes take.
    pub(crate) fn restart_proxy_with_password(&mut self, index: usize, password: &'static str) {
        let right = self.setup.password.replace(password);
        self.proxies[index].restart(&self.setup);
        self.setup.password = right;
    }

    /// Starts the killed health service again, with what it had saved, at its old address.
    pub(crate) fn restart_health(&mut self) {
        self.health.restart(&self.setup);
    }

    /// The same with another password than the nodes take.
    pub(crate) fn restart_health_with_password(&mut self, password: &'static str) {
        let right = self.setup.password.replace(password);
        self.health.restart(&self.setup);
        self.setup.password = right;
    }
}

const NODE: Program = Program { command: node_command, await_ready: Member::await_address, user: None };
const OPEN_NODE: Program =
    Program { command: open_node_command, await_ready: Member::await_address, user: None };
/// A user of the nodes' access control list.
const USER: &str = "fastcache";

const REDIS_NODE: Program = Program { command: redis_command, await_ready: Member::await_redis, user: None };
const VALKEY_NODE: Program =
    Program { command: valkey_command, await_ready: Member::await_redis, user: None };
const REDIS_USER_NODE: Program =
    Program { command: redis_user_command, await_ready: Member::await_redis, user: Some(USER) };
const HEALTH: Program = Program { command: health_command, await_ready: Member::await_address, user: None };
const PROXY: Program = Program { command: proxy_command, await_ready: Member::await_address, user: None };

impl Member {
    fn start(setup: &Setup, id: String, address: String, program: Program) -> Self {
        let process = Process::spawn(&id, (program.command)(setup, &id, port(&address)));
        Self { id, address, process, program }
    }

    fn await_ready(&mut self) {
        (self.program.await_ready)(self);
    }

    fn await_address(&self) {
        assert_eq!(self.process.address(), self.address, "{} listens elsewhere", self.id);
    }

    fn await_redis(&self) {
        self.process.wait_for_line(redis_server::READY);
    }

    fn restart(&mut self, setup: &Setup) {
        self.process = Process::spawn(&self.id, (self.program.command)(setup, &self.id, port(&self.address)));
        self.await_ready();
    }
}

/// A node without a cluster, and its address.
pub(crate) fn lone_node() -> (Process, String) {
    let node = Process::spawn("node", fastcache(&["cache-node", "--port", "0"]));
    let address = node.address();
    (node, address)
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(_, port)| port)
}

fn topology(nodes: &[(String, String)], proxies: &[(String, String)]) -> String {
    let mut text = String::new();
    for (kind, members) in [("node", nodes), ("proxy", proxies)] {
        for (id, address) in members {
            let _ = write!(text, "[[{kind}]]\nid = \"{id}\"\naddress = \"{address}\"\n");
        }
    }
    text
}

fn node_command(setup: &Setup, id: &str, port: &str) -> Command {
    let mut command = fastcache(&["cache-node", "--port", port, "--node-id", id]);
    command.env("NODE_PASSWORD", setup.password.unwrap_or_default());
    command
}

fn open_node_command(_: &Setup, id: &str, port: &str) -> Command {
    fastcache(&["cache-node", "--port", port, "--node-id", id])
}

fn redis_user_command(setup: &Setup, id: &str, port: &str) -> Command {
    let mut command = redis_command(setup, id, port);
    let password = format!(">{}", setup.password.unwrap_or_default());
    command.args(["--user", USER, "on", &password, "~*", "&*", "+@all", "--user", "default", "off"]);
    command
}

fn redis_command(setup: &Setup, _: &str, port: &str) -> Command {
    stock_server(Command::new("redis-server"), setup, port)
}

fn valkey_command(setup: &Setup, _: &str, port: &str) -> Command {
    stock_server(valkey_server(), setup, port)
}

fn stock_server(mut command: Command, setup: &Setup, port: &str) -> Command {
    command.args(["--port", port, "--bind", "127.0.0.1", "--save", ""]).current_dir(setup.files.path());
    command.args(["--requirepass", setup.password.unwrap_or_default()]);
    command
}

fn health_command(setup: &Setup, _: &str, port: &str) -> Command {
    let mut command =
        fastcache(&["health-service", "--port", port, "--cluster", "cluster.toml", "--state-dir", "."]);
    command
        .envs(PATIENT)
        .env("NODE_PASSWORD", setup.password.unwrap_or_default())
        .env("NODE_USERNAME", setup.user.unwrap_or_default());
    command.current_dir(setup.files.path());
    command
}

fn proxy_command(setup: &Setup, id: &str, port: &str) -> Command {
    let health = format!("http://{}", setup.health);
    let admin_port = setup.admin_ports[id].to_string();
    let mut command = fastcache(&[
        "cache-proxy",
        "--port",
        port,
        "--admin-port",
        &admin_port,
        "--proxy-id",
        id,
        "--health-service",
        &health,
        "--state-dir",
        id,
    ]);
    command
        .envs(PATIENT)
        .env("NODE_PASSWORD", setup.password.unwrap_or_default())
        .env("NODE_USERNAME", setup.user.unwrap_or_default());
    command.current_dir(setup.files.path());
    command
}
