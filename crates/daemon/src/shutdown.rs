//! The end of a process: SIGTERM or SIGINT as a future, once.
//!
//! The first signal resolves the future, and the process drains. A second one means that whoever sent it
//! does not want to wait: the process exits at once.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal as listen};

/// 128 + SIGINT (2): what a shell reports for a process ended by Ctrl-C.
const EXIT_IMPATIENT: i32 = 130;

/// Resolves at the first SIGTERM or SIGINT; the second ends the process. Signals count from the moment
/// of this call, not from the first poll.
///
/// Must be called within a tokio runtime.
pub fn signal() -> impl Future<Output = ()> + Send + use<> {
    let signals = Signals::listen();
    async move {
        let mut signals = match signals {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(%error, "cannot listen for signals; SIGTERM will end the process without draining");
                return std::future::pending().await;
            }
        };
        let name = signals.next().await;
        tracing::info!(signal = name, "shutting down");
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::warn!(signal = name, "second signal: exiting without draining");
            std::process::exit(EXIT_IMPATIENT);
        });
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    /// The signal goes to the test process itself, so this stays the only test that sends one: a second
    /// would end the process, as it should.
    #[tokio::test]
    async fn a_signal_before_the_first_poll_is_not_lost() {
        let signal = super::signal();
        kill_process(getpid(), Signal::TERM).unwrap();
        tokio::time::timeout(Duration::from_secs(10), signal).await.unwrap();
    }
}
