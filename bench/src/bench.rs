//! What every suite is given: the programs, a directory, the display, and how thorough to be.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use crate::process::Process;
use crate::programs::{Program, Programs};
use crate::progress::Progress;

/// One run of the harness.
#[derive(Debug)]
pub struct Bench {
    /// Only to see that everything works: seconds instead of minutes, numbers of no value.
    pub quick: bool,
    /// Who takes part.
    pub programs: Programs,
    /// For configurations, logs and sockets; removed at the end.
    pub directory: PathBuf,
    /// How far it is.
    pub progress: Progress,
}

impl Bench {
    /// What one saturated phase should last. CPU time is counted in nanoseconds (see `cpu`), so this is for what else
    /// the machine does to average out; a suite with many phases takes a part of it.
    #[must_use]
    pub fn phase(&self) -> Duration {
        if self.quick { Duration::from_millis(200) } else { Duration::from_millis(1500) }
    }

    /// Starts a program; see [`Process::start`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, name: &str, program: &Program, args: &[String]) -> anyhow::Result<Process> {
        let started = Process::start(self.programs.fastcache(), name, &program.path, args, &self.directory);
        started.with_context(|| format!("{name} cannot be started"))
    }
}
