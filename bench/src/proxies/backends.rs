//! The redis-servers behind the proxies: identical, and shared by all of them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};

use crate::bench::Bench;
use crate::client::Client;
use crate::process::{Process, wait_until};
use crate::{peers, ports};

/// They all start at once, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Running redis-servers.
#[derive(Debug)]
pub(super) struct Backends {
    processes: Vec<Process>,
    first_port: u16,
}

impl Backends {
    /// Starts `count` of them and waits until all serve.
    ///
    /// # Errors
    /// When redis-server is not there, or one does not serve.
    pub(super) fn start(bench: &Bench, count: u16) -> anyhow::Result<Self> {
        let program = bench.programs.find("redis-server").map_err(|reason| anyhow!(reason))?;
        let first_port = ports::free_ports(count)?;
        let mut processes = Vec::new();
        for port in first_port..first_port + count {
            let name = format!("backend-{port}");
            let text = include_str!("../../peers/redis.conf");
            let file = peers::write(
                &bench.directory,
                &format!("{name}.conf"),
                text,
                &[("PORT", &port.to_string())],
            )?;
            processes.push(bench.start(&name, program, &[file.display().to_string()])?);
        }
        let backends = Self { processes, first_port };
        for (process, address) in backends.processes.iter().zip(backends.addresses()) {
            wait_until("a backend serves", PATIENCE, || serves(address))
                .with_context(|| process.log_tail())?;
        }
        Ok(backends)
    }

    /// Where they listen.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let count = self.processes.len() as u16;
        (self.first_port..self.first_port + count).map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// The one that is used alone: by HAProxy, and without a proxy.
    pub(super) fn first(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.first_port))
    }

    /// Their process ids.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::id).collect()
    }

    /// Empties all of them.
    ///
    /// # Errors
    /// When one does not answer with `+OK`.
    pub(super) fn flush(&self) -> anyhow::Result<()> {
        for address in self.addresses() {
            let reply = Client::connect(address)?.ask_line("FLUSHALL")?;
            ensure!(reply == "+OK\r\n", "FLUSHALL gave {reply}");
        }
        Ok(())
    }

    /// What they have done so far, by their own account.
    ///
    /// # Errors
    /// When one does not answer.
    pub(super) fn done(&self) -> anyhow::Result<Done> {
        self.addresses().try_fold(Done::default(), |sum, address| {
            let mut client = Client::connect(address)?;
            let text = client.ask_line("INFO stats")? + &client.ask_line("INFO commandstats")?;
            let Done { hits, misses, sets } = Done::parse(&text);
            Ok(Done { hits: sum.hits + hits, misses: sum.misses + misses, sets: sum.sets + sets })
        })
    }

    /// How many keys each holds.
    ///
    /// # Errors
    /// When one does not answer.
    pub(super) fn key_counts(&self) -> anyhow::Result<Vec<u64>> {
        self.addresses().map(key_count).collect()
    }
}

/// What backends have done: the proof that a proxy asked them, and not only answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Keys that were asked for and there.
    pub(super) hits: u64,
    /// Keys that were asked for and not there.
    pub(super) misses: u64,
    /// SETs.
    pub(super) sets: u64,
}

impl Done {
    /// A counter that has never counted is not listed.
    fn parse(info: &str) -> Self {
        let counter = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name))?;
            line.split(|letter: char| !letter.is_ascii_digit()).next()?.parse::<u64>().ok()
        };
        let counter = |name| counter(name).unwrap_or_default();
        Self {
            hits: counter("keyspace_hits:"),
            misses: counter("keyspace_misses:"),
            sets: counter("cmdstat_set:calls="),
        }
    }
}

fn key_count(address: SocketAddr) -> anyhow::Result<u64> {
    let reply = Client::connect(address)?.ask_line("DBSIZE")?;
    reply.trim_start_matches(':').trim_end().parse().with_context(|| format!("DBSIZE gave {reply}"))
}

/// Whether it answers PING.
pub(super) fn serves(address: SocketAddr) -> Result<(), String> {
    let mut client = Client::connect(address).map_err(|error| error.to_string())?;
    let reply = client.ask_line("PING").map_err(|error| error.to_string())?;
    if reply == "+PONG\r\n" { Ok(()) } else { Err(reply) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_as_redis_lists_them() {
        let info = "# Stats\r\nkeyspace_hits:41\r\nkeyspace_misses:2\r\n# Commandstats\r\n\
                    cmdstat_set:calls=17,usec=30,usec_per_call=1.76\r\n";
        assert_eq!(Done::parse(info), Done { hits: 41, misses: 2, sets: 17 });
        assert_eq!(Done::parse("# Stats\r\n"), Done::default());
    }
}
