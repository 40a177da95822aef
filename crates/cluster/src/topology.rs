//! The topology: which nodes and proxies there are, as the operator wrote it down.
//!
//! ```toml
//! slots = 65536          # optional; a power of two from 1024 to 1048576
//! points = 2000          # optional; ring points per unit of weight
//!
//! [[node]]
//! id = "node1"
//! address = "127.0.0.1:7001"
//! zone = "a"             # optional
//! weight = 1             # optional
//!
//! [[proxy]]
//! id = "proxy1"
//! address = "127.0.0.1:6382"
//! ```
//!
//! It can also come from `CLUSTER_NODES=node1=127.0.0.1:7001,node2=...` or from a number of nodes on
//! this host. Whatever the source, every mistake in it is reported at once, by name. Who is healthy
//! is no part of it; that is the view's.

mod reader;

use std::fmt;

use toml::Table;

use crate::node::{Address, NodeId};
use crate::slot::{DEFAULT_SLOTS, SlotCount};

use reader::Reader;

/// Most nodes (and most proxies) in a cluster: indices fit in 16 bits with room, and a view of them
/// stays under 2 MB.
pub const MAX_NODES: usize = 10_000;
/// Largest weight of a node: beyond a hundredfold a machine is better split into several nodes.
pub const MAX_WEIGHT: u32 = 100;
/// Ring points per unit of weight when nothing else is said: with 50 equal nodes the fullest one
/// then has 1.08 times the mean (1.25 at the 160 points common elsewhere).
pub const DEFAULT_POINTS: u32 = 2_000;
/// Most points on a ring: 2^23 of them take some seconds to build and 16 MB to keep.
pub const MAX_POINTS: u64 = 1 << 23;

/// The first node's port in the standard layout: 7001 up to 7050.
const FIRST_NODE_PORT: u16 = 7001;

/// One configured node or proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, unique among nodes and proxies.
    pub id: NodeId,
    /// Where it listens.
    pub address: Address,
    /// Failure domain, when configured.
    pub zone: Option<String>,
    /// Share of the slots relative to other nodes, 1 to [`MAX_WEIGHT`]; 1 for proxies.
    pub weight: u32,
}

/// All members and the two numbers that shape the ring. Always valid: at least one node, unique ids
/// and addresses, everything within its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Number of slots.
    pub slots: SlotCount,
    /// Ring points per unit of weight.
    pub points: u32,
    /// The nodes in the order they were written.
    pub nodes: Vec<Member>,
    /// The proxies in the order they were written.
    pub proxies: Vec<Member>,
}

/// Everything that is wrong with a topology.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TopologyError {
    /// One line for each mistake, in the order of the source.
    pub mistakes: Vec<String>,
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistakes.join("\n"))
    }
}

impl Topology {
    /// Reads a `cluster.toml`.
    ///
    /// # Errors
    /// [`TopologyError`] with every mistake: syntax, unknown keys, wrong types, bad or duplicate ids
    /// and addresses, weights, `slots` and `points` out of range.
    pub fn from_toml(text: &str) -> Result<Self, TopologyError> {
        let table = text
            .parse::<Table>()
            .map_err(|e| TopologyError { mistakes: vec![e.to_string().trim_end().to_owned()] })?;
        let mut reader = Reader::default();
        reader.refuse_unknown_keys(&table, "", &["node", "proxy", "slots", "points"]);
        let slots = reader.number(&table, "", "slots", DEFAULT_SLOTS);
        let points = reader.number(&table, "", "points", DEFAULT_POINTS);
        let nodes = reader.members(&table, "node");
        let proxies = reader.members(&table, "proxy");
        reader.finish(slots, points, nodes, proxies)
    }

    /// Reads the value of `CLUSTER_NODES` and, for proxies, of `CLUSTER_PROXIES`:
    /// `node1=127.0.0.1:7001,node2=127.0.0.1:7002`; `proxies` may be empty. More than some four
    /// thousand nodes get fewer points than [`DEFAULT_POINTS`], so that [`MAX_POINTS`] is kept.
    ///
    /// # Errors
    /// [`TopologyError`] with every mistake in the lists.
    pub fn from_lists(nodes: &str, proxies: &str) -> Result<Self, TopologyError> {
        let mut reader = Reader::default();
        let nodes = reader.list(nodes);
        let proxies = reader.list(proxies);
        // A list cannot say how many points there are, so many nodes get as many as fit.
        let most = MAX_POINTS / nodes.len().max(1) as u64;
        let points = u32::try_from(most).map_or(DEFAULT_POINTS, |most| most.min(DEFAULT_POINTS)).max(1);
        reader.finish(DEFAULT_SLOTS, points, nodes, proxies)
    }

    /// `count` nodes on this host: `node1` at 127.0.0.1:7001 and so on.
    ///
    /// # Errors
    /// [`TopologyError`] when `count` is 0 or more than the limits or the ports allow.
    pub fn local(count: usize) -> Result<Self, TopologyError> {
        let ports = usize::from(u16::MAX - FIRST_NODE_PORT) + 1;
        if count > MAX_NODES.min(ports) {
            return Err(TopologyError { mistakes: vec![format!("{count} nodes are more than {MAX_NODES}")] });
        }
        let list: Vec<String> = (0..count)
            .map(|i| format!("node{}=127.0.0.1:{}", i + 1, usize::from(FIRST_NODE_PORT) + i))
            .collect();
        Self::from_lists(&list.join(","), "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(toml: &str) -> Vec<String> {
        Topology::from_toml(toml).unwrap_err().mistakes
    }

    #[test]
    fn reads_a_whole_file() {
        let topology = Topology::from_toml(
            r#"
            slots = 131072
            points = 500
            [[node]]
            id = "node1"
            address = "10.0.0.1:7001"
            zone = "a"
            weight = 3
            [[node]]
            id = "node2"
            address = "[::1]:7001"
            [[proxy]]
            id = "proxy1"
            address = "proxy1.local:6382"
            "#,
        )
        .unwrap();
        assert_eq!((topology.slots.get(), topology.points), (131_072, 500));
        let node = |i: usize| {
            let node = &topology.nodes[i];
            (node.id.as_str(), node.address.to_string(), node.zone.as_deref(), node.weight)
        };
        assert_eq!(node(0), ("node1", "10.0.0.1:7001".to_owned(), Some("a"), 3));
        assert_eq!(node(1), ("node2", "[::1]:7001".to_owned(), None, 1));
        assert_eq!(topology.proxies[0].address.host, "proxy1.local");
    }

    #[test]
    fn reports_every_mistake_at_once_by_name() {
        let found = mistakes(
            r#"
            slots = 1000
            points = "many"
            colour = "red"
            [[node]]
            id = "node1"
            address = "127.0.0.1:7001"
            weight = 0
            wieght = 2
            [[node]]
            id = "node1"
            address = "127.0.0.1:7002"
            [[node]]
            id = "node 3"
            address = "127.0.0.1"
            [[node]]
            address = 7004
            zone = 1
            [[node]]
            id = "node5"
            address = "127.0.0.1:7002"
            weight = 101
            [[proxy]]
            id = "proxy1"
            address = "127.0.0.1:7001"
            weight = 2
            "#,
        );
        let expected = [
            "unknown key \"colour\"",
            "points must be a number, not a string",
            "node 1 (node1): unknown key \"wieght\"",
            "node 1 (node1): weight = 0 is not 1 to 100",
            "node 3 (node 3): id \"node 3\" may only hold",
            "node 3 (node 3): address \"127.0.0.1\" is not HOST:PORT",
            "node 4: zone must be a text, not a integer",
            "node 4: id is missing",
            "node 4: address must be a text, not a integer",
            "node 5 (node5): weight = 101 is not 1 to 100",
            "proxy 1 (proxy1): unknown key \"weight\"",
            "id node1 appears more than once",
            "address 127.0.0.1:7002 is that of node1 and of node5",
            "address 127.0.0.1:7001 is that of node1 and of proxy1",
            "slots = 1000 is not a power of two",
        ];
        for part in expected {
            assert!(found.iter().any(|line| line.starts_with(part)), "{part:?} not in {found:#?}");
        }
        assert_eq!(found.len(), expected.len(), "{found:#?}");
    }

    #[test]
    fn refuses_files_that_are_no_topology() {
        assert_eq!(mistakes(""), ["there are no nodes"]);
        assert!(mistakes("[[node").concat().contains("expected"), "{:?}", mistakes("[[node"));
        assert_eq!(mistakes("node = 3"), ["node must be written as [[node]]",]);
        let too_many = "points = 90000\n[[node]]\nid = 'a'\naddress = 'a:1'\nweight = 100";
        assert!(mistakes(too_many)[0].starts_with("points = 90000 makes 9000000 ring points"));
        assert_eq!(
            mistakes("points = 0\n[[node]]\nid = 'a'\naddress = 'a:1'"),
            ["points = 0 is not at least 1"]
        );
    }

    #[test]
    fn reads_lists() {
        let topology = Topology::from_lists("node1=127.0.0.1:7001, node2=node2:6379,", "p1=h:6382").unwrap();
        let ids: Vec<&str> = topology.nodes.iter().map(|node| node.id.as_str()).collect();
        assert_eq!(ids, ["node1", "node2"]);
        assert_eq!(topology.nodes[1].address.to_string(), "node2:6379");
        assert_eq!(topology.proxies[0].id.as_str(), "p1");
        let error = Topology::from_lists("node1,x=y,x=z:0", "").unwrap_err();
        assert_eq!(error.mistakes.len(), 3, "{error}");
        assert_eq!(error.to_string().lines().count(), 3);
    }

    #[test]
    fn local_nodes_follow_the_standard_ports() {
        let topology = Topology::local(50).unwrap();
        assert_eq!(topology.nodes[49].id.as_str(), "node50");
        assert_eq!(topology.nodes[49].address.to_string(), "127.0.0.1:7050");
        assert_eq!(Topology::local(50).unwrap().points, DEFAULT_POINTS);
        let largest = Topology::local(MAX_NODES).unwrap();
        assert_eq!((largest.nodes.len(), largest.points), (MAX_NODES, 838));
        assert!(Topology::local(0).is_err());
        assert!(Topology::local(MAX_NODES + 1).is_err());
    }
}
