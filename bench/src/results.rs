//! What was measured: one row per scenario, subject and metric, with the raw number of every round.
//!
//! The one idea: rows are *declared* before anything runs. A row that ends without a number must say why it has
//! none, and one that does neither is an error of the harness ([`Results::silent_rows`]). So nothing can be dropped,
//! least of all what did not go well. This file neither measures nor prints.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::statistics::Summary;

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Less is better: time, memory.
    Lower,
    /// More is better: requests per second, hit ratio.
    Higher,
    /// It explains other rows and is no contest.
    Neither,
}

/// What a row counts, and in which unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name in the report, the same in every scenario.
    pub name: &'static str,
    /// The unit of its samples.
    pub unit: &'static str,
    /// Which way is good.
    pub better: Better,
}

/// The metrics that more than one suite has.
pub mod metric {
    use super::{Better, Metric};

    const fn lower(name: &'static str, unit: &'static str) -> Metric {
        Metric { name, unit, better: Better::Lower }
    }

    /// User and system time of the measured process tree.
    pub const CPU: Metric = lower("CPU", "µs/request");
    /// Requests answered per second when as many are sent as are answered.
    pub const THROUGHPUT: Metric = Metric { name: "throughput", unit: "requests/s", better: Better::Higher };
    /// Half of the requests were faster.
    pub const P50: Metric = lower("p50", "ms");
    /// One request in a hundred was slower.
    pub const P99: Metric = lower("p99", "ms");
    /// One request in a thousand was slower.
    pub const P999: Metric = lower("p99.9", "ms");
    /// System calls of the measured process tree.
    pub const SYSCALLS: Metric = lower("system calls", "per request");
    /// Resident memory.
    pub const MEMORY: Metric = lower("memory", "MB");
}

/// One situation in which all subjects are measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// `proxies` or `nodes`.
    pub suite: &'static str,
    /// What the report puts into one table and one plot.
    pub group: &'static str,
    /// What tells it from the others of its group.
    pub name: String,
}

/// Why a row has no number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lack {
    /// The program is not on this machine.
    Absent(String),
    /// The harness does not try it with anybody: why.
    Skipped(String),
    /// It was tried, and did not work.
    Failed(String),
    /// It answered with something other than what was stored. Fails the run.
    Wrong(String),
}

/// One line of the results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `proxies` or `nodes`.
    pub suite: String,
    /// What the report puts into one table and one plot.
    pub group: String,
    /// What tells it from the others of its group.
    pub scenario: String,
    /// Who was measured.
    pub subject: String,
    /// What was counted.
    pub metric: String,
    /// The unit of the samples.
    pub unit: String,
    /// Which way is good.
    pub better: Better,
    /// One number per round, in the order they were taken.
    pub samples: Vec<f64>,
    /// Why there is no number, or why there are fewer than rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lack: Option<Lack>,
    /// What a reader must know to judge the numbers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub notes: BTreeSet<String>,
}

impl Row {
    /// Median and range; `None` when there is no sample.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        Summary::of(&self.samples)
    }

    fn is_of(&self, scenario: &Scenario, subject: &str) -> bool {
        self.suite == scenario.suite
            && self.group == scenario.group
            && self.scenario == scenario.name
            && self.subject == subject
    }

    /// Where it stands, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}: {}: {}: {}: {}", self.suite, self.group, self.scenario, self.subject, self.metric)
    }
}

/// All rows, in the order they were declared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Results {
    /// The rows.
    pub rows: Vec<Row>,
}

impl Results {
    /// Announces the rows of a subject in a scenario.
    pub fn declare(&mut self, scenario: &Scenario, subject: &str, metrics: &[Metric]) {
        for metric in metrics {
            debug_assert!(self.find(scenario, subject, metric.name).is_none(), "declared twice");
            self.rows.push(Row {
                suite: scenario.suite.to_owned(),
                group: scenario.group.to_owned(),
                scenario: scenario.name.clone(),
                subject: subject.to_owned(),
                metric: metric.name.to_owned(),
                unit: metric.unit.to_owned(),
                better: metric.better,
                samples: Vec::new(),
                lack: None,
                notes: BTreeSet::new(),
            });
        }
    }

    /// Adds the number of one round. A row that was not declared is declared by it.
    pub fn add(&mut self, scenario: &Scenario, subject: &str, metric: Metric, value: f64) {
        if self.find(scenario, subject, metric.name).is_none() {
            self.declare(scenario, subject, &[metric]);
        }
        if let Some(row) = self.find(scenario, subject, metric.name) {
            row.samples.push(value);
        }
    }

    /// Says of all rows of a subject in a scenario that it was tried and did not work.
    pub fn fail(&mut self, scenario: &Scenario, subject: &str, reason: impl Display) {
        self.lack(scenario, subject, &Lack::Failed(reason.to_string()));
    }

    /// Says of all rows of a subject in a scenario that its program is not here.
    pub fn absent(&mut self, scenario: &Scenario, subject: &str, reason: impl Display) {
        self.lack(scenario, subject, &Lack::Absent(reason.to_string()));
    }

    /// Says of all rows of a subject in a scenario that it gave wrong answers: its speed is of no interest.
    pub fn wrong_value(&mut self, scenario: &Scenario, subject: &str, what: impl Display) {
        self.lack(scenario, subject, &Lack::Wrong(what.to_string()));
    }

    /// Adds what a reader must know to judge a subject's numbers in a scenario.
    pub fn note(&mut self, scenario: &Scenario, subject: &str, text: impl Display) {
        for row in self.rows.iter_mut().filter(|row| row.is_of(scenario, subject)) {
            row.notes.insert(text.to_string());
        }
    }

    /// The rows that ended with neither a number nor a reason.
    pub fn silent_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.samples.is_empty() && row.lack.is_none())
    }

    /// Says of all rows of a suite that what it needs is not here.
    pub fn absent_all(&mut self, suite: &str, reason: impl Display) {
        for row in self.rows.iter_mut().filter(|row| row.suite == suite) {
            row.lack = Some(Lack::Absent(reason.to_string()));
        }
    }

    /// Says of all rows of a suite that have nothing yet that the harness could not go on.
    pub fn fail_silent(&mut self, suite: &str, reason: impl Display) {
        let is_silent = |row: &&mut Row| row.suite == suite && row.samples.is_empty() && row.lack.is_none();
        for row in self.rows.iter_mut().filter(is_silent) {
            row.lack = Some(Lack::Failed(reason.to_string()));
        }
    }

    /// Says of all rows of a subject in a scenario that nobody is measured in it.
    pub fn skip(&mut self, scenario: &Scenario, subject: &str, reason: impl Display) {
        self.lack(scenario, subject, &Lack::Skipped(reason.to_string()));
    }

    /// A row that was declared.
    #[must_use]
    pub fn row(&self, scenario: &Scenario, subject: &str, metric: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.is_of(scenario, subject) && row.metric == metric)
    }

    /// Says of all rows of a subject in a scenario why they have no number.
    pub fn lack(&mut self, scenario: &Scenario, subject: &str, lack: &Lack) {
        for row in self.rows.iter_mut().filter(|row| row.is_of(scenario, subject)) {
            row.lack = Some(lack.clone());
        }
    }

    fn find(&mut self, scenario: &Scenario, subject: &str, metric: &str) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.is_of(scenario, subject) && row.metric == metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        Scenario { suite: "proxies", group: "depth 1", name: "GET".to_owned() }
    }

    #[test]
    fn a_declared_row_is_silent_until_it_has_a_number_or_a_reason() {
        let mut results = Results::default();
        for subject in ["a", "b", "c", "d"] {
            results.declare(&scenario(), subject, &[metric::CPU]);
        }
        assert_eq!(results.silent_rows().count(), 4);
        results.add(&scenario(), "a", metric::CPU, 1.0);
        results.fail(&scenario(), "b", "it ended");
        results.absent(&scenario(), "c", "not installed");
        let silent: Vec<_> = results.silent_rows().map(Row::place).collect();
        assert_eq!(silent, ["proxies: depth 1: GET: d: CPU"]);
    }

    #[test]
    fn a_failure_keeps_the_numbers_taken_before_it_and_concerns_all_metrics() {
        let mut results = Results::default();
        results.declare(&scenario(), "a", &[metric::CPU, metric::P99]);
        results.add(&scenario(), "a", metric::CPU, 1.0);
        results.fail(&scenario(), "a", "it ended");
        assert_eq!(results.rows[0].samples, [1.0]);
        assert!(results.rows.iter().all(|row| row.lack == Some(Lack::Failed("it ended".to_owned()))));
    }

    #[test]
    fn when_the_harness_breaks_only_what_has_nothing_yet_fails() {
        let mut results = Results::default();
        for subject in ["a", "b"] {
            results.declare(&scenario(), subject, &[metric::CPU]);
        }
        results.add(&scenario(), "a", metric::CPU, 1.0);
        results.fail_silent("nodes", "no disk");
        assert_eq!(results.silent_rows().count(), 1);
        results.fail_silent("proxies", "no disk");
        assert_eq!(results.silent_rows().count(), 0);
        assert_eq!(results.rows[0].lack, None);
    }

    #[test]
    fn rows_survive_json() {
        let mut results = Results::default();
        results.add(&scenario(), "a", metric::CPU, 1.25);
        results.note(&scenario(), "a", "the generator was busy");
        results.wrong_value(&scenario(), "a", "gave b for a");
        let text = serde_json::to_string(&results).unwrap();
        assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
    }
}
