//! The health service dies under load: traffic is unharmed, and the views catch up when it is back.

use crate::cluster::Cluster;
use crate::load::Load;

#[test]
fn the_health_service_is_killed_under_load_and_comes_back() {
    let mut cluster = Cluster::start(3, 2);
    let addresses: Vec<_> = cluster.proxies.iter().map(|proxy| proxy.address.clone()).collect();
    let load = Load::start(&addresses.iter().map(String::as_str).collect::<Vec<_>>(), 2);
    load.until_answered(1_000);
    let before = cluster.epoch();

    cluster.health.process.kill();
    load.until_answered(5_000);
    cluster.restart_health();
    let after = cluster.epoch();
    assert!(after >= before, "the epoch went back from {before} to {after}");
    cluster.until_nodes_are("HEALTHY", |_| true);
    load.until_answered(1_000);
    load.stop().assert_unharmed();

    // What happens from now on reaches the proxies: they leave out a node that dies.
    cluster.nodes[2].process.kill();
    cluster.until_nodes_are("UNHEALTHY", |id| id == "node3");
    assert!(cluster.epoch() > after);
    let load = Load::start(&addresses.iter().map(String::as_str).collect::<Vec<_>>(), 2);
    load.until_answered(2_000);
    load.stop().assert_unharmed();
}

#[test]
fn an_outage_of_the_health_service_and_its_restart_lose_nothing_that_it_had_decided() {
    let mut cluster = Cluster::start(3, 1);
    cluster.nodes[0].process.kill();
    cluster.until_nodes_are("UNHEALTHY", |id| id == "node1");
    let before = cluster.epoch();
    cluster.health.process.kill();
    cluster.restart_health();
    cluster.until_nodes_are("UNHEALTHY", |id| id == "node1");
    assert!(cluster.epoch() >= before, "the epoch went back from {before} to {}", cluster.epoch());
    cluster.restart_node(0);
    cluster.until_nodes_are("HEALTHY", |_| true);
    assert!(cluster.epoch() > before);
}

#[test]
fn a_proxy_that_restarts_without_the_health_service_serves_by_the_view_it_had_kept() {
    let mut cluster = Cluster::start(3, 1);
    assert_eq!(cluster.client(0).ask("MSET a 1 b 2 c 3"), "+OK\r\n");
    cluster.until_proxy_keeps_its_view(0);
    cluster.health.process.kill();
    cluster.proxies[0].process.kill();
    cluster.restart_proxy(0);
    assert_eq!(cluster.client(0).ask("MGET a b c"), "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n");
    cluster.restart_health();
    cluster.until_proxies_route_by(cluster.epoch());
}
