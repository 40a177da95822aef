//! How many probes were started in the last 30 seconds, exactly.

use std::collections::VecDeque;
use std::time::Duration;

use super::event::Timestamp;

/// What is promised is "50 checks / 30 s": the window is that of the promise.
const WINDOW: Duration = Duration::from_secs(30);

/// When the probes of the last 30 seconds were started. The schedule bounds how many these are.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate {
    times: VecDeque<Timestamp>,
}

impl Rate {
    /// Counts one at `now`, which is not before the last one.
    pub(super) fn add(&mut self, now: Timestamp) {
        while self.times.front().is_some_and(|time| *time + WINDOW <= now) {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    /// The count over the last 30 seconds.
    pub(super) fn count(&self, now: Timestamp) -> usize {
        self.times.len() - self.times.partition_point(|time| *time + WINDOW <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_last_thirty_seconds_only() {
        let at = |ms: u64| Duration::from_secs(1_700_000_000) + Duration::from_millis(ms);
        let mut rate = Rate::default();
        for i in 0..150 {
            rate.add(at(i * 600));
        }
        assert_eq!(rate.count(at(149 * 600)), 50);
        assert_eq!(rate.count(at(149 * 600 + 599)), 50);
        assert_eq!(rate.count(at(149 * 600 + 15_000)), 25);
        assert_eq!(rate.count(at(149 * 600 + 30_000)), 0);
        assert!(rate.times.len() <= 51, "old times are forgotten");
    }
}
