//! The places of a listener's connections, and who gives up its own when another one comes.
//!
//! First those that are owed nothing: they have not asked, or not to the end, or have their answer. Then those that wait
//! for an answer or are in the middle of one, such as a stream of events. Of each the one whose last sign of life is the
//! oldest. So a crowd that says nothing, or begins to ask, keeps nobody out and takes no answer from anybody.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;
use tokio::time::Instant;

/// All places that are taken.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    /// Counts the places there have been.
    last: u64,
    by: HashMap<u64, State>,
}

#[derive(Debug)]
struct State {
    /// Requests that have come to their end, and their answers have not.
    owed: usize,
    /// The last sign of life, in either direction.
    alive: Instant,
    leave: oneshot::Sender<()>,
}

impl Places {
    /// Takes a place, for one that has said nothing yet.
    pub(super) fn take(places: &Arc<Self>) -> Place {
        let (leave, lost) = oneshot::channel();
        let mut taken = places.lock();
        taken.last += 1;
        let number = taken.last;
        taken.by.insert(number, State { owed: 0, alive: Instant::now(), leave });
        drop(taken);
        Place { number, places: Arc::clone(places), lost: Some(lost) }
    }

    /// Asks one to leave.
    pub(super) fn vacate_one(&self) {
        let mut taken = self.lock();
        let first = taken.by.iter().min_by_key(|(_, state)| (state.owed > 0, state.alive));
        let first = first.map(|(number, _)| *number);
        if let Some(state) = first.and_then(|number| taken.by.remove(&number)) {
            // Its connection may be ending already.
            let _ = state.leave.send(());
        }
    }

    /// Changes what is known of one, unless it has lost its place.
    fn of(&self, number: u64, change: impl FnOnce(&mut State)) {
        if let Some(state) = self.lock().by.get_mut(&number) {
            change(state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    places: Arc<Places>,
    /// `None`: it is lost.
    lost: Option<oneshot::Receiver<()>>,
}

impl Place {
    /// A request begins, or something of an answer has been sent.
    pub(super) fn alive(&self) {
        self.places.of(self.number, |state| state.alive = Instant::now());
    }

    /// What marks it while it is owed an answer.
    pub(super) fn debtor(&self) -> Debtor {
        Debtor { number: self.number, places: Arc::clone(&self.places) }
    }

    /// Waits until it is wanted for another connection.
    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(lost) = &mut self.lost {
            // It ends in no other way: what would be dropped is this place's own.
            let _ = ready!(Pin::new(lost).poll(cx));
            self.lost = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().by.remove(&self.number);
    }
}

/// Who answers the requests of one connection, and marks its place for as long.
#[derive(Debug, Clone)]
pub struct Debtor {
    number: u64,
    places: Arc<Places>,
}

impl Debtor {
    /// An answer is owed, until this is dropped.
    pub(super) fn owe(self) -> Owed {
        self.places.of(self.number, |state| (state.owed, state.alive) = (state.owed + 1, Instant::now()));
        Owed(self)
    }
}

/// An answer that has not come to its end.
#[derive(Debug)]
pub(super) struct Owed(Debtor);

impl Drop for Owed {
    fn drop(&mut self) {
        self.0.places.of(self.0.number, |state| state.owed -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Which of the places are taken.
    fn kept(all: &[Place]) -> Vec<bool> {
        all.iter().map(|place| place.places.lock().by.contains_key(&place.number)).collect()
    }

    /// Lets time pass: signs of life at the same instant have no order.
    fn later() {
        let now = Instant::now();
        while Instant::now() == now {
            thread::yield_now();
        }
    }

    #[test]
    fn who_is_owed_nothing_and_was_silent_for_longest_goes_first() {
        let places = Arc::default();
        let all: Vec<Place> = (0..5)
            .map(|_| {
                later();
                Places::take(&places)
            })
            .collect();
        let first = all[0].debtor().owe();
        let _second = all[1].debtor().owe();
        later();
        all[0].alive();
        all[2].alive();
        for gone in [3, 4, 2, 1] {
            assert!(kept(&all)[gone]);
            places.vacate_one();
            assert!(!kept(&all)[gone], "{:?}", kept(&all));
        }
        // Neither its answer's end nor another sign of life of one without a place matters.
        all[3].alive();
        drop((all[1].debtor().owe(), first));
        assert_eq!(kept(&all), [true, false, false, false, false]);
    }

    #[test]
    fn an_answer_is_owed_to_its_end() {
        let places = Arc::default();
        let (asked, silent) = (Places::take(&places), Places::take(&places));
        let (one, other) = (asked.debtor().owe(), asked.debtor().owe());
        drop(one);
        later();
        silent.alive();
        drop(other);
        places.vacate_one();
        assert_eq!(kept(&[asked, silent]), [false, true]);
    }
}
