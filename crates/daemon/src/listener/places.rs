//! The places of a listener's connections, and who gives up its own when another one comes.
//!
//! First those between two requests or before the first, then those that have begun one and not got its answer; of each
//! the one that has been so for longest. So connections that say nothing, or say it slowly, keep nobody out.

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
    by: HashMap<u64, Phase>,
}

#[derive(Debug)]
struct Phase {
    is_asking: bool,
    since: Instant,
    leave: oneshot::Sender<()>,
}

impl Places {
    /// Takes a place, for one that has not asked yet.
    pub(super) fn take(places: &Arc<Self>) -> Place {
        let (leave, lost) = oneshot::channel();
        let mut taken = places.lock();
        taken.last += 1;
        let number = taken.last;
        taken.by.insert(number, Phase { is_asking: false, since: Instant::now(), leave });
        drop(taken);
        Place { number, places: Arc::clone(places), lost: Some(lost) }
    }

    /// Asks one to leave.
    pub(super) fn vacate_one(&self) {
        let mut taken = self.lock();
        let first = taken.by.iter().min_by_key(|(_, phase)| (phase.is_asking, phase.since));
        let first = first.map(|(number, _)| *number);
        if let Some(phase) = first.and_then(|number| taken.by.remove(&number)) {
            // Its connection may be ending already.
            let _ = phase.leave.send(());
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
    /// Another phase begins: a request has begun, or its answer has.
    pub(super) fn begin(&self, is_asking: bool) {
        if let Some(phase) = self.places.lock().by.get_mut(&self.number) {
            (phase.is_asking, phase.since) = (is_asking, Instant::now());
        }
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
