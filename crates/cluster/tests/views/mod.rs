//! Views for tests: nodes of given ids and weights, all routable.
#![allow(dead_code, reason = "each test binary uses a part")]

use cluster::{DEFAULT_POINTS, DEFAULT_SLOTS, NodeId, Status, View, ViewNode};

/// A view of `nodes` (id, weight) with default slots and points.
pub(crate) fn view_of(nodes: &[(String, u32)]) -> View {
    let node = |(number, (id, weight)): (u16, &(String, u32))| ViewNode {
        node_id: NodeId::new(id).unwrap(),
        host: "127.0.0.1".to_owned(),
        port: 7_001 + number,
        zone: None,
        weight: *weight,
        status: Status::Healthy,
        routable: true,
        run_id: None,
    };
    let nodes = (0..).zip(nodes).map(node).collect();
    View { epoch: 1, slots: DEFAULT_SLOTS, points: DEFAULT_POINTS, nodes, proxies: Vec::new() }
}

/// `node1` to `nodeN` of weight 1.
pub(crate) fn equal_nodes(count: usize) -> View {
    let nodes: Vec<(String, u32)> = (1..=count).map(|i| (format!("node{i}"), 1)).collect();
    view_of(&nodes)
}
