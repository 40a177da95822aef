//! Tells the health service about nodes that could not be used.
//!
//! Trouble comes in bursts: every worker and every link sees the same crash. What arrives while a report is
//! on its way is counted per node and kind and goes out in the next one, so there is never more than one
//! request at a time, however much fails. A report is evidence; if it cannot be delivered, the scheduled
//! probes will find out.

use std::collections::HashMap;
use std::sync::Arc;

use cluster::{HealthClient, MAX_REPORTS, NodeId, Report, ReportKind, Reports, Routing};
use tokio::sync::{mpsc, watch};

use crate::outbox::Suspicion;

/// Suspicions taken in at a time; more than this many different ones do not fit one report.
const MOST_AT_ONCE: usize = MAX_REPORTS;

/// Sends what the workers suspect, for ever.
pub(crate) async fn run(
    proxy_id: NodeId,
    client: HealthClient,
    routing: watch::Receiver<Option<Arc<Routing>>>,
    mut suspicions: mpsc::Receiver<Suspicion>,
) {
    let mut batch = Vec::new();
    while suspicions.recv_many(&mut batch, MOST_AT_ONCE).await > 0 {
        let epoch = routing.borrow().as_ref().map_or(0, |routing| routing.epoch());
        let reports = Reports { proxy_id: proxy_id.clone(), epoch, reports: counted(batch.drain(..)) };
        if let Err(error) = client.report(&reports).await {
            tracing::debug!(%error, "cannot report to the health service");
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
