//! A child process: its output is kept, its readiness is a line it prints, it dies with the test, and when
//! the test fails its last lines are shown.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually::eventually;

/// Enough of a log to see why a process failed.
const KEPT_LINES: usize = 400;

/// The memory that a process had.
pub(crate) struct Memory(usize);

/// A running (or ended) child process.
pub(crate) struct Process {
    name: String,
    child: Child,
    readers: [JoinHandle<()>; 2],
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Process {
    pub(crate) fn spawn(name: &str, mut command: Command) -> Self {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{name} ({command:?}): {error}"));
        let log = Arc::default();
        let readers = [
            keep_lines(child.stdout.take().expect("stdout is piped"), &log),
            keep_lines(child.stderr.take().expect("stderr is piped"), &log),
        ];
        Self { name: name.to_owned(), child, readers, log }
    }

    /// Waits for a line that contains `text`; gives what follows it on that line.
    pub(crate) fn wait_for_line(&self, text: &str) -> String {
        let what = format!("{} prints {text:?}", self.name);
        eventually(&what, || {
            // In this order: what it printed last may still be on its way when it has ended.
            let has_ended = self.readers.iter().all(JoinHandle::is_finished);
            match self.find_line(text) {
                Some(rest) => Ok(rest),
                None if has_ended => panic!("{} ended before it printed {text:?}", self.name),
                None => Err("not yet".to_owned()),
            }
        })
    }

    fn find_line(&self, text: &str) -> Option<String> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().find_map(|line| line.split_once(text).map(|(_, rest)| rest.to_owned()))
    }

    /// The address after `listening on`, which every process prints when it is ready.
    pub(crate) fn address(&self) -> String {
        self.wait_for_line("listening on ").trim().to_owned()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// From now on [`Self::grown_by`] tells how much memory it took more than it has now.
    pub(crate) fn watch_memory(&self) -> Memory {
        // The peak begins anew.
        fs::write(format!("/proc/{}/clear_refs", self.id()), "5").expect("it runs, on Linux");
        Memory(self.status_bytes("VmRSS:"))
    }

    /// The most bytes by which it was larger than at that time, also if it has given them back.
    pub(crate) fn grown_by(&self, since: &Memory) -> usize {
        self.status_bytes("VmHWM:").saturating_sub(since.0)
    }

    fn status_bytes(&self, field: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs, on Linux");
        let kilobytes = status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
        let kilobytes = kilobytes.and_then(|number| number.parse::<usize>().ok());
        kilobytes.unwrap_or_else(|| panic!("Linux tells no {field}")) * 1024
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child of this process").is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process has not been waited for");
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        eventually(&what, || self.child.try_wait().expect("a child").ok_or("it runs".to_owned()))
    }

    /// Everything it printed, for messages.
    pub(crate) fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().map(|line| format!("{} | {line}\n", self.name)).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprint!("{}", self.log());
        }
    }
}

/// Reads in a thread of its own, so that a process never waits for its reader.
fn keep_lines(stream: impl Read + Send + 'static, log: &Arc<Mutex<VecDeque<String>>>) -> JoinHandle<()> {
    let log = Arc::clone(log);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() == KEPT_LINES {
                // The first lines hold the address; what is dropped is the middle.
                log.remove(KEPT_LINES / 4);
            }
            log.push_back(line);
        }
    })
}
