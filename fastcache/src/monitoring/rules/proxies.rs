//! Proxies: whether they run, route alike, and answer what they are asked.

use crate::monitoring::rule::{Fires, Rule, Severity};

pub(super) fn rules() -> Vec<Rule> {
    vec![
        proxy_down(),
        all_proxies_down(),
        no_view(),
        old_view(),
        requests_expire(),
        requests_wait(),
        errors(),
        node_connections_fail(),
        node_answers_slowly(),
        connections_rejected(),
        reports_refused(),
        reports_fail(),
    ]
}

fn proxy_down() -> Rule {
    Rule {
        name: "FastCacheProxyDown",
        expression: "up{job=\"fastcache-proxy\"} == 0",
        lasting_seconds: 60,
        severity: Severity::Warning,
        summary: "Proxy {{ $labels.instance }} does not answer",
        description: "HAProxy sends new clients to the other proxies. Start it again; it serves as soon as it has \
                      read the last view.",
        anchor: "proxy-down",
        fires: Fires {
            series: &[
                ("up{job=\"fastcache-proxy\",instance=\"proxy1\"}", "0x90"),
                ("up{job=\"fastcache-proxy\",instance=\"proxy2\"}", "1x90"),
            ],
            alerts: &[&[("job", "fastcache-proxy"), ("instance", "proxy1")]],
        },
        silent: &[
            ("up{job=\"prometheus\",instance=\"prometheus\"}", "0x90"),
            ("up{job=\"fastcache-proxy\",instance=\"proxy1\"}", "1x30 0x4 1x55"),
        ],
    }
}

fn all_proxies_down() -> Rule {
    Rule {
        name: "FastCacheAllProxiesDown",
        expression: "sum by (job) (up{job=\"fastcache-proxy\"}) == 0",
        lasting_seconds: 20,
        severity: Severity::Critical,
        summary: "No proxy answers: the cache is down",
        description: "Applications get no answer at all. What do the proxies have in common: a host, a release, a \
                      setting? Their logs end with the reason.",
        anchor: "all-proxies-down",
        fires: Fires {
            series: &[
                ("up{job=\"fastcache-proxy\",instance=\"proxy1\"}", "0x90"),
                ("up{job=\"fastcache-proxy\",instance=\"proxy2\"}", "0x90"),
            ],
            alerts: &[&[("job", "fastcache-proxy")]],
        },
        silent: &[
            ("up{job=\"haproxy\",instance=\"haproxy\"}", "0x90"),
            ("up{job=\"fastcache-proxy\",instance=\"proxy1\"}", "0x90"),
            ("up{job=\"fastcache-proxy\",instance=\"proxy2\"}", "1x90"),
        ],
    }
}

fn no_view() -> Rule {
    Rule {
        name: "FastCacheProxyWithoutView",
        expression: "cache_proxy_view_epoch == 0",
        lasting_seconds: 30,
        severity: Severity::Critical,
        summary: "Proxy {{ $labels.instance }} has had no view of the health service",
        description: "It routes by the cluster.toml it was given, or else not at all. Either the health service has \
                      published no view yet, or this proxy cannot reach it: GET /health/view of the health service \
                      tells which.",
        anchor: "no-view",
        fires: Fires {
            series: &[("cache_proxy_view_epoch{instance=\"proxy1\"}", "0x90")],
            alerts: &[&[("instance", "proxy1")]],
        },
        silent: &[("cache_proxy_view_epoch{instance=\"proxy1\"}", "0x2 7x87")],
    }
}

/// All proxies follow a new view within milliseconds; a scrape that falls between two of them is over at the next.
fn old_view() -> Rule {
    Rule {
        name: "FastCacheProxyRoutesByOldView",
        expression: "cache_proxy_view_epoch < scalar(max(cache_proxy_view_epoch or health_service_epoch))",
        lasting_seconds: 60,
        severity: Severity::Critical,
        summary: "Proxy {{ $labels.instance }} routes by an older view than the others",
        description: "It is cut off from the health service. It may read and write keys on nodes that the others \
                      have left, so its clients can see old values. Repair its way to the health service, or stop it.",
        anchor: "proxies-disagree",
        fires: Fires {
            series: &[
                ("cache_proxy_view_epoch{instance=\"proxy1\"}", "7x90"),
                ("cache_proxy_view_epoch{instance=\"proxy2\"}", "8x90"),
                ("cache_proxy_view_epoch{instance=\"proxy3\"}", "9x90"),
                ("health_service_epoch{instance=\"health\"}", "9x90"),
            ],
            alerts: &[&[("instance", "proxy1")], &[("instance", "proxy2")]],
        },
        silent: &[
            ("cache_proxy_view_epoch{instance=\"proxy1\"}", "7x86 8x3"),
            ("cache_proxy_view_epoch{instance=\"proxy2\"}", "7x85 8x4"),
            ("health_service_epoch{instance=\"health\"}", "7x85 8x4"),
        ],
    }
}

/// As long as the range of the rate, and so longer than a single burst is seen.
fn requests_expire() -> Rule {
    Rule {
        name: "FastCacheRequestsExpire",
        expression: "rate(cache_proxy_requests_expired_total[1m]) > 0",
        lasting_seconds: 60,
        severity: Severity::Critical,
        summary: "Proxy {{ $labels.instance }} gives up requests: clients get errors",
        description: "A node could not be reached for longer than the hold timeout, or did not reply within the \
                      node timeout, and no view without it came. Is the health service up, is routing frozen, is a \
                      node stuck in a slow command?",
        anchor: "requests-expire",
        fires: Fires {
            series: &[("cache_proxy_requests_expired_total{instance=\"proxy1\"}", "0+1x90")],
            alerts: &[&[("instance", "proxy1")]],
        },
        silent: &[("cache_proxy_requests_expired_total{instance=\"proxy1\"}", "0x30 5x60")],
    }
}

fn requests_wait() -> Rule {
    Rule {
        name: "FastCacheRequestsWait",
        expression: "min_over_time(cache_proxy_requests_waiting[1m]) > 0",
        lasting_seconds: 60,
        severity: Severity::Warning,
        summary: "Proxy {{ $labels.instance }} holds requests all the time",
        description: "A failover holds requests for milliseconds. Minutes of it mean that a node in service takes \
                      no connection from this proxy: look at the proxy's log for the node's name, and at its limit \
                      of clients.",
        anchor: "requests-expire",
        fires: Fires {
            series: &[("cache_proxy_requests_waiting{instance=\"proxy1\"}", "3x90")],
            alerts: &[&[("instance", "proxy1")]],
        },
        silent: &[("cache_proxy_requests_waiting{instance=\"proxy1\"}", "0x30 9 0x3 9 0x53 9")],
    }
}

/// One request in a hundred, and only where there is traffic: a few mistyped commands are nobody's alarm.
fn errors() -> Rule {
    Rule {
        name: "FastCacheProxyErrors",
        expression: "sum without (kind) (rate(cache_proxy_errors_total[5m])) / rate(cache_proxy_requests_total[5m]) > 0.01 \
                     and sum without (kind) (rate(cache_proxy_errors_total[5m])) > 0.1",
        lasting_seconds: 300,
        severity: Severity::Warning,
        summary: "Proxy {{ $labels.instance }} answers more than 1 % of the requests with errors of its own",
        description: "Either clients ask for what the proxy refuses (keys on different nodes, unknown or \
                      administrative commands, a wrong password) or nodes cannot be reached. When no request expires \
                      it is the clients: the label kind of cache_proxy_errors_total tells what they are answered.",
        anchor: "proxy-errors",
        fires: Fires {
            series: &[
                ("cache_proxy_errors_total{instance=\"proxy1\",kind=\"ERR\"}", "0+10x90"),
                ("cache_proxy_errors_total{instance=\"proxy1\",kind=\"UNAVAILABLE\"}", "0x20 10+10x69"),
                ("cache_proxy_requests_total{instance=\"proxy1\"}", "0+1000x90"),
            ],
            alerts: &[&[("instance", "proxy1")]],
        },
        silent: &[
            // A tenth of the requests of somebody who tries commands by hand.
            ("cache_proxy_errors_total{instance=\"proxy3\",kind=\"ERR\"}", "0+0.5x90"),
            ("cache_proxy_requests_total{instance=\"proxy3\"}", "0+5x90"),
            ("cache_proxy_errors_total{instance=\"proxy1\",kind=\"ERR\"}", "0+5x90"),
            ("cache_proxy_requests_total{instance=\"proxy1\"}", "0+1000x90"),
            ("cache_proxy_errors_total{instance=\"proxy2\",kind=\"ERR\"}", "0x60 1x30"),
            ("cache_proxy_requests_total{instance=\"proxy2\"}", "0x60 1x30"),
        ],
    }
}

/// A dead node costs a connection per proxy and second at most until the view without it is there.
fn node_connections_fail() -> Rule {
    Rule {
        name: "FastCacheNodeConnectionsFail",
        expression: "rate(cache_proxy_node_connection_failures_total[5m]) > 0.1",
        lasting_seconds: 300,
        severity: Severity::Warning,
        summary: "Proxy {{ $labels.instance }} keeps losing its connections to {{ $labels.node }}",
        description: "If all proxies tell this, the node is down or refuses connections. If one does, its path to that \
                      node is broken: the health service, which reaches the node, does not take it out of service. \
                      The proxy's log says why.",
        anchor: "node-connections-fail",
        fires: Fires {
            series: &[(
                "cache_proxy_node_connection_failures_total{instance=\"proxy1\",node=\"node1\"}",
                "0+5x90",
            )],
            alerts: &[&[("instance", "proxy1"), ("node", "node1")]],
        },
        silent: &[(
            "cache_proxy_node_connection_failures_total{instance=\"proxy1\",node=\"node1\"}",
            "0x20 4x70",
        )],
    }
}

/// A hundred times what a reply over a local network takes. A node that answers its PING at once may still be slow in
/// what clients ask of it; the health service cannot see that. Of a few requests the slowest in a hundred is the slowest
/// of all, and one `KEYS` nobody's alarm.
fn node_answers_slowly() -> Rule {
    Rule {
        name: "FastCacheNodeAnswersSlowly",
        expression: "histogram_quantile(0.99, sum by (node, le) \
                     (rate(cache_proxy_node_request_duration_seconds_bucket[5m]))) > 0.1 \
                     and sum by (node) (rate(cache_proxy_node_request_duration_seconds_count[5m])) > 1",
        lasting_seconds: 300,
        severity: Severity::Warning,
        summary: "One in a hundred requests to {{ $labels.node }} takes more than 0.1 s",
        description: "What the proxies see of this node, from a request's arrival to the reply. PROXY SLOWLOG GET on a \
                      proxy names the commands and tells the node's time from the proxy's; SLOWLOG GET tells what the \
                      nodes executed for long.",
        anchor: "node-slow",
        fires: Fires {
            series: &[
                (
                    "cache_proxy_node_request_duration_seconds_bucket{instance=\"proxy1\",node=\"node1\",le=\"0.1024\"}",
                    "0+90x90",
                ),
                (
                    "cache_proxy_node_request_duration_seconds_bucket{instance=\"proxy1\",node=\"node1\",le=\"0.2048\"}",
                    "0+100x90",
                ),
                (
                    "cache_proxy_node_request_duration_seconds_bucket{instance=\"proxy1\",node=\"node1\",le=\"+Inf\"}",
                    "0+100x90",
                ),
                (
                    "cache_proxy_node_request_duration_seconds_count{instance=\"proxy1\",node=\"node1\"}",
                    "0+100x90",
                ),
            ],
            alerts: &[&[("node", "node1")]],
        },
        silent: &[
            (
                "cache_proxy_node_request_duration_seconds_bucket{instance=\"proxy1\",node=\"node1\",le=\"0.0512\"}",
                "0+995x90",
            ),
            (
                "cache_proxy_node_request_duration_seconds_bucket{instance=\"proxy1\",node=\"node1\",le=\"0.2048\"}",
                "0+1000x90",
            ),
            (
                "cache_proxy_node_request_duration_seconds_bucket{instance=\"proxy1\",node=\"node1\",le=\"+Inf\"}",
                "0+1000x90",
            ),
            (
                "cache_proxy_node_request_duration_seconds_count{instance=\"proxy1\",node=\"node1\"}",
                "0+1000x90",
            ),
            // A node that is asked every five seconds, by somebody who waits.
            (
                "cache_proxy_node_request_duration_seconds_bucket{instance=\"proxy1\",node=\"node2\",le=\"0.1024\"}",
                "0+1x90",
            ),
            (
                "cache_proxy_node_request_duration_seconds_bucket{instance=\"proxy1\",node=\"node2\",le=\"0.2048\"}",
                "0+2x90",
            ),
            (
                "cache_proxy_node_request_duration_seconds_bucket{instance=\"proxy1\",node=\"node2\",le=\"+Inf\"}",
                "0+2x90",
            ),
            ("cache_proxy_node_request_duration_seconds_count{instance=\"proxy1\",node=\"node2\"}", "0+2x90"),
        ],
    }
}

fn connections_rejected() -> Rule {
    Rule {
        name: "FastCacheConnectionsRejected",
        expression: "increase(cache_proxy_client_connections_rejected_total[5m]) > 0",
        lasting_seconds: 0,
        severity: Severity::Warning,
        summary: "Proxy {{ $labels.instance }} turns clients away",
        description: "It has as many clients as it lets in. Do applications leak connections, or are their pools too \
                      large? Otherwise raise the proxy's limit of clients and of open files, or add proxies.",
        anchor: "connections-rejected",
        fires: Fires {
            series: &[("cache_proxy_client_connections_rejected_total{instance=\"proxy1\"}", "0x80 1x10")],
            alerts: &[&[("instance", "proxy1")]],
        },
        silent: &[("cache_proxy_client_connections_rejected_total{instance=\"proxy1\"}", "5x90")],
    }
}

/// A proxy reports at least each 30 s. As long as the range of the rate, so that one refusal, while a token is being
/// changed, is over before.
fn reports_refused() -> Rule {
    Rule {
        name: "FastCacheReportsRefused",
        expression: "rate(cache_proxy_reports_refused_total[2m]) > 0",
        lasting_seconds: 120,
        severity: Severity::Warning,
        summary: "The health service refuses the reports of proxy {{ $labels.instance }}",
        description: "The proxy has another API token, or none. Nothing is wrong yet, but a node that falls silent \
                      will cost its clients a minute and a half and not half a second. Give both the same \
                      HEALTH_API_TOKEN.",
        anchor: "reports-refused",
        fires: Fires {
            series: &[("cache_proxy_reports_refused_total{instance=\"proxy1\"}", "0+1x90")],
            alerts: &[&[("instance", "proxy1")]],
        },
        silent: &[("cache_proxy_reports_refused_total{instance=\"proxy1\"}", "0x30 1x60")],
    }
}

/// A proxy reports at least each 30 s, also when all is well. An old view is noticed only when there is a newer one.
fn reports_fail() -> Rule {
    Rule {
        name: "FastCacheProxyCutOff",
        expression: "rate(cache_proxy_reports_failed_total[2m]) > 0",
        lasting_seconds: 120,
        severity: Severity::Warning,
        summary: "Proxy {{ $labels.instance }} does not reach the health service",
        description: "It serves by the view that it has, and will not hear of the next node that fails. If all proxies \
                      tell this, the health service is down; if one does, repair its way there.",
        anchor: "proxies-disagree",
        fires: Fires {
            series: &[("cache_proxy_reports_failed_total{instance=\"proxy1\"}", "0+1x90")],
            alerts: &[&[("instance", "proxy1")]],
        },
        silent: &[("cache_proxy_reports_failed_total{instance=\"proxy1\"}", "0x30 1x60")],
    }
}
