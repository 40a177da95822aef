//! Who may change things: whoever gives the API token, or everybody when none is set.
//!
//! Reading stays open: probes of orchestrators, dashboards and Prometheus need no secret.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::problem::Problem;

impl Api {
    /// Whether what this request wants changed may be changed.
    pub(super) fn trusts(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        headers.get(header::AUTHORIZATION).is_some_and(|value| token.is_carried_by(value.as_bytes()))
    }
}

/// Lets a request through that only reads, or that may change things.
pub(super) async fn required(State(api): State<Api>, request: Request, next: Next) -> Response {
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if only_reads || api.trusts(request.headers()) {
        return next.run(request).await;
    }
    let text = "this needs the header `Authorization: Bearer TOKEN` with the service's API token";
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, text).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
