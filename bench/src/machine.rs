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
    fn what_is_not_told_is_unknown() {
        let machine = Machine::from("", "", "");
        assert_eq!((machine.cpu.as_str(), machine.kernel.as_str()), ("unknown", "unknown"));
    }
}
