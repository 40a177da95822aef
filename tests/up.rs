//! `fastcache up`, the command a user types, on ports of its own.

use std::process::Command;

use tempfile::TempDir;

use crate::binaries::fastcache;
use crate::client::Client;
use crate::cluster::PATIENT;
use crate::ports::{free_port, free_ports};
use crate::process::Process;

const NODES: u16 = 3;
const PROXIES: u16 = 2;

/// A running `fastcache up`.
pub(crate) struct Up {
    pub(crate) process: Process,
    pub(crate) ports: Ports,
    pub(crate) files: TempDir,
}

/// Where it listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) entry: u16,
    pub(crate) health: u16,
    pub(crate) stats: u16,
    pub(crate) first_proxy: u16,
    pub(crate) first_admin: u16,
    pub(crate) first_node: u16,
}

impl Ports {
    pub(crate) fn free() -> Self {
        Self {
            entry: free_port(),
            health: free_port(),
            stats: free_port(),
            first_proxy: free_ports(PROXIES),
            first_admin: free_ports(PROXIES),
            first_node: free_ports(NODES),
        }
    }

    /// Every port that `up` listens on, HAProxy's statistics aside.
    pub(crate) fn all(self) -> impl Iterator<Item = u16> {
        let proxies =
            (0..PROXIES).flat_map(move |offset| [self.first_proxy + offset, self.first_admin + offset]);
        let nodes = (0..NODES).map(move |offset| self.first_node + offset);
        [self.entry, self.health].into_iter().chain(proxies).chain(nodes)
    }
}

/// The command line of a small cluster whose entry is `haproxy` or `shared`.
pub(crate) fn command(entry: &str, ports: Ports, files: &TempDir) -> Command {
    let mut command = fastcache(&["up", "--entry", entry, "--base-dir"]);
    command.arg(files.path()).envs(PATIENT);
    for (flag, number) in [
        ("--nodes", NODES),
        ("--proxies", PROXIES),
        ("--entry-port", ports.entry),
        ("--health-port", ports.health),
        ("--stats-port", ports.stats),
        ("--proxy-port", ports.first_proxy),
        ("--admin-port", ports.first_admin),
        ("--node-port", ports.first_node),
    ] {
        command.arg(flag).arg(number.to_string());
    }
    command
}

impl Up {
    /// Starts it and waits for the ready line.
    pub(crate) fn start(entry: &str) -> Self {
        Self::start_with(entry, |_| ())
    }

    /// The same with more on its command line or in its environment.
    pub(crate) fn start_with(entry: &str, more: impl FnOnce(&mut Command)) -> Self {
        let files = TempDir::new().expect("a temporary directory");
        let ports = Ports::free();
        let mut command = command(entry, ports, &files);
        more(&mut command);
        let process = Process::spawn("up", command);
        process.wait_for_line("ready in ");
        Self { process, ports, files }
    }

    /// Where Redis clients connect.
    pub(crate) fn entry(&self) -> String {
        format!("127.0.0.1:{}", self.ports.entry)
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.entry()).expect("the entry listens")
    }
}
