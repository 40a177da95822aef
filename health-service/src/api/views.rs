//! How the view is read: once, by long poll, or as a stream of events.

use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cluster::{NodeId, PROXY_ID_HEADER};
use serde::Deserialize;
use tokio::time::Instant;

use crate::publish::{Published, Subscription};
use crate::verdict::Event;

use super::Api;
use super::problem::Problem;

/// Longest a long poll may wait: shorter than what proxies and load balancers in between close.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Query of `GET /health/view`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    /// The epoch the asker has: only a higher one is news.
    since: Option<u64>,
    /// How long to wait for it: `30s`, or a number of seconds.
    wait: Option<String>,
}

pub(super) async fn view(
    State(api): State<Api>,
    headers: HeaderMap,
    query: Result<Query<Since>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Since { since, wait }) = query.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    let wait = wait.map_or(Ok(Duration::ZERO), |wait| parse_wait(&wait))?;
    let deadline = Instant::now() + wait;
    let Some(since) = since else {
        let newest = api.reader.newest().ok_or_else(starting)?;
        return Ok(if is_known(&headers, newest.epoch) {
            not_modified(newest.epoch)
        } else {
            found(&newest)
        });
    };
    note_epoch(&api, &headers, since)?;
    let newer = subscribe(&api)?.newer(since, deadline).await;
    let view = newer.or_else(|| api.reader.newest()).ok_or_else(starting)?;
    // Who asks for more than there is must see what there is.
    Ok(if view.epoch == since { not_modified(since) } else { found(&view) })
}

pub(super) async fn events(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    if let Some(epoch) = last.and_then(|id| id.parse().ok()) {
        note_epoch(&api, &headers, epoch)?;
    }
    let stream = Body::from_stream(subscribe(&api)?.events());
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, stream).into_response())
}

/// A proxy holds a view of this epoch. If it is one we do not know of, our journal was lost, and no
/// view of ours may have a lower number. Only a proxy of this cluster is believed, and with a token in force only
/// one that gives it.
pub(super) fn note_epoch(api: &Api, headers: &HeaderMap, epoch: u64) -> Result<(), Problem> {
    if !api.trusts(headers) {
        return Ok(());
    }
    let proxy = headers.get(PROXY_ID_HEADER).and_then(|id| id.to_str().ok());
    let Some(proxy) = proxy.and_then(|id| NodeId::new(id).ok()) else { return Ok(()) };
    let ours = api.board.read(|verdict, _| {
        let known = verdict.proxies().iter().any(|member| member.id == proxy);
        known.then(|| verdict.epoch())
    });
    let Some(ours) = ours else { return Ok(()) };
    if epoch > ours {
        tracing::warn!(%proxy, epoch, ours, "a proxy has seen a higher epoch than this service");
        api.board.tell(Event::EpochSeen(epoch))?;
    }
    Ok(())
}

fn subscribe(api: &Api) -> Result<Subscription, Problem> {
    let full = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many subscribers");
    api.reader.subscribe().ok_or_else(full)
}

fn parse_wait(text: &str) -> Result<Duration, Problem> {
    let parsed = match text.parse::<u32>() {
        Ok(seconds) => Some(Duration::from_secs(seconds.into())),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    let bad = || Problem::new(StatusCode::BAD_REQUEST, format!("wait={text:?} is not a time like 30s"));
    parsed.map(|wait| wait.min(MAX_WAIT)).ok_or_else(bad)
}

fn starting() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "no view yet: the nodes are being probed for the first time, or too many of them do not answer",
    )
}

/// Whether the asker already has this epoch, by its `If-None-Match`.
fn is_known(headers: &HeaderMap, epoch: u64) -> bool {
    let tags = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
    tags.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == etag(epoch) || tag == "*")
}

fn etag(epoch: u64) -> String {
    format!("\"{epoch}\"")
}

fn found(view: &Published) -> Response {
    let headers = [(header::ETAG, etag(view.epoch)), (header::CACHE_CONTROL, "no-cache".to_owned())];
    ([(header::CONTENT_TYPE, "application/json")], headers, view.json.clone()).into_response()
}

fn not_modified(epoch: u64) -> Response {
    (StatusCode::NOT_MODIFIED, [(header::ETAG, etag(epoch))]).into_response()
}
