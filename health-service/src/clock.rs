//! The service's clock: the time of day as it was at the start, and monotonic from then on.
//!
//! The verdict must never see time go back, and timestamps must mean something to people. A step of
//! the system's clock is taken over by the next start.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::verdict::Timestamp;

/// A running clock. Copies agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    started_at: Timestamp,
}

impl Clock {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.started_at + self.started.elapsed()
    }

    /// When this clock will show `at`; now, if it has already.
    #[must_use]
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.started + at.saturating_sub(self.started_at).min(MAX_WAIT + self.started.elapsed())
    }
}

/// No wait is longer: far more than any interval, and safe to add to an instant.
const MAX_WAIT: Duration = Duration::from_secs(86_400);

/// A time as people and programs read it: RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    // The last second that four digits of a year can write.
    let at = at.min(Duration::from_secs(253_402_300_799));
    humantime::format_rfc3339_millis(UNIX_EPOCH + at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(rfc3339(Duration::from_millis(1_705_314_600_250)), "2024-01-15T10:30:00.250Z");
    }

    #[test]
    fn instants_and_times_agree() {
        let clock = Clock::start();
        let in_an_hour = clock.instant(clock.now() + Duration::from_secs(3_600));
        let wait = in_an_hour.saturating_duration_since(Instant::now());
        assert!(wait > Duration::from_secs(3_500) && wait <= Duration::from_millis(3_600_001), "{wait:?}");
        assert!(clock.instant(Timestamp::MAX) <= Instant::now() + MAX_WAIT);
    }
}
