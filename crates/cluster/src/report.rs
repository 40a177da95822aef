//! What a proxy tells the health service about nodes it could not use.
//!
//! A report is evidence, not a verdict: it makes the service probe the node at once, and the probe
//! decides. A proxy's own overload is never a node's failure and must not be reported.

use serde::{Deserialize, Serialize};

use crate::node::NodeId;

/// Most reports in one request: one for each node of a large cluster would be more than a proxy with
/// a working network ever has.
pub const MAX_REPORTS: usize = 1_024;

/// What a proxy saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReportKind {
    /// The connection was refused.
    Refused,
    /// The connection broke.
    Reset,
    /// No answer in time.
    Timeout,
    /// The node spoke something that is not RESP.
    Protocol,
    /// The node answers, but that it cannot serve (`-LOADING`, `-MASTERDOWN`, ...).
    Error,
    /// The process behind the address is not the one the view names.
    RunIdMismatch,
}

/// One node's trouble, seen by one proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The node.
    pub node_id: NodeId,
    /// What was seen.
    pub kind: ReportKind,
    /// How often since the proxy's last report about this node.
    #[serde(default = "once")]
    pub count: u32,
    /// The error in words, for the node's history.
    #[serde(default)]
    pub detail: Option<String>,
}

/// The body of `POST /health/reports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reports {
    /// Who reports.
    pub proxy_id: NodeId,
    /// The epoch the proxy routed by when it saw the trouble.
    pub epoch: u64,
    /// At most [`MAX_REPORTS`].
    pub reports: Vec<Report>,
}

fn once() -> u32 {
    1
}
