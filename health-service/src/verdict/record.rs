//! What of a verdict survives a restart.
//!
//! Enough to publish the same view again, under a new epoch, and to know which nodes may hold stale values. A node that
//! was good is probed anew before it is called HEALTHY again, but stays routable meanwhile; one that
//! was out stays out until it has rejoined.

use std::sync::Arc;

use cluster::{NodeId, Status, View, ViewNode};
use serde::{Deserialize, Serialize};

use super::freeze::Freeze;
use super::{Timestamp, Verdict};

/// The state to be saved with every change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The view that was published last.
    pub view: View,
    /// Whether routability was frozen.
    #[serde(default)]
    pub frozen: bool,
    /// What has changed since, and what a view does not say.
    pub nodes: Vec<NodeRecord>,
}

/// The part of a node's state that a view does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRecord {
    /// Its name.
    pub node_id: NodeId,
    /// Its status.
    pub status: Status,
    /// It was routable when it began to fail, and still fails.
    #[serde(default)]
    pub failing: bool,
    /// Out of service by the operator's word.
    pub maintenance: bool,
}

impl Record {
    /// What is to be saved now; nothing before there is a view.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Option<Self> {
        let view = verdict.view.as_deref()?.clone();
        let nodes = verdict.nodes().iter().map(|node| NodeRecord {
            node_id: node.id.clone(),
            status: node.status,
            failing: node.failing_since.is_some(),
            maintenance: node.maintenance,
        });
        Some(Self { view, frozen: verdict.is_frozen(), nodes: nodes.collect() })
    }

    /// Gives a new verdict its memory back. Who is not routable in the remembered view, or not in it
    /// at this address, has stand-ins and must rejoin: the next [`Verdict::settle`] sees to that.
    ///
    /// The view gets a new epoch: views may have been published after the last one that could be
    /// saved, and none of their numbers may come to mean something else.
    pub(super) fn restore(self, verdict: &mut Verdict, now: Timestamp) {
        for (node, configured) in verdict.members.iter_mut().zip(&verdict.topology.nodes) {
            let published = self.published(configured);
            node.routable = published.is_some_and(|known| known.routable);
            node.run_id = published.and_then(|known| known.run_id.clone());
            let Some(known) = self.nodes.iter().find(|known| known.node_id == node.id) else { continue };
            node.maintenance = known.maintenance;
            // Without its failing nodes, the freeze would end at once.
            node.failing_since = (self.frozen && known.failing).then_some(now);
            // One that a frozen view kept routable is looked at anew, or it would be out at once.
            if known.status == Status::Unhealthy && !node.routable {
                node.status = Status::Unhealthy;
            }
        }
        verdict.freeze = Freeze::restored(self.frozen.then_some(now));
        verdict.epoch = verdict.epoch.max(self.view.epoch + 1);
        let mut view = verdict.build_view();
        for (node, configured) in view.nodes.iter_mut().zip(&verdict.topology.nodes) {
            // UNKNOWN is who was never looked at; these were.
            node.status = self.published(configured).map_or(node.status, |known| known.status);
        }
        verdict.view = Some(Arc::new(view));
    }

    /// The node as it was published, if it was there: behind another address is another process.
    fn published(&self, node: &cluster::Member) -> Option<&ViewNode> {
        self.view.nodes.iter().find(|known| {
            known.node_id == node.id && known.host == node.address.host && known.port == node.address.port
        })
    }
}
