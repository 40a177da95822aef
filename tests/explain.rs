//! What the proxies tell about themselves is true: keys are where `PROXY EXPLAIN` says, and go where `PROXY SIMULATE`
//! foretold.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::binaries::fastcache;
use crate::cluster::Cluster;
use crate::eventually::eventually;
use crate::http;
use crate::output::output;

const KEYS: usize = 200;

/// What a path of the admin port of the proxy at this index answers.
fn told(cluster: &Cluster, proxy: usize, path: &str) -> Value {
    let address = format!("127.0.0.1:{}", cluster.admin_port(proxy));
    http::get_json(&address, path).unwrap_or_else(|error| panic!("{error}"))
}

/// The output of a command that must succeed.
fn printed(command: Command) -> String {
    let output = output(command, b"");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `fastcache explain` about these keys, as JSON.
fn explained(cluster: &Cluster, proxy: usize, keys: &[String]) -> Value {
    let url = format!("http://127.0.0.1:{}", cluster.admin_port(proxy));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let args = [&["explain"], keys.as_slice(), &["--json", "--proxy", &url]].concat();
    serde_json::from_str(&printed(fastcache(&args))).expect("JSON")
}

fn serving(cluster: &Cluster, explained: &Value) -> usize {
    let id = explained["serving"].as_str().unwrap_or_else(|| panic!("nobody serves: {explained}"));
    cluster.nodes.iter().position(|node| node.id == id).unwrap_or_else(|| panic!("no node {id}"))
}

fn assert_is_where_it_is_said(cluster: &Cluster, explained: &Value) {
    for key in explained["keys"].as_array().expect("keys") {
        let (name, node) = (key["key"].as_str().expect("a name"), serving(cluster, key));
        assert_eq!(cluster.node_client(node).ask(&format!("EXISTS {name}")), ":1\r\n", "{key}");
    }
}

#[test]
fn keys_are_where_it_is_said_and_go_where_it_was_foretold() {
    let mut cluster = Cluster::over_redis(4, 2);
    let keys: Vec<String> = (0..KEYS).map(|number| format!("key:{number}")).collect();
    let mut client = cluster.client(0);
    keys.iter().for_each(|key| assert_eq!(client.ask(&format!("SET {key} before")), "+OK\r\n"));
    let before = explained(&cluster, 0, &keys);
    assert_is_where_it_is_said(&cluster, &before);
    assert_eq!(explained(&cluster, 1, &keys)["keys"], before["keys"], "all proxies say the same");
    let foretold = told(&cluster, 0, "/simulate?down=node2");
    cluster.nodes[1].process.kill();
    cluster.until_nodes_are("UNHEALTHY", |id| id == "node2");
    cluster.until_proxies_route_by(cluster.epoch());
    keys.iter().for_each(|key| assert_eq!(client.ask(&format!("SET {key} after")), "+OK\r\n"));
    let after = explained(&cluster, 0, &keys);
    assert_is_where_it_is_said(&cluster, &after);
    for (before, after) in
        before["keys"].as_array().into_iter().flatten().zip(after["keys"].as_array().expect("keys"))
    {
        let moved = before["serving"] == "node2";
        let expected = if moved { &before["nextInLine"] } else { &before["serving"] };
        assert_eq!(&after["serving"], expected, "{after}");
        let why = after["why"].as_str().expect("a reason");
        assert_eq!(why.contains("out of service (UNHEALTHY)"), moved, "{why}");
    }
    let view = told(&cluster, 1, "/view");
    for stand_in in view["outOfService"][0]["standIns"].as_array().expect("stand-ins") {
        let receivers = foretold["nodes"].as_array().expect("nodes");
        let receiver = receivers.iter().find(|node| node["node"] == stand_in["node"]);
        assert_eq!(receiver.expect("foretold")["gets"]["slots"], stand_in["slots"], "{view} {foretold}");
    }
}

#[test]
fn a_slow_node_is_told_from_a_slow_proxy() {
    /// Keeps the node busy for three times what is slow, on any machine: far from what the health service would act on.
    const SLOW: &str = "
        local function now() local time = redis.call('TIME') return time[1] * 1000000 + time[2] end
        local over = now() + 30000
        while now() < over do end
        return 1";
    let cluster = Cluster::over_redis(2, 1);
    let mut client = cluster.client(0);
    // What comes before the connection to the node is there is not timed.
    assert_eq!(client.ask("SET cart:7 1"), "+OK\r\n");
    let reply = client.try_ask(&[b"EVAL", SLOW.as_bytes(), b"1", b"cart:7", b"secret"]);
    assert_eq!(reply.expect("a reply"), b":1\r\n");
    let slow = told(&cluster, 0, "/slowlog?count=1")[0].clone();
    assert_eq!((&slow["command"], &slow["key"]), (&"eval".into(), &"cart:7".into()), "{slow}");
    let micros = |field: &str| slow[field].as_u64().expect("a number");
    assert!(micros("nodeMicros") >= 25_000 && micros("totalMicros") >= micros("nodeMicros"), "{slow}");
    assert!(!slow.to_string().contains("secret"), "{slow}");
    let explained = explained(&cluster, 0, &["cart:7".to_owned()]);
    assert_eq!(slow["node"], explained["keys"][0]["serving"]);
    assert_eq!(client.ask("PROXY SLOWLOG RESET"), "+OK\r\n");
    assert_eq!(client.ask("PROXY SLOWLOG LEN"), ":0\r\n");
}

#[test]
fn redis_cli_shows_it_and_only_the_proxies_know_the_command() {
    let cluster = Cluster::start(2, 1);
    let (_, port) = cluster.proxies[0].address.rsplit_once(':').expect("a port");
    let cli = |args: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args(["-p", port]).args(args);
        printed(command)
    };
    let fields = cli(&["-3", "PROXY", "EXPLAIN", "{u1}.name"]);
    for field in ["key", "hashed", "slot", "owner", "serving", "address", "nextInLine", "why"] {
        assert!(
            fields.contains(&format!("{field} ")) || fields.contains(&format!("\"{field}\"")),
            "{fields}"
        );
    }
    assert!(cli(&["PROXY", "HELP"]).contains("SIMULATE DOWN <node> [<node> ...]"));
    assert!(cli(&["COMMAND", "INFO", "proxy"]).contains("proxy|explain"));
    let unknown = cluster.node_client(0).ask("PROXY VIEW");
    assert!(unknown.starts_with("-ERR unknown command 'PROXY'"), "{unknown}");
    let sentences = printed(fastcache(&[
        "explain",
        "user:1",
        "user:2",
        "--proxy",
        &format!("http://127.0.0.1:{}", cluster.admin_port(0)),
    ]));
    assert!(
        sentences.starts_with("user:1\n  slot ")
            && sentences.contains("\nas proxy1 routes, by the view of epoch ")
    );
}

#[test]
fn the_load_that_would_move_is_told_from_what_clients_ask() {
    let cluster = Cluster::start(3, 1);
    let mut client = cluster.client(0);
    let explained = explained(&cluster, 0, &["hot".to_owned()]);
    let node = explained["keys"][0]["serving"].as_str().expect("served").to_owned();
    for _ in 0..400 {
        client.ask("GET hot");
    }
    eventually("the load is told", || {
        let outcome = told(&cluster, 0, &format!("/simulate?down={node}"));
        let share = outcome["moved"]["loadShare"].as_f64().ok_or_else(|| outcome.to_string())?;
        if share > 0.99 { Ok(()) } else { Err(outcome.to_string()) }
    });
    let rate = told(&cluster, 0, "/nodes");
    let nodes = rate["nodes"].as_array().expect("nodes");
    let busy: Vec<_> = nodes.iter().filter(|node| node["requestsPerSecond"].as_f64() > Some(0.0)).collect();
    assert_eq!(busy.len(), 1, "{rate}");
    assert_eq!(busy[0]["node"], node);
}

#[test]
fn the_document_names_what_is_there() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/explain.md");
    let document =
        fs::read_to_string(&document).unwrap_or_else(|error| panic!("{}: {error}", document.display()));
    let cluster = Cluster::start(2, 1);
    let mut client = cluster.client(0);
    client.ask("PROXY SLOWLOG RESET");
    let address = format!("127.0.0.1:{}", cluster.admin_port(0));
    let (_, metrics) = http::get(&address, "/metrics").expect("metrics");
    let (_, rows) = document.split_once("| `cache_proxy_…`").expect("a table of metrics");
    let names = rows.lines().filter_map(|row| row.strip_prefix("| `")?.split(" | ").next());
    let names: Vec<&str> = names.flat_map(|cell| cell.split('`')).filter(|name| name.contains('_')).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(metrics.contains(&format!("\ncache_proxy_{name}")), "{name} is not in {metrics}");
    }
    let key = &explained(&cluster, 0, &["k".to_owned()])["keys"][0];
    let nodes = told(&cluster, 0, "/nodes");
    let fields = |answer: &Value| answer.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    for field in fields(&nodes["nodes"][0]) {
        assert!(document.contains(&format!("\"{field}\":")), "{field} is not in the document");
    }
    for told in ["why", "serving", "owner", "slot"] {
        assert!(fields(key).iter().any(|field| field == told), "{told} is not in {key}");
    }
    for field in fields(&told(&cluster, 0, "/simulate?down=node1")) {
        assert!(document.contains(&format!("\"{field}\":")), "{field} is not in the document");
    }
}
