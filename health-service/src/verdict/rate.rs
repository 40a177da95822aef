//! How many probes were started in the last 30 seconds.

use super::event::Timestamp;

/// The seed of the product promises "50 checks / 30 s": the window is that of the promise.
const WINDOW_SECONDS: u64 = 30;

/// Counts by whole seconds, in a ring of as many buckets as the window has.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate {
    buckets: [u32; WINDOW_SECONDS as usize],
    /// The second that was counted last.
    second: u64,
}

impl Rate {
    /// Counts one at `now`.
    pub(super) fn add(&mut self, now: Timestamp) {
        let second = now.as_secs();
        if second > self.second {
            for passed in (self.second + 1..=second).take(self.buckets.len()) {
                self.buckets[(passed % WINDOW_SECONDS) as usize] = 0;
            }
            self.second = second;
        }
        self.buckets[(second % WINDOW_SECONDS) as usize] += 1;
    }

    /// The count over the last 30 seconds.
    pub(super) fn count(&self, now: Timestamp) -> u32 {
        let mut current = self.clone();
        current.add(now);
        current.buckets.iter().sum::<u32>() - 1
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn counts_the_last_thirty_seconds_only() {
        let at = |ms: u64| Duration::from_secs(1_700_000_000) + Duration::from_millis(ms);
        let mut rate = Rate::default();
        for i in 0..150 {
            rate.add(at(i * 600));
        }
        assert_eq!(rate.count(at(149 * 600)), 49);
        assert_eq!(rate.count(at(149 * 600 + 15_000)), 25);
        assert_eq!(rate.count(at(149 * 600 + 31_000)), 0);
        assert_eq!(rate.count(at(900_000)), 0);
    }
}
