//! The text of `INFO`: Redis' sections and field names, about all that a client sees as one Redis.
//!
//! Memory, keys, hits and the like are the nodes', added up; clients and requests are this proxy's, of all its
//! workers. Clients and tools look for `redis_version`, `loading:0`, `role:master`, `redis_mode:standalone` and
//! `cluster_enabled:0`. The section `Fastcache` is ours.

use std::fmt::Write;
use std::sync::Arc;

use resp::Request;

use crate::dispatch::Dispatcher;
use crate::local::REDIS_VERSION;
use crate::local::figures::Figures;
use crate::metrics::stats::Stats;

/// The sections that a client asks for, in lower case. None: all of them.
#[derive(Debug)]
pub(crate) struct Sections(Vec<String>);

impl Sections {
    pub(crate) fn named_by(request: &Request<'_>) -> Self {
        let names = request.args().skip(1).map(|name| String::from_utf8_lossy(name).to_ascii_lowercase());
        let names: Vec<_> = names.collect();
        let all = |name: &String| matches!(name.as_str(), "all" | "default" | "everything");
        Self(if names.iter().any(all) { Vec::new() } else { names })
    }

    fn include(&self, title: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|name| name.eq_ignore_ascii_case(title))
    }

    /// Whether the nodes must be asked.
    pub(crate) fn concern_nodes(&self) -> bool {
        ["memory", "stats", "keyspace"].iter().any(|title| self.include(title))
    }
}

/// `INFO`'s text for these sections.
pub(crate) fn text(worker: &Dispatcher, wanted: &Sections, figures: &Figures) -> String {
    let mut text = String::new();
    for (title, fields) in sections(worker, figures) {
        if wanted.include(title) {
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

fn sections(worker: &Dispatcher, figures: &Figures) -> [(&'static str, Fields); 9] {
    let totals = totals(worker);
    [
        ("Server", server(worker)),
        ("Clients", clients(worker, &totals)),
        ("Memory", memory(figures)),
        ("Persistence", persistence()),
        ("Stats", stats(&totals, figures)),
        ("Replication", vec![("role", "master".to_owned()), ("connected_slaves", "0".to_owned())]),
        ("Cluster", vec![("cluster_enabled", "0".to_owned())]),
        ("Keyspace", keyspace(figures)),
        ("Fastcache", fastcache(worker, &totals, figures)),
    ]
}

/// The counts of all workers of this process.
fn totals(worker: &Dispatcher) -> Stats {
    let others = worker.overview.workers.iter().filter(|other| !Arc::ptr_eq(other, &worker.published));
    others.fold(worker.stats, |sum, other| sum + other.get())
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

fn clients(worker: &Dispatcher, totals: &Stats) -> Fields {
    vec![
        ("connected_clients", totals.connected_clients.to_string()),
        ("maxclients", worker.config.max_clients.to_string()),
        ("blocked_clients", totals.blocked_clients.to_string()),
        ("pubsub_clients", totals.subscribed_clients.to_string()),
    ]
}

fn memory(figures: &Figures) -> Fields {
    let mut fields = Vec::new();
    for (name, human_name) in [
        ("used_memory", "used_memory_human"),
        ("used_memory_rss", "used_memory_rss_human"),
        ("used_memory_peak", "used_memory_peak_human"),
    ] {
        let bytes = figures.amount(name);
        fields.extend([(name, bytes.to_string()), (human_name, human(bytes))]);
    }
    let maxmemory = figures.maxmemory();
    fields.extend([
        ("used_memory_dataset", figures.amount("used_memory_dataset").to_string()),
        ("maxmemory", maxmemory.to_string()),
        ("maxmemory_human", human(maxmemory)),
        ("maxmemory_policy", figures.policy().to_owned()),
    ]);
    fields
}

/// Bytes in Redis' short form.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["K", "M", "G", "T"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let unit = (bytes.ilog2() / 10).min(UNITS.len() as u32);
    format!("{:.2}{}", bytes as f64 / 1024_f64.powi(unit as i32), UNITS[unit as usize - 1])
}

/// A cache writes no files.
fn persistence() -> Fields {
    ["loading", "async_loading", "rdb_bgsave_in_progress", "aof_enabled"]
        .map(|name| (name, "0".to_owned()))
        .into()
}

fn stats(totals: &Stats, figures: &Figures) -> Fields {
    let mut fields = vec![
        ("total_connections_received", totals.accepted_clients.to_string()),
        ("total_commands_processed", totals.requests.to_string()),
        // Those of the nodes, over all proxies.
        ("instantaneous_ops_per_sec", figures.amount("instantaneous_ops_per_sec").to_string()),
        ("rejected_connections", totals.rejected_clients.to_string()),
        ("total_error_replies", totals.errors.to_string()),
        // One that clients of several workers listen to counts for each.
        ("pubsub_channels", totals.channels.to_string()),
        ("pubsub_patterns", totals.patterns.to_string()),
        ("pubsubshard_channels", totals.shard_channels.to_string()),
    ];
    fields.extend(figures.counters().map(|(name, count)| (name, count.to_string())));
    fields
}

/// Like Redis, none while there is no key.
fn keyspace(figures: &Figures) -> Fields {
    let all = figures.keyspace();
    let text = format!("keys={},expires={},avg_ttl={}", all.keys, all.expires, all.avg_ttl);
    if all.keys == 0 { Vec::new() } else { vec![("db0", text)] }
}

fn fastcache(worker: &Dispatcher, totals: &Stats, figures: &Figures) -> Fields {
    let nodes = worker.routing.as_ref().map_or(&[][..], |routing| routing.nodes());
    let routable = nodes.iter().filter(|node| node.routable).count();
    let resident = daemon::process_metrics::resident_bytes().unwrap_or(0);
    vec![
        ("proxy_id", worker.config.proxy_id.to_string()),
        ("view_epoch", worker.stats.epoch.to_string()),
        ("nodes", nodes.len().to_string()),
        ("nodes_routable", routable.to_string()),
        ("nodes_in_info", figures.answered().to_string()),
        ("proxy_memory_rss", resident.to_string()),
        ("links_up", totals.connected_links.to_string()),
        ("requests_held", totals.waiting.to_string()),
        ("requests_resent", totals.resent.to_string()),
        ("requests_expired", totals.expired.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_as_redis_does() {
        for (bytes, text) in [
            (0, "0B"),
            (1_023, "1023B"),
            (1_024, "1.00K"),
            (1_572_864, "1.50M"),
            (1 << 30, "1.00G"),
            (1 << 50, "1024.00T"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
