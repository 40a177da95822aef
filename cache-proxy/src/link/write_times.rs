//! When the requests on a link were written, for whoever finds one slow: the time since its client asked is not all the
//! node's.
//!
//! The one idea: requests are counted and not marked. A *mark* says how many there had been at one time, so thousands
//! that were written within a millisecond share one.
//!
//! Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Writes closer together than this share a mark: whoever wants to know does so of requests that took ten times as
/// long, and a node that does not answer leaves no more marks than this goes into its timeout.
const MARK_EVERY: Duration = Duration::from_millis(1);

/// Marks kept allocated when there are none: a node that answers within 16 ms needs no more.
const KEPT_MARKS: usize = 16;

/// The times of the writes whose requests are not answered, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct WriteTimes(VecDeque<Mark>);

/// A time at which the socket was given all requests up to one.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    /// How many requests there had been by then.
    pushed: u64,
}

impl WriteTimes {
    /// The socket is given all there is, at this time: there have been `pushed` requests, and so many are `answered`.
    #[inline]
    pub(crate) fn note(&mut self, now: Instant, pushed: u64, answered: u64) {
        if let Some(last) = self.0.back_mut()
            && now.saturating_duration_since(last.at) < MARK_EVERY
        {
            last.pushed = pushed;
            return;
        }
        while self.0.front().is_some_and(|mark| mark.pushed <= answered) {
            self.0.pop_front();
        }
        if self.0.is_empty() {
            self.0.shrink_to(KEPT_MARKS);
        }
        self.0.push_back(Mark { at: now, pushed });
    }

    /// When the request was written before which there had been so many.
    pub(crate) fn of(&self, earlier: u64) -> Option<Instant> {
        self.0.iter().find(|mark| mark.pushed > earlier).map(|mark| mark.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_when_a_request_was_written() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut written = WriteTimes::default();
        assert_eq!(written.of(0), None);
        (1..=3).for_each(|pushed| written.note(at(10 * pushed), pushed, 0));
        assert_eq!(
            [0, 1, 2, 3].map(|earlier| written.of(earlier)),
            [Some(at(10)), Some(at(20)), Some(at(30)), None]
        );
        written.note(at(30), 5, 0);
        assert_eq!(written.of(4), Some(at(30)), "it shares the mark");
        (0..10_000).for_each(|number| written.note(at(40 + number), 6 + number, 5));
        written.note(at(20_000), 10_006, 10_005);
        assert_eq!(written.of(10_005), Some(at(20_000)));
        assert!(written.0.capacity() <= 2 * KEPT_MARKS, "a node's silence is given back");
    }
}
