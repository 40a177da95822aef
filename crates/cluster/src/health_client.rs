//! A client of the health service that never lets the service's absence reach a request.
//!
//! Every question (`view`, `nodes`, `node`, `summary`) is asked at most once per TTL however many
//! callers want it (single flight), and whatever goes wrong (refused, timed out, 5xx, garbage, a
//! body too large, an older epoch) the last good answer is given again, marked with the reason. Only
//! a question that was never answered fails. Once there is a good answer, a failure is remembered for
//! the TTL as well, so a service in trouble is not hammered; before that every call asks, one at a
//! time, so that a service which has just come up is found at once.
//!
//! It answers questions; to be *told* of a new view within milliseconds use [`crate::follow()`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::future::Cache;
use reqwest::header::HeaderValue;
use reqwest::{Client, RequestBuilder, Response, Url, header};
use serde::de::DeserializeOwned;

use crate::api_token::ApiToken;
use crate::health::{NodeHealth, Summary};
use crate::node::NodeId;
use crate::report::Reports;
use crate::view::View;

/// Largest body that is read from the health service: a view of 10 000 nodes is under 2 MB.
pub const MAX_BODY_LEN: usize = 8 << 20;
/// The request header that names the asking proxy. A proxy that has seen a higher epoch than the
/// service (whose journal was lost) makes it catch up; the service listens to named proxies only.
pub const PROXY_ID_HEADER: &str = "x-proxy-id";

/// What the service answers to who does not give its token.
const UNAUTHORIZED: u16 = 401;

/// Most answers kept at a time, in number: `node` has one for each node.
const MAX_ANSWERS: u64 = 16_384;

/// How to reach the health service.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Base URL, e.g. `http://127.0.0.1:8080`.
    pub url: String,
    /// The asking proxy, if it is one.
    pub proxy_id: Option<NodeId>,
    /// The token for what changes things there, if the service asks for one.
    pub api_token: Option<ApiToken>,
    /// Deadline of one request, from connect to the last byte.
    pub timeout: Duration,
    /// How long an answer is given again without asking.
    pub ttl: Duration,
}

/// Why the health service gave no usable answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The configured URL is none, or not `http`.
    #[error("health service URL {url:?}: {reason}")]
    BadUrl {
        /// The text given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer: refused, reset, unresolvable.
    #[error("health service is not reachable: {0}")]
    Unreachable(String),
    /// No complete answer within the deadline.
    #[error("health service did not answer in time")]
    Timeout,
    /// An answer with another status than 200.
    #[error("health service answered status {0}")]
    Status(u16),
    /// An answer that is not what was asked for.
    #[error("health service answered garbage: {0}")]
    Garbage(String),
    /// An answer larger than [`MAX_BODY_LEN`].
    #[error("health service answered more than {MAX_BODY_LEN} bytes")]
    TooLong,
    /// An answer from before what is already known.
    #[error("health service answered epoch {answered}, older than the known {known}")]
    OlderEpoch {
        /// The epoch in the answer.
        answered: u64,
        /// The highest epoch seen so far.
        known: u64,
    },
}

impl ClientError {
    /// Whether the service refused for want of its API token.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Status(UNAUTHORIZED))
    }
}

/// An answer and whether it is a fresh one.
#[derive(Debug)]
pub struct Answer<T> {
    /// What was answered, last time it was.
    pub value: Arc<T>,
    /// Why it is not fresh: what went wrong when it was asked for again. `None`: it is at most one
    /// TTL old.
    pub stale: Option<ClientError>,
}

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), stale: self.stale.clone() }
    }
}

/// A client of one health service. Cheap to clone; clones share answers.
#[derive(Debug, Clone)]
pub struct HealthClient {
    http: Http,
    /// The last report was refused for want of the token. Shared by all clones, so that it is told once.
    refused: Arc<AtomicBool>,
    view: Question<View>,
    nodes: Question<Vec<NodeHealth>>,
    node: Question<NodeHealth>,
    summary: Question<Summary>,
}

impl HealthClient {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// [`ClientError::BadUrl`] when the URL is not an `http` one.
    pub fn new(settings: &ClientSettings) -> Result<Self, ClientError> {
        Ok(Self {
            http: Http::new(settings)?,
            refused: Arc::default(),
            view: Question::new(settings.ttl),
            nodes: Question::new(settings.ttl),
            node: Question::new(settings.ttl),
            summary: Question::new(settings.ttl),
        })
    }

    /// The view in force. Never one with an older epoch than a view already given.
    ///
    /// # Errors
    /// [`ClientError`] only when no view was ever received.
    pub async fn view(&self) -> Result<Answer<View>, ClientError> {
        let ask = |known: Option<Arc<View>>| async move {
            let view = View::from_json(&self.http.get("health/view").await?)
                .map_err(|e| ClientError::Garbage(e.to_string()))?;
            not_older(view.epoch, known.map(|k| k.epoch)).map(|()| view)
        };
        self.view.answer("", ask).await
    }

    /// The health of all nodes.
    ///
    /// # Errors
    /// [`ClientError`] only when this was never answered.
    pub async fn nodes(&self) -> Result<Answer<Vec<NodeHealth>>, ClientError> {
        let epoch = |nodes: &Vec<NodeHealth>| nodes.iter().map(|node| node.epoch).max().unwrap_or(0);
        self.nodes.answer("", |known| self.ask("health/nodes".to_owned(), known, epoch)).await
    }

    /// The health of one node.
    ///
    /// # Errors
    /// [`ClientError`] only when this was never answered; [`ClientError::Status`]`(404)` when there
    /// is no such node.
    pub async fn node(&self, id: &NodeId) -> Result<Answer<NodeHealth>, ClientError> {
        let path = format!("health/nodes/{id}");
        self.node.answer(id.as_str(), |known| self.ask(path, known, |node| node.epoch)).await
    }

    /// The cluster's health in numbers.
    ///
    /// # Errors
    /// [`ClientError`] only when this was never answered.
    pub async fn summary(&self) -> Result<Answer<Summary>, ClientError> {
        self.summary.answer("", |known| self.ask("health/summary".to_owned(), known, |s| s.epoch)).await
    }

    /// Tells the service about nodes that could not be used. Not repeated on failure: the next
    /// failing request makes the next report. That reports are refused for want of the service's token is
    /// logged once, not once for each of them.
    ///
    /// # Errors
    /// [`ClientError`] when the service did not take it.
    pub async fn report(&self, reports: &Reports) -> Result<(), ClientError> {
        let result = self.http.post("health/reports", reports).await;
        self.note_refusal(&result);
        result
    }

    fn note_refusal(&self, result: &Result<(), ClientError>) {
        match result {
            Err(error) if error.is_refusal() && !self.refused.swap(true, Ordering::Relaxed) => {
                tracing::error!(
                    "the health service refuses our reports (401): it needs the same API token here as there \
                     (HEALTH_API_TOKEN); failed nodes are noticed only by its own probes until then"
                );
            }
            Ok(()) if self.refused.swap(false, Ordering::Relaxed) => {
                tracing::info!("the health service takes our reports again");
            }
            _ => {}
        }
    }

    /// The HTTP side, for the follower.
    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: String,
        known: Option<Arc<T>>,
        epoch: impl Fn(&T) -> u64,
    ) -> Result<T, ClientError> {
        let body = self.http.get(&path).await?;
        let value: T = serde_json::from_slice(&body).map_err(|e| ClientError::Garbage(e.to_string()))?;
        not_older(epoch(&value), known.map(|k| epoch(&k))).map(|()| value)
    }
}

fn not_older(answered: u64, known: Option<u64>) -> Result<(), ClientError> {
    match known {
        Some(known) if answered < known => Err(ClientError::OlderEpoch { answered, known }),
        _ => Ok(()),
    }
}

/// One kind of question, its answers for the TTL, and the last good one for ever.
#[derive(Debug, Clone)]
struct Question<T: Send + Sync + 'static> {
    recent: Cache<String, Answer<T>>,
    last_good: Cache<String, Arc<T>>,
}

impl<T: Send + Sync + 'static> Question<T> {
    fn new(ttl: Duration) -> Self {
        Self {
            recent: Cache::builder().max_capacity(MAX_ANSWERS).time_to_live(ttl).build(),
            last_good: Cache::new(MAX_ANSWERS),
        }
    }

    /// The recent answer to `key`, or what `ask` says now; all callers meanwhile wait for the same
    /// `ask`. It gets the last good answer to compare with.
    async fn answer<F, Fut>(&self, key: &str, ask: F) -> Result<Answer<T>, ClientError>
    where
        F: FnOnce(Option<Arc<T>>) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let fetch = async {
            let known = self.last_good.get(key).await;
            match (ask(known.clone()).await, known) {
                (Ok(value), _) => {
                    let value = Arc::new(value);
                    self.last_good.insert(key.to_owned(), Arc::clone(&value)).await;
                    Ok(Answer { value, stale: None })
                }
                (Err(error), Some(value)) => {
                    tracing::debug!(%error, "last good answer stays in force");
                    Ok(Answer { value, stale: Some(error) })
                }
                (Err(error), None) => Err(error),
            }
        };
        self.recent.try_get_with_by_ref(key, fetch).await.map_err(|error: Arc<ClientError>| (*error).clone())
    }
}

/// Requests with a deadline and a bounded body.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: Client,
    base: Url,
    proxy_id: Option<NodeId>,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

impl Http {
    fn new(settings: &ClientSettings) -> Result<Self, ClientError> {
        let bad = |reason: String| ClientError::BadUrl { url: settings.url.clone(), reason };
        let mut base = Url::parse(&settings.url).map_err(|e| bad(e.to_string()))?;
        if base.scheme() != "http" || base.cannot_be_a_base() {
            return Err(bad("must start with http://".to_owned()));
        }
        // `join` replaces what follows the last slash.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = Client::builder()
            .connect_timeout(settings.timeout)
            // Inside the cluster: a proxy set up for the outside must not be used.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| bad(e.to_string()))?;
        let authorization = settings.api_token.as_ref().map(bearer).transpose().map_err(bad)?;
        Ok(Self {
            client,
            base,
            proxy_id: settings.proxy_id.clone(),
            authorization,
            timeout: settings.timeout,
        })
    }

    /// A `GET` of `path` with the proxy's name in it, without a deadline.
    pub(crate) fn request(&self, path: &str) -> Result<RequestBuilder, ClientError> {
        Ok(self.named(self.client.get(self.url(path)?)))
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        let exchange = async { read_body(send(self.request(path)?).await?).await };
        tokio::time::timeout(self.timeout, exchange).await.map_err(|_| ClientError::Timeout)?
    }

    async fn post(&self, path: &str, body: &Reports) -> Result<(), ClientError> {
        let request = self.named(self.client.post(self.url(path)?).json(body));
        let exchange = async { read_body(send(request).await?).await.map(drop) };
        tokio::time::timeout(self.timeout, exchange).await.map_err(|_| ClientError::Timeout)?
    }

    /// The deadline of one request.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A number that differs between clients, never 0.
    pub(crate) fn jitter_seed(&self) -> u64 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(&self.proxy_id) | 1
    }

    fn url(&self, path: &str) -> Result<Url, ClientError> {
        self.base
            .join(path)
            .map_err(|e| ClientError::BadUrl { url: format!("{}{path}", self.base), reason: e.to_string() })
    }

    /// Says who asks, and proves it. A `GET` needs the proof too: the epoch it names is believed.
    fn named(&self, mut request: RequestBuilder) -> RequestBuilder {
        if let Some(id) = &self.proxy_id {
            request = request.header(PROXY_ID_HEADER, id.as_str());
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request
    }
}

/// The header's value, marked as one that no log of the HTTP library may show.
fn bearer(token: &ApiToken) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
    let mut value = value.map_err(|error| format!("its API token: {error}"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Sends, and accepts any 2xx answer.
pub(crate) async fn send(request: RequestBuilder) -> Result<Response, ClientError> {
    let response = request.header(header::ACCEPT, "*/*").send().await.map_err(|e| unreachable_by(&e))?;
    if response.status().is_success() {
        Ok(response)
    } else {
        Err(ClientError::Status(response.status().as_u16()))
    }
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| unreachable_by(&e))? {
        if body.len() + chunk.len() > MAX_BODY_LEN {
            return Err(ClientError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The error with its causes: reqwest's own text stops before the one that matters.
pub(crate) fn unreachable_by(error: &reqwest::Error) -> ClientError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    ClientError::Unreachable(text)
}
