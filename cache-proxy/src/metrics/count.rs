//! A number that one thread counts up and any may read.
//!
//! The counting thread is the only writer, so it loads, adds and stores: on the machine that is an ordinary
//! addition to memory, without the lock that an atomic addition would take.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count with one writer.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Adds `number`. For the writer's thread only.
    #[inline]
    pub(crate) fn add(&self, number: u64) {
        self.0.store(self.get().wrapping_add(number), Ordering::Relaxed);
    }

    /// Takes `number` away. For the writer's thread only.
    pub(crate) fn subtract(&self, number: u64) {
        self.0.store(self.get().saturating_sub(number), Ordering::Relaxed);
    }

    /// The number now.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
