//! Whether the workers' loops turn, asked by whoever reads `/readyz`.
//!
//! A worker that answers is between two turns of its loop; one that hangs cannot answer. Nothing runs while
//! nobody asks.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How long a worker may take. A turn takes milliseconds at most, but a busy machine may not let it run at
/// once; a balancer that asks each second has its answer before the next question.
const PATIENCE: Duration = Duration::from_millis(500);

/// Questions that may wait for a worker; it has to answer all of them in one turn.
const WAITING: usize = 16;

/// Puts the question to one worker.
#[derive(Debug, Clone)]
pub(crate) struct Pulse(mpsc::Sender<oneshot::Sender<()>>);

/// The worker's end of a [`Pulse`].
#[derive(Debug)]
pub(crate) struct Heart(mpsc::Receiver<oneshot::Sender<()>>);

/// The two ends for one worker.
pub(crate) fn pulse() -> (Pulse, Heart) {
    let (asking, asked) = mpsc::channel(WAITING);
    (Pulse(asking), Heart(asked))
}

impl Heart {
    /// Answers for as long as the worker runs.
    pub(crate) async fn beat(mut self) {
        while let Some(answer) = self.0.recv().await {
            // Who has lost patience needs no answer.
            let _ = answer.send(());
        }
    }
}

/// Whether every worker's loop turns.
pub(crate) async fn all_beat(workers: &[Pulse]) -> bool {
    let asked: Vec<_> = workers.iter().filter_map(Pulse::ask).collect();
    if asked.len() < workers.len() {
        return false;
    }
    let answers = async {
        for answer in asked {
            if answer.await.is_err() {
                return false;
            }
        }
        true
    };
    timeout(PATIENCE, answers).await.unwrap_or(false)
}

impl Pulse {
    /// `None`: the worker has ended, or has not answered the last questions yet.
    fn ask(&self) -> Option<oneshot::Receiver<()>> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(answer).ok().map(|()| answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_hangs_or_has_ended_is_found() {
        let (first, heart) = pulse();
        let (second, stuck) = pulse();
        tokio::spawn(heart.beat());
        assert!(all_beat(std::slice::from_ref(&first)).await);
        let both = [first, second];
        assert!(!all_beat(&both).await, "it does not answer");
        let unanswered: Vec<_> = std::iter::from_fn(|| both[1].ask()).collect();
        assert!(unanswered.len() < WAITING && !all_beat(&both).await, "nobody waits for a full queue");
        drop(stuck);
        assert!(!all_beat(&both).await, "it has ended");
    }
}
