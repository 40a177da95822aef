//! The client libraries: each is driven by a program of its own, in the library's language, that prints a line
//! for each step.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use super::install;
use super::reporter::Reporter;

/// What a program prints when it waits for the proxies to be restarted.
const READY: &str = "ready for the restart";

pub(super) fn redis_py(to: &Reporter) {
    run(install::python("redis_py.py"), "redis", to);
}

pub(super) fn valkey_py(to: &Reporter) {
    run(install::python("redis_py.py"), "valkey", to);
}

pub(super) fn glide_py(to: &Reporter) {
    run(install::python("valkey_glide.py"), "valkey-glide", to);
}

pub(super) fn ioredis(to: &Reporter) {
    run(install::node("ioredis.js"), "ioredis", to);
}

pub(super) fn iovalkey(to: &Reporter) {
    run(install::node("ioredis.js"), "iovalkey", to);
}

pub(super) fn node_redis(to: &Reporter) {
    run(install::node("node_redis.js"), "redis", to);
}

pub(super) fn glide_js(to: &Reporter) {
    run(install::node("valkey_glide.js"), "@valkey/valkey-glide", to);
}

pub(super) fn redis_rs(to: &Reporter) {
    run(install::rust("redis_rs"), "redis", to);
}

pub(super) fn fred(to: &Reporter) {
    run(install::rust("fred"), "fred", to);
}

/// A program that dies with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(mut command: Command, library: &str, to: &Reporter) {
    // What a library leaves behind goes with the test.
    let files = TempDir::new().expect("a temporary directory");
    command.arg(library).arg(to.port.to_string()).args(to.steps).env("TMPDIR", files.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = Program(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")));
    let mut input = program.0.stdin.take().expect("its input is piped");
    let output = program.0.stdout.take().expect("its output is piped");
    let mut errors = program.0.stderr.take().expect("its errors are piped");
    let errors = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = errors.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut told = 0;
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if line == READY {
            to.until_restarted();
            // A program that has ended meanwhile has not told its last step.
            let _ = input.write_all(b"go\n");
        } else if let Some((step, result)) = line.split_once('\t').filter(|(step, _)| to.steps.contains(step))
        {
            told += 1;
            to.tell(step, if result == "ok" { Ok(()) } else { Err(result.to_owned()) });
        }
    }
    drop(program);
    if told < to.steps.len() {
        eprintln!(
            "{library} told {told} of {} steps:\n{}",
            to.steps.len(),
            errors.join().unwrap_or_default()
        );
    }
}
