//! The traffic of all workers together, added up when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::NodeId;
use commands::Class;

use crate::metrics::error_kind::{ErrorCounts, Told};
use crate::metrics::histogram::Durations;
use crate::metrics::stats::Published;
use crate::metrics::traffic::{ClassTraffic, NodeTraffic};

/// Error replies by kind.
pub(crate) type Errors = BTreeMap<&'static str, u64>;

/// What all workers have seen of one node.
#[derive(Debug, Default)]
pub(crate) struct NodeTally {
    /// Requests it has answered.
    pub(crate) requests: u64,
    pub(crate) durations: Durations,
    pub(crate) errors: Errors,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) links_up: u64,
    pub(crate) link_failures: u64,
    pub(crate) held: u64,
    pub(crate) expired: u64,
    pub(crate) choked: u64,
}

/// What all workers have seen of one class of commands.
#[derive(Debug, Default)]
pub(crate) struct ClassTally {
    /// Requests of clients.
    pub(crate) requests: u64,
    pub(crate) durations: Durations,
    pub(crate) errors: Errors,
}

/// Each node that a worker knows.
pub(crate) fn nodes(workers: &[Arc<Published>]) -> BTreeMap<NodeId, NodeTally> {
    let mut tallies = BTreeMap::<NodeId, NodeTally>::new();
    for (id, node) in workers.iter().flat_map(|worker| worker.traffic.nodes()) {
        tallies.entry(id).or_default().add(&node);
    }
    tallies
}

/// Each class.
pub(crate) fn classes(workers: &[Arc<Published>]) -> Vec<(Class, ClassTally)> {
    let tally = |class| {
        let mut tally = ClassTally::default();
        workers.iter().for_each(|worker| tally.add(worker.traffic.class(class)));
        (class, tally)
    };
    Class::ALL.into_iter().map(tally).collect()
}

/// Error replies that the proxy made itself.
pub(crate) fn own_errors(workers: &[Arc<Published>]) -> Errors {
    let mut errors = Errors::new();
    workers.iter().for_each(|worker| add_errors(&mut errors, &worker.traffic.own_errors, Told::All));
    errors
}

impl NodeTally {
    fn add(&mut self, node: &NodeTraffic) {
        let durations = node.durations.read();
        self.requests += durations.count() + node.untimed.get();
        self.durations += durations;
        add_errors(&mut self.errors, &node.errors, Told::Occurred);
        self.bytes_in += node.bytes_in.get();
        self.bytes_out += node.bytes_out.get();
        self.links_up += node.links_up.get();
        self.link_failures += node.link_failures.get();
        self.held += node.held.get();
        self.expired += node.expired.get();
        self.choked += node.choked.get();
    }
}

impl ClassTally {
    fn add(&mut self, class: &ClassTraffic) {
        self.requests += class.requests.get();
        self.durations += class.durations.read();
        add_errors(&mut self.errors, &class.errors, Told::Usual);
    }
}

fn add_errors(sum: &mut Errors, counts: &ErrorCounts, told: Told) {
    for (kind, count) in counts.by_kind(told) {
        *sum.entry(kind).or_default() += count;
    }
}
