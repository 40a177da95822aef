//! How far the run is: a bar in a terminal, a line per scenario anywhere else.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The display of one run.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
    started: Instant,
}

impl Progress {
    /// To stderr, so that what is piped elsewhere holds only the tables.
    #[must_use]
    pub fn new() -> Self {
        let is_terminal = stderr().is_terminal();
        let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        // A template that is wrong leaves the library's own, which tells as much.
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        Self { bar, is_terminal, started: Instant::now() }
    }

    /// Announces `steps` more steps.
    pub fn expect(&self, steps: usize) {
        self.bar.inc_length(steps as u64);
    }

    /// Tells what a part will take, and gives it: so many scenarios, each with so many subjects in so many rounds of
    /// this length.
    pub fn plan(
        &self,
        part: &str,
        scenarios: usize,
        subjects: usize,
        rounds: usize,
        each: Duration,
    ) -> Duration {
        let phases = u32::try_from(scenarios * subjects * rounds).unwrap_or(u32::MAX);
        let time = each.saturating_mul(phases);
        eprintln!(
            "plan: {part}: {scenarios} scenarios x {subjects} subjects x {rounds} rounds x {:.2} s = {} s",
            each.as_secs_f64(),
            time.as_secs()
        );
        time
    }

    /// Tells what a suite will take.
    pub fn total(&self, suite: &str, time: Duration) {
        eprintln!("plan: {suite}: about {} min {} s", time.as_secs() / 60, time.as_secs() % 60);
    }

    /// Names what is going on now.
    pub fn say(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        if !self.is_terminal {
            eprintln!("{:4} s  {what}", self.started.elapsed().as_secs());
        }
    }

    /// One of the expected steps is done; the bar also shows `what` it was.
    pub fn step(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        self.bar.inc(1);
    }

    /// Leaves the terminal as it was.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
