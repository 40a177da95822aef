//! The report as Markdown: first what is bad, then every table with its plot.

use std::fmt::Write;

use super::group::{Group, Line, Standing, groups, lack_in_words};
use super::number::{median_and_range, short};
use super::table::reasons;
use crate::record::Record;
use crate::results::{Better, Row};

/// More than this at the beginning is another's work, or a build that has just ended.
const QUIET: f64 = 1.0;

/// The whole report. `plot` gives the file name of a group's plot.
#[must_use]
pub fn report(record: &Record, plot: impl Fn(&Group<'_>) -> String) -> String {
    let groups = groups(record);
    let mut text = head(record);
    text += &behind(&groups);
    let mut suite = "";
    for group in &groups {
        if group.suite != suite {
            suite = group.suite;
            let _ = write!(text, "\n## {}\n\n{}\n", title(suite), about(suite));
        }
        let _ = write!(text, "\n### {}\n\n", capitalised(group.name));
        text += &table(group, |_| true);
        for reason in reasons(group) {
            let _ = writeln!(text, "- {}", one_line(&reason));
        }
        let _ = write!(text, "\n![{}: {}]({})\n", group.suite, group.name, plot(group));
    }
    text
}

fn head(record: &Record) -> String {
    let machine = &record.machine;
    let day = record.began.split('T').next().unwrap_or_default();
    let mut text = format!("# FastCache beside its peers, {day}\n\n");
    if record.quick {
        text += "**This run only proved that the harness works: its numbers mean nothing.**\n\n";
    }
    let _ = write!(
        text,
        "Generated from the raw numbers in the JSON file beside this one. One run of {} minutes on {} cores of {}, \
         {} GB of memory, Linux {}; everything on loopback.\n\n",
        record.seconds.div_ceil(60),
        machine.cores,
        machine.cpu,
        machine.memory_mb.div_ceil(1024),
        machine.kernel,
    );
    text += &load(record);
    let _ = writeln!(text, "| program | version |\n|---|---|");
    for version in &record.versions {
        let _ = writeln!(text, "| {} | {} |", version.name, one_line(&version.version));
    }
    text += "\nEach number is the median of the rounds, with the smallest and the largest; one without a range was \
             taken once. The rounds are interleaved: every subject is measured once before any is measured again, and \
             each round begins with another. \
             **Bold** is the best of a line when no rival ties with it (no proxy at all is no rival); \"within the spread\" is a tie: a difference between two \
             whose rounds overlap. Load generator, subjects and backends share \
             the cores, so throughput is what the whole chain does; CPU time per request is what a subject costs.\n";
    text
}

/// How busy the machine was with other things.
fn load(record: &Record) -> String {
    let (before, after) = (record.load_before, record.load_after);
    let stolen = after.stolen_since(before);
    let quiet = before.average <= QUIET && stolen <= 1.0;
    format!(
        "Load average before it began: {}; while it ran the host took {:.1} % of the processor time away.{}\n\n",
        short(before.average),
        stolen,
        if quiet { "" } else { " **The machine was not quiet: do not trust throughput and latencies.**" },
    )
}

fn title(suite: &str) -> &str {
    match suite {
        "proxies" => "Proxies",
        "nodes" => "Nodes",
        other => other,
    }
}

fn about(suite: &str) -> &'static str {
    match suite {
        "proxies" => {
            "The same redis-server backends behind each (50 in a full run), one worker thread each, the configurations \
             in [`bench/peers`](../peers). FastCache runs with its defaults, and the CPU time, the memory and the \
             system calls of its health service count as its own. HAProxy in TCP mode looks at no byte and knows one backend only: it is the floor. \
             Saturated loads come from redis-benchmark; where 1 000 connections are made, what making them costs is measured \
             and subtracted. At a fixed rate every reply is checked, \
             and a latency counts from when the request was due."
        }
        "nodes" => {
            "One process each with its default configuration, no persistence; the configurations are in \
             [`bench/peers`](../peers)."
        }
        _ => "",
    }
}

/// In how many of the lines in which it competes FastCache is behind: `behind in 4 of 90 rows, and in 3 more within the
/// spread of the rounds`.
#[must_use]
pub fn verdict(groups: &[Group<'_>]) -> String {
    let count = |wanted: &[Standing]| {
        let lines = groups.iter().flat_map(|group| &group.lines);
        lines.filter(|line| wanted.contains(&line.standing())).count()
    };
    let behind = count(&[Standing::Behind, Standing::Failed]);
    let within = count(&[Standing::WithinTheSpread]);
    let all = behind + within + count(&[Standing::First]);
    format!("behind in {behind} of {all} rows, and in {within} more by less than the spread of the rounds")
}

/// What is bad, worst first: failures, then where a rival's median is better.
fn behind(groups: &[Group<'_>]) -> String {
    let mut text = format!("\n## Where FastCache is behind\n\nFastCache is {}.\n\n", verdict(groups));
    let lines = groups.iter().flat_map(|group| group.lines.iter().map(move |line| (group, line)));
    let mut worse: Vec<(f64, String)> = lines.filter_map(|(group, line)| shortfall(group, line)).collect();
    worse.sort_by(|a, b| b.0.total_cmp(&a.0));
    if !worse.is_empty() {
        text += "| where | FastCache | best | factor |\n|---|---|---|---|\n";
        text.extend(worse.into_iter().map(|(_, line)| line));
    }
    text
}

/// How bad a line is, and what to say about it; `None` when FastCache is not behind.
fn shortfall(group: &Group<'_>, line: &Line<'_>) -> Option<(f64, String)> {
    let standing = line.standing();
    if matches!(standing, Standing::First | Standing::NoContest) {
        return None;
    }
    let ours = line.ours()?;
    let place = format!("{}: {}: {}: {}", group.suite, group.name, line.scenario, line.measure());
    if let Some(lack) = &ours.lack {
        let (word, reason) = lack_in_words(lack);
        return Some((f64::INFINITY, format!("| {place} | {word}: {} | | |\n", one_line(reason))));
    }
    let best = line.best()?;
    let (mine, theirs) = (ours.summary()?.median, best.summary()?.median);
    let factor = factor(line.better, mine, theirs);
    let mut shown = factor.map_or("no factor".to_owned(), |factor| format!("{}x", short(factor)));
    // What nothing can be divided by is worse than any factor; what may be chance comes last.
    let mut severity = factor.unwrap_or(f64::MAX);
    if standing == Standing::WithinTheSpread {
        shown += ", within the spread";
        severity = -1.0 / severity;
    }
    let line = format!("| {place} | {} | {} {} | {shown} |\n", short(mine), short(theirs), best.subject);
    Some((severity, line))
}

/// How many times worse; `None` where a number is zero or below.
fn factor(better: Better, mine: f64, theirs: f64) -> Option<f64> {
    let is_positive = mine > 0.0 && theirs > 0.0;
    is_positive.then(|| if better == Better::Higher { theirs / mine } else { mine / theirs })
}

/// The lines of a group that are wanted, as a table.
pub(super) fn table(group: &Group<'_>, is_wanted: impl Fn(&Line<'_>) -> bool) -> String {
    let mut text = format!(
        "| | | {} |\n|---|---|{}\n",
        group.subjects.join(" | "),
        "---:|".repeat(group.subjects.len())
    );
    let mut previous = "";
    for line in group.lines.iter().filter(|line| is_wanted(line)) {
        let scenario = if line.scenario == previous { "" } else { line.scenario };
        previous = line.scenario;
        let best = line.winner();
        let cells: Vec<String> =
            line.cells.iter().map(|row| row.map_or(String::new(), |row| cell(row, best))).collect();
        let _ = writeln!(text, "| {scenario} | {} | {} |", line.measure(), cells.join(" | "));
    }
    text
}

/// One row's number, or why there is none.
pub(super) fn cell(row: &Row, best: Option<&Row>) -> String {
    match (&row.lack, row.summary()) {
        (Some(lack), _) => lack_in_words(lack).0.to_owned(),
        (None, None) => "MISSING".to_owned(),
        (None, Some(summary)) => {
            let text = median_and_range(summary, row.samples.len());
            let is_best = row.subject != crate::NO_PROXY
                && best.and_then(Row::summary).is_some_and(|best| best.median == summary.median);
            if is_best { format!("**{text}**") } else { text }
        }
    }
}

/// Text that came from a program, such that it stays in its place in a table.
pub(super) fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|")
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FASTCACHE;
    use crate::report::group::tests::example;
    use crate::results::{Metric, Scenario};

    #[test]
    fn what_is_bad_comes_first_and_the_worst_of_it_on_top() {
        let text = report(&example(), |_| "plot.svg".to_owned());
        let bad: Vec<&str> = text.lines().filter(|line| line.starts_with("| proxies: ")).collect();
        assert_eq!(
            bad,
            [
                "| proxies: depth 1: SET: CPU, µs/request | failed: it closed the connection \\| early | | |",
                "| proxies: depth 1: SET: throughput, requests/s | failed: it closed the connection \\| early | | |",
                "| proxies: depth 1: GET: throughput, requests/s | 40\u{a0}001 | 50\u{a0}001 Envoy | 1.25x |",
            ]
        );
        assert!(text.contains("FastCache is behind in 3 of 4 rows, and in 0 more"), "{text}");
        assert!(text.find("behind").unwrap() < text.find("### Depth 1").unwrap());
    }

    #[test]
    fn the_best_is_bold_and_what_is_missing_says_so() {
        let text = report(&example(), |_| "plot.svg".to_owned());
        let lines: Vec<&str> =
            text.lines().skip_while(|line| *line != "### Depth 1").skip(4).take(4).collect();
        assert_eq!(
            lines,
            [
                "| GET | CPU, µs/request | **11.0 (10.0–12.0)** | 21.0 (20.0–22.0) | not there |  |",
                "|  | throughput, requests/s | 40\u{a0}001 (40\u{a0}000–40\u{a0}002) | \
                 **50\u{a0}001 (50\u{a0}000–50\u{a0}002)** | not there | 90\u{a0}001 (90\u{a0}000–90\u{a0}002) |",
                "| SET | CPU, µs/request | failed | wrong values | not there |  |",
                "|  | throughput, requests/s | failed | wrong values | not there | 90\u{a0}000 |",
            ]
        );
        assert!(text.contains("- Envoy: SET: wrong values: gave b for a"));
        assert!(text.contains("![proxies: depth 1](plot.svg)"));
    }

    #[test]
    fn what_has_no_factor_is_worst_and_what_may_be_chance_comes_last() {
        let scenario = |name: &str| Scenario { suite: "nodes", group: "expiry", name: name.to_owned() };
        let left = Metric { name: "left", unit: "%", better: Better::Lower };
        let mut record = crate::record::tests::empty();
        for (name, ours, theirs) in [
            ("twice", [2.0, 2.0], [1.0, 1.0]),
            ("all", [90.0, 90.0], [0.0, 0.0]),
            ("chance", [1.0, 9.0], [2.0, 3.0]),
        ] {
            for (subject, samples) in [(FASTCACHE, ours), ("Redis", theirs)] {
                samples
                    .into_iter()
                    .for_each(|sample| record.rows.add(&scenario(name), subject, left, sample));
            }
        }
        let text = report(&record, |_| String::new());
        let factors: Vec<&str> = text
            .lines()
            .filter(|line| line.contains(": left"))
            .filter_map(|line| line.split('|').nth(4))
            .collect();
        assert_eq!(factors, [" no factor ", " 2.00x ", " 2.00x, within the spread "]);
    }

    #[test]
    fn a_quick_run_says_that_it_means_nothing() {
        let mut record = example();
        assert!(!head(&record).contains("mean nothing"));
        record.quick = true;
        assert!(head(&record).contains("mean nothing"));
    }
}
