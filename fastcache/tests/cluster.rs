//! A small cluster, from the ready line to the last process.

use std::fs;
use std::path::Path;
use std::process::Command;

use cluster::Topology;
use rustix::process::{Pid, Signal, kill_process};

use super::command::{Link, Up, run};

/// Where everything of the cluster listens.
struct Addresses {
    entry: String,
    health: String,
    members: Vec<String>,
}

impl Addresses {
    fn of(base_dir: &Path, ready_line: &str) -> Self {
        let topology =
            Topology::from_toml(&fs::read_to_string(base_dir.join("cluster.toml")).unwrap()).unwrap();
        let members = topology.nodes.iter().chain(&topology.proxies);
        Self {
            entry: word_after(ready_line, "Redis at "),
            health: word_after(ready_line, "health http://").split('/').next().unwrap().to_owned(),
            members: members.map(|member| member.address.to_string()).collect(),
        }
    }

    /// A connection to each process.
    fn links(&self) -> Vec<Link> {
        self.members.iter().chain([&self.health]).map(|address| Link::to(address)).collect()
    }
}

fn word_after(text: &str, start: &str) -> String {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("{start:?} is missing in {text:?}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

/// The cluster's directory, its process and its addresses, once it is ready.
fn ready(entry: &str) -> (tempfile::TempDir, Up, Addresses) {
    let directory = tempfile::tempdir().unwrap();
    let mut up = Up::start(directory.path().to_str().unwrap(), entry);
    let line = up.ready_line();
    let addresses = Addresses::of(directory.path(), &line);
    (directory, up, addresses)
}

fn signal(up: &Up, signal: Signal) {
    kill_process(Pid::from_child(&up.child), signal).unwrap();
}

fn stops_without_a_trace(entry: &str) {
    let (_directory, mut up, addresses) = ready(entry);
    assert!(run(&["healthcheck", &addresses.entry]).status.success());
    let links = addresses.links();
    signal(&up, Signal::TERM);
    assert!(up.child.wait().unwrap().success());
    links.into_iter().for_each(Link::until_closed);
    assert_eq!(up.rest_of_stdout(), "", "the ready line is the only one");
}

#[test]
fn sigterm_stops_all_of_it_with_a_shared_entry() {
    stops_without_a_trace("shared");
}

/// With HAProxy where it is installed, as in CI.
#[test]
fn sigterm_stops_all_of_it_with_the_entry_of_this_machine() {
    stops_without_a_trace("auto");
}

#[test]
fn sigkill_leaves_no_orphans() {
    let (_directory, mut up, addresses) = ready("auto");
    let mut links = addresses.links();
    links.push(Link::to(&addresses.entry));
    signal(&up, Signal::KILL);
    up.child.wait().unwrap();
    links.into_iter().for_each(Link::until_closed);
}

#[test]
fn a_child_that_dies_is_told_with_the_command_that_starts_it_again() {
    let (_directory, up, addresses) = ready("shared");
    let node2 = &addresses.members[1];
    let link = Link::to(node2);
    kill_listener(&up, node2);
    let line = up.stderr_line("node2 was ended by signal 9 (SIGKILL); to start it again: ");
    link.until_closed();
    let (_, command) = line.split_once("again: ").unwrap();
    let mut again = Command::new("sh").arg("-c").arg(format!("exec {command}")).spawn().unwrap();
    let mut well = false;
    while !well {
        assert!(again.try_wait().unwrap().is_none(), "it ended at once");
        well = run(&["healthcheck", node2]).status.success();
    }
    again.kill().unwrap();
    again.wait().unwrap();
}

/// Kills the child of `up` whose command line has the port of this address.
fn kill_listener(up: &Up, address: &str) {
    let (_, port) = address.rsplit_once(':').unwrap();
    let pid = children(up).into_iter().find(|pid| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split(|byte| *byte == 0).any(|word| word == port.as_bytes())
    });
    kill_process(Pid::from_raw(pid.unwrap()).unwrap(), Signal::KILL).unwrap();
}

fn children(up: &Up) -> Vec<i32> {
    let id = up.child.id();
    let text = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn status_shows_every_member() {
    let (_directory, _up, addresses) = ready("shared");
    let health = format!("http://{}", addresses.health);
    let table = run(&["status", "--health", &health]);
    let table = String::from_utf8(table.stdout).unwrap();
    for id in ["node1", "node2", "node3", "proxy1", "proxy2"] {
        assert!(
            table.lines().any(|line| line.split_whitespace().next() == Some(id)),
            "{id} is missing in\n{table}"
        );
    }
    assert!(table.contains("3 nodes: 3 healthy"), "{table}");
    let json = run(&["status", "--json", "--health", &health]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["summary"]["healthyNodes"], 3);
}
