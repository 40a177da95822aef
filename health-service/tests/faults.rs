//! Nodes that die, hang, lie and return, and a service that restarts, over real sockets.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cluster;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::cluster::{
    CheckerState, ClientSettings, HealthClient, NodeHealth, Report, ReportKind, Reports, Routing, Status,
    Topology, View, follow,
};
use cluster::{DEADLINE, FakeNode, Mood, Service, running, topology};

fn node<'a>(view: &'a View, id: &str) -> &'a ::cluster::ViewNode {
    view.nodes.iter().find(|node| node.node_id.as_str() == id).unwrap()
}

#[tokio::test]
async fn failures_are_told_apart() {
    let refused = FakeNode::start("a", 0, Mood::Serving).await.stop().await;
    let mut addrs = vec![refused];
    let mut nodes = Vec::new();
    for mood in [Mood::Silent, Mood::Garbage, Mood::Nested, Mood::Loading, Mood::Guarded, Mood::Serving] {
        nodes.push(FakeNode::start("b", 0, mood).await);
        addrs.push(nodes.last().unwrap().addr);
    }
    let service = Service::start(topology(&addrs), None).await;
    let error = async |id: &str| {
        let node = service.node_when(id, |node| node.last_check.is_some()).await;
        node.error_message.unwrap_or_default()
    };
    assert_eq!(error("node1").await, "connection refused");
    assert_eq!(error("node2").await, "no answer within 700 ms");
    assert_eq!(
        error("node3").await,
        r"answered garbage: HTTP/1.1 400 Bad Request\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n"
    );
    assert!(error("node4").await.starts_with(r"answered garbage: *1\r\n*1\r\n"), "{}", error("node4").await);
    assert_eq!(error("node5").await, "answered an error: LOADING Redis is loading the dataset in memory");
    let guarded = "the node wants a password (--node-password): NOAUTH Authentication required.";
    assert_eq!(error("node6").await, guarded);
    assert_eq!(error("node7").await, "");
    // That six of seven fail says more about the observer than about them.
    assert_eq!(service.get::<::cluster::Summary>("/health/summary").await.checker, CheckerState::Starting);
    assert!(service.try_get::<View>("/health/view").await.is_none());
    nodes.iter().for_each(|node| node.set_mood(Mood::Serving));
    let view = service.view_when(|_| true).await;
    let routable: Vec<bool> = view.nodes.iter().map(|node| node.routable).collect();
    assert_eq!(routable, [false, true, true, true, true, true, true]);
    assert!(nodes.iter().all(|node| node.flush_count() == 0));
}

#[tokio::test]
async fn a_crash_is_seen_at_once_and_the_empty_return_is_not_flushed() {
    let (service, mut nodes) = running(4).await;
    let crashed = Instant::now();
    let addr = nodes.remove(1).stop().await;
    let view = service.view_when(|view| !node(view, "node2").routable).await;
    // By the schedule it takes three intervals: it was the kept connection that told.
    assert!(crashed.elapsed() < cluster::POLICY.interval, "{:?}", crashed.elapsed());
    assert_eq!(node(&view, "node2").status, Status::Unhealthy);
    let back = FakeNode::start_at(addr, "another", 0, Mood::Serving).await;
    let view = service.all_routable().await;
    assert_eq!(node(&view, "node2").run_id.as_deref(), Some("another"));
    assert_eq!(back.flush_count(), 0);
}

#[tokio::test]
async fn a_return_with_old_data_is_flushed_before_it_is_routable() {
    let (service, mut nodes) = running(4).await;
    let addr = nodes.remove(1).stop().await;
    service.view_when(|view| !node(view, "node2").routable).await;
    let back = FakeNode::start_at(addr, "another", 1_000, Mood::Serving).await;
    service.all_routable().await;
    assert_eq!(back.flush_count(), 1);
}

#[tokio::test]
async fn a_frozen_node_is_out_within_moments_of_a_report_and_flushed_when_it_thaws() {
    let (service, nodes) = running(4).await;
    nodes[0].set_mood(Mood::Silent);
    let reported = Instant::now();
    report(&service, ReportKind::Timeout).await;
    let view = service.view_when(|view| !node(view, "node1").routable).await;
    assert!(reported.elapsed() < cluster::POLICY.interval, "{:?}", reported.elapsed());
    let history: Vec<::cluster::Transition> = service.get("/health/nodes/node1/history").await;
    assert_eq!(history.last().unwrap().cause, "proxy1 reported Timeout, confirmed: no answer within 250 ms");

    nodes[0].set_mood(Mood::Serving);
    let thawed = service.all_routable().await;
    assert_eq!(node(&thawed, "node1").run_id, node(&view, "node1").run_id, "it is the same process");
    assert_eq!(nodes[0].flush_count(), 1);
}

/// A proxy reports node 1.
async fn report(service: &Service, kind: ReportKind) {
    let report = Report { node_id: "node1".parse().unwrap(), kind, count: 1, detail: None };
    let reports = Reports { proxy_id: "proxy1".parse().unwrap(), epoch: 1, reports: vec![report] };
    client(service).report(&reports).await.unwrap();
}

/// The nodes were given another password than the service has. Connections stay logged in: those of the proxies as
/// well as the one that it keeps.
#[tokio::test]
async fn a_node_that_only_the_service_cannot_log_in_to_stays_in_use() {
    let (service, nodes) = running(2).await;
    let epoch = service.get::<View>("/health/view").await.epoch;
    nodes[0].set_mood(Mood::Locked);
    report(&service, ReportKind::Reset).await;
    let problem = "the node wants a password (--node-password): NOAUTH Authentication required.";
    let told = service.node_when("node1", |node| node.error_message.as_deref() == Some(problem)).await;
    assert_eq!(told.status, Status::Healthy);
    let view: View = service.get("/health/view").await;
    assert_eq!((view.epoch, nodes[0].flush_count()), (epoch, 0));
    // A proxy that is not let in either is the second witness.
    report(&service, ReportKind::Error).await;
    service.view_when(|view| !node(view, "node1").routable).await;
    nodes[0].set_mood(Mood::Serving);
    service.all_routable().await;
}

#[tokio::test]
async fn a_service_restarted_with_a_wrong_password_takes_no_node_out() {
    let directory = tempfile::tempdir().unwrap();
    let state = || Some(directory.path().join("state"));
    let nodes = [FakeNode::start("a", 5, Mood::Serving).await, FakeNode::start("b", 5, Mood::Serving).await];
    let addrs = nodes.each_ref().map(|node| node.addr);
    let service = Service::start(topology(&addrs), state()).await;
    service.all_routable().await;
    service.stop().await;

    nodes.iter().for_each(|node| node.set_mood(Mood::Guarded));
    let service = Service::start(topology(&addrs), state()).await;
    let first = service.view_when(|_| true).await;
    // More looks than make a node UNHEALTHY.
    let mut looks = std::collections::BTreeSet::new();
    while looks.len() < 5 {
        let seen = service.node_when("node2", |node| node.last_check.is_some()).await;
        assert!(seen.error_message.is_some_and(|text| text.contains("NOAUTH")), "it is told");
        looks.insert(seen.last_check);
    }
    let view: View = service.get("/health/view").await;
    assert_eq!(view, first);
    assert!(view.nodes.iter().all(|node| node.routable) && nodes.iter().all(|node| node.flush_count() == 0));
}

#[tokio::test]
async fn what_a_proxy_answers_is_no_matter_of_the_nodes_password() {
    let (node, proxy) =
        (FakeNode::start("a", 0, Mood::Serving).await, FakeNode::start("p", 0, Mood::Guarded).await);
    let (nodes, proxies) = (format!("node1={}", node.addr), format!("proxy1={}", proxy.addr));
    let service = Service::start(Topology::from_lists(&nodes, &proxies).unwrap(), None).await;
    let told = service.member_when("proxies/proxy1", |proxy| proxy.error_message.is_some()).await;
    assert_eq!(told.error_message.unwrap(), "answered an error: NOAUTH Authentication required.");
}

/// Without its run id nobody would notice that it was restarted.
#[tokio::test]
async fn a_user_that_may_not_ask_who_it_is_is_told() {
    let nodes = [FakeNode::start("a", 0, Mood::Strict).await];
    let service = Service::start(topology(&[nodes[0].addr]), None).await;
    let told = service.node_when("node1", |node| node.status == Status::Unhealthy).await;
    let text = told.error_message.unwrap();
    assert!(text.starts_with("the node does not allow its user enough (--node-username): NOPERM"), "{text}");
}

fn client(service: &Service) -> HealthClient {
    HealthClient::new(&ClientSettings {
        url: format!("http://{}", service.addr),
        proxy_id: Some("proxy1".parse().unwrap()),
        api_token: None,
        timeout: DEADLINE,
        ttl: Duration::from_millis(1),
    })
    .unwrap()
}

#[tokio::test]
async fn a_follower_routes_by_each_new_view() {
    let (service, mut nodes) = running(4).await;
    let client = client(&service);
    assert_eq!(client.nodes().await.unwrap().value.len(), 4);
    assert_eq!(client.summary().await.unwrap().value.healthy_nodes, 4);
    let mut follower = follow(client, None);
    let routing = Routing::compile(&follower.next().await, None).unwrap();
    let slot = routing.ring().slots().slots().find(|slot| routing.owner(*slot).get() == 0).unwrap();
    assert_eq!(routing.serving(slot).unwrap().get(), 0);
    nodes.remove(0).stop().await;
    let view = tokio::time::timeout(DEADLINE, follower.next()).await.unwrap();
    let routing = Routing::compile(&view, Some(&routing)).unwrap();
    assert_eq!(routing.owner(slot).get(), 0);
    assert_ne!(routing.serving(slot).unwrap().get(), 0);
}

#[tokio::test]
async fn a_restarted_service_has_the_same_view_and_history() {
    let directory = tempfile::tempdir().unwrap();
    let state = || Some(directory.path().join("state"));
    let mut nodes = Vec::new();
    for i in 1..=4 {
        nodes.push(FakeNode::start(&format!("run{i}"), 5, Mood::Serving).await);
    }
    let addrs: Vec<SocketAddr> = nodes.iter().map(|node| node.addr).collect();
    let service = Service::start(topology(&addrs), state()).await;
    service.all_routable().await;
    let dead = nodes.remove(3).stop().await;
    let before = service.view_when(|view| !node(view, "node4").routable).await;
    service.stop().await;

    // Its node returns with old data while nobody watches: only the journal knows that it was out.
    let back = FakeNode::start_at(dead, "run4", 5, Mood::Serving).await;
    let service = Service::start(topology(&addrs), state()).await;
    let first = service.view_when(|_| true).await;
    assert!(first.epoch > before.epoch);
    assert_eq!(first, View { epoch: first.epoch, ..before });
    let view = service.all_routable().await;
    assert_eq!((view.epoch, back.flush_count()), (first.epoch + 1, 1));
    let history: Vec<::cluster::Transition> = service.get("/health/nodes/node4/history").await;
    assert!(history[0].cause == "first probe succeeded" && history.len() >= 3, "{history:?}");
    assert!(nodes.iter().all(|node| node.flush_count() == 0));
    service.stop().await;
}

#[tokio::test]
async fn two_services_cannot_share_a_journal() {
    let directory = tempfile::tempdir().unwrap();
    let fake = FakeNode::start("a", 0, Mood::Serving).await;
    let service = Service::start(topology(&[fake.addr]), Some(directory.path().to_path_buf())).await;
    service.all_routable().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = health_service::Config {
        host: String::new(),
        port: 0,
        topology: topology(&[fake.addr]),
        policy: cluster::POLICY,
        state_dir: Some(directory.path().to_path_buf()),
        api_token: None,
        node_login: None,
    };
    let error = health_service::run(listener, config, std::future::pending()).await.unwrap_err();
    assert!(format!("{error:#}").contains("in use by another process"), "{error:#}");

    // As a process it never says that it is ready.
    let mut second = std::process::Command::new(env!("CARGO_BIN_EXE_health-service"));
    second.args(["--port", "0", "--cluster-nodes", "a=127.0.0.1:1", "--state-dir"]).arg(directory.path());
    let second = second.output().unwrap();
    assert!(!second.status.success());
    assert_eq!(String::from_utf8_lossy(&second.stdout), "");
}

#[tokio::test]
async fn a_service_that_lost_its_journal_overtakes_the_epoch_its_proxies_have() {
    let (node, proxy) =
        (FakeNode::start("a", 0, Mood::Serving).await, FakeNode::start("p", 0, Mood::Serving).await);
    let (nodes, proxies) = (format!("node1={}", node.addr), format!("proxy1={}", proxy.addr));
    let service = Service::start(Topology::from_lists(&nodes, &proxies).unwrap(), None).await;
    let lost = service.all_routable().await.epoch + 5_000;
    let mut follower = follow(client(&service), Some(lost));
    let view = tokio::time::timeout(DEADLINE, follower.next()).await.unwrap();
    assert_eq!(view.epoch, lost + 1);
    assert!(view.nodes.iter().all(|node| node.routable));
    // Who is no proxy of this cluster is not believed, and is told what there is.
    for name in [None, Some("node1"), Some("proxy2")] {
        let request = service.http.get(service.url(&format!("/health/view?since={}", lost + 9_000)));
        let named = name.into_iter().fold(request, |request, name| request.header("x-proxy-id", name));
        let answer = named.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["etag"], format!("\"{}\"", lost + 1).as_str());
        assert_eq!(answer.json::<View>().await.unwrap().epoch, lost + 1, "{name:?}");
    }
}

#[tokio::test]
async fn a_restart_between_two_probes_is_noticed_by_its_run_id() {
    let (service, mut nodes) = running(4).await;
    let before: NodeHealth = service.get("/health/nodes/node1").await;
    let addr = nodes.remove(0).stop().await;
    let back = FakeNode::start_at(addr, "another", 7, Mood::Serving).await;
    let view = service.view_when(|view| node(view, "node1").run_id.as_deref() == Some("another")).await;
    assert!(node(&view, "node1").routable && view.epoch >= before.epoch + 2);
    assert_eq!(back.flush_count(), 1);
}
