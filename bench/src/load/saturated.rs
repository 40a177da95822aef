//! As many requests as are answered, by redis-benchmark.
//!
//! It checks that replies are no errors, not that they are right: `open_loop` does that. Its own CPU time is measured
//! as well, because a generator that is busy all the time measures itself.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::bench::Bench;
use crate::cpu::CpuTimes;

/// Longer than any phase takes, even at a hundredth of the usual speed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of a core: from here on the generator may be what limits the throughput.
const BUSY: f64 = 0.95;

/// Enough to see a load work.
const QUICK_REQUESTS: u64 = 500;

/// One run of redis-benchmark.
#[derive(Debug, Clone)]
pub struct Saturated {
    /// Where the subject listens.
    pub address: SocketAddr,
    /// Connections at the same time.
    pub connections: usize,
    /// Requests that each connection sends before it waits for their replies.
    pub depth: usize,
    /// The request; each `__rand_int__` in it becomes twelve random digits, another number every time.
    pub command: Vec<String>,
    /// Random numbers are below this.
    pub keyspace: u64,
}

/// What a run gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Requests answered.
    pub requests: u64,
    /// Requests per second, as redis-benchmark counts them.
    pub rate: f64,
    /// CPU time of the generator from its start to its end, its connecting included.
    pub generator: CpuTimes,
}

impl Outcome {
    /// Says so when the generator had hardly any time left.
    #[must_use]
    pub fn generator_note(&self) -> Option<String> {
        self.note_of(self.generator.total())
    }

    /// The same where another run told what connecting costs the generator: that happens before the clock of the rate
    /// is started.
    #[must_use]
    pub fn generator_note_without(&self, connecting: &Self) -> Option<String> {
        let more = Self { requests: self.requests.saturating_sub(connecting.requests), ..*self };
        more.note_of(self.generator.total().saturating_sub(connecting.generator.total()))
    }

    /// redis-benchmark makes connections in groups with pauses between them, so the time of the whole program says
    /// nothing: the requests and their rate do.
    fn note_of(&self, busy: Duration) -> Option<String> {
        let share = busy.as_secs_f64() * self.rate / self.requests.max(1) as f64;
        (share >= BUSY).then(|| "the load generator was busy all the time: more may be possible".to_owned())
    }
}

impl Saturated {
    /// Sends `requests` requests.
    ///
    /// # Errors
    /// When redis-benchmark is not here, an error reply comes, or a connection is lost.
    pub fn run(&self, bench: &Bench, requests: u64) -> anyhow::Result<Outcome> {
        let program = bench.programs.find("redis-benchmark").map_err(|reason| anyhow!(reason))?;
        let process = bench.start("redis-benchmark", program, &self.args(requests))?;
        let log = process.log().to_owned();
        let generator = process.finish(PATIENCE)?;
        let output = std::fs::read_to_string(log)?;
        let rate = rate_in(&output).with_context(|| format!("redis-benchmark gave no rate: {output}"))?;
        Ok(Outcome { requests, rate, generator })
    }

    /// How many requests make a phase of the usual length; found out by a short run, which also warms everything up.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn calibrate(&self, bench: &Bench) -> anyhow::Result<u64> {
        if bench.quick {
            // Each connection has a turn.
            return Ok(self.turn().max(QUICK_REQUESTS));
        }
        self.calibrate_for(bench, bench.phase())
    }

    /// One batch of every connection.
    #[must_use]
    pub fn turn(&self) -> u64 {
        (self.connections * self.depth) as u64
    }

    /// The same for a phase of another length.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn calibrate_for(&self, bench: &Bench, phase: Duration) -> anyhow::Result<u64> {
        /// Of the phase: what the short run aims at.
        const SHARE: u32 = 5;
        /// Fewer say nothing about the rate.
        const FEW: u64 = 200;
        // Each connection some, or the run is over before all of them are there.
        let mut requests = self.turn().max(FEW);
        let wanted = phase / SHARE;
        let mut outcome = self.run(bench, requests)?;
        if outcome.requests_in(wanted) > requests {
            requests = outcome.requests_in(wanted);
            outcome = self.run(bench, requests)?;
        }
        Ok(outcome.requests_in(phase).max(FEW))
    }

    /// The arguments of redis-benchmark.
    #[must_use]
    pub fn args(&self, requests: u64) -> Vec<String> {
        let options = [
            ("-h", self.address.ip().to_string()),
            ("-p", self.address.port().to_string()),
            ("-c", self.connections.to_string()),
            ("-P", self.depth.to_string()),
            ("-n", requests.to_string()),
            ("-r", self.keyspace.to_string()),
        ];
        let options = options.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
        options.chain(["--csv".to_owned()]).chain(self.command.iter().cloned()).collect()
    }
}

impl Outcome {
    /// How many it would have answered in this time.
    #[must_use]
    pub fn requests_in(&self, time: Duration) -> u64 {
        (self.rate * time.as_secs_f64()) as u64
    }
}

/// The second column of the line that is not the heading.
fn rate_in(csv: &str) -> Option<f64> {
    let mut lines = csv.lines().skip_while(|line| !line.starts_with("\"test\",\"rps\""));
    let line = lines.nth(1)?;
    // The first column is the command, quoted, and may hold commas.
    let rest = line.strip_prefix('"')?.split_once("\",\"")?.1;
    rest.split('"').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_in_the_second_column() {
        let csv = "WARNING: Could not fetch server CONFIG\n\"test\",\"rps\",\"avg_latency_ms\"\n\
                   \"get key:__rand_int__\",\"40584.42\",\"0.619\"\n";
        assert_eq!(rate_in(csv), Some(40_584.42));
        assert_eq!(rate_in("Error from server: ERR no\n"), None);
    }

    #[test]
    fn a_generator_without_time_left_is_told() {
        let outcome = |requests, millis| Outcome {
            requests,
            rate: 1000.0,
            generator: CpuTimes { user: Duration::from_millis(millis), ..CpuTimes::default() },
        };
        assert_eq!(outcome(1000, 900).generator_note(), None);
        assert!(outcome(1000, 980).generator_note().is_some());
        // 900 requests took 900 ms, of which it was busy for 980 - 500 or 980 - 50.
        assert_eq!(outcome(1000, 980).generator_note_without(&outcome(100, 500)), None);
        assert!(outcome(1000, 980).generator_note_without(&outcome(100, 50)).is_some());
    }

    #[test]
    fn the_command_follows_the_options() {
        let load = Saturated {
            address: ([127, 0, 0, 1], 7000).into(),
            connections: 50,
            depth: 32,
            command: vec!["GET".to_owned(), "k:__rand_int__".to_owned()],
            keyspace: 100,
        };
        let line = load.args(5000).join(" ");
        assert_eq!(line, "-h 127.0.0.1 -p 7000 -c 50 -P 32 -n 5000 -r 100 --csv GET k:__rand_int__");
    }
}
