//! Scripts and functions through two proxies over stock Redis nodes: loaded once they are everywhere, also on a
//! node that came back without them; and what concerns all nodes is told of all nodes.

use std::thread;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::eventually::eventually;

const NODES: usize = 3;

/// A key on each node, as the nodes themselves tell.
fn key_on_each_node(cluster: &Cluster) -> Vec<String> {
    let mut client = cluster.client(0);
    let mut keys = vec![None; NODES];
    for number in 0..1_000 {
        let key = format!("key:{number}");
        assert_eq!(client.ask(&format!("SET {key} 1")), "+OK\r\n");
        let node =
            (0..NODES).find(|node| cluster.node_client(*node).ask(&format!("EXISTS {key}")) == ":1\r\n");
        keys[node.expect("one node has it")].get_or_insert(key);
        if keys.iter().all(Option::is_some) {
            break;
        }
    }
    keys.into_iter().map(|key| key.expect("a thousand keys are on all nodes")).collect()
}

fn ask(client: &mut Client, request: &[&str]) -> String {
    let request: Vec<_> = request.iter().map(|argument| argument.as_bytes()).collect();
    let reply = client.try_ask(&request).expect("the connection holds");
    String::from_utf8_lossy(&reply).into_owned()
}

fn load(client: &mut Client, script: &str) -> String {
    let reply = ask(client, &["SCRIPT", "LOAD", script]);
    reply.lines().nth(1).unwrap_or_else(|| panic!("{reply}")).to_owned()
}

#[test]
fn a_script_loaded_once_is_known_by_all_nodes_and_outlives_them() {
    let mut cluster = Cluster::over_redis(NODES, 2);
    let keys = key_on_each_node(&cluster);
    let mut client = cluster.client(0);
    let name = load(&mut client, "return redis.call('GET', KEYS[1]) or 'nothing'");
    let run = |client: &mut Client, key: &str| client.ask(&format!("EVALSHA {name} 1 {key}"));
    for proxy in 0..2 {
        let mut client = cluster.client(proxy);
        for key in &keys {
            assert_eq!(run(&mut client, key), "$1\r\n1\r\n", "proxy {proxy}, {key}");
        }
        assert_eq!(client.ask(&format!("SCRIPT EXISTS {name} nothing")), "*2\r\n:1\r\n:0\r\n");
    }
    // Restarted in no time: nobody but the proxy has the script now.
    cluster.nodes[1].process.kill();
    cluster.restart_node(1);
    let reply = run(&mut client, &keys[1]);
    assert!(!reply.starts_with('-'), "{reply}");
    cluster.until_nodes_are("HEALTHY", |_| true);
    eventually("the node serves its keys again, and knows the script", || {
        let reply = run(&mut client, &keys[1]);
        assert!(!reply.starts_with('-'), "{reply}");
        let here = cluster.node_client(1).ask(&format!("SCRIPT EXISTS {name}"));
        if here == "*1\r\n:1\r\n" { Ok(()) } else { Err(here) }
    });
    assert_eq!(client.ask("SCRIPT FLUSH"), "+OK\r\n");
    assert!(run(&mut client, &keys[0]).starts_with("-NOSCRIPT "));
}

#[test]
fn functions_and_keyless_scripts_and_a_script_that_does_not_end() {
    let cluster = Cluster::over_redis(NODES, 1);
    let keys = key_on_each_node(&cluster);
    let mut client = cluster.client(0);
    let library =
        "#!lua name=lib\nredis.register_function('get', function(k) return redis.call('GET', k[1]) end)";
    assert_eq!(ask(&mut client, &["FUNCTION", "LOAD", library]), "$3\r\nlib\r\n");
    for key in &keys {
        assert_eq!(client.ask(&format!("FCALL get 1 {key}")), "$1\r\n1\r\n");
    }
    assert!(client.ask("FUNCTION LIST").contains("lib"));
    assert_eq!(client.ask("FUNCTION DELETE lib"), "+OK\r\n");
    assert_eq!(ask(&mut client, &["EVAL", "return ARGV[1]", "0", "x"]), "$1\r\nx\r\n");
    let refused = ask(&mut client, &["EVAL", "return redis.call('SET', 'k', 'v')", "0"]);
    assert!(refused.starts_with("-ERR Write commands are not allowed from read-only scripts"), "{refused}");

    (0..NODES).for_each(|node| drop(cluster.node_client(node).ask("CONFIG SET busy-reply-threshold 50")));
    assert!(client.ask("SCRIPT KILL").starts_with("-NOTBUSY "));
    let (mut caught, key) = (cluster.client(0), keys[0].clone());
    let endless = thread::spawn(move || ask(&mut caught, &["EVAL", "while true do end", "1", &key]));
    // A node that says nothing but BUSY may be put out of use, and its stand-in is then given the script.
    eventually("the script is stopped, wherever it runs", || {
        let told = client.ask("SCRIPT KILL");
        if endless.is_finished() { Ok(()) } else { Err(told) }
    });
    let ended = endless.join().expect("it has an answer");
    assert!(ended.starts_with("-ERR Error running script") || ended.contains("killed"), "{ended}");
}

#[test]
fn what_is_told_of_all_nodes() {
    let cluster = Cluster::over_redis(NODES, 1);
    let keys = key_on_each_node(&cluster);
    let mut client = cluster.client(0);
    let held: u64 = client.ask("DBSIZE").trim_start_matches(':').trim().parse().expect("a number");
    assert!(held >= NODES as u64);
    // A node that does not answer at once is left out.
    eventually("all keys are told", || match client.ask("INFO keyspace") {
        all if all.contains(&format!("db0:keys={held},")) => Ok(()),
        some => Err(some),
    });
    assert!(client.ask("INFO memory").contains("used_memory_human:"));
    for node in 0..NODES {
        cluster.node_client(node).ask("CONFIG SET slowlog-log-slower-than 0");
    }
    keys.iter().for_each(|key| drop(client.ask(&format!("GET {key}"))));
    let log = client.ask("SLOWLOG GET -1");
    assert!(keys.iter().all(|key| log.contains(key.as_str())), "{log}");
    assert!(client.ask("SLOWLOG GET 2").starts_with("*2\r\n"));
    assert_ne!(client.ask("SLOWLOG LEN"), ":0\r\n");
    assert_eq!(client.ask("LATENCY LATEST"), "*0\r\n");
    assert_eq!(client.ask("LATENCY HISTORY command"), "*0\r\n");
}

#[test]
fn over_nodes_without_scripts_a_client_is_told_what_has_them() {
    let cluster = Cluster::start(2, 1);
    let mut client = cluster.client(0);
    for (request, begin) in [
        ("EVAL x 1 k", "-ERR unknown command 'EVAL': FastCache's own nodes have no scripts; "),
        ("SCRIPT LOAD x", "-ERR unknown command 'SCRIPT': FastCache's own nodes have no scripts; "),
        ("EVAL x 0", "-ERR 'EVAL' without keys is sent as EVAL_RO, which node "),
        ("EVALSHA x 0", "-ERR 'EVALSHA' without keys is sent as EVALSHA_RO, which node "),
    ] {
        let told = client.ask(request);
        assert!(
            told.starts_with(begin) && told.contains("use stock Redis or Valkey nodes"),
            "{request}: {told}"
        );
    }
}
