//! Follows the health service's view: yields every view with a higher epoch, as soon as it is
//! published, for as long as the follower lives.
//!
//! It holds one `GET /health/events` open and reads views off it. When the stream breaks, ends, says
//! nothing (not even a heartbeat) for [`SILENCE`], or sends what cannot be read, it connects again
//! after a jittered delay that grows from 100 ms to 2 s, naming the last epoch it has. It never
//! yields a view with an epoch it already had or passed, whoever sends it, and there is nothing it
//! falls back to: until a newer view comes, the one the caller holds stays in force.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use reqwest::{Response, header};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::health_client::{ClientError, HealthClient, MAX_BODY_LEN, send, unreachable_by};
use crate::sse::{SseEvent, SseParser};
use crate::view::View;

/// A stream without a byte for this long is dead: the service sends a heartbeat each second, and
/// three may get lost in a busy moment.
const SILENCE: Duration = Duration::from_secs(4);
/// First delay before connecting again; a restarting service is back within some of these.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest delay: a returned service has all its proxies back within this.
const LAST_DELAY: Duration = Duration::from_secs(2);

/// An endless series of views with rising epochs; made by [`follow`].
#[derive(Debug)]
pub struct Follower {
    client: HealthClient,
    /// The highest epoch yielded, or what the caller already had.
    epoch: Option<u64>,
    link: Link,
    delay: Duration,
    jitter: Jitter,
    connected: bool,
    /// Whether it was told that the service is not followed.
    told: bool,
}

/// Where the follower stands. All of it is kept here and not in a future, so that a caller who drops
/// the future and asks again loses nothing: no view, no half-made connection, no deadline.
enum Link {
    /// Not to be connected before then.
    Waiting(Instant),
    Connecting(Pin<Box<dyn Future<Output = Result<Response, ClientError>> + Send + Sync>>),
    Open(Box<Stream>),
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting(_) => "Waiting",
            Self::Connecting(_) => "Connecting",
            Self::Open(_) => "Open",
        })
    }
}

/// Follows the views of `client`'s health service that are newer than `known`, the epoch the caller
/// already has (from disk, say).
#[must_use]
pub fn follow(client: HealthClient, known: Option<u64>) -> Follower {
    let jitter = Jitter(client.http().jitter_seed());
    let link = Link::Waiting(Instant::now());
    Follower { client, epoch: known, link, delay: FIRST_DELAY, jitter, connected: false, told: false }
}

impl Follower {
    /// Waits for the next view with a higher epoch; for ever, if none comes.
    ///
    /// Cancel safe: a dropped future is continued by the next call.
    pub async fn next(&mut self) -> View {
        loop {
            match self.advance().await {
                Ok(Some(view)) => return view,
                Ok(None) => {}
                Err(error) => self.disconnect(&error),
            }
        }
    }

    /// The highest epoch yielded so far, or known at the start.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// Whether the service is being followed, as far as can be known: for `/readyz` and metrics.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// One step towards the next view; `None` when it did not complete one.
    async fn advance(&mut self) -> Result<Option<View>, ClientError> {
        match &mut self.link {
            Link::Waiting(until) => {
                sleep_until(*until).await;
                self.link = Link::Connecting(Box::pin(connect(self.client.clone(), self.epoch)));
                Ok(None)
            }
            Link::Connecting(connect) => {
                self.link = Link::Open(Box::new(Stream::new(connect.await?)));
                Ok(None)
            }
            Link::Open(stream) => {
                let view = stream.next_view().await?;
                Ok(self.newer(view))
            }
        }
    }

    fn newer(&mut self, view: View) -> Option<View> {
        self.delay = FIRST_DELAY;
        if !self.connected {
            self.connected = true;
            self.told = false;
            tracing::info!(epoch = view.epoch, "following the health service");
        }
        if self.epoch.is_some_and(|known| view.epoch <= known) {
            tracing::debug!(epoch = view.epoch, known = self.epoch, "view is not newer");
            return None;
        }
        self.epoch = Some(view.epoch);
        Some(view)
    }

    fn disconnect(&mut self, error: &ClientError) {
        if self.connected {
            self.connected = false;
            self.told = true;
            tracing::warn!(%error, epoch = self.epoch, "lost the health service; the last view stays in force");
        } else if self.delay == LAST_DELAY && !self.told {
            // One that was started at the same time would be there by now.
            self.told = true;
            tracing::warn!(%error, "cannot follow the health service: does it run, and is --health-service right?");
        } else {
            tracing::debug!(%error, "health service not followed yet");
        }
        self.link = Link::Waiting(Instant::now() + self.jitter.spread(self.delay));
        self.delay = (self.delay * 2).min(LAST_DELAY);
    }
}

async fn connect(client: HealthClient, epoch: Option<u64>) -> Result<Response, ClientError> {
    let http = client.http();
    let mut request = http.request("health/events")?.header(header::CACHE_CONTROL, "no-store");
    if let Some(epoch) = epoch {
        request = request.header("last-event-id", epoch);
    }
    timeout(http.timeout(), send(request)).await.map_err(|_| ClientError::Timeout)?
}

/// One open event stream.
#[derive(Debug)]
struct Stream {
    response: Response,
    parser: SseParser,
    /// Parsed but not looked at yet, newest last.
    events: Vec<SseEvent>,
    /// When the last byte came.
    heard: Instant,
}

impl Stream {
    fn new(response: Response) -> Self {
        let parser = SseParser::new(MAX_BODY_LEN);
        Self { response, parser, events: Vec::new(), heard: Instant::now() }
    }

    /// Reads until a view is complete. Of several that came together only the newest counts: each is
    /// complete in itself.
    async fn next_view(&mut self) -> Result<View, ClientError> {
        loop {
            if let Some(view) = self.take_newest()? {
                return Ok(view);
            }
            let chunk = timeout_at(self.heard + SILENCE, self.response.chunk()).await;
            let chunk = chunk.map_err(|_| ClientError::Timeout)?.map_err(|e| unreachable_by(&e))?;
            let chunk = chunk.ok_or_else(|| ClientError::Unreachable("the event stream ended".to_owned()))?;
            self.heard = Instant::now();
            self.parser.push(&chunk, &mut self.events).map_err(|e| ClientError::Garbage(e.to_string()))?;
        }
    }

    fn take_newest(&mut self) -> Result<Option<View>, ClientError> {
        let mut newest: Option<View> = None;
        for event in self.events.drain(..) {
            let SseEvent::Message { kind, data } = event else { continue };
            // Other kinds of events may be added by later releases.
            if kind != "view" && !kind.is_empty() {
                continue;
            }
            let view = View::from_json(&data).map_err(|e| ClientError::Garbage(e.to_string()))?;
            if newest.as_ref().is_none_or(|n| n.epoch < view.epoch) {
                newest = Some(view);
            }
        }
        Ok(newest)
    }
}

/// Delays between half and the whole of what is asked for, so that proxies that lost the service
/// together do not return together. A xorshift generator: nothing here needs more than spread.
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    fn spread(&mut self, delay: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let half = delay / 2;
        // 1 024 steps are fine enough for a spread over some hundred clients.
        half + half * (self.0 % 1_024) as u32 / 1_024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_spread_over_the_upper_half() {
        let mut jitter = Jitter(1);
        let delays: Vec<Duration> = (0..200).map(|_| jitter.spread(LAST_DELAY)).collect();
        assert!(delays.iter().all(|d| (LAST_DELAY / 2..LAST_DELAY).contains(d)));
        let distinct: std::collections::HashSet<_> = delays.iter().collect();
        assert!(distinct.len() > 100, "{} distinct delays", distinct.len());
    }
}
