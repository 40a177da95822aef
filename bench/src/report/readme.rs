//! The comparison in README.md: chosen lines of the tables, between two markers, generated and never edited.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::group::{Group, Line, groups, lack_in_words};
use super::markdown::{cell, one_line, verdict};
use crate::record::Record;
use crate::results::Row;

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// A note with these words says of lags that they were cut off: they are shown as "at least".
const CUT_OFF: &str = "count as gone then";

/// One line of the README: where it stands in the tables, and what the README calls it.
struct Headline {
    suite: &'static str,
    /// The beginning of the group's name, enough to tell it from others.
    group: &'static str,
    /// A part of the scenario's name, the same.
    scenario: &'static str,
    metric: &'static str,
    label: &'static str,
}

/// Suite, group, scenario, metric, label.
type Parts = [&'static str; 5];

/// What a reader of the README wants to know first, chosen before there were numbers; a record without one of these
/// gives no table at all. Everything else is in the report.
const HEADLINES: [Parts; 40] = [
    [P, ONE, "GET 64 B, 50 c", "CPU", "GET, one at a time: CPU µs/request"],
    [P, ONE, "SET 64 B, 50 c", "CPU", "SET, one at a time: CPU µs/request"],
    [P, ONE, "GET 4 KiB, 50 c", "CPU", "GET of 4 KiB, one at a time: CPU µs/request"],
    [P, ONE, "GET 64 B, 1000 c", "CPU", "GET, 1 000 connections: CPU µs/request"],
    [P, ONE, "GET 64 B, 50 c", "throughput", "GET, one at a time: requests/s"],
    [P, PIPED, "GET 64 B, 50 c", "CPU", "GET, 32 at a time: CPU µs/request"],
    [P, PIPED, "SET 64 B, 50 c", "CPU", "SET, 32 at a time: CPU µs/request"],
    [P, PIPED, "GET 64 B, 1000 c", "CPU", "GET, 32 at a time, 1 000 connections: CPU µs/request"],
    [P, PIPED, "GET 64 B, 50 c", "throughput", "GET, 32 at a time: requests/s"],
    [P, "saturated, MGET", "MGET 64 B, 50 connections, depth 1", "CPU", "MGET of 100 keys: CPU µs/request"],
    [P, RATE, MIXED, "p50", "GET and SET 4:1 at 10 000/s: p50, ms"],
    [P, RATE, MIXED, "p99", "p99, ms"],
    [P, RATE, MIXED, "p99.9", "p99.9, ms"],
    [P, "latency beside", MIXED, "p50 minus no proxy's p50", "p50 minus that without a proxy, ms"],
    [P, "system calls", "depth 1", "system calls", "system calls/request"],
    [P, "memory", "idle clients", "memory", "9 900 idle clients: MB"],
    [P, "memory", "a value of", "growth of memory", "passing a value of 256 MB: MB more"],
    [N, "requests, depth 1", "GET", "CPU", "GET, one at a time: CPU µs/request"],
    [N, "requests, depth 1", "GET", "throughput", "GET, one at a time: requests/s"],
    [N, DEEP, "GET", "CPU", "GET, 32 at a time: CPU µs/request"],
    [N, DEEP, "SET", "CPU", "SET, 32 at a time: CPU µs/request"],
    [N, DEEP, "INCR", "CPU", "INCR, 32 at a time: CPU µs/request"],
    [N, DEEP, "ZADD", "CPU", "ZADD, 32 at a time: CPU µs/request"],
    [N, DEEP, "ZRANGE", "CPU", "ZRANGE of 10, 32 at a time: CPU µs/request"],
    [N, DEEP, "mixed", "CPU", "a mix of them, 32 at a time: CPU µs/request"],
    [N, "latency at", "GET", "p99.9", "GET at 10 000/s: p99.9, ms"],
    [N, BYTES, "16 B + 16 B", "used_memory", "16 B key, 16 B value: B/key, by its own account"],
    [N, BYTES, "16 B + 16 B", "resident", "the same, resident: B/key"],
    [N, BYTES, "16 B + 16 B with a TTL", "used_memory", "the same with a TTL, by its own account: B/key"],
    [N, BYTES, "member of 16 B in one", "used_memory", "member of a large sorted set: B"],
    [N, BYTES, "member of 16 B in one", "resident", "the same, resident: B"],
    [N, HITS, "zipf 0.8", "hit ratio", "hit ratio at equal maxmemory, zipf 0.8: %"],
    [N, HITS, "zipf 1.0", "hit ratio", "zipf 1.0: %"],
    [N, HITS, "zipf 1.2", "hit ratio", "zipf 1.2: %"],
    [N, HITS, "shifting hot set", "hit ratio", "shifting hot set: %"],
    [N, HITS, "scan-polluted", "hit ratio", "scan-polluted: %"],
    [N, HITS, "one-hit wonders", "hit ratio", "one-hit wonders: %"],
    [N, "stall while growing", "PING while it grows", "worst", "longest stall while growing: ms"],
    [N, "expiry", "", "lag worst", "longest that an expired key stays: ms"],
    [N, "expiry", "", "left at the end", "expired keys still there 5 s later: %"],
];

const P: &str = "proxies";
const N: &str = "nodes";
const ONE: &str = "saturated, depth 1";
const PIPED: &str = "saturated, pipeline 32";
const RATE: &str = "latency at a fixed rate";
/// In a quick run the rate is lower.
const MIXED: &str = "GET and SET 4:1, 64 B, 10";
const DEEP: &str = "requests, depth 32";
const BYTES: &str = "bytes per key";
const HITS: &str = "hit ratio";

fn headlines() -> impl Iterator<Item = Headline> {
    HEADLINES.into_iter().map(|[suite, group, scenario, metric, label]| Headline {
        suite,
        group,
        scenario,
        metric,
        label,
    })
}

/// The text between the markers, for the record in `file`, whose path is as seen from the README.
///
/// # Errors
/// When a headline is not in the record.
pub fn section(record: &Record, file: &Path) -> anyhow::Result<String> {
    let groups = groups(record);
    let report = file.with_extension("md");
    let mut text = if record.quick {
        "**A quick run: these numbers mean nothing.**\n\n".to_owned()
    } else {
        String::new()
    };
    let _ = write!(
        text,
        "FastCache is {}: [the whole report]({}) lists them first, worst on top.\n\n\
         Medians (smallest–largest) of interleaved rounds on {} cores of {}, Linux {}, {}; bold is the best where no other ties with it. \
         [The raw numbers]({}) are beside it. \
         `cargo run --release -p bench -- all` makes it on your machine.\n",
        verdict(&groups),
        report.display(),
        record.machine.cores,
        record.machine.cpu,
        record.machine.kernel,
        record.began.split('T').next().unwrap_or_default(),
        file.display(),
    );
    let mut footnotes = Footnotes::default();
    for suite in [P, N] {
        text += &table(suite, &groups, &mut footnotes)?;
    }
    Ok(text + &footnotes.text())
}

/// What cells refer to by a number; each text once.
#[derive(Debug, Default)]
struct Footnotes(Vec<String>);

impl Footnotes {
    /// The marks behind a cell: of why there is no number, or of what a reader must know to judge it.
    fn marks(&mut self, row: &Row) -> String {
        let lack = row.lack.as_ref().map(|lack| lack_in_words(lack).1.to_owned());
        // A busy generator limits how much is asked for, not what a request costs.
        let concerns =
            |note: &&String| row.metric != "CPU" || !note.starts_with("the load generator was busy");
        let texts = lack.into_iter().chain(row.notes.iter().filter(concerns).cloned());
        let numbers: Vec<String> = texts.map(|text| self.number(text).to_string()).collect();
        if numbers.is_empty() { String::new() } else { format!(" <sup>{}</sup>", numbers.join(", ")) }
    }

    fn number(&mut self, text: String) -> usize {
        let known = self.0.iter().position(|known| *known == text);
        known.unwrap_or_else(|| {
            self.0.push(text);
            self.0.len() - 1
        }) + 1
    }

    fn text(&self) -> String {
        let lines =
            (1..).zip(&self.0).map(|(number, text)| format!("\n<sup>{number}</sup> {}\n", one_line(text)));
        lines.collect()
    }
}

fn table(suite: &str, groups: &[Group<'_>], footnotes: &mut Footnotes) -> anyhow::Result<String> {
    let headlines = headlines().filter(|headline| headline.suite == suite);
    let lines: Vec<(Headline, &Line<'_>)> = headlines
        .map(|headline| {
            let line = find(&headline, groups)?;
            Ok((headline, line))
        })
        .collect::<anyhow::Result<_>>()?;
    let mut subjects: Vec<&str> = Vec::new();
    for row in lines.iter().flat_map(|(_, line)| line.rows()) {
        if !subjects.contains(&row.subject.as_str()) {
            subjects.push(&row.subject);
        }
    }
    let mut text =
        format!("\n| {suite} | {} |\n|---|{}\n", subjects.join(" | "), "---:|".repeat(subjects.len()));
    for (headline, line) in lines {
        let cells: Vec<String> = subjects.iter().map(|subject| show(line, subject, footnotes)).collect();
        let _ = writeln!(text, "| {} | {} |", headline.label, cells.join(" | "));
    }
    Ok(text)
}

fn show(line: &Line<'_>, subject: &str, footnotes: &mut Footnotes) -> String {
    let Some(row) = line.rows().find(|row| row.subject == subject) else { return String::new() };
    let is_cut_off = row.metric.starts_with("lag") && row.notes.iter().any(|note| note.contains(CUT_OFF));
    let at_least = if is_cut_off { "≥ " } else { "" };
    format!("{at_least}{}{}", cell(row, line.winner()), footnotes.marks(row))
}

/// A scenario of exactly this name, or else the first with it in its own.
fn find<'a, 'b>(headline: &Headline, groups: &'b [Group<'a>]) -> anyhow::Result<&'b Line<'a>> {
    let group =
        groups.iter().find(|group| group.suite == headline.suite && group.name.starts_with(headline.group));
    let lines = group.map_or(&[][..], |group| &group.lines);
    let of_metric = || lines.iter().filter(|line| line.metric == headline.metric);
    let found = of_metric()
        .find(|line| line.scenario == headline.scenario)
        .or_else(|| of_metric().find(|line| line.scenario.contains(headline.scenario)));
    found.with_context(|| {
        format!(
            "the record has no row for \"{}\" ({} of {})",
            headline.label, headline.metric, headline.group
        )
    })
}

/// Writes the section into the README.
///
/// # Errors
/// As [`section`], when the run was a quick one, and when the README has no markers or cannot be written.
pub fn replace(record: &Record, file: &Path, readme: &Path) -> anyhow::Result<()> {
    ensure!(!record.quick, "a quick run measures nothing");
    let text = fs::read_to_string(readme).with_context(|| format!("cannot read {}", readme.display()))?;
    let section = section(record, &seen_from(readme, file)?)?;
    let replaced = with_section(&text, &section)
        .with_context(|| format!("{} has no line {BEGIN} with a line {END} after it", readme.display()))?;
    fs::write(readme, replaced).with_context(|| format!("cannot write {}", readme.display()))
}

/// `bench/results/DATE.json`, from wherever both were named.
fn seen_from(readme: &Path, file: &Path) -> anyhow::Result<PathBuf> {
    let (readme, file) = (readme.canonicalize()?, file.canonicalize()?);
    let root = readme.parent().context("the README is in no directory")?;
    let inside = file.strip_prefix(root);
    Ok(inside.with_context(|| format!("{} is not below {}", file.display(), root.display()))?.to_owned())
}

/// The text with what is between the markers replaced; `None` when they are not there.
fn with_section(text: &str, section: &str) -> Option<String> {
    let (before, after) = around(text)?;
    Some(format!("{before}{BEGIN}\n{section}{END}{after}"))
}

/// What stands before the first marker and after the second.
fn around(text: &str) -> Option<(&str, &str)> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some((before, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FASTCACHE;
    use crate::record::tests::empty;
    use crate::results::{Better, Metric, Scenario};

    fn full() -> Record {
        let mut record = empty();
        for (index, headline) in headlines().enumerate() {
            let Headline { suite, group, scenario, metric: name, .. } = headline;
            let scenario = Scenario { suite, group, name: scenario.to_owned() };
            let metric = Metric { name, unit: "x", better: Better::Lower };
            for (subject, value) in [(FASTCACHE, 2.0), ("rival", 30.0), (crate::NO_PROXY, 1.0)] {
                record.rows.add(&scenario, subject, metric, value + index as f64);
            }
        }
        record
    }

    #[test]
    fn every_headline_has_its_line() {
        let text = section(&full(), Path::new("bench/results/x.json")).unwrap();
        for (index, headline) in headlines().enumerate() {
            let ours = crate::report::number::short(2.0 + index as f64);
            assert!(text.contains(&format!("| {} | **{ours}** | ", headline.label)), "{text}");
        }
        assert!(
            text.starts_with("FastCache is behind in 0 of 40 rows") && text.contains("(bench/results/x.md)")
        );
    }

    #[test]
    fn notes_and_reasons_become_footnotes_and_what_was_cut_off_is_at_least_that() {
        let mut record = full();
        let expiry = Scenario { suite: N, group: "expiry", name: String::new() };
        record.rows.note(&expiry, "rival", "keys left at the end count as gone then");
        let deep = |name: &str| Scenario { suite: N, group: DEEP, name: name.to_owned() };
        record.rows.note(&deep("GET"), FASTCACHE, "a note");
        record.rows.note(&deep("SET"), FASTCACHE, "a note");
        record.rows.note(&deep("INCR"), FASTCACHE, "the load generator was busy all the time");
        record.rows.fail(&deep("ZADD"), "rival", "it closed | the connection");
        let text = section(&record, Path::new("x.json")).unwrap();
        assert_eq!(text.matches("<sup>1</sup>").count(), 3, "two cells and the note: {text}");
        assert!(!text.contains("busy"), "that is about throughput: {text}");
        assert!(text.contains("| failed <sup>2</sup> |"), "{text}");
        assert!(text.contains("\n<sup>2</sup> it closed \\| the connection\n"), "{text}");
        assert_eq!(text.matches("≥ ").count(), 1, "the lag, not what is left: {text}");
    }

    #[test]
    fn a_record_without_a_headline_gives_none() {
        let mut record = full();
        record.rows.rows.retain(|row| row.group != HITS);
        let error = section(&record, Path::new("x.json")).unwrap_err();
        assert!(error.to_string().contains("zipf 0.8"), "{error}");
    }

    #[test]
    fn a_quick_run_does_not_get_into_the_readme() {
        let directory = tempfile::tempdir().unwrap();
        let readme = directory.path().join("README.md");
        fs::write(&readme, format!("{BEGIN}\n{END}\n")).unwrap();
        let quick = Record { quick: true, ..full() };
        assert!(replace(&quick, &readme, &readme).is_err());
        assert!(section(&quick, Path::new("x.json")).unwrap().starts_with("**A quick run"));
        replace(&full(), &readme, &readme).unwrap();
        assert!(fs::read_to_string(&readme).unwrap().contains("FastCache is behind in"));
    }

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(with_section(&text, "new\n"), Some(format!("a\n{BEGIN}\nnew\n{END}\nb\n")));
        assert_eq!(with_section("a\n", "new\n"), None);
    }

    /// The newest full run in the repository; runs of one suite, or quick ones, do not count.
    fn newest(results: &Path) -> Option<(PathBuf, Record)> {
        let files = fs::read_dir(results).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> =
            files.filter(|file| file.extension().is_some_and(|kind| kind == "json")).collect();
        files.sort();
        let records = files.into_iter().rev().map(|file| (file.clone(), Record::read(&file).unwrap()));
        records.into_iter().find(|(_, record)| !record.quick && record.suites.len() == 2)
    }

    #[test]
    fn the_readme_shows_the_newest_run() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let readme = fs::read_to_string(root.join("README.md")).unwrap();
        let Some((file, record)) = newest(&root.join("bench/results")) else {
            assert_eq!(around(&readme), None, "README.md has a table without a run");
            return;
        };
        let section = section(&record, file.strip_prefix(root).unwrap()).unwrap();
        let expected = with_section(&readme, &section).expect("README.md has the markers");
        assert!(
            readme == expected,
            "README.md is out of date: cargo run -p bench -- report {}",
            file.display()
        );
    }
}
