//! Whether the cluster serves: the health service counts every node healthy, every proxy and the entry
//! answer PING.

use std::time::Duration;

use serde::Deserialize;

use crate::layout::{Layout, proxy_name};
use crate::wire::{http_get, ping};

/// A process on this host that needs longer is not ready.
const PATIENCE: Duration = Duration::from_secs(1);

/// The part of `/health/summary` that matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    total_nodes: usize,
    healthy_nodes: usize,
}

/// Asks every proxy; the error says what is still waited for, here and below. Each question blocks for
/// up to a second.
pub(super) fn proxies_answer(layout: &Layout) -> Result<(), String> {
    for (index, ports) in layout.proxies.iter().enumerate() {
        let address = layout.address(ports.clients);
        ping(&address, PATIENCE).map_err(|error| format!("{}: {error}", proxy_name(index)))?;
    }
    Ok(())
}

/// Asks the health service about the nodes, then every proxy and the entry.
pub(super) fn cluster_serves(layout: &Layout) -> Result<(), String> {
    nodes_are_healthy(layout)?;
    proxies_answer(layout)?;
    ping(&layout.address(layout.entry), PATIENCE).map_err(|error| format!("the entry: {error}"))
}

fn nodes_are_healthy(layout: &Layout) -> Result<(), String> {
    let url = format!("http://{}/health/summary", layout.address(layout.health));
    let answer = http_get(&url, PATIENCE).map_err(|error| format!("the health service: {error}"))?;
    let summary: Summary = serde_json::from_str(&answer.body)
        .map_err(|error| format!("the health service answered {} ({error})", answer.status))?;
    let wanted = layout.nodes.len();
    if summary.total_nodes == wanted && summary.healthy_nodes == wanted {
        return Ok(());
    }
    Err(format!("{} of {wanted} nodes are healthy", summary.healthy_nodes))
}
