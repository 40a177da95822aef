//! Cache nodes side by side: FastCache's node, Redis and Valkey, on the same requests with the same
//! `maxmemory`.
//!
//! Six sections, each in a file: what a request costs (`throughput`), how long it takes at a fixed rate
//! (`latency`), what a key costs (`bytes_per_key`), what the memory is worth (`hit_ratio`), how long growing
//! stalls (`growth`), and how long the dead stay (`expiry`).

mod bytes_per_key;
mod closed_loop;
mod dataset;
mod expiry;
mod growth;
mod hit_ratio;
mod info;
mod latency;
mod load;
mod mix;
mod server;
mod throughput;

use crate::bench::Bench;
use crate::results::{Metric, Results, Scenario};
use crate::rounds::Subject;
use server::Node;

/// The suite's name in the report.
const SUITE: &str = "nodes";

/// One section: its rows, and what fills them.
struct Section {
    declare: fn(&Bench, &mut Results, &[Node]),
    measure: fn(&Bench, &mut Results, &[Node]),
}

const SECTIONS: [Section; 6] = [
    Section { declare: throughput::declare, measure: throughput::measure },
    Section { declare: latency::declare, measure: latency::measure },
    Section { declare: bytes_per_key::declare, measure: bytes_per_key::measure },
    Section { declare: hit_ratio::declare, measure: hit_ratio::measure },
    Section { declare: growth::declare, measure: growth::measure },
    Section { declare: expiry::declare, measure: expiry::measure },
];

/// Runs the suite.
///
/// # Errors
/// When the harness itself cannot go on.
pub fn run(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    let nodes = Node::all(bench);
    SECTIONS.iter().for_each(|section| (section.declare)(bench, results, &nodes));
    SECTIONS.iter().for_each(|section| (section.measure)(bench, results, &nodes));
    Ok(())
}

/// Declares the same `metrics` for every node in each of `scenarios`, and announces the steps they take.
fn declare(
    bench: &Bench,
    results: &mut Results,
    nodes: &[Node],
    scenarios: &[Scenario],
    metrics: &[Metric],
    rounds: usize,
) {
    for scenario in scenarios {
        nodes.iter().for_each(|node| results.declare(scenario, node.name(), metrics));
    }
    bench.progress.expect(scenarios.len() * nodes.len() * rounds);
}

fn scenario(group: &'static str, name: impl Into<String>) -> Scenario {
    Scenario { suite: SUITE, group, name: name.into() }
}

/// Rounds where each takes seconds: the median of three drops one that was disturbed.
fn rounds(bench: &Bench) -> usize {
    if bench.quick { 1 } else { 3 }
}
