//! Nodes die or freeze under load: the proxies keep answering, the health service says so, and the nodes are
//! used again when they are back, with nothing stale in them.

use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::eventually::eventually;
use crate::load::Load;

/// Clients on every proxy.
fn load_on(cluster: &Cluster) -> Load {
    let addresses: Vec<_> = cluster.proxies.iter().map(|proxy| proxy.address.as_str()).collect();
    Load::start(&addresses, 2)
}

#[test]
fn two_of_five_nodes_are_killed_under_load_and_come_back() {
    let mut cluster = Cluster::start(5, 2);
    let load = load_on(&cluster);
    load.until_answered(2_000);
    let before = cluster.epoch();

    for killed in [0, 3] {
        cluster.nodes[killed].process.kill();
    }
    cluster.until_nodes_are("UNHEALTHY", |id| ["node1", "node4"].contains(&id));
    assert!(cluster.epoch() > before);
    health_shows_the_dead(&cluster);
    load.until_answered(2_000);

    for killed in [0, 3] {
        cluster.restart_node(killed);
    }
    cluster.until_nodes_are("HEALTHY", |_| true);
    for restarted in [0, 3] {
        cluster.until_node_has_keys(restarted);
    }
    load.until_answered(2_000);
    load.stop().assert_unharmed();
}

fn health_shows_the_dead(cluster: &Cluster) {
    let get = |path: &str| cluster.health(path).expect("the health service answers");
    let summary = get("/health/summary");
    assert_eq!((&summary["healthyNodes"], &summary["unhealthyNodes"]), (&3.into(), &2.into()), "{summary}");
    let ids = |list: serde_json::Value| -> Vec<String> {
        let nodes = list.as_array().expect("a list of nodes").iter();
        nodes.map(|node| node["nodeId"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!(ids(get("/health/unhealthy")), ["node1", "node4"]);
    assert_eq!(ids(get("/health/healthy")), ["node2", "node3", "node5"]);
    let node = get("/health/nodes/node4");
    assert_eq!((&node["status"], &node["healthy"]), (&"UNHEALTHY".into(), &false.into()), "{node}");
    // A reply that it sent before it died may be noted after the verdict.
    eventually("the health service tells what is wrong with node4", || {
        let node = cluster.health("/health/nodes/node4")?;
        if node["errorMessage"].is_string() { Ok(()) } else { Err(node.to_string()) }
    });
}

#[test]
fn after_a_failover_every_key_is_served_without_an_error() {
    let mut cluster = Cluster::start(3, 1);
    cluster.nodes[1].process.kill();
    cluster.until_nodes_are("UNHEALTHY", |id| id == "node2");
    let load = load_on(&cluster);
    load.until_answered(3_000);
    load.stop().assert_unharmed();
}

/// A frozen node holds connections open and answers nothing; when it thaws, it still has its old data.
#[test]
fn a_node_freezes_under_load_and_thaws_with_nothing_stale() {
    let cluster = Cluster::start(3, 2);
    let load = load_on(&cluster);
    load.until_answered(3_000);
    cluster.nodes[1].process.signal(Signal::STOP);
    cluster.until_nodes_are("UNHEALTHY", |id| id == "node2");
    load.until_answered(3_000);
    cluster.nodes[1].process.signal(Signal::CONT);
    cluster.until_nodes_are("HEALTHY", |_| true);
    cluster.until_node_has_keys(1);
    load.until_answered(3_000);
    load.stop().assert_unharmed();
}
