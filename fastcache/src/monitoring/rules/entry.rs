//! HAProxy, the one address that applications know.

use crate::monitoring::rule::{Fires, Rule, Severity};

pub(super) fn rules() -> Vec<Rule> {
    vec![down(), no_proxy(), proxy_left_out(), connections_used_up(), connections_fail()]
}

fn down() -> Rule {
    Rule {
        name: "FastCacheLoadBalancerDown",
        expression: "up{job=\"haproxy\"} == 0",
        lasting_seconds: 30,
        severity: Severity::Critical,
        summary: "HAProxy does not answer: applications cannot connect",
        description: "Nothing listens on the one address of the cache, unless only HAProxy's statistics are out of \
                      reach. Start HAProxy; `haproxy -c -f haproxy.cfg` tells whether its configuration is valid.",
        anchor: "load-balancer-down",
        fires: Fires {
            series: &[("up{job=\"haproxy\",instance=\"haproxy\"}", "0x90")],
            alerts: &[&[("job", "haproxy"), ("instance", "haproxy")]],
        },
        silent: &[
            ("up{job=\"prometheus\",instance=\"prometheus\"}", "0x90"),
            ("up{job=\"haproxy\",instance=\"haproxy\"}", "1x30 0x2 1x57"),
        ],
    }
}

fn no_proxy() -> Rule {
    Rule {
        name: "FastCacheNoProxyInLoadBalancer",
        expression: "haproxy_backend_active_servers{proxy=\"proxies\"} == 0",
        lasting_seconds: 10,
        severity: Severity::Critical,
        summary: "HAProxy has no proxy to send clients to: the cache is down",
        description: "Every proxy fails HAProxy's checks. Do the proxies run, have they a view (GET /readyz on their \
                      admin ports tells), does HAProxy reach their addresses?",
        anchor: "no-proxy-in-load-balancer",
        fires: Fires {
            series: &[("haproxy_backend_active_servers{proxy=\"proxies\",instance=\"haproxy\"}", "0x90")],
            alerts: &[&[("proxy", "proxies"), ("instance", "haproxy")]],
        },
        silent: &[
            ("haproxy_backend_active_servers{proxy=\"others\",instance=\"haproxy\"}", "0x90"),
            ("haproxy_backend_active_servers{proxy=\"proxies\",instance=\"haproxy\"}", "1x90"),
        ],
    }
}

fn proxy_left_out() -> Rule {
    Rule {
        name: "FastCacheProxyLeftOutByLoadBalancer",
        expression: "haproxy_server_status{proxy=\"proxies\",state=\"UP\"} == 0",
        lasting_seconds: 60,
        severity: Severity::Warning,
        summary: "HAProxy sends no clients to {{ $labels.server }}",
        description: "The proxy fails HAProxy's checks or is draining. GET /readyz on its admin port tells which; when \
                      that answers 200, the network between HAProxy and the proxy is at fault.",
        anchor: "proxy-down",
        fires: Fires {
            series: &[
                (
                    "haproxy_server_status{proxy=\"proxies\",server=\"proxy1\",state=\"UP\",instance=\"haproxy\"}",
                    "0x90",
                ),
                (
                    "haproxy_server_status{proxy=\"proxies\",server=\"proxy1\",state=\"DOWN\",instance=\"haproxy\"}",
                    "1x90",
                ),
            ],
            alerts: &[&[
                ("proxy", "proxies"),
                ("server", "proxy1"),
                ("state", "UP"),
                ("instance", "haproxy"),
            ]],
        },
        silent: &[
            (
                "haproxy_server_status{proxy=\"others\",server=\"one\",state=\"UP\",instance=\"haproxy\"}",
                "0x90",
            ),
            (
                "haproxy_server_status{proxy=\"proxies\",server=\"proxy1\",state=\"UP\",instance=\"haproxy\"}",
                "1x90",
            ),
            (
                "haproxy_server_status{proxy=\"proxies\",server=\"proxy1\",state=\"DOWN\",instance=\"haproxy\"}",
                "0x90",
            ),
        ],
    }
}

/// At the limit HAProxy lets new clients wait without a word, so this must be seen before.
fn connections_used_up() -> Rule {
    Rule {
        name: "FastCacheConnectionsNearlyUsedUp",
        expression: "haproxy_frontend_current_sessions{proxy=\"redis\"} \
                     / haproxy_frontend_limit_sessions{proxy=\"redis\"} > 0.8",
        lasting_seconds: 60,
        severity: Severity::Warning,
        summary: "HAProxy has more than 80 % of the connections it takes",
        description: "At the limit new clients wait until another leaves. Do applications leak connections, or are \
                      their pools too large? Otherwise raise maxconn in haproxy.cfg and the limit of open files.",
        anchor: "connections-rejected",
        fires: Fires {
            series: &[
                ("haproxy_frontend_current_sessions{proxy=\"redis\",instance=\"haproxy\"}", "8001x90"),
                ("haproxy_frontend_limit_sessions{proxy=\"redis\",instance=\"haproxy\"}", "10000x90"),
            ],
            alerts: &[&[("proxy", "redis"), ("instance", "haproxy")]],
        },
        silent: &[
            ("haproxy_frontend_current_sessions{proxy=\"redis\",instance=\"haproxy\"}", "8000x90"),
            ("haproxy_frontend_limit_sessions{proxy=\"redis\",instance=\"haproxy\"}", "10000x90"),
            ("haproxy_frontend_current_sessions{proxy=\"stats\",instance=\"haproxy\"}", "9x90"),
            ("haproxy_frontend_limit_sessions{proxy=\"stats\",instance=\"haproxy\"}", "10x90"),
        ],
    }
}

fn connections_fail() -> Rule {
    Rule {
        name: "FastCacheLoadBalancerConnectionsFail",
        expression: "rate(haproxy_backend_connection_errors_total{proxy=\"proxies\"}[1m]) > 0",
        lasting_seconds: 60,
        severity: Severity::Critical,
        summary: "HAProxy closes clients because no proxy takes them",
        description: "Trying another proxy did not help either. Do the proxies run, are they at their limit of \
                      clients, has a host run out of ports?",
        anchor: "no-proxy-in-load-balancer",
        fires: Fires {
            series: &[(
                "haproxy_backend_connection_errors_total{proxy=\"proxies\",instance=\"haproxy\"}",
                "0+1x90",
            )],
            alerts: &[&[("proxy", "proxies"), ("instance", "haproxy")]],
        },
        silent: &[
            ("haproxy_backend_connection_errors_total{proxy=\"others\",instance=\"haproxy\"}", "0+1x90"),
            ("haproxy_backend_connection_errors_total{proxy=\"proxies\",instance=\"haproxy\"}", "0x30 3x60"),
        ],
    }
}
