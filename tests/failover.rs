//! Nodes die under load: the proxies keep answering, the health service says so, and the nodes are used again
//! when they are back.

use crate::cluster::Cluster;
use crate::load::Load;

#[test]
fn two_of_five_nodes_are_killed_under_load_and_come_back() {
    let mut cluster = Cluster::start(5, 2);
    let addresses: Vec<_> = cluster.proxies.iter().map(|proxy| proxy.address.clone()).collect();
    let load = Load::start(&addresses.iter().map(String::as_str).collect::<Vec<_>>(), 2);
    load.until_answered(2_000);
    let before = cluster.epoch();

    for killed in [0, 3] {
        cluster.nodes[killed].process.kill();
    }
    cluster.until_nodes_are("UNHEALTHY", |id| ["node1", "node4"].contains(&id));
    let summary = cluster.health("/health/summary").expect("the health service answers");
    assert_eq!((&summary["healthyNodes"], &summary["unhealthyNodes"]), (&3.into(), &2.into()), "{summary}");
    assert!(cluster.epoch() > before);
    load.until_answered(2_000);

    for killed in [0, 3] {
        cluster.restart_node(killed);
    }
    cluster.until_nodes_are("HEALTHY", |_| true);
    for restarted in [0, 3] {
        cluster.until_node_has_keys(restarted);
    }
    load.until_answered(2_000);
    let report = load.stop();
    println!("{report:#?}");
    report.assert_honest();
}

#[test]
fn after_a_failover_every_key_is_served_without_an_error() {
    let mut cluster = Cluster::start(3, 1);
    cluster.nodes[1].process.kill();
    cluster.until_nodes_are("UNHEALTHY", |id| id == "node2");
    let load = Load::start(&[&cluster.proxies[0].address], 2);
    load.until_answered(3_000);
    load.stop().assert_unharmed();
}
