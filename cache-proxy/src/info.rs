//! The text of `INFO`: Redis' sections and field names, about the proxy.
//!
//! Clients and tools look for `redis_version`, `loading:0`, `role:master`, `redis_mode:standalone` and
//! `cluster_enabled:0`. The section `Fastcache` is ours.

use std::fmt::Write;

use resp::Request;

use crate::dispatch::Dispatcher;
use crate::local::REDIS_VERSION;

/// `INFO`'s text for the sections that `request` names; all of them when it names none.
pub(crate) fn text(worker: &Dispatcher, request: &Request<'_>) -> String {
    let named: Vec<_> =
        request.args().skip(1).map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
    let all = named.is_empty()
        || named.iter().any(|name| matches!(name.as_str(), "all" | "default" | "everything"));
    let mut text = String::new();
    for (title, fields) in sections(worker) {
        if all || named.iter().any(|name| name.eq_ignore_ascii_case(title)) {
            if !text.is_empty() {
                text += "\r\n";
            }
            // Writing to a String cannot fail.
            let _ = write!(text, "# {title}\r\n");
            for (name, value) in fields {
                let _ = write!(text, "{name}:{value}\r\n");
            }
        }
    }
    text
}

type Fields = Vec<(&'static str, String)>;

fn sections(worker: &Dispatcher) -> [(&'static str, Fields); 8] {
    [
        ("Server", server(worker)),
        ("Clients", clients(worker)),
        ("Memory", memory()),
        ("Persistence", vec![("loading", "0".to_owned())]),
        ("Stats", stats(worker)),
        ("Replication", vec![("role", "master".to_owned()), ("connected_slaves", "0".to_owned())]),
        ("Cluster", vec![("cluster_enabled", "0".to_owned())]),
        ("Fastcache", fastcache(worker)),
    ]
}

fn server(worker: &Dispatcher) -> Fields {
    let uptime = worker.now.saturating_duration_since(worker.started).as_secs();
    vec![
        ("redis_version", REDIS_VERSION.to_owned()),
        ("fastcache_version", daemon::version().to_owned()),
        ("redis_mode", "standalone".to_owned()),
        ("os", std::env::consts::OS.to_owned()),
        ("arch_bits", usize::BITS.to_string()),
        ("process_id", std::process::id().to_string()),
        ("tcp_port", worker.config.port.to_string()),
        ("uptime_in_seconds", uptime.to_string()),
        ("uptime_in_days", (uptime / 86_400).to_string()),
    ]
}

fn clients(worker: &Dispatcher) -> Fields {
    vec![
        ("connected_clients", worker.clients.len().to_string()),
        ("maxclients", worker.config.max_clients.to_string()),
        ("blocked_clients", worker.blocked_clients().to_string()),
    ]
}

/// The proxy's own memory: it keeps no data.
fn memory() -> Fields {
    let resident = daemon::process_metrics::resident_bytes().unwrap_or(0);
    vec![
        ("used_memory", resident.to_string()),
        ("used_memory_rss", resident.to_string()),
        ("maxmemory", "0".to_owned()),
    ]
}

fn stats(worker: &Dispatcher) -> Fields {
    let stats = &worker.stats;
    vec![
        ("total_connections_received", stats.accepted_clients.to_string()),
        ("total_commands_processed", stats.requests.to_string()),
        ("rejected_connections", stats.rejected_clients.to_string()),
        ("total_error_replies", stats.errors.to_string()),
    ]
}

fn fastcache(worker: &Dispatcher) -> Fields {
    let nodes = worker.routing.as_ref().map_or(&[][..], |routing| routing.nodes());
    let routable = nodes.iter().filter(|node| node.routable).count();
    vec![
        ("proxy_id", worker.config.proxy_id.to_string()),
        ("view_epoch", worker.stats.epoch.to_string()),
        ("nodes", nodes.len().to_string()),
        ("nodes_routable", routable.to_string()),
        ("links_up", worker.links.iter().filter(|(_, link)| link.up).count().to_string()),
        ("requests_held", worker.hold.len().to_string()),
        ("requests_resent", worker.stats.resent.to_string()),
        ("requests_expired", worker.stats.expired.to_string()),
    ]
}
