//! Rows arranged for reading: a group is a table, a line of it one scenario and metric, a cell one subject.
//!
//! Every row of a record is in exactly one cell; nothing is left out or sorted away.

use crate::record::Record;
use crate::results::{Better, Lack, Row};

/// One table.
#[derive(Debug)]
pub struct Group<'a> {
    /// `proxies` or `nodes`.
    pub suite: &'a str,
    /// Its heading.
    pub name: &'a str,
    /// The columns, FastCache first.
    pub subjects: Vec<&'a str>,
    /// The lines, in the order they were declared.
    pub lines: Vec<Line<'a>>,
}

/// One line of a table.
#[derive(Debug)]
pub struct Line<'a> {
    /// The situation.
    pub scenario: &'a str,
    /// What was counted.
    pub metric: &'a str,
    /// In which unit.
    pub unit: &'a str,
    /// Which way is good.
    pub better: Better,
    /// One for each subject of the group; `None` where that subject has no such row.
    pub cells: Vec<Option<&'a Row>>,
}

/// All tables of a record.
#[must_use]
pub fn groups(record: &Record) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in &record.rows.rows {
        let at = groups.iter().position(|group| group.suite == row.suite && group.name == row.group);
        let at = at.unwrap_or_else(|| {
            groups.push(Group {
                suite: &row.suite,
                name: &row.group,
                subjects: Vec::new(),
                lines: Vec::new(),
            });
            groups.len() - 1
        });
        groups[at].add(row);
    }
    groups
}

impl<'a> Group<'a> {
    fn add(&mut self, row: &'a Row) {
        let subject = self.subjects.iter().position(|subject| *subject == row.subject).unwrap_or_else(|| {
            self.subjects.push(&row.subject);
            self.lines.iter_mut().for_each(|line| line.cells.push(None));
            self.subjects.len() - 1
        });
        let is_of_row = |line: &Line<'_>| line.scenario == row.scenario && line.metric == row.metric;
        let line = self.lines.iter().position(is_of_row).unwrap_or_else(|| {
            self.lines.push(Line {
                scenario: &row.scenario,
                metric: &row.metric,
                unit: &row.unit,
                better: row.better,
                cells: vec![None; self.subjects.len()],
            });
            self.lines.len() - 1
        });
        self.lines[line].cells[subject] = Some(row);
    }
}

impl<'a> Line<'a> {
    /// The subject with the best median, having no proxy aside: that is no rival. None where there is no contest.
    #[must_use]
    pub fn best(&self) -> Option<&'a Row> {
        if self.better == Better::Neither {
            return None;
        }
        let rivals = self.rows().filter(|row| row.subject != crate::NO_PROXY && row.lack.is_none());
        let ranked = rivals.filter_map(|row| Some((row.summary()?.median, row)));
        // Of equals the first, which is FastCache.
        let best = ranked.reduce(|best, other| if self.is_better(other.0, best.0) { other } else { best });
        best.map(|(_, row)| row)
    }

    fn is_better(&self, number: f64, than: f64) -> bool {
        match self.better {
            Better::Lower => number < than,
            Better::Higher => number > than,
            Better::Neither => false,
        }
    }

    /// The row of FastCache.
    #[must_use]
    pub fn ours(&self) -> Option<&'a Row> {
        self.rows().find(|row| row.subject == crate::FASTCACHE)
    }

    /// How FastCache stands in this line.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let Some(ours) = self.ours().filter(|_| self.better != Better::Neither) else {
            return Standing::NoContest;
        };
        match ours.lack {
            Some(Lack::Skipped(_)) => return Standing::NoContest,
            Some(_) => return Standing::Failed,
            None => {}
        }
        match self.best() {
            None => Standing::NoContest,
            Some(best) if best.subject == crate::FASTCACHE => Standing::First,
            Some(best) if tie(best, ours) => Standing::WithinTheSpread,
            Some(_) => Standing::Behind,
        }
    }

    /// The best, when no rival ties with it.
    #[must_use]
    pub fn winner(&self) -> Option<&'a Row> {
        let best = self.best()?;
        let is_other = |row: &&Row| row.subject != best.subject && row.subject != crate::NO_PROXY;
        let mut others = self.rows().filter(is_other).filter(|row| row.lack.is_none());
        (!others.any(|row| tie(best, row))).then_some(best)
    }

    /// All rows of this line.
    pub fn rows(&self) -> impl Iterator<Item = &'a Row> {
        self.cells.iter().copied().flatten()
    }

    /// `CPU, µs/request`.
    #[must_use]
    pub fn measure(&self) -> String {
        format!("{}, {}", self.metric, self.unit)
    }
}

/// Whether the next run may have it the other way round: rounds of both gave the same, or the difference is what the
/// measurement cannot tell apart.
fn tie(one: &Row, other: &Row) -> bool {
    /// Points of a hit ratio: the nodes' clocks tick at different rates, and the workload's time is compressed.
    const HIT_RATIO: f64 = 1.5;
    let (Some(a), Some(b)) = (one.summary(), other.summary()) else { return false };
    let have_ranges = one.samples.len() > 1 && other.samples.len() > 1;
    let ranges_meet = a.min <= b.max && b.min <= a.max;
    (have_ranges && ranges_meet) || (one.metric == "hit ratio" && (a.median - b.median).abs() < HIT_RATIO)
}

/// How FastCache stands in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has a better median.
    First,
    /// Another's median is better, but rounds of both gave the same: the next run may have it the other way round.
    WithinTheSpread,
    /// Another is better.
    Behind,
    /// It has no number.
    Failed,
    /// It is not measured here, or nobody wins.
    NoContest,
}

/// The word that stands where a number is missing, and the reason.
#[must_use]
pub fn lack_in_words(lack: &Lack) -> (&'static str, &str) {
    match lack {
        Lack::Absent(reason) => ("not there", reason),
        Lack::Skipped(reason) => ("not run", reason),
        Lack::Failed(reason) => ("failed", reason),
        Lack::Wrong(reason) => ("wrong values", reason),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::FASTCACHE;
    use crate::record::tests::empty;
    use crate::results::{Metric, Scenario, metric};

    /// Two scenarios with everything that can happen to a row.
    pub(in crate::report) fn example() -> Record {
        let mut record = empty();
        let scenario = |name: &str| Scenario { suite: "proxies", group: "depth 1", name: name.to_owned() };
        let rows = &mut record.rows;
        for name in ["GET", "SET"] {
            for subject in [FASTCACHE, "Envoy", "twemproxy"] {
                rows.declare(&scenario(name), subject, &[metric::CPU, metric::THROUGHPUT]);
            }
            rows.declare(&scenario(name), crate::NO_PROXY, &[metric::THROUGHPUT]);
        }
        for round in 0..3_u32 {
            let drift = f64::from(round);
            rows.add(&scenario("GET"), FASTCACHE, metric::CPU, 10.0 + drift);
            rows.add(&scenario("GET"), "Envoy", metric::CPU, 20.0 + drift);
            rows.add(&scenario("GET"), FASTCACHE, metric::THROUGHPUT, 40_000.0 + drift);
            rows.add(&scenario("GET"), "Envoy", metric::THROUGHPUT, 50_000.0 + drift);
            rows.add(&scenario("GET"), crate::NO_PROXY, metric::THROUGHPUT, 90_000.0 + drift);
        }
        rows.note(&scenario("GET"), "Envoy", "the generator was busy");
        rows.absent(&scenario("GET"), "twemproxy", "get it: apt install nutcracker");
        rows.fail(&scenario("SET"), FASTCACHE, "it closed the connection | early");
        rows.wrong_value(&scenario("SET"), "Envoy", "gave b for a");
        rows.absent(&scenario("SET"), "twemproxy", "get it: apt install nutcracker");
        rows.add(&scenario("SET"), crate::NO_PROXY, metric::THROUGHPUT, 90_000.0);
        record
    }

    #[test]
    fn every_row_is_in_one_cell() {
        let record = example();
        let groups = groups(&record);
        let rows: Vec<&Row> = groups.iter().flat_map(|group| &group.lines).flat_map(Line::rows).collect();
        assert_eq!(rows.len(), record.rows.rows.len());
        assert!(record.rows.rows.iter().all(|row| rows.iter().any(|found| std::ptr::eq(*found, row))));
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].subjects, [FASTCACHE, "Envoy", "twemproxy", crate::NO_PROXY]);
        assert!(groups[0].lines.iter().all(|line| line.cells.len() == 4));
    }

    #[test]
    fn rounds_that_overlap_and_close_hit_ratios_are_ties_for_everybody() {
        let check = |metric, ours: &[f64], theirs: &[f64]| {
            let mut record = empty();
            let scenario = Scenario { suite: "nodes", group: "g", name: "x".to_owned() };
            for (subject, samples) in [(FASTCACHE, ours), ("Redis", theirs)] {
                samples.iter().for_each(|sample| record.rows.add(&scenario, subject, metric, *sample));
            }
            let groups = groups(&record);
            let line = &groups[0].lines[0];
            (line.standing(), line.winner().map(|row| row.subject.clone()))
        };
        let hits = Metric { name: "hit ratio", unit: "%", better: Better::Higher };
        let theirs = Some("Redis".to_owned());
        assert_eq!(check(metric::CPU, &[2.0, 2.2], &[1.0, 1.2]), (Standing::Behind, theirs));
        assert_eq!(check(metric::CPU, &[1.1, 2.2], &[1.0, 1.2]), (Standing::WithinTheSpread, None));
        assert_eq!(check(metric::CPU, &[1.0, 1.2], &[1.1, 2.2]), (Standing::First, None), "no favour either");
        assert_eq!(check(metric::CPU, &[1.0], &[1.0]), (Standing::First, Some(FASTCACHE.to_owned())));
        assert_eq!(check(hits, &[80.0], &[81.0]), (Standing::WithinTheSpread, None));
        assert_eq!(check(hits, &[80.0], &[82.0]).0, Standing::Behind);
    }

    #[test]
    fn the_best_is_a_rival_that_works() {
        let record = example();
        let groups = groups(&record);
        let best: Vec<_> =
            groups[0].lines.iter().map(|line| line.best().map(|row| row.subject.as_str())).collect();
        assert_eq!(best, [Some(FASTCACHE), Some("Envoy"), None, None]);
    }
}
