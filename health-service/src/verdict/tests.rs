//! The rules of the verdict one by one, each as a short history with its outcome.

mod doubt;

use std::time::Duration;

use cluster::{MaintenanceMode, ReportKind, Status, Topology, View};

use super::{
    Action, Cause, Event, Failure, MemberIndex, Outcome, Policy, ProbeId, Record, Rejoined, Success,
    Timestamp, Verdict,
};

const POLICY: Policy =
    Policy { interval: Duration::from_secs(30), timeout: Duration::from_secs(5), failures: 3, successes: 2 };
const START: Timestamp = Duration::from_secs(1_700_000_000);
/// What the first view's number is above.
const START_EPOCH: u64 = 1_700_000_000_000;
const NODE1: MemberIndex = MemberIndex(0);

/// A verdict and the probes it has asked for.
struct Case {
    verdict: Verdict,
    now: Timestamp,
    probes: Vec<(ProbeId, MemberIndex, Cause)>,
    rejoins: Vec<(MemberIndex, u64, Option<String>)>,
    published: u32,
}

fn good(run_id: &str) -> Outcome {
    Ok(Success { response_time: Duration::from_millis(2), run_id: Some(run_id.to_owned()) })
}

fn refused() -> Outcome {
    Err(Failure::Refused)
}

fn login(text: &str) -> Failure {
    Failure::Login(text.to_owned())
}

impl Case {
    fn new(nodes: usize) -> Self {
        Self::with_memory(nodes, None)
    }

    fn with_memory(nodes: usize, memory: Option<Record>) -> Self {
        let verdict = Verdict::new(Topology::local(nodes).unwrap(), POLICY, START, memory);
        Self { verdict, now: START, probes: Vec::new(), rejoins: Vec::new(), published: 0 }
    }

    /// All nodes answered their first probe, as process `old`.
    fn running(nodes: usize) -> Self {
        let mut case = Self::new(nodes);
        case.wait(6_000);
        case.answer_all(&good("old"));
        case
    }

    fn step(&mut self, event: Event) {
        for action in self.verdict.step(self.now, event) {
            match action {
                Action::Probe { id, member, cause, .. } => self.probes.push((id, member, cause)),
                Action::Rejoin { node, attempt, known_run_id } => {
                    self.rejoins.push((node, attempt, known_run_id));
                }
                Action::Publish => {
                    self.published += 1;
                    self.verdict.published(self.now);
                }
                Action::Save | Action::Note(_) => {}
            }
        }
    }

    /// Lets so many milliseconds pass.
    fn wait(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while self.verdict.next_tick() <= until {
            self.now = self.now.max(self.verdict.next_tick());
            self.step(Event::Tick);
        }
        self.now = until;
    }

    fn answer_all(&mut self, outcome: &Outcome) {
        for (id, ..) in std::mem::take(&mut self.probes) {
            self.step(Event::Probed(id, outcome.clone()));
        }
    }

    /// Waits for a probe of this cause of node 1, and answers it and all others before it.
    fn answer_next(&mut self, cause: Cause, outcome: &Outcome) {
        for _ in 0..2_000 {
            let asked = self.probes.iter().any(|(_, member, found)| (*member, *found) == (NODE1, cause));
            self.answer_all(outcome);
            if asked {
                return;
            }
            self.wait(20);
        }
        panic!("no {cause:?} probe came");
    }

    /// Answers all probes well until node 1 is HEALTHY.
    fn recover(&mut self, run_id: &str) {
        for _ in 0..2_000 {
            if self.status() == Status::Healthy {
                return;
            }
            self.wait(20);
            self.answer_all(&good(run_id));
        }
        panic!("node 1 does not recover");
    }

    /// Goes on for so many tenths of a second, with these nodes refusing and rejoins succeeding.
    fn go_on(&mut self, tenths: u32, refuses: impl Fn(usize) -> bool) {
        for _ in 0..tenths {
            self.wait(100);
            for (id, member, _) in std::mem::take(&mut self.probes) {
                self.step(Event::Probed(id, if refuses(member.0) { refused() } else { good("old") }));
            }
            while !self.rejoins.is_empty() {
                self.end_rejoin(Ok("old"));
            }
        }
    }

    fn report(&mut self, node: MemberIndex) {
        self.report_as(node, ReportKind::Refused);
    }

    fn report_as(&mut self, node: MemberIndex, kind: ReportKind) {
        let by = "proxy1".parse().unwrap();
        self.step(Event::Reported { node, by, kind });
    }

    fn end_rejoin(&mut self, result: Result<&str, &str>) {
        if self.rejoins.is_empty() {
            self.wait(250);
        }
        let (node, attempt, _) = self.rejoins.pop().expect("a rejoin is on its way");
        let rejoined = |run_id: &str| Rejoined { run_id: Some(run_id.to_owned()), flushed: true };
        self.step(Event::Rejoined(node, attempt, result.map(rejoined).map_err(login)));
    }

    fn status(&self) -> Status {
        self.verdict.members()[0].status
    }

    /// Whether node 1 is routable in the published view.
    fn routable(&self) -> bool {
        self.verdict.view().unwrap().nodes[0].routable
    }

    fn last_cause(&self) -> &str {
        &self.verdict.members()[0].history.back().unwrap().cause
    }
}

#[test]
fn all_nodes_are_looked_at_within_moments_of_the_start() {
    for (count, within) in [(1, 10), (50, 500), (500, 5_000), (4_000, 5_000)] {
        let mut case = Case::new(count);
        case.wait(within);
        let starts = case.probes.iter().filter(|(.., cause)| *cause == Cause::Start).count();
        assert_eq!(starts, count);
    }
}

#[test]
fn fifty_nodes_take_fifty_checks_in_thirty_seconds() {
    let mut case = Case::running(50);
    case.wait(90_000);
    case.answer_all(&good("old"));
    let mut last_second = Vec::new();
    for _ in 0..30 {
        case.probes.clear();
        case.wait(1_000);
        last_second.push(case.probes.len());
    }
    assert_eq!(last_second.iter().sum::<usize>(), 50);
    assert!(last_second.iter().all(|&n| n == 1 || n == 2), "not evenly spread: {last_second:?}");
    assert_eq!(case.verdict.checks_per_30s(case.now), (50, 0));
}

#[test]
fn the_first_view_waits_until_every_node_was_looked_at() {
    let mut case = Case::new(3);
    case.wait(6_000);
    let last = case.probes.pop().unwrap();
    case.answer_all(&good("old"));
    assert!(case.verdict.view().is_none());
    case.step(Event::Probed(last.0, refused()));
    let view = case.verdict.view().unwrap();
    assert_eq!((view.epoch, case.published), (START_EPOCH + 1, 1));
    let routable: Vec<bool> = view.nodes.iter().map(|node| node.routable).collect();
    assert_eq!(routable, [true, true, false]);
}

#[test]
fn statuses_change_after_so_many_outcomes_in_a_row() {
    use Status::{Healthy, Unhealthy};
    let mut case = Case::running(1);
    // (outcome of the next probe, status after it)
    let history = [
        (false, Healthy),
        (false, Healthy),
        (true, Healthy),
        (false, Healthy),
        (false, Healthy),
        (false, Unhealthy),
        (true, Unhealthy),
        (false, Unhealthy),
        (true, Unhealthy),
        (true, Healthy),
    ];
    for (number, (up, expected)) in history.into_iter().enumerate() {
        let cause = if case.status() == Healthy { Cause::Schedule } else { Cause::Recheck };
        case.answer_next(cause, &if up { good("old") } else { refused() });
        assert_eq!(case.status(), expected, "after outcome {number}");
    }
}

#[test]
fn a_reported_node_that_fails_its_confirming_probe_is_out_at_once() {
    let mut case = Case::running(4);
    let epoch = case.verdict.epoch();
    case.report(NODE1);
    assert_eq!(case.probes.len(), 1);
    case.answer_all(&refused());
    assert_eq!((case.status(), case.routable(), case.verdict.epoch()), (Status::Unhealthy, false, epoch + 1));
    assert_eq!(case.last_cause(), "proxy1 reported Refused, confirmed: connection refused");
}

#[test]
fn a_wrong_report_costs_one_probe_and_changes_nothing() {
    let mut case = Case::running(4);
    let epoch = case.verdict.epoch();
    case.report(NODE1);
    case.answer_all(&good("old"));
    assert_eq!((case.status(), case.verdict.epoch()), (Status::Healthy, epoch));
}

#[test]
fn a_storm_of_reports_makes_one_confirming_probe_each_250_ms() {
    let mut case = Case::running(4);
    let mut confirms = 0;
    for _ in 0..1_000 {
        case.report(NODE1);
        case.wait(1);
        confirms += case.probes.iter().filter(|(.., cause)| *cause == Cause::Confirm).count();
        case.answer_all(&good("old"));
    }
    assert!((4..=5).contains(&confirms), "{confirms} in a second");
}

#[test]
fn a_node_that_is_down_is_looked_at_each_second_and_back_within_two() {
    let mut case = Case::running(4);
    case.report(NODE1);
    case.answer_all(&refused());
    let mut rechecks = 0;
    for _ in 0..100 {
        case.wait(100);
        rechecks += case.probes.iter().filter(|(.., cause)| *cause == Cause::Recheck).count();
        case.answer_all(&refused());
    }
    assert!((8..=10).contains(&rechecks), "{rechecks} in ten seconds");
    let down = case.now;
    while case.status() == Status::Unhealthy && case.now - down < Duration::from_secs(60) {
        case.wait(10);
        case.answer_all(&good("new"));
    }
    assert!(case.now - down < Duration::from_millis(1_400), "{:?}", case.now - down);
}

#[test]
fn a_node_that_was_out_rejoins_before_it_is_routable() {
    let mut case = Case::running(4);
    case.report(NODE1);
    case.answer_all(&refused());
    case.answer_next(Cause::Recheck, &good("old"));
    assert!(case.rejoins.is_empty(), "one good probe is not enough");
    case.answer_next(Cause::Recheck, &good("old"));
    assert_eq!((case.status(), case.routable()), (Status::Healthy, false));
    assert_eq!(case.rejoins[0].2.as_deref(), Some("old"));
    let epoch = case.verdict.epoch();
    case.end_rejoin(Ok("old"));
    assert_eq!((case.routable(), case.verdict.epoch()), (true, epoch + 1));
    assert_eq!(case.last_cause(), "rejoined: flushed");
}

#[test]
fn a_failed_rejoin_keeps_the_node_out_and_is_tried_again() {
    let mut case = Case::running(4);
    case.report(NODE1);
    case.answer_all(&refused());
    case.recover("new");
    case.end_rejoin(Err("no"));
    assert_eq!((case.status(), case.routable()), (Status::Healthy, false));
    assert_eq!(case.last_cause(), "rejoin failed: no");
    case.answer_all(&good("new"));
    case.wait(1_000);
    case.end_rejoin(Ok("new"));
    assert!(case.routable() && case.verdict.members()[0].rejoin_error.is_none());
    assert_eq!(case.verdict.view().unwrap().nodes[0].run_id.as_deref(), Some("new"));
}

#[test]
fn a_rejoin_that_a_failure_overtook_does_not_count() {
    let mut case = Case::running(4);
    case.report(NODE1);
    case.answer_all(&refused());
    case.answer_next(Cause::Recheck, &good("new"));
    case.answer_next(Cause::Recheck, &good("new"));
    case.report(NODE1);
    case.wait(300);
    case.answer_all(&refused());
    assert_eq!(case.status(), Status::Unhealthy);
    case.recover("new");
    let overtaken = case.rejoins.remove(0);
    case.rejoins.push(overtaken);
    case.end_rejoin(Ok("new"));
    assert!(!case.routable(), "it may have loaded an old file since");
    case.end_rejoin(Ok("new"));
    assert!(case.routable());
}

#[test]
fn a_process_that_restarted_unseen_passes_through_rejoin() {
    let mut case = Case::running(4);
    let epoch = case.verdict.epoch();
    case.answer_next(Cause::Schedule, &good("new"));
    assert_eq!((case.status(), case.routable(), case.verdict.epoch()), (Status::Healthy, false, epoch + 1));
    case.end_rejoin(Ok("new"));
    assert_eq!((case.routable(), case.verdict.epoch()), (true, epoch + 2));
}

#[test]
fn a_process_that_is_named_late_is_a_new_view() {
    let mut case = Case::new(1);
    case.wait(6_000);
    case.answer_all(&Ok(Success { response_time: Duration::ZERO, run_id: None }));
    assert_eq!(case.verdict.view().unwrap().nodes[0].run_id, None);
    case.answer_next(Cause::Schedule, &good("named"));
    let view = case.verdict.view().unwrap();
    assert_eq!((view.epoch, view.nodes[0].run_id.as_deref()), (START_EPOCH + 2, Some("named")));
    assert!(case.routable() && case.rejoins.is_empty());
}

#[test]
fn maintenance_takes_a_node_out_and_back_through_rejoin() {
    let mut case = Case::running(4);
    case.step(Event::Maintenance(NODE1, MaintenanceMode::Drain));
    assert_eq!((case.status(), case.routable()), (Status::Healthy, false));
    assert!(case.rejoins.is_empty());
    let published = case.published;
    case.step(Event::Maintenance(NODE1, MaintenanceMode::Drain));
    assert_eq!(case.published, published, "draining twice is draining once");
    case.step(Event::Maintenance(NODE1, MaintenanceMode::Ready));
    assert!(!case.routable());
    case.wait(249);
    assert!(case.rejoins.is_empty(), "proxies have time to leave it before it is flushed");
    case.end_rejoin(Ok("old"));
    assert!(case.routable());
}

#[test]
fn a_late_outcome_does_not_touch_the_newer_verdict() {
    let mut case = Case::running(4);
    while !case.probes.iter().any(|(_, member, _)| *member == NODE1) {
        case.probes.clear();
        case.wait(100);
    }
    let late = std::mem::take(&mut case.probes).into_iter().find(|(_, member, _)| *member == NODE1).unwrap();
    case.report(NODE1);
    case.wait(1);
    case.answer_all(&refused());
    case.step(Event::Probed(late.0, good("old")));
    assert_eq!(case.verdict.members()[0].successes, 0);
    case.step(Event::Probed(late.0, good("old")));
    assert_eq!(case.verdict.members()[0].successes, 0, "an outcome counts once");
}

#[test]
fn when_a_third_of_the_nodes_fail_at_once_the_view_is_frozen() {
    let mut case = Case::running(50);
    for node in (0..20).map(MemberIndex) {
        case.report(node);
        case.answer_all(&refused());
    }
    let out = |case: &Case| case.verdict.view().unwrap().nodes.iter().filter(|node| !node.routable).count();
    assert_eq!((out(&case), case.verdict.is_frozen()), (15, true));
    let unhealthy = case.verdict.nodes().iter().filter(|node| node.status == Status::Unhealthy).count();
    assert_eq!(unhealthy, 20, "what is seen is said, frozen or not");

    // Twelve of them answer again: 8 of 50 are fewer than a fifth.
    case.go_on(100, |node| node < 8);
    assert_eq!((out(&case), case.verdict.is_frozen()), (8, false));
}

#[test]
fn a_frozen_view_survives_a_restart_among_the_same_failures() {
    let mut case = Case::running(20);
    for node in (0..7).map(MemberIndex) {
        case.report(node);
        case.answer_all(&refused());
    }
    // Two answer again: a quarter still fails, too few to enter a freeze and too many to leave it.
    case.go_on(200, |node| (2..7).contains(&node));
    let memory = Record::of(&case.verdict).unwrap();
    assert!(case.verdict.is_frozen() && memory.view.nodes[6].routable);
    let mut case = Case::with_memory(20, Some(memory.clone()));
    case.go_on(200, |node| (2..7).contains(&node));
    assert!(case.verdict.is_frozen());
    assert_same_but_newer(case.verdict.view().unwrap(), &memory.view);
}

fn assert_same_but_newer(view: &View, before: &View) {
    assert!(view.epoch > before.epoch, "{} is not above {}", view.epoch, before.epoch);
    assert_eq!(*view, View { epoch: view.epoch, ..before.clone() });
}

#[test]
fn a_higher_epoch_seen_elsewhere_is_overtaken() {
    let mut case = Case::running(4);
    let seen = START_EPOCH + 1_000;
    case.step(Event::EpochSeen(seen));
    assert_eq!((case.verdict.epoch(), case.verdict.view().unwrap().epoch), (seen + 1, seen + 1));
    case.wait(2_000);
    for absurd in [u64::MAX, 1 << 60, seen + 1 + (1 << 41), 5] {
        case.step(Event::EpochSeen(absurd));
        case.wait(2_000);
        assert_eq!(case.verdict.epoch(), seen + 1, "{absurd}");
    }
}

#[test]
fn higher_epochs_are_overtaken_once_a_second_and_none_is_missed() {
    let mut case = Case::running(4);
    let published = case.published;
    for seen in 1..=100 {
        case.step(Event::EpochSeen(START_EPOCH + seen * 1_000));
        case.wait(1);
    }
    assert_eq!((case.published, case.verdict.epoch()), (published + 1, START_EPOCH + 1_001));
    case.wait(1_000);
    assert_eq!((case.published, case.verdict.epoch()), (published + 2, START_EPOCH + 100_001));
}

#[test]
fn a_higher_epoch_seen_before_the_first_view_is_overtaken_by_it() {
    let mut case = Case::new(4);
    case.step(Event::EpochSeen(START_EPOCH + 70));
    assert_eq!((case.verdict.view(), case.published), (None, 0));
    case.wait(6_000);
    case.answer_all(&good("old"));
    assert_eq!((case.verdict.view().unwrap().epoch, case.published), (START_EPOCH + 71, 1));
}

/// A cluster of four whose first node is out, as it is remembered.
fn memory() -> Record {
    let mut case = Case::running(4);
    case.report(NODE1);
    case.answer_all(&refused());
    Record::of(&case.verdict).unwrap()
}

#[test]
fn after_a_restart_the_view_stays_and_who_was_out_must_rejoin() {
    let memory = memory();
    let mut case = Case::with_memory(4, Some(memory.clone()));
    assert_same_but_newer(case.verdict.view().unwrap(), &memory.view);
    let epoch = case.verdict.epoch();
    case.wait(5_000);
    assert!(case.probes.len() >= 4, "all are looked at within five seconds");
    case.answer_all(&good("old"));
    assert_eq!(case.verdict.epoch(), epoch, "good answers change nothing");
    case.answer_next(Cause::Recheck, &good("old"));
    assert_eq!((case.routable(), case.rejoins.len()), (false, 1));
    case.end_rejoin(Ok("old"));
    assert!(case.routable());
}

#[test]
fn after_a_restart_a_node_that_died_meanwhile_is_out_within_seconds() {
    let mut case = Case::with_memory(4, Some(memory()));
    case.go_on(30, |node| node == 1);
    let routable: Vec<bool> = case.verdict.view().unwrap().nodes.iter().map(|node| node.routable).collect();
    assert_eq!(routable, [true, false, true, true]);
}

#[test]
fn a_new_topology_is_a_new_epoch_and_a_new_node_must_rejoin() {
    let memory = memory();
    let mut case = Case::with_memory(5, Some(memory.clone()));
    assert!(case.verdict.epoch() > memory.view.epoch);
    assert_eq!(case.verdict.view().unwrap().nodes.len(), 5);
    case.wait(5_000);
    case.answer_all(&good("old"));
    let rejoining: Vec<MemberIndex> = case.rejoins.iter().map(|(node, ..)| *node).collect();
    assert_eq!(rejoining, [MemberIndex(4)]);
}

#[test]
fn proxies_are_judged_but_never_routable() {
    let topology = Topology::from_lists("node1=127.0.0.1:7001", "proxy1=127.0.0.1:6382").unwrap();
    let verdict = Verdict::new(topology, POLICY, START, None);
    let mut case = Case { verdict, now: START, probes: Vec::new(), rejoins: Vec::new(), published: 0 };
    case.wait(1_000);
    case.answer_all(&good("old"));
    let proxy = &case.verdict.proxies()[0];
    assert_eq!((proxy.status, proxy.routable), (Status::Healthy, false));
    let epoch = case.verdict.epoch();
    case.step(Event::Lost(MemberIndex(1)));
    case.wait(1);
    case.answer_all(&refused());
    assert_eq!(case.verdict.proxies()[0].status, Status::Unhealthy);
    assert_eq!(case.verdict.epoch(), epoch, "no proxy routes by another's health");
}
