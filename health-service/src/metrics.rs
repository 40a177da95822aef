//! The service's metrics. Counters count here; gauges read the verdict when they are scraped.

use std::fmt;

use cluster::{NodeType, Status};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::board::Board;
use crate::publish::Reader;
use crate::verdict::{Cause, Failure, Member};

/// The counters, as the monitor and the API count them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    probes: Family<ProbeLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
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

impl Metrics {
    /// Counts a probe that is started.
    pub fn count_probe(&self, cause: Cause) {
        self.probes.get_or_create(&ProbeLabels { cause: cause.as_str() }).inc();
    }

    /// Counts a probe that failed.
    pub fn count_failure(&self, failure: &Failure) {
        let reason = match failure {
            Failure::Refused => "refused",
            Failure::Timeout(_) => "timeout",
            Failure::Closed(_) => "closed",
            Failure::Unreachable(_) => "unreachable",
            Failure::Local(_) => "local",
            Failure::Error(_) => "error",
            Failure::Garbage(_) => "garbage",
        };
        self.failures.get_or_create(&FailureLabels { reason }).inc();
    }

    /// A registry with these counters, the gauges, and what every process has.
    #[must_use]
    pub fn registry(&self, board: Board, reader: Reader) -> Registry {
        let mut registry = Registry::default();
        daemon::process_metrics::register(&mut registry);
        let service = registry.sub_registry_with_prefix("health_service");
        service.register("probes", "Probes started, by cause", self.probes.clone());
        service.register("probe_failures", "Probes that failed, by reason", self.failures.clone());
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
        for (name, help, number) in numbers {
            // Epochs stay below 2^53.
            let gauge = ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn count_members(family: &Family<MemberLabels, Gauge>, kind: NodeType, members: &[Member]) {
    let kind = match kind {
        NodeType::Node => "node",
        NodeType::Proxy => "proxy",
    };
    for status in [Status::Healthy, Status::Unhealthy, Status::Unknown] {
        let count = members.iter().filter(|member| member.status == status).count();
        let labels = MemberLabels { kind, status: status.as_str() };
        family.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
