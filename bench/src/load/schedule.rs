//! When each request of an open loop is due.
//!
//! The one idea: the times follow from the rate alone, not from the replies. A subject that stalls does not slow the
//! users down, so whoever waits behind the stall waits from the time *they* came: the latency of a request is counted
//! from when it was due, however late it was sent. (Counting from the sending would leave out the very requests that
//! suffered: "coordinated omission".)

use std::time::Duration;

/// Requests at even distances from a start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Requests per second.
    rate: f64,
    /// How many there are in all.
    total: u64,
}

impl Schedule {
    /// `rate` requests per second for as long as `duration`. The first is due at once.
    #[must_use]
    pub fn new(rate: f64, duration: Duration) -> Self {
        Self { rate, total: (rate * duration.as_secs_f64()).round() as u64 }
    }

    /// How many requests there are in all.
    #[must_use]
    pub fn total(self) -> u64 {
        self.total
    }

    /// When the request of this number is due, counted from the start.
    #[must_use]
    pub fn due(self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// How many requests are due by now.
    #[must_use]
    pub fn due_by(self, now: Duration) -> u64 {
        let guess = ((now.as_secs_f64() * self.rate) as u64 + 1).min(self.total);
        // The multiplication rounds, `due` decides: whoever waits until `due` finds it due.
        if guess < self.total && self.due(guess) <= now { guess + 1 } else { guess }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_distances_whatever_happens() {
        let schedule = Schedule::new(10_000.0, Duration::from_secs(2));
        assert_eq!(schedule.total(), 20_000);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(10_000), Duration::from_secs(1));
        assert_eq!(schedule.due_by(Duration::ZERO), 1);
        assert_eq!(schedule.due_by(Duration::from_micros(199)), 2);
        assert_eq!(schedule.due_by(Duration::from_secs(1)), 10_001);
        assert_eq!(schedule.due_by(Duration::from_secs(100)), 20_000);
    }

    #[test]
    fn whoever_waits_until_a_request_is_due_finds_it_due() {
        for rate in [3.0, 7_777.0, 10_000.0, 123_456.7] {
            let schedule = Schedule::new(rate, Duration::from_secs(3));
            for number in 0..schedule.total() {
                assert!(schedule.due_by(schedule.due(number)) > number, "{rate}: {number}");
            }
        }
    }
}
