//! What a request costs a node when it has as many as it can take: CPU time per request, and requests per
//! second.
//!
//! redis-benchmark asks, except for the mix of commands, which it does not know. On a machine with few cores
//! the generator needs as much time as a node at depth: throughput is then the generator's, and a note says
//! so. CPU time per request is the node's either way. The mix is sent by the harness, which checks every reply.

use super::closed_loop::ClosedLoop;
use super::dataset::{Command, Filled, keys};
use super::mix::Mix;
use super::server::{Node, Server};
use super::{declare as declare_rows, rounds, scenario};
use crate::bench::Bench;
use crate::load::saturated::Saturated;
use crate::results::{Results, Scenario, metric};
use crate::rounds::{Round, Trouble, interleaved};

/// As many as redis-benchmark has by default.
const CONNECTIONS: usize = 50;
/// Requests of each connection under way, and the table they stand in.
const DEPTHS: [(usize, &str); 4] = [
    (1, "requests, depth 1"),
    (16, "requests, depth 16"),
    (32, "requests, depth 32"),
    (64, "requests, depth 64"),
];
/// Shorter than a phase of the proxies, because there are 72 of them per round: a hundred ticks of CPU time
/// still.
const SHARE_OF_PHASE: f64 = 0.66;
/// The mix is the same for every node.
const SEED: u64 = 42;

/// What asks in a row.
#[derive(Debug, Clone, Copy)]
enum Load {
    One(Command),
    Mixed,
}

impl Load {
    fn name(self) -> &'static str {
        match self {
            Self::One(command) => command.name(),
            Self::Mixed => "mixed, by the harness",
        }
    }
}

fn loads() -> impl Iterator<Item = Load> {
    Command::ALL.into_iter().map(Load::One).chain([Load::Mixed])
}

fn scenarios() -> impl Iterator<Item = (Scenario, Load, usize)> {
    DEPTHS
        .into_iter()
        .flat_map(|(depth, group)| loads().map(move |load| (scenario(group, load.name()), load, depth)))
}

pub(super) fn declare(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let scenarios: Vec<_> = scenarios().map(|(scenario, ..)| scenario).collect();
    declare_rows(bench, results, nodes, &scenarios, &[metric::CPU, metric::THROUGHPUT], rounds(bench));
}

pub(super) fn measure(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let mut filled = Filled::all(bench, nodes);
    for (scenario, load, depth) in scenarios() {
        // The first node's speed decides how many requests all of them get.
        let mut requests = None;
        interleaved(bench, results, &scenario, &mut filled, rounds(bench), |node, _| {
            let server = node.server()?;
            let round = match load {
                Load::One(command) => saturate(bench, server, command, depth, &mut requests),
                Load::Mixed => mixed(bench, server, depth, &mut requests),
            };
            round.map_err(|trouble| server.explain(trouble))
        });
    }
}

fn saturate(
    bench: &Bench,
    server: &Server,
    command: Command,
    depth: usize,
    requests: &mut Option<u64>,
) -> Result<Round, Trouble> {
    let load = Saturated {
        address: server.address,
        connections: CONNECTIONS,
        depth,
        command: command.words(),
        keyspace: keys(bench),
    };
    let count = match requests {
        Some(count) => *count,
        None => *requests.insert((load.calibrate(bench)? as f64 * SHARE_OF_PHASE) as u64),
    };
    let before = server.cpu()?;
    let outcome = load.run(bench, count)?;
    let used = server.cpu()? - before;
    let round =
        Round::default().with(metric::CPU, used.micros_per(count)).with(metric::THROUGHPUT, outcome.rate);
    Ok(outcome.generator_note().into_iter().fold(round, Round::note))
}

fn mixed(bench: &Bench, server: &Server, depth: usize, requests: &mut Option<u64>) -> Result<Round, Trouble> {
    let load = ClosedLoop { address: server.address, connections: CONNECTIONS, depth };
    let mut mix = Mix::of_everything(keys(bench), SEED);
    let wanted = bench.phase().mul_f64(SHARE_OF_PHASE);
    let count = match requests {
        Some(count) => *count,
        None => *requests.insert(load.calibrate(wanted, &mut mix)?),
    };
    let before = server.cpu()?;
    let wall = load.run(count, &mut mix)?;
    let used = server.cpu()? - before;
    Ok(Round::default()
        .with(metric::CPU, used.micros_per(count))
        .with(metric::THROUGHPUT, count as f64 / wall.as_secs_f64()))
}
