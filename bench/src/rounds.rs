//! A B C, B C A, C A B: every subject of a scenario is measured once before any is measured again, and each round
//! begins with another.
//!
//! What else the machine does then disturbs all of them alike, and the median of the rounds drops what it disturbed.

use std::io;

use crate::bench::Bench;
use crate::results::{Metric, Results, Scenario};

/// Who is measured.
pub trait Subject {
    /// As the report names it.
    fn name(&self) -> &str;
    /// Why it cannot take part; `None` when it can.
    fn missing(&self) -> Option<&str>;
    /// Why it could not be started although it is there.
    fn broken(&self) -> Option<&str> {
        None
    }
}

/// What one round of one subject gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Round {
    /// Metrics and their numbers.
    pub samples: Vec<(Metric, f64)>,
    /// What a reader must know to judge them.
    pub notes: Vec<String>,
}

impl Round {
    /// With one number more.
    #[must_use]
    pub fn with(mut self, metric: Metric, value: f64) -> Self {
        self.samples.push((metric, value));
        self
    }

    /// With one note more.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }
}

/// Why a round gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The subject could not do it: its row says why.
    #[error("{0}")]
    Failed(String),
    /// The subject gave wrong values: its row says which, and the run fails.
    #[error("wrong value: {0}")]
    Wrong(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

/// Measures every subject in `rounds` rounds. One that fails is left out of those that remain, and its rows say why.
/// The rows must have been declared.
pub fn interleaved<S: Subject>(
    bench: &Bench,
    results: &mut Results,
    scenario: &Scenario,
    subjects: &mut [S],
    rounds: usize,
    mut measure: impl FnMut(&mut S, usize) -> Result<Round, Trouble>,
) {
    bench.progress.say(&format!("{}: {}: {}", scenario.suite, scenario.group, scenario.name));
    let mut is_out = vec![false; subjects.len()];
    for round in 0..rounds {
        for at in in_turn(round, subjects.len()) {
            let subject = &mut subjects[at];
            if !is_out[at] {
                is_out[at] = !take(results, scenario, subject, |subject| measure(subject, round));
            }
            bench.progress.step(&format!("{}: {}: {}", scenario.group, scenario.name, subject.name()));
        }
    }
}

/// The order of a round: whoever began the round before is the last of this one, so that nobody always finds the machine
/// as the same other has left it at the beginning.
fn in_turn(round: usize, subjects: usize) -> impl Iterator<Item = usize> {
    (round..round + subjects).map(move |place| place % subjects)
}

/// Whether the subject stays in.
fn take<S: Subject>(
    results: &mut Results,
    scenario: &Scenario,
    subject: &mut S,
    measure: impl FnOnce(&mut S) -> Result<Round, Trouble>,
) -> bool {
    if let Some(reason) = subject.missing() {
        results.absent(scenario, subject.name(), reason);
        return false;
    }
    if let Some(reason) = subject.broken() {
        results.fail(scenario, subject.name(), reason);
        return false;
    }
    match measure(subject) {
        Ok(round) => {
            for (metric, value) in round.samples {
                results.add(scenario, subject.name(), metric, value);
            }
            for note in round.notes {
                results.note(scenario, subject.name(), note);
            }
            return true;
        }
        Err(Trouble::Failed(reason)) => results.fail(scenario, subject.name(), reason),
        Err(Trouble::Wrong(what)) => results.wrong_value(scenario, subject.name(), what),
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Lack, metric};

    struct Fake {
        name: &'static str,
        missing: Option<&'static str>,
        broken: Option<&'static str>,
    }

    impl Subject for Fake {
        fn name(&self) -> &str {
            self.name
        }
        fn missing(&self) -> Option<&str> {
            self.missing
        }
        fn broken(&self) -> Option<&str> {
            self.broken
        }
    }

    #[test]
    fn every_round_begins_with_another() {
        let order = |round| in_turn(round, 3).collect::<Vec<_>>();
        assert_eq!([order(0), order(1), order(2), order(3)], [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
    }

    #[test]
    fn what_fails_or_is_missing_says_why_and_what_works_gives_its_numbers() {
        let scenario = Scenario { suite: "proxies", group: "g", name: "GET".to_owned() };
        let mut results = Results::default();
        let outcomes = [
            (None, None, Ok(Round::default().with(metric::CPU, 2.0).note("busy"))),
            (None, None, Err(Trouble::Failed("it closed the connection".to_owned()))),
            (None, None, Err(Trouble::Wrong("gave b for a".to_owned()))),
            (Some("not installed"), None, Ok(Round::default())),
            (None, Some("it panicked at start"), Ok(Round::default())),
        ];
        let mut stays = Vec::new();
        for (name, (missing, broken, outcome)) in ["a", "b", "c", "d", "e"].into_iter().zip(outcomes) {
            results.declare(&scenario, name, &[metric::CPU]);
            stays.push(take(&mut results, &scenario, &mut Fake { name, missing, broken }, |_| outcome));
        }
        assert_eq!(stays, [true, false, false, false, false]);
        let lacks: Vec<_> = results.rows.iter().map(|row| row.lack.clone()).collect();
        let expected = [
            None,
            Some(Lack::Failed("it closed the connection".to_owned())),
            Some(Lack::Wrong("gave b for a".to_owned())),
            Some(Lack::Absent("not installed".to_owned())),
            Some(Lack::Failed("it panicked at start".to_owned())),
        ];
        assert_eq!(lacks, expected);
        assert_eq!(results.rows[0].samples, [2.0]);
        assert_eq!(results.silent_rows().count(), 0);
    }
}
