//! One run from the first look for programs to the exit code.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;

use crate::bench::Bench;
use crate::cli::{Cli, Options, Task};
use crate::machine::{Load, Machine};
use crate::programs::Programs;
use crate::progress::Progress;
use crate::record::Record;
use crate::results::Results;
use crate::{interrupt, nodes, proxies, report};

/// 10 000 clients, and for HAProxy as many connections to the backend, with room to spare.
const OPEN_FILES: u64 = 40_000;

/// What a quick run may take. Longer is told and no failure: on a busy machine it is not the harness's.
const QUICK_SECONDS: u64 = 180;

/// A suite: its name and what runs it.
type Suite = (&'static str, fn(&Bench, &mut Results) -> anyhow::Result<()>);

const PROXIES: Suite = ("proxies", proxies::run);
const NODES: Suite = ("nodes", nodes::run);

/// Does what the command line asks for.
///
/// # Errors
/// When the harness itself cannot go on.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.task {
        Task::All(options) => measure(&options, &[PROXIES, NODES]),
        Task::Proxies(options) => measure(&options, &[PROXIES]),
        Task::Nodes(options) => measure(&options, &[NODES]),
        Task::Report { file, readme } => {
            let record = Record::read(&file)?;
            report::write(&record, &file)?;
            report::readme::replace(&record, &file, &readme)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn measure(options: &Options, suites: &[Suite]) -> anyhow::Result<ExitCode> {
    let (began, started) = (Timestamp::now(), Instant::now());
    let results_directory = options.results();
    fs::create_dir_all(&results_directory)
        .with_context(|| format!("cannot make {}", results_directory.display()))?;
    // For all that is started as well; a row that needs more than is allowed says so.
    daemon::open_files::raise_limit(OPEN_FILES);
    let programs = Programs::look()?;
    eprint!("{}", programs.missing());
    // Removed when dropped, and by a signal.
    let directory = tempfile::Builder::new().prefix("fastcache-bench-").tempdir()?;
    interrupt::remove_at_signal(directory.path().to_owned())?;
    let load_before = Load::now();
    let bench = Bench {
        quick: options.quick,
        programs,
        directory: directory.path().to_owned(),
        progress: Progress::new(),
    };
    let (mut rows, mut faults) = (Results::default(), Vec::new());
    for (name, suite) in suites {
        if let Err(error) = suite(&bench, &mut rows) {
            // What was measured so far is not lost.
            let fault = format!("{name}: the harness could not go on: {error:#}");
            rows.fail_silent(name, &fault);
            faults.push(fault);
        }
    }
    bench.progress.finish();
    let record = Record {
        form: Record::current_form(),
        began: began.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        seconds: started.elapsed().as_secs(),
        suites: suites.iter().map(|(name, _)| (*name).to_owned()).collect(),
        quick: options.quick,
        machine: Machine::here(),
        load_before,
        load_after: Load::now(),
        versions: bench.programs.versions(),
        rows,
    };
    faults.extend(record.faults());
    tell(&record, &faults, &results_directory)
}

/// Writes the record and the report, prints the tables, and says what went wrong.
fn tell(record: &Record, faults: &[String], directory: &Path) -> anyhow::Result<ExitCode> {
    let file = directory.join(file_name(record));
    record.write(&file)?;
    report::write(record, &file)?;
    if record.quick && record.suites.len() > 1 {
        // Proves that README.md's table can be made, headline by headline.
        let section = report::readme::section(record, &file)?;
        fs::write(directory.join("README-section.md"), section).context("cannot write README-section.md")?;
    }
    print!("{}", report::table::all(record));
    println!("{} s; raw numbers and report: {} and .md beside it", record.seconds, file.display());
    if record.quick && record.seconds > QUICK_SECONDS {
        eprintln!("bench: a quick run should take {QUICK_SECONDS} s at most: was the machine busy?");
    }
    for fault in faults {
        eprintln!("bench: {fault}");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `2026-11-20-0908.json`, with the suite's name when it is only one: no run replaces another.
fn file_name(record: &Record) -> String {
    let (day, time) = record.began.split_once('T').unwrap_or((&record.began, "0000"));
    let minute: String = time.chars().filter(char::is_ascii_digit).take(4).collect();
    let suite = if record.suites.len() > 1 { String::new() } else { format!("-{}", record.suites.join("-")) };
    format!("{day}-{minute}{suite}.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Lack;

    #[test]
    fn every_run_has_a_file_of_its_own() {
        let mut record = crate::record::tests::empty();
        assert_eq!(file_name(&record), "2026-11-20-0840-proxies.json");
        record.suites.push("nodes".to_owned());
        assert_eq!(file_name(&record), "2026-11-20-0840.json");
    }

    #[test]
    fn where_nothing_is_installed_every_row_says_so_and_the_readme_finds_its_lines() {
        let directory = tempfile::tempdir().unwrap();
        let bench = Bench {
            quick: false,
            programs: Programs::none(),
            directory: directory.path().to_owned(),
            progress: Progress::new(),
        };
        let mut rows = Results::default();
        for (_, suite) in [PROXIES, NODES] {
            suite(&bench, &mut rows).unwrap();
        }
        assert!(rows.rows.len() > 200, "only {} rows", rows.rows.len());
        for row in &rows.rows {
            let says = matches!(&row.lack, Some(Lack::Absent(reason)) if reason.contains("is not installed"));
            assert!(says, "{}: {:?}", row.place(), row.lack);
        }
        let mut record = Record { rows, ..crate::record::tests::empty() };
        report::readme::section(&record, Path::new("bench/results/x.json")).unwrap();
        assert!(record.faults().is_empty(), "a full run may lack peers");
        record.quick = true;
        assert_eq!(record.faults().len(), record.rows.rows.len(), "a quick run may not");
    }
}
