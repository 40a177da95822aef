//! The REST interface over real sockets: every answer and every refusal.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cluster;

use std::time::{Duration, Instant};

use ::cluster::{NodeHealth, Status, Summary, Topology, View};
use cluster::{DEADLINE, FakeNode, Mood, Service, running, topology};
use serde_json::{Value, json};

#[tokio::test]
async fn every_field_of_both_contracts_is_there() {
    let (service, nodes) = running(2).await;
    let node: Value = service.get("/health/nodes/node1").await;
    let fields = [
        "nodeId",
        "nodeType",
        "host",
        "port",
        "status",
        "healthy",
        "lastCheck",
        "lastChecked",
        "responseTimeMs",
        "errorMessage",
        "since",
        "epoch",
        "routable",
        "maintenance",
        "consecutiveFailures",
        "consecutiveSuccesses",
    ];
    for field in fields {
        assert!(node.get(field).is_some(), "{field} is missing in {node}");
    }
    assert_eq!(node["status"], "HEALTHY");
    assert_eq!(node["port"], nodes[0].addr.port());
    assert_eq!(node["lastCheck"], node["lastChecked"]);
    assert_eq!(node["errorMessage"], Value::Null);

    let summary: Value = service.get("/health/summary").await;
    let fields = [
        "totalNodes",
        "healthyNodes",
        "unhealthyNodes",
        "unknownNodes",
        "healthPercentage",
        "total",
        "healthy",
        "unhealthy",
        "timestamp",
        "epoch",
        "checksPer30s",
        "totalProxies",
        "healthyProxies",
        "unhealthyProxies",
        "unknownProxies",
        "nodeHealthPercentage",
        "proxyHealthPercentage",
        "isClusterHealthy",
    ];
    for field in fields {
        assert!(summary.get(field).is_some(), "{field} is missing in {summary}");
    }
    assert_eq!((&summary["healthy"], &summary["total"]), (&json!(2), &json!(2)));
    assert_eq!(service.get::<Value>("/health/ping").await["status"], "ok");
}

#[tokio::test]
async fn lists_hold_who_belongs_in_them() {
    let good = FakeNode::start("a", 0, Mood::Serving).await;
    let proxy = FakeNode::start("p", 0, Mood::Serving).await;
    let dead = FakeNode::start("b", 0, Mood::Serving).await.stop().await;
    let nodes = format!("good={},dead={dead}", good.addr);
    let proxies = format!("proxy1={}", proxy.addr);
    let service = Service::start(Topology::from_lists(&nodes, &proxies).unwrap(), None).await;
    service.node_when("dead", |node| node.status == Status::Unhealthy).await;

    let ids = async |path: &str| -> Vec<String> {
        let list: Vec<NodeHealth> = service.get(path).await;
        list.into_iter().map(|node| node.node_id.to_string()).collect()
    };
    assert_eq!(ids("/health/nodes").await, ["good", "dead"]);
    assert_eq!(ids("/health/healthy").await, ["good"]);
    assert_eq!(ids("/health/unhealthy").await, ["dead"]);
    assert_eq!(ids("/health/proxies").await, ["proxy1"]);
    let proxy: Value = service.get("/health/proxies/proxy1").await;
    assert_eq!((&proxy["nodeType"], &proxy["status"]), (&json!("proxy"), &json!("HEALTHY")));
    assert_eq!(proxy.get("routable"), None, "nobody routes to a proxy: {proxy}");
    let summary: Summary = service.get("/health/stats").await;
    assert_eq!((summary.healthy_nodes, summary.unhealthy_nodes, summary.healthy_proxies), (1, 1, 1));
    assert!(!summary.is_cluster_healthy);
    let view: View = service.get("/health/view").await;
    assert_eq!(view.proxies.len(), 1);
}

#[tokio::test]
async fn refusals_say_what_would_have_been_right() {
    let (service, _nodes) = running(1).await;
    let get = |path: &str| service.http.get(service.url(path));
    let empty = |path: &str| service.http.post(service.url(path)).header("content-type", "application/json");
    let told = async |request: reqwest::RequestBuilder| -> String {
        let problem: Value = request.send().await.unwrap().json().await.unwrap();
        problem["error"].as_str().unwrap_or_default().to_owned()
    };
    for (request, hint) in [
        (get("/health/nodes/nope"), "; GET /health/nodes lists them"),
        (get("/health/proxies/nope"), "; GET /health/proxies lists them"),
        (get("/health/nodes/node1/check"), "; GET reads, POST changes"),
        (
            empty("/health/nodes/node1/maintenance"),
            r#"; the body must be {"mode":"drain"} or {"mode":"ready"}"#,
        ),
    ] {
        let text = told(request).await;
        assert!(text.ends_with(hint), "{text}");
    }
}

#[tokio::test]
async fn refusals_are_json_with_their_status() {
    let (service, _nodes) = running(1).await;
    let refused = async |request: reqwest::RequestBuilder, status: u16| {
        let response = request.send().await.unwrap();
        let path = response.url().path().to_owned();
        assert_eq!(response.status(), status, "{path}");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["status"], status, "{path}: {problem}");
        assert!(problem["error"].as_str().is_some_and(|text| !text.is_empty()), "{path}: {problem}");
    };
    let get = |path: &str| service.http.get(service.url(path));
    let post = |path: &str, body: &str| {
        let request = service.http.post(service.url(path)).header("content-type", "application/json");
        request.body(body.to_owned())
    };
    for path in ["/nope", "/health/nodes/nope", "/health/nodes/nope/history", "/health/proxies/node1"] {
        refused(get(path), 404).await;
    }
    refused(post("/health/nodes/nope/check", ""), 404).await;
    for path in
        ["/health/view?since=x", "/health/view?wait=soon", "/health/view?sicne=1", "/health/nodes/%ff"]
    {
        refused(get(path), 400).await;
    }
    for body in ["", "{", "{\"mode\":\"off\"}", "{\"mode\":\"drain\",\"x\":1}", "[]"] {
        refused(post("/health/nodes/node1/maintenance", body), 400).await;
    }
    let many: Vec<Value> = (0..1_025).map(|_| json!({"nodeId": "node1", "kind": "timeout"})).collect();
    let many = json!({"proxyId": "p", "epoch": 1, "reports": many}).to_string();
    for body in ["", "{}", "{\"proxyId\":\"a b\",\"epoch\":1,\"reports\":[]}", &many] {
        refused(post("/health/reports", body), 400).await;
    }
    refused(service.http.delete(service.url("/health/nodes")), 405).await;
    refused(get("/health/reports"), 405).await;
    refused(post("/health/reports", &" ".repeat(2 << 20)), 413).await;
    let form = service.http.post(service.url("/health/nodes/node1/maintenance")).body("{\"mode\":\"drain\"}");
    refused(form, 415).await;
}

#[tokio::test]
async fn a_view_is_sent_once_to_who_names_its_etag() {
    let (service, _nodes) = running(1).await;
    let first = service.http.get(service.url("/health/view")).send().await.unwrap();
    let etag = first.headers()["etag"].to_str().unwrap().to_owned();
    let view: View = first.json().await.unwrap();
    assert_eq!(etag, format!("\"{}\"", view.epoch));
    let again = async |tag: &str| {
        let request = service.http.get(service.url("/health/view")).header("if-none-match", tag);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(again(&etag).await, 304);
    assert_eq!(again(&format!("\"7777\", W/{etag}")).await, 304);
    assert_eq!(again("\"7777\"").await, 200);
}

#[tokio::test]
async fn a_long_poll_ends_with_the_next_view_or_without_one() {
    let (service, _nodes) = running(2).await;
    let epoch = service.get::<View>("/health/view").await.epoch;
    let poll = |wait: &str| {
        let url = service.url(&format!("/health/view?since={epoch}&wait={wait}"));
        tokio::spawn(service.http.get(url).send())
    };
    let none = poll("50ms").await.unwrap().unwrap();
    assert_eq!(none.status(), 304);
    assert_eq!(none.headers()["etag"], format!("\"{epoch}\"").as_str());

    let waiting = poll("30");
    service.post("/health/nodes/node1/maintenance", &json!({"mode": "drain"})).await;
    let view: View = waiting.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!((view.epoch, view.nodes[0].routable), (epoch + 1, false));
    let known: View = service.get("/health/view?since=0&wait=30s").await;
    assert_eq!(known, view, "a newer view is given at once");
}

/// Reads an event stream until `wanted` is in it.
async fn read_until(stream: &mut reqwest::Response, wanted: &str) -> String {
    let mut text = String::new();
    let read = async {
        while !text.contains(wanted) {
            text += std::str::from_utf8(&stream.chunk().await.unwrap().expect("the stream goes on")).unwrap();
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap_or_else(|_| panic!("{wanted:?} did not come"));
    text
}

#[tokio::test]
async fn events_carry_whole_views_and_heartbeats() {
    let (service, _nodes) = running(4).await;
    let mut stream = service.http.get(service.url("/health/events")).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let first = read_until(&mut stream, "\n\n").await;
    let epoch = service.get::<View>("/health/view").await.epoch;
    assert!(first.starts_with(&format!("id: {epoch}\nevent: view\ndata: {{\"epoch\":{epoch},")), "{first}");
    let mut waits = Vec::new();
    for number in 1..=3 {
        read_until(&mut stream, ": heartbeat\n\n").await;
        let drained = Instant::now();
        let path = format!("/health/nodes/node{number}/maintenance");
        service.post(&path, &json!({"mode": "drain"})).await;
        read_until(&mut stream, &format!("id: {}\n", epoch + number)).await;
        waits.push(drained.elapsed());
    }
    // One that waited for the next heartbeat would do so each time, whatever the machine does meanwhile.
    assert!(waits.iter().any(|wait| *wait < Duration::from_millis(500)), "views waited for {waits:?}");
}

#[tokio::test]
async fn streams_and_polls_end_when_the_service_stops() {
    let (service, _nodes) = running(1).await;
    let mut stream = service.http.get(service.url("/health/events")).send().await.unwrap();
    read_until(&mut stream, "\n\n").await;
    let epoch = service.get::<View>("/health/view").await.epoch;
    let url = service.url(&format!("/health/view?since={epoch}&wait=60s"));
    let poll = tokio::spawn(service.http.get(url).send());
    while service.get_metrics().await.lines().all(|line| line != "health_service_subscribers 2") {}
    let took = service.stop().await;
    // Whoever is not let go is waited for, three seconds.
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {}
    // Answered or cut off, but over.
    let _ = poll.await.unwrap();
}

impl Service {
    async fn get_metrics(&self) -> String {
        self.http.get(self.url("/metrics")).send().await.unwrap().text().await.unwrap()
    }
}

#[tokio::test]
async fn a_requested_check_answers_what_it_found() {
    let (service, mut nodes) = running(2).await;
    let before: NodeHealth = service.get("/health/nodes/node1").await;
    let (status, node) = service.post("/health/nodes/node1/check", &json!(null)).await;
    assert_eq!((status, &node["healthy"]), (200, &json!(true)));
    assert_ne!(node["lastCheck"], json!(before.last_check));
    nodes.remove(0).stop().await;
    let (_, node) = service.post("/health/nodes/node1/check", &json!(null)).await;
    assert_eq!(node["errorMessage"], "connection refused");
    // Many who ask at once share one probe.
    let checks = (0..50).map(|_| {
        let request = service.http.post(service.url("/health/nodes/node2/check"));
        tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
    });
    for check in checks.collect::<Vec<_>>() {
        assert_eq!(check.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_drained_node_gets_no_traffic_until_it_is_put_back_empty() {
    let (service, nodes) = running(2).await;
    let path = "/health/nodes/node1/maintenance";
    let (_, node) = service.post(path, &json!({"mode": "drain"})).await;
    assert_eq!(
        (&node["maintenance"], &node["routable"], &node["status"]),
        (&json!(true), &json!(false), &json!("HEALTHY"))
    );
    assert_eq!(nodes[0].flush_count(), 0);
    service.post(path, &json!({"mode": "ready"})).await;
    service.all_routable().await;
    assert_eq!(nodes[0].flush_count(), 1);
    assert_eq!(nodes[1].flush_count(), 0);
    let history: Vec<Value> = service.get("/health/nodes/node1/history").await;
    let causes: Vec<&str> = history.iter().map(|change| change["cause"].as_str().unwrap()).collect();
    assert_eq!(
        causes,
        ["first probe succeeded", "drained by the operator", "put back by the operator", "rejoined: flushed"]
    );
}

#[tokio::test]
async fn reports_name_nodes_and_unknown_ones_are_told() {
    let (service, _nodes) = running(1).await;
    let reports = json!({"proxyId": "proxy1", "epoch": 1, "reports": [
        {"nodeId": "node1", "kind": "timeout", "count": 3, "detail": "200 ms"},
        {"nodeId": "node9", "kind": "refused"},
    ]});
    let (status, taken) = service.post("/health/reports", &reports).await;
    assert_eq!((status, &taken), (202, &json!({"accepted": 1, "unknown": ["node9"]})));
    // It answers its confirming probe, so nothing comes of it.
    let node = service.node_when("node1", |node| node.consecutive_successes >= 2).await;
    assert_eq!((node.status, node.routable), (Status::Healthy, Some(true)));
}

#[tokio::test]
async fn the_page_and_the_admin_endpoints_are_served() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = FakeNode::start("a", 0, Mood::Silent).await;
    let service = Service::start_on(listener, topology(&[silent.addr]), None);
    let status =
        async |path: &str| service.http.get(service.url(path)).send().await.unwrap().status().as_u16();
    assert_eq!(status("/livez").await, 200);
    assert_eq!(status("/readyz").await, 503, "no view before each node was looked at");
    assert_eq!(status("/health/view").await, 503);
    silent.set_mood(Mood::Serving);
    service.view_when(|_| true).await;
    assert_eq!(status("/readyz").await, 200);
    let page = service.http.get(service.url("/")).send().await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let page = page.text().await.unwrap();
    assert!(
        page.contains("EventSource") && !page.contains("https://") && !page.contains("http://"),
        "no CDN"
    );
    let metrics = service.get_metrics().await;
    for name in ["epoch", "members", "routable_nodes", "probes_total", "probe_failures_total", "frozen"] {
        let prefix = format!("health_service_{name}");
        assert!(metrics.lines().any(|line| line.starts_with(&prefix)), "{prefix} is not in {metrics}");
    }
}

#[tokio::test]
async fn metrics_tell_of_each_member_and_of_every_label_from_the_start() {
    let (service, mut nodes) = running(2).await;
    let text = service.get_metrics().await;
    let has = |text: &str, line: &str| text.lines().any(|found| found == line);
    let of = |name: &str, id: &str| format!("health_service_member_{name}{{kind=\"node\",member=\"{id}\"}}");
    for id in ["node1", "node2"] {
        assert!(has(&text, &format!("{} 1", of("healthy", id))), "{text}");
        assert!(has(&text, &format!("{} 1", of("routable", id))), "{text}");
        assert!(has(&text, &format!("{} 0", of("maintenance", id))), "{text}");
        assert!(text.contains(&of("response_seconds", id)), "{text}");
    }
    for zero in [
        "health_service_transitions_total{kind=\"node\",to=\"UNHEALTHY\"} 0",
        "health_service_transitions_total{kind=\"proxy\",to=\"HEALTHY\"} 0",
        "health_service_probes_total{cause=\"confirm\"} 0",
        "health_service_probe_failures_total{reason=\"garbage\"} 0",
        "health_service_probe_seconds_count{kind=\"proxy\"} 0",
    ] {
        assert!(has(&text, zero), "{zero} is not in {text}");
    }
    assert!(has(&text, "health_service_transitions_total{kind=\"node\",to=\"HEALTHY\"} 2"), "{text}");
    let probes = "health_service_probe_seconds_bucket{le=\"+Inf\",kind=\"node\"} ";
    let probes = text.lines().find_map(|line| line.strip_prefix(probes)).unwrap();
    assert!(probes.parse::<u64>().unwrap() >= 2, "{text}");

    nodes.remove(0).stop().await;
    service.node_when("node1", |node| node.status == Status::Unhealthy && node.routable == Some(false)).await;
    service.post("/health/nodes/node2/maintenance", &json!({"mode": "drain"})).await;
    let text = service.get_metrics().await;
    assert!(has(&text, &format!("{} 0", of("healthy", "node1"))), "{text}");
    assert!(has(&text, &format!("{} 0", of("routable", "node1"))), "{text}");
    assert!(has(&text, &format!("{} 1", of("maintenance", "node2"))), "{text}");
    assert!(has(&text, "health_service_transitions_total{kind=\"node\",to=\"UNHEALTHY\"} 1"), "{text}");
}
