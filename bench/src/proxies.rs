//! Proxies side by side: FastCache, twemproxy, Envoy and HAProxy in TCP mode, each with one worker thread, before the
//! same backends, and no proxy at all.
//!
//! | part | what it measures | load |
//! |---|---|---|
//! | `memory` | memory of a fresh process, with idle clients, and while a large value passes | connections |
//! | `saturated` | CPU time per request and throughput | redis-benchmark |
//! | `fixed_rate` | latencies at a rate that all can serve; every reply is checked | our own open loop |
//! | `syscalls` | system calls per request | redis-benchmark, never timed |

mod backends;
mod contestant;
mod fixed_rate;
mod memory;
mod saturated;
mod syscalls;

use std::time::Duration;

use crate::bench::Bench;
use crate::results::Results;
use backends::Backends;

/// Backends behind each proxy.
const BACKENDS: u16 = 50;
/// As many keys as make 80 MB of the larger values over all subjects.
const fn keyspace(size: usize) -> u64 {
    if size < 1024 { 20_000 } else { 4_000 }
}

/// The sizes of values, in bytes.
const SIZES: [usize; 2] = [64, 4096];

/// Rounds of whatever varies from round to round: the median of three drops one that was disturbed.
fn rounds(bench: &Bench) -> usize {
    if bench.quick { 1 } else { 3 }
}

/// The name of this suite.
const SUITE: &str = "proxies";

/// Runs the suite.
///
/// # Errors
/// When the harness itself cannot go on: a redis-server that is there does not start.
pub fn run(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    let subjects = contestant::names(&bench.programs);
    declare(bench, results, &subjects);
    if let Err(reason) = bench.programs.find("redis-server") {
        results.absent_all(SUITE, reason);
        return Ok(());
    }
    tell_plan(bench, subjects.len());
    bench.progress.say(&format!("{SUITE}: starting {BACKENDS} backends and the proxies"));
    let backends = Backends::start(bench, BACKENDS)?;
    // What a process has once taken it may keep: each look at memory has fresh ones.
    memory::idle_clients(bench, results, &mut contestant::start_all(bench, &backends));
    memory::large_value(bench, results, &mut contestant::start_all(bench, &backends));
    let mut contestants = contestant::start_all(bench, &backends);
    backends.flush()?;
    for size in SIZES {
        contestants.iter_mut().for_each(|contestant| contestant.stock(&backends, keyspace(size), size));
    }
    saturated::run(bench, results, &backends, &mut contestants);
    fixed_rate::run(bench, results, &mut contestants);
    syscalls::run(bench, results, &mut contestants);
    Ok(())
}

/// What takes most of the time, before it begins.
fn tell_plan(bench: &Bench, subjects: usize) {
    /// Starting everything three times, connecting and passing large values, counting system calls; as measured.
    const ONCE: Duration = Duration::from_secs(60);
    /// The same in a quick run.
    const ONCE_QUICK: Duration = Duration::from_secs(15);
    let (rounds, once) = (rounds(bench), if bench.quick { ONCE_QUICK } else { ONCE });
    let planned = [
        bench.progress.plan("proxies: memory, system calls", 1, 1, 1, once),
        saturated::plan(bench, subjects, rounds),
        fixed_rate::plan(bench, subjects, rounds),
    ];
    bench.progress.total("proxies", planned.iter().sum());
}

/// All rows, before anything runs.
fn declare(bench: &Bench, results: &mut Results, subjects: &[String]) {
    let steps = [
        saturated::declare(results, subjects) * rounds(bench),
        fixed_rate::declare(bench, results, subjects) * rounds(bench),
        syscalls::declare(results, subjects),
        memory::declare(bench, results, subjects),
    ];
    bench.progress.expect(steps.iter().sum());
}
