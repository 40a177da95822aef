//! The metrics by node and by class of commands: the label `node` is the node's id, `class` one of `read`,
//! `write`, `blocking`, `connection`, `admin`, `transaction`, `pubsub` and `scripting`, and `kind` the word in
//! capitals that an error reply begins with.
//!
//! Series: a node costs 30 of them, and one more for each further kind of error that it has answered with.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::metrics::histogram::Durations;
use crate::metrics::stats::Published;
use crate::metrics::tally::{self, ClassTally, Errors, NodeTally};

/// Writes all of them.
pub(crate) fn encode(workers: &[Arc<Published>], to: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let errors = tally::own_errors(workers);
    let own = errors.iter().map(|(kind, count)| ([("kind", *kind)], *count));
    counter(to, "errors", "Error replies made by the proxy itself, by kind", own)?;
    encode_classes(&tally::classes(workers), to)?;
    let nodes = tally::nodes(workers);
    let nodes: Vec<_> = nodes.iter().map(|(id, tally)| (id.as_str(), tally)).collect();
    encode_nodes(&nodes, to)
}

fn encode_classes(classes: &[(commands::Class, ClassTally)], to: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let each = || classes.iter().map(|(class, tally)| (class.name(), tally));
    let requests = each().map(|(name, tally)| ([("class", name)], tally.requests));
    counter(to, "class_requests", "Requests of clients, by class of the command", requests)?;
    let help = "From a request's arrival to the node's reply, by class of the command, with the time it was held and, \
                in blocking ones, what it waits for; a request over several nodes counts once for each, and one with a \
                value or reply larger than 1 MiB not at all";
    let durations = each().map(|(name, tally)| ([("class", name)], &tally.durations));
    histogram(to, "class_request_duration_seconds", help, durations)?;
    let errors = each().flat_map(|(name, tally)| by_kind("class", name, &tally.errors));
    counter(to, "class_errors", "Error replies of nodes, by class of the command and kind", errors)
}

fn encode_nodes(nodes: &[(&str, &NodeTally)], to: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (name, help, read) in NODE_COUNTERS {
        let counts = nodes.iter().map(|(node, tally)| ([("node", *node)], read(tally)));
        counter(to, name, help, counts)?;
    }
    let errors = nodes.iter().flat_map(|(node, tally)| by_kind("node", node, &tally.errors));
    counter(to, "node_errors", "Error replies of nodes, by kind", errors)?;
    let durations = nodes.iter().map(|(node, tally)| ([("node", *node)], &tally.durations));
    let help = "From a request's arrival to the node's reply, but for commands that may wait in the node, requests that were \
                held before, and values and replies larger than 1 MiB";
    histogram(to, "node_request_duration_seconds", help, durations)?;
    let help = "Connections to the node now: those that clients share, those that serve one for a while, and those of \
                subscriptions, over all workers";
    let mut family = to.encode_descriptor("node_connections", help, None, MetricType::Gauge)?;
    for (node, tally) in nodes {
        family.encode_family(&[("node", *node)])?.encode_gauge(&clamp(tally.links_up))?;
    }
    Ok(())
}

type NodeCounter = (&'static str, &'static str, fn(&NodeTally) -> u64);

const NODE_COUNTERS: [NodeCounter; 7] = [
    ("node_requests", "Requests that the node has answered", |node| node.requests),
    ("node_received_bytes", "Bytes of replies from the node", |node| node.bytes_in),
    ("node_sent_bytes", "Bytes of requests to the node", |node| node.bytes_out),
    ("node_connection_failures", "Connections to the node that were refused or lost", |node| {
        node.link_failures
    }),
    ("node_requests_held", "Requests that waited because the node was not connected", |node| node.held),
    ("node_requests_expired", "Requests to the node given up after their time", |node| node.expired),
    (
        "node_clients_choked",
        "Times that a client was not read because too much was on its way to the node",
        |node| node.choked,
    ),
];

fn by_kind<'a>(
    label: &'static str,
    value: &'a str,
    errors: &'a Errors,
) -> impl Iterator<Item = ([(&'static str, &'a str); 2], u64)> {
    errors.iter().map(move |(kind, count)| ([(label, value), ("kind", *kind)], *count))
}

fn counter<L: EncodeLabelSet>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    counts: impl Iterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in counts {
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, f64>(&count, None)?;
    }
    Ok(())
}

fn histogram<'a, L: EncodeLabelSet>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    each: impl Iterator<Item = (L, &'a Durations)>,
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (labels, durations) in each {
        let mut series: MetricEncoder<'_> = family.encode_family(&labels)?;
        series.encode_histogram::<NoLabelSet>(
            durations.sum(),
            durations.count(),
            &durations.buckets(),
            None,
        )?;
    }
    Ok(())
}

/// Prometheus' gauges are signed; these counts stay far below 2^63.
fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
