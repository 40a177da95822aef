//! The admin endpoints every process has: `/livez`, `/readyz` and `/metrics`.
//!
//! *Live* means the process runs its event loop: restart it when it does not answer. *Ready* means it
//! should get traffic, and `/readyz` says so by its status: 200 when it should, 503 while it cannot serve,
//! 404 while it drains. HAProxy (`http-check disable-on-404`) takes the last for what it is: no new clients
//! for this server, and those it has go on.

use std::future::{Future, ready};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::listener;

/// Most connections to an admin port at a time. A check of HAProxy, a Prometheus and some people are a dozen; and
/// those that are owed no answer give way to others.
pub const MAX_CONNECTIONS: usize = 128;

/// The media type of the OpenMetrics text that [`encode`] writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether a process should get traffic, as `/readyz` answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It should.
    Ready,
    /// It cannot serve, and this is why.
    NotReady(&'static str),
    /// It serves, and will end soon: no new clients.
    Draining,
}

impl IntoResponse for Standing {
    fn into_response(self) -> Response {
        match self {
            Self::Ready => (StatusCode::OK, "ready\n").into_response(),
            Self::NotReady(why) => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response()
            }
            Self::Draining => (StatusCode::NOT_FOUND, "draining\n").into_response(),
        }
    }
}

/// Whether the process should get traffic. Clones share their flags; it starts as not ready.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Flags>);

/// Flags of their own: they order nothing else.
#[derive(Debug, Default)]
struct Flags {
    ready: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// Not ready yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes it ready or not.
    pub fn set(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Relaxed);
    }

    /// The process will end: from now on it is draining, whatever else is set.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Whether it is draining.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Whether the process should get traffic now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        if self.is_draining() {
            Standing::Draining
        } else if self.0.ready.load(Ordering::Relaxed) {
            Standing::Ready
        } else {
            Standing::NotReady("starting or stopping")
        }
    }
}

/// The router; merge it with a process' own, or serve it on the admin port.
pub fn router(registry: impl Into<Arc<Registry>>, readiness: Readiness) -> Router {
    router_asking(registry, move || ready(readiness.standing()))
}

/// Like [`router`], for a process that takes a look at itself before it answers `/readyz`.
pub fn router_asking<Answer>(
    registry: impl Into<Arc<Registry>>,
    standing: impl Fn() -> Answer + Clone + Send + Sync + 'static,
) -> Router
where
    Answer: Future<Output = Standing> + Send,
{
    Router::new()
        .route("/livez", get(async || "live\n"))
        .route("/readyz", get(standing))
        .route("/metrics", get(metrics).with_state(registry.into()))
}

/// Serves a router on an admin port, for ever. The clients and nodes of the process need its files more than whoever
/// connects here, so connections are bounded in number and time.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, router: Router) -> io::Result<()> {
    listener::serve(listener, MAX_CONNECTIONS, router).await
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::{Duration, timeout};
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
    async fn readiness_follows_the_flags_and_liveness_does_not() {
        let readiness = Readiness::new();
        let router = router(Registry::default(), readiness.clone());
        assert_eq!(get_text(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(get_text(&router, "/livez").await.0, StatusCode::OK);
        readiness.set(true);
        assert_eq!(get_text(&router, "/readyz").await.0, StatusCode::OK);
        readiness.set(false);
        assert_eq!(get_text(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        readiness.drain();
        readiness.set(true);
        let draining = (StatusCode::NOT_FOUND, "draining\n".to_owned());
        assert_eq!(get_text(&router, "/readyz").await, draining, "nothing undoes a drain");
        assert_eq!(get_text(&router, "/livez").await.0, StatusCode::OK);
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

    /// Half of them say nothing, and half begin a request and do not end it.
    #[tokio::test]
    async fn connections_that_ask_nothing_delay_no_check() {
        /// Shorter than any time that such a connection is allowed, and what HAProxy's patience is.
        const SOON: Duration = Duration::from_millis(3_800);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let readiness = Readiness::new();
        readiness.set(true);
        tokio::spawn(serve(listener, router(Registry::default(), readiness)));
        let mut crowd = Vec::new();
        for number in 0..3 * MAX_CONNECTIONS {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            if number % 2 == 0 {
                stream.write_all(b"GET /readyz HTTP/1.1\r\nHo").await.unwrap();
            }
            crowd.push(stream);
        }
        for _ in 0..3 {
            let check = async {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                answer
            };
            let answer = timeout(SOON, check).await.expect("the crowd keeps nobody out");
            assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        }
    }
}
