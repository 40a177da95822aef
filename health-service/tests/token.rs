//! The API token: what needs it, what does not, and that it is never shown.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cluster;

use ::cluster::{ApiToken, ClientError, ClientSettings, HealthClient, Reports, View};
use cluster::{DEADLINE, FakeNode, Mood, Service, topology};
use serde_json::Value;

const TOKEN: &str = "s3cret";

async fn guarded() -> (Service, FakeNode) {
    let node = FakeNode::start("run1", 0, Mood::Serving).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FakeNode::start("run2", 0, Mood::Serving).await;
    let proxies = format!("proxy1={}", proxy.addr);
    let topology = ::cluster::Topology::from_lists(&format!("node1={}", node.addr), &proxies).unwrap();
    let token = Some(ApiToken::new(TOKEN).unwrap());
    let service = Service::start_with(listener, topology, None, token);
    service.all_routable().await;
    (service, node)
}

const CHANGES: [(&str, &str); 3] = [
    ("/health/nodes/node1/maintenance", r#"{"mode":"drain"}"#),
    ("/health/nodes/node1/check", ""),
    ("/health/reports", r#"{"proxyId":"proxy1","epoch":1,"reports":[]}"#),
];

fn post(service: &Service, path: &str, body: &'static str) -> reqwest::RequestBuilder {
    service.http.post(service.url(path)).header("content-type", "application/json").body(body)
}

#[tokio::test]
async fn what_changes_something_needs_the_token() {
    let (service, _node) = guarded().await;
    for (path, body) in CHANGES {
        for wrong in [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic s3cret"), Some(TOKEN)] {
            let mut request = post(&service, path, body);
            if let Some(authorization) = wrong {
                request = request.header("authorization", authorization);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 401, "{path} {wrong:?}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["status"], 401);
            assert!(problem["error"].as_str().unwrap().contains("Authorization: Bearer"), "{problem}");
            assert!(!problem.to_string().contains(TOKEN), "{problem}");
        }
    }
    let node: Value = service.get("/health/nodes/node1").await;
    assert_eq!((&node["maintenance"], &node["routable"]), (&Value::Bool(false), &Value::Bool(true)));
    // Not even what there is to change is told.
    assert_eq!(post(&service, "/health/nodes/nope/check", "").send().await.unwrap().status(), 401);
    assert_eq!(service.http.delete(service.url("/health/nodes")).send().await.unwrap().status(), 401);
    for (path, body) in CHANGES.iter().rev() {
        let response = post(&service, path, body).bearer_auth(TOKEN).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.status());
    }
    service.view_when(|view| !view.nodes[0].routable).await;
}

#[tokio::test]
async fn reading_needs_no_token() {
    let (service, _node) = guarded().await;
    let paths =
        ["/", "/health/summary", "/health/nodes", "/health/view", "/health/ping", "/readyz", "/metrics"];
    for path in paths {
        assert_eq!(service.http.get(service.url(path)).send().await.unwrap().status(), 200, "{path}");
    }
}

#[tokio::test]
async fn an_epoch_is_believed_only_with_the_token() {
    let (service, _node) = guarded().await;
    let before = service.get::<View>("/health/view").await.epoch;
    let ahead = before + 1_000_000;
    let ask = async |token: Option<&str>| {
        let url = service.url(&format!("/health/view?since={ahead}"));
        let mut request = service.http.get(url).header("x-proxy-id", "proxy1");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(request.send().await.unwrap().status(), 200);
    };
    ask(None).await;
    ask(Some("wrong")).await;
    // The service handles what it is told in order: what came of these two shows by the end of this check.
    let check = post(&service, "/health/nodes/node1/check", "").bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(check.status(), 200);
    assert_eq!(service.get::<View>("/health/view").await.epoch, before);
    ask(Some(TOKEN)).await;
    service.view_when(|view| view.epoch > ahead).await;
}

#[tokio::test]
async fn a_proxys_client_gives_the_token() {
    let (service, _node) = guarded().await;
    let client = |api_token: Option<&str>| {
        let api_token = api_token.map(|token| ApiToken::new(token).unwrap());
        let url = format!("http://{}", service.addr);
        let proxy_id = Some("proxy1".parse().unwrap());
        HealthClient::new(&ClientSettings { url, proxy_id, api_token, timeout: DEADLINE, ttl: DEADLINE })
            .unwrap()
    };
    let reports = Reports { proxy_id: "proxy1".parse().unwrap(), epoch: 1, reports: Vec::new() };
    client(Some(TOKEN)).report(&reports).await.unwrap();
    for wrong in [None, Some("wrong")] {
        assert!(matches!(client(wrong).report(&reports).await, Err(ClientError::Status(401))));
        assert!(client(wrong).view().await.is_ok());
    }
}

#[tokio::test]
async fn without_a_token_everybody_may() {
    let node = FakeNode::start("run1", 0, Mood::Serving).await;
    let service = Service::start(topology(&[node.addr]), None).await;
    service.all_routable().await;
    for (path, body) in CHANGES {
        assert!(post(&service, path, body).send().await.unwrap().status().is_success(), "{path}");
    }
}
