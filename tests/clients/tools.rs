//! The tools that come with Redis, and Prometheus' exporter. A step that a tool has no use for is left out.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::RECONNECT;
use super::reporter::Reporter;
use crate::eventually::eventually;
use crate::http;
use crate::ports::free_port;
use crate::process::Process;

const MEGABYTE: usize = 1 << 20;

pub(super) fn redis_cli(to: &Reporter) {
    let cli = Cli { port: to.port };
    let mut typed = Typed::start(to.port);
    to.step("connect", || {
        typed.answers("PING", "PONG");
        cli.answers(&["SET", "cli:a", "1"], "OK");
        cli.answers(&["GET", "cli:a"], "1");
        cli.answers(&["-3", "GET", "cli:nothing"], "");
        assert!(cli.ask(&["INFO", "server"]).contains("redis_mode:standalone"));
    });
    to.step("pipeline", || {
        let sets: String = (0..100).map(|number| format!("SET cli:p{number} {number}\r\n")).collect();
        let piped = cli.ask_with(&["--pipe"], sets.as_bytes());
        assert!(piped.ends_with(b"errors: 0, replies: 100\n"), "{}", String::from_utf8_lossy(&piped));
    });
    to.step("MGET", || {
        cli.answers(&["MSET", "cli:m1", "1", "cli:m2", "2", "cli:m3", "3"], "OK");
        cli.answers(&["MGET", "cli:m1", "cli:nothing", "cli:m2", "cli:m3"], "1\n\n2\n3");
        cli.answers(&["DEL", "cli:m1", "cli:m2", "cli:m3", "cli:nothing"], "3");
    });
    to.step("hash", || {
        cli.answers(&["HSET", "cli:h", "a", "1", "b", "2"], "2");
        cli.answers(&["HGETALL", "cli:h"], "a\n1\nb\n2");
        cli.answers(&["-3", "HGETALL", "cli:h"], "a 1\nb 2");
    });
    to.step("zset", || {
        cli.answers(&["ZADD", "cli:z", "1", "one", "0.5", "half"], "2");
        cli.answers(&["ZRANGE", "cli:z", "0", "-1", "WITHSCORES"], "half\n0.5\none\n1");
        cli.answers(&["-3", "ZSCORE", "cli:z", "half"], "0.5");
    });
    to.step("scan", || {
        let mut names: Vec<String> = (0..50).map(|number| format!("cli:scan{number}")).collect();
        let pairs = names.iter().flat_map(|name| [name.as_str(), "1"]);
        cli.answers(&[&["MSET"], &pairs.collect::<Vec<_>>()[..]].concat(), "OK");
        let found = cli.ask(&["--scan", "--pattern", "cli:scan*"]);
        let mut found: Vec<&str> = found.lines().collect();
        found.sort_unstable();
        names.sort_unstable();
        assert_eq!(found, names);
    });
    to.step("pub/sub", || {
        let mut subscriber = Typed::start(to.port);
        subscriber.answers("SUBSCRIBE cli:news", "subscribe\ncli:news\n1");
        cli.ask(&["PUBLISH", "cli:news", "hello"]);
        assert_eq!(subscriber.lines(3), "message\ncli:news\nhello");
    });
    to.step("script", || {
        let lua = "return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])} -- cli";
        let mut file = NamedTempFile::new().expect("a temporary file");
        file.write_all(lua.as_bytes()).expect("a writable file");
        let path = file.path().to_str().expect("its name is text");
        cli.answers(&["--eval", path, "cli:script", ",", "5"], "cli:script\n5");
        let digest = cli.ask(&["SCRIPT", "LOAD", lua]);
        cli.answers(&["EVALSHA", digest.trim(), "1", "cli:script", "5"], "cli:script\n10");
    });
    to.step("transaction", || {
        let mut typed = Typed::start(to.port);
        for (line, wanted) in [
            ("MULTI", "OK"),
            ("SET cli:{t}1 1", "QUEUED"),
            ("INCR cli:{t}1", "QUEUED"),
            ("GET cli:{t}1", "QUEUED"),
            ("EXEC", "OK\n2\n2"),
            ("WATCH cli:{t}1", "OK"),
        ] {
            typed.answers(line, wanted);
        }
        cli.answers(&["SET", "cli:{t}1", "by another"], "OK");
        typed.answers("MULTI", "OK");
        typed.answers("SET cli:{t}1 lost", "QUEUED");
        typed.answers("EXEC", "");
        typed.answers("GET cli:{t}1", "by another");
    });
    to.step("blocking pop", || {
        cli.answers(&["BLPOP", "cli:queue", "0.1"], "");
        thread::scope(|scope| {
            let popped = scope.spawn(|| cli.ask(&["BLPOP", "cli:queue", "10"]));
            // So late that the pop is waiting by then.
            thread::park_timeout(Duration::from_millis(200));
            cli.answers(&["RPUSH", "cli:queue", "job"], "1");
            assert_eq!(popped.join().expect("it is answered"), "cli:queue\njob\n");
        });
    });
    to.step("1 MB value", || {
        let value = binary_megabyte();
        assert_eq!(cli.ask_with(&["-x", "SET", "cli:big"], &value), b"OK\n");
        let mut found = cli.ask_with(&["GET", "cli:big"], b"");
        assert_eq!(found.pop(), Some(b'\n'));
        assert!(found == value, "{} bytes came back, and not the same", found.len());
    });
    to.until_restarted();
    // It tells the lost connection instead of a reply, connects, and wants to be asked again.
    to.step(RECONNECT, || typed.answers("GET cli:a\nGET cli:a", "1"));
}

fn binary_megabyte() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(MEGABYTE).collect()
}

/// `redis-cli` with one command on its command line.
struct Cli {
    port: u16,
}

impl Cli {
    fn answers(&self, args: &[&str], wanted: &str) {
        assert_eq!(self.ask(args).trim_end_matches('\n'), wanted, "redis-cli {args:?}");
    }

    fn ask(&self, args: &[&str]) -> String {
        String::from_utf8_lossy(&self.ask_with(args, b"")).into_owned()
    }

    fn ask_with(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]).args(args);
        run(command, input)
    }
}

/// What a command prints; it must succeed.
fn run(mut command: Command, input: &[u8]) -> Vec<u8> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("its input is piped");
    stdin.write_all(input).expect("it reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {}: {errors}", output.status);
    output.stdout
}

/// A `redis-cli` that somebody types into.
struct Typed {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Typed {
    fn start(port: u16) -> Self {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let input = child.stdin.take().expect("its input is piped");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        Self { child, input, output }
    }

    fn answers(&mut self, line: &str, wanted: &str) {
        writeln!(self.input, "{line}").expect("it reads its input");
        assert_eq!(self.lines(wanted.split('\n').count()), wanted, "{line}");
    }

    fn lines(&mut self, count: usize) -> String {
        let mut lines = String::new();
        for _ in 0..count {
            self.output.read_line(&mut lines).expect("it answers");
        }
        lines.trim_end_matches('\n').to_owned()
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn redis_benchmark(to: &Reporter) {
    let runs = |args: &[&str]| {
        let mut command = Command::new("redis-benchmark");
        command.args(["-p", &to.port.to_string(), "-n", "1000", "-c", "10", "-q"]).args(args);
        let text = String::from_utf8_lossy(&run(command, b"")).into_owned();
        assert!(text.contains("requests per second") && !text.contains("rror"), "{args:?}: {text}");
    };
    to.step("connect", || runs(&["-t", "ping,set,get,incr"]));
    to.step("pipeline", || runs(&["-t", "set,get", "-P", "16", "-r", "1000"]));
    to.step("MGET", || runs(&["MGET", "key:1", "key:2", "key:3", "key:4"]));
    to.step("hash", || runs(&["-t", "hset"]));
    to.step("zset", || runs(&["-t", "zadd,zpopmin"]));
    let add = "return redis.call('INCRBY', KEYS[1], ARGV[1])";
    to.step("script", || runs(&["EVAL", add, "1", "benchmark:script", "5"]));
    to.step("1 MB value", || runs(&["-t", "set,get", "-d", &MEGABYTE.to_string(), "-n", "20"]));
    to.until_restarted();
    to.step(RECONNECT, || runs(&["-t", "set,get"]));
}

pub(super) fn redis_exporter(to: &Reporter) {
    let address = format!("127.0.0.1:{}", free_port());
    let exporter = exporter(to.port, &address);
    let shows = |wanted: &str| {
        eventually(&format!("the exporter shows {wanted:?}"), || match http::get(&address, "/metrics")? {
            (200, metrics) if metrics.contains(wanted) => Ok(()),
            (_, metrics) => {
                Err(metrics.lines().filter(|line| line.starts_with("redis_exporter_last")).collect())
            }
        });
    };
    to.step("connect", || {
        shows("redis_up 1\n");
        shows("redis_connected_clients ");
        shows("redis_exporter_last_scrape_error{err=\"\"} 0\n");
    });
    to.step("scan", || {
        Cli { port: to.port }.answers(&["SET", "exporter:scan", "value"], "OK");
        shows("redis_key_size{db=\"db0\",key=\"exporter:scan\"} 5\n");
    });
    to.until_restarted();
    to.step(RECONNECT, || shows("redis_up 1\n"));
    drop(exporter);
}

fn exporter(port: u16, address: &str) -> Process {
    let mut command = Command::new("prometheus-redis-exporter");
    command.args(["-redis.addr", &format!("redis://127.0.0.1:{port}"), "-web.listen-address", address]);
    command.args(["-check-keys", "exporter:*"]);
    Process::spawn("exporter", command)
}
