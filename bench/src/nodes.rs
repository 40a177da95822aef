//! Cache nodes side by side: FastCache's node, Redis and Valkey, on the same requests with the same number as
//! `maxmemory` (in all sections but `hit_ratio` one that is never reached).
//!
//! Six sections, each in a file: what a request costs (`throughput`), how long it takes at a fixed rate
//! (`latency`), what a key costs (`bytes_per_key`), what the memory is worth (`hit_ratio`), how long growing
//! stalls (`growth`), and how long the dead stay (`expiry`).

mod audit;
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
mod read_through;
mod server;
mod throughput;

use std::time::Duration;

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
    tell_plan(bench, nodes.len());
    SECTIONS.iter().for_each(|section| (section.declare)(bench, results, &nodes));
    SECTIONS.iter().for_each(|section| (section.measure)(bench, results, &nodes));
    Ok(())
}

/// What takes the time, before it begins.
fn tell_plan(bench: &Bench, nodes: usize) {
    /// Scenarios and seconds of each phase, as measured: in a full run and in a quick one.
    const PARTS: [(&str, usize, f64, f64); 5] = [
        ("nodes: requests", 24, 0.95, 0.05),
        ("nodes: latency at a fixed rate", 3, 2.3, 0.25),
        ("nodes: bytes per key", 6, 1.1, 0.1),
        ("nodes: stall while growing", 1, 17.5, 1.2),
        ("nodes: expiry", 1, 11.5, 7.0),
    ];
    /// Filling twice, and the hit ratios, which are all taken at the same time.
    const ONCE: [(&str, f64, f64); 2] = [("nodes: filling", 26.0, 2.0), ("nodes: hit ratio", 115.0, 5.0)];
    let seconds = |full: f64, quick: f64| Duration::from_secs_f64(if bench.quick { quick } else { full });
    let parts = PARTS.map(|(part, scenarios, full, quick)| {
        bench.progress.plan(part, scenarios, nodes, rounds(bench), seconds(full, quick))
    });
    let once = ONCE.map(|(part, full, quick)| bench.progress.plan(part, 1, 1, 1, seconds(full, quick)));
    bench.progress.total(SUITE, parts.iter().chain(&once).sum());
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

/// Fills the row of the worst of all rounds from that of the worst of each.
fn worst_of_rounds(results: &mut Results, scenario: &Scenario, nodes: &[Node], each: Metric, worst: Metric) {
    for node in nodes {
        let row = results.row(scenario, node.name(), each.name);
        let most = row.and_then(crate::results::Row::summary).map(|summary| summary.max);
        if let Some(most) = most {
            results.add(scenario, node.name(), worst, most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::Programs;
    use crate::progress::Progress;
    use crate::results::Better;

    #[test]
    fn of_worst_cases_the_worst_counts_and_not_the_median() {
        let metric = |name| Metric { name, unit: "ms", better: Better::Lower };
        let (each, worst) = (metric("each"), metric("worst"));
        let bench = Bench {
            quick: true,
            programs: Programs::none(),
            directory: std::env::temp_dir(),
            progress: Progress::new(),
        };
        let (nodes, scenario) = (Node::all(&bench), scenario("g", "s"));
        let mut results = Results::default();
        for value in [3.0, 40.0, 5.0] {
            results.add(&scenario, nodes[0].name(), each, value);
        }
        worst_of_rounds(&mut results, &scenario, &nodes, each, worst);
        let samples =
            |node: &Node| results.row(&scenario, node.name(), "worst").map(|row| row.samples.clone());
        assert_eq!(samples(&nodes[0]), Some(vec![40.0]));
        assert_eq!(samples(&nodes[1]), None);
    }
}
