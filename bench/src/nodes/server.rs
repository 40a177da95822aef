//! The cache nodes that are compared, and one of them running.
//!
//! All are given the same number as `maxmemory`; FastCache's node gets nothing else, and the peers the commented
//! file `bench/peers/node.conf`. What `maxmemory` counts is each server's own affair (see `hit_ratio`).

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use super::info::Info;
use crate::FASTCACHE;
use crate::bench::Bench;
use crate::client::Client;
use crate::cpu::{self, CpuTimes};
use crate::memory;
use crate::ports::free_port;
use crate::process::{Process, wait_until};
use crate::rounds::{Subject, Trouble};

/// What the peers run with.
const PEER_CONFIGURATION: &str = include_str!("../../peers/node.conf");

/// All of them are ready within tens of milliseconds; this is for a machine that is busy otherwise.
const START: Duration = Duration::from_secs(20);

/// A cache node that may be compared.
#[derive(Debug, Clone)]
pub(super) struct Node {
    name: String,
    program: &'static str,
    missing: Option<String>,
    /// A policy other than its configuration's.
    policy: Option<&'static str>,
}

impl Subject for Node {
    fn name(&self) -> &str {
        &self.name
    }

    fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }
}

impl Node {
    /// FastCache's node and its peers.
    pub(super) fn all(bench: &Bench) -> [Self; 3] {
        let node = |program, name: &str| {
            let found = bench.programs.find(program);
            let version = found.as_ref().map(|found| format!(" {}", found.version)).unwrap_or_default();
            // Ours is named without its version, which is the revision this was built from.
            let name = if program == "cache-node" { name.to_owned() } else { format!("{name}{version}") };
            Self { name, program, missing: found.err(), policy: None }
        };
        [node("cache-node", FASTCACHE), node("redis-server", "Redis"), node("valkey-server", "Valkey")]
    }

    /// Whether it is FastCache's own.
    pub(super) fn is_ours(&self) -> bool {
        self.program == "cache-node"
    }

    /// The same node with another eviction policy, which is part of its name.
    pub(super) fn with_policy(&self, policy: &'static str) -> Self {
        Self { name: format!("{}, {policy}", self.name), policy: Some(policy), ..self.clone() }
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it does not: with its last lines.
    pub(super) fn start(&self, bench: &Bench, maxmemory: u64) -> anyhow::Result<Server> {
        let program = bench.programs.find(self.program).map_err(anyhow::Error::msg)?;
        let port = free_port()?;
        let mut args = Vec::new();
        if !self.is_ours() {
            let file = bench.directory.join("node.conf");
            fs::write(&file, PEER_CONFIGURATION)?;
            args.push(file.display().to_string());
        }
        let mut option = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        option("port", port.to_string());
        option("maxmemory", maxmemory.to_string());
        if let Some(policy) = self.policy {
            option("maxmemory-policy", policy.to_owned());
        }
        let process = bench.start(&format!("{}-{port}", self.program), program, &args)?;
        let server = Server { process, address: ([127, 0, 0, 1], port).into() };
        wait_until(&format!("{} answers", self.name), START, || server.answers())?;
        Ok(server)
    }
}

/// A running node; dropping it ends it.
#[derive(Debug)]
pub(super) struct Server {
    process: Process,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

impl Server {
    fn answers(&self) -> Result<(), String> {
        let pong = Client::connect(self.address).and_then(|mut client| client.ask_line("PING"));
        match pong {
            Ok(reply) if reply == "+PONG\r\n" => Ok(()),
            Ok(reply) => Err(reply),
            Err(error) => Err(format!("{error}; {}", self.process.log_tail())),
        }
    }

    /// A connection to it.
    ///
    /// # Errors
    /// When it takes none.
    pub(super) fn client(&self) -> std::io::Result<Client> {
        Client::connect(self.address)
    }

    /// A section of its INFO.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn info(&self, section: &str) -> std::io::Result<Info> {
        Ok(Info::parse(&self.client()?.ask_line(&format!("INFO {section}"))?))
    }

    /// What CONFIG GET tells of one setting.
    ///
    /// # Errors
    /// When it does not answer with a name and a value.
    pub(super) fn setting(&self, name: &str) -> anyhow::Result<String> {
        let reply = self.client()?.ask_line(&format!("CONFIG GET {name}"))?;
        // Two bulk strings, each a line for its length and one for itself, after the line that says so.
        let value = reply.lines().nth(4).map(str::to_owned);
        value.ok_or_else(|| anyhow::anyhow!("CONFIG GET {name} gave {}", reply.trim_end()))
    }

    /// How many keys it holds, by its own account.
    ///
    /// # Errors
    /// When it does not answer with a number.
    pub(super) fn keys(client: &mut Client) -> Result<u64, Trouble> {
        let reply = client.ask_line("DBSIZE")?;
        let number = reply.trim_end().strip_prefix(':').and_then(|number| number.parse().ok());
        number.ok_or_else(|| Trouble::Failed(format!("DBSIZE gave {reply}")))
    }

    /// CPU time it has used so far.
    ///
    /// # Errors
    /// When it has gone.
    pub(super) fn cpu(&self) -> std::io::Result<CpuTimes> {
        cpu::of_tree(self.process.id())
    }

    /// Its memory as the kernel sees it, in bytes.
    ///
    /// # Errors
    /// When it has gone.
    pub(super) fn resident(&self) -> std::io::Result<u64> {
        memory::resident(self.process.id())
    }

    /// Adds its last words when it has ended.
    pub(super) fn explain(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::Failed(reason) if self.process.has_ended() => {
                Trouble::Failed(format!("{reason}; it ended: {}", self.process.log_tail()))
            }
            other => other,
        }
    }
}
