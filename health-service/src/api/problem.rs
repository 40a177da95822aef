//! Errors as the API tells them: a status and one line of text, as JSON.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;

use crate::board::Busy;

/// A refused request.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    error: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    /// Says what would have been right, where the problem is what was said.
    pub(super) fn with_hint(mut self, hint: &str) -> Self {
        if self.status == StatusCode::BAD_REQUEST {
            self.error = format!("{}; {hint}", self.error);
        }
        self
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl From<Busy> for Problem {
    fn from(busy: Busy) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, busy.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}
