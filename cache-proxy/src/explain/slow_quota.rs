//! How many slow requests a worker notes: not all of them when everything is slow.
//!
//! When a node stops for a moment, everything behind it is slow, and the worker has least time just then. The first
//! ones tell what has happened; the rest would cost time, and would push them out of the log.
//!
//! Pure.

use std::time::{Duration, Instant};

/// Most requests that are noted in one `WINDOW`: an eighth of the log, by default, so that eight moments of one worker
/// are in it.
const MOST: u32 = 16;

/// A stall, and the queue behind it, are over within this as a rule.
const WINDOW: Duration = Duration::from_secs(1);

/// What is left for now.
#[derive(Debug, Default)]
pub(crate) struct SlowQuota {
    /// When the window began, and how many were noted in it.
    window: Option<(Instant, u32)>,
    /// How many were not noted since the last that was.
    left_out: u64,
}

impl SlowQuota {
    /// Takes one; `Some`: it may be noted, and so many before it were not.
    #[inline]
    pub(crate) fn take(&mut self, now: Instant) -> Option<u64> {
        match &mut self.window {
            Some((began, noted)) if now.saturating_duration_since(*began) < WINDOW => {
                if *noted >= MOST {
                    self.left_out += 1;
                    return None;
                }
                *noted += 1;
            }
            window => *window = Some((now, 1)),
        }
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_second_are_noted_and_the_others_counted() {
        let start = Instant::now();
        let mut quota = SlowQuota::default();
        let mut noted = |millis, count: u32| -> Vec<u64> {
            (0..count).filter_map(|_| quota.take(start + Duration::from_millis(millis))).collect()
        };
        assert_eq!(noted(0, 10), [0; 10]);
        assert_eq!(noted(900, 1_000), [0; 6]);
        assert_eq!(noted(1_001, 2), [994, 0]);
        assert_eq!(noted(5_000, 1), [0]);
    }
}
