//! What the health service answers about members one by one and about the cluster as a whole.
//!
//! The JSON is a superset of the two contracts in circulation (`status` and `healthy`, `lastCheck`
//! and `lastChecked`, `totalNodes` and `total`, ...), so a reader of either works. These types only
//! name the fields; the health service fills them in. Unlike a [`crate::View`] they change with
//! every probe and wake nobody.

use serde::{Deserialize, Serialize};

use crate::node::NodeId;
use crate::view::Status;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeType {
    /// A cache node.
    Node,
    /// A cache proxy.
    Proxy,
}

/// Whether the operator took a node out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaintenanceMode {
    /// Out of service: probed, never routable.
    Drain,
    /// In service.
    Ready,
}

/// The health of one node or proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeHealth {
    /// The configured name.
    pub node_id: NodeId,
    /// Node or proxy.
    pub node_type: NodeType,
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Failure domain, when configured.
    #[serde(default)]
    pub zone: Option<String>,
    /// HEALTHY, UNHEALTHY or UNKNOWN.
    pub status: Status,
    /// `status` is HEALTHY.
    pub healthy: bool,
    /// When the last probe ended (RFC 3339, UTC), `null` before the first.
    pub last_check: Option<String>,
    /// The same as `last_check`.
    pub last_checked: Option<String>,
    /// How long the last good probe took, in whole milliseconds.
    pub response_time_ms: Option<u64>,
    /// The same in microseconds.
    #[serde(default)]
    pub response_time_us: Option<u64>,
    /// Why the last probe failed; `null` when it did not.
    pub error_message: Option<String>,
    /// Since when the status is what it is (RFC 3339, UTC).
    pub since: Option<String>,
    /// The epoch of the view in force when this was answered.
    pub epoch: u64,
    /// Whether the node may be sent traffic. Not told of proxies: nobody routes to them by the view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routable: Option<bool>,
    /// Whether the operator took the node out of service.
    pub maintenance: bool,
    /// Failed probes in a row.
    pub consecutive_failures: u32,
    /// Good probes in a row.
    pub consecutive_successes: u32,
    /// The `run_id` seen by the last probe that asked for it.
    #[serde(default)]
    pub run_id: Option<String>,
}

/// How the health service itself is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckerState {
    /// Probing normally.
    Ok,
    /// Not every member has been probed since the start, or too few nodes answer for a first view.
    Starting,
    /// Too many nodes began to fail at once: routability is frozen, since the checker or its network
    /// is the likelier culprit.
    Frozen,
}

/// The cluster's health in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Configured nodes.
    pub total_nodes: usize,
    /// Of them HEALTHY.
    pub healthy_nodes: usize,
    /// Of them UNHEALTHY.
    pub unhealthy_nodes: usize,
    /// Of them UNKNOWN.
    pub unknown_nodes: usize,
    /// Of them routable.
    pub routable_nodes: usize,
    /// Of them in maintenance.
    pub maintenance_nodes: usize,
    /// `healthy_nodes` of `total_nodes`, 0 to 100.
    pub health_percentage: f64,
    /// The same as `health_percentage`.
    pub node_health_percentage: f64,
    /// The same as `total_nodes`.
    pub total: usize,
    /// The same as `healthy_nodes`.
    pub healthy: usize,
    /// The same as `unhealthy_nodes`.
    pub unhealthy: usize,
    /// Configured proxies.
    pub total_proxies: usize,
    /// Of them HEALTHY.
    pub healthy_proxies: usize,
    /// Of them UNHEALTHY.
    pub unhealthy_proxies: usize,
    /// Of them UNKNOWN.
    pub unknown_proxies: usize,
    /// `healthy_proxies` of `total_proxies`, 0 to 100.
    pub proxy_health_percentage: f64,
    /// Every node is HEALTHY and every proxy is.
    pub is_cluster_healthy: bool,
    /// When this was answered (RFC 3339, UTC).
    pub timestamp: String,
    /// The epoch of the view in force.
    pub epoch: u64,
    /// Probes of nodes started in the last 30 seconds, of whatever cause.
    pub checks_per30s: usize,
    /// The same for proxies.
    pub proxy_checks_per30s: usize,
    /// How the health service itself is doing.
    pub checker: CheckerState,
    /// Whether the journal can be written; `null` when there is none.
    pub journal_healthy: Option<bool>,
}

/// One change of a node's status or routability, with its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// When it happened (RFC 3339, UTC).
    pub at: String,
    /// The epoch in force after it.
    pub epoch: u64,
    /// The status before.
    pub from: Status,
    /// The status after.
    pub to: Status,
    /// Whether the node was routable after it.
    pub routable: bool,
    /// What brought it about, in words.
    pub cause: String,
}
