//! What goes through the proxies, by class of commands and by node: which node is slow, or has too much to do.

use crate::monitoring::dashboard::{Dashboard, Row, Variable};
use crate::monitoring::panel::{Panel, Unit};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "fastcache-traffic",
        title: "FastCache: traffic",
        description: "What clients ask for, and how the nodes answer it, as the proxies see it.",
        variables: vec![
            Variable {
                name: "proxy",
                label: "Proxy",
                metric: "cache_proxy_requests_total",
                of_label: "instance",
            },
            Variable {
                name: "node",
                label: "Node",
                metric: "cache_proxy_node_requests_total",
                of_label: "node",
            },
        ],
        rows: vec![
            Row { title: "Commands", panels: commands() },
            Row { title: "Nodes", panels: nodes() },
            Row { title: "Ways to the nodes", panels: ways() },
        ],
    }
}

fn commands() -> Vec<Panel> {
    vec![
        Panel::graph(
            "Requests by class of commands",
            Unit::PerSecond,
            "Requests of clients. Many of class connection are clients that connect for each request: give the \
             application a pool.",
        )
        .query(
            "sum by (class) (rate(cache_proxy_class_requests_total{instance=~\"$proxy\"}[$__rate_interval]))",
            "{{class}}",
        ),
        Panel::graph(
            "Time to a node's reply by class, 99th percentile",
            Unit::Seconds,
            "From a request's arrival at the proxy. One class above the others is the commands themselves (PROXY \
             SLOWLOG names them); all together are the nodes, or proxies short of CPU.",
        )
        .query(
            "histogram_quantile(0.99, sum by (class, le) \
             (rate(cache_proxy_class_request_duration_seconds_bucket{instance=~\"$proxy\"}[$__rate_interval])))",
            "{{class}}",
        ),
        Panel::graph(
            "Error replies by kind",
            Unit::PerSecond,
            "By the word that an error begins with. OOM: the nodes are full and may not evict. WRONGTYPE, ERR: the \
             application's mistake. UNAVAILABLE: nodes were away for longer than the hold timeout.",
        )
        .query(
            "sum by (kind) (rate(cache_proxy_errors_total{instance=~\"$proxy\"}[$__rate_interval]))",
            "proxies: {{kind}}",
        )
        .query(
            "sum by (kind) (rate(cache_proxy_class_errors_total{instance=~\"$proxy\"}[$__rate_interval]))",
            "nodes: {{kind}}",
        ),
        Panel::graph(
            "Bytes of clients",
            Unit::BytesPerSecond,
            "Bytes of requests and of replies. Far more of replies than usual is large values, or KEYS and SCAN over \
             many keys: PROXY SLOWLOG and the nodes' own SLOWLOG tell which.",
        )
        .query("sum(rate(cache_proxy_client_received_bytes_total{instance=~\"$proxy\"}[$__rate_interval]))", "in")
        .query("sum(rate(cache_proxy_client_sent_bytes_total{instance=~\"$proxy\"}[$__rate_interval]))", "out"),
    ]
}

fn nodes() -> Vec<Panel> {
    vec![
        Panel::graph(
            "Requests by node",
            Unit::PerSecond,
            "Requests answered. A node far above the others has a hot key, or stands in for nodes that are out: \
             PROXY VIEW tells the latter.",
        )
        .query(
            "sum by (node) (rate(cache_proxy_node_requests_total\
             {instance=~\"$proxy\",node=~\"$node\"}[$__rate_interval]))",
            "{{node}}",
        ),
        Panel::graph(
            "Time to reply by node, 99th percentile",
            Unit::Seconds,
            "From a request's arrival at a proxy. One node above the others: its SLOWLOG (Redis, Valkey), its CPU, the way to it. \
             All of them: look at the proxies' CPU.",
        )
        .query(
            "histogram_quantile(0.99, sum by (node, le) (rate(cache_proxy_node_request_duration_seconds_bucket\
             {instance=~\"$proxy\",node=~\"$node\"}[$__rate_interval])))",
            "{{node}}",
        ),
        Panel::graph(
            "Time to reply, 50th, 90th and 99th percentile",
            Unit::Seconds,
            "Over all chosen nodes and proxies. The 99th alone high: few slow commands or one slow node. All high: \
             too much load for the nodes or the proxies.",
        )
        .query(TIMES[0], "50 %")
        .query(TIMES[1], "90 %")
        .query(TIMES[2], "99 %"),
        Panel::graph(
            "Error replies by node",
            Unit::PerSecond,
            "On one node only: is it full (OOM), or not what it should be? On all: the application's mistake, see \
             the kinds above.",
        )
        .query(
            "sum by (node, kind) (rate(cache_proxy_node_errors_total\
             {instance=~\"$proxy\",node=~\"$node\"}[$__rate_interval])) > 0",
            "{{node}} {{kind}}",
        ),
        Panel::graph(
            "Bytes to nodes",
            Unit::BytesPerSecond,
            "Bytes of requests. A node far above the others is given large values: find the key with redis-cli \
             --bigkeys on that node.",
        )
        .query(
            "sum by (node) (rate(cache_proxy_node_sent_bytes_total\
             {instance=~\"$proxy\",node=~\"$node\"}[$__rate_interval]))",
            "{{node}}",
        )
        .wide(12),
        Panel::graph(
            "Bytes from nodes",
            Unit::BytesPerSecond,
            "Bytes of replies. A node far above the others is asked for large values, or one hot key: find it with \
             redis-cli --bigkeys or --hotkeys on that node.",
        )
        .query(
            "sum by (node) (rate(cache_proxy_node_received_bytes_total\
             {instance=~\"$proxy\",node=~\"$node\"}[$__rate_interval]))",
            "{{node}}",
        )
        .wide(12),
    ]
}

const TIMES: [&str; 3] = [
    "histogram_quantile(0.5, sum by (le) (rate(cache_proxy_node_request_duration_seconds_bucket\
     {instance=~\"$proxy\",node=~\"$node\"}[$__rate_interval])))",
    "histogram_quantile(0.9, sum by (le) (rate(cache_proxy_node_request_duration_seconds_bucket\
     {instance=~\"$proxy\",node=~\"$node\"}[$__rate_interval])))",
    "histogram_quantile(0.99, sum by (le) (rate(cache_proxy_node_request_duration_seconds_bucket\
     {instance=~\"$proxy\",node=~\"$node\"}[$__rate_interval])))",
];

fn ways() -> Vec<Panel> {
    vec![
        Panel::graph(
            "Held and given up by node",
            Unit::PerSecond,
            "Requests that waited because the node was not connected, and those that became an error. A short peak is \
             a failover; a steady rate is a node that takes no connections and is still in service.",
        )
        .query(
            "sum by (node) (rate(cache_proxy_node_requests_held_total\
             {instance=~\"$proxy\",node=~\"$node\"}[$__rate_interval])) > 0",
            "{{node}} held",
        )
        .query(
            "sum by (node) (rate(cache_proxy_node_requests_expired_total\
             {instance=~\"$proxy\",node=~\"$node\"}[$__rate_interval])) > 0",
            "{{node}} given up",
        ),
        Panel::graph(
            "Connections by node",
            Unit::Number,
            "Connections of the chosen proxies. At zero: the node is out of service, or nobody can reach it. Climbing: \
             many blocked clients, each of which has a connection of its own.",
        )
        .query("sum by (node) (cache_proxy_node_connections{instance=~\"$proxy\",node=~\"$node\"})", "{{node}}"),
        Panel::graph(
            "Connections refused or lost, by proxy and node",
            Unit::PerSecond,
            "From all proxies to one node: the node. From one proxy to many: the proxy, or its network, which the \
             health service cannot see.",
        )
        .query(
            "rate(cache_proxy_node_connection_failures_total\
             {instance=~\"$proxy\",node=~\"$node\"}[$__rate_interval]) > 0",
            "{{instance}} to {{node}}",
        ),
        Panel::graph(
            "Clients stopped because of a node",
            Unit::PerSecond,
            "Times that a client was not read because 4 MiB were on their way to the node: it takes requests more \
             slowly than they come. Large values, or a node short of CPU?",
        )
        .query(
            "sum by (node) (rate(cache_proxy_node_clients_choked_total\
             {instance=~\"$proxy\",node=~\"$node\"}[$__rate_interval])) > 0",
            "{{node}}",
        ),
        Panel::graph(
            "Age of the view by proxy",
            Unit::Seconds,
            "Since when each proxy routes by its view. They fall to 0 together; one that does not has missed a view: \
             repair its way to the health service, or stop it.",
        )
        .query("cache_proxy_view_age_seconds{instance=~\"$proxy\"}", "{{instance}}"),
    ]
}
