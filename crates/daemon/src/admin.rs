//! The admin endpoints every process has: `/livez`, `/readyz` and `/metrics`.
//!
//! *Live* means the process runs its event loop: restart it when it does not answer. *Ready* means it
//! should get traffic: it is false while starting and while draining.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// The media type of the OpenMetrics text that [`encode`] writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the process should get traffic. Clones share one flag; it starts as not ready.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Not ready yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes it ready or not.
    pub fn set(&self, ready: bool) {
        // A flag of its own: it orders nothing else.
        self.0.store(ready, Ordering::Relaxed);
    }

    /// Whether it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The router; merge it with a process' own, or serve it on the admin port.
pub fn router(registry: impl Into<Arc<Registry>>, readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(async || "live\n"))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(metrics).with_state(registry.into()))
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn metrics(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot encode the metrics: {error}\n"))
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt;

    use super::*;

    /// More than these tests' bodies ever have.
    const MAX_BODY_BYTES: usize = 64 * 1024;

    async fn get_text(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), MAX_BODY_BYTES).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_follows_the_flag_and_liveness_does_not() {
        let readiness = Readiness::new();
        let router = router(Registry::default(), readiness.clone());
        assert_eq!(get_text(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(get_text(&router, "/livez").await.0, StatusCode::OK);
        readiness.set(true);
        assert_eq!(get_text(&router, "/readyz").await.0, StatusCode::OK);
        readiness.set(false);
        assert_eq!(get_text(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn metrics_are_open_metrics_text() {
        let mut registry = Registry::default();
        let requests: Counter = Counter::default();
        registry.register("requests", "Requests served", requests.clone());
        requests.inc_by(3);
        let (status, text) = get_text(&router(registry, Readiness::new()), "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("requests_total 3\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
