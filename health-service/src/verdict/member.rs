//! One node or proxy: what is known of it and when one more outcome tips its status.
//!
//! One failed probe proves little: a paused machine or a lost packet looks the same. So a status
//! changes after so many failures or successes in a row, except that the first answer ever makes an
//! UNKNOWN member HEALTHY, and that a failed confirming probe decides at once, because it is the
//! second witness.

use std::collections::VecDeque;
use std::time::Duration;

use cluster::{NodeId, NodeType, Status};

use super::Policy;
use super::event::{Cause, Failure, MemberIndex, Outcome, Success, Timestamp, Transition};
use super::schedule::Schedule;

/// Transitions kept for each member: weeks of a calm cluster, and a few hours of a flapping node.
pub const HISTORY_LEN: usize = 32;

/// A node that went out is not flushed before this long after that was published: proxies must have
/// the view without it by then (they do within some milliseconds), or what one of them writes after
/// the flush stays.
const LEAVE: Duration = Duration::from_millis(250);

/// Pause after a first failed rejoin, doubled with each further one: a node that is just loading is
/// ready soon, one that refuses `FLUSHALL` does so until someone changes it.
const FIRST_REJOIN_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between rejoins.
const LAST_REJOIN_PAUSE: Duration = Duration::from_secs(60);

/// What is known of one member.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub id: NodeId,
    /// Node or proxy.
    pub kind: NodeType,
    /// The verdict.
    pub status: Status,
    /// Since when.
    pub since: Timestamp,
    /// When it became HEALTHY after it had failed.
    pub recovered: Option<Timestamp>,
    /// May be sent traffic. Never for proxies.
    pub routable: bool,
    /// Taken out of service by the operator.
    pub maintenance: bool,
    /// Others may have served its slots: what it holds may be stale, so it must be emptied before it
    /// is routable.
    pub must_rejoin: bool,
    /// Since when proxies are told that it is not routable; none while that is not published yet.
    pub out_since: Option<Timestamp>,
    /// The rejoin on its way, by its number.
    pub rejoining: Option<u64>,
    /// Rejoins that failed in a row.
    pub failed_rejoins: u32,
    /// Not to be readied again before then.
    pub rejoin_after: Timestamp,
    /// Why the last rejoin failed.
    pub rejoin_error: Option<String>,
    /// The process that is, or was last, fit to serve.
    pub run_id: Option<String>,
    /// Failed probes in a row.
    pub failures: u32,
    /// Good probes in a row.
    pub successes: u32,
    /// Since when a node that was routable fails, whatever its status; for the panic rule.
    pub failing_since: Option<Timestamp>,
    /// End of the last probe.
    pub last_check: Option<Timestamp>,
    /// Of the last good probe.
    pub response_time: Option<Duration>,
    /// Why the last probe failed, or could not be made.
    pub error: Option<String>,
    /// Who reported it last, and what; part of the cause when it is confirmed.
    pub reported: Option<String>,
    /// Since its last good probe its kept connection broke, or it turned a proxy away: that the checker cannot log
    /// in is then not the checker's own mistake alone.
    pub turned_away: bool,
    /// When it is probed.
    pub schedule: Schedule,
    /// The last [`HISTORY_LEN`] transitions, oldest first.
    pub history: VecDeque<Transition>,
}

impl Member {
    /// A member nothing is known of.
    pub fn new(id: NodeId, kind: NodeType, now: Timestamp, schedule: Schedule) -> Self {
        Self {
            id,
            kind,
            status: Status::Unknown,
            since: now,
            recovered: None,
            routable: false,
            maintenance: false,
            must_rejoin: false,
            out_since: Some(now),
            rejoining: None,
            failed_rejoins: 0,
            rejoin_after: now,
            rejoin_error: None,
            run_id: None,
            failures: 0,
            successes: 0,
            failing_since: None,
            last_check: None,
            response_time: None,
            error: None,
            reported: None,
            turned_away: false,
            schedule,
            history: VecDeque::new(),
        }
    }

    /// Whether it is a node.
    pub fn is_node(&self) -> bool {
        self.kind == NodeType::Node
    }

    /// Takes the outcome of a probe. Returns the cause in words when that changed anything others
    /// must know: the status, or what it means for routability.
    pub fn observe(
        &mut self,
        now: Timestamp,
        cause: Cause,
        outcome: Outcome,
        policy: &Policy,
    ) -> Option<String> {
        self.last_check = Some(now);
        let had_failed = self.failures > 0 || self.status == Status::Unhealthy;
        let change = match outcome {
            Ok(success) => self.succeed(success, policy),
            Err(failure @ Failure::Local(_)) => {
                self.cannot_tell(now, cause, &failure);
                return None;
            }
            Err(failure) => self.fail(now, cause, &failure, policy),
        };
        if let Some((status, _)) = change.as_ref().filter(|(status, _)| *status != self.status) {
            if had_failed && *status == Status::Healthy {
                self.recovered = Some(now);
            }
            self.status = *status;
            self.since = now;
            // Whether the flush or the failure came last cannot be known.
            self.forget_rejoins(now);
            if self.status == Status::Healthy && matches!(cause, Cause::Confirm | Cause::Request) {
                self.schedule.reopen(now);
            }
        }
        match self.status {
            Status::Healthy => self.schedule.settle(),
            Status::Unhealthy | Status::Unknown => self.schedule.recheck(now, self.error.is_none()),
        }
        if self.status == Status::Unhealthy {
            self.schedule.confirmed();
        }
        change.map(|(_, cause)| cause)
    }

    /// The checker could not look: whoever wanted to know must ask again.
    pub fn cannot_tell(&mut self, now: Timestamp, cause: Cause, failure: &Failure) {
        self.last_check = Some(now);
        self.error = Some(failure.to_string());
        match cause {
            Cause::Confirm => self.schedule.confirm_later(now),
            Cause::Request if self.status == Status::Healthy => {}
            _ => self.schedule.recheck(now, false),
        }
    }

    /// The rejoin on its way does not count, and the next one need not wait for those that failed.
    pub fn forget_rejoins(&mut self, now: Timestamp) {
        self.rejoining = None;
        self.failed_rejoins = 0;
        self.rejoin_after = now;
        self.rejoin_error = None;
    }

    fn succeed(&mut self, success: Success, policy: &Policy) -> Option<(Status, String)> {
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        self.failing_since = None;
        self.turned_away = false;
        self.error = None;
        self.response_time = Some(success.response_time);
        let restarted = success.run_id.is_some_and(|run_id| self.notice_process(run_id));
        let text = |text: String| if restarted { format!("{text}; it is another process") } else { text };
        match self.status {
            Status::Unknown => Some((Status::Healthy, text("first probe succeeded".to_owned()))),
            Status::Unhealthy if self.successes >= policy.successes => {
                Some((Status::Healthy, text(format!("{} probes succeeded in a row", self.successes))))
            }
            _ if restarted => {
                Some((self.status, "it is another process: restarted between two probes".to_owned()))
            }
            _ => None,
        }
    }

    /// Whether the process is another one than the one that was fit to serve.
    fn notice_process(&mut self, run_id: String) -> bool {
        match &self.run_id {
            None => {
                self.run_id = Some(run_id);
                false
            }
            Some(known) if *known == run_id => false,
            Some(_) => {
                let new = !self.must_rejoin;
                // A process that came up by itself may have loaded an old file.
                self.must_rejoin = true;
                new
            }
        }
    }

    fn fail(
        &mut self,
        now: Timestamp,
        cause: Cause,
        failure: &Failure,
        policy: &Policy,
    ) -> Option<(Status, String)> {
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        if self.routable {
            self.failing_since.get_or_insert(now);
        }
        self.error = Some(failure.to_string());
        if self.status == Status::Unhealthy {
            return None;
        }
        if cause == Cause::Confirm {
            let witness = self.reported.take().unwrap_or_default();
            return Some((Status::Unhealthy, format!("{witness}, confirmed: {failure}")));
        }
        (self.failures >= policy.failures)
            .then(|| (Status::Unhealthy, format!("{} probes failed in a row: {failure}", self.failures)))
    }

    /// Takes a failed rejoin: it answers, but cannot be used, and is tried again after a pause.
    /// Returns the cause in words for the first failure in a row.
    pub fn fail_rejoin(&mut self, now: Timestamp, failure: &Failure) -> Option<String> {
        let text = format!("rejoin failed: {failure}");
        let doublings = self.failed_rejoins.min(16);
        self.rejoining = None;
        self.rejoin_after = now + (FIRST_REJOIN_PAUSE * (1 << doublings)).min(LAST_REJOIN_PAUSE);
        self.failed_rejoins = self.failed_rejoins.saturating_add(1);
        self.rejoin_error = Some(text.clone());
        if self.failed_rejoins > 1 {
            return None;
        }
        // It may be that it died meanwhile.
        self.reported = Some(text.clone());
        self.schedule.confirm(now);
        Some(text)
    }

    /// Whether it should be routable. While the status is UNKNOWN the last word holds, and so it
    /// does for failing nodes while the view is frozen.
    pub fn deserves_traffic(&self, frozen: bool) -> bool {
        let held = match self.status {
            Status::Healthy => true,
            Status::Unknown => self.routable,
            Status::Unhealthy => self.routable && frozen,
        };
        self.is_node() && held && !self.maintenance && !self.must_rejoin
    }

    /// When to start its rejoin: it answers and is in service, but must be emptied first, and nobody
    /// does it yet.
    pub fn rejoin_at(&self) -> Option<Timestamp> {
        let awaits = self.is_node()
            && self.must_rejoin
            && self.status == Status::Healthy
            && !self.maintenance
            && self.rejoining.is_none();
        awaits.then_some(self.rejoin_after.max(self.out_since? + LEAVE))
    }

    /// Adds to the history.
    pub fn remember(&mut self, transition: Transition) {
        if self.history.len() == HISTORY_LEN {
            self.history.pop_front();
        }
        self.history.push_back(transition);
    }

    /// A transition of this member.
    pub fn transition(
        &self,
        member: MemberIndex,
        at: Timestamp,
        epoch: u64,
        from: Status,
        cause: String,
    ) -> Transition {
        Transition { member, at, epoch, from, to: self.status, routable: self.routable, cause }
    }
}
