//! Who is compared: how each proxy is started, and which processes count as it.
//!
//! Each gets one worker thread and the configuration in `bench/peers`. FastCache runs as users have it: a health
//! service watches the backends, and its CPU time counts as FastCache's.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::backends::{Backends, serves};
use crate::bench::Bench;
use crate::client::Client;
use crate::cpu::{self, CpuTimes};
use crate::process::{Process, wait_until};
use crate::programs::Programs;
use crate::results::{Results, Scenario};
use crate::rounds::Subject;
use crate::{FASTCACHE, NO_PROXY, load, peers, ports};

/// A start on a busy machine; FastCache's first probes included.
const PATIENCE: Duration = Duration::from_secs(30);

/// One way from a client to the backends.
#[derive(Debug)]
pub(super) struct Contestant {
    name: String,
    missing: Option<String>,
    /// Why it did not start, or does not do what it is for.
    broken: Option<String>,
    /// How its keys are spread, where that is worth knowing.
    uneven: BTreeSet<String>,
    /// Its own keys begin with this letter: each spreads them over the backends differently.
    pub(super) letter: char,
    /// Where clients connect.
    pub(super) address: SocketAddr,
    /// The proxy, first; none when there is no proxy.
    pub(super) processes: Vec<Process>,
    /// Whether all backends are behind it. If not, each client gets a connection of its own to the backend.
    spreads: bool,
}

impl Subject for Contestant {
    fn name(&self) -> &str {
        &self.name
    }
    fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }
    fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }
}

/// Where it listens, and its processes.
type Started = anyhow::Result<(SocketAddr, Vec<Process>)>;

/// What there is to know about one before it runs.
struct Kind {
    name: &'static str,
    /// The program whose version stands behind the name.
    program: Option<&'static str>,
    spreads: bool,
    start: fn(&Bench, &Backends) -> Started,
}

/// In the order of the report. The last is what the latencies of the others are compared with.
const KINDS: [Kind; 5] = [
    Kind { name: FASTCACHE, program: None, spreads: true, start: start_fastcache },
    Kind { name: "twemproxy", program: Some("nutcracker"), spreads: true, start: start_twemproxy },
    Kind { name: "Envoy", program: Some("envoy"), spreads: true, start: start_envoy },
    Kind { name: "HAProxy TCP", program: Some("haproxy"), spreads: false, start: start_haproxy },
    Kind { name: NO_PROXY, program: None, spreads: false, start: start_nothing },
];

/// Their names, as the report has them.
pub(super) fn names(programs: &Programs) -> Vec<String> {
    KINDS.iter().map(|kind| kind.full_name(programs)).collect()
}

/// Starts all of them. One that cannot be started is in the list all the same, and says why.
pub(super) fn start_all(bench: &Bench, backends: &Backends) -> Vec<Contestant> {
    KINDS.iter().zip('a'..).map(|(kind, letter)| kind.contestant(bench, backends, letter)).collect()
}

/// Measures, and says in the rows of whoever leaves backends out that it does, and of whoever took backends out of service meanwhile that it did: on a machine that is
/// too busy a backend may seem dead, and what goes on then is not what is measured.
pub(super) fn watched(
    results: &mut Results,
    scenario: &Scenario,
    contestants: &mut [Contestant],
    measure: impl FnOnce(&mut Results, &mut [Contestant]),
) {
    let before: Vec<usize> = contestants.iter().map(Contestant::outages).collect();
    measure(results, contestants);
    for (contestant, before) in contestants.iter().zip(before) {
        contestant.uneven.iter().for_each(|note| results.note(scenario, &contestant.name, note));
        let outages = contestant.outages() - before;
        if outages > 0 {
            results.note(
                scenario,
                &contestant.name,
                format!("took backends out of service {outages} times meanwhile"),
            );
        }
    }
}

impl Kind {
    fn full_name(&self, programs: &Programs) -> String {
        match self.program.map(|program| programs.find(program)) {
            Some(Ok(program)) => format!("{} {}", self.name, program.version),
            _ => self.name.to_owned(),
        }
    }

    fn contestant(&self, bench: &Bench, backends: &Backends, letter: char) -> Contestant {
        let name = self.full_name(&bench.programs);
        let mut contestant = Contestant {
            name,
            missing: self.program.and_then(|program| bench.programs.find(program).err()),
            broken: None,
            uneven: BTreeSet::new(),
            letter,
            address: backends.first(),
            processes: Vec::new(),
            spreads: self.spreads,
        };
        if contestant.missing.is_none() {
            // What is installed and does not start has failed: it is not absent.
            match (self.start)(bench, backends) {
                Ok((address, processes)) => (contestant.address, contestant.processes) = (address, processes),
                Err(error) => contestant.broken = Some(format!("it does not start: {error:#}")),
            }
        }
        contestant
    }
}

impl Contestant {
    /// Whether there is a proxy at all.
    pub(super) fn is_proxy(&self) -> bool {
        self.name != NO_PROXY
    }

    /// The process that clients are connected to.
    ///
    /// # Errors
    /// When there is none, or it has ended: with its last words.
    pub(super) fn proxy(&self) -> anyhow::Result<&Process> {
        let process = self.processes.first().context("there is no proxy")?;
        ensure!(!process.has_ended(), "it has ended: {}", process.log_tail());
        Ok(process)
    }

    /// How many times so far something of it took a backend out of service: only FastCache's health service does.
    pub(super) fn outages(&self) -> usize {
        self.processes.iter().map(|process| process.output().matches("to=UNHEALTHY").count()).sum()
    }

    /// Whether the limit of open files allows that many clients.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn has_room_for(&self, clients: usize) -> Result<(), String> {
        /// Listeners, connections to backends, logs.
        const OTHERS: usize = 100;
        let sockets = if self.spreads { clients } else { 2 * clients } + OTHERS;
        let limit = daemon::open_files::limit();
        if sockets as u64 <= limit {
            return Ok(());
        }
        Err(format!(
            "{clients} clients need {sockets} sockets in it, and the limit of open files here is {limit}"
        ))
    }

    /// CPU time of all its processes so far.
    pub(super) fn cpu(&self) -> anyhow::Result<CpuTimes> {
        if self.is_proxy() {
            self.proxy()?;
        }
        Ok(cpu::of_trees(&self.processes.iter().map(Process::id).collect::<Vec<_>>())?)
    }

    /// Its keys for values of this size.
    pub(super) fn prefix(&self, size: usize) -> String {
        format!("{}{size}", self.letter)
    }

    /// Stores `count` values of this size through it for the first time, and looks whether each is in one backend and
    /// most backends have some. If not, it is broken.
    pub(super) fn stock(&mut self, backends: &Backends, count: u64, size: usize) {
        if self.missing.is_none() && self.broken.is_none() {
            match self.stocked(backends, count, size) {
                Ok(uneven) => self.uneven.extend(uneven),
                Err(error) => self.broken = Some(format!("{error:#}")),
            }
        }
    }

    fn stocked(&self, backends: &Backends, count: u64, size: usize) -> anyhow::Result<Option<String>> {
        let before = backends.key_counts()?;
        self.preload(count, size)?;
        let after = backends.key_counts()?;
        let new: Vec<u64> =
            after.iter().zip(before).map(|(after, before)| after.saturating_sub(before)).collect();
        spread(&new, count, self.spreads)
    }

    /// Stores `count` values of this size through it: again what they were.
    ///
    /// # Errors
    /// When something is not stored.
    pub(super) fn preload(&self, count: u64, size: usize) -> std::io::Result<()> {
        load::preload(self.address, &self.prefix(size), count, size)
    }
}

/// Whether `count` keys are where they should be, by how many each backend got; and what to say where some got none.
fn spread(new: &[u64], count: u64, is_over_all: bool) -> anyhow::Result<Option<String>> {
    /// A poor hash leaves a few out, which is the proxy's own doing; one that spreads at all reaches more than these.
    const MOST_WITHOUT: f64 = 0.2;
    let stored: u64 = new.iter().sum();
    ensure!(stored == count, "of {count} keys stored through it the backends have {stored}");
    let without = new.iter().filter(|count| **count == 0).count();
    if !is_over_all || without == 0 {
        return Ok(None);
    }
    ensure!(without as f64 <= new.len() as f64 * MOST_WITHOUT, "{without} backends got no key");
    Ok(Some(format!("{without} of {} backends get none of its {count} keys", new.len())))
}

fn port_of(address: SocketAddr) -> String {
    address.port().to_string()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Waits until a proxy answers, which some do before they have seen a backend; preloading shows the rest.
fn ready(process: Process, address: SocketAddr) -> Started {
    let serving = wait_until("it serves", PATIENCE, || {
        if process.has_ended() { Err("it has ended".to_owned()) } else { serves(address) }
    });
    serving.with_context(|| process.log_tail())?;
    Ok((address, vec![process]))
}

fn start_fastcache(bench: &Bench, backends: &Backends) -> Started {
    let find = |name| bench.programs.find(name).map_err(anyhow::Error::msg);
    let (address, health) = (local(ports::free_port()?), local(ports::free_port()?));
    let mut nodes = String::new();
    for (number, backend) in (1..).zip(backends.addresses()) {
        let _ = writeln!(nodes, "[[node]]\nid = \"node{number}\"\naddress = \"{backend}\"");
    }
    let text = include_str!("../../peers/cluster.toml");
    let cluster = peers::write(
        &bench.directory,
        "cluster.toml",
        text,
        &[("NODES", &nodes), ("PORT", &port_of(address))],
    )?;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let args = words(&["--port", &port_of(health), "--cluster", &cluster.display().to_string()]);
    let service = bench.start("health-service", find("health-service")?, &args)?;
    let url = format!("http://{health}");
    let args = words(&["--port", &port_of(address), "--proxy-id", "proxy1", "--health-service", &url]);
    let (address, mut processes) = ready(bench.start("cache-proxy", find("cache-proxy")?, &args)?, address)?;
    processes.push(service);
    let count = backends.addresses().count();
    wait_until("it routes to all backends", PATIENCE, || routes_to(address, count))?;
    Ok((address, processes))
}

fn routes_to(address: SocketAddr, count: usize) -> Result<(), String> {
    let info = Client::connect(address).and_then(|mut client| client.ask_line("INFO fastcache"));
    let info = info.map_err(|error| error.to_string())?;
    if info.lines().any(|line| line == format!("nodes_routable:{count}")) { Ok(()) } else { Err(info) }
}

fn start_twemproxy(bench: &Bench, backends: &Backends) -> Started {
    let program = bench.programs.find("nutcracker").map_err(anyhow::Error::msg)?;
    let address = local(ports::free_port()?);
    let mut servers = String::new();
    for (number, backend) in (1..).zip(backends.addresses()) {
        let _ = writeln!(servers, "    - {backend}:1 node{number}");
    }
    let text = include_str!("../../peers/nutcracker.yml");
    let file = peers::write(
        &bench.directory,
        "nutcracker.yml",
        text,
        &[("PORT", &port_of(address)), ("SERVERS", servers.trim_end())],
    )?;
    let args = [
        ("--conf-file", file.display().to_string()),
        ("--stats-port", ports::free_port()?.to_string()),
        ("--stats-addr", "127.0.0.1".to_owned()),
    ];
    ready(bench.start("nutcracker", program, &flags(args))?, address)
}

fn start_envoy(bench: &Bench, backends: &Backends) -> Started {
    let program = bench.programs.find("envoy").map_err(anyhow::Error::msg)?;
    let address = local(ports::free_port()?);
    let mut endpoints = String::new();
    for backend in backends.addresses() {
        let socket = format!("{{ address: {}, port_value: {} }}", backend.ip(), backend.port());
        let _ =
            writeln!(endpoints, "              - endpoint: {{ address: {{ socket_address: {socket} }} }}");
    }
    let text = include_str!("../../peers/envoy.yaml");
    let file = peers::write(
        &bench.directory,
        "envoy.yaml",
        text,
        &[("PORT", &port_of(address)), ("ENDPOINTS", endpoints.trim_end())],
    )?;
    let args = [
        ("--config-path", file.display().to_string()),
        ("--concurrency", "1".to_owned()),
        ("--log-level", "warn".to_owned()),
    ];
    let mut args = flags(args);
    // Its second process for replacing itself, and files in shared memory, are of no use here.
    args.push("--disable-hot-restart".to_owned());
    ready(bench.start("envoy", program, &args)?, address)
}

fn start_haproxy(bench: &Bench, backends: &Backends) -> Started {
    let program = bench.programs.find("haproxy").map_err(anyhow::Error::msg)?;
    let address = local(ports::free_port()?);
    let text = include_str!("../../peers/haproxy.cfg");
    let values = [("PORT", port_of(address)), ("BACKEND", port_of(backends.first()))];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    let file = peers::write(&bench.directory, "haproxy.cfg", text, &values)?;
    ready(bench.start("haproxy", program, &["-f".to_owned(), file.display().to_string()])?, address)
}

fn start_nothing(_: &Bench, backends: &Backends) -> Started {
    Ok((backends.first(), Vec::new()))
}

fn flags<const N: usize>(pairs: [(&str, String); N]) -> Vec<String> {
    pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_must_all_be_stored_and_spread_over_most_backends() {
        assert_eq!(spread(&[3, 4, 3], 10, true).unwrap(), None);
        assert_eq!(spread(&[10, 0, 0], 10, false).unwrap(), None);
        assert!(spread(&[3, 3, 3], 10, true).unwrap_err().to_string().contains("have 9"));
        assert!(spread(&[10, 0, 0], 10, true).unwrap_err().to_string().contains("2 backends got no key"));
        let note = spread(&[2, 3, 0, 3, 2], 10, true).unwrap();
        assert_eq!(note.as_deref(), Some("1 of 5 backends get none of its 10 keys"));
    }
}
