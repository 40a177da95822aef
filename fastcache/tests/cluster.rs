//! A small cluster, from the ready line to the last process.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use cluster::Topology;
use rustix::process::{Pid, Signal, kill_process};

use super::command::{Link, PATIENCE, Up, full_pipe, run, up_command};

/// A stop takes some hundred milliseconds; this leaves room for a busy machine and none for one that waits
/// until a group of children is killed, and then for the next.
const QUICK: Duration = Duration::from_secs(9);

/// Where everything of the cluster listens.
struct Addresses {
    entry: String,
    health: String,
    /// HAProxy's statistics, when it is the entry.
    stats: Option<String>,
    members: Vec<String>,
}

impl Addresses {
    fn of(base_dir: &Path, ready_line: &str) -> Self {
        let topology =
            Topology::from_toml(&fs::read_to_string(base_dir.join("cluster.toml")).unwrap()).unwrap();
        let members = topology.nodes.iter().chain(&topology.proxies);
        Self {
            entry: word_after(ready_line, "Redis at "),
            health: address_after(ready_line, "health http://"),
            stats: ready_line.contains("statistics").then(|| address_after(ready_line, "statistics http://")),
            members: members.map(|member| member.address.to_string()).collect(),
        }
    }

    /// A connection to each process.
    fn links(&self) -> Vec<Link> {
        let all = self.members.iter().chain([&self.health]).chain(&self.stats);
        all.map(|address| Link::to(address)).collect()
    }
}

fn word_after(text: &str, start: &str) -> String {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("{start:?} is missing in {text:?}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

fn address_after(text: &str, start: &str) -> String {
    word_after(text, start).split('/').next().unwrap().to_owned()
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

/// Starts a cluster whose entry is `entry` and ends it with this signal.
fn stops_without_a_trace(entry: &str, end: Signal) {
    let (directory, mut up, addresses) = ready(entry);
    assert_eq!(addresses.stats.is_some(), entry == "haproxy");
    assert!(run(&["healthcheck", &addresses.entry]).status.success());
    let links = addresses.links();
    let log = || fs::read_to_string(directory.path().join("logs/health.log")).unwrap();
    // On a busy machine the start takes so long that a proxy may be called UNHEALTHY meanwhile.
    let of_start = log().len();
    signal(&up, end);
    assert!(up.wait().success());
    links.into_iter().for_each(Link::until_closed);
    for address in
        addresses.members.iter().chain([&addresses.entry, &addresses.health]).chain(&addresses.stats)
    {
        assert!(TcpStream::connect(address).is_err(), "somebody listens on {address}");
    }
    assert_eq!(up.rest_of_stdout(), "", "the ready line is the only one");
    let lines = up.stderr_lines();
    assert_eq!(lines.last().unwrap(), "fastcache: stopped", "{lines:#?}");
    let log = log().split_off(of_start);
    assert!(!log.contains("to=UNHEALTHY"), "a stop is no outage: {log}");
    let (_, ending) =
        lines.split_at(lines.iter().position(|line| line.starts_with("fastcache: stopping")).unwrap());
    assert!(
        ending.iter().all(|line| line.starts_with("fastcache: ")),
        "no child alarms anybody: {ending:#?}"
    );
}

#[test]
fn sigterm_stops_all_of_it_with_a_shared_entry() {
    stops_without_a_trace("shared", Signal::TERM);
}

#[test]
fn sigterm_stops_all_of_it_with_haproxy() {
    stops_without_a_trace("haproxy", Signal::TERM);
}

/// What is on stderr up to the line that says what to type.
fn told_until_ready(up: &mut Up) -> Vec<String> {
    up.ready_line();
    let mut told = Vec::new();
    while told.last().is_none_or(|line: &String| !line.contains("Ctrl-C stops all of it")) {
        told.push(up.stderr_line(""));
    }
    told
}

/// Whether it tells of what goes as it should, in the words of a process of ours or of HAProxy.
fn is_routine(line: &str) -> bool {
    let is_level = |level: &&str| line.contains(level);
    [" INFO ", "| [NOTICE]"].iter().any(is_level) && !line.contains(" transition member=")
}

#[test]
fn a_start_is_a_few_lines_that_end_with_what_to_type() {
    let directory = tempfile::tempdir().unwrap();
    let mut up = Up::start(directory.path().to_str().unwrap(), "haproxy");
    let told = told_until_ready(&mut up);
    // A child warns where a machine has no time for it.
    let of_its_own = told.iter().filter(|line| line.starts_with("fastcache: ")).count();
    assert!(!told.iter().any(|line| is_routine(line)) && of_its_own < 10, "{told:#?}");
    let commands: Vec<&str> = told.last().unwrap().split('`').skip(1).step_by(2).collect();
    assert_eq!(commands.len(), 2, "{told:#?}");
    for (command, answer) in commands.into_iter().zip(["OK", "3 nodes: 3 healthy"]) {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(answer), "{command}: {output:?}");
    }
    // What is not shown is kept.
    let log = |name: &str| fs::read_to_string(directory.path().join(format!("logs/{name}.log"))).unwrap();
    let began = Instant::now();
    while !(log("node1").contains(" INFO ") && log("haproxy").contains("[NOTICE]")) {
        assert!(began.elapsed() < PATIENCE, "{} {}", log("node1"), log("haproxy"));
    }
}

#[test]
fn what_goes_as_it_should_is_shown_to_whoever_asks() {
    for (level, shows) in [("info", true), ("warn", false)] {
        let directory = tempfile::tempdir().unwrap();
        let mut up = up_command(directory.path().to_str().unwrap(), "haproxy");
        let mut up = Up::spawn(up.env("LOG_LEVEL", level));
        let told = told_until_ready(&mut up);
        for (child, part) in [("node1   | ", " INFO "), ("haproxy | ", "[NOTICE]")] {
            let is_it = |line: &String| line.contains(child) && line.contains(part);
            assert_eq!(told.iter().any(is_it), shows, "{level}, {part}: {told:#?}");
        }
        assert_eq!(told.iter().any(|line| is_routine(line)), shows, "{level}: {told:#?}");
    }
}

#[test]
fn a_change_in_the_cluster_is_shown_to_everybody() {
    let (_directory, up, addresses) = ready("shared");
    for (mode, routable) in [("drain", false), ("ready", true)] {
        let body = format!("{{\"mode\":\"{mode}\"}}");
        let mut stream = TcpStream::connect(&addresses.health).unwrap();
        write!(
            stream,
            "POST /health/nodes/node1/maintenance HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        up.stderr_line(&format!(" transition member=node1 from=HEALTHY to=HEALTHY routable={routable} "));
    }
}

#[test]
fn a_proxy_is_not_said_to_be_routable_or_not() {
    let (directory, _up, addresses) = ready("shared");
    let health = format!("http://{}", addresses.health);
    let status = || run(&["status", "--json", "--health", &health]).stdout;
    let began = Instant::now();
    while !String::from_utf8_lossy(&status()).contains("\"healthyProxies\": 2") {
        assert!(began.elapsed() < PATIENCE, "the proxies are not found healthy");
    }
    let of = |member: &str| -> Vec<String> {
        let log = fs::read_to_string(directory.path().join("logs/health.log")).unwrap();
        let member = format!(" member={member} ");
        let of_it = log.lines().filter(|line| line.contains(&member) && line.contains("from="));
        of_it.map(str::to_owned).collect()
    };
    // A line is written after what it tells of.
    while of("proxy1").is_empty() || !of("node1").iter().any(|line| line.contains(" routable=true ")) {
        assert!(began.elapsed() < PATIENCE, "{:#?} {:#?}", of("node1"), of("proxy1"));
    }
    let proxies = of("proxy1");
    assert!(proxies.iter().all(|line| !line.contains("routable")), "{proxies:#?}");
}

#[test]
fn it_says_how_haproxy_reads_its_file_again() {
    let (_directory, up, _addresses) = ready("haproxy");
    let line = up.stderr_line("kill -USR2 ");
    let pid: i32 = word_after(&line, "kill -USR2 ").trim_end_matches('`').parse().unwrap();
    assert!(children(&up).contains(&pid), "{line}");
    let command = told_by_kernel(pid, "cmdline");
    assert!(command.contains("haproxy\0-W\0"), "{command:?}");
}

#[test]
fn a_terminal_that_closes_stops_all_of_it() {
    stops_without_a_trace("shared", Signal::HUP);
}

#[test]
fn sigterm_stops_all_of_it_though_nobody_reads_stderr() {
    let directory = tempfile::tempdir().unwrap();
    let (_reader, writer) = full_pipe();
    let mut up = Up::spawn(up_command(directory.path().to_str().unwrap(), "shared").stderr(writer));
    let line = up.ready_line();
    let links = Addresses::of(directory.path(), &line).links();
    let asked = Instant::now();
    signal(&up, Signal::TERM);
    assert!(up.wait().success());
    assert!(asked.elapsed() < QUICK, "{:?}", asked.elapsed());
    links.into_iter().for_each(Link::until_closed);
}

#[test]
fn a_stop_before_it_is_ready_is_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let programs = tempfile::tempdir().unwrap();
    // An entry that never answers, so it never gets ready.
    let haproxy = programs.path().join("haproxy");
    fs::write(&haproxy, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    fs::set_permissions(&haproxy, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.path().display());
    let base_dir = directory.path().join("base");
    let mut up = Up::spawn(up_command(base_dir.to_str().unwrap(), "haproxy").env("PATH", path));
    up.stderr_line("starting 2 proxies");
    signal(&up, Signal::TERM);
    assert_eq!(up.wait().code(), Some(1));
    assert_eq!(up.rest_of_stdout(), "");
    let lines = up.stderr_lines();
    assert_eq!(lines.last().unwrap(), "fastcache up: stopped before it was ready (SIGTERM)", "{lines:#?}");
}

#[test]
fn sigkill_leaves_no_orphans() {
    let (_directory, mut up, addresses) = ready("haproxy");
    let mut links = addresses.links();
    links.push(Link::to(&addresses.entry));
    signal(&up, Signal::KILL);
    up.wait();
    links.into_iter().for_each(Link::until_closed);
}

#[test]
fn a_child_that_dies_is_told_with_the_command_that_starts_it_again() {
    let (_directory, mut up, addresses) = ready("shared");
    let node2 = &addresses.members[1];
    let link = Link::to(node2);
    kill_listener(&up, node2);
    let line = up.stderr_line("node2 was ended by signal 9 (SIGKILL); to start it again ");
    link.until_closed();
    let (_, command) = line.split_once("(it is then yours to stop): ").unwrap();
    let mut again = Command::new("sh").arg("-c").arg(format!("exec {command}")).spawn().unwrap();
    until_well(&mut again, node2);
    signal(&up, Signal::TERM);
    up.wait();
    let told = "fastcache: stopped; still running, as they were started by hand: node2";
    assert_eq!(up.stderr_lines().last().unwrap(), told);
    again.kill().unwrap();
    again.wait().unwrap();
}

#[test]
fn a_health_service_started_again_without_its_token_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut up = up_command(directory.path().to_str().unwrap(), "shared");
    let mut up = Up::spawn(up.env("HEALTH_API_TOKEN", "s3cret"));
    let addresses = Addresses::of(directory.path(), &up.ready_line());
    assert_eq!(status_of_a_drain(&addresses.health), "401");
    kill_listener(&up, &addresses.health);
    let line = up.stderr_line("health was ended by ");
    assert!(!line.contains("s3cret"), "{line}");
    let (_, command) = line.split_once("(it is then yours to stop): ").unwrap();
    // The shell becomes the program, so that the process to kill is the program's.
    let program = env!("CARGO_BIN_EXE_fastcache");
    let command = command.replacen(program, &format!("exec {program}"), 1);
    let shell = || {
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).env_clear();
        shell
    };
    let refused = shell().output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("HEALTH_API_TOKEN"), "{told}");
    let mut again = shell().env("HEALTH_API_TOKEN", "s3cret").spawn().unwrap();
    until_well(&mut again, &format!("http://{}/health/ping", addresses.health));
    assert_eq!(status_of_a_drain(&addresses.health), "401");
    again.kill().unwrap();
    again.wait().unwrap();
}

fn until_well(process: &mut Child, address: &str) {
    while !run(&["healthcheck", address]).status.success() {
        assert!(process.try_wait().unwrap().is_none(), "it ended at once");
    }
}

/// The status that draining a node without a token is answered with.
fn status_of_a_drain(health: &str) -> String {
    let mut stream = TcpStream::connect(health).unwrap();
    let request = "POST /health/nodes/node1/maintenance HTTP/1.0\r\ncontent-type: application/json\r\n\
                   content-length: 16\r\n\r\n{\"mode\":\"drain\"}";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_whitespace().nth(1).unwrap().to_owned()
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

/// The command line or the environment of a process. HAProxy's master executes itself again once it has a worker, and in
/// that moment has neither.
fn told_by_kernel(pid: i32, what: &str) -> String {
    let began = Instant::now();
    loop {
        let told = fs::read(format!("/proc/{pid}/{what}")).unwrap();
        if !told.is_empty() {
            return String::from_utf8_lossy(&told).into_owned();
        }
        assert!(began.elapsed() < PATIENCE, "process {pid} has no {what}");
    }
}

/// Whoever may read the memory of one process has not by that the secrets of all.
#[test]
fn every_child_has_its_own_secrets_and_no_others() {
    let all = ["HEALTH_API_TOKEN", "NODE_PASSWORD", "REQUIREPASS", "STATS_PASSWORD"];
    let directory = tempfile::tempdir().unwrap();
    let mut command = up_command(directory.path().to_str().unwrap(), "haproxy");
    let mut up = Up::spawn(command.envs(all.map(|name| (name, "s3cret"))));
    up.ready_line();
    let mut seen = 0;
    for child in children(&up) {
        let (command, environment) = (told_by_kernel(child, "cmdline"), told_by_kernel(child, "environ"));
        let has = |name: &&str| environment.split('\0').any(|line| line.starts_with(&format!("{name}=")));
        let found: Vec<&str> = all.into_iter().filter(has).collect();
        let is = |program: &str| command.split('\0').any(|word| word == program);
        let own = match () {
            () if is("cache-node") => &all[1..2],
            () if is("health-service") => &all[..2],
            () if is("cache-proxy") => &all[..3],
            () => &all[3..],
        };
        assert_eq!(found, own, "{command:?}");
        seen += 1;
    }
    assert_eq!(seen, 3 + 1 + 2 + 1);
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
