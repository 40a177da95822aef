//! Nodes that are down, and what the cluster does about it.

use crate::monitoring::rule::{Fires, Rule, Severity};

pub(super) fn rules() -> Vec<Rule> {
    vec![node_unhealthy(), many_nodes_down(), routing_frozen(), node_flaps(), rejoin_fails(), node_slow()]
}

/// A minute: a node that is restarted on purpose is back by then.
fn node_unhealthy() -> Rule {
    Rule {
        name: "FastCacheNodeUnhealthy",
        expression: "health_service_member_healthy{kind=\"node\"} == 0 \
                     unless on (instance, member) health_service_member_maintenance == 1",
        lasting_seconds: 60,
        severity: Severity::Warning,
        summary: "Cache node {{ $labels.member }} is not HEALTHY",
        description: "Other nodes serve its keys, which had to be filled again. GET \
                      /health/nodes/{{ $labels.member }} tells the cause. Start it again; it is emptied and takes its \
                      keys back by itself.",
        anchor: "node-unhealthy",
        fires: Fires {
            series: &[
                ("health_service_member_healthy{kind=\"node\",member=\"node1\",instance=\"health\"}", "0x90"),
                ("health_service_member_healthy{kind=\"node\",member=\"node2\",instance=\"health\"}", "1x90"),
                (
                    "health_service_member_maintenance{kind=\"node\",member=\"node1\",instance=\"health\"}",
                    "0x90",
                ),
            ],
            alerts: &[&[("kind", "node"), ("member", "node1"), ("instance", "health")]],
        },
        silent: &[
            (
                "health_service_member_healthy{kind=\"node\",member=\"node1\",instance=\"health\"}",
                "1x83 0x3 1x2",
            ),
            // Out of service on purpose, and a proxy: that is another rule's.
            ("health_service_member_healthy{kind=\"node\",member=\"node2\",instance=\"health\"}", "0x90"),
            ("health_service_member_maintenance{kind=\"node\",member=\"node2\",instance=\"health\"}", "1x90"),
            ("health_service_member_healthy{kind=\"proxy\",member=\"proxy1\",instance=\"health\"}", "0x90"),
        ],
    }
}

/// A fifth: the others then carry a quarter more than usual, and most clusters have that much to spare.
fn many_nodes_down() -> Rule {
    Rule {
        name: "FastCacheManyNodesDown",
        expression: "sum by (instance) (health_service_members{kind=\"node\",status=\"UNHEALTHY\"}) \
                     / sum by (instance) (health_service_members{kind=\"node\"}) > 0.2",
        lasting_seconds: 60,
        severity: Severity::Critical,
        summary: "More than a fifth of the cache nodes are UNHEALTHY",
        description: "The other nodes carry their load, and the database behind the cache is asked for what they \
                      held. Look for what the nodes have in common: a host, a rack, a network, a release. Above \
                      30 % routing freezes.",
        anchor: "many-nodes-down",
        fires: Fires {
            series: &[
                ("health_service_members{kind=\"proxy\",status=\"HEALTHY\",instance=\"health\"}", "5x90"),
                ("health_service_members{kind=\"node\",status=\"UNHEALTHY\",instance=\"health\"}", "11x90"),
                ("health_service_members{kind=\"node\",status=\"HEALTHY\",instance=\"health\"}", "39x90"),
            ],
            alerts: &[&[("instance", "health")]],
        },
        silent: &[
            ("health_service_members{kind=\"node\",status=\"UNHEALTHY\",instance=\"health\"}", "10x90"),
            ("health_service_members{kind=\"node\",status=\"HEALTHY\",instance=\"health\"}", "40x90"),
            ("health_service_members{kind=\"proxy\",status=\"UNHEALTHY\",instance=\"health\"}", "5x90"),
        ],
    }
}

fn routing_frozen() -> Rule {
    Rule {
        name: "FastCacheRoutingFrozen",
        expression: "health_service_frozen == 1",
        lasting_seconds: 30,
        severity: Severity::Critical,
        summary: "Routing is frozen: more than 30 % of the nodes failed at once",
        description: "So many failures at once look like a fault of the observer, so the last view stays in force \
                      and keys of nodes that are really gone get errors. Check the health service's own network \
                      first. If the nodes are gone, drain them: POST /health/nodes/ID/maintenance.",
        anchor: "routing-frozen",
        fires: Fires {
            series: &[("health_service_frozen{instance=\"health\"}", "1x90")],
            alerts: &[&[("instance", "health")]],
        },
        silent: &[("health_service_frozen{instance=\"health\"}", "0x30 1x2 0x57")],
    }
}

/// Out and back is two changes: twice in ten minutes may be a restart that went wrong once, more is not.
fn node_flaps() -> Rule {
    Rule {
        name: "FastCacheNodeFlaps",
        expression: "changes(health_service_member_routable[10m]) > 4",
        lasting_seconds: 0,
        severity: Severity::Warning,
        summary: "Cache node {{ $labels.member }} leaves and comes back again and again",
        description: "Each time it comes back it is emptied, so the hit rate suffers. GET \
                      /health/nodes/{{ $labels.member }}/history tells why. Take it out of service until it is \
                      repaired: POST /health/nodes/{{ $labels.member }}/maintenance.",
        anchor: "node-flaps",
        fires: Fires {
            series: &[(
                "health_service_member_routable{kind=\"node\",member=\"node1\",instance=\"health\"}",
                "1x50 0x5 1x5 0x5 1x5 0x5 1x10",
            )],
            alerts: &[&[("kind", "node"), ("member", "node1"), ("instance", "health")]],
        },
        silent: &[(
            "health_service_member_routable{kind=\"node\",member=\"node1\",instance=\"health\"}",
            "1x50 0x5 1x5 0x5 1x20",
        )],
    }
}

/// Two minutes: emptying a node takes milliseconds, and a first failure is tried again within seconds.
fn rejoin_fails() -> Rule {
    Rule {
        name: "FastCacheRejoinFails",
        expression: "health_service_member_healthy{kind=\"node\"} == 1 \
                     unless on (instance, member) health_service_member_routable == 1 \
                     unless on (instance, member) health_service_member_maintenance == 1",
        lasting_seconds: 120,
        severity: Severity::Warning,
        summary: "Cache node {{ $labels.member }} is HEALTHY but gets no traffic",
        description: "A node that comes back must be emptied first, and it refuses FLUSHALL or does not answer it. \
                      GET /health/nodes/{{ $labels.member }} and the health service's log tell the error.",
        anchor: "rejoin-fails",
        fires: Fires {
            series: &[
                ("health_service_member_healthy{kind=\"node\",member=\"node1\",instance=\"health\"}", "1x90"),
                (
                    "health_service_member_routable{kind=\"node\",member=\"node1\",instance=\"health\"}",
                    "0x90",
                ),
                (
                    "health_service_member_maintenance{kind=\"node\",member=\"node1\",instance=\"health\"}",
                    "0x90",
                ),
            ],
            alerts: &[&[("kind", "node"), ("member", "node1"), ("instance", "health")]],
        },
        silent: &[
            ("health_service_member_healthy{kind=\"proxy\",member=\"proxy1\",instance=\"health\"}", "1x90"),
            ("health_service_member_healthy{kind=\"node\",member=\"node1\",instance=\"health\"}", "1x90"),
            (
                "health_service_member_routable{kind=\"node\",member=\"node1\",instance=\"health\"}",
                "1x83 0x3 1x2",
            ),
            // Out of service on purpose.
            ("health_service_member_healthy{kind=\"node\",member=\"node2\",instance=\"health\"}", "1x90"),
            ("health_service_member_routable{kind=\"node\",member=\"node2\",instance=\"health\"}", "0x90"),
            ("health_service_member_maintenance{kind=\"node\",member=\"node2\",instance=\"health\"}", "1x90"),
            // Down: that is another rule's.
            ("health_service_member_healthy{kind=\"node\",member=\"node3\",instance=\"health\"}", "0x90"),
            ("health_service_member_routable{kind=\"node\",member=\"node3\",instance=\"health\"}", "0x90"),
        ],
    }
}

/// A node answers a PING in less than a millisecond. A tenth of a second means that it was doing something else.
fn node_slow() -> Rule {
    Rule {
        name: "FastCacheNodeSlow",
        expression: "min_over_time(health_service_member_response_seconds{kind=\"node\"}[2m]) > 0.1",
        lasting_seconds: 120,
        severity: Severity::Warning,
        summary: "Cache node {{ $labels.member }} takes more than 0.1 s to answer a PING",
        description: "Whatever clients ask of it waits as long. Usual causes: KEYS or other commands over a whole \
                      key space, very large values, a host without free CPU, swapping.",
        anchor: "node-slow",
        fires: Fires {
            series: &[(
                "health_service_member_response_seconds{kind=\"node\",member=\"node1\",instance=\"health\"}",
                "0.2x90",
            )],
            alerts: &[&[("kind", "node"), ("member", "node1"), ("instance", "health")]],
        },
        silent: &[
            (
                "health_service_member_response_seconds{kind=\"node\",member=\"node1\",instance=\"health\"}",
                "0.001x60 0.4x3 0.001x25",
            ),
            (
                "health_service_member_response_seconds{kind=\"proxy\",member=\"proxy1\",instance=\"health\"}",
                "0.2x90",
            ),
        ],
    }
}
