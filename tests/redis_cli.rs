//! redis-cli in all its modes and redis-benchmark's own suite, through HAProxy and a proxy over stock Redis nodes:
//! what every user of Redis tries first.

use std::fmt::Write as _;
use std::process::Command;

use crate::cluster::Cluster;
use crate::eventually::eventually;
use crate::haproxy::Haproxy;
use crate::output::output;
use crate::process::Process;

const NODES: usize = 5;

/// The cluster and its entry.
struct Tier {
    cluster: Cluster,
    haproxy: Haproxy,
}

impl Tier {
    fn start() -> Self {
        let cluster = Cluster::over_redis(NODES, 2);
        let haproxy = Haproxy::before(&cluster);
        Self { cluster, haproxy }
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.haproxy.entry_port.to_string()]).args(args);
        command
    }

    /// What redis-cli prints. It must end well.
    fn cli(&self, args: &[&str]) -> String {
        self.cli_given(args, "")
    }

    /// The same with something to read.
    fn cli_given(&self, args: &[&str], input: &str) -> String {
        let output = output(self.command("redis-cli", args), input.as_bytes());
        assert!(output.status.success(), "redis-cli {args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Values of all types on all nodes.
    fn fill(&self, keys: usize) {
        let mut lines = String::new();
        for number in 0..keys {
            let _ =
                write!(lines, "SET string:{number} {}\nRPUSH list:{number} a b c\n", "x".repeat(number + 1));
            let _ = write!(lines, "HSET hash:{number} f v\nZADD zset:{number} 1 m\n");
        }
        let replies = self.cli_given(&[], &lines);
        assert_eq!(replies.lines().count(), 4 * keys, "{replies}");
    }
}

#[test]
fn redis_cli_in_its_one_shot_modes() {
    let tier = Tier::start();
    assert_eq!(tier.cli(&["SET", "k", "v"]), "OK\n");
    assert_eq!(tier.cli(&["GET", "k"]), "v\n");
    assert_eq!(tier.cli_given(&["-x", "SET", "stdin"], "a value\n"), "OK\n");
    assert_eq!(tier.cli_given(&[], "GET k\nINCR n\nMGET k n\n"), "v\n1\nv\n1\n");
    assert_eq!(tier.cli(&["-r", "3", "INCR", "n"]), "2\n3\n4\n");
    tier.cli(&["HSET", "h", "f", "1"]);
    assert_eq!(tier.cli(&["-3", "--json", "HGETALL", "h"]), "{\"f\":\"1\"}\n");
    assert_eq!(tier.cli(&["--no-raw", "GET", "nothing"]), "(nil)\n");
    assert_eq!(tier.cli(&["-n", "0", "GET", "k"]), "v\n");
    let script = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(script.path(), "return redis.call('GET', KEYS[1]) .. ARGV[1]").expect("a writable file");
    let path = script.path().to_string_lossy().into_owned();
    assert_eq!(tier.cli(&["--eval", &path, "k", ",", "!"]), "v!\n");
    let failed = output(tier.command("redis-cli", &["-e", "NOSUCHCOMMAND"]), b"");
    assert!(!failed.status.success());
    // What needs one server says so, and nothing hangs.
    for (args, says) in [
        (&["--rdb", "/dev/null"][..], "'sync' administers one server"),
        (&["--replica"], "'sync' administers one server"),
        (&["-e", "MONITOR"], "'monitor' administers one server"),
        (&["--ldb", "--eval", &path, "k", ",", "!"], "Server closed the connection"),
    ] {
        let refused = output(tier.command("redis-cli", args), b"quit\n");
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains(says), "{args:?}: {refused:?}");
    }
}

#[test]
fn redis_cli_looks_through_all_keys() {
    let tier = Tier::start();
    tier.fill(50);
    for node in 0..NODES {
        tier.cluster.node_client(node).ask("CONFIG SET maxmemory-policy allkeys-lfu");
    }
    let scanned = tier.cli(&["--scan", "--pattern", "string:*"]);
    assert_eq!(scanned.lines().count(), 50, "{scanned}");
    for mode in ["--bigkeys", "--memkeys", "--hotkeys"] {
        let report = tier.cli(&[mode]);
        assert!(report.contains("Sampled 200 keys in the keyspace!"), "{mode}: {report}");
    }
}

#[test]
fn config_get_tells_the_settings_of_all_nodes() {
    let tier = Tier::start();
    for node in 0..NODES {
        let mut client = tier.cluster.node_client(node);
        for setting in ["maxmemory 10mb", "slowlog-max-len 7", "notify-keyspace-events KEA"] {
            assert_eq!(client.ask(&format!("CONFIG SET {setting}")), "+OK\r\n", "{setting}");
        }
    }
    let told = tier.cli(&["CONFIG", "GET", "*"]);
    let lines: Vec<&str> = told.lines().collect();
    let memory = (NODES * 10 * 1024 * 1024).to_string();
    for (name, value) in [
        ("maxmemory", memory.as_str()),
        ("maxmemory-policy", "noeviction"),
        ("slowlog-log-slower-than", "10000"),
        ("slowlog-max-len", "35"),
        ("notify-keyspace-events", "AKE"),
        ("databases", "1"),
    ] {
        assert!(lines.windows(2).any(|pair| pair == [name, value]), "{name}: {told}");
    }
    assert!(tier.cli(&["INFO", "memory"]).contains(&format!("maxmemory:{memory}\r\n")));
}

#[test]
fn redis_cli_watches_and_measures() {
    let tier = Tier::start();
    tier.fill(50);
    let stat = Process::spawn("redis-cli --stat", tier.command("redis-cli", &["--stat", "-i", "0.2"]));
    eventually("the keys of all nodes are shown", || {
        let log = stat.log();
        let shown = log.lines().filter(|line| line.contains(" 200 ")).count();
        if shown >= 2 { Ok(()) } else { Err(log) }
    });
    let latency = tier.cli(&["--latency", "--raw", "-i", "1"]);
    let figures: Vec<f64> = latency.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // Shortest, longest and mean in milliseconds, and how many times it asked.
    assert!(figures.len() == 4 && figures[3] > 1.0, "{latency}");
}

#[test]
fn redis_cli_loads_in_bulk() {
    const COUNT: usize = 20_000;
    let tier = Tier::start();
    let mut requests = Vec::new();
    for number in 0..COUNT {
        let (key, value) = (format!("bulk:{number}"), number.to_string());
        resp::encode_request(&mut requests, [&b"SET"[..], key.as_bytes(), value.as_bytes()].into_iter());
    }
    let text = String::from_utf8(requests).expect("it is ASCII");
    let report = tier.cli_given(&["--pipe"], &text);
    assert!(report.contains(&format!("errors: 0, replies: {COUNT}")), "{report}");
    assert_eq!(tier.cli(&["DBSIZE"]), format!("{COUNT}\n"));
}

#[test]
fn redis_benchmark_runs_its_own_suite() {
    let tier = Tier::start();
    for more in [&[][..], &["-P", "16", "-3"], &["-r", "1000", "--threads", "2"]] {
        let mut args = vec!["-n", "2000", "-c", "20", "-q"];
        args.extend(more);
        let output = output(tier.command("redis-benchmark", &args), b"");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("rror"), "{output:?}");
        let finished =
            text.replace('\r', "\n").lines().filter(|line| line.contains("requests per second")).count();
        assert!(finished >= 20, "{text}");
    }
}
