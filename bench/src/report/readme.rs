//! The comparison in README.md: chosen lines of the tables, between two markers, generated and never edited.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::group::{Group, Line, groups};
use super::markdown::cell;
use crate::record::Record;
use crate::results::Row;

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// One line of the README: where it stands in the tables, and what the README calls it.
struct Headline {
    suite: &'static str,
    /// The beginning of the group's name, enough to tell it from others.
    group: &'static str,
    /// The beginning of the scenario's name, the same.
    scenario: &'static str,
    metric: &'static str,
    label: &'static str,
}

const fn headline(
    suite: &'static str,
    group: &'static str,
    scenario: &'static str,
    metric: &'static str,
    label: &'static str,
) -> Headline {
    Headline { suite, group, scenario, metric, label }
}

/// What a reader of the README wants to know first, chosen before there were numbers; a record without one of these
/// gives no table at all. Everything else is in the report.
const HEADLINES: [Headline; 20] = [
    headline("proxies", "saturated, depth 1", "GET 64 B, 50 c", "CPU", "GET, one at a time: CPU µs/request"),
    headline("proxies", "saturated, depth 1", "SET 64 B, 50 c", "CPU", "SET, one at a time: CPU µs/request"),
    headline(
        "proxies",
        "saturated, pipeline 32",
        "GET 64 B, 50 c",
        "CPU",
        "GET, 32 at a time: CPU µs/request",
    ),
    headline(
        "proxies",
        "saturated, pipeline 32",
        "SET 64 B, 50 c",
        "CPU",
        "SET, 32 at a time: CPU µs/request",
    ),
    headline("proxies", "saturated, MGET of 100", "MGET 64 B", "CPU", "MGET of 100 keys: CPU µs/request"),
    headline(
        "proxies",
        "latency added at a fixed rate",
        ADDED,
        "p50 over no proxy",
        "added at 10 000/s: p50, ms",
    ),
    headline(
        "proxies",
        "latency added at a fixed rate",
        ADDED,
        "p99 over no proxy",
        "added at 10 000/s: p99, ms",
    ),
    headline(
        "proxies",
        "system calls",
        "GET 64 B, 50 connections, depth 1",
        "system calls",
        "system calls/request",
    ),
    headline("proxies", "memory", "9900 idle clients", "memory", "9 900 idle clients: MB"),
    headline(
        "proxies",
        "memory",
        "a value of 256 MB",
        "growth of memory",
        "passing a value of 256 MB: MB more",
    ),
    headline("nodes", "requests, depth 1", "GET", "CPU", "GET, one at a time: CPU µs/request"),
    headline("nodes", "requests, depth 32", "GET", "CPU", "GET, 32 at a time: CPU µs/request"),
    headline("nodes", "requests, depth 32", "SET", "CPU", "SET, 32 at a time: CPU µs/request"),
    headline("nodes", "requests, depth 32", "ZADD", "CPU", "ZADD, 32 at a time: CPU µs/request"),
    headline("nodes", "bytes per key", "16 B + 16 B", "used_memory", "16 B key, 16 B value: B/key"),
    headline("nodes", "bytes per key", "16 B + 16 B with a TTL", "used_memory", "the same with a TTL: B/key"),
    headline(
        "nodes",
        "bytes per key",
        "member of 16 B in one",
        "used_memory",
        "member of a large sorted set: B",
    ),
    headline("nodes", "hit ratio", "zipf 1.0", "hit ratio", "hit ratio under pressure, zipf 1.0: %"),
    headline(
        "nodes",
        "stall while growing",
        "PING while it grows",
        "worst",
        "longest stall while growing: ms",
    ),
    headline("nodes", "expiry", "", "lag worst", "longest that an expired key stays: ms"),
];

const ADDED: &str = "GET and SET 4:1, 64 B, 10000/s, 50 c";

/// The text between the markers, for the record in `file`, whose path is as seen from the README.
///
/// # Errors
/// When a headline is not in the record, or the run was a quick one.
pub fn section(record: &Record, file: &Path) -> anyhow::Result<String> {
    ensure!(!record.quick, "a quick run measures nothing");
    let groups = groups(record);
    let report = file.with_extension("md");
    let mut text = format!(
        "Medians (smallest–largest) of interleaved rounds on {} cores of {}, Linux {}, {}; bold is the best. \
         [The whole report]({}) has every row, the bad ones first, and [the raw numbers]({}). \
         `cargo run --release -p bench -- all` makes it on your machine.\n",
        record.machine.cores,
        record.machine.cpu,
        record.machine.kernel,
        record.began.split('T').next().unwrap_or_default(),
        report.display(),
        file.display(),
    );
    for suite in ["proxies", "nodes"] {
        text += &table(suite, &groups)?;
    }
    Ok(text)
}

fn table(suite: &str, groups: &[Group<'_>]) -> anyhow::Result<String> {
    let headlines = HEADLINES.iter().filter(|headline| headline.suite == suite);
    let lines: Vec<(&Headline, &Line<'_>)> =
        headlines.map(|headline| Ok((headline, find(headline, groups)?))).collect::<anyhow::Result<_>>()?;
    let mut subjects: Vec<&str> = Vec::new();
    for row in lines.iter().flat_map(|(_, line)| line.rows()) {
        // No proxy is in few of these lines, and no rival.
        if row.subject != crate::NO_PROXY && !subjects.contains(&row.subject.as_str()) {
            subjects.push(&row.subject);
        }
    }
    let mut text =
        format!("\n| {suite} | {} |\n|---|{}\n", subjects.join(" | "), "---:|".repeat(subjects.len()));
    for (headline, line) in lines {
        let of = |subject: &&str| line.rows().find(|row| row.subject == *subject);
        let show = |row: Option<&Row>| row.map_or(String::new(), |row| cell(row, line.best()));
        let cells: Vec<String> = subjects.iter().map(|subject| show(of(subject))).collect();
        let _ = writeln!(text, "| {} | {} |", headline.label, cells.join(" | "));
    }
    Ok(text)
}

fn find<'a, 'b>(headline: &Headline, groups: &'b [Group<'a>]) -> anyhow::Result<&'b Line<'a>> {
    let group =
        groups.iter().find(|group| group.suite == headline.suite && group.name.starts_with(headline.group));
    let lines = group.map_or(&[][..], |group| &group.lines);
    let is_meant =
        |line: &&Line<'_>| line.scenario.starts_with(headline.scenario) && line.metric == headline.metric;
    let found = lines.iter().find(is_meant);
    found.with_context(|| format!("the record has no row for \"{}\"", headline.label))
}

/// Writes the section into the README.
///
/// # Errors
/// As [`section`], and when the README has no markers or cannot be written.
pub fn replace(record: &Record, file: &Path, readme: &Path) -> anyhow::Result<()> {
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
        for (index, headline) in HEADLINES.iter().enumerate() {
            let Headline { suite, group, scenario, metric: name, .. } = headline;
            let scenario = Scenario { suite, group, name: format!("{scenario} …") };
            let metric = Metric { name, unit: "x", better: Better::Lower };
            for (subject, value) in [(FASTCACHE, 2.0), ("rival", 3.0), (crate::NO_PROXY, 1.0)] {
                record.rows.add(&scenario, subject, metric, value + index as f64);
            }
        }
        record
    }

    #[test]
    fn every_headline_has_its_line() {
        let text = section(&full(), Path::new("bench/results/x.json")).unwrap();
        for (index, headline) in HEADLINES.iter().enumerate() {
            let ours = crate::report::number::short(2.0 + index as f64);
            assert!(text.contains(&format!("| {} | **{ours}** | ", headline.label)), "{text}");
        }
        assert!(text.contains("(bench/results/x.md)") && !text.contains(crate::NO_PROXY));
    }

    #[test]
    fn a_record_without_a_headline_or_of_a_quick_run_gives_none() {
        let mut record = full();
        record.rows.rows.retain(|row| row.group != "hit ratio");
        let error = section(&record, Path::new("x.json")).unwrap_err();
        assert!(error.to_string().contains("zipf 1.0"), "{error}");
        let quick = Record { quick: true, ..full() };
        assert!(section(&quick, Path::new("x.json")).is_err());
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
