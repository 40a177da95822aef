//! When the verdict must not trust what it sees, remembers or has just done.

use super::*;

#[test]
fn a_node_that_can_never_rejoin_is_tried_ever_less_and_noted_once() {
    let mut case = Case::running(4);
    case.report(NODE1);
    case.answer_all(&refused());
    case.recover("old");
    let (epoch, noted) = (case.verdict.epoch(), case.verdict.members()[0].history.len());
    let mut attempts = Vec::new();
    for _ in 0..4_000 {
        case.wait(100);
        case.answer_all(&good("old"));
        if !case.rejoins.is_empty() {
            attempts.push(case.now);
            case.end_rejoin(Err("NOPERM"));
            assert_eq!(case.status(), Status::Healthy);
        }
    }
    let pauses: Vec<u64> = attempts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
    let node = &case.verdict.members()[0];
    assert_eq!((node.history.len(), node.error.as_deref()), (noted + 1, None));
    assert_eq!(node.rejoin_error.as_deref(), Some("rejoin failed: NOPERM"));
    assert_eq!(case.verdict.epoch(), epoch);
}

fn local() -> Outcome {
    Err(Failure::Local("Too many open files (os error 24)".to_owned()))
}

#[test]
fn a_shortage_of_the_checker_counts_neither_for_nor_against_a_node() {
    let mut case = Case::running(4);
    let epoch = case.verdict.epoch();
    for _ in 0..5 {
        case.report(NODE1);
        case.wait(300);
        case.answer_all(&local());
        case.answer_next(Cause::Schedule, &local());
    }
    assert_eq!((case.status(), case.verdict.epoch()), (Status::Healthy, epoch));
    assert_eq!((case.verdict.members()[0].failures, case.verdict.is_frozen()), (0, false));
    // What could not be confirmed is looked at again as soon as that is possible.
    case.report(NODE1);
    case.answer_next(Cause::Confirm, &local());
    case.answer_next(Cause::Confirm, &refused());
    assert_eq!(case.status(), Status::Unhealthy);
    // Nor does it bring one back.
    case.answer_next(Cause::Recheck, &good("old"));
    case.answer_next(Cause::Recheck, &local());
    assert_eq!(case.status(), Status::Unhealthy);
    case.answer_next(Cause::Recheck, &good("old"));
    assert_eq!(case.status(), Status::Healthy);
}

#[test]
fn a_first_view_needs_most_of_the_nodes() {
    let mut case = Case::new(10);
    case.go_on(100, |node| node < 4);
    assert!(case.verdict.view().is_none() && case.verdict.is_starting());
    case.go_on(50, |node| node < 3);
    let view = case.verdict.view().unwrap();
    assert_eq!(view.nodes.iter().filter(|node| node.routable).count(), 7);
    assert!(!case.verdict.is_starting());
}

#[test]
fn a_first_view_is_never_one_without_a_node_to_route_to() {
    let mut case = Case::new(2);
    case.go_on(100, |_| true);
    assert!(case.verdict.view().is_none());
    // That all hung was perhaps the checker's fault: they are not flushed when they answer.
    case.go_on(50, |node| node == 1);
    assert!(case.routable() && case.rejoins.is_empty());
    assert_eq!(case.verdict.members()[0].history.back().unwrap().cause, "2 probes succeeded in a row");
}

#[test]
fn a_restart_is_above_all_that_was_published_saved_or_not() {
    let mut case = Case::running(4);
    let memory = Record::of(&case.verdict).unwrap();
    for _ in 0..50 {
        case.step(Event::Maintenance(NODE1, MaintenanceMode::Drain));
        case.step(Event::Maintenance(NODE1, MaintenanceMode::Ready));
        case.wait(300);
        case.end_rejoin(Ok("old"));
    }
    let topology = || Topology::local(4).unwrap();
    for memory in [Some(memory.clone()), None] {
        let again = Verdict::new(topology(), POLICY, case.now, memory);
        assert!(again.epoch() > case.verdict.epoch());
    }
    // A clock that was set back leaves what is remembered.
    let again = Verdict::new(topology(), POLICY, START / 2, Some(memory.clone()));
    assert_eq!(again.view().unwrap().epoch, memory.view.epoch + 1);
}

#[test]
fn a_lost_connection_is_opened_anew_so_that_a_restart_is_noticed() {
    let mut case = Case::running(4);
    case.step(Event::Lost(NODE1));
    case.answer_all(&good("old"));
    assert_eq!(case.status(), Status::Healthy);
    case.wait(260);
    assert!(
        case.probes.iter().any(|(_, member, cause)| (*member, *cause) == (NODE1, Cause::Recheck)),
        "a confirming probe keeps no connection: {:?}",
        case.probes
    );
    case.answer_all(&good("new"));
    assert!(!case.routable(), "it restarted behind the confirming probe's back");
}

#[test]
fn a_node_at_another_address_is_not_routable_before_it_was_looked_at() {
    let topology = |port: u16| {
        Topology::from_lists(&format!("node1=127.0.0.1:{port},node2=127.0.0.1:7002"), "").unwrap()
    };
    let verdict = Verdict::new(topology(7_001), POLICY, START, None);
    let mut case = Case { verdict, now: START, probes: Vec::new(), rejoins: Vec::new(), published: 0 };
    case.wait(1_000);
    case.answer_all(&good("old"));
    let memory = Record::of(&case.verdict);
    let routable = |port: u16| {
        let verdict = Verdict::new(topology(port), POLICY, START, memory.clone());
        let view = verdict.view().unwrap();
        (view.nodes[0].routable, view.nodes[1].routable, view.nodes[0].run_id.is_some())
    };
    assert_eq!(routable(7_001), (true, true, true));
    assert_eq!(routable(7_009), (false, true, false));
}

#[test]
fn a_report_during_a_confirming_probe_makes_another_one() {
    let mut case = Case::running(4);
    case.report(NODE1);
    let (first, ..) = case.probes.pop().unwrap();
    case.wait(200);
    // It dies after it has answered the first, and a proxy sees it at once.
    case.report(NODE1);
    assert!(case.probes.is_empty());
    case.step(Event::Probed(first, good("old")));
    case.answer_next(Cause::Confirm, &refused());
    assert_eq!((case.status(), case.routable()), (Status::Unhealthy, false));
    assert!(case.now - START < Duration::from_secs(7), "{:?}", case.now - START);
}

#[test]
fn a_node_is_flushed_only_a_while_after_it_is_known_to_be_out() {
    let mut case = Case::running(4);
    let out = case.verdict.step(case.now, Event::Maintenance(NODE1, MaintenanceMode::Drain));
    assert!(out.contains(&Action::Publish));
    case.step(Event::Maintenance(NODE1, MaintenanceMode::Ready));
    case.wait(5_000);
    assert!(case.rejoins.is_empty(), "the disk is slow: nobody knows yet");
    case.verdict.published(case.now);
    case.wait(249);
    assert!(case.rejoins.is_empty());
    case.wait(2);
    assert_eq!(case.rejoins.len(), 1);
}

#[test]
fn nodes_that_return_one_after_the_other_are_not_left_out_of_a_first_view() {
    // Some of them were called UNHEALTHY before they returned, or all of them, or none.
    for silent in [5, 15, 25, 100] {
        let mut case = Case::new(4);
        case.go_on(silent, |_| true);
        case.go_on(5, |node| node < 2);
        case.go_on(50, |_| false);
        let view = case.verdict.view().unwrap();
        assert!(view.nodes.iter().all(|node| node.routable), "{silent}");
        let causes = case.verdict.nodes().iter().flat_map(|node| &node.history).map(|change| &change.cause);
        assert!(
            causes.clone().all(|cause| !cause.contains("flushed")),
            "{silent}: {:?}",
            causes.collect::<Vec<_>>()
        );
    }
}

fn no_login() -> Outcome {
    Err(login("WRONGPASS"))
}

#[test]
fn a_refused_login_alone_takes_no_node_out_that_is_in_use() {
    let mut case = Case::running(4);
    let epoch = case.verdict.epoch();
    for kind in [ReportKind::Reset, ReportKind::Refused, ReportKind::Timeout] {
        // New connections are refused, the kept one works.
        case.report_as(NODE1, kind);
        case.answer_next(Cause::Confirm, &no_login());
        assert_eq!(case.verdict.members()[0].error.as_deref(), Some("WRONGPASS"), "it is told");
        case.wait(20);
        case.answer_next(Cause::Confirm, &no_login());
        case.step(Event::CheckRequested(NODE1));
        case.answer_next(Cause::Request, &no_login());
        case.answer_next(Cause::Schedule, &good("old"));
    }
    assert_eq!((case.status(), case.verdict.epoch()), (Status::Healthy, epoch));
    assert!(!case.verdict.is_frozen() && case.rejoins.is_empty());
    // The proxies cannot use it either.
    case.report_as(NODE1, ReportKind::Error);
    case.answer_next(Cause::Confirm, &no_login());
    assert_eq!((case.status(), case.routable()), (Status::Unhealthy, false));
    assert_eq!(case.last_cause(), "proxy1 reported Error, confirmed: WRONGPASS");
}

#[test]
fn what_was_witnessed_before_a_good_probe_does_not_count() {
    let mut case = Case::running(4);
    case.report_as(NODE1, ReportKind::Error);
    case.answer_next(Cause::Confirm, &good("old"));
    case.report(NODE1);
    case.answer_next(Cause::Confirm, &no_login());
    assert_eq!((case.status(), case.routable()), (Status::Healthy, true));
}

#[test]
fn a_refused_login_after_the_connection_broke_is_believed() {
    let mut case = Case::running(4);
    // It may be another process, with old values in it.
    case.step(Event::Lost(NODE1));
    case.answer_next(Cause::Confirm, &no_login());
    assert_eq!((case.status(), case.routable()), (Status::Unhealthy, false));
    assert_eq!(case.last_cause(), "its connection was closed, confirmed: WRONGPASS");
}

/// A service that is started again with a wrong password, whatever the proxies say of some of the nodes.
#[test]
fn who_is_let_in_nowhere_takes_no_node_out() {
    for (count, reports) in [(1, false), (2, false), (2, true), (5, false), (5, true)] {
        let memory = Record::of(&Case::running(count).verdict);
        let mut case = Case::with_memory(count, memory);
        for _ in 0..600 {
            case.wait(100);
            case.answer_all(&no_login());
            if reports {
                (0..count).for_each(|node| case.report_as(MemberIndex(node), ReportKind::Error));
            }
        }
        let view = case.verdict.view().unwrap();
        assert!(view.nodes.iter().all(|node| node.routable), "{count} nodes, reports: {reports}");
        assert!(case.verdict.nodes().iter().all(|node| node.error.as_deref() == Some("WRONGPASS")));
        // The right one again.
        case.recover("old");
        assert!(case.routable() && case.rejoins.is_empty());
    }
}

#[test]
fn the_last_node_stays_when_its_login_is_refused() {
    let mut case = Case::running(2);
    for node in [NODE1, MemberIndex(1)] {
        case.step(Event::Lost(node));
    }
    case.answer_all(&no_login());
    case.wait(100);
    case.answer_all(&no_login());
    let routable: Vec<bool> = case.verdict.view().unwrap().nodes.iter().map(|node| node.routable).collect();
    assert_eq!(routable, [false, true]);
}

#[test]
fn a_node_that_is_not_in_use_fails_by_a_refused_login() {
    let mut case = Case::running(4);
    case.report(NODE1);
    case.answer_all(&refused());
    case.recover("old");
    for _ in 0..3 {
        case.answer_next(Cause::Schedule, &no_login());
    }
    assert_eq!(case.status(), Status::Unhealthy);
    assert!(case.last_cause().ends_with("probes failed in a row: WRONGPASS"), "{}", case.last_cause());
}
