//! `redis-cli`, with a command on its command line, and as somebody types into it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::reporter::Reporter;
use super::{RECONNECT, tools};
use crate::eventually::PATIENCE;

pub(super) fn try_out(to: &Reporter) {
    let cli = Cli { port: to.port };
    let mut typed = Typed::start(to.port);
    to.step("connect", || connect(&cli, &mut typed));
    to.step("pipeline", || pipeline(&cli));
    to.step("MGET", || mget(&cli));
    to.step("hash", || hash(&cli));
    to.step("zset", || zset(&cli));
    to.step("scan", || scan(&cli));
    to.step("pub/sub", || pubsub(&cli));
    to.step("script", || script(&cli));
    to.step("transaction", || transaction(&cli));
    to.step("blocking pop", || blocking_pop(&cli));
    to.step("1 MB value", || large_value(&cli));
    to.until_restarted();
    // It tells the lost connection instead of a reply, connects, and wants to be asked again.
    to.step(RECONNECT, || typed.answers("GET cli:a\nGET cli:a", "1"));
}

fn connect(cli: &Cli, typed: &mut Typed) {
    typed.answers("PING", "PONG");
    cli.answers(&["SET", "cli:a", "1"], "OK");
    cli.answers(&["GET", "cli:a"], "1");
    cli.answers(&["-3", "GET", "cli:nothing"], "");
    assert!(cli.ask(&["INFO", "server"]).contains("redis_mode:standalone"));
}

fn pipeline(cli: &Cli) {
    let sets: String = (0..100).map(|number| format!("SET cli:p{number} {number}\r\n")).collect();
    let piped = cli.ask_with(&["--pipe"], sets.as_bytes());
    assert!(piped.ends_with(b"errors: 0, replies: 100\n"), "{}", String::from_utf8_lossy(&piped));
}

fn mget(cli: &Cli) {
    cli.answers(&["MSET", "cli:m1", "1", "cli:m2", "2", "cli:m3", "3"], "OK");
    cli.answers(&["MGET", "cli:m1", "cli:nothing", "cli:m2", "cli:m3"], "1\n\n2\n3");
    cli.answers(&["DEL", "cli:m1", "cli:m2", "cli:m3", "cli:nothing"], "3");
}

fn hash(cli: &Cli) {
    cli.answers(&["HSET", "cli:h", "a", "1", "b", "2"], "2");
    cli.answers(&["HGETALL", "cli:h"], "a\n1\nb\n2");
    cli.answers(&["-3", "HGETALL", "cli:h"], "a 1\nb 2");
}

fn zset(cli: &Cli) {
    cli.answers(&["ZADD", "cli:z", "1", "one", "0.5", "half"], "2");
    cli.answers(&["ZRANGE", "cli:z", "0", "-1", "WITHSCORES"], "half\n0.5\none\n1");
    cli.answers(&["-3", "ZSCORE", "cli:z", "half"], "0.5");
}

fn scan(cli: &Cli) {
    let mut names: Vec<String> = (0..50).map(|number| format!("cli:scan{number}")).collect();
    let pairs = names.iter().flat_map(|name| [name.as_str(), "1"]);
    cli.answers(&[&["MSET"], &pairs.collect::<Vec<_>>()[..]].concat(), "OK");
    let found = cli.ask(&["--scan", "--pattern", "cli:scan*"]);
    let mut found: Vec<&str> = found.lines().collect();
    found.sort_unstable();
    names.sort_unstable();
    assert_eq!(found, names);
}

fn pubsub(cli: &Cli) {
    let mut subscriber = Typed::start(cli.port);
    subscriber.answers("SUBSCRIBE cli:news", "subscribe\ncli:news\n1");
    cli.ask(&["PUBLISH", "cli:news", "hello"]);
    assert_eq!(subscriber.lines(3), "message\ncli:news\nhello");
}

fn script(cli: &Cli) {
    let lua = "return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])} -- cli";
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(lua.as_bytes()).expect("a writable file");
    let path = file.path().to_str().expect("its name is text");
    cli.answers(&["--eval", path, "cli:script", ",", "5"], "cli:script\n5");
    let digest = cli.ask(&["SCRIPT", "LOAD", lua]);
    cli.answers(&["EVALSHA", digest.trim(), "1", "cli:script", "5"], "cli:script\n10");
}

fn transaction(cli: &Cli) {
    let mut typed = Typed::start(cli.port);
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
}

fn blocking_pop(cli: &Cli) {
    cli.answers(&["BLPOP", "cli:queue", "0.1"], "");
    thread::scope(|scope| {
        let popped = scope.spawn(|| cli.ask(&["BLPOP", "cli:queue", "10"]));
        // So late that the pop is waiting by then.
        thread::park_timeout(Duration::from_millis(200));
        cli.answers(&["RPUSH", "cli:queue", "job"], "1");
        assert_eq!(popped.join().expect("it is answered"), "cli:queue\njob\n");
    });
}

fn large_value(cli: &Cli) {
    let value = binary_megabyte();
    assert_eq!(cli.ask_with(&["-x", "SET", "cli:big"], &value), b"OK\n");
    let mut found = cli.ask_with(&["GET", "cli:big"], b"");
    assert_eq!(found.pop(), Some(b'\n'));
    assert!(found == value, "{} bytes came back, and not the same", found.len());
}

fn binary_megabyte() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(1 << 20).collect()
}

/// `redis-cli` with one command on its command line.
pub(super) struct Cli {
    pub(super) port: u16,
}

impl Cli {
    pub(super) fn answers(&self, args: &[&str], wanted: &str) {
        assert_eq!(self.ask(args).trim_end_matches('\n'), wanted, "redis-cli {args:?}");
    }

    fn ask(&self, args: &[&str]) -> String {
        String::from_utf8_lossy(&self.ask_with(args, b"")).into_owned()
    }

    fn ask_with(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]).args(args);
        tools::run(command, input)
    }
}

/// A `redis-cli` that somebody types into.
struct Typed {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Typed {
    fn start(port: u16) -> Self {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let input = child.stdin.take().expect("its input is piped");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let (line, lines) = channel();
        // In a thread of its own, so that one who never answers can be left.
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        Self { child, input, lines }
    }

    fn answers(&mut self, line: &str, wanted: &str) {
        writeln!(self.input, "{line}").expect("it reads its input");
        assert_eq!(self.lines(wanted.split('\n').count()), wanted, "{line}");
    }

    fn lines(&self, count: usize) -> String {
        let line = |_| self.lines.recv_timeout(PATIENCE).expect("it answers in time");
        (0..count).map(line).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
