//! CPU time per request and throughput while as much is asked for as is answered: every command with every depth, value
//! size and number of connections.
//!
//! Making 1 000 connections would be a good part of such a phase, so it is measured by itself (a run in which every
//! connection has one turn) and subtracted with the requests of that run: what is left is requests on connections that
//! are up.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backends::{Backends, Done};
use super::contestant::{Contestant, watched};
use super::{SIZES, SUITE, keyspace};
use crate::bench::Bench;
use crate::cpu::{self, CpuTimes};
use crate::load::saturated::{Outcome, Saturated};
use crate::load::value;
use crate::results::{Better, Metric, Results, Scenario, metric};
use crate::rounds::{Round, Subject, Trouble, interleaved};

/// What the backends use for a request: a proxy that gathers requests saves them time as well. No contest: HAProxy and
/// no proxy use one backend, which is always awake, and the others fifty.
const BACKEND_CPU: Metric =
    Metric { name: "CPU of the backends", unit: "µs/request", better: Better::Neither };

/// A phase is this long, or one turn of all connections: CPU time is counted in nanoseconds, so less than half a second
/// tells it to a thousandth.
const PHASE: Duration = Duration::from_millis(400);
/// Enough to see the counting of a phase work.
const QUICK_PHASE: Duration = Duration::from_millis(50);
/// From here on making the connections is measured and subtracted.
const MANY: usize = 1000;

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
/// twemproxy's buffer for a part of a request, in bytes; the largest of the proxies'.
const MBUF: usize = 16 * 1024;
/// In MB: with it, backends, generator and system still have room on a machine with 16 GB.
const MOST_UNDER_WAY: usize = 5_000;

/// Every combination, in the order of the report.
fn cases() -> impl Iterator<Item = Case> {
    let commands = [(Command::Get, 1), (Command::Set, 1), (Command::Get, 32), (Command::Set, 32)];
    let commands = commands.into_iter().chain([(Command::Mget, 1), (Command::Mget, 32)]);
    commands.flat_map(|(command, depth)| {
        SIZES
            .into_iter()
            .flat_map(move |size| [50, 1000].map(|connections| Case { command, size, depth, connections }))
    })
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

    /// Keys that a request asks for.
    fn keys(self) -> u64 {
        if self.command == Command::Mget { MGET_KEYS as u64 } else { 1 }
    }

    /// Whether one turn of all connections moves more than a phase's worth: 100 MB.
    fn is_large(self) -> bool {
        self.connections * self.depth * self.size * self.keys() as usize > 100_000_000
    }

    /// Why nobody is measured in this; `None` when everybody is.
    fn skipped(self) -> Option<String> {
        let requests = self.connections * self.depth;
        let megabytes = requests * self.keys() as usize * self.size.max(MBUF) / 1_000_000;
        (megabytes > MOST_UNDER_WAY).then(|| {
            format!(
                "not run: {requests} requests of 100 keys would be under way, and a proxy that keeps a buffer for \
                 each part of one would hold up to {megabytes} MB"
            )
        })
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
            keyspace: keyspace(self.size),
        }
    }
}

/// A value that can be an argument of a program.
fn printable(size: usize) -> String {
    value(0, size).iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

/// The rows of this part.
pub(super) fn declare(results: &mut Results, subjects: &[String]) -> usize {
    for case in cases() {
        let scenario = case.scenario();
        for subject in subjects {
            results.declare(&scenario, subject, metrics(subject != crate::NO_PROXY));
        }
    }
    cases().filter(|case| case.skipped().is_none()).count() * subjects.len()
}

/// Without a proxy there is nothing whose CPU time could be measured.
fn metrics(is_proxy: bool) -> &'static [Metric] {
    const ALL: [Metric; 3] = [metric::CPU, metric::THROUGHPUT, BACKEND_CPU];
    if is_proxy { &ALL } else { &ALL[1..] }
}

/// How long this part will take.
pub(super) fn plan(bench: &Bench, subjects: usize, rounds: usize) -> Duration {
    /// Starting redis-benchmark, reading counters.
    const AROUND: Duration = Duration::from_millis(100);
    /// redis-benchmark makes 65 connections at a time and sleeps 50 ms in between.
    const CONNECTING: Duration = Duration::from_millis(800);
    /// One or two turns of the large ones, at some 100 to 200 MB a second over the whole chain.
    const LARGE: Duration = Duration::from_millis(3000);
    let phase = AROUND + if bench.quick { QUICK_PHASE } else { PHASE };
    let of = |is_large: bool, many: bool| {
        let cases = cases().filter(|case| case.skipped().is_none() && case.is_large() == is_large);
        cases.filter(|case| (case.connections >= MANY) == many).count()
    };
    // Two more runs find out how many requests to send and what connecting costs; a quick run does without.
    let (few, many) = if bench.quick { (rounds, rounds) } else { (rounds + 1, rounds + 2) };
    let large = of(true, false) + of(true, true);
    let each = if bench.quick { phase } else { LARGE };
    let progress = &bench.progress;
    progress.plan("proxies: saturated, 50 connections", of(false, false), subjects, few, phase)
        + progress.plan(
            "proxies: saturated, 1 000 connections",
            of(false, true),
            subjects,
            many,
            phase + CONNECTING,
        )
        + progress.plan("proxies: saturated, a turn takes longer than a phase", large, subjects, few, each)
}

/// Runs this part.
pub(super) fn run(bench: &Bench, results: &mut Results, backends: &Backends, contestants: &mut [Contestant]) {
    let mut is_first = true;
    for case in cases() {
        let scenario = case.scenario();
        if let Some(reason) = case.skipped() {
            contestants.iter().for_each(|contestant| results.skip(&scenario, contestant.name(), &reason));
            continue;
        }
        // A quick run proves this way only once: each takes seconds.
        let is_calibrated = !bench.quick || std::mem::take(&mut is_first);
        let prepared: BTreeMap<char, _> = contestants
            .iter()
            .filter(|contestant| contestant.missing().is_none() && contestant.broken().is_none())
            .map(|contestant| {
                (contestant.letter, Prepared::of(bench, backends, contestant, case, is_calibrated))
            })
            .collect();
        watched(results, &scenario, contestants, |results, contestants| {
            interleaved(bench, results, &scenario, contestants, super::rounds(bench), |contestant, _| {
                match &prepared[&contestant.letter] {
                    Ok(prepared) => measure(bench, backends, contestant, case, prepared),
                    Err(error) => Err(Trouble::Failed(format!("{error:#}"))),
                }
            });
        });
    }
}

/// What is found out before the rounds, which also warms everybody up.
struct Prepared {
    /// How many requests make a phase.
    requests: u64,
    /// What making the connections costs, and a turn of each of them.
    connecting: Option<Sample>,
}

impl Prepared {
    fn of(
        bench: &Bench,
        backends: &Backends,
        contestant: &Contestant,
        case: Case,
        is_calibrated: bool,
    ) -> anyhow::Result<Self> {
        let load = case.load(contestant);
        if !is_calibrated {
            // No more than a moment's work: an MGET is a hundred keys.
            let requests = if case.keys() > 1 { 100 } else { load.turn().clamp(500, 5_000) };
            return Ok(Self { requests, connecting: None });
        }
        let phase = if bench.quick { QUICK_PHASE } else { PHASE };
        if case.connections < MANY {
            return Ok(Self {
                requests: load.calibrate_for(bench, phase)?.max(load.turn()),
                connecting: None,
            });
        }
        // The first is thrown away: memory that a subject takes only once is no part of connecting.
        Sample::take(bench, backends, contestant, &load, load.turn())?;
        let connecting = Sample::take(bench, backends, contestant, &load, load.turn())?;
        let requests = load.turn() + connecting.outcome.requests_in(phase).max(load.turn());
        Ok(Self { requests, connecting: Some(connecting) })
    }
}

/// What one run of redis-benchmark gave and cost.
#[derive(Debug, Clone, Copy)]
struct Sample {
    outcome: Outcome,
    proxy: CpuTimes,
    backends: CpuTimes,
}

impl Sample {
    fn take(
        bench: &Bench,
        backends: &Backends,
        contestant: &Contestant,
        load: &Saturated,
        requests: u64,
    ) -> anyhow::Result<Self> {
        let read = || -> anyhow::Result<_> { Ok((contestant.cpu()?, cpu::of_trees(&backends.ids())?)) };
        let before = read()?;
        let outcome = load.run(bench, requests)?;
        let after = read()?;
        Ok(Self { outcome, proxy: after.0 - before.0, backends: after.1 - before.1 })
    }

    fn without(self, connecting: Self) -> Self {
        let requests = self.outcome.requests.saturating_sub(connecting.outcome.requests);
        let outcome = Outcome { requests, ..self.outcome };
        Self { outcome, proxy: self.proxy - connecting.proxy, backends: self.backends - connecting.backends }
    }
}

fn measure(
    bench: &Bench,
    backends: &Backends,
    contestant: &Contestant,
    case: Case,
    prepared: &Prepared,
) -> Result<Round, Trouble> {
    let before = backends.done()?;
    let whole = Sample::take(bench, backends, contestant, &case.load(contestant), prepared.requests)?;
    let proof = proven(before, backends.done()?, case, prepared.requests);
    // Keys of a backend that is out of service are looked for elsewhere, as they should be.
    let excused = match proof {
        Err(what) if contestant.outages() > 0 => {
            Some(format!("{what}: backends had been taken out of service"))
        }
        proof => proof.map(|()| None).map_err(Trouble::Wrong)?,
    };
    let (sample, note) = match prepared.connecting {
        Some(connecting) => {
            (whole.without(connecting), whole.outcome.generator_note_without(&connecting.outcome))
        }
        None => (whole, whole.outcome.generator_note()),
    };
    let requests = sample.outcome.requests;
    let mut round = Round::default().with(metric::THROUGHPUT, whole.outcome.rate);
    round = round.with(BACKEND_CPU, sample.backends.micros_per(requests));
    if contestant.is_proxy() {
        round = round.with(metric::CPU, sample.proxy.micros_per(requests));
    }
    Ok(note.into_iter().chain(excused).fold(round, Round::note))
}

/// redis-benchmark does not look at values, so the backends are asked whether they did what was asked for: found every
/// key, stored every value.
fn proven(before: Done, after: Done, case: Case, requests: u64) -> Result<(), String> {
    let misses = after.misses - before.misses;
    if misses > 0 {
        return Err(format!("{misses} keys that are stored were not found"));
    }
    let (done, asked) = match case.command {
        Command::Set => (after.sets - before.sets, requests),
        Command::Get | Command::Mget => (after.hits - before.hits, requests * case.keys()),
    };
    if done >= asked { Ok(()) } else { Err(format!("the backends did {done} of {asked} operations")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_combinations_are_there_and_few_are_too_large() {
        let names: std::collections::BTreeSet<_> =
            cases().map(|case| (case.scenario().group, case.scenario().name)).collect();
        assert_eq!(names.len(), 24);
        let skipped: Vec<_> =
            cases().filter(|case| case.skipped().is_some()).map(|case| case.scenario().name).collect();
        assert_eq!(
            skipped,
            ["MGET 64 B, 1000 connections, depth 32", "MGET 4 KiB, 1000 connections, depth 32"]
        );
    }

    #[test]
    fn what_the_backends_did_not_do_was_not_done() {
        let case = |command| Case { command, size: 64, depth: 1, connections: 50 };
        let before = Done { hits: 100, misses: 7, sets: 50 };
        let after = Done { hits: 1_100, sets: 60, ..before };
        assert_eq!(proven(before, after, case(Command::Get), 1_000), Ok(()));
        assert!(proven(before, after, case(Command::Get), 1_001).is_err());
        assert_eq!(proven(before, after, case(Command::Mget), 10), Ok(()));
        assert!(proven(before, after, case(Command::Mget), 11).is_err());
        assert_eq!(proven(before, after, case(Command::Set), 10), Ok(()));
        assert!(proven(before, after, case(Command::Set), 11).is_err());
        let missed = Done { misses: 8, ..after };
        assert!(proven(before, missed, case(Command::Get), 10).is_err());
    }
}
