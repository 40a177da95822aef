//! A wake-up between two tasks of one thread: raised by one, waited for by the other. Raising it twice before
//! it is seen wakes once.
//!
//! tokio's `Notify` does this across threads, with a lock; a worker's tasks never leave their thread.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// A flag that one task can wait for.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Signal {
    /// Raises the flag and wakes the waiting task.
    #[inline]
    pub(crate) fn raise(&self) {
        if !self.raised.replace(true)
            && let Some(waiter) = &*self.waiter.borrow()
        {
            waiter.wake_by_ref();
        }
    }

    /// Takes the flag down if it is raised; else the task will be woken when it is.
    #[inline]
    pub(crate) fn poll_taken(&self, context: &Context<'_>) -> bool {
        if self.raised.take() {
            return true;
        }
        let mut waiter = self.waiter.borrow_mut();
        if !waiter.as_ref().is_some_and(|waiter| waiter.will_wake(context.waker())) {
            *waiter = Some(context.waker().clone());
        }
        false
    }

    /// Waits until the flag is raised, and takes it down.
    pub(crate) async fn raised(&self) {
        poll_fn(|context| if self.poll_taken(context) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[tokio::test]
    async fn a_raise_before_the_wait_is_not_lost() {
        let signal = Signal::default();
        signal.raise();
        signal.raise();
        signal.raised().await;
        assert!(!signal.raised.get());
    }

    #[tokio::test]
    async fn a_raise_wakes_the_waiting_task() {
        let tasks = tokio::task::LocalSet::new();
        tasks
            .run_until(async {
                let signal = Rc::new(Signal::default());
                let waiting = tokio::task::spawn_local({
                    let signal = Rc::clone(&signal);
                    async move { signal.raised().await }
                });
                tokio::task::yield_now().await;
                signal.raise();
                waiting.await.unwrap();
            })
            .await;
    }
}
