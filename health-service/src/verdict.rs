//! The verdict: who is healthy, who is routable, and in which epoch. A pure state machine.
//!
//! ```text
//!            probes, reports, rejoins, operator          probes, rejoins to make
//!  events  --------------------------------->  step  ------------------------------> actions
//!                                             (now)     view to save and publish
//! ```
//!
//! *Status* is what probes say; *routable* is what proxies act on: HEALTHY, in service, and known to
//! hold nothing stale. Whenever the set of routable nodes (or which process one of them is) changes,
//! the epoch rises by one and the view is published; nothing else raises it, save a proxy that has
//! seen a higher one, and a restart: each run starts at the milliseconds since 1970, or above what it
//! remembers if that is higher. So it is above all epochs of earlier runs, be they remembered or not.
//!
//! A node that was out rejoins empty: others served its slots meanwhile, so what it holds may be
//! stale. It is flushed first, unless it is freshly started and empty.
//!
//! This module does no IO and reads no clock. [`crate::monitor`] feeds it and does what it asks for.

mod event;
mod freeze;
mod member;
mod probes;
mod rate;
mod record;
mod schedule;
mod settle;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::{MaintenanceMode, NodeId, NodeType, ReportKind, Status, Topology, View};

pub use event::{
    Action, Cause, Event, Failure, MemberIndex, Outcome, ProbeId, Rejoined, Success, Timestamp, Transition,
};
pub use member::{HISTORY_LEN, Member};
pub use record::{NodeRecord, Record};
pub use schedule::CONFIRM;

use freeze::Freeze;
use probes::InFlight;
use rate::Rate;
use schedule::Schedule;

/// Highest epoch that all readers of JSON can hold (2^53 - 1).
const MAX_EPOCH: u64 = (1 << 53) - 1;
/// A seen epoch this much higher than ours is a fault of the asker and not a lost journal or a clock
/// that was wrong: it is 35 years of milliseconds.
const MAX_EPOCH_JUMP: u64 = 1 << 40;
/// Epochs seen by proxies are caught up with once in this time, however many proxies are ahead.
const CATCH_UP: Duration = Duration::from_secs(1);

/// The rule by which probes make a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Each member is probed once in this time.
    pub interval: Duration,
    /// A probe not answered within this has failed.
    pub timeout: Duration,
    /// Failures in a row that make a member UNHEALTHY.
    pub failures: u32,
    /// Successes in a row that make an UNHEALTHY member HEALTHY.
    pub successes: u32,
}

/// Everything known of the cluster.
#[derive(Debug)]
pub struct Verdict {
    policy: Policy,
    topology: Topology,
    /// The nodes in the topology's order, then the proxies.
    members: Vec<Member>,
    /// The number of the view; while there is none, what its number will be above.
    epoch: u64,
    /// The highest epoch a proxy has, and when ours was raised last for such a reason.
    seen_epoch: u64,
    caught_up: Timestamp,
    /// What was published last. None at first: not before all nodes were probed and most of them were
    /// found HEALTHY, so that a service restarted without a journal does not call nodes out that it
    /// has not looked at, or cannot reach.
    view: Option<Arc<View>>,
    freeze: Freeze,
    in_flight: HashMap<ProbeId, InFlight>,
    /// Numbers of the next probe and of the next rejoin.
    next_probe: u64,
    next_attempt: u64,
    node_checks: Rate,
    proxy_checks: Rate,
}

/// A member whose state an event changed, as it was before, and why it changed.
struct Touched {
    member: MemberIndex,
    from: Status,
    cause: String,
}

impl Verdict {
    /// The verdict at the start: with the memory of an earlier run, if there is one.
    #[must_use]
    pub fn new(topology: Topology, policy: Policy, now: Timestamp, memory: Option<Record>) -> Self {
        let mut verdict = Self {
            policy,
            members: members(&topology, policy.interval, now),
            topology,
            epoch: first_epoch(now),
            seen_epoch: 0,
            caught_up: Timestamp::ZERO,
            view: None,
            freeze: Freeze::default(),
            in_flight: HashMap::new(),
            next_probe: 0,
            next_attempt: 0,
            node_checks: Rate::default(),
            proxy_checks: Rate::default(),
        };
        if let Some(record) = memory {
            record.restore(&mut verdict, now);
        }
        verdict
    }

    /// Gives a member a transition of an earlier run back, oldest first.
    pub fn recall(&mut self, id: &NodeId, mut transition: Transition) {
        if let Some(member) = self.find(id.as_str()) {
            transition.member = member;
            self.members[member.0].remember(transition);
        }
    }

    /// Takes an event that happened at `now` and says what is to be done.
    ///
    /// `now` must not be earlier than at the last call.
    pub fn step(&mut self, now: Timestamp, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        let seen = self.catch_up(now, &event);
        let touched = self.apply(now, event);
        self.settle(now, touched, seen, &mut actions);
        self.start_probes(now, &mut actions);
        actions
    }

    /// The view in force is on its way to the proxies since `now`: those out in it may be readied
    /// once they have been left.
    pub fn published(&mut self, now: Timestamp) {
        for member in &mut self.members {
            member.out_since.get_or_insert(now);
        }
    }

    /// The time by which [`Event::Tick`] is wanted.
    #[must_use]
    pub fn next_tick(&self) -> Timestamp {
        let next =
            |member: &Member| member.rejoin_at().into_iter().fold(member.schedule.next(), Timestamp::min);
        let catch_up = (self.seen_epoch > self.epoch).then_some(self.caught_up + CATCH_UP);
        self.members.iter().map(next).chain(catch_up).min().unwrap_or(Timestamp::MAX)
    }

    /// The number of the view in force; before there is one, a number below its own.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The view in force, once there is one.
    #[must_use]
    pub fn view(&self) -> Option<&Arc<View>> {
        self.view.as_ref()
    }

    /// Whether the panic rule holds routability.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.freeze.is_active()
    }

    /// Whether there is no view yet, or some member has not been probed.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        self.view.is_none() || self.members.iter().any(|member| member.last_check.is_none())
    }

    /// All members: the nodes in the topology's order, then the proxies.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Member] {
        &self.members[..self.topology.nodes.len()]
    }

    /// The proxies.
    #[must_use]
    pub fn proxies(&self) -> &[Member] {
        &self.members[self.topology.nodes.len()..]
    }

    /// The topology all this is about.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The member called `id`.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<MemberIndex> {
        self.members.iter().position(|member| member.id.as_str() == id).map(MemberIndex)
    }

    /// Probes of nodes and of proxies started in the last 30 seconds.
    #[must_use]
    pub fn checks_per_30s(&self, now: Timestamp) -> (usize, usize) {
        (self.node_checks.count(now), self.proxy_checks.count(now))
    }

    /// Changes what the event changes in its member.
    fn apply(&mut self, now: Timestamp, event: Event) -> Option<Touched> {
        let index = match event {
            Event::Tick | Event::EpochSeen(_) => return None,
            Event::Probed(id, outcome) => return self.take_outcome(now, id, outcome),
            Event::Lost(index)
            | Event::Reported { node: index, .. }
            | Event::CheckRequested(index)
            | Event::Maintenance(index, _)
            | Event::Rejoined(index, ..) => index,
        };
        let member = self.members.get_mut(index.0)?;
        let from = member.status;
        let cause = match event {
            Event::Lost(_) => {
                member.schedule.reopen(now);
                member.turned_away = true;
                suspect(member, now, || "its connection was closed".to_owned())
            }
            Event::Reported { by, kind, .. } => {
                member.turned_away |= turns_away(kind);
                suspect(member, now, || format!("{by} reported {kind:?}"))
            }
            Event::CheckRequested(_) => {
                member.schedule.request(now);
                None
            }
            Event::Maintenance(_, mode) => maintain(member, now, mode),
            Event::Rejoined(_, attempt, result) => end_rejoin(member, now, attempt, result),
            Event::Tick | Event::EpochSeen(_) | Event::Probed(..) => None,
        };
        cause.map(|cause| Touched { member: index, from, cause })
    }

    /// Follows the highest epoch that a proxy has seen, if that is above ours; returns whether it
    /// did. All that come within [`CATCH_UP`] are followed together.
    fn catch_up(&mut self, now: Timestamp, event: &Event) -> bool {
        if let Event::EpochSeen(seen) = *event {
            let credible = seen > self.epoch && seen - self.epoch <= MAX_EPOCH_JUMP && seen < MAX_EPOCH;
            self.seen_epoch = self.seen_epoch.max(if credible { seen } else { 0 });
        }
        let follows = self.seen_epoch > self.epoch && self.caught_up + CATCH_UP <= now;
        if follows {
            self.epoch = self.seen_epoch;
            self.caught_up = now;
        }
        follows
    }
}

/// The number that a run which starts now has above all earlier ones: none of them published a view
/// each millisecond.
fn first_epoch(now: Timestamp) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(MAX_EPOCH).min(MAX_EPOCH)
}

/// Whether a proxy reports that the node answers, but does not serve it. A connection that broke, or could not be made,
/// says nothing about the proxy's login.
fn turns_away(kind: ReportKind) -> bool {
    match kind {
        ReportKind::Error | ReportKind::Protocol | ReportKind::RunIdMismatch => true,
        ReportKind::Refused | ReportKind::Reset | ReportKind::Timeout => false,
    }
}

/// Asks for a confirming probe; one that is known to be down has its rechecks.
fn suspect(member: &mut Member, now: Timestamp, what: impl FnOnce() -> String) -> Option<String> {
    if member.status != Status::Unhealthy {
        member.reported = Some(what());
        member.schedule.confirm(now);
    }
    None
}

fn maintain(member: &mut Member, now: Timestamp, mode: MaintenanceMode) -> Option<String> {
    let drain = mode == MaintenanceMode::Drain;
    if member.maintenance == drain || !member.is_node() {
        return None;
    }
    member.maintenance = drain;
    member.forget_rejoins(now);
    Some(if drain { "drained by the operator" } else { "put back by the operator" }.to_owned())
}

fn end_rejoin(
    member: &mut Member,
    now: Timestamp,
    attempt: u64,
    result: Result<Rejoined, Failure>,
) -> Option<String> {
    if member.rejoining != Some(attempt) {
        return None;
    }
    match result {
        Ok(rejoined) => {
            member.forget_rejoins(now);
            member.must_rejoin = false;
            member.run_id = rejoined.run_id;
            Some(
                if rejoined.flushed { "rejoined: flushed" } else { "rejoined: freshly started and empty" }
                    .to_owned(),
            )
        }
        Err(failure) => member.fail_rejoin(now, &failure),
    }
}

fn members(topology: &Topology, interval: Duration, now: Timestamp) -> Vec<Member> {
    let all = topology.nodes.len() + topology.proxies.len();
    let kinds = [(&topology.nodes, NodeType::Node), (&topology.proxies, NodeType::Proxy)];
    let ids = kinds.into_iter().flat_map(|(members, kind)| {
        // The first turn of the first member comes a step after its probe at the start.
        let step = 1.0 / members.len().max(1) as f64;
        (1_u32..)
            .zip(members)
            .map(move |(number, member)| (member.id.clone(), kind, f64::from(number) * step))
    });
    ids.enumerate()
        .map(|(place, (id, kind, phase))| {
            let schedule = Schedule::new(now, place, all, interval, phase);
            Member::new(id, kind, now, schedule)
        })
        .collect()
}
