//! What `PROXY …` tells, as JSON on the admin port: `/explain?key=…`, `/nodes`, `/view`, `/simulate?down=…`,
//! `/slowlog?count=…`.
//!
//! It only reads. Whoever reaches the admin port may ask; there is no password, as for `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use cluster::Routing;
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio::sync::watch;

use crate::explain::answer::Answer;
use crate::explain::desk;
use crate::explain::overview::Overview;
use crate::explain::proxy_command::{SLOW_REQUESTS, slow_requests};
use crate::explain::question::{Question, Unanswered};

const NOTHING: &str = "there is nothing here but /explain?key=KEY, /nodes, /view, /simulate?down=NODE,NODE, /slowlog, \
                       /metrics, /livez and /readyz";

/// Whom to ask.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) overview: Arc<Overview>,
    pub(crate) routing: watch::Receiver<Option<Arc<Routing>>>,
}

/// The router; merged with what every process has.
pub(crate) fn router(asked: Asked) -> Router {
    Router::new()
        .route("/explain", get(explain))
        .route("/nodes", get(async |asked: State<Asked>| answer(&asked, Question::Nodes).await))
        .route("/view", get(async |asked: State<Asked>| answer(&asked, Question::View).await))
        .route("/simulate", get(simulate))
        .route("/slowlog", get(slow_log))
        .fallback(async || problem(StatusCode::NOT_FOUND, NOTHING))
        .with_state(asked)
}

async fn explain(asked: State<Asked>, RawQuery(query): RawQuery) -> Response {
    answer(&asked, Question::Explain(values(query.as_deref(), "key"))).await
}

async fn simulate(asked: State<Asked>, RawQuery(query): RawQuery) -> Response {
    let lists = values(query.as_deref(), "down");
    let ids = lists.iter().flat_map(|list| list.split(|byte| *byte == b',')).filter(|id| !id.is_empty());
    let ids = ids.map(|id| String::from_utf8_lossy(id).into_owned()).collect();
    answer(&asked, Question::Simulate(ids)).await
}

async fn slow_log(asked: State<Asked>, RawQuery(query): RawQuery) -> Response {
    let count = values(query.as_deref(), "count");
    match count.first().map_or(Ok(SLOW_REQUESTS), |count| slow_requests(count)) {
        Ok(count) => answer(&asked, Question::SlowLog(count)).await,
        Err(text) => problem(StatusCode::BAD_REQUEST, text),
    }
}

async fn answer(asked: &Asked, question: Question) -> Response {
    let routing = asked.routing.borrow().clone();
    let json = |answer: &Answer| serde_json::to_vec(answer);
    match desk::ask(question, Arc::clone(&asked.overview), routing, json).await {
        Ok(Ok(json)) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        Ok(Err(error)) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(why @ Unanswered::Asked(_)) => problem(StatusCode::BAD_REQUEST, &why.to_string()),
        Err(why @ Unanswered::NoView) => problem(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
        Err(why @ Unanswered::Failed) => problem(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
    }
}

fn problem(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"status": status.as_u16(), "error": error}))).into_response()
}

/// The values of one name in a query. Keys are bytes, and need not be text.
fn values(query: Option<&str>, name: &str) -> Vec<Vec<u8>> {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let values = pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.replace('+', " "));
    values.map(|value| percent_decode_str(&value).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_can_be_asked_for() {
        let query = "key=a%20b&key=a+b&other=x&key=%00%ff&key=";
        assert_eq!(values(Some(query), "key"), [&b"a b"[..], b"a b", b"\0\xff", b""]);
        assert_eq!(values(None, "key"), Vec::<Vec<u8>>::new());
    }
}
