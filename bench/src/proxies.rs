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

use crate::bench::Bench;
use crate::results::Results;
use backends::Backends;

/// Backends behind each proxy.
const BACKENDS: u16 = 50;
/// In a quick run: enough to see keys spread.
const FEW_BACKENDS: u16 = 5;

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
    let count = if bench.quick { FEW_BACKENDS } else { BACKENDS };
    bench.progress.say(&format!("{SUITE}: starting {count} backends and the proxies"));
    let backends = Backends::start(bench, count)?;
    // What a process has once taken it may keep: each look at memory has fresh ones.
    memory::idle_clients(bench, results, &mut contestant::start_all(bench, &backends));
    memory::large_value(bench, results, &mut contestant::start_all(bench, &backends));
    let mut contestants = contestant::start_all(bench, &backends);
    saturated::run(bench, results, &backends, &mut contestants);
    fixed_rate::run(bench, results, &backends, &mut contestants);
    syscalls::run(bench, results, &backends, &mut contestants);
    Ok(())
}

/// All rows, before anything runs.
fn declare(bench: &Bench, results: &mut Results, subjects: &[String]) {
    let steps = [
        saturated::declare(results, subjects) * bench.rounds(),
        fixed_rate::declare(bench, results, subjects) * bench.rounds(),
        syscalls::declare(results, subjects),
        memory::declare(bench, results, subjects),
    ];
    bench.progress.expect(steps.iter().sum());
}
