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
    /// How often nodes are probed, and how long each may take to answer.
    probing: [&'static str; 2],
}

/// Thresholds as everywhere (3 failures, 2 successes), in less time than the usual 30 s.
const QUICK: [&str; 2] = ["1s", "500ms"];
/// A node that makes a reply of 256 MB answers nobody meanwhile, on a busy machine for longer than that.
const PATIENT: [&str; 2] = ["3s", "3s"];

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

    /// The same with values so large that a node is busy with one for a while.
    pub(crate) fn over_redis_with_large_values(nodes: usize, proxies: usize) -> Self {
        redis_server::assert_installed();
        Self::over_probed(REDIS_NODE, nodes, proxies, None, PATIENT)
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
        Self::over_probed(node, nodes, proxies, password, QUICK)
    }

    fn over_probed(
        node: Program,
        nodes: usize,
        proxies: usize,
        password: Option<&'static str>,
        probing: [&'static str; 2],
    ) -> Self {
        let address = || format!("127.0.0.1:{}", free_port());
        let named = |kind: &str, count: usize| -> Vec<(String, String)> {
            (1..=count).map(|number| (format!("{kind}{number}"), address())).collect()
        };
        let (nodes, proxies) = (named("node", nodes), named("proxy", proxies));
        let files = TempDir::new().expect("a temporary directory");
        fs::write(files.path().join("cluster.toml"), topology(&nodes, &proxies))
            .expect("a writable directory");
        let admin_ports = proxies.iter().map(|(id, _)| (id.clone(), free_port())).collect();
        let setup = Setup { files, health: address(), admin_ports, password, user: node.user, probing };
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

    /// Waits until the chosen nodes have this status and, when it is `HEALTHY`, may be sent traffic.
    pub(crate) fn until_nodes_are(&self, status: &str, chosen: impl Fn(&str) -> bool) {
        eventually(&format!("the nodes are {status}"), || {
            let view = self.health("/health/view")?;
            let nodes = view["nodes"].as_array().ok_or_else(|| format!("no nodes in {view}"))?;
            let is_so = |node: &&Value| node["status"] == status && node["routable"] == (status == "HEALTHY");
            let wanted = self.nodes.iter().filter(|node| chosen(&node.id)).count();
            let found =
                nodes.iter().filter(|node| node["nodeId"].as_str().is_some_and(&chosen)).filter(is_so);
            if found.count() == wanted { Ok(()) } else { Err(view.to_string()) }
        });
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

    /// Waits until the proxy at this index has its view on disk.
    pub(crate) fn until_proxy_keeps_its_view(&self, index: usize) {
        let file = self.setup.files.path().join(&self.proxies[index].id).join("view.json");
        eventually("the proxy keeps its view", || {
            if file.exists() { Ok(()) } else { Err(format!("there is no {}", file.display())) }
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
    let [interval, timeout] = setup.probing;
    command.env("HEALTH_CHECK_INTERVAL", interval).env("HEALTH_CHECK_TIMEOUT", timeout);
    command
        .env("NODE_PASSWORD", setup.password.unwrap_or_default())
        .env("NODE_USERNAME", setup.user.unwrap_or_default());
    command.current_dir(setup.files.path());
    command
}

/// A request waits for the new view, not for an error: on a busy machine that takes longer than the second that
/// is the default.
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
        .env("HOLD_TIMEOUT", "20s")
        .env("NODE_PASSWORD", setup.password.unwrap_or_default())
        .env("NODE_USERNAME", setup.user.unwrap_or_default());
    command.current_dir(setup.files.path());
    command
}
