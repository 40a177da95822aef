//! What one worker has seen of each node and of each class of commands.
//!
//! The worker counts as it goes, in numbers that others may read at any time ([`Count`]): nothing is copied or
//! handed over. The only lock is around the list of nodes; the worker takes it when a link is opened or a view
//! arrives, and otherwise holds on to a node's own counts.
//!
//! A request over several nodes counts once for its class, and once for each node it was sent to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::NodeId;
use commands::Class;

use crate::metrics::count::Count;
use crate::metrics::error_kind::ErrorCounts;
use crate::metrics::histogram::Histogram;

/// Everything that a worker counts by node and by class.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    classes: [ClassTraffic; Class::ALL.len()],
    nodes: Mutex<BTreeMap<NodeId, Arc<NodeTraffic>>>,
    /// Error replies that the proxy made itself.
    pub(crate) own_errors: ErrorCounts,
}

/// One class of commands.
#[derive(Debug, Default)]
pub(crate) struct ClassTraffic {
    /// Requests of clients.
    pub(crate) requests: Count,
    /// From the request's arrival to a node's reply.
    pub(crate) durations: Histogram,
    /// Error replies of nodes.
    pub(crate) errors: ErrorCounts,
}

/// One node.
#[derive(Debug, Default)]
pub(crate) struct NodeTraffic {
    /// From the request's arrival to the node's reply.
    pub(crate) durations: Histogram,
    /// Replies whose time says nothing about the node: to commands that may wait in it, to requests that were held
    /// before, and those that were passed on in pieces, as fast as their client took or sent them.
    pub(crate) untimed: Count,
    /// Error replies.
    pub(crate) errors: ErrorCounts,
    /// Bytes of replies.
    pub(crate) bytes_in: Count,
    /// Bytes of requests.
    pub(crate) bytes_out: Count,
    /// Connections that are up now.
    pub(crate) links_up: Count,
    /// Connections that were refused or lost.
    pub(crate) link_failures: Count,
    /// Requests that had to wait because it was not connected.
    pub(crate) held: Count,
    /// Requests given up after their time.
    pub(crate) expired: Count,
    /// Clients stopped because too much was on its way to it.
    pub(crate) choked: Count,
}

impl Traffic {
    /// The counts of a class.
    #[inline]
    pub(crate) fn class(&self, class: Class) -> &ClassTraffic {
        &self.classes[class as usize]
    }

    /// The counts of a node, which begin with the first time it is asked for.
    pub(crate) fn node(&self, id: &NodeId) -> Arc<NodeTraffic> {
        let mut nodes = self.lock();
        if let Some(known) = nodes.get(id) {
            return Arc::clone(known);
        }
        Arc::clone(nodes.entry(id.clone()).or_default())
    }

    /// The counts of a node that is asked for, if it has not left the topology.
    pub(crate) fn known(&self, id: &NodeId) -> Option<Arc<NodeTraffic>> {
        self.lock().get(id).map(Arc::clone)
    }

    /// Forgets the nodes for which `is_known` does not hold: they have left the topology.
    pub(crate) fn keep(&self, is_known: impl Fn(&NodeId) -> bool) {
        self.lock().retain(|id, _| is_known(id));
    }

    /// All nodes, in the order of their ids.
    pub(crate) fn nodes(&self) -> Vec<(NodeId, Arc<NodeTraffic>)> {
        self.lock().iter().map(|(id, traffic)| (id.clone(), Arc::clone(traffic))).collect()
    }

    /// A thread that panicked with the list in hand has not left it half changed.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<NodeTraffic>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NodeTraffic {
    /// Counts a reply, which came this long after its request.
    #[inline]
    pub(crate) fn answered(&self, took: Duration, is_timed: bool) {
        if is_timed {
            self.durations.observe(took);
        } else {
            self.untimed.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_counts_last_as_long_as_it_is_in_the_topology() {
        let traffic = Traffic::default();
        let id = |name: &str| NodeId::new(name).unwrap();
        traffic.node(&id("b")).held.add(2);
        traffic.node(&id("a")).held.add(1);
        traffic.node(&id("b")).held.add(2);
        let held = |traffic: &Traffic| -> Vec<_> {
            traffic.nodes().iter().map(|(id, node)| format!("{id} {}", node.held.get())).collect()
        };
        assert_eq!(held(&traffic), ["a 1", "b 4"]);
        traffic.keep(|id| id.as_str() == "b");
        assert!(traffic.known(&id("a")).is_none() && traffic.known(&id("b")).is_some());
        assert_eq!(held(&traffic), ["b 4"]);
    }

    #[test]
    fn what_is_not_timed_does_not_make_a_node_look_slow() {
        let node = NodeTraffic::default();
        node.answered(Duration::from_secs(60), false);
        node.answered(Duration::from_millis(1), true);
        assert_eq!((node.untimed.get(), node.durations.read().count()), (1, 1));
    }
}
