//! As many requests as are answered, by redis-benchmark.
//!
//! It checks that replies are no errors, not that they are right: `open_loop` does that. Its own CPU time is measured
//! as well, because a generator that is busy all the time measures itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};

use crate::bench::Bench;
use crate::cpu::CpuTimes;

/// Longer than any phase takes, even at a hundredth of the usual speed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of a core: from here on the generator may be what limits the throughput.
const BUSY: f64 = 0.95;

/// Enough to see a load work.
const QUICK_REQUESTS: usize = 500;

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
    /// From the start of the program to its end.
    pub wall: Duration,
    /// CPU time of the generator.
    pub generator: CpuTimes,
}

impl Outcome {
    /// Says so when the generator had hardly any time left.
    #[must_use]
    pub fn generator_note(&self) -> Option<String> {
        let share = self.generator.total().as_secs_f64() / self.wall.as_secs_f64().max(f64::EPSILON);
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
        let started = Instant::now();
        let process = bench.start("redis-benchmark", program, &self.args(requests))?;
        let log = process.log().to_owned();
        let generator = process.finish(PATIENCE)?;
        let wall = started.elapsed();
        let output = std::fs::read_to_string(log)?;
        let rate = rate_in(&output).with_context(|| format!("redis-benchmark gave no rate: {output}"))?;
        Ok(Outcome { requests, rate, wall, generator })
    }

    /// How many requests make a phase of the usual length; found out by a short run, which also warms everything up.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn calibrate(&self, bench: &Bench) -> anyhow::Result<u64> {
        /// Of the phase: what the short run aims at.
        const SHARE: u32 = 5;
        if bench.quick {
            // Each connection has a turn.
            return Ok((self.connections * self.depth).max(QUICK_REQUESTS) as u64);
        }
        // Each connection some, or the run is over before all of them are there.
        let mut requests = (self.connections * self.depth * 2).max(1000) as u64;
        let wanted = bench.phase() / SHARE;
        let mut outcome = self.run(bench, requests)?;
        if outcome.requests_in(wanted) > requests {
            requests = outcome.requests_in(wanted);
            outcome = self.run(bench, requests)?;
        }
        Ok(outcome.requests_in(bench.phase()).max(1000))
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
    fn requests_in(&self, time: Duration) -> u64 {
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
        let outcome = |millis| Outcome {
            requests: 1,
            rate: 1.0,
            wall: Duration::from_secs(1),
            generator: CpuTimes { user: Duration::from_millis(millis), system: Duration::ZERO },
        };
        assert_eq!(outcome(900).generator_note(), None);
        assert!(outcome(980).generator_note().is_some());
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
