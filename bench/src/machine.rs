//! The machine a run was made on, as `/proc` tells it.

use std::fs;

use serde::{Deserialize, Serialize};

/// What a reader must know to compare a run with one of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's model name.
    pub cpu: String,
    /// Processors that the system has.
    pub cores: usize,
    /// The kernel's version, without what the builder appended.
    pub kernel: String,
    /// All memory, in MB.
    pub memory_mb: u64,
}

impl Machine {
    /// This one. What `/proc` does not tell is "unknown".
    #[must_use]
    pub fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::from(&read("/proc/cpuinfo"), &read("/proc/sys/kernel/osrelease"), &read("/proc/meminfo"))
    }

    fn from(cpuinfo: &str, osrelease: &str, meminfo: &str) -> Self {
        let models: Vec<&str> = cpuinfo.lines().filter_map(|line| value(line, "model name")).collect();
        let cores = cpuinfo.lines().filter(|line| value(line, "processor").is_some()).count();
        let kilobytes =
            meminfo.lines().find_map(|line| value(line, "MemTotal")?.split(' ').next()?.parse::<u64>().ok());
        let known = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
        Self {
            cpu: known(models.first().copied().unwrap_or_default()),
            cores,
            kernel: known(osrelease.trim().split('-').next().unwrap_or_default()),
            memory_mb: kilobytes.unwrap_or_default() / 1024,
        }
    }
}

/// How busy the machine is with other things.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Processes that wanted to run, on average of the last minute.
    pub average: f64,
    /// Processor time so far, in ticks, all of it.
    pub ticks: u64,
    /// Of it, what the host gave to others.
    pub stolen_ticks: u64,
}

impl Load {
    /// Now. What `/proc` does not tell is 0.
    #[must_use]
    pub fn now() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::from(&read("/proc/loadavg"), &read("/proc/stat"))
    }

    fn from(loadavg: &str, stat: &str) -> Self {
        let average = loadavg.split(' ').next().and_then(|number| number.parse().ok());
        let all = stat.lines().next().and_then(|line| line.strip_prefix("cpu "));
        // user nice system idle iowait irq softirq steal; the guests' that follow are in the first two.
        let ticks: Vec<u64> = all
            .unwrap_or_default()
            .split_whitespace()
            .take(8)
            .filter_map(|number| number.parse().ok())
            .collect();
        Self {
            average: average.unwrap_or_default(),
            ticks: ticks.iter().sum(),
            stolen_ticks: ticks.get(7).copied().unwrap_or_default(),
        }
    }

    /// The share of the processor time since then, in percent, that the host gave to others.
    #[must_use]
    pub fn stolen_since(self, earlier: Self) -> f64 {
        let stolen = self.stolen_ticks.saturating_sub(earlier.stolen_ticks);
        100.0 * stolen as f64 / self.ticks.saturating_sub(earlier.ticks).max(1) as f64
    }
}

/// What follows `name :` on a line.
fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = line.split_once(':')?;
    (found.trim() == name).then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processors() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: AMD EPYC\n";
        let machine =
            Machine::from(cpuinfo, "6.18.1-cloud-amd64\n", "MemTotal:       24576000 kB\nMemFree: 1 kB\n");
        let expected =
            Machine { cpu: "AMD EPYC".to_owned(), cores: 2, kernel: "6.18.1".to_owned(), memory_mb: 24_000 };
        assert_eq!(machine, expected);
    }

    #[test]
    fn the_share_that_the_host_took() {
        let before = Load::from("4.25 5.20 10.05 3/400 99\n", "cpu  1 2 3 4 5 6 7 12 100 100\ncpu0 1\n");
        assert_eq!(before, Load { average: 4.25, ticks: 40, stolen_ticks: 12 });
        assert_eq!(Load { average: 0.0, ticks: 240, stolen_ticks: 22 }.stolen_since(before), 5.0);
        assert_eq!(Load::from("", ""), Load::default());
        assert_eq!(Load::default().stolen_since(before), 0.0);
    }

    #[test]
    fn what_is_not_told_is_unknown() {
        let machine = Machine::from("", "", "");
        assert_eq!((machine.cpu.as_str(), machine.kernel.as_str()), ("unknown", "unknown"));
    }
}
