//! Reports that are refused for want of the API token: the operator is told once, and when it is over.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fake_service;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::{ClientError, Reports};
use fake_service::{FakeService, Reply};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(text).count()
    }
}

#[tokio::test]
async fn refused_reports_are_told_once_until_they_are_taken_again() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let answer = |status| Reply::Json(status, String::new());
    let service = FakeService::start([answer(401)]).await;
    let client = service.client(Duration::from_secs(10), Duration::ZERO);
    let reports = Reports { proxy_id: "proxy1".parse().unwrap(), epoch: 1, reports: Vec::new() };

    for client in [client.clone(), client.clone(), client.clone()] {
        assert!(matches!(client.report(&reports).await, Err(ClientError::Status(401))));
    }
    assert_eq!(log.count("HEALTH_API_TOKEN"), 1);
    // What fails for another reason says nothing about the token.
    service.set(answer(503));
    assert!(client.report(&reports).await.is_err());
    assert_eq!((log.count("HEALTH_API_TOKEN"), log.count("takes our reports again")), (1, 0));

    service.set(answer(202));
    for _ in 0..2 {
        client.report(&reports).await.unwrap();
    }
    assert_eq!(log.count("takes our reports again"), 1);
    service.set(answer(401));
    assert!(client.report(&reports).await.is_err());
    assert_eq!(log.count("HEALTH_API_TOKEN"), 2);
}
