//! The follower against streams that lag, break, lie and return.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fake_service;
mod views;

use std::time::Duration;

use cluster::{Follower, View, follow};
use fake_service::{FakeService, Reply, client_of};
use views::equal_nodes;

const PATIENT: Duration = Duration::from_secs(20);

fn event(epoch: u64) -> String {
    let view = serde_json::to_string(&View { epoch, ..equal_nodes(3) }).unwrap();
    format!("id: {epoch}\nevent: view\ndata: {view}\n\n")
}

fn follower(service: &FakeService, known: Option<u64>) -> Follower {
    follow(service.client(PATIENT, PATIENT), known)
}

async fn next_epoch(follower: &mut Follower) -> u64 {
    tokio::time::timeout(PATIENT, follower.next()).await.expect("a view comes").epoch
}

#[tokio::test]
async fn yields_each_newer_view_and_no_other() {
    let long = event(9);
    let (half, rest) = long.split_at(100);
    let chunks = [&event(5), ": heartbeat\n", &event(5), &event(3), &event(6), half, rest].map(str::to_owned);
    let service = FakeService::start([Reply::Stream(chunks.into())]).await;
    let mut follower = follower(&service, None);
    let mut epochs = vec![next_epoch(&mut follower).await];
    while *epochs.last().unwrap() < 9 {
        epochs.push(next_epoch(&mut follower).await);
    }
    // Views that came together are skipped up to the newest; none is repeated or older.
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
    assert!(follower.is_connected());
    assert_eq!(follower.epoch(), Some(9));
}

#[tokio::test]
async fn a_known_epoch_is_named_and_not_yielded_again() {
    let service = FakeService::start([Reply::Stream(vec![event(5), event(6)])]).await;
    let mut follower = follower(&service, Some(5));
    assert_eq!(next_epoch(&mut follower).await, 6);
    let request = service.requests().remove(0);
    assert!(request.starts_with("GET /health/events HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("last-event-id: 5\r\n"), "{request}");
    assert!(request.contains("x-proxy-id: proxy1\r\n"), "{request}");
}

#[tokio::test]
async fn comes_back_after_every_kind_of_failure() {
    let replies = [
        Reply::ShortStream(vec![event(1)]),
        Reply::Json(503, String::new()),
        Reply::Json(200, "no events here".to_owned()),
        Reply::ShortStream(vec!["data: {\"epoch\": \"two\"}\n\n".to_owned()]),
        Reply::Raw(b"\x16\x03\x01 no HTTP".to_vec()),
        Reply::Stream(vec![event(1), event(2)]),
    ];
    let count = replies.len();
    let service = FakeService::start(replies).await;
    let mut follower = follower(&service, None);
    assert_eq!(next_epoch(&mut follower).await, 1);
    assert_eq!(next_epoch(&mut follower).await, 2);
    let requests = service.requests();
    assert_eq!(requests.len(), count);
    assert!(requests[1..].iter().all(|request| request.contains("last-event-id: 1\r\n")));
}

#[tokio::test]
async fn a_silent_stream_is_left() {
    let service = FakeService::start([
        Reply::Stream(vec![event(1)]),
        Reply::Silence,
        Reply::Stream(vec![": heartbeat\n\n".to_owned(), event(2)]),
    ])
    .await;
    // As long as the first view takes to come on a busy machine.
    let mut follower = follow(service.client(Duration::from_secs(2), PATIENT), None);
    assert_eq!(next_epoch(&mut follower).await, 1);
    assert_eq!(next_epoch(&mut follower).await, 2);
    assert_eq!(service.requests().len(), 3);
}

#[tokio::test]
async fn a_returned_service_is_found() {
    let service = FakeService::start([Reply::Stream(vec![event(1)])]).await;
    let mut follower = follower(&service, None);
    assert_eq!(next_epoch(&mut follower).await, 1);
    let addr = service.stop().await;
    let waiting = tokio::spawn(async move {
        let epoch = next_epoch(&mut follower).await;
        (epoch, follower)
    });
    let service = FakeService::start_at(addr, [Reply::Stream(vec![event(2)])]).await;
    let (epoch, _) = waiting.await.unwrap();
    assert_eq!(epoch, 2);
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn dropping_the_wait_loses_no_view() {
    let service = FakeService::start([Reply::Stream(vec![event(4)])]).await;
    let mut follower = follow(client_of(service.addr, PATIENT, PATIENT), None);
    let deadline = tokio::time::Instant::now() + PATIENT;
    let epoch = loop {
        assert!(tokio::time::Instant::now() < deadline, "no view");
        // One poll at a time: the harshest cancellation there is.
        tokio::select! {
            biased;
            view = follower.next() => break view.epoch,
            () = tokio::task::yield_now() => {}
        }
    };
    assert_eq!(epoch, 4);
}
