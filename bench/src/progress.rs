//! How far the run is: a bar in a terminal, a line per scenario anywhere else.

use std::io::{IsTerminal, stderr};
use std::time::Instant;

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
