//! What Prometheus expects of every process: its memory, CPU time, open files and start time, and which
//! build it is. Read from `/proc/self` at each scrape; nothing is counted in between.

use std::fmt::Error;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// Clock ticks per second in `/proc/self/stat`. Linux gives this same number to programs everywhere,
/// whatever its own tick is.
const USER_HZ: f64 = 100.0;

/// Adds `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_memory_limit_bytes` where there is a
/// limit, `process_open_fds`, `process_max_fds`, `process_start_time_seconds` and `build_info`.
pub fn register(registry: &mut Registry) {
    registry.register("build", "Which build this is", Info::new([("version", crate::version())]));
    registry.register_collector(Box::new(Process));
}

#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut add =
            |name: &str, help: &str, metric: &dyn Encodes| metric.encode_as(&mut encoder, name, help);
        if let Some(stat) = Stat::read() {
            add(
                "process_cpu_seconds",
                "User and system CPU time spent",
                &ConstCounter::new(stat.cpu_seconds),
            )?;
            if let Some(booted) = boot_time() {
                let started = ConstGauge::new(booted + stat.start_seconds);
                add(
                    "process_start_time_seconds",
                    "When the process started, in seconds since 1970",
                    &started,
                )?;
            }
        }
        if let Some(bytes) = resident_bytes() {
            add("process_resident_memory_bytes", "Memory the process has in RAM", &ConstGauge::new(bytes))?;
        }
        if let Some(limit) = memory_limit() {
            add(
                "process_memory_limit_bytes",
                "Memory that the control group allows: its processes are killed beyond it",
                &ConstGauge::new(limit),
            )?;
        }
        let most = i64::try_from(crate::open_files::limit()).unwrap_or(i64::MAX);
        add("process_max_fds", "Most open file descriptors", &ConstGauge::new(most))?;
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // The directory itself is open while it is read.
            let open = i64::try_from(entries.count()).unwrap_or(i64::MAX) - 1;
            add("process_open_fds", "Open file descriptors", &ConstGauge::new(open))?;
        }
        Ok(())
    }
}

/// A metric of any type, so that one closure can add them all.
trait Encodes {
    fn encode_as(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> Result<(), Error>;
}

impl<M: EncodeMetric> Encodes for M {
    fn encode_as(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> Result<(), Error> {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}

/// The fields of `/proc/self/stat` that matter here.
struct Stat {
    cpu_seconds: f64,
    /// Seconds after the system's boot.
    start_seconds: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The process' name stands in parentheses and may hold anything, so fields count from the last one.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let field = |number: usize| rest.split_whitespace().nth(number - 3)?.parse::<f64>().ok();
        let (user, system, start) = (field(14)?, field(15)?, field(22)?);
        Some(Self { cpu_seconds: (user + system) / USER_HZ, start_seconds: start / USER_HZ })
    }
}

/// Seconds since 1970 at which the system booted.
fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Resident memory of this process in bytes; `None` where the system does not tell.
pub fn resident_bytes() -> Option<i64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Where a container sees the limit of its own control group: version 2, then version 1.
const LIMIT_FILES: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// The memory limit of the control group in bytes; `None` where there is none.
#[must_use]
pub fn memory_limit() -> Option<i64> {
    LIMIT_FILES.iter().find_map(|file| limit_in(&fs::read_to_string(file).ok()?))
}

/// Version 2 says `max` when there is no limit, version 1 the largest number of whole pages.
fn limit_in(text: &str) -> Option<i64> {
    /// A pebibyte: no machine has it.
    const NO_LIMIT: i64 = 1 << 50;
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_limit_is_a_number_of_bytes() {
        assert_eq!(limit_in("67108864\n"), Some(67_108_864));
        for none in ["max\n", "9223372036854771712\n", "", "garbage"] {
            assert_eq!(limit_in(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 12300 0 0";
        let stat = Stat::parse(text).unwrap();
        assert!((stat.cpu_seconds - 2.0).abs() < 1e-9);
        assert!((stat.start_seconds - 123.0).abs() < 1e-9);
        assert!(Stat::parse("garbage").is_none());
    }

    #[test]
    fn all_metrics_are_encoded() {
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for name in [
            "build_info{version=",
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_max_fds ",
            "process_start_time_seconds ",
        ] {
            assert!(text.contains(name), "{name} is missing in\n{text}");
        }
    }
}
