//! The saver: writes the journal, and does not let a sick disk stop the service.
//!
//! A view is published when it is on disk, or when the disk has had its time: while a `fsync` hangs,
//! a dead node must still go out. A late write goes on behind; what changed meanwhile is saved after
//! it. A restart in between loses no epoch: each run starts above all that an earlier one can have
//! published.

use std::io;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::board::Board;
use crate::journal::{Entry, Journal, PastTransition};
use crate::verdict::Record;

/// How long a view waits for the disk: many times what a busy one takes, and short for a failover.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most transitions that wait for a late write; older ones are forgotten.
const MAX_OWED: usize = 10_000;

type Written = (Journal, io::Result<()>);

/// Writes one journal, one write at a time.
#[derive(Debug)]
pub(crate) struct Saver {
    journal: Option<Journal>,
    /// Has the journal meanwhile.
    writing: Option<JoinHandle<Written>>,
    /// Transitions to be saved.
    owed: Vec<Entry>,
    /// The state changed after the write on its way was begun.
    is_behind: bool,
}

impl Saver {
    pub(crate) fn new(journal: Option<Journal>) -> Self {
        Self { journal, writing: None, owed: Vec::new(), is_behind: false }
    }

    /// Saves transitions and the state; nothing without a journal.
    ///
    /// # Errors
    /// When it could not be written, or not yet.
    pub(crate) async fn save(&mut self, board: &Board, transitions: Vec<Entry>) -> io::Result<()> {
        if self.writing.is_some() {
            self.owed.extend(transitions);
            self.owed.drain(..self.owed.len().saturating_sub(MAX_OWED));
            self.is_behind = true;
            return Err(late());
        }
        let Some(mut journal) = self.journal.take() else { return Ok(()) };
        let mut entries = std::mem::take(&mut self.owed);
        entries.extend(transitions);
        entries.extend(board.read(|verdict, _| Record::of(verdict)).map(Entry::Record));
        let all = journal.is_long().then(|| everything(board));
        self.is_behind = false;
        // Syncing takes milliseconds in which probes and readers must not wait.
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let result = match all {
                Some(all) => journal.rewrite(&all),
                None => journal.append(&entries),
            };
            (journal, result)
        }));
        self.wait().await
    }

    async fn wait(&mut self) -> io::Result<()> {
        timeout(PATIENCE, self.finish()).await.unwrap_or_else(|_| Err(late()))
    }

    /// Waits for the write on its way; for ever, if there is none. Cancel safe.
    ///
    /// # Errors
    /// When it failed.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        let Some(writing) = &mut self.writing else { return std::future::pending().await };
        let written = writing.await;
        self.writing = None;
        let (journal, result) = written.map_err(io::Error::other)?;
        self.journal = Some(journal);
        result
    }

    /// Whether something changed that the last write does not hold.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the disk takes too long; it is not waited for")
}

/// All that a rewritten journal holds.
fn everything(board: &Board) -> Vec<Entry> {
    board.read(|verdict, _| {
        let members = verdict.members().iter();
        let past = members.flat_map(|member| {
            member.history.iter().map(|transition| PastTransition::of(member.id.clone(), transition))
        });
        let mut past: Vec<_> = past.collect();
        past.sort_by_key(|transition| transition.at);
        let record = Record::of(verdict).map(Entry::Record);
        past.into_iter().map(Entry::Transition).chain(record).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use cluster::Topology;

    use super::*;
    use crate::clock::Clock;
    use crate::verdict::{Policy, Verdict};

    #[tokio::test]
    async fn a_write_that_hangs_is_not_waited_for_and_what_changed_is_owed() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(directory.path()).unwrap();
        let clock = Clock::start();
        let second = Duration::from_secs(1);
        let policy = Policy { interval: second, timeout: second, failures: 3, successes: 2 };
        let verdict = Verdict::new(Topology::local(1).unwrap(), policy, clock.now(), None);
        let (board, _commands) = Board::new(verdict, clock, true);
        let (release, released) = mpsc::channel::<()>();
        let mut saver = Saver::new(None);
        saver.writing = Some(tokio::task::spawn_blocking(move || {
            let _ = released.recv();
            (journal, Ok(()))
        }));
        let started = Instant::now();
        assert_eq!(saver.wait().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() < PATIENCE * 5, "{:?}", started.elapsed());
        let again = Instant::now();
        assert_eq!(saver.save(&board, Vec::new()).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(again.elapsed() < PATIENCE / 2, "the second does not wait as well: {:?}", again.elapsed());
        assert!(saver.is_behind());
        drop(release);
        saver.finish().await.unwrap();
        saver.save(&board, Vec::new()).await.unwrap();
        assert!(!saver.is_behind() && saver.journal.is_some());
    }
}
