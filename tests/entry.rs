//! What users do first: `redis-cli` and `redis-benchmark` against the one address of the cluster, which is
//! HAProxy's or the proxies' own.

use std::fs;
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::eventually::eventually;
use crate::http;
use crate::output::output;
use crate::up::Up;

#[test]
fn haproxy_is_one_redis() {
    let up = Up::start("haproxy");
    redis_cli_works(up.ports.entry);
    every_proxy_gets_connections(&up);
    haproxy_knows_its_proxies(&up);
    proxies_answer_on_their_admin_ports(&up);
    redis_benchmark_works(up.ports.entry);
    a_dead_proxy_is_left_out(&up, |_| haproxy_calls_proxy1_down(up.ports.stats));
}

#[test]
fn the_shared_port_is_one_redis() {
    let up = Up::start("shared");
    redis_cli_works(up.ports.entry);
    every_proxy_gets_connections(&up);
    redis_benchmark_works(up.ports.entry);
    a_dead_proxy_is_left_out(&up, is_gone);
}

/// Runs a tool of the Redis distribution to its end.
fn run(program: &str, port: u16, args: &[&str], input: &str) -> Output {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(args);
    output(command, input.as_bytes())
}

fn redis_cli(port: u16, args: &[&str], input: &str) -> String {
    let output = run("redis-cli", port, args, input);
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    assert!(output.status.success(), "redis-cli {args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn redis_cli_works(port: u16) {
    for (line, expected) in [
        ("PING", "PONG"),
        ("SET greeting hello", "OK"),
        ("GET greeting", "hello"),
        ("SET number 41", "OK"),
        ("INCR number", "42"),
        ("ZADD board 1 one 2 two", "2"),
        ("ZRANGE board 0 -1 WITHSCORES", "one\n1\ntwo\n2"),
        ("MSET a 1 b 2 c 3 d 4", "OK"),
        ("MGET a b c d nothing", "1\n2\n3\n4"),
        ("EXPIRE greeting 1000", "1"),
        ("PERSIST greeting", "1"),
        ("TTL greeting", "-1"),
        ("DEL greeting a b nothing", "3"),
        ("EXISTS greeting a c", "1"),
        ("GET greeting", ""),
        ("NOSUCHCOMMAND x", "ERR unknown command 'NOSUCHCOMMAND', with args beginning with: 'x'"),
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        assert_eq!(redis_cli(port, &args, "").trim_end(), expected, "{line}");
    }
    assert_eq!(redis_cli(port, &["-3", "ZSCORE", "board", "two"], ""), "2");
    // With its input not a terminal it asks for the documentation of the commands first, and goes on.
    assert_eq!(
        redis_cli(port, &[], "SET typed 1\nGET typed\nNOSUCHCOMMAND\nGET typed\n").lines().last(),
        Some("1")
    );
    let keys = redis_cli(port, &["--scan"], "");
    let mut keys: Vec<_> = keys.lines().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["board", "c", "d", "number", "typed"]);
    let piped = redis_cli(port, &["--pipe"], &"SET piped 1\r\n".repeat(1_000));
    assert!(piped.ends_with("errors: 0, replies: 1000"), "{piped}");
    assert_eq!(redis_cli(port, &["FLUSHALL"], ""), "OK");
    assert_eq!(redis_cli(port, &["DBSIZE"], ""), "0");
}

/// Every test of `-t`, with pipelining and without; the exit status is 0 even after errors, so the text counts.
fn redis_benchmark_works(port: u16) {
    for pipeline in ["1", "16"] {
        let args =
            ["-t", "set,get,incr,zadd,mset", "-n", "10000", "-r", "1000", "-c", "20", "-q", "-P", pipeline];
        let output = run("redis-benchmark", port, &args, "");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let finished = text.matches("requests per second").count();
        assert!(output.status.success() && finished == 5, "{text}");
        assert!(!text.to_lowercase().contains("err") && !text.contains("WARNING"), "{text}");
    }
}

/// Connections are spread: each of the proxies tells another process id.
fn every_proxy_gets_connections(up: &Up) {
    let mut seen = std::collections::BTreeSet::new();
    // The kernel spreads by a hash of the client's port: after so many connections, the odds that one of two
    // proxies got none are below one in 10^18.
    for _ in 0..64 {
        let info = up.client().ask("INFO server");
        seen.extend(info.lines().find_map(|line| line.strip_prefix("process_id:").map(str::to_owned)));
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}

fn haproxy_knows_its_proxies(up: &Up) {
    let stats = format!("127.0.0.1:{}", up.ports.stats);
    let (status, metrics) = http::get(&stats, "/metrics").expect("HAProxy answers");
    assert_eq!(status, 200);
    for proxy in ["proxy1", "proxy2"] {
        let line = format!("haproxy_server_status{{proxy=\"proxies\",server=\"{proxy}\",state=\"UP\"}} 1");
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }
    // People can look and switch nothing: HAProxy's admin page is a form that posts.
    let (status, page) = http::get(&stats, "/stats").expect("HAProxy answers");
    assert_eq!((status, page.to_lowercase().contains("method=\"post\"")), (200, false));
}

fn proxies_answer_on_their_admin_ports(up: &Up) {
    for port in [up.ports.first_admin, up.ports.first_admin + 1] {
        let admin = format!("127.0.0.1:{port}");
        for nonsense in ["nonsense\r\n\r\n", "\0\u{1}\r\n\r\n", "*1\r\n$4\r\nPING\r\n"] {
            let answer = http::exchange(&admin, nonsense.as_bytes()).unwrap_or_default();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{nonsense:?}: {answer}");
        }
        for path in ["/livez", "/metrics"] {
            assert_eq!(http::get(&admin, path).map(|(status, _)| status), Ok(200), "{path}");
        }
        // It says no while a worker does not get a processor.
        eventually("the proxy is ready", || match http::get(&admin, "/readyz")? {
            (200, _) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert_eq!(http::get(&admin, "/nothing").map(|(status, _)| status), Ok(404));
    }
}

/// When a proxy is dead and whoever balances knows it, every new connection is served by another. (The
/// connection that HAProxy is redispatching at the very moment at which it marks the proxy down is cut.)
fn a_dead_proxy_is_left_out(up: &Up, is_left_out: impl Fn(i32) -> bool) {
    let mut proxy = Client::connect(&format!("127.0.0.1:{}", up.ports.first_proxy)).expect("proxy1 listens");
    let info = proxy.ask("INFO server");
    let id =
        info.lines().find_map(|line| line.strip_prefix("process_id:")?.parse().ok()).expect("a process id");
    kill_process(Pid::from_raw(id).expect("a process id"), Signal::KILL).expect("proxy1 runs");
    eventually("proxy1 is left out", || is_left_out(id).then_some(()).ok_or("not yet".to_owned()));
    for _ in 0..200 {
        assert_eq!(up.client().ask("SET after 1"), "+OK\r\n");
    }
}

fn haproxy_calls_proxy1_down(stats_port: u16) -> bool {
    let line = "haproxy_server_status{proxy=\"proxies\",server=\"proxy1\",state=\"DOWN\"} 1";
    http::get(&format!("127.0.0.1:{stats_port}"), "/metrics").is_ok_and(|(_, metrics)| metrics.contains(line))
}

/// `up` has waited for it, so all its threads have ended, and the kernel has closed all its sockets.
fn is_gone(id: i32) -> bool {
    !fs::exists(format!("/proc/{id}")).unwrap_or(true)
}
