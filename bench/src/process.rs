//! A process under test: started with a clean environment, its output in a file, ended by its id.
//!
//! Every one is started through `fastcache guarded`, which asks the kernel to end the process together with this one
//! and then becomes it. So nothing is left behind on any way out, a panic and SIGKILL included; but for what such a
//! process starts itself, which only it ends (perf's redis-benchmark). The kernel looks at
//! the *thread* that started it: start processes from the main thread only.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::cpu::{self, CpuTimes};

/// What a process may take to end by itself after SIGTERM; none of them has anything to save.
const GRACE: Duration = Duration::from_secs(5);
/// Short against what is waited for, long against one look.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// Enough of a log to see why a process failed.
const TAIL_LINES: usize = 4;

/// A running (or ended) process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` through `fastcache guarded`; its output goes to `NAME.log` in `directory`, which is also where
    /// it runs.
    ///
    /// # Errors
    /// When the log cannot be made or `fastcache` cannot be run. A program that cannot be run ends at once.
    pub fn start(
        fastcache: &Path,
        name: &str,
        program: &Path,
        args: &[String],
        directory: &Path,
    ) -> io::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let mut command = Command::new(fastcache);
        command.arg("guarded").arg(std::process::id().to_string()).arg(program).args(args);
        // A user's settings must not change a figure.
        command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).current_dir(directory);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        Ok(Self { name: name.to_owned(), child: command.spawn()?, log })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file that holds what it printed.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What it printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The end of what it printed in one line, for messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail_of(&self.output())
    }

    /// Whether it has ended. It stays in the process table until it is dropped.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        !matches!(waitid(WaitId::Pid(Pid::from_child(&self.child)), options), Ok(None))
    }

    /// Waits until it ends by itself, at most until `deadline` has passed; gives all the CPU time it used.
    ///
    /// # Errors
    /// When it does not end in time, or with a status other than 0: with its last lines.
    pub fn finish(mut self, deadline: Duration) -> anyhow::Result<CpuTimes> {
        wait_until(&format!("{} ends", self.name), deadline, || {
            if self.has_ended() { Ok(()) } else { Err("it runs".to_owned()) }
        })?;
        // An ended process that nobody has waited for still tells what it used.
        let used = cpu::of_tree(self.id())?;
        let status: ExitStatus = self.child.wait()?;
        if !status.success() {
            bail!("{} ended with {status}: {}", self.name, self.log_tail());
        }
        Ok(used)
    }

    /// Asks it to end.
    pub fn signal(&self, signal: Signal) {
        // It may have ended just now; its id is not given to another before it has been waited for.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

/// The last lines that say something, as one line.
fn tail_of(output: &str) -> String {
    let mut lines: Vec<&str> =
        output.lines().rev().map(str::trim).filter(|line| !line.is_empty()).take(TAIL_LINES).collect();
    lines.reverse();
    lines.join(" / ")
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let started = Instant::now();
        while !self.has_ended() && started.elapsed() < GRACE {
            thread::park_timeout(BETWEEN_LOOKS);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks until there is an answer.
///
/// # Errors
/// The last reason why there was none, when `deadline` has passed.
pub fn wait_until<T>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(reason) if started.elapsed() > deadline => bail!("{what}: not within {deadline:?}: {reason}"),
            // Nobody unparks this thread; it may wake early, and then looks early.
            Err(_) => thread::park_timeout(BETWEEN_LOOKS),
        }
    }
}

/// Lets time pass: for a measurement that needs a stretch of it, never to wait for something.
pub fn let_pass(time: Duration) {
    let started = Instant::now();
    while let Some(left) = time.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_answer_or_with_the_last_reason() {
        let mut looks = 0;
        let found = wait_until("it counts", GRACE, || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(format!("only {looks}")) }
        });
        assert_eq!(found.unwrap(), 3);
        let failed = wait_until("never", Duration::ZERO, || Err::<(), _>("no".to_owned())).unwrap_err();
        assert_eq!(failed.to_string(), "never: not within 0ns: no");
    }

    #[test]
    fn the_end_of_a_log_is_one_line() {
        assert_eq!(tail_of("1\n2\n 3\n\n4\n5\n\n"), "2 / 3 / 4 / 5");
        assert_eq!(tail_of(""), "");
    }

    #[test]
    fn time_passes() {
        let started = Instant::now();
        let_pass(Duration::from_millis(3));
        assert!(started.elapsed() >= Duration::from_millis(3));
    }
}
