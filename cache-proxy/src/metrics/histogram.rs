//! How long something took, counted in buckets of which each is twice as wide as the one before.
//!
//! From 100 µs, where a request over a local network begins, to 13 s, beyond every timeout that is set by
//! default: 18 buckets, so that a node costs three cache lines and a request one addition to a bucket and one to
//! the sum.
//!
//! Pure.

use std::time::Duration;

use crate::metrics::count::Count;

/// Upper bound of the first bucket.
const FIRST: Duration = Duration::from_micros(100);

/// Buckets with an upper bound.
const BOUNDED: usize = 18;

/// And the one for what took longer.
const BUCKETS: usize = BOUNDED + 1;

/// A histogram of durations; one thread writes, any may read.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Count; BUCKETS],
    /// In nanoseconds: a hundred thousand requests a second of a millisecond each fill it in six years.
    sum: Count,
}

/// What a histogram, or several together, have counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Durations {
    buckets: [u64; BUCKETS],
    sum: u64,
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub(crate) fn observe(&self, took: Duration) {
        let nanos = in_nanos(took);
        self.buckets[bucket(nanos)].add(1);
        self.sum.add(nanos);
    }

    /// What has been counted so far.
    pub(crate) fn read(&self) -> Durations {
        let mut durations = Durations { sum: self.sum.get(), ..Durations::default() };
        for (read, bucket) in durations.buckets.iter_mut().zip(&self.buckets) {
            *read = bucket.get();
        }
        durations
    }
}

/// Nothing that is timed here takes centuries.
#[inline]
const fn in_nanos(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000_000 + duration.subsec_nanos() as u64
}

/// The bucket of a duration: the first whose bound it does not exceed.
#[inline]
fn bucket(nanos: u64) -> usize {
    const UNIT: u64 = in_nanos(FIRST);
    let doublings = u64::BITS - (nanos.saturating_sub(1) / UNIT).leading_zeros();
    (doublings as usize).min(BOUNDED)
}

impl Durations {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together, in seconds.
    pub(crate) fn sum(&self) -> f64 {
        self.sum as f64 / 1e9
    }

    /// The upper bound of each bucket, in seconds, with its count; the last has no bound.
    pub(crate) fn buckets(&self) -> [(f64, u64); BUCKETS] {
        let mut buckets = [(f64::INFINITY, 0); BUCKETS];
        for (place, (bound, count)) in (0_u32..).zip(&mut buckets) {
            *count = self.buckets[place as usize];
            if (place as usize) < BOUNDED {
                // In whole microseconds, so that the bound is written as it is meant.
                *bound = (FIRST.as_micros() as u64 * 2_u64.pow(place)) as f64 / 1e6;
            }
        }
        buckets
    }

    /// The duration, in seconds, that this share of them does not exceed; spread evenly inside a bucket, as
    /// Prometheus' `histogram_quantile` does it. `None` when there are none.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share * self.count() as f64;
        let (mut before, mut lower) = (0.0, 0.0);
        for (bound, count) in self.buckets().into_iter().filter(|_| self.count() > 0) {
            let count = count as f64;
            if before + count >= rank && count > 0.0 {
                let within = (rank - before) / count;
                return Some(if bound.is_finite() { lower + (bound - lower) * within } else { lower });
            }
            before += count;
            lower = bound;
        }
        None
    }
}

impl std::ops::AddAssign for Durations {
    fn add_assign(&mut self, other: Self) {
        self.sum += other.sum;
        for (sum, count) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_double_from_100_us() {
        let bounds = Durations::default().buckets().map(|(bound, _)| bound);
        assert_eq!(bounds[..4], [0.0001, 0.0002, 0.0004, 0.0008]);
        assert_eq!((bounds[17], bounds[18]), (13.1072, f64::INFINITY));
    }

    #[test]
    fn quantiles_are_those_of_what_was_observed() {
        let histogram = Histogram::default();
        assert_eq!(histogram.read().quantile(0.5), None);
        for millis in 1..=100 {
            histogram.observe(Duration::from_millis(millis));
        }
        let read = histogram.read();
        let near = |share, millis: f64| (read.quantile(share).unwrap() * 1e3 / millis - 1.0).abs() < 0.05;
        assert!(near(0.5, 50.0) && near(0.25, 25.0), "{read:?}");
        assert!(near(1.0, 102.4), "the bound of the last bucket: no more is known");
        assert!((read.sum() - 5.05).abs() < 1e-9);
        let slow = Histogram::default();
        slow.observe(Duration::from_secs(100));
        assert_eq!(slow.read().quantile(0.5), Some(13.1072));
    }

    proptest! {
        #[test]
        fn a_duration_is_in_the_first_bucket_that_holds_it(nanos in 0_u64..40_000_000_000) {
            let histogram = Histogram::default();
            histogram.observe(Duration::from_nanos(nanos));
            let mut read = histogram.read();
            prop_assert_eq!(read.count(), 1);
            let fits = |bound: f64| nanos as f64 / 1e9 <= bound;
            let first = read.buckets().iter().position(|(bound, _)| fits(*bound)).unwrap();
            prop_assert_eq!(read.buckets[first], 1);
            read += read;
            prop_assert_eq!(read.count(), 2);
            prop_assert!((read.sum() - 2.0 * nanos as f64 / 1e9).abs() < 1e-9);
        }
    }
}
