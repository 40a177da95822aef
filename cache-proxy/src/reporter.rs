//! Tells the health service about nodes that could not be used.
//!
//! Trouble comes in bursts: every worker and every link sees the same crash. What arrives while a report is
//! on its way is counted per node and kind and goes out in the next one, so there is never more than one
//! request at a time, however much fails. While nothing fails, an empty report now and then shows that the service
//! takes ours. A report is evidence; if it cannot be delivered, the scheduled probes will find out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::{HealthClient, MAX_REPORTS, NodeId, Report, ReportKind, Reports, Routing};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::outbox::Suspicion;

/// Suspicions taken in at a time; more than this many different ones do not fit one report.
const MOST_AT_ONCE: usize = MAX_REPORTS;

/// A report goes out at the start and after this much time without one, even an empty one: that the service refuses
/// our token must be known before the first node fails. Four times in the range of the alert about it
/// (`FastCacheReportsRefused`).
const IDLE: Duration = Duration::from_secs(30);

/// Who reports, to whom, and how often it was refused.
#[derive(Debug)]
pub(crate) struct Reporter {
    proxy_id: NodeId,
    client: HealthClient,
    routing: watch::Receiver<Option<Arc<Routing>>>,
    undelivered: Undelivered,
}

/// Counts the reports that the health service did not take. One is due every half minute at least, so they also tell of
/// a proxy that cannot reach it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Undelivered {
    /// For want of its API token.
    pub(crate) refused: Counter,
    /// For any other reason.
    pub(crate) failed: Counter,
}

impl Reporter {
    pub(crate) fn new(
        proxy_id: NodeId,
        client: HealthClient,
        routing: watch::Receiver<Option<Arc<Routing>>>,
        undelivered: Undelivered,
    ) -> Self {
        Self { proxy_id, client, routing, undelivered }
    }

    /// Sends what the workers suspect, for ever.
    pub(crate) async fn run(self, mut suspicions: mpsc::Receiver<Suspicion>) {
        let mut batch = Vec::new();
        loop {
            self.send(counted(batch.drain(..))).await;
            if let Ok(0) = timeout(IDLE, suspicions.recv_many(&mut batch, MOST_AT_ONCE)).await {
                return;
            }
        }
    }

    async fn send(&self, reports: Vec<Report>) {
        let epoch = self.routing.borrow().as_ref().map_or(0, |routing| routing.epoch());
        let reports = Reports { proxy_id: self.proxy_id.clone(), epoch, reports };
        if let Err(error) = self.client.report(&reports).await {
            tracing::debug!(%error, "cannot report to the health service");
            let Undelivered { refused, failed } = &self.undelivered;
            if error.is_refusal() {
                refused.inc()
            } else {
                failed.inc()
            };
        }
    }
}

/// One report per node and kind of trouble, with how often it was seen and the first detail.
fn counted(suspicions: impl Iterator<Item = Suspicion>) -> Vec<Report> {
    let mut place: HashMap<(NodeId, ReportKind), usize> = HashMap::new();
    let mut reports: Vec<Report> = Vec::new();
    for Suspicion { node, kind, detail } in suspicions {
        match place.get(&(node.clone(), kind)) {
            Some(known) => reports[*known].count = reports[*known].count.saturating_add(1),
            None => {
                place.insert((node.clone(), kind), reports.len());
                reports.push(Report { node_id: node, kind, count: 1, detail: Some(detail) });
            }
        }
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_reported_once_with_its_count() {
        let suspicion =
            |node: &str, kind| Suspicion { node: NodeId::new(node).unwrap(), kind, detail: "d".to_owned() };
        let reports = counted(
            [
                suspicion("a", ReportKind::Refused),
                suspicion("b", ReportKind::Refused),
                suspicion("a", ReportKind::Refused),
                suspicion("a", ReportKind::Timeout),
            ]
            .into_iter(),
        );
        let seen: Vec<_> =
            reports.iter().map(|report| (report.node_id.as_str(), report.kind, report.count)).collect();
        assert_eq!(
            seen,
            [("a", ReportKind::Refused, 2), ("b", ReportKind::Refused, 1), ("a", ReportKind::Timeout, 1)]
        );
    }
}
