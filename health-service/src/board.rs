//! The board: the verdict as the rest of the service sees it.
//!
//! One task, the monitor, changes the verdict; the API and the metrics only read it here, each time
//! for as long as it takes to copy out what they need. Whatever they want changed they ask the
//! monitor for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::verdict::{Action, Event, Timestamp, Verdict};

/// Requests to the monitor that may wait: more than a thousand reports come in one request.
const QUEUE: usize = 4_096;

/// Something the API wants done.
#[derive(Debug)]
pub struct Command {
    /// What.
    pub event: Event,
    /// Told when it was done and its consequences are published, if someone waits.
    pub done: Option<oneshot::Sender<()>>,
}

/// The shared state. Clones are the same board.
#[derive(Debug, Clone)]
pub struct Board {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
struct Shared {
    verdict: Mutex<Verdict>,
    clock: Clock,
    has_journal: bool,
    journal_healthy: AtomicBool,
}

/// The monitor's queue is full: it is far behind, or ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service is busy; try again")]
pub struct Busy;

impl Board {
    /// A board, and the commands that come through it.
    #[must_use]
    pub fn new(verdict: Verdict, clock: Clock, has_journal: bool) -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(QUEUE);
        let shared = Shared {
            verdict: Mutex::new(verdict),
            clock,
            has_journal,
            journal_healthy: AtomicBool::new(true),
        };
        (Self { shared: Arc::new(shared), commands }, receiver)
    }

    /// Reads the verdict as it is now.
    pub fn read<T>(&self, read: impl FnOnce(&Verdict, Timestamp) -> T) -> T {
        let verdict = self.shared.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        read(&verdict, self.shared.clock.now())
    }

    /// Lets an event happen now.
    pub(crate) fn step(&self, event: Event) -> Vec<Action> {
        let mut verdict = self.shared.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        verdict.step(self.shared.clock.now(), event)
    }

    /// The view in force has been sent to its readers now.
    pub(crate) fn published(&self) {
        let mut verdict = self.shared.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        verdict.published(self.shared.clock.now());
    }

    /// The service's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// Whether the journal can be written; `None` without one.
    #[must_use]
    pub fn journal_healthy(&self) -> Option<bool> {
        self.shared.has_journal.then(|| self.shared.journal_healthy.load(Ordering::Relaxed))
    }

    pub(crate) fn set_journal_healthy(&self, healthy: bool) {
        self.shared.journal_healthy.store(healthy, Ordering::Relaxed);
    }

    /// Asks the monitor for something without waiting for it.
    ///
    /// # Errors
    /// [`Busy`] when too much is waiting already.
    pub fn tell(&self, event: Event) -> Result<(), Busy> {
        self.commands.try_send(Command { event, done: None }).map_err(|_| Busy)
    }

    /// Asks the monitor for something and waits until it is done: for a probe, until its outcome is
    /// known; for maintenance, until the view is published.
    ///
    /// # Errors
    /// [`Busy`] when too much is waiting already, or the service is ending.
    pub async fn ask(&self, event: Event) -> Result<(), Busy> {
        let (done, is_done) = oneshot::channel();
        self.commands.try_send(Command { event, done: Some(done) }).map_err(|_| Busy)?;
        is_done.await.map_err(|_| Busy)
    }
}
