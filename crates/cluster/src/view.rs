//! The view: what the health service publishes and every proxy routes by.
//!
//! A view is complete (never a delta) and numbered: two views with the same epoch are the same
//! bytes, and a higher epoch replaces a lower one. The epoch rises only when routability or the
//! topology changes; texts and timings are in [`crate::NodeHealth`], not here, so they never wake a
//! proxy. `status` is therefore the status *when the epoch was published*.
//!
//! Reading is tolerant of fields added by newer releases and strict about everything else: types,
//! ids, limits. A view that fails a check is refused as a whole.

use serde::{Deserialize, Serialize};

use crate::node::NodeId;
use crate::slot::{DEFAULT_SLOTS, SlotCount};
use crate::topology::{DEFAULT_POINTS, MAX_NODES, MAX_POINTS, MAX_WEIGHT};

/// A node's or proxy's health as the health service judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// It answers probes.
    Healthy,
    /// It does not.
    Unhealthy,
    /// Not probed yet since the health service started.
    Unknown,
}

impl Status {
    /// The word used in JSON, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the health service says about the whole cluster, numbered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The view's number; never goes back.
    pub epoch: u64,
    /// Number of slots: a power of two.
    #[serde(default = "default_slots")]
    pub slots: u32,
    /// Ring points per unit of weight.
    #[serde(default = "default_points")]
    pub points: u32,
    /// Every node of the topology, whatever its status.
    pub nodes: Vec<ViewNode>,
    /// Every proxy of the topology.
    #[serde(default)]
    pub proxies: Vec<ViewProxy>,
}

/// One node in a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewNode {
    /// The configured name; with `weight`, what the ring is built from.
    pub node_id: NodeId,
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Failure domain, when configured.
    #[serde(default)]
    pub zone: Option<String>,
    /// Share of the slots relative to the other nodes.
    #[serde(default = "default_weight")]
    pub weight: u32,
    /// Health when this epoch was published.
    pub status: Status,
    /// Whether it may be sent traffic: healthy, in service, and known to hold nothing stale.
    pub routable: bool,
    /// The `run_id` of the process that was found fit to serve; another one must not be used.
    #[serde(default)]
    pub run_id: Option<String>,
}

/// One proxy in a view. Its health is not part of it: no proxy routes by another proxy's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewProxy {
    /// The configured name.
    pub node_id: NodeId,
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Failure domain, when configured.
    #[serde(default)]
    pub zone: Option<String>,
}

/// Why a view is refused.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// Not JSON, or a field is missing or of the wrong type.
    #[error("view is not readable: {0}")]
    Json(#[from] serde_json::Error),
    /// Well-formed, but says something impossible.
    #[error("view of epoch {epoch} is refused: {reason}")]
    Invalid {
        /// The view's epoch.
        epoch: u64,
        /// What is wrong.
        reason: String,
    },
}

impl View {
    /// Reads and checks a view.
    ///
    /// # Errors
    /// [`ViewError`] when it is not JSON of the right shape or breaks a limit of [`Self::check`].
    pub fn from_json(json: &[u8]) -> Result<Self, ViewError> {
        let view: Self = serde_json::from_slice(json)?;
        view.check()?;
        Ok(view)
    }

    /// Checks what a proxy relies on: at least one node, at most [`MAX_NODES`], no id twice, ports,
    /// weights, slots and points within their limits.
    ///
    /// # Errors
    /// [`ViewError::Invalid`] naming the first thing that is wrong.
    pub fn check(&self) -> Result<(), ViewError> {
        self.slot_count()?;
        self.find_fault().map_or(Ok(()), |reason| Err(self.invalid(reason)))
    }

    /// The number of slots, checked.
    pub(crate) fn slot_count(&self) -> Result<SlotCount, ViewError> {
        let error = || self.invalid(format!("{} is no allowed number of slots", self.slots));
        SlotCount::new(self.slots).ok_or_else(error)
    }

    fn invalid(&self, reason: String) -> ViewError {
        ViewError::Invalid { epoch: self.epoch, reason }
    }

    fn find_fault(&self) -> Option<String> {
        if self.nodes.is_empty() {
            return Some("it has no nodes".to_owned());
        }
        if self.nodes.len() > MAX_NODES || self.proxies.len() > MAX_NODES {
            return Some(format!("more than {MAX_NODES} members"));
        }
        self.find_bad_weight().or_else(|| self.find_bad_member())
    }

    fn find_bad_weight(&self) -> Option<String> {
        if let Some(node) = self.nodes.iter().find(|n| !(1..=MAX_WEIGHT).contains(&n.weight)) {
            return Some(format!("weight {} of {} is not 1 to {MAX_WEIGHT}", node.weight, node.node_id));
        }
        let weight: u64 = self.nodes.iter().map(|n| u64::from(n.weight)).sum();
        let points = weight * u64::from(self.points);
        (self.points == 0 || points > MAX_POINTS).then(|| {
            format!("{} points per unit of weight make {points}, not 1 to {MAX_POINTS}", self.points)
        })
    }

    fn find_bad_member(&self) -> Option<String> {
        let nodes = self.nodes.iter().map(|n| (&n.node_id, &n.host, n.port));
        let proxies = self.proxies.iter().map(|p| (&p.node_id, &p.host, p.port));
        let mut seen = std::collections::HashSet::new();
        nodes.chain(proxies).find_map(|(id, host, port)| {
            if host.is_empty() || port == 0 {
                return Some(format!("{id} has no address"));
            }
            (!seen.insert(id)).then(|| format!("id {id} appears twice"))
        })
    }
}

fn default_slots() -> u32 {
    DEFAULT_SLOTS
}

fn default_points() -> u32 {
    DEFAULT_POINTS
}

fn default_weight() -> u32 {
    1
}
