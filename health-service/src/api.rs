//! The REST interface: what `health-service` answers over HTTP.
//!
//! ```text
//! GET  /health/view[?since=E&wait=30s]   the view; ETag = epoch; waits for a newer one than E
//! GET  /health/events                    the same as server-sent events, with Last-Event-ID
//! GET  /health/nodes  /health/nodes/{id}  /health/nodes/{id}/history
//! GET  /health/proxies  /health/proxies/{id}
//! GET  /health/healthy  /health/unhealthy  /health/summary (= /health/stats)  /health/ping
//! POST /health/reports                   what proxies could not use
//! POST /health/nodes/{id}/check          probes now, answers the outcome
//! POST /health/nodes/{id}/maintenance    {"mode": "drain"} or {"mode": "ready"}
//! ```
//!
//! With an API token in force, whatever is no `GET` needs `Authorization: Bearer TOKEN`, and an epoch that a
//! `GET` names is believed only with it.
//!
//! Every error is JSON: `{"status": 404, "error": "..."}`. A request body must be declared as
//! `application/json`, so that no web page a browser shows can send one unasked.

mod problem;
mod token;
mod views;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Json};
use axum::routing::{get, post};
use cluster::{ApiToken, MAX_REPORTS, MaintenanceMode, NodeHealth, NodeType, Reports, Status, Summary};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::answers;
use crate::board::Board;
use crate::clock::rfc3339;
use crate::metrics::Metrics;
use crate::publish::Reader;
use crate::verdict::{Event, MemberIndex, Verdict};

use problem::Problem;

/// Longest request body: [`MAX_REPORTS`] reports with details fit.
const MAX_BODY_LEN: usize = 1 << 20;

/// The page that shows the cluster live. One file that loads nothing from elsewhere.
const PAGE: &str = include_str!("page.html");
/// The page may talk to this service and to nobody else.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:";

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct Api {
    /// The verdict.
    pub board: Board,
    /// The published view.
    pub reader: Reader,
    /// Counts reports.
    pub metrics: Metrics,
    /// What a request that changes something must carry, if anything.
    pub token: Option<ApiToken>,
}

/// The routes of the interface and of the page.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/health/view", get(views::view))
        .route("/health/events", get(views::events))
        .route("/health/nodes", get(nodes))
        .route("/health/nodes/{id}", get(node))
        .route("/health/nodes/{id}/history", get(history))
        .route("/health/nodes/{id}/check", post(check))
        .route("/health/nodes/{id}/maintenance", post(maintenance))
        .route("/health/proxies", get(proxies))
        .route("/health/proxies/{id}", get(proxy))
        .route("/health/healthy", get(healthy))
        .route("/health/unhealthy", get(unhealthy))
        .route("/health/summary", get(summary))
        .route("/health/stats", get(summary))
        .route("/health/ping", get(ping))
        .route("/health/reports", post(reports))
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "there is nothing here; GET /health/summary is a start")
        })
        .method_not_allowed_fallback(async || {
            let text = "this is not asked for with this method; GET reads, POST changes";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, text)
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .layer(from_fn_with_state(api.clone(), token::required))
        .with_state(api)
}

async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(PAGE))
}

async fn nodes(State(api): State<Api>) -> Json<Vec<NodeHealth>> {
    Json(api.board.read(|verdict, _| answers::members(verdict, NodeType::Node, |_| true)))
}

async fn proxies(State(api): State<Api>) -> Json<Vec<NodeHealth>> {
    Json(api.board.read(|verdict, _| answers::members(verdict, NodeType::Proxy, |_| true)))
}

async fn healthy(State(api): State<Api>) -> Json<Vec<NodeHealth>> {
    with_status(&api, Status::Healthy)
}

async fn unhealthy(State(api): State<Api>) -> Json<Vec<NodeHealth>> {
    with_status(&api, Status::Unhealthy)
}

fn with_status(api: &Api, status: Status) -> Json<Vec<NodeHealth>> {
    let wanted =
        |verdict: &Verdict, _| answers::members(verdict, NodeType::Node, |node| node.status == status);
    Json(api.board.read(wanted))
}

async fn node(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<NodeHealth>, Problem> {
    member(&api, NodeType::Node, id)
}

async fn proxy(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<NodeHealth>, Problem> {
    member(&api, NodeType::Proxy, id)
}

fn member(
    api: &Api,
    kind: NodeType,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<NodeHealth>, Problem> {
    let Path(id) = id.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    api.board.read(|verdict, _| Ok(Json(answers::node_health(verdict, find(verdict, kind, &id)?))))
}

fn find(verdict: &Verdict, kind: NodeType, id: &str) -> Result<MemberIndex, Problem> {
    let found = verdict.find(id).filter(|index| verdict.members()[index.0].kind == kind);
    let (kind, all) = match kind {
        NodeType::Node => ("node", "nodes"),
        NodeType::Proxy => ("proxy", "proxies"),
    };
    let text = || format!("there is no {kind} {id:?}; GET /health/{all} lists them");
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, text()))
}

fn find_node(api: &Api, id: Result<Path<String>, PathRejection>) -> Result<MemberIndex, Problem> {
    let Path(id) = id.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    api.board.read(|verdict, _| find(verdict, NodeType::Node, &id))
}

async fn history(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Vec<cluster::Transition>>, Problem> {
    let node = find_node(&api, id)?;
    Ok(Json(api.board.read(|verdict, _| answers::history(&verdict.members()[node.0]))))
}

async fn check(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<NodeHealth>, Problem> {
    let node = find_node(&api, id)?;
    api.board.ask(Event::CheckRequested(node)).await?;
    Ok(Json(api.board.read(|verdict, _| answers::node_health(verdict, node))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Maintenance {
    mode: MaintenanceMode,
}

async fn maintenance(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<NodeHealth>, Problem> {
    let node = find_node(&api, id)?;
    let Maintenance { mode } = json(&headers, body)
        .map_err(|problem| problem.with_hint(r#"the body must be {"mode":"drain"} or {"mode":"ready"}"#))?;
    api.board.ask(Event::Maintenance(node, mode)).await?;
    Ok(Json(api.board.read(|verdict, _| answers::node_health(verdict, node))))
}

async fn summary(State(api): State<Api>) -> Json<Summary> {
    Json(api.board.read(|verdict, now| answers::summary(verdict, now, &api.board)))
}

#[derive(Debug, Serialize)]
struct Pong {
    status: &'static str,
    timestamp: String,
}

async fn ping(State(api): State<Api>) -> Json<Pong> {
    Json(Pong { status: "ok", timestamp: rfc3339(api.board.clock().now()) })
}

/// What became of a batch of reports.
#[derive(Debug, Serialize)]
struct Taken {
    accepted: usize,
    /// Ids that are no nodes of this cluster.
    unknown: Vec<String>,
}

async fn reports(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Taken>), Problem> {
    let reports: Reports = json(&headers, body)?;
    if reports.reports.len() > MAX_REPORTS {
        let text = format!("{} reports are more than {MAX_REPORTS}", reports.reports.len());
        return Err(Problem::new(StatusCode::BAD_REQUEST, text));
    }
    views::note_epoch(&api, &headers, reports.epoch)?;
    let mut taken = Taken { accepted: 0, unknown: Vec::new() };
    for report in reports.reports {
        let node = api.board.read(|verdict, _| find(verdict, NodeType::Node, report.node_id.as_str()).ok());
        let Some(node) = node else {
            taken.unknown.push(report.node_id.into());
            continue;
        };
        api.board.tell(Event::Reported { node, by: reports.proxy_id.clone(), kind: report.kind })?;
        api.metrics.reports.inc();
        taken.accepted += 1;
    }
    Ok((StatusCode::ACCEPTED, Json(taken)))
}

/// Reads a JSON body.
fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<T, Problem> {
    let body = body.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let text = "the content type must be application/json: curl -H 'content-type: application/json'";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    serde_json::from_slice(&body).map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))
}
