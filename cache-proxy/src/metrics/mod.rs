//! The proxy's metrics: the workers' published counts, added up when somebody asks.
//!
//! Here is what concerns the proxy as a whole; `traffic_metrics` has what is told by node and by class.

pub(crate) mod count;
pub(crate) mod error_kind;
pub(crate) mod histogram;
pub(crate) mod stats;
pub(crate) mod tally;
pub(crate) mod traffic;
pub(crate) mod traffic_metrics;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use daemon::admin::Readiness;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::explain::overview::Overview;
use crate::metrics::stats::Stats;
use crate::reporter::Undelivered;

/// The registry of `/metrics`. What every process has (`process_…`, `build_info`) bears no prefix, as
/// dashboards expect it.
pub(crate) fn registry(overview: Arc<Overview>, readiness: Readiness, undelivered: Undelivered) -> Registry {
    let mut registry = Registry::default();
    daemon::process_metrics::register(&mut registry);
    let own = registry.sub_registry_with_prefix("cache_proxy");
    own.register(
        "reports_refused",
        "Reports that the health service refused for want of its API token",
        undelivered.refused,
    );
    own.register(
        "reports_failed",
        "Reports that did not reach the health service, or that it did not take for another reason",
        undelivered.failed,
    );
    own.register_collector(Box::new(Counts { overview, readiness }));
    registry
}

#[derive(Debug)]
struct Counts {
    overview: Arc<Overview>,
    readiness: Readiness,
}

impl Collector for Counts {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let workers = &self.overview.workers;
        let stats: Vec<Stats> = workers.iter().map(|worker| worker.get()).collect();
        let sum = stats.iter().fold(Stats::default(), |sum, stats| sum + *stats);
        for (name, help, value) in counters(&sum) {
            write(&mut to, name, help, &ConstCounter::new(value))?;
        }
        let epoch = stats.iter().map(|stats| stats.epoch).min().unwrap_or(0);
        write(
            &mut to,
            "view_epoch",
            "Epoch of the view routed by, the lowest of all workers",
            &gauge(epoch),
        )?;
        let now = Instant::now();
        if let Some(age) = self.overview.view_age(now) {
            let help = "For how long every worker has routed by its view";
            write(&mut to, "view_age_seconds", help, &ConstGauge::new(age.as_secs_f64()))?;
        }
        let draining = u64::from(self.readiness.is_draining());
        write(&mut to, "draining", "1 from the signal to end until the end", &gauge(draining))?;
        for (name, help, value) in gauges(&sum) {
            write(&mut to, name, help, &gauge(value))?;
        }
        traffic_metrics::encode(workers, &mut to)
    }
}

fn write(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
    metric.encode(to.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// Prometheus' gauges are signed; these counts stay far below 2^63.
fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

fn counters(sum: &Stats) -> [(&'static str, &'static str, u64); 10] {
    [
        ("requests", "Requests of clients", sum.requests),
        ("requests_held", "Requests that waited because their node was not connected", sum.held),
        ("requests_resent", "Requests sent again, to the same node or to a stand-in", sum.resent),
        ("requests_expired", "Requests given up after their time", sum.expired),
        (
            "replies_cut",
            "Replies cut off in the middle, with their clients, because their node was lost",
            sum.cut_replies,
        ),
        ("messages", "Published messages passed on, one for each client that got it", sum.messages),
        ("client_connections", "Clients taken in", sum.accepted_clients),
        (
            "client_connections_rejected",
            "Clients turned away because there were too many",
            sum.rejected_clients,
        ),
        ("client_received_bytes", "Bytes of requests that clients have sent", sum.client_bytes_in),
        ("client_sent_bytes", "Bytes that clients have been sent", sum.client_bytes_out),
    ]
}

fn gauges(sum: &Stats) -> [(&'static str, &'static str, u64); 3] {
    [
        ("connected_clients", "Clients connected now", sum.connected_clients),
        ("subscribed_clients", "Clients that listen to a channel or a pattern now", sum.subscribed_clients),
        ("requests_waiting", "Requests held now", sum.waiting),
    ]
}
