//! What the memory is worth: the share of requests that find their key in a cache that cannot hold all of
//! them.
//!
//! Read-through, as applications use a cache: GET, and SET when it was not there. Every node gets the same
//! number as its `maxmemory`, is filled, and then sees the same stream of keys at the same pace. So a node
//! gains twice: by holding more keys in the same bytes, and by keeping the right ones. No speed is measured,
//! so all workloads and nodes run side by side, which gives each of them time.
//!
//! `maxmemory` does not mean the same everywhere: FastCache counts its data, the peers all that they allocate,
//! about a megabyte when empty and the buffers of clients. Of 64 MB that is less than a fiftieth, and worth
//! 0.1 points; the rows of resident memory show what the machine gave to each.
//!
//! Time is short nevertheless: a day of a cache is pressed into a hundred seconds. Redis and Valkey tell uses
//! apart by the second, FastCache by 64 ms, which is to its advantage where the content turns over in tens of
//! seconds; the rows say how long that took. So differences below [`TIE`] are none. Whatever forgets by the
//! minute, as `allkeys-lfu` does, forgets next to nothing here.

use std::thread;
use std::time::Duration;

use super::read_through::{Hits, Pace, WINDOWS, fill, read_through};
use super::server::{Node, Server};
use super::{declare as declare_rows, scenario};
use crate::bench::Bench;
use crate::results::{Better, Metric, Results, Scenario};
use crate::rounds::{Subject, Trouble};
use crate::workload::Workload;

const HITS: Metric = Metric { name: "hit ratio", unit: "%", better: Better::Higher };
const HELD: Metric = Metric { name: "keys held", unit: "keys", better: Better::Higher };
const RESIDENT: Metric = Metric { name: "resident", unit: "MB", better: Better::Lower };
/// Points: what the clocks of the peers may cost them at most, by a run at a sixth of an earlier, faster pace.
const TIE: f64 = 1.5;
/// A seed like any other; the same for all.
const SEED: u64 = 42;
/// The policy that needs no mention.
const USUAL_POLICY: &str = "allkeys-lru";
/// A run that took longer than planned by more than this was on a machine too busy for its pace.
const BEHIND: f64 = 1.1;

/// How large and how long.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Of the workload; about a fifth fits. Values are 1 KB on average.
    keys: u64,
    /// The same number for every node, in bytes.
    maxmemory: u64,
    pace: Pace,
}

impl Size {
    fn of(bench: &Bench) -> Self {
        // A window is as long as it takes from one scan to the next, so that each has one.
        let pace = |keys: u64, rate| {
            let window = keys / 4 * 3;
            Pace { warm_up: window, window, rate, delay: Duration::ZERO }
        };
        if bench.quick {
            let keys = 20_000;
            Self { keys, maxmemory: 5 << 20, pace: pace(keys, 20_000.0) }
        } else {
            let keys = 270_000;
            // 30 of them at this rate are 240 000 requests per second: two cores have time left.
            Self { keys, maxmemory: 64 << 20, pace: pace(keys, 8_000.0) }
        }
    }

    /// More than fit into any of them.
    fn filled(self) -> u64 {
        self.keys / 2
    }

    /// One of `count` that run side by side: their batches are due one after the other.
    fn at(mut self, place: usize, count: usize) -> Self {
        let apart = super::read_through::BATCH as f64 / self.pace.rate / count.max(1) as f64;
        self.pace.delay = Duration::from_secs_f64(apart * place as f64);
        self
    }
}

/// What a node reached.
#[derive(Debug)]
struct Outcome {
    hits: Hits,
    held: u64,
    resident: u64,
    policy: String,
}

/// A node with a workload, and what came of it.
type Run<'a> = (&'a Node, Workload, Result<Outcome, Trouble>);

/// The nodes, and the peers again with the policy that counts uses.
fn subjects(nodes: &[Node]) -> Vec<Node> {
    let peers = nodes.iter().filter(|node| !node.is_ours()).map(|peer| peer.with_policy("allkeys-lfu"));
    nodes.iter().cloned().chain(peers).collect()
}

fn scenario_of(workload: Workload) -> Scenario {
    scenario("hit ratio at the same maxmemory", workload.name())
}

pub(super) fn declare(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let scenarios = Workload::ALL.map(scenario_of);
    declare_rows(bench, results, &subjects(nodes), &scenarios, &[HITS, HELD, RESIDENT], 1);
}

pub(super) fn measure(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let subjects = subjects(nodes);
    for (node, workload) in pairs(&subjects) {
        if let Some(reason) = node.missing() {
            results.absent(&scenario_of(workload), node.name(), reason);
        }
    }
    let size = Size::of(bench);
    bench.progress.say(&format!("hit ratio: all side by side, {} s", size.pace.planned().as_secs()));
    let runs = side_by_side(bench, &subjects, size);
    for (node, workload, outcome) in &runs {
        tell(results, &scenario_of(*workload), node, outcome, size);
    }
    Workload::ALL.iter().for_each(|workload| compare(results, *workload, &runs, size));
    pairs(&subjects).for_each(|(node, workload)| {
        bench.progress.step(&format!("hit ratio: {}: {}", workload.name(), node.name()));
    });
}

fn pairs(subjects: &[Node]) -> impl Iterator<Item = (&Node, Workload)> {
    Workload::ALL.into_iter().flat_map(move |workload| subjects.iter().map(move |node| (node, workload)))
}

/// What each node that is there reaches with each workload.
fn side_by_side<'a>(bench: &Bench, nodes: &'a [Node], size: Size) -> Vec<Run<'a>> {
    let there: Vec<_> = pairs(nodes).filter(|(node, _)| node.missing().is_none()).collect();
    let count = there.len();
    // Processes are started by this thread: they end with the thread that started them.
    let servers: Vec<_> = there
        .into_iter()
        .map(|(node, workload)| (node, workload, node.start(bench, size.maxmemory)))
        .collect();
    thread::scope(|scope| {
        let start = |(place, (node, workload, server)): (usize, (_, Workload, anyhow::Result<Server>))| {
            let run = scope.spawn(move || {
                let server = server?;
                run(&server, workload, size.at(place, count)).map_err(|trouble| server.explain(trouble))
            });
            (node, workload, run)
        };
        let running: Vec<_> = servers.into_iter().enumerate().map(start).collect();
        let panicked = || Err(Trouble::Failed("its load generator panicked".to_owned()));
        let outcome = |(node, workload, run): (_, _, thread::ScopedJoinHandle<'_, _>)| {
            (node, workload, run.join().unwrap_or_else(|_| panicked()))
        };
        running.into_iter().map(outcome).collect()
    })
}

fn run(server: &Server, workload: Workload, size: Size) -> Result<Outcome, Trouble> {
    let limit = server.setting("maxmemory")?;
    if limit != size.maxmemory.to_string() {
        return Err(Trouble::Failed(format!("its maxmemory is {limit}")));
    }
    fill(&mut server.client()?, size.keys, size.filled())?;
    if server.info("stats")?.number("evicted_keys")? == 0 {
        return Err(Trouble::Failed("nothing was evicted: it has no limit".to_owned()));
    }
    let hits = read_through(server.client()?, workload.keys(size.keys, SEED), &size.pace)?;
    let held = Server::keys(&mut server.client()?)?;
    let policy = server.setting("maxmemory-policy")?;
    Ok(Outcome { hits, held, resident: server.resident()?, policy })
}

fn tell(
    results: &mut Results,
    scenario: &Scenario,
    node: &Node,
    outcome: &Result<Outcome, Trouble>,
    size: Size,
) {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(Trouble::Failed(reason)) => return results.fail(scenario, node.name(), reason),
        Err(Trouble::Wrong(what)) => return results.wrong_value(scenario, node.name(), what),
    };
    for ratio in outcome.hits.ratios {
        results.add(scenario, node.name(), HITS, ratio);
    }
    results.add(scenario, node.name(), HELD, outcome.held as f64);
    results.add(scenario, node.name(), RESIDENT, outcome.resident as f64 / 1e6);
    if outcome.policy != USUAL_POLICY && !node.name().ends_with(&outcome.policy) {
        results.note(scenario, node.name(), format!("maxmemory-policy {}", outcome.policy));
    }
    if outcome.hits.took > size.pace.planned().mul_f64(BEHIND) {
        let took = outcome.hits.took.as_secs();
        results.note(scenario, node.name(), format!("the machine was too busy for the pace: {took} s"));
    }
}

/// Says on our own row what a reader must know to compare it with the others.
fn compare(results: &mut Results, workload: Workload, runs: &[Run<'_>], size: Size) {
    let of_workload = |ours: bool| {
        let runs = runs.iter().filter(move |(node, of, _)| *of == workload && node.is_ours() == ours);
        runs.filter_map(|(node, _, outcome)| Some((*node, outcome.as_ref().ok()?)))
    };
    let Some((node, ours)) = of_workload(true).next() else { return };
    let scenario = scenario_of(workload);
    let seconds = turnover(ours, size);
    let limit = size.maxmemory >> 20;
    results.note(
        &scenario,
        node.name(),
        format!(
            "maxmemory {limit} MiB for all; less than {TIE} points apart is a tie: time is compressed, the content \
             turned over in about {seconds:.0} s, and the peers' LRU clock ticks every second, ours every 64 ms; \
             the range is that of {WINDOWS} windows of one stream"
        ),
    );
    let least = of_workload(false).map(|(_, peer)| peer.resident).min();
    if let Some(least) = least.filter(|least| *least < ours.resident) {
        let (more, least) = ((ours.resident - least) as f64 / 1e6, least as f64 / 1e6);
        results.note(
            &scenario,
            node.name(),
            format!("FastCache is at an advantage: {more:.1} MB more are resident than the {least:.1} MB of a peer"),
        );
    }
}

/// Seconds in which as many keys were stored as the cache holds.
fn turnover(outcome: &Outcome, size: Size) -> f64 {
    let found = outcome.hits.ratios.iter().sum::<f64>() / WINDOWS as f64 / 100.0;
    let rate = (WINDOWS * size.pace.window + size.pace.warm_up) as f64 / outcome.hits.took.as_secs_f64();
    outcome.held as f64 / (rate * (1.0 - found)).max(1.0)
}
