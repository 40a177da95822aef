//! What a request costs a node when it has as many as it can take: CPU time per request, and requests per
//! second.
//!
//! redis-benchmark asks, except for the mix of commands, which it does not know; what it does not check is
//! looked at afterwards (`audit`). The mix is sent by the harness, which checks every reply. On a machine with
//! few cores the generator needs as much time as a node at depth: throughput is then the generator's, and a note
//! says so. CPU time per request is the node's either way.
//!
//! Every node is warmed up by a short run of each scenario before the first round.

use super::audit::Audit;
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
/// Shorter than a phase of the proxies, because there are 72 of them per round.
const SHARE_OF_PHASE: f64 = 0.5;
/// Of a phase: what warms a node up.
const WARM_UP: u64 = 5;
/// The mix is the same for every node.
const SEED: u64 = 42;
/// Warming up has other requests.
const OTHER_SEED: u64 = 43;
/// The generation of values that only warm up.
const WARMING: u64 = u64::MAX >> 44;

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
        let requests = warm_up(bench, &filled, load, depth);
        interleaved(bench, results, &scenario, &mut filled, rounds(bench), |node, round| {
            let server = node.server()?;
            let requests =
                requests.ok_or_else(|| Trouble::Failed("no node could be warmed up".to_owned()))?;
            let round = match load {
                Load::One(command) => saturate(bench, server, command, depth, requests),
                Load::Mixed => mixed(bench, server, depth, requests, round),
            };
            round.map_err(|trouble| server.explain(trouble))
        });
    }
}

/// A short run of every node; the speed of the first decides how many requests all of them get in a round. One
/// that cannot do it will say why in its rows.
fn warm_up(bench: &Bench, nodes: &[Filled], load: Load, depth: usize) -> Option<u64> {
    let mut requests = None;
    for server in nodes.iter().filter_map(|node| node.server().ok()) {
        let run = || match load {
            Load::One(command) => {
                let load = saturated(bench, server, command, depth);
                match requests {
                    Some(count) => load.run(bench, count / WARM_UP).map(|_| count).map_err(Trouble::from),
                    None => Ok((load.calibrate(bench)? as f64 * SHARE_OF_PHASE) as u64),
                }
            }
            Load::Mixed => {
                let load = closed_loop(server, depth);
                let mut mix = Mix::of_everything(keys(bench), OTHER_SEED, WARMING);
                match requests {
                    Some(count) => load.run(count / WARM_UP, &mut mix).map(|_| count),
                    None => load.calibrate(bench.phase().mul_f64(SHARE_OF_PHASE), &mut mix),
                }
            }
        };
        requests = run().ok().or(requests);
    }
    requests
}

fn saturated(bench: &Bench, server: &Server, command: Command, depth: usize) -> Saturated {
    Saturated {
        address: server.address,
        connections: CONNECTIONS,
        depth,
        command: command.words(),
        keyspace: keys(bench),
    }
}

fn closed_loop(server: &Server, depth: usize) -> ClosedLoop {
    ClosedLoop { address: server.address, connections: CONNECTIONS, depth }
}

fn saturate(
    bench: &Bench,
    server: &Server,
    command: Command,
    depth: usize,
    count: u64,
) -> Result<Round, Trouble> {
    let load = saturated(bench, server, command, depth);
    let audit = Audit::begin(server, command)?;
    let before = server.cpu()?;
    let outcome = load.run(bench, count)?;
    let used = server.cpu()? - before;
    audit.end(bench, server, count)?;
    let round =
        Round::default().with(metric::CPU, used.micros_per(count)).with(metric::THROUGHPUT, outcome.rate);
    Ok(outcome.generator_note().into_iter().fold(round, Round::note))
}

fn mixed(bench: &Bench, server: &Server, depth: usize, count: u64, round: usize) -> Result<Round, Trouble> {
    let load = closed_loop(server, depth);
    // One for every measured run: what it stores was never there before.
    let generation = (depth * (rounds(bench) + 1) + round + 1) as u64;
    let mut mix = Mix::of_everything(keys(bench), SEED, generation);
    let before = server.cpu()?;
    let took = load.run(count, &mut mix)?;
    let used = server.cpu()? - before;
    mix.read_back(&mut server.client()?)?;
    let round = Round::default()
        .with(metric::CPU, used.micros_per(count))
        .with(metric::THROUGHPUT, count as f64 / took.wall.as_secs_f64());
    Ok(took.generator_note().into_iter().fold(round, Round::note))
}
