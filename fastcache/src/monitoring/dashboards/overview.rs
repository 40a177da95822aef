//! The overview: is it well, who is hurt, since when, and which process is to blame.

use crate::monitoring::dashboard::{Dashboard, Row};
use crate::monitoring::panel::{Good, Panel, Unit};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "fastcache-overview",
        title: "FastCache: overview",
        description: "Green from left to right means that clients are served. Read it from the top.",
        variables: Vec::new(),
        rows: vec![
            Row { title: "Is it well?", panels: verdict() },
            Row { title: "What clients get", panels: clients() },
            Row { title: "What the cluster knows", panels: cluster() },
            Row { title: "Processes", panels: processes() },
        ],
    }
}

fn verdict() -> Vec<Panel> {
    vec![
        Panel::stat(
            "Alerts firing",
            Good::Zero,
            "Begin here: Prometheus lists them under Alerts, each with what to do and a section of \
             docs/troubleshooting.md.",
        )
        .query("count(ALERTS{alertstate=\"firing\",alertname=~\"FastCache.+\"}) or vector(0)", "alerts"),
        Panel::stat(
            "Proxies that HAProxy uses",
            Good::AtLeast(1.0),
            "0: nobody is served. Look whether the proxies run and whether HAProxy reaches them. Fewer than there \
             are: the others carry their clients.",
        )
        .query("sum(haproxy_backend_active_servers{proxy=\"proxies\"})", "proxies"),
        Panel::stat(
            "Nodes UNHEALTHY",
            Good::Zero,
            "Their keys are served by other nodes, empty at first. `fastcache status` names them and the cause; \
             start them again.",
        )
        .query("sum(health_service_members{kind=\"node\",status=\"UNHEALTHY\"})", "nodes"),
        Panel::stat(
            "Nodes that get traffic",
            Good::AtLeast(1.0),
            "Nodes that are HEALTHY, in service, and known to hold nothing stale. Lower than the number of nodes: \
             look at the members below.",
        )
        .query("sum(health_service_routable_nodes)", "nodes"),
        Panel::stat(
            "Routing frozen",
            Good::Zero,
            "1: more than 30 % of the nodes failed at once, so the last view stays in force. Look at the health \
             service's own network first; drain nodes that are really gone.",
        )
        .query("max(health_service_frozen)", "frozen"),
        Panel::stat(
            "Views in use beyond one",
            Good::Zero,
            "More than 0 for longer than a moment: a proxy routes by an old view and its clients may see old values. \
             Find it under Epochs and repair its way to the health service, or stop it.",
        )
        .query("count(count_values(\"epoch\", cache_proxy_view_epoch)) - 1", "views"),
    ]
}

fn clients() -> Vec<Panel> {
    vec![
        Panel::graph(
            "Requests",
            Unit::PerSecond,
            "Requests of clients by proxy. One proxy far from the others: its clients are busier, or HAProxy has \
             just taken it back. All at zero: look at HAProxy and at the applications.",
        )
        .query("sum by (instance) (rate(cache_proxy_requests_total[$__rate_interval]))", "{{instance}}"),
        Panel::graph(
            "Error replies by the proxies",
            Unit::PerSecond,
            "Errors that proxies make themselves. Without expired requests beside them, clients use what the proxy \
             refuses; with them, nodes cannot be reached.",
        )
        .query("sum by (instance) (rate(cache_proxy_errors_total[$__rate_interval]))", "{{instance}}"),
        Panel::graph(
            "Requests held, sent again, given up",
            Unit::PerSecond,
            "A short peak of held and sent again is a failover that no client noticed. Given up is an error for a \
             client: is the health service up, is routing frozen?",
        )
        .query("sum(rate(cache_proxy_requests_held_total[$__rate_interval]))", "held")
        .query("sum(rate(cache_proxy_requests_resent_total[$__rate_interval]))", "sent again")
        .query("sum(rate(cache_proxy_requests_expired_total[$__rate_interval]))", "given up"),
        Panel::graph(
            "Clients connected",
            Unit::Number,
            "Clients by proxy, and turned away per second. A steady climb is a leak in an application; CLIENT LIST \
             on the proxy names who.",
        )
        .query("sum by (instance) (cache_proxy_connected_clients)", "{{instance}}")
        .query(
            "sum(rate(cache_proxy_client_connections_rejected_total[$__rate_interval]))",
            "turned away per second",
        ),
        Panel::graph(
            "HAProxy: sessions",
            Unit::Number,
            "Connections through HAProxy by proxy, and the most it takes. Near the limit, raise maxconn and the \
             limit of open files before clients wait.",
        )
        .query(
            "sum by (server) (haproxy_server_current_sessions{proxy=\"proxies\"})",
            "{{server}}",
        )
        .query("sum(haproxy_frontend_limit_sessions{proxy=\"redis\"})", "limit"),
        Panel::graph(
            "HAProxy: connections that failed",
            Unit::PerSecond,
            "Tried again and given to another proxy cost a client milliseconds; failed is a client that was \
             closed. Both rise when a proxy dies, and should end within seconds.",
        )
        .query(
            "sum(rate(haproxy_backend_retry_warnings_total{proxy=\"proxies\"}[$__rate_interval]))",
            "tried again",
        )
        .query(
            "sum(rate(haproxy_backend_redispatch_warnings_total{proxy=\"proxies\"}[$__rate_interval]))",
            "given to another proxy",
        )
        .query(
            "sum(rate(haproxy_backend_connection_errors_total{proxy=\"proxies\"}[$__rate_interval]))",
            "failed",
        ),
    ]
}

fn cluster() -> Vec<Panel> {
    vec![
        Panel::graph(
            "Nodes by status",
            Unit::Number,
            "A step down in HEALTHY is nodes that failed together: look for what they share. UNKNOWN is what has \
             not been probed since the health service started.",
        )
        .query("sum by (status) (health_service_members{kind=\"node\"})", "{{status}}")
        .query("sum(health_service_routable_nodes)", "get traffic"),
        Panel::graph(
            "Epochs",
            Unit::Number,
            "The number of the view by which each routes, counted from the highest: all should lie at 0. A proxy \
             that stays above 0 is cut off from the health service.",
        )
        .query(
            "scalar(max(cache_proxy_view_epoch or health_service_epoch)) - cache_proxy_view_epoch",
            "{{instance}} is behind by",
        )
        .query(
            "scalar(max(cache_proxy_view_epoch or health_service_epoch)) - health_service_epoch",
            "health service is behind by",
        ),
        Panel::graph(
            "Members that are not HEALTHY",
            Unit::Number,
            "Empty is good. Each line is a node or proxy that is down, by name. GET /health/nodes/NAME/history of the health \
             service tells since when and why.",
        )
        .query("1 - health_service_member_healthy == 1", "{{member}}"),
    ]
}

fn processes() -> Vec<Panel> {
    vec![
        Panel::graph(
            "Up",
            Unit::Number,
            "Whether Prometheus reaches each process: 1 or 0. At 0 the process has ended, hangs, or the network \
             between is broken; its log tells which.",
        )
        .query("up", "{{instance}}")
        .wide(6),
        Panel::graph(
            "CPU",
            Unit::Cores,
            "Cores each process keeps busy. A proxy's worker is one thread: a proxy near its number of workers is \
             at its end; give it more workers, or add proxies.",
        )
        .query(
            "sum by (instance) (rate(process_cpu_seconds_total{job=~\"fastcache-.+\"}[$__rate_interval]))",
            "{{instance}}",
        )
        .wide(6),
        Panel::graph(
            "Memory",
            Unit::Bytes,
            "Memory in RAM. A proxy that grows has clients who ask for large replies and do not read them; at its \
             limit the kernel kills it.",
        )
        .query("process_resident_memory_bytes{job=~\"fastcache-.+\"}", "{{instance}}")
        .wide(6),
        Panel::graph(
            "Open files, share of the limit",
            Unit::Share,
            "Each connection is an open file. Near 1 no connection can be made: raise the limit, or find who holds \
             the connections.",
        )
        .query(
            "process_open_fds{job=~\"fastcache-.+\"} / process_max_fds{job=~\"fastcache-.+\"}",
            "{{instance}}",
        )
        .wide(6),
        Panel::graph(
            "Running for",
            Unit::Seconds,
            "Time since the start. A line that falls to 0 is a restart; several are a process that does not stay, \
             and the end of its log tells why.",
        )
        .query("time() - process_start_time_seconds{job=~\"fastcache-.+\"}", "{{instance}}")
        .wide(12),
        Panel::graph(
            "Builds",
            Unit::Number,
            "How many processes run which build. Two builds are fine while a release is rolled out; afterwards \
             somebody has forgotten a process.",
        )
        .query("count by (version) (build_info{job=~\"fastcache-.+\"})", "{{version}}")
        .wide(12),
    ]
}
