//! INFO: the node in numbers, by section, under Redis' names where Redis has the same thing.

use super::Family;
use super::connection::REDIS_VERSION;
use crate::execute::Context;
use crate::failure::Failure;
use crate::node::{CommandStats, Node};
use resp::Request;
use std::fmt::{Display, Write};

pub(super) const FAMILY: Family = &[("info", info)];

/// A section: its title and the lines it has now.
type Section = (&'static str, fn(&Node, u64, &mut Lines));

/// In the order of the reply. Those of `EXTRA` are shown only when asked for.
static SECTIONS: [Section; 9] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("CPU", cpu),
    ("Cluster", cluster),
    ("Keyspace", keyspace),
];
static EXTRA: [Section; 1] = [("Commandstats", commandstats)];

/// `name:value` lines under construction.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, name: &str, value: impl Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }
}

fn info(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    ctx.node.note_memory();
    let asked = |name: &str| request.args().skip(1).any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let usual = request.len() == 1 || asked("default");
    let every = asked("all") || asked("everything");
    let wanted = SECTIONS.iter().filter(|(title, _)| usual || every || asked(title));
    let mut lines = Lines::default();
    for (title, write) in wanted.chain(EXTRA.iter().filter(|(title, _)| every || asked(title))) {
        if !lines.0.is_empty() {
            lines.0.push_str("\r\n");
        }
        lines.0.push_str(&format!("# {title}\r\n"));
        write(ctx.node, ctx.now, &mut lines);
    }
    ctx.reply.verbatim("txt", lines.0.as_bytes());
    Ok(())
}

fn server(node: &Node, now: u64, lines: &mut Lines) {
    let uptime = now.saturating_sub(node.started) / 1_000;
    lines.line("redis_version", REDIS_VERSION);
    lines.line("redis_mode", "standalone");
    lines.line("fastcache_version", env!("CARGO_PKG_VERSION"));
    lines.line("node_id", &node.config.node_id);
    lines.line("os", std::env::consts::OS);
    lines.line("arch_bits", usize::BITS);
    lines.line("process_id", std::process::id());
    lines.line("run_id", &node.run_id);
    lines.line("tcp_port", node.port);
    if let Some(port) = node.admin_port {
        lines.line("admin_port", port);
    }
    lines.line("server_time_usec", now * 1_000);
    lines.line("uptime_in_seconds", uptime);
    lines.line("uptime_in_days", uptime / 86_400);
}

fn clients(node: &Node, _: u64, lines: &mut Lines) {
    lines.line("connected_clients", node.clients.len());
    lines.line("maxclients", node.config.maxclients);
    lines.line("blocked_clients", node.waiting.len());
    lines.line("total_watched_keys", node.engine.watched_len());
}

fn memory(node: &Node, _: u64, lines: &mut Lines) {
    let used = node.engine.used_memory();
    let limits = node.config.limits;
    lines.line("used_memory", used);
    lines.line("used_memory_human", human(used));
    if let Some(resident) = resident_bytes() {
        lines.line("used_memory_rss", resident);
        lines.line("used_memory_rss_human", human(resident));
    }
    lines.line("used_memory_peak", node.stats.peak_memory);
    lines.line("used_memory_peak_human", human(node.stats.peak_memory));
    lines.line("used_memory_dataset", used);
    lines.line("maxmemory", limits.maxmemory);
    lines.line("maxmemory_human", human(limits.maxmemory));
    lines.line("maxmemory_policy", limits.policy);
    lines.line("lazyfree_pending_objects", node.engine.remaining_objects());
}

/// Resident memory of this process, where the system tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes * 1_024)
}

/// Bytes as Redis rounds them for people: `1.50M`.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1_024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / 1_024.0;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

/// Nothing is ever persisted; clients wait for `loading:0` before they send anything.
fn persistence(_: &Node, _: u64, lines: &mut Lines) {
    lines.line("loading", 0);
    lines.line("async_loading", 0);
    lines.line("rdb_bgsave_in_progress", 0);
    lines.line("aof_enabled", 0);
}

fn stats(node: &Node, _: u64, lines: &mut Lines) {
    let (stats, counters) = (&node.stats, node.engine.counters);
    lines.line("total_connections_received", stats.connections);
    lines.line("total_commands_processed", stats.commands);
    lines.line("total_net_input_bytes", stats.bytes_in);
    lines.line("total_net_output_bytes", stats.bytes_out);
    lines.line("rejected_connections", stats.refused);
    lines.line("expired_keys", counters.expired);
    lines.line("evicted_keys", counters.evicted);
    lines.line("keyspace_hits", counters.hits);
    lines.line("keyspace_misses", counters.misses);
    lines.line("total_error_replies", stats.errors);
}

fn replication(_: &Node, _: u64, lines: &mut Lines) {
    lines.line("role", "master");
    lines.line("connected_slaves", 0);
    lines.line("master_repl_offset", 0);
}

/// Linux counts the processor time it reports in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

fn cpu(_: &Node, _: u64, lines: &mut Lines) {
    let Ok(status) = std::fs::read_to_string("/proc/self/stat") else { return };
    // The second field, the program's name, may hold anything; after its bracket user time is the 12th.
    let fields = status.rsplit(')').next().unwrap_or_default().split_whitespace();
    let mut ticks = fields.skip(11).filter_map(|field| field.parse::<f64>().ok());
    for name in ["used_cpu_user", "used_cpu_sys"] {
        let seconds = ticks.next().unwrap_or_default() / TICKS_PER_SECOND;
        lines.line(name, format_args!("{seconds:.6}"));
    }
}

fn cluster(_: &Node, _: u64, lines: &mut Lines) {
    lines.line("cluster_enabled", 0);
}

fn keyspace(node: &Node, _: u64, lines: &mut Lines) {
    if !node.engine.is_empty() {
        let (keys, expires) = (node.engine.len(), node.engine.volatile_len());
        lines.line("db0", format_args!("keys={keys},expires={expires},avg_ttl=0"));
    }
}

fn commandstats(node: &Node, _: u64, lines: &mut Lines) {
    let each = commands::all().iter().flat_map(|command| std::iter::once(command).chain(command.subcommands));
    for command in each {
        let CommandStats { calls, rejected, failed } = node.stats.of_command[command.id.index()];
        if calls + rejected > 0 {
            let figures = format_args!("calls={calls},rejected_calls={rejected},failed_calls={failed}");
            lines.line(&format!("cmdstat_{}", command.name), figures);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_are_rounded_for_people() {
        for (bytes, text) in [(0, "0B"), (1_023, "1023B"), (1_536, "1.50K"), (268_435_456, "256.00M")] {
            assert_eq!(human(bytes), text);
        }
    }
}
