//! CPU time of process trees: user and system time of a process with all its threads, of the children it has waited
//! for, and of its living descendants.
//!
//! The one idea: what each living thread has run is in `/proc/PID/task/TID/schedstat`, in nanoseconds; threads that have
//! ended and children that were waited for are in `/proc/PID/stat` only, in ticks of 10 ms. Both are read. Between two
//! readings the nanoseconds count, unless the ticks tell of more than they can have been cut off by: then a thread has
//! ended in between, and the ticks count. None of the measured programs ends threads while it serves.

use std::fs;
use std::io;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// CPU time, apart for the program's own code and for the kernel on its behalf.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// In the program, in whole ticks.
    pub user: Duration,
    /// In the kernel, in whole ticks.
    pub system: Duration,
    /// Both together of the living threads, to the nanosecond.
    pub threads: Duration,
    /// What ticks can have been cut off by.
    pub cut_off: Duration,
}

impl CpuTimes {
    /// All of it.
    #[must_use]
    pub fn total(self) -> Duration {
        let ticks = self.user + self.system;
        if self.threads + self.cut_off >= ticks { self.threads } else { ticks }
    }

    /// Microseconds for each of `requests`.
    #[must_use]
    pub fn micros_per(self, requests: u64) -> f64 {
        self.total().as_secs_f64() * 1e6 / requests.max(1) as f64
    }
}

impl Add for CpuTimes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            user: self.user + other.user,
            system: self.system + other.system,
            threads: self.threads + other.threads,
            cut_off: self.cut_off + other.cut_off,
        }
    }
}

impl AddAssign for CpuTimes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for CpuTimes {
    type Output = Self;
    /// What was used between two readings; never below zero, even when a process has ended in between.
    fn sub(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            threads: self.threads.saturating_sub(earlier.threads),
            // Of the same processes: it is no sum.
            cut_off: self.cut_off.max(earlier.cut_off),
        }
    }
}

/// What one line of `/proc/PID/stat` says about CPU time and kinship.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// In ticks: of the process, and of the children it has waited for.
    user: u64,
    system: u64,
}

impl Stat {
    /// The name, second on the line, is in parentheses and may hold anything, parentheses too.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        // utime, stime, cutime, cstime are the 14th to 17th of the line.
        let mut ticks = fields.skip(9).map(|field| field.parse::<u64>().ok());
        let mut next = || ticks.next().flatten();
        let (user, system, waited_user, waited_system) = (next()?, next()?, next()?, next()?);
        Some(Self { parent, user: user + waited_user, system: system + waited_system })
    }

    fn times(self, ticks_per_second: u64) -> CpuTimes {
        let seconds = |ticks: u64| Duration::from_secs_f64(ticks as f64 / ticks_per_second as f64);
        // User and system time each lose up to a tick.
        CpuTimes {
            user: seconds(self.user),
            system: seconds(self.system),
            threads: Duration::ZERO,
            cut_off: seconds(2),
        }
    }
}

/// What the living threads of a process have run; nothing where the kernel does not tell.
fn run_by_threads(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let run =
        threads.filter_map(|thread| first_number(&fs::read_to_string(thread.path().join("schedstat")).ok()?));
    Duration::from_nanos(run.sum())
}

/// `schedstat`: nanoseconds run, nanoseconds waited, times it ran.
fn first_number(line: &str) -> Option<u64> {
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The CPU time of a process and all its descendants so far.
///
/// # Errors
/// When the process is gone.
pub fn of_tree(pid: u32) -> io::Result<CpuTimes> {
    of_trees(&[pid])
}

/// The same of several together, in one look at the table of processes.
///
/// # Errors
/// When one of them is gone.
pub fn of_trees(roots: &[u32]) -> io::Result<CpuTimes> {
    let processes = all_processes()?;
    if let Some(gone) = roots.iter().find(|root| !processes.iter().any(|(pid, _)| pid == *root)) {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("process {gone} has ended")));
    }
    let ticks = rustix::param::clock_ticks_per_second();
    let members = with_descendants(roots, &processes);
    let used = processes
        .iter()
        .filter(|(pid, _)| members.contains(pid))
        .map(|(pid, stat)| CpuTimes { threads: run_by_threads(*pid), ..stat.times(ticks) });
    Ok(used.fold(CpuTimes::default(), Add::add))
}

fn all_processes() -> io::Result<Vec<(u32, Stat)>> {
    let ids =
        fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    // A process that ends while it is being looked at is not there.
    Ok(ids
        .filter_map(|pid| Some((pid, Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect())
}

fn with_descendants(roots: &[u32], processes: &[(u32, Stat)]) -> Vec<u32> {
    let mut members = roots.to_vec();
    let mut at = 0;
    while let Some(&parent) = members.get(at) {
        let children = processes.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid);
        let new: Vec<u32> = children.filter(|pid| !members.contains(pid)).collect();
        members.extend(new);
        at += 1;
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `proc(5)`: pid (comm) state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime priority
    const LINE: &str = "4242 (a ) (b) S 17 4242 4242 0 -1 4194560 1 2 3 4 250 50 7 3 20 0 1 0 99 1 2";

    #[test]
    fn the_line_of_a_process_with_an_odd_name() {
        assert_eq!(Stat::parse(LINE), Some(Stat { parent: 17, user: 257, system: 53 }));
        assert_eq!(Stat::parse("4242 (cut) S 17 1 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn ticks_become_time_and_time_becomes_microseconds_per_request() {
        let times = Stat::parse(LINE).unwrap().times(100);
        assert_eq!(times.user, Duration::from_millis(2570));
        assert_eq!(times.total(), Duration::from_millis(3100));
        assert_eq!(times.micros_per(100_000), 31.0);
    }

    #[test]
    fn nanoseconds_count_unless_ticks_tell_of_a_thread_that_ended() {
        let millis = Duration::from_millis;
        let at = |ticks, threads| CpuTimes {
            user: millis(ticks),
            system: millis(0),
            threads: millis(threads),
            cut_off: millis(20),
        };
        assert_eq!((at(530, 37) - at(500, 0)).total(), millis(37), "what ended before does not matter");
        assert_eq!((at(530, 13) - at(500, 0)).total(), millis(13), "ticks may be 17 ms off");
        assert_eq!((at(580, 13) - at(500, 40)).total(), millis(80), "a thread ended in between");
        assert_eq!(first_number("223081935 146393850 220\n"), Some(223_081_935));
        assert_eq!(first_number(""), None);
    }

    #[test]
    fn all_threads_count_those_that_have_ended_too() {
        let busy = || {
            let mut number = 1_u64;
            while rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).tv_nsec < 60_000_000 {
                number = std::hint::black_box(number.wrapping_mul(3));
            }
        };
        let before = of_tree(std::process::id()).unwrap();
        let threads = [(); 2].map(|()| std::thread::spawn(busy));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let used = (of_tree(std::process::id()).unwrap() - before).total();
        // Both threads have ended: what they used is there but for two ticks.
        assert!(used >= Duration::from_millis(2 * 60 - 20), "{used:?}");
    }

    #[test]
    fn a_tree_holds_grandchildren_and_no_strangers() {
        let process = |pid, parent| (pid, Stat { parent, user: 0, system: 0 });
        let table = [process(1, 0), process(2, 1), process(3, 2), process(4, 1), process(5, 3)];
        assert_eq!(with_descendants(&[2], &table), [2, 3, 5]);
        assert_eq!(with_descendants(&[3, 2], &table), [3, 2, 5]);
    }

    #[test]
    fn this_process_uses_time_and_a_missing_one_is_an_error() {
        let before = of_tree(std::process::id()).unwrap();
        let mut number = 1_u64;
        while (of_tree(std::process::id()).unwrap() - before).total() < Duration::from_millis(20) {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(of_tree(u32::MAX).is_err());
    }
}
