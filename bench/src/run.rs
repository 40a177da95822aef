//! One run from the first look for programs to the exit code.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;

use crate::bench::Bench;
use crate::cli::{Cli, Options, Task};
use crate::machine::Machine;
use crate::programs::Programs;
use crate::progress::Progress;
use crate::record::Record;
use crate::results::Results;
use crate::{interrupt, nodes, proxies, report};

/// 10 000 clients, and for HAProxy as many connections to the backend, with room to spare.
const OPEN_FILES: u64 = 40_000;

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
    let (began, started) = (Timestamp::now(), Instant::now());
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
        versions: bench.programs.versions(),
        rows,
    };
    faults.extend(record.faults());
    tell(&record, &faults, &results_directory)
}

/// Writes the record and the report, prints the tables, and says what went wrong.
fn tell(record: &Record, faults: &[String], directory: &Path) -> anyhow::Result<ExitCode> {
    // One file a day and set of suites: a later run of the same day replaces the earlier.
    let day = record.began.split('T').next().unwrap_or(&record.began);
    let name =
        if record.suites.len() > 1 { day.to_owned() } else { format!("{day}-{}", record.suites.join("-")) };
    let file = directory.join(name).with_extension("json");
    record.write(&file)?;
    report::write(record, &file)?;
    print!("{}", report::table::all(record));
    println!("{} s; raw numbers and report: {} and .md beside it", record.seconds, file.display());
    for fault in faults {
        eprintln!("bench: {fault}");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Lack;

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
        let record = Record { rows, ..crate::record::tests::empty() };
        report::readme::section(&record, Path::new("bench/results/x.json")).unwrap();
    }
}
