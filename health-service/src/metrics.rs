//! The service's metrics. Counters count here; gauges read the verdict when they are scraped.

use std::fmt;
use std::time::Duration;

use cluster::{NodeType, Status};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::board::Board;
use crate::member_gauges::MemberGauges;
use crate::publish::Reader;
use crate::verdict::{Cause, Failure, Member};

/// The counters, as the monitor and the API count them. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    probes: Family<ProbeLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    transitions: Family<TransitionLabels, Counter>,
    durations: Family<KindLabels, Histogram, fn() -> Histogram>,
    /// Reports taken from proxies, one for each node named.
    pub reports: Counter,
    /// Rejoins that made a node fit to be routable.
    pub rejoins: Counter,
    /// Rejoins that failed.
    pub rejoin_failures: Counter,
    /// Views published since the start.
    pub views: Counter,
    /// Writes of the journal that failed.
    pub journal_failures: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProbeLabels {
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransitionLabels {
    kind: &'static str,
    to: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

/// Upper bounds of the probes' durations in seconds: from a good answer on the same machine to the longest
/// usual timeout.
const PROBE_SECONDS: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

impl Default for Metrics {
    /// Everything at zero. Every label is there from the start, so that the first event already is an
    /// increase and not a new series.
    fn default() -> Self {
        let metrics = Self {
            probes: Family::default(),
            failures: Family::default(),
            transitions: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(PROBE_SECONDS)),
            reports: Counter::default(),
            rejoins: Counter::default(),
            rejoin_failures: Counter::default(),
            views: Counter::default(),
            journal_failures: Counter::default(),
        };
        for cause in Cause::ALL {
            drop(metrics.probes.get_or_create(&ProbeLabels { cause: cause.as_str() }));
        }
        for reason in Failure::REASONS {
            drop(metrics.failures.get_or_create(&FailureLabels { reason }));
        }
        for kind in [NodeType::Node, NodeType::Proxy].map(kind_name) {
            drop(metrics.durations.get_or_create(&KindLabels { kind }));
            for to in [Status::Healthy, Status::Unhealthy, Status::Unknown].map(Status::as_str) {
                drop(metrics.transitions.get_or_create(&TransitionLabels { kind, to }));
            }
        }
        metrics
    }
}

impl Metrics {
    /// Counts a change of status. One of routability alone is none.
    pub fn count_transition(&self, kind: NodeType, from: Status, to: Status) {
        if from != to {
            let labels = TransitionLabels { kind: kind_name(kind), to: to.as_str() };
            self.transitions.get_or_create(&labels).inc();
        }
    }

    /// Takes in how long a good probe took.
    pub fn observe_probe(&self, kind: NodeType, took: Duration) {
        self.durations.get_or_create(&KindLabels { kind: kind_name(kind) }).observe(took.as_secs_f64());
    }

    /// Counts a probe that is started.
    pub fn count_probe(&self, cause: Cause) {
        self.probes.get_or_create(&ProbeLabels { cause: cause.as_str() }).inc();
    }

    /// Counts a probe that failed.
    pub fn count_failure(&self, failure: &Failure) {
        self.failures.get_or_create(&FailureLabels { reason: failure.reason() }).inc();
    }

    /// A registry with these counters, the gauges, and what every process has.
    #[must_use]
    pub fn registry(&self, board: Board, reader: Reader) -> Registry {
        let mut registry = Registry::default();
        daemon::process_metrics::register(&mut registry);
        let service = registry.sub_registry_with_prefix("health_service");
        service.register("probes", "Probes started, by cause", self.probes.clone());
        service.register("probe_failures", "Probes that failed, by reason", self.failures.clone());
        let help = "Changes of status, by kind of member and new status";
        service.register("transitions", help, self.transitions.clone());
        service.register("probe_seconds", "How long good probes took", self.durations.clone());
        service.register("reports", "Reports of nodes taken from proxies", self.reports.clone());
        service.register("rejoins", "Nodes made fit to be routable again", self.rejoins.clone());
        service.register("rejoin_failures", "Rejoins that failed", self.rejoin_failures.clone());
        service.register("views_published", "Views published", self.views.clone());
        service.register("journal_failures", "Failed writes of the journal", self.journal_failures.clone());
        service.register_collector(Box::new(Gauges { board, reader }));
        registry
    }
}

/// What is read when it is scraped.
#[derive(Debug)]
struct Gauges {
    board: Board,
    reader: Reader,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MemberLabels {
    kind: &'static str,
    status: &'static str,
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let members: Family<MemberLabels, Gauge> = Family::default();
        let mut numbers = Vec::new();
        self.board.read(|verdict, _| {
            for (kind, list) in [(NodeType::Node, verdict.nodes()), (NodeType::Proxy, verdict.proxies())] {
                count_members(&members, kind, list);
            }
            let routable = verdict.nodes().iter().filter(|node| node.routable).count();
            numbers.push(("epoch", "Number of the view in force", verdict.epoch()));
            numbers.push(("routable_nodes", "Nodes that may be sent traffic", routable as u64));
            numbers.push(("frozen", "1 while the panic rule holds routability", verdict.is_frozen().into()));
        });
        numbers.push(("subscribers", "Event streams and long polls", self.reader.subscribers() as u64));
        let help = "Nodes and proxies by status";
        members.encode(encoder.encode_descriptor("members", help, None, members.metric_type())?)?;
        MemberGauges::read(&self.board).encode(&mut encoder)?;
        for (name, help, number) in numbers {
            // Epochs stay below 2^53.
            let gauge = ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn count_members(family: &Family<MemberLabels, Gauge>, kind: NodeType, members: &[Member]) {
    let kind = kind_name(kind);
    for status in [Status::Healthy, Status::Unhealthy, Status::Unknown] {
        let count = members.iter().filter(|member| member.status == status).count();
        let labels = MemberLabels { kind, status: status.as_str() };
        family.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// The word for a kind in labels.
pub(crate) fn kind_name(kind: NodeType) -> &'static str {
    match kind {
        NodeType::Node => "node",
        NodeType::Proxy => "proxy",
    }
}
