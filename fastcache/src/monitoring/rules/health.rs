//! The health service: nodes are served without it, but no failure is noticed.

use crate::monitoring::rule::{Fires, Rule, Severity};

pub(super) fn rules() -> Vec<Rule> {
    vec![down(), probing_stopped(), short_of_resources(), journal_failures()]
}

/// A minute: it is back within seconds when somebody restarts it.
fn down() -> Rule {
    Rule {
        name: "FastCacheHealthServiceDown",
        expression: "up{job=\"fastcache-health\"} == 0",
        lasting_seconds: 60,
        severity: Severity::Critical,
        summary: "The health service does not answer",
        description: "Requests go on by the last view, but from now on a node that dies makes errors until this \
                      service is back. Start it again; with its state directory it goes on where it was.",
        anchor: "health-service-down",
        fires: Fires {
            series: &[("up{job=\"fastcache-health\",instance=\"health\"}", "0x90")],
            alerts: &[&[("job", "fastcache-health"), ("instance", "health")]],
        },
        silent: &[
            ("up{job=\"fastcache-health\",instance=\"health\"}", "1x30 0x4 1x55"),
            ("up{job=\"haproxy\",instance=\"haproxy\"}", "0x90"),
        ],
    }
}

/// Every member is probed once per interval, 30 s by default, so five minutes without a probe are no accident.
fn probing_stopped() -> Rule {
    Rule {
        name: "FastCacheProbingStopped",
        expression: "sum by (instance) (rate(health_service_probes_total[5m])) == 0",
        lasting_seconds: 60,
        severity: Severity::Critical,
        summary: "The health service answers but probes nothing",
        description: "Its verdicts are old: a node that dies is noticed by reports of proxies only. Restart it, and \
                      keep its log for the report of this fault.",
        anchor: "health-service-down",
        fires: Fires {
            series: &[("health_service_probes_total{cause=\"schedule\",instance=\"health\"}", "7x90")],
            alerts: &[&[("instance", "health")]],
        },
        silent: &[
            ("health_service_probes_total{cause=\"schedule\",instance=\"health\"}", "0+1x90"),
            ("health_service_probes_total{cause=\"start\",instance=\"health\"}", "7x90"),
        ],
    }
}

fn short_of_resources() -> Rule {
    Rule {
        name: "FastCacheHealthServiceShortOfResources",
        expression: "rate(health_service_probe_failures_total{reason=\"local\"}[5m]) > 0",
        lasting_seconds: 120,
        severity: Severity::Warning,
        summary: "The health service cannot make its probes",
        description: "It lacks sockets, ports or memory of its own. No node is accused for that, but failures are \
                      not seen either. Look at its limits (open files, memory) and at the host.",
        anchor: "health-service-down",
        fires: Fires {
            series: &[(
                "health_service_probe_failures_total{reason=\"local\",instance=\"health\"}",
                "0+1x90",
            )],
            alerts: &[&[("reason", "local"), ("instance", "health")]],
        },
        silent: &[
            ("health_service_probe_failures_total{reason=\"local\",instance=\"health\"}", "3x90"),
            ("health_service_probe_failures_total{reason=\"refused\",instance=\"health\"}", "0+1x90"),
        ],
    }
}

fn journal_failures() -> Rule {
    Rule {
        name: "FastCacheJournalFailures",
        expression: "increase(health_service_journal_failures_total[10m]) > 0",
        lasting_seconds: 0,
        severity: Severity::Warning,
        summary: "The health service cannot write its state",
        description: "After a restart it would not know which nodes hold old values, and would look at all of them \
                      before it publishes a view. Look at the disk of its state directory: full, read-only, not \
                      its own?",
        anchor: "journal-failures",
        fires: Fires {
            series: &[("health_service_journal_failures_total{instance=\"health\"}", "0x80 1x10")],
            alerts: &[&[("instance", "health")]],
        },
        silent: &[("health_service_journal_failures_total{instance=\"health\"}", "3x90")],
    }
}
