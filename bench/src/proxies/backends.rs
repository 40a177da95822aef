//! The redis-servers behind the proxies: identical, and shared by all of them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};

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

    /// How many keys each holds.
    ///
    /// # Errors
    /// When one does not answer.
    pub(super) fn key_counts(&self) -> anyhow::Result<Vec<u64>> {
        self.addresses().map(key_count).collect()
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
