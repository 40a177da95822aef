//! System calls per request of each proxy with all its processes (FastCache's health service is one), sampled while redis-benchmark runs. Nothing here is timed.

use super::contestant::Contestant;
use super::{SUITE, keyspace};
use crate::NO_PROXY;
use crate::bench::Bench;
use crate::load::saturated::Saturated;
use crate::process::Process;
use crate::results::{Results, Scenario, metric};
use crate::rounds::{Round, Trouble, interleaved};
use crate::system_calls;

/// Requests in flight on each connection, and how many are sampled: enough for the calls that accept 50 connections
/// not to count.
const CASES: [(usize, u64); 2] = [(1, 20_000), (32, 200_000)];
const SIZE: usize = 64;

fn scenario(depth: usize) -> Scenario {
    let name = format!("GET {SIZE} B, 50 connections, depth {depth}");
    Scenario { suite: SUITE, group: "system calls", name }
}

/// The rows of this part.
pub(super) fn declare(results: &mut Results, subjects: &[String]) -> usize {
    for (depth, _) in CASES {
        for subject in subjects.iter().filter(|subject| *subject != NO_PROXY) {
            results.declare(&scenario(depth), subject, &[metric::SYSCALLS]);
        }
    }
    CASES.len() * subjects.len()
}

/// Runs this part: one round, as counts hardly differ.
pub(super) fn run(bench: &Bench, results: &mut Results, contestants: &mut [Contestant]) {
    for (depth, requests) in CASES {
        let requests = if bench.quick { requests / 10 } else { requests };
        interleaved(bench, results, &scenario(depth), contestants, 1, |contestant, _| {
            if !contestant.is_proxy() {
                return Ok(Round::default());
            }
            sample(bench, contestant, depth, requests)
        });
    }
}

fn sample(bench: &Bench, contestant: &Contestant, depth: usize, requests: u64) -> Result<Round, Trouble> {
    let load = Saturated {
        address: contestant.address,
        connections: 50,
        depth,
        command: vec!["GET".to_owned(), format!("{}:__rand_int__", contestant.prefix(SIZE))],
        keyspace: keyspace(SIZE),
    };
    contestant.proxy()?;
    let processes: Vec<u32> = contestant.processes.iter().map(Process::id).collect();
    let calls = system_calls::count(bench, &processes, &load, requests)?;
    let round = Round::default().with(metric::SYSCALLS, calls.count as f64 / requests as f64);
    Ok(calls.note.into_iter().fold(round, Round::note))
}
