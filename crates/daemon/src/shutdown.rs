//! The end of a process: SIGTERM, SIGINT or SIGHUP as a future, once.
//!
//! The first signal resolves the future, and the process drains. A second one means that whoever sent it
//! does not want to wait: the process exits at once and without a word, because a word can block. A
//! terminal that closes may send more than one SIGHUP, so these do not count as impatience.

use std::fs;
use std::future::{Future, pending};
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal as receive};

/// 128 + SIGINT (2): what a shell reports for a process ended by Ctrl-C.
const EXIT_IMPATIENT: i32 = 130;

/// Resolves at the first signal and logs which one it was; the second ends the process. Signals count
/// from the moment of this call, not from the first poll.
///
/// Must be called within a tokio runtime.
pub fn signal() -> impl Future<Output = ()> + Send + use<> {
    let signals = listen();
    async move {
        match signals {
            Ok(signal) => {
                let name = signal.await;
                tracing::info!(signal = name, "shutting down");
            }
            Err(error) => {
                tracing::error!(%error, "cannot listen for signals; SIGTERM will end the process without draining");
                pending::<()>().await;
            }
        }
    }
}

/// Like [`signal`], but resolves to the signal's name and logs nothing: for a process that must stop even
/// when nobody reads its stderr.
///
/// # Errors
/// When the system gives no signals.
pub fn listen() -> io::Result<impl Future<Output = &'static str> + Send + use<>> {
    let mut signals = Signals::listen()?;
    Ok(async move {
        let name = signals.first().await;
        tokio::spawn(async move {
            signals.second().await;
            std::process::exit(EXIT_IMPATIENT);
        });
        name
    })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` when the process was started to outlive its terminal, as by `nohup`.
    hangup: Option<Signal>,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let hangup = if hangup_is_ignored() { None } else { Some(receive(SignalKind::hangup())?) };
        let (terminate, interrupt) = (receive(SignalKind::terminate())?, receive(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, hangup })
    }

    async fn first(&mut self) -> &'static str {
        let Self { terminate, interrupt, hangup } = self;
        let hung_up = async {
            match hangup {
                Some(signal) => signal.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hung_up => "SIGHUP",
        }
    }

    async fn second(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Listening for a signal would end its being ignored, so the kernel is asked before.
fn hangup_is_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// `SigIgn` is a hexadecimal mask in which the lowest bit stands for signal 1, SIGHUP.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    /// The signal goes to the test process itself, so this stays the only test that sends one: a second
    /// would end the process, as it should.
    #[tokio::test]
    async fn a_signal_before_the_first_poll_is_not_lost() {
        let signal = listen().unwrap();
        kill_process(getpid(), Signal::TERM).unwrap();
        assert_eq!(tokio::time::timeout(Duration::from_secs(10), signal).await.unwrap(), "SIGTERM");
    }

    #[test]
    fn nohup_is_seen() {
        assert!(ignores_hangup("Name:\ta\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n"));
        assert!(!ignores_hangup("Name:\ta\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n"));
        assert!(!ignores_hangup("garbage"));
    }
}
