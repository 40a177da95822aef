//! `redis-benchmark` and Prometheus' exporter. A step that a tool has no use for is left out.

use std::process::Command;

use super::RECONNECT;
use super::redis_cli::Cli;
use super::reporter::Reporter;
use crate::eventually::eventually;
use crate::http;
use crate::output::output;
use crate::ports::free_port;
use crate::process::Process;

const MEGABYTE: usize = 1 << 20;

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

/// What a command prints; it must succeed.
pub(super) fn run(command: Command, input: &[u8]) -> Vec<u8> {
    let what = format!("{command:?}");
    let output = output(command, input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{what}: {}: {errors}", output.status);
    output.stdout
}
