//! CPU time per request and throughput while as much is asked for as is answered.
//!
//! Of the eight combinations of depth, value size and number of connections of each command, those are measured that
//! tell something new: every depth, size, command and number of connections, and 1 000 connections where they are
//! dearest (depth 1) and where batches are smallest (pipelines).

use std::collections::BTreeMap;

use super::SUITE;
use super::backends::Backends;
use super::contestant::{Contestant, watched};
use crate::bench::Bench;
use crate::cpu;
use crate::load::saturated::Saturated;
use crate::load::value;
use crate::results::{Better, Metric, Results, Scenario, metric};
use crate::rounds::{Round, Trouble, interleaved};

/// What the backends use for a request: a proxy that gathers requests saves them time as well.
const BACKEND_CPU: Metric =
    Metric { name: "CPU of the backends", unit: "µs/request", better: Better::Lower };

const DEPTH_1: &str = "saturated, depth 1";
const PIPELINE: &str = "saturated, pipeline 32";
const MGET: &str = "saturated, MGET of 100";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Get,
    Set,
    Mget,
}

/// One combination.
#[derive(Debug, Clone, Copy)]
struct Case {
    command: Command,
    size: usize,
    depth: usize,
    connections: usize,
}

/// Keys in an MGET.
const MGET_KEYS: usize = 100;

const CASES: [Case; 13] = [
    case(Command::Get, 64, 1, 50),
    case(Command::Set, 64, 1, 50),
    case(Command::Get, 4096, 1, 50),
    case(Command::Set, 4096, 1, 50),
    case(Command::Get, 64, 1, 1000),
    case(Command::Get, 64, 32, 50),
    case(Command::Set, 64, 32, 50),
    case(Command::Get, 4096, 32, 50),
    case(Command::Set, 4096, 32, 50),
    case(Command::Get, 64, 32, 1000),
    case(Command::Mget, 64, 1, 50),
    case(Command::Mget, 4096, 1, 50),
    case(Command::Mget, 64, 32, 50),
];

const fn case(command: Command, size: usize, depth: usize, connections: usize) -> Case {
    Case { command, size, depth, connections }
}

impl Case {
    fn scenario(self) -> Scenario {
        let (group, command) = match (self.command, self.depth) {
            (Command::Mget, _) => (MGET, "MGET"),
            (Command::Get, 1) => (DEPTH_1, "GET"),
            (Command::Set, 1) => (DEPTH_1, "SET"),
            (Command::Get, _) => (PIPELINE, "GET"),
            (Command::Set, _) => (PIPELINE, "SET"),
        };
        let depth =
            if self.command == Command::Mget { format!(", depth {}", self.depth) } else { String::new() };
        let size =
            if self.size < 1024 { format!("{} B", self.size) } else { format!("{} KiB", self.size / 1024) };
        Scenario {
            suite: SUITE,
            group,
            name: format!("{command} {size}, {} connections{depth}", self.connections),
        }
    }

    /// As many keys as make 80 MB of the larger values over all subjects.
    fn keyspace(self) -> u64 {
        if self.size < 1024 { 20_000 } else { 4_000 }
    }

    fn load(self, contestant: &Contestant) -> Saturated {
        let key = format!("{}:__rand_int__", contestant.prefix(self.size));
        let command = match self.command {
            Command::Get => vec!["GET".to_owned(), key],
            Command::Set => vec!["SET".to_owned(), key, printable(self.size)],
            Command::Mget => [vec!["MGET".to_owned()], vec![key; MGET_KEYS]].concat(),
        };
        Saturated {
            address: contestant.address,
            connections: self.connections,
            depth: self.depth,
            command,
            keyspace: self.keyspace(),
        }
    }
}

/// A value that can be an argument of a program.
fn printable(size: usize) -> String {
    value(0, size).iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

/// The rows of this part.
pub(super) fn declare(results: &mut Results, subjects: &[String]) -> usize {
    for scenario in CASES.map(Case::scenario) {
        for subject in subjects {
            results.declare(&scenario, subject, metrics(subject != crate::NO_PROXY));
        }
    }
    CASES.len() * subjects.len()
}

/// Without a proxy there is nothing whose CPU time could be measured.
fn metrics(is_proxy: bool) -> &'static [Metric] {
    const ALL: [Metric; 3] = [metric::CPU, metric::THROUGHPUT, BACKEND_CPU];
    if is_proxy { &ALL } else { &ALL[1..] }
}

/// Runs this part.
pub(super) fn run(bench: &Bench, results: &mut Results, backends: &Backends, contestants: &mut [Contestant]) {
    for case in CASES {
        let mut requests = BTreeMap::new();
        let scenario = case.scenario();
        watched(results, &scenario, contestants, |results, contestants| {
            interleaved(bench, results, &scenario, contestants, bench.rounds(), |contestant, round| {
                if round == 0 {
                    contestant.preload(backends, case.keyspace(), case.size)?;
                    requests.insert(contestant.letter, case.load(contestant).calibrate(bench)?);
                }
                measure(bench, backends, contestant, case, requests[&contestant.letter])
            });
        });
    }
}

fn measure(
    bench: &Bench,
    backends: &Backends,
    contestant: &Contestant,
    case: Case,
    requests: u64,
) -> Result<Round, Trouble> {
    let read = || -> anyhow::Result<_> { Ok((contestant.cpu()?, cpu::of_trees(&backends.ids())?)) };
    let (proxy_before, backends_before) = read()?;
    let outcome = case.load(contestant).run(bench, requests)?;
    let (proxy, backend) = read()?;
    let mut round = Round::default().with(metric::THROUGHPUT, outcome.rate);
    round = round.with(BACKEND_CPU, (backend - backends_before).micros_per(requests));
    if contestant.is_proxy() {
        round = round.with(metric::CPU, (proxy - proxy_before).micros_per(requests));
    }
    Ok(match outcome.generator_note() {
        Some(note) => round.note(note),
        None => round,
    })
}
