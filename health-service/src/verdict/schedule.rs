//! When a member is probed.
//!
//! ```text
//! start      once, all members evenly within 5 s (10 ms apart while that is shorter)
//! schedule   exactly once in each interval, at the member's own phase: no bursts
//! recheck    while not healthy: 1 s after the last outcome, 250 ms after a good one
//! reopen     250 ms after a kept connection broke, as a recheck, whatever the status
//! confirm    on a report: at once, but 250 ms after the last one at the earliest
//! request    for an operator: the same
//! ```
//!
//! Steady traffic is the schedule alone. The others exist only while something is wrong or new.

use std::time::Duration;

use super::event::{Cause, Timestamp};

/// All members are probed within this after the start.
const START_SPREAD: Duration = Duration::from_secs(5);
/// While the members are few, they are probed this far apart at the start: 50 in half a second.
const START_GAP: Duration = Duration::from_millis(10);
/// Pause between two looks at a member that is down: quick enough for a restart, and 30 small probes
/// in 30 s for each member that is down.
const RECHECK: Duration = Duration::from_secs(1);
/// Least time between two confirming (or two requested) probes of a member, however many reports
/// come; also how long a confirming one waits for an answer, and the pause before the second of two
/// good probes.
pub const CONFIRM: Duration = Duration::from_millis(250);

/// One member's times to come.
#[derive(Debug, Clone)]
pub struct Schedule {
    start_at: Option<Timestamp>,
    scheduled_at: Timestamp,
    recheck_at: Option<Timestamp>,
    /// When a broken kept connection is to be opened anew: it is the witness of a restart.
    reopen_at: Option<Timestamp>,
    /// Probes of the three causes above on their way.
    on_the_way: u32,
    confirm: Paced,
    request: Paced,
}

impl Schedule {
    /// Of the `place`th of `all` members, with its turn in the interval at `phase` (0 to 1).
    pub fn new(now: Timestamp, place: usize, all: usize, interval: Duration, phase: f64) -> Self {
        let spread = START_SPREAD.min(START_GAP.saturating_mul(u32::try_from(all).unwrap_or(u32::MAX)));
        Self {
            start_at: Some(now + spread.mul_f64(place as f64 / all.max(1) as f64)),
            scheduled_at: now + interval.mul_f64(phase),
            recheck_at: None,
            reopen_at: None,
            on_the_way: 0,
            confirm: Paced::default(),
            request: Paced::default(),
        }
    }

    /// The next time something is due.
    pub fn next(&self) -> Timestamp {
        let times = [self.start_at, self.recheck_at, self.reopen_at, self.confirm.at, self.request.at];
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
        let recheck = take_past(&mut self.recheck_at, now);
        let reopen = take_past(&mut self.reopen_at, now);
        if (recheck || reopen) && self.on_the_way == 0 && due.len() == from {
            due.push(Cause::Recheck);
        }
        self.on_the_way += (due.len() - from) as u32;
        if self.confirm.take_due(now) {
            due.push(Cause::Confirm);
        }
        if self.request.take_due(now) {
            due.push(Cause::Request);
        }
    }

    /// A probe ended.
    pub fn ended(&mut self, now: Timestamp, cause: Cause) {
        match cause {
            Cause::Confirm => self.confirm.ended(now),
            Cause::Request => self.request.ended(now),
            Cause::Start | Cause::Schedule | Cause::Recheck => {
                self.on_the_way = self.on_the_way.saturating_sub(1);
            }
        }
    }

    /// Asks for a confirming probe. One that is on its way may have looked before what was reported
    /// happened, so another follows it.
    pub fn confirm(&mut self, now: Timestamp) {
        self.confirm.again |= self.confirm.on_the_way;
        self.confirm.want(now);
    }

    /// A confirming probe could not be made: it is wanted again, when the shortage may be over.
    pub fn confirm_later(&mut self, now: Timestamp) {
        self.confirm.at = Some(now + RECHECK);
    }

    /// The member is known to be down: there is nothing left to confirm.
    pub fn confirmed(&mut self) {
        self.confirm.at = None;
        self.confirm.again = false;
    }

    /// The kept connection broke: it is opened anew by a steady probe, so that the next restart is
    /// noticed as well.
    pub fn reopen(&mut self, now: Timestamp) {
        self.reopen_at.get_or_insert(now + CONFIRM);
    }

    /// Asks for a probe for an operator.
    pub fn request(&mut self, now: Timestamp) {
        self.request.want(now);
    }

    /// Asks for another look at a member that is not healthy.
    pub fn recheck(&mut self, now: Timestamp, last_was_good: bool) {
        self.recheck_at = Some(now + if last_was_good { CONFIRM } else { RECHECK });
    }

    /// The member is healthy: nothing but the schedule, and a kept connection, is wanted.
    pub fn settle(&mut self) {
        self.recheck_at = None;
    }
}

/// Probes that others ask for: at most one at a time, and one each [`CONFIRM`], however many ask.
#[derive(Debug, Clone, Default)]
struct Paced {
    at: Option<Timestamp>,
    last: Option<Timestamp>,
    on_the_way: bool,
    /// One more is wanted when the one on its way has ended.
    again: bool,
}

impl Paced {
    fn ended(&mut self, now: Timestamp) {
        self.on_the_way = false;
        if std::mem::take(&mut self.again) {
            self.want(now);
        }
    }

    /// While one is on its way, its outcome is the answer to this wish as well.
    fn want(&mut self, now: Timestamp) {
        if !self.on_the_way {
            let earliest = self.last.map_or(now, |last| now.max(last + CONFIRM));
            self.at.get_or_insert(earliest);
        }
    }

    fn take_due(&mut self, now: Timestamp) -> bool {
        let due = take_past(&mut self.at, now);
        if due {
            self.last = Some(now);
            self.on_the_way = true;
        }
        due
    }
}

fn take_past(at: &mut Option<Timestamp>, now: Timestamp) -> bool {
    at.take_if(|at| *at <= now).is_some()
}
