//! The proxies, one by one: which of them differs from the others.

use crate::monitoring::dashboard::{Dashboard, Row, Variable};
use crate::monitoring::panel::{Good, Panel, Unit};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "fastcache-proxies",
        title: "FastCache: proxies",
        description: "Each proxy beside the others. One that differs has trouble of its own; all alike have theirs \
                      from the nodes or the clients.",
        variables: vec![Variable {
            name: "proxy",
            label: "Proxy",
            metric: "cache_proxy_requests_total",
            of_label: "instance",
        }],
        rows: vec![
            Row { title: "State", panels: state() },
            Row { title: "Requests", panels: requests() },
            Row { title: "Connections", panels: connections() },
            Row { title: "Resources", panels: resources() },
        ],
    }
}

fn state() -> Vec<Panel> {
    vec![
        Panel::stat(
            "Proxies that answer",
            Good::AtLeast(1.0),
            "Proxies whose numbers Prometheus can read. One that is missing has ended or hangs: start it again.",
        )
        .query("sum(up{job=\"fastcache-proxy\",instance=~\"$proxy\"})", "proxies"),
        Panel::stat(
            "Draining",
            Good::Any,
            "Proxies that were told to end: they take no new clients, finish, and go. More than one at a time leaves \
             few for the clients.",
        )
        .query("sum(cache_proxy_draining{instance=~\"$proxy\"})", "proxies"),
        Panel::stat(
            "Without a view",
            Good::Zero,
            "Proxies that never had a view, and so cannot route unless they were given a cluster.toml: does the health \
             service publish one (GET /health/view), and do they reach it? A proxy has one within a second.",
        )
        .query("count(cache_proxy_view_epoch{instance=~\"$proxy\"} == 0) or vector(0)", "proxies"),
        Panel::stat(
            "Requests waiting now",
            Good::Zero,
            "Held because their node is not connected. It is 0 but for the moments of a failover; if it stays, look \
             at the proxy's log for the node's name.",
        )
        .query("sum(cache_proxy_requests_waiting{instance=~\"$proxy\"})", "requests"),
        Panel::stat(
            "Clients",
            Good::Any,
            "Clients connected to these proxies now. A number that only climbs is a leak of connections in an \
             application.",
        )
        .query("sum(cache_proxy_connected_clients{instance=~\"$proxy\"})", "clients"),
        Panel::stat(
            "Requests per second",
            Good::Any,
            "Requests of all clients of these proxies. None while clients are connected: look at the applications, \
             then at HAProxy.",
        )
        .query("sum(rate(cache_proxy_requests_total{instance=~\"$proxy\"}[$__rate_interval]))", "requests")
        .unit(Unit::PerSecond),
    ]
}

fn requests() -> Vec<Panel> {
    vec![
        Panel::graph(
            "Requests by proxy",
            Unit::PerSecond,
            "HAProxy spreads connections, not requests: a proxy with busier clients has more. A proxy at 0 while \
             others work gets no clients: is it draining, or DOWN for HAProxy?",
        )
        .query("rate(cache_proxy_requests_total{instance=~\"$proxy\"}[$__rate_interval])", "{{instance}}"),
        Panel::graph(
            "Errors, share of the requests",
            Unit::Share,
            "Error replies that the proxy made itself. On one proxy only: its path to the nodes. On all: what \
             clients send, or nodes that are down.",
        )
        .query(
            "sum without (kind) (rate(cache_proxy_errors_total{instance=~\"$proxy\"}[$__rate_interval])) \
             / rate(cache_proxy_requests_total{instance=~\"$proxy\"}[$__rate_interval])",
            "{{instance}}",
        ),
        Panel::graph(
            "Given up",
            Unit::PerSecond,
            "Requests whose node could not be reached in time, each an error for a client. It should be 0: is the \
             health service up, is routing frozen, does a node hang in a slow command?",
        )
        .query("rate(cache_proxy_requests_expired_total{instance=~\"$proxy\"}[$__rate_interval])", "{{instance}}"),
        Panel::graph(
            "Held",
            Unit::PerSecond,
            "Requests that waited for a connection or a new view. Peaks at a failover are as it should be; a steady \
             rate means connections to a node that do not last.",
        )
        .query("rate(cache_proxy_requests_held_total{instance=~\"$proxy\"}[$__rate_interval])", "{{instance}}"),
        Panel::graph(
            "Sent again",
            Unit::PerSecond,
            "Requests sent a second time, to the same node or a stand-in. Peaks at a failover are as it should be; \
             a steady rate goes with node connections that are lost.",
        )
        .query("rate(cache_proxy_requests_resent_total{instance=~\"$proxy\"}[$__rate_interval])", "{{instance}}"),
        Panel::graph(
            "Waiting now, by proxy",
            Unit::Number,
            "Requests held at this moment. Anything that does not fall back to 0 within a second hurts clients: the \
             proxy's log names the node.",
        )
        .query("cache_proxy_requests_waiting{instance=~\"$proxy\"}", "{{instance}}"),
    ]
}

fn connections() -> Vec<Panel> {
    vec![
        Panel::graph(
            "Clients by proxy",
            Unit::Number,
            "Clients connected. They should be spread alike; after a restart of a proxy they are not until clients \
             reconnect, unless HAProxy balances by leastconn.",
        )
        .query("cache_proxy_connected_clients{instance=~\"$proxy\"}", "{{instance}}"),
        Panel::graph(
            "New clients, and turned away",
            Unit::PerSecond,
            "Many new clients per second are applications without a pool of connections. Turned away means that \
             the proxy is at its limit of clients.",
        )
        .query(
            "rate(cache_proxy_client_connections_total{instance=~\"$proxy\"}[$__rate_interval])",
            "{{instance}} new",
        )
        .query(
            "rate(cache_proxy_client_connections_rejected_total{instance=~\"$proxy\"}[$__rate_interval])",
            "{{instance}} turned away",
        ),
        Panel::graph(
            "Nodes connected",
            Unit::Number,
            "Nodes to which the proxy has a connection. Lower than on the other proxies: this one cannot reach a \
             node that they reach.",
        )
        .query("count by (instance) (cache_proxy_node_connections{instance=~\"$proxy\"} > 0)", "{{instance}}"),
        Panel::graph(
            "Node connections refused or lost",
            Unit::PerSecond,
            "On all proxies at once: a node went down. On one, all the time: its path to a node is broken, which \
             the health service cannot see.",
        )
        .query(
            "sum by (node) (rate(cache_proxy_node_connection_failures_total{instance=~\"$proxy\"}[$__rate_interval])) > 0",
            "{{node}}",
        )
        .wide(12),
        Panel::graph(
            "HAProxy: bytes by proxy",
            Unit::BytesPerSecond,
            "To and from clients through HAProxy. Much more out than usual is large values or KEYS and SCAN over \
             many keys.",
        )
        .query(
            "rate(haproxy_server_bytes_in_total{proxy=\"proxies\",server=~\"$proxy\"}[$__rate_interval])",
            "{{server}} in",
        )
        .query(
            "rate(haproxy_server_bytes_out_total{proxy=\"proxies\",server=~\"$proxy\"}[$__rate_interval])",
            "{{server}} out",
        )
        .wide(12),
    ]
}

fn resources() -> Vec<Panel> {
    vec![
        Panel::graph(
            "CPU by proxy",
            Unit::Cores,
            "Cores kept busy. Each worker is one thread, so a proxy near its number of workers answers late: give \
             it more workers, or add proxies.",
        )
        .query(
            "rate(process_cpu_seconds_total{job=\"fastcache-proxy\",instance=~\"$proxy\"}[$__rate_interval])",
            "{{instance}}",
        ),
        Panel::graph(
            "Memory by proxy",
            Unit::Bytes,
            "Memory in RAM and the limit, where there is one. Growth is replies that clients do not read, or large \
             values under way; at the limit the kernel kills the proxy.",
        )
        .query(
            "process_resident_memory_bytes{job=\"fastcache-proxy\",instance=~\"$proxy\"}",
            "{{instance}}",
        )
        .query(
            "process_memory_limit_bytes{job=\"fastcache-proxy\",instance=~\"$proxy\"}",
            "{{instance}} limit",
        ),
        Panel::graph(
            "Open files by proxy",
            Unit::Number,
            "Clients, node connections and little else. At the limit no client gets in: raise the limit of open \
             files, or find who holds the connections.",
        )
        .query("process_open_fds{job=\"fastcache-proxy\",instance=~\"$proxy\"}", "{{instance}}"),
    ]
}
