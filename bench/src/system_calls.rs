//! How many system calls some processes make while redis-benchmark loads it.
//!
//! Counted in the kernel by `perf stat`, which costs them next to nothing. Where perf is not there or may not
//! count, by strace, which stops the process at each call: it then finds more to do at each wake-up, and the number is
//! too low. The row says so.

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use rustix::process::Signal;

use crate::bench::Bench;
use crate::load::saturated::Saturated;
use crate::process::wait_until;

/// To attach, to run redis-benchmark at a tenth of its speed, and to write the summary.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a reader must know of a number that strace gave.
const TOO_LOW: &str = "counted by strace, which slows the process: in truth more";

/// System calls that the processes and their threads made for `requests` requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// Those while redis-benchmark ran.
    pub count: u64,
    /// What a reader must know to judge it.
    pub note: Option<&'static str>,
}

/// Counts while `load` sends `requests` requests.
///
/// # Errors
/// When neither tool can count, or the load fails.
pub fn count(bench: &Bench, processes: &[u32], load: &Saturated, requests: u64) -> anyhow::Result<Calls> {
    match by_perf(bench, processes, load, requests) {
        Ok(count) => Ok(Calls { count, note: None }),
        Err(by_perf) => {
            let count =
                by_strace(bench, processes, load, requests).with_context(|| format!("and {by_perf:#}"))?;
            Ok(Calls { count, note: Some(TOO_LOW) })
        }
    }
}

/// perf runs the generator itself, and counts as long as that runs.
fn by_perf(bench: &Bench, processes: &[u32], load: &Saturated, requests: u64) -> anyhow::Result<u64> {
    let find = |name| bench.programs.find(name).map_err(|reason| anyhow!(reason));
    let (perf, generator) = (find("perf")?, find("redis-benchmark")?);
    let counts = bench.directory.join("perf.csv");
    let list: Vec<String> = processes.iter().map(u32::to_string).collect();
    let options = [
        "stat".to_owned(),
        "--field-separator=,".to_owned(),
        "--event=raw_syscalls:sys_enter".to_owned(),
        format!("--pid={}", list.join(",")),
        format!("--output={}", counts.display()),
        "--".to_owned(),
        generator.path.display().to_string(),
    ];
    let args: Vec<String> = options.into_iter().chain(load.args(requests)).collect();
    bench.start("perf", perf, &args)?.finish(PATIENCE)?;
    let text = std::fs::read_to_string(counts)?;
    counted_by_perf(&text).with_context(|| format!("perf gave no count: {text}"))
}

/// The first column of the line of the event.
fn counted_by_perf(csv: &str) -> Option<u64> {
    let line = csv.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.parse().ok()
}

fn by_strace(bench: &Bench, processes: &[u32], load: &Saturated, requests: u64) -> anyhow::Result<u64> {
    let program = bench.programs.find("strace").map_err(|reason| anyhow!(reason))?;
    let targets = processes.iter().flat_map(|pid| ["-p".to_owned(), pid.to_string()]);
    let args: Vec<String> = ["-c", "-f"].map(str::to_owned).into_iter().chain(targets).collect();
    let strace = bench.start("strace", program, &args)?;
    wait_until("strace attaches", PATIENCE, || {
        let output = strace.output();
        if output.matches("attached").count() >= processes.len() || strace.has_ended() {
            Ok(())
        } else {
            Err(output)
        }
    })?;
    ensure!(!strace.has_ended(), "strace cannot attach: {}", strace.log_tail());
    load.run(bench, requests)?;
    strace.signal(Signal::INT);
    wait_until(
        "strace ends",
        PATIENCE,
        || if strace.has_ended() { Ok(()) } else { Err("it runs".to_owned()) },
    )?;
    total_of_strace(&strace.output()).with_context(|| format!("strace gave no total: {}", strace.log_tail()))
}

/// The number of calls in the last line of the summary: `100.00 0.123456 5 24690 12 total`.
fn total_of_strace(summary: &str) -> Option<u64> {
    let line = summary.lines().rfind(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_strace_stands_in_the_last_line() {
        let summary = "strace: Process 7 attached\n% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n \
            60.00    0.000600           6       100           read\n \
            40.00    0.000400           4       100        12 write\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.001000           5       200        12 total\n";
        assert_eq!(total_of_strace(summary), Some(200));
        assert_eq!(total_of_strace("strace: attach: ptrace(PTRACE_SEIZE, 7): Operation not permitted"), None);
    }

    #[test]
    fn the_count_of_perf_stands_in_the_first_column() {
        let csv =
            "# started on Fri Nov 20 07:38:37 2026\n\n43188,,raw_syscalls:sys_enter,152401084,100.00,,\n";
        assert_eq!(counted_by_perf(csv), Some(43_188));
        assert_eq!(counted_by_perf("<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
    }
}
