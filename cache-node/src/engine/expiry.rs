//! Which keys are due when: the active side of expiry.
//!
//! Deadlines are gathered by the second, as (second, hash of the key). A second is worked off once it has passed
//! completely, so everything found there is due, nothing is looked at twice, and there is at most one wake-up per
//! second. Reading an expired key never waits for this: lookups compare the exact millisecond.

use std::collections::BTreeSet;

/// Keys with a deadline, by the second it falls into.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    due: BTreeSet<(u64, u64)>,
}

/// Bytes a scheduled key costs: 16 of data in tree nodes that are about two thirds full.
const BYTES_PER_KEY: usize = 24;

impl Expiry {
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.due.len() * BYTES_PER_KEY
    }

    pub(super) fn schedule(&mut self, deadline: u64, hash: u64) {
        self.due.insert((second(deadline), hash));
    }

    pub(super) fn cancel(&mut self, deadline: u64, hash: u64) {
        self.due.remove(&(second(deadline), hash));
    }

    /// The hash of a key whose deadline has passed, and the second it was in; each is given once.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<(u64, u64)> {
        let first = *self.due.first()?;
        if first.0 >= second(now) {
            return None;
        }
        self.due.pop_first()
    }

    /// When there is something to do again, in Unix milliseconds.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.due.first().map(|(second, _)| (second + 1).saturating_mul(1_000))
    }

    /// The key that dies first, to the second.
    pub(super) fn nearest(&self) -> Option<(u64, u64)> {
        self.due.first().copied()
    }

    /// Some key at or after a place named by two random numbers.
    pub(super) fn sample(&self, fraction: u64, hash: u64) -> Option<(u64, u64)> {
        let (first, last) = (self.due.first()?.0, self.due.last()?.0);
        let at = first + fraction % (last - first + 1);
        self.due.range((at, hash)..).next().or_else(|| self.due.first()).copied()
    }

    /// Frees up to `budget` entries of a schedule nobody needs any more; returns how many.
    pub(super) fn shed(&mut self, budget: usize) -> usize {
        (0..budget).take_while(|_| self.due.pop_first().is_some()).count()
    }
}

/// The second a millisecond falls into.
pub(super) fn second(ms: u64) -> u64 {
    ms / 1_000
}

#[cfg(test)]
mod tests {
    use super::Expiry;

    #[test]
    fn a_second_is_worked_off_when_it_has_passed() {
        let mut expiry = Expiry::default();
        for (deadline, hash) in [(5_999, 1), (5_000, 2), (7_000, 3)] {
            expiry.schedule(deadline, hash);
        }
        assert_eq!((expiry.len(), expiry.next_due()), (3, Some(6_000)));
        assert_eq!(expiry.pop_due(5_999), None);
        assert_eq!(expiry.pop_due(6_000), Some((5, 1)));
        assert_eq!(expiry.pop_due(6_000), Some((5, 2)));
        assert_eq!((expiry.pop_due(6_000), expiry.next_due()), (None, Some(8_000)));
        expiry.cancel(7_000, 3);
        assert_eq!((expiry.next_due(), expiry.pop_due(u64::MAX)), (None, None));
    }

    #[test]
    fn sampling_reaches_every_key() {
        let mut expiry = Expiry::default();
        assert_eq!(expiry.sample(1, 2), None);
        for n in 0..10 {
            expiry.schedule(n * 1_000, n);
        }
        let found = (0..10).filter_map(|n| expiry.sample(n, 0)).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(found.len(), 10);
    }
}
