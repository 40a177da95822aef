//! Whether the workers' loops turn, asked by whoever reads `/readyz`.
//!
//! A worker that answers is between two turns of its loop; one that hangs cannot answer. Questions are numbers
//! and an answer is the highest number seen, so any number of askers share it and nothing queues. Nothing runs
//! while nobody asks.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How long the workers may take, all together. A turn takes milliseconds at most, but a machine that is short of
/// processors may not let it run for long, and HAProxy disconnects the clients of a proxy that fails three checks. Below
/// the `timeout check` of 1 s in `haproxy.cfg`, so that HAProxy's log tells the reason and not only that no answer came.
const PATIENCE: Duration = Duration::from_millis(750);

/// Puts the question to one worker.
#[derive(Debug)]
pub(crate) struct Pulse {
    asked: watch::Sender<u64>,
    answered: watch::Receiver<u64>,
}

/// The worker's end of a [`Pulse`].
#[derive(Debug)]
pub(crate) struct Heart {
    asked: watch::Receiver<u64>,
    answered: watch::Sender<u64>,
}

/// The two ends for one worker.
pub(crate) fn pulse() -> (Pulse, Heart) {
    let ((asked, questions), (answered, answers)) = (watch::channel(0), watch::channel(0));
    (Pulse { asked, answered: answers }, Heart { asked: questions, answered })
}

/// Why a worker does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Its loop does not turn.
    Hangs,
    /// Its thread has ended.
    Ended,
}

impl Heart {
    /// Answers for as long as the worker runs and somebody may ask.
    pub(crate) async fn beat(mut self) {
        while self.asked.changed().await.is_ok() {
            let question = *self.asked.borrow_and_update();
            self.answered.send_replace(question);
        }
    }
}

/// Asks every worker.
pub(crate) async fn all_beat(workers: &[Pulse]) -> Result<(), Silence> {
    // All are asked before the first is waited for: they answer at the same time.
    let asked: Vec<_> = workers.iter().map(Pulse::ask).collect();
    let answers = async {
        for (mut answered, question) in asked {
            answered.wait_for(|answer| *answer >= question).await.map_err(|_| Silence::Ended)?;
        }
        Ok(())
    };
    timeout(PATIENCE, answers).await.unwrap_or(Err(Silence::Hangs))
}

impl Pulse {
    /// Puts a question; its answer is this number or a higher one.
    fn ask(&self) -> (watch::Receiver<u64>, u64) {
        let mut question = 0;
        self.asked.send_modify(|last| {
            *last += 1;
            question = *last;
        });
        (self.answered.clone(), question)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn a_worker_that_hangs_or_has_ended_is_found() {
        let (first, heart) = pulse();
        let (second, stuck) = pulse();
        tokio::spawn(heart.beat());
        assert_eq!(all_beat(std::slice::from_ref(&first)).await, Ok(()));
        let both = [first, second];
        assert_eq!(all_beat(&both).await, Err(Silence::Hangs));
        tokio::spawn(stuck.beat());
        assert_eq!(all_beat(&both).await, Ok(()), "it turns again");
        let (third, ended) = pulse();
        drop(ended);
        assert_eq!(all_beat(&[third]).await, Err(Silence::Ended));
    }

    #[tokio::test]
    async fn any_number_may_ask_a_healthy_worker_at_the_same_time() {
        let (pulse, heart) = pulse();
        tokio::spawn(heart.beat());
        let workers: Arc<[Pulse]> = vec![pulse].into();
        let mut askers = JoinSet::new();
        for _ in 0..200 {
            let workers = Arc::clone(&workers);
            askers.spawn(async move { all_beat(&workers).await });
        }
        assert_eq!(askers.join_all().await, vec![Ok(()); 200]);
    }
}
