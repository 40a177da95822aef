//! The health client against a service that fails in every way there is.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fake_service;
mod views;

use std::time::{Duration, Instant};

use cluster::{
    ClientError, ClientSettings, HealthClient, MAX_BODY_LEN, NodeId, Report, ReportKind, Reports, View,
};
use fake_service::{FakeService, Reply, client_of};
use views::equal_nodes;

/// Long enough for a loaded machine; only the tests of silence wait for theirs.
const PATIENT: Duration = Duration::from_secs(30);
/// Too short to be ever hit: each question is asked anew.
const NO_TTL: Duration = Duration::from_nanos(1);
const LONG_TTL: Duration = Duration::from_secs(3_600);

fn view(epoch: u64) -> View {
    View { epoch, ..equal_nodes(3) }
}

fn json(view: &View) -> Reply {
    Reply::Json(200, serde_json::to_string(view).unwrap())
}

/// Asks with a good answer known, then with `reply`; returns what the second was stale for.
async fn failure(timeout: Duration, reply: Reply) -> ClientError {
    let service = FakeService::start([json(&view(7)), reply]).await;
    let client = service.client(timeout, NO_TTL);
    let good = client.view().await.unwrap();
    assert!(good.stale.is_none());
    let kept = client.view().await.unwrap();
    assert_eq!(*kept.value, view(7));
    kept.stale.expect("the second answer is a failure")
}

#[tokio::test]
async fn the_last_good_view_outlives_every_kind_of_failure() {
    let patient = |reply| failure(PATIENT, reply);
    let error = patient(Reply::Json(500, "{}".to_owned())).await;
    assert!(matches!(error, ClientError::Status(500)), "{error}");
    let error = patient(Reply::Json(404, "{}".to_owned())).await;
    assert!(matches!(error, ClientError::Status(404)), "{error}");
    let error = patient(Reply::Json(302, String::new())).await;
    assert!(matches!(error, ClientError::Status(302)), "{error}");
    let error = patient(Reply::Json(200, "<html>hello</html>".to_owned())).await;
    assert!(matches!(error, ClientError::Garbage(_)), "{error}");
    let error = patient(Reply::Json(200, r#"{"epoch": 8, "nodes": []}"#.to_owned())).await;
    assert!(matches!(error, ClientError::Garbage(_)), "{error}");
    let error = patient(json(&view(6))).await;
    assert!(matches!(error, ClientError::OlderEpoch { answered: 6, known: 7 }), "{error}");
    let error = patient(Reply::Raw(b"220 smtp.example.org ESMTP\r\n".to_vec())).await;
    assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
    let error =
        patient(Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{\"epoch\"".to_vec())).await;
    assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
    let error = patient(Reply::Json(200, " ".repeat(MAX_BODY_LEN + 1))).await;
    assert!(matches!(error, ClientError::TooLong), "{error}");
}

#[tokio::test]
async fn the_last_good_view_outlives_silence() {
    let half = b"HTTP/1.1 200 OK\r\n\r\n{".to_vec();
    let half = Reply::Stream(vec![String::from_utf8(half).unwrap()]);
    for reply in [Reply::Silence, half] {
        let error = failure(Duration::from_secs(2), reply).await;
        assert!(matches!(error, ClientError::Timeout), "{error}");
    }
}

#[tokio::test]
async fn the_last_good_view_outlives_the_service_and_a_new_one_is_taken_from_its_return() {
    let service = FakeService::start([json(&view(7))]).await;
    let client = service.client(PATIENT, NO_TTL);
    client.view().await.unwrap();
    let addr = service.stop().await;
    for _ in 0..3 {
        let kept = client.view().await.unwrap();
        assert_eq!(*kept.value, view(7));
        assert!(matches!(kept.stale, Some(ClientError::Unreachable(_))), "{:?}", kept.stale);
    }
    let _back = FakeService::start_at(addr, [json(&view(8))]).await;
    let fresh = client.view().await.unwrap();
    assert_eq!((fresh.value.epoch, fresh.stale.is_none()), (8, true));
}

#[tokio::test]
async fn what_was_never_answered_fails() {
    let service = FakeService::start([Reply::Json(503, String::new()), json(&view(1))]).await;
    let client = service.client(PATIENT, NO_TTL);
    assert!(matches!(client.view().await, Err(ClientError::Status(503))));
    assert_eq!(client.view().await.unwrap().value.epoch, 1);
}

#[tokio::test]
async fn an_answer_is_given_again_within_its_ttl() {
    let service = FakeService::start([json(&view(1)), json(&view(2))]).await;
    let client = service.client(PATIENT, LONG_TTL);
    for _ in 0..5 {
        assert_eq!(client.clone().view().await.unwrap().value.epoch, 1);
    }
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn a_failure_is_remembered_for_the_ttl_as_well() {
    let ttl = Duration::from_millis(200);
    let service = FakeService::start([json(&view(1))]).await;
    let client = service.client(PATIENT, ttl);
    client.view().await.unwrap();
    service.set(Reply::Json(500, String::new()));
    let again_within_its_ttl = async {
        loop {
            let (began, asked) = (Instant::now(), service.requests().len());
            let first = client.view().await.unwrap();
            let asked_anew = service.requests().len() > asked;
            let second = client.view().await.unwrap();
            // Not so when the machine stood still meanwhile.
            if asked_anew && first.stale.is_some() && began.elapsed() < ttl {
                assert!(second.stale.is_some());
                assert_eq!(service.requests().len(), asked + 1);
                return;
            }
        }
    };
    tokio::time::timeout(PATIENT, again_within_its_ttl).await.unwrap();
}

#[tokio::test]
async fn many_callers_make_one_request() {
    let service = FakeService::start([json(&view(1))]).await;
    let client = service.client(PATIENT, LONG_TTL);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        callers.spawn(async move { client.view().await.unwrap().value.epoch });
    }
    assert_eq!(callers.join_all().await, vec![1; 100]);
    assert_eq!(service.requests().len(), 1);
}

const NODE: &str = r#"{"nodeId":"node1","nodeType":"node","host":"localhost","port":7001,"status":"HEALTHY",
    "healthy":true,"lastCheck":"2024-01-15T10:30:00Z","lastChecked":"2024-01-15T10:30:00Z","responseTimeMs":45,
    "errorMessage":null,"since":null,"epoch":EPOCH,"routable":true,"maintenance":false,"consecutiveFailures":0,
    "consecutiveSuccesses":9,"somethingNew":1}"#;

#[tokio::test]
async fn nodes_are_asked_for_one_by_one_and_never_get_older() {
    let node = |epoch: &str| Reply::Json(200, NODE.replace("EPOCH", epoch));
    let service = FakeService::start([node("5"), node("4")]).await;
    let client = service.client(PATIENT, NO_TTL);
    let id = NodeId::new("node1").unwrap();
    assert_eq!(client.node(&id).await.unwrap().value.response_time_ms, Some(45));
    let kept = client.node(&id).await.unwrap();
    assert!(matches!(kept.stale, Some(ClientError::OlderEpoch { answered: 4, known: 5 })));
    assert_eq!(kept.value.epoch, 5);
    assert!(service.requests()[0].starts_with("GET /health/nodes/node1 HTTP/1.1\r\n"));

    service.set(Reply::Json(200, format!("[{}]", NODE.replace("EPOCH", "5"))));
    assert_eq!(client.nodes().await.unwrap().value.len(), 1);
}

#[tokio::test]
async fn reports_are_posted_with_the_proxys_name() {
    let service =
        FakeService::start([Reply::Json(202, String::new()), Reply::Json(500, String::new())]).await;
    let client = service.client(PATIENT, NO_TTL);
    let report =
        Report { node_id: "node3".parse().unwrap(), kind: ReportKind::Refused, count: 2, detail: None };
    let reports = Reports { proxy_id: "proxy1".parse().unwrap(), epoch: 7, reports: vec![report] };
    client.report(&reports).await.unwrap();
    let request = service.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /health/reports HTTP/1.1"), "{head}");
    assert!(head.contains("x-proxy-id: proxy1"), "{head}");
    assert!(head.contains("authorization: Bearer s3cret"), "{head}");
    let debugged = format!("{client:?}");
    assert!(!debugged.contains("s3cret"), "{debugged}");
    assert_eq!(serde_json::from_str::<Reports>(body).unwrap(), reports);
    assert!(matches!(client.report(&reports).await, Err(ClientError::Status(500))));
}

#[tokio::test]
async fn base_urls_are_checked_and_may_have_a_path() {
    let client = |url: &str| {
        HealthClient::new(&ClientSettings {
            url: url.to_owned(),
            proxy_id: None,
            api_token: None,
            timeout: PATIENT,
            ttl: NO_TTL,
        })
    };
    for bad in ["", "127.0.0.1:8080", "https://127.0.0.1:8080", "ftp://h", "http://"] {
        assert!(matches!(client(bad), Err(ClientError::BadUrl { .. })), "{bad}");
    }
    let service = FakeService::start([json(&view(1))]).await;
    client(&format!("http://{}/cache", service.addr)).unwrap().view().await.unwrap();
    let request = service.requests().remove(0);
    assert!(request.starts_with("GET /cache/health/view HTTP/1.1\r\n"), "{request}");
    assert!(!request.contains("authorization"), "{request}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unreachable() {
    let addr = FakeService::start([]).await.stop().await;
    let error = client_of(addr, PATIENT, NO_TTL).view().await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}
