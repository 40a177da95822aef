//! How long requests take at a fixed rate far below what any of the nodes could take: what a user of a cache
//! that is not overloaded sees. The first tenth of each round warms up and is not counted.

use std::time::Duration;

use super::dataset::{Command, Filled, keys};
use super::mix::Mix;
use super::server::Node;
use super::{declare as declare_rows, rounds, scenario};
use crate::bench::Bench;
use crate::load::open_loop::OpenLoop;
use crate::results::{Results, Scenario, metric};
use crate::rounds::{Round, interleaved};

const GROUP: &str = "latency at 10 000 requests/s";
/// Requests per second: an eighth of what one core can do without pipelining, so nobody waits for a core.
const RATE: f64 = 10_000.0;
/// A pool of an application or two.
const CONNECTIONS: usize = 50;
/// The same requests for every node.
const SEED: u64 = 42;

fn scenarios() -> [(Scenario, Option<Command>); 3] {
    [
        (scenario(GROUP, "GET"), Some(Command::Get)),
        (scenario(GROUP, "SET"), Some(Command::Set)),
        (scenario(GROUP, "mixed"), None),
    ]
}

pub(super) fn declare(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let metrics = [metric::P50, metric::P99, metric::P999, metric::CPU];
    declare_rows(bench, results, nodes, &scenarios().map(|(scenario, _)| scenario), &metrics, rounds(bench));
}

pub(super) fn measure(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let mut filled = Filled::all(bench, nodes);
    // Twenty thousand requests: p99.9 is then the twentieth from above.
    let duration = Duration::from_millis(if bench.quick { 200 } else { 2_000 });
    let warm_up = duration / 10;
    for (scenario, command) in scenarios() {
        interleaved(bench, results, &scenario, &mut filled, rounds(bench), |node, round| {
            let server = node.server()?;
            let generation = first_generation(command) + round as u64;
            let mut mix = match command {
                Some(command) => Mix::of_one(command, keys(bench), SEED, generation),
                None => Mix::of_everything(keys(bench), SEED, generation),
            };
            let load =
                OpenLoop { address: server.address, connections: CONNECTIONS, rate: RATE, duration, warm_up };
            let before = server.cpu()?;
            let latencies = load.run(&mut mix).map_err(|trouble| server.explain(trouble))?;
            let used = server.cpu()? - before;
            let requests = (RATE * (duration + warm_up).as_secs_f64()) as u64;
            mix.read_back(&mut server.client()?)?;
            let round = Round::default()
                .with(metric::P50, latencies.at_quantile(0.5))
                .with(metric::P99, latencies.at_quantile(0.99))
                .with(metric::P999, latencies.at_quantile(0.999))
                .with(metric::CPU, used.micros_per(requests));
            Ok(latencies.generator_notes().into_iter().fold(round, Round::note))
        });
    }
}

/// What the rounds of a scenario store was not stored before: each scenario has generations of its own.
fn first_generation(command: Option<Command>) -> u64 {
    /// More than there are rounds.
    const APART: u64 = 100;
    command.map_or(APART, |_| 1)
}
