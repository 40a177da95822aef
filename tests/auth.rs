//! Nodes that ask for a password: they are probed, served, flushed and used again like others; one that does not
//! take the password is said to be just that.

use rustix::process::Signal;

use crate::binaries::fastcache;
use crate::client::Client;
use crate::cluster::Cluster;
use crate::eventually::eventually;
use crate::http;
use crate::load::Load;
use crate::output::output;
use crate::process::Process;
use crate::up::Up;

/// Found nowhere by chance.
const CLIENTS: &str = "s3cret-of-the-clients";
const PASSWORD: &str = "s3cret-of-the-nodes";

#[test]
fn nodes_with_a_password_serve_fail_and_come_back() {
    serve_fail_and_come_back(Cluster::with_password(3, 1, PASSWORD));
}

#[test]
fn stock_redis_nodes_with_a_password_serve_fail_and_come_back() {
    serve_fail_and_come_back(Cluster::over_redis_with_password(3, 1, PASSWORD));
}

#[test]
fn stock_redis_nodes_with_a_user_serve_fail_and_come_back() {
    serve_fail_and_come_back(Cluster::over_redis_with_user(3, 1, PASSWORD));
}

fn serve_fail_and_come_back(mut cluster: Cluster) {
    let mut client = cluster.client(0);
    write_and_read(&mut client, 0);
    let mut stranger = Client::connect(&cluster.nodes[1].address).expect("the node listens");
    assert!(stranger.ask("GET k0").starts_with("-NOAUTH"), "the node asks for its password");

    cluster.nodes[1].process.kill();
    cluster.until_nodes_are("UNHEALTHY", |id| id == "node2");
    write_and_read(&mut client, 1);

    cluster.restart_node(1);
    cluster.until_nodes_are("HEALTHY", |_| true);
    eventually("the node is written to again", || {
        write_and_read(&mut client, 2);
        match cluster.node_client(1).ask("DBSIZE") {
            empty if empty == ":0\r\n" => Err(empty),
            _ => Ok(()),
        }
    });
}

/// A frozen node keeps its data; whoever puts it back into use empties it first, and must log in for that.
#[test]
fn a_node_with_a_password_is_emptied_before_it_is_used_again() {
    let cluster = Cluster::with_password(3, 1, PASSWORD);
    cluster.node_client(1).ask("SET left-behind 1");
    let load = Load::start(&[&cluster.proxies[0].address], 2);
    load.until_answered(100);
    cluster.nodes[1].process.signal(Signal::STOP);
    cluster.until_nodes_are("UNHEALTHY", |id| id == "node2");
    cluster.nodes[1].process.signal(Signal::CONT);
    cluster.until_nodes_are("HEALTHY", |_| true);
    load.stop().assert_unharmed();
    assert_eq!(cluster.node_client(1).ask("GET left-behind"), "$-1\r\n");
}

#[test]
fn a_node_that_does_not_take_the_password_is_said_to_be_just_that() {
    let mut cluster = Cluster::with_password(3, 1, PASSWORD);
    let mut client = cluster.client(0);
    cluster.nodes[1].process.kill();
    cluster.until_nodes_are("UNHEALTHY", |id| id == "node2");
    cluster.restart_node_with_password(1, "other");
    let problem = "the node does not take the password (--node-password): WRONGPASS";
    eventually("the health service tells what is wrong", || {
        let node = cluster.health("/health/nodes/node2")?;
        let told = node["errorMessage"].as_str().unwrap_or_default();
        if told.starts_with(problem) { Ok(()) } else { Err(node.to_string()) }
    });
    until_log_tells(&cluster.health.process, problem);
    // The others do its work meanwhile.
    write_and_read(&mut client, 3);

    let mut node = Client::connect(&cluster.nodes[1].address).expect("the node listens");
    assert_eq!(node.ask("AUTH other"), "+OK\r\n");
    assert_eq!(node.ask(&format!("CONFIG SET requirepass {PASSWORD}")), "+OK\r\n");
    cluster.until_nodes_are("HEALTHY", |_| true);
    write_and_read(&mut client, 4);
}

#[test]
fn a_proxy_with_a_wrong_password_says_so() {
    let mut cluster = Cluster::with_password(2, 1, PASSWORD);
    cluster.proxies[0].process.kill();
    cluster.restart_proxy_with_password(0, "other");
    until_log_tells(
        &cluster.proxies[0].process,
        "the node does not take the password (--node-password): WRONGPASS",
    );
}

fn until_log_tells(process: &Process, what: &str) {
    eventually("the log tells what is wrong", || match process.log() {
        log if log.contains(what) => Ok(()),
        log => Err(log),
    });
}

/// A running cluster is given a password: first those who log in know it, then the nodes ask for it.
#[test]
fn a_password_is_introduced_without_an_outage() {
    let cluster = Cluster::with_login_only(3, 1, PASSWORD);
    let mut client = cluster.client(0);
    write_and_read(&mut client, 0);
    for index in 0..3 {
        let answer = cluster.node_client(index).ask(&format!("CONFIG SET requirepass {PASSWORD}"));
        assert_eq!(answer, "+OK\r\n");
    }
    write_and_read(&mut client, 1);
    // Whoever was connected need not log in: it must also hold for those who connect anew.
    for index in 0..3 {
        assert!(cluster.node_client(index).ask("CLIENT KILL TYPE normal").starts_with(':'));
    }
    write_and_read(&mut client, 2);
    for index in 0..3 {
        eventually("the proxy and the health service are connected", || {
            let list = cluster.node_client(index).ask("CLIENT LIST");
            // With the one that asks.
            if list.matches(" addr=").count() >= 3 { Ok(()) } else { Err(list) }
        });
    }
    cluster.until_nodes_are("HEALTHY", |_| true);
    assert_eq!(refused_logins(&cluster), Ok(0));
    for node in &cluster.nodes {
        let history = cluster.health(&format!("/health/nodes/{}/history", node.id)).expect("its history");
        let outages = history.as_array().into_iter().flatten().filter(|change| change["to"] == "UNHEALTHY");
        // One that does not get a processor when its connections are cut is looked at just then.
        let is_silence = |cause: &str| cause.ends_with("no answer within 250 ms");
        let mut causes = outages.filter_map(|change| change["cause"].as_str());
        assert!(causes.all(is_silence), "a node was out of use: {history}");
    }
}

/// How often the health service was not let in.
fn refused_logins(cluster: &Cluster) -> Result<u64, String> {
    let (_, metrics) = http::get(&cluster.health.address, "/metrics")?;
    let count = metrics
        .lines()
        .find_map(|line| line.strip_prefix("health_service_probe_failures_total{reason=\"login\"} "));
    count.and_then(|count| count.parse().ok()).ok_or(metrics)
}

/// The proxies have the right one: that the health service cannot look is no reason to take anything from them.
#[test]
fn a_health_service_with_a_wrong_password_takes_no_node_out() {
    let mut cluster = Cluster::with_password(2, 1, PASSWORD);
    let mut client = cluster.client(0);
    cluster.health.process.kill();
    cluster.restart_health_with_password("other");
    eventually("more looks were refused than make a node UNHEALTHY", || match refused_logins(&cluster)? {
        ..10 => Err(cluster.health("/health/nodes")?.to_string()),
        _ => Ok(()),
    });
    let problem = "the node does not take the password (--node-password): WRONGPASS";
    for id in ["node1", "node2"] {
        let node = cluster.health(&format!("/health/nodes/{id}")).expect("the node's health");
        let told = node["errorMessage"].as_str().unwrap_or_default();
        assert!(told.starts_with(problem) && node["routable"] == true, "{node}");
    }
    until_log_tells(&cluster.health.process, "cannot log in");
    write_and_read(&mut client, 1);
}

/// Passwords reach the children of `up` by their environment: no process shows them on its command line.
#[test]
fn up_gives_its_passwords_to_all_who_need_them() {
    let up = Up::start_with("shared", |command| {
        command.args(["--node-password", PASSWORD]).env("REQUIREPASS", CLIENTS);
    });
    let mut client = up.client();
    assert!(client.ask("GET k").starts_with("-NOAUTH"), "the proxies ask for theirs");
    assert_eq!(client.ask(&format!("AUTH {CLIENTS}")), "+OK\r\n");
    write_and_read(&mut client, 0);
    let address = format!("127.0.0.1:{}", up.ports.first_node);
    let mut node = Client::connect(&address).expect("the node listens");
    assert!(node.ask("GET k").starts_with("-NOAUTH"), "the nodes ask for theirs");
    assert_eq!(node.ask(&format!("AUTH {PASSWORD}")), "+OK\r\n");
    // Those of this cluster alone: three nodes, two proxies and the health service.
    let children = children(&up);
    assert_eq!(children.len(), 6, "{children:?}");
    for (_, line) in children {
        assert!(!line.contains(CLIENTS) && !line.contains(PASSWORD), "{line}");
    }
    let health = output(fastcache(&["healthcheck", &address]), b"");
    assert!(health.status.success(), "a node that asks for its password is well");
}

/// What is left in the environment from another cluster does no harm; and the line that starts a child again has
/// its password from where `up` has it.
#[test]
fn up_takes_a_password_from_where_it_is_told_to() {
    let files = tempfile::TempDir::new().expect("a temporary directory");
    let (of_clients, of_others) = (files.path().join("clients"), files.path().join("others"));
    std::fs::write(&of_clients, format!("{CLIENTS}\n")).expect("a writable directory");
    std::fs::write(&of_others, "of-another-cluster\n").expect("a writable directory");
    let up = Up::start_with("shared", |command| {
        command.args(["--node-password", PASSWORD]).env("REQUIREPASS_FILE", &of_clients);
        command.env("NODE_PASSWORD_FILE", &of_others).env("NODE_USERNAME", "of-another-cluster");
    });
    let mut client = up.client();
    assert_eq!(client.ask(&format!("AUTH {CLIENTS}")), "+OK\r\n");
    write_and_read(&mut client, 0);
    let proxy = format!("port\0{}\0", up.ports.first_proxy);
    let (id, _) =
        children(&up).into_iter().find(|(_, line)| line.contains(&proxy)).expect("the first proxy runs");
    let id = rustix::process::Pid::from_raw(id).expect("a process");
    rustix::process::kill_process(id, Signal::KILL).expect("it is ours");
    let line = up.process.wait_for_line("to start it again");
    assert!(
        line.contains("NODE_PASSWORD=\"${NODE_PASSWORD:?}\"") && !line.contains("NODE_PASSWORD_FILE"),
        "{line}"
    );
    let file = format!("REQUIREPASS_FILE={}", of_clients.display());
    assert!(line.contains(&file) && !line.contains("REQUIREPASS=") && !line.contains("USERNAME"), "{line}");
}

/// The children of an `up`, with their command lines.
fn children(up: &Up) -> Vec<(i32, String)> {
    let is_child = format!("\0guarded\0{}\0", up.process.id());
    let entries = std::fs::read_dir("/proc").expect("there is /proc");
    entries
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains(&is_child).then_some((id, line))
        })
        .collect()
}

fn write_and_read(client: &mut Client, round: usize) {
    for key in 0..50 {
        assert_eq!(client.ask(&format!("SET k{key} {round}")), "+OK\r\n");
        assert_eq!(client.ask(&format!("GET k{key}")), format!("$1\r\n{round}\r\n"));
    }
}
