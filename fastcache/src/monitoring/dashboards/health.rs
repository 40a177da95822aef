//! The health service: what it probes, what it finds, and what it tells.

use crate::monitoring::dashboard::{Dashboard, Row};
use crate::monitoring::panel::{Good, Panel, Unit};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "fastcache-health",
        title: "FastCache: health service",
        description: "What the one judge of health looks at, what it decides, and who listens to it.",
        variables: Vec::new(),
        rows: vec![
            Row { title: "State", panels: state() },
            Row { title: "Probes", panels: probes() },
            Row { title: "Members", panels: members() },
            Row { title: "Views", panels: views() },
        ],
    }
}

fn state() -> Vec<Panel> {
    vec![
        Panel::stat(
            "Answers",
            Good::AtLeast(1.0),
            "0: no node failure is noticed any more, while requests go on by the last view. Start the health service \
             again; with its state directory it goes on where it was.",
        )
        .query("sum(up{job=\"fastcache-health\"})", "up"),
        Panel::stat(
            "Frozen",
            Good::Zero,
            "1: more than 30 % of the nodes failed at once, so routability is held as it was. Look at this service's \
             own network first; drain nodes that are really gone.",
        )
        .query("max(health_service_frozen)", "frozen"),
        Panel::stat(
            "Nodes HEALTHY",
            Good::AtLeast(1.0),
            "Nodes that answer their probes. Fewer than there are: the members below tell which, and their history \
             tells why.",
        )
        .query("sum(health_service_members{kind=\"node\",status=\"HEALTHY\"})", "nodes"),
        Panel::stat(
            "Proxies HEALTHY",
            Good::AtLeast(1.0),
            "Proxies that answer their probes. A proxy that is missing here but used by HAProxy is reachable from \
             one side only.",
        )
        .query("sum(health_service_members{kind=\"proxy\",status=\"HEALTHY\"})", "proxies"),
        Panel::stat(
            "In maintenance",
            Good::Any,
            "Nodes that somebody took out of service. Take them back with POST /health/nodes/ID/maintenance and the \
             mode ready.",
        )
        .query("sum(health_service_member_maintenance)", "nodes"),
        Panel::stat(
            "Listening",
            Good::AtLeast(1.0),
            "Open event streams and long polls: one for each proxy, and any watcher. Fewer than there are proxies: \
             some are cut off and route by an old view.",
        )
        .query("sum(health_service_subscribers)", "subscribers"),
    ]
}

fn probes() -> Vec<Panel> {
    vec![
        Panel::graph(
            "Probes by cause",
            Unit::PerSecond,
            "In peace only `schedule`: one for each member per interval. `confirm` are looks after a report of a \
             proxy, `recheck` looks at what is down. At 0 the service hangs: restart it.",
        )
        .query("sum by (cause) (rate(health_service_probes_total[$__rate_interval]))", "{{cause}}"),
        Panel::graph(
            "Failed probes by reason",
            Unit::PerSecond,
            "`refused`: the process is gone. `timeout`: it hangs or its network is. `local`: this service itself \
             lacks sockets or memory, and no node is accused.",
        )
        .query("sum by (reason) (rate(health_service_probe_failures_total[$__rate_interval]))", "{{reason}}"),
        Panel::graph(
            "How long good probes took",
            Unit::Seconds,
            "Half of the probes, and 99 of 100. A PING takes less than a millisecond; more on all nodes is this \
             service or its network, on one node is that node.",
        )
        .query(
            "histogram_quantile(0.5, sum by (le, kind) (rate(health_service_probe_seconds_bucket[$__rate_interval])))",
            "{{kind}} half",
        )
        .query(
            "histogram_quantile(0.99, sum by (le, kind) (rate(health_service_probe_seconds_bucket[$__rate_interval])))",
            "{{kind}} 99 of 100",
        ),
    ]
}

fn members() -> Vec<Panel> {
    vec![
        Panel::graph(
            "Slowest members",
            Unit::Seconds,
            "The last good probe of the ten slowest. One far above the others is busy with something long: KEYS, \
             huge values, no CPU, swapping.",
        )
        .query("topk(10, health_service_member_response_seconds)", "{{member}}")
        .wide(12),
        Panel::graph(
            "Transitions",
            Unit::PerSecond,
            "Changes of status. Pairs of UNHEALTHY and HEALTHY again and again are a member that flaps: the next \
             panel names it.",
        )
        .query(
            "sum by (kind, to) (rate(health_service_transitions_total[$__rate_interval]))",
            "{{kind}} to {{to}}",
        )
        .wide(12),
        Panel::graph(
            "Members that flap",
            Unit::Number,
            "Empty is good. How often each member changed between HEALTHY and not in the last ten minutes. Take a node that does \
             not stop out of service until it is repaired.",
        )
        .query("changes(health_service_member_healthy[10m]) > 0", "{{member}}")
        .wide(12),
        Panel::graph(
            "HEALTHY but without traffic",
            Unit::Number,
            "Empty is good. Nodes that answer but are not routable: they are being emptied, that failed, or they are in \
             maintenance. GET /health/nodes/ID tells which.",
        )
        .query(
            "health_service_member_healthy{kind=\"node\"} == 1 \
             unless on (instance, member) health_service_member_routable == 1",
            "{{member}}",
        )
        .wide(12),
    ]
}

fn views() -> Vec<Panel> {
    vec![
        Panel::graph(
            "Views published",
            Unit::PerSecond,
            "A view for each change of routability. Many are nodes that flap, and each makes every proxy compile \
             its routing anew.",
        )
        .query("rate(health_service_views_published_total[$__rate_interval])", "views"),
        Panel::graph(
            "Reports of proxies",
            Unit::PerSecond,
            "What proxies saw fail. Reports while all probes are good: a path between a proxy and a node is broken; \
             the proxies' dashboard tells which proxy.",
        )
        .query("rate(health_service_reports_total[$__rate_interval])", "reports"),
        Panel::graph(
            "Rejoins, and what failed",
            Unit::PerSecond,
            "Nodes emptied before they serve again. Failed ones refuse FLUSHALL or do not answer it; failed writes \
             of the journal mean that the state directory's disk is full or not writable.",
        )
        .query("rate(health_service_rejoins_total[$__rate_interval])", "rejoins")
        .query("rate(health_service_rejoin_failures_total[$__rate_interval])", "failed rejoins")
        .query("rate(health_service_journal_failures_total[$__rate_interval])", "failed writes of the journal"),
    ]
}
