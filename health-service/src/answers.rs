//! What the API answers about members, made from the verdict.

use cluster::{CheckerState, NodeHealth, NodeType, Status, Summary};

use crate::board::Board;
use crate::clock::rfc3339;
use crate::verdict::{Member, MemberIndex, Timestamp, Transition, Verdict};

/// The health of one member.
#[must_use]
pub fn node_health(verdict: &Verdict, index: MemberIndex) -> NodeHealth {
    let member = &verdict.members()[index.0];
    let topology = verdict.topology();
    let configured = topology.nodes.iter().chain(&topology.proxies).nth(index.0);
    let last_check = member.last_check.map(rfc3339);
    NodeHealth {
        node_id: member.id.clone(),
        node_type: member.kind,
        host: configured.map(|c| c.address.host.clone()).unwrap_or_default(),
        port: configured.map(|c| c.address.port).unwrap_or_default(),
        zone: configured.and_then(|c| c.zone.clone()),
        status: member.status,
        healthy: member.status == Status::Healthy,
        last_check: last_check.clone(),
        last_checked: last_check,
        response_time_ms: member.response_time.map(|time| saturated(time.as_millis())),
        response_time_us: member.response_time.map(|time| saturated(time.as_micros())),
        error_message: member.error.clone().or_else(|| member.rejoin_error.clone()),
        since: Some(rfc3339(member.since)),
        epoch: verdict.epoch(),
        routable: member.is_node().then_some(member.routable),
        maintenance: member.maintenance,
        consecutive_failures: member.failures,
        consecutive_successes: member.successes,
        run_id: member.run_id.clone(),
    }
}

/// The health of all members of a kind for which `wanted` holds, in the topology's order.
#[must_use]
pub fn members(verdict: &Verdict, kind: NodeType, wanted: impl Fn(&Member) -> bool) -> Vec<NodeHealth> {
    let all = verdict.members().iter().enumerate();
    let chosen = all.filter(|(_, member)| member.kind == kind && wanted(member));
    chosen.map(|(index, _)| node_health(verdict, MemberIndex(index))).collect()
}

/// The cluster in numbers.
#[must_use]
pub fn summary(verdict: &Verdict, now: Timestamp, board: &Board) -> Summary {
    let nodes = Counts::of(verdict.nodes());
    let proxies = Counts::of(verdict.proxies());
    let (checks_per30s, proxy_checks_per30s) = verdict.checks_per_30s(now);
    let count = |wanted: fn(&Member) -> bool| verdict.nodes().iter().filter(|node| wanted(node)).count();
    Summary {
        total_nodes: nodes.total,
        healthy_nodes: nodes.healthy,
        unhealthy_nodes: nodes.unhealthy,
        unknown_nodes: nodes.unknown,
        routable_nodes: count(|node| node.routable),
        maintenance_nodes: count(|node| node.maintenance),
        health_percentage: nodes.percentage(),
        node_health_percentage: nodes.percentage(),
        total: nodes.total,
        healthy: nodes.healthy,
        unhealthy: nodes.unhealthy,
        total_proxies: proxies.total,
        healthy_proxies: proxies.healthy,
        unhealthy_proxies: proxies.unhealthy,
        unknown_proxies: proxies.unknown,
        proxy_health_percentage: proxies.percentage(),
        is_cluster_healthy: nodes.healthy == nodes.total && proxies.healthy == proxies.total,
        timestamp: rfc3339(now),
        epoch: verdict.epoch(),
        checks_per30s,
        proxy_checks_per30s,
        checker: checker(verdict),
        journal_healthy: board.journal_healthy(),
    }
}

/// A member's transitions, oldest first.
#[must_use]
pub fn history(member: &Member) -> Vec<cluster::Transition> {
    let told = |transition: &Transition| cluster::Transition {
        at: rfc3339(transition.at),
        epoch: transition.epoch,
        from: transition.from,
        to: transition.to,
        routable: transition.routable,
        cause: transition.cause.clone(),
    };
    member.history.iter().map(told).collect()
}

fn checker(verdict: &Verdict) -> CheckerState {
    if verdict.is_frozen() {
        CheckerState::Frozen
    } else if verdict.is_starting() {
        CheckerState::Starting
    } else {
        CheckerState::Ok
    }
}

fn saturated(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

struct Counts {
    total: usize,
    healthy: usize,
    unhealthy: usize,
    unknown: usize,
}

impl Counts {
    fn of(members: &[Member]) -> Self {
        let count = |status| members.iter().filter(|member| member.status == status).count();
        Self {
            total: members.len(),
            healthy: count(Status::Healthy),
            unhealthy: count(Status::Unhealthy),
            unknown: count(Status::Unknown),
        }
    }

    /// 0 to 100, to two decimals; 100 of nothing.
    fn percentage(&self) -> f64 {
        if self.total == 0 {
            return 100.0;
        }
        (self.healthy as f64 / self.total as f64 * 10_000.0).round() / 100.0
    }
}
