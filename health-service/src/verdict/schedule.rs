//! When a member is probed.
//!
//! ```text
//! start      once, all members evenly within 5 s (10 ms apart while that is shorter)
//! schedule   exactly once in each interval, at the member's own phase: no bursts
//! recheck    while not healthy: 1 s after the last outcome, 250 ms after a good one
//! confirm    on a report: at once, but 250 ms after the last one at the earliest
//! ```
//!
//! Steady traffic is the schedule alone. The other three exist only while something is wrong or new.

use std::time::Duration;

use super::event::{Cause, Timestamp};

/// All members are probed within this after the start.
const START_SPREAD: Duration = Duration::from_secs(5);
/// While the members are few, they are probed this far apart at the start: 50 in half a second.
const START_GAP: Duration = Duration::from_millis(10);
/// Pause between two looks at a member that is down: quick enough for a restart, and 30 small probes
/// in 30 s for each member that is down.
const RECHECK: Duration = Duration::from_secs(1);
/// Least time between two confirming probes of a member, however many reports come; also how long
/// one waits for an answer, and the pause before the second of two good probes.
pub const CONFIRM: Duration = Duration::from_millis(250);

/// One member's times to come.
#[derive(Debug, Clone)]
pub struct Schedule {
    start_at: Option<Timestamp>,
    scheduled_at: Timestamp,
    recheck_at: Option<Timestamp>,
    confirm_at: Option<Timestamp>,
    last_confirm: Option<Timestamp>,
    requested: bool,
    /// Probes on their way, by what they are for.
    confirming: bool,
    requesting: bool,
    others: u32,
}

impl Schedule {
    /// Of the `place`th of `all` members, with its turn in the interval at `phase` (0 to 1).
    pub fn new(now: Timestamp, place: usize, all: usize, interval: Duration, phase: f64) -> Self {
        let spread = START_SPREAD.min(START_GAP.saturating_mul(u32::try_from(all).unwrap_or(u32::MAX)));
        Self {
            start_at: Some(now + spread.mul_f64(place as f64 / all.max(1) as f64)),
            scheduled_at: now + interval.mul_f64(phase),
            recheck_at: None,
            confirm_at: None,
            last_confirm: None,
            requested: false,
            confirming: false,
            requesting: false,
            others: 0,
        }
    }

    /// The next time something is due.
    pub fn next(&self) -> Timestamp {
        let times = [self.start_at, self.recheck_at, self.confirm_at.filter(|_| !self.confirming)];
        times.into_iter().flatten().fold(self.scheduled_at, Timestamp::min)
    }

    /// Takes what is due now; each cause taken is a probe that [`Self::ended`] must be told of.
    pub fn take_due(&mut self, now: Timestamp, interval: Duration, due: &mut Vec<Cause>) {
        let from = due.len();
        if take_past(&mut self.start_at, now) {
            due.push(Cause::Start);
        }
        if self.scheduled_at <= now {
            due.push(Cause::Schedule);
            // After a long sleep of the machine, missed turns are not made up for.
            while self.scheduled_at <= now {
                self.scheduled_at += interval;
            }
        }
        self.others += (due.len() - from) as u32;
        if take_past(&mut self.recheck_at, now) && self.others == 0 {
            due.push(Cause::Recheck);
            self.others += 1;
        }
        if !self.confirming && take_past(&mut self.confirm_at, now) {
            due.push(Cause::Confirm);
            self.confirming = true;
            self.last_confirm = Some(now);
        }
        if std::mem::take(&mut self.requested) && !self.requesting {
            due.push(Cause::Request);
            self.requesting = true;
        }
    }

    /// A probe ended.
    pub fn ended(&mut self, cause: Cause) {
        match cause {
            Cause::Confirm => self.confirming = false,
            Cause::Request => self.requesting = false,
            Cause::Start | Cause::Schedule | Cause::Recheck => self.others = self.others.saturating_sub(1),
        }
    }

    /// Asks for a confirming probe as soon as the last one is [`CONFIRM`] ago. While one is on its
    /// way, its outcome is the answer to this report as well.
    pub fn confirm(&mut self, now: Timestamp) {
        if !self.confirming {
            let earliest = self.last_confirm.map_or(now, |last| now.max(last + CONFIRM));
            self.confirm_at.get_or_insert(earliest);
        }
    }

    /// Asks for a probe now.
    pub fn request(&mut self) {
        self.requested = true;
    }

    /// Asks for another look at a member that is not healthy.
    pub fn recheck(&mut self, now: Timestamp, last_was_good: bool) {
        self.recheck_at = Some(now + if last_was_good { CONFIRM } else { RECHECK });
    }

    /// The member is healthy: nothing but the schedule is wanted.
    pub fn settle(&mut self) {
        self.recheck_at = None;
    }
}

fn take_past(at: &mut Option<Timestamp>, now: Timestamp) -> bool {
    at.take_if(|at| *at <= now).is_some()
}
