//! Publishing: the view in force, ready to be sent, to whoever waits for it.
//!
//! A view is serialised once for each epoch and shared by all readers. Subscribers are woken by a
//! watch channel, which holds only the newest view: one that reads slowly skips views and never
//! makes the service keep any for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use cluster::View;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

/// A sign of life on an event stream; followers give a stream up after some of them are missing.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Most event streams and long polls at a time: a thousand proxies, and some dashboards.
const MAX_SUBSCRIBERS: usize = 1_100;

/// A view as it is sent.
#[derive(Debug)]
pub struct Published {
    /// Its number.
    pub epoch: u64,
    /// The JSON.
    pub json: Bytes,
    /// The JSON as a server-sent event.
    event: Bytes,
}

impl Published {
    fn new(view: &View) -> Self {
        // A view holds texts and numbers only, which always have a JSON form.
        let json = serde_json::to_string(view).unwrap_or_default();
        let event = format!("id: {}\nevent: view\ndata: {json}\n\n", view.epoch);
        Self { epoch: view.epoch, json: json.into(), event: event.into() }
    }
}

/// The sending side; dropping it ends all subscriptions.
#[derive(Debug)]
pub struct Publisher {
    newest: watch::Sender<Option<Arc<Published>>>,
    places: Arc<Semaphore>,
}

impl Publisher {
    /// Nothing published yet.
    #[must_use]
    pub fn new() -> Self {
        Self { newest: watch::Sender::new(None), places: Arc::new(Semaphore::new(MAX_SUBSCRIBERS)) }
    }

    /// Makes this the view in force.
    pub fn publish(&self, view: &View) {
        self.newest.send_replace(Some(Arc::new(Published::new(view))));
    }

    /// The reading side.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader { newest: self.newest.subscribe(), places: Arc::clone(&self.places) }
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}

/// The reading side of a [`Publisher`].
#[derive(Debug, Clone)]
pub struct Reader {
    newest: watch::Receiver<Option<Arc<Published>>>,
    places: Arc<Semaphore>,
}

impl Reader {
    /// The view in force, once there is one.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Published>> {
        self.newest.borrow().clone()
    }

    /// Waits for the first view; false when the service ends before.
    pub async fn first(mut self) -> bool {
        self.newest.wait_for(Option::is_some).await.is_ok()
    }

    /// How many event streams and long polls there are.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        MAX_SUBSCRIBERS - self.places.available_permits()
    }

    /// A place for one subscriber; `None` when all are taken.
    #[must_use]
    pub fn subscribe(&self) -> Option<Subscription> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Subscription { newest: self.newest.clone(), _place: place })
    }
}

/// One subscriber's place.
#[derive(Debug)]
pub struct Subscription {
    newest: watch::Receiver<Option<Arc<Published>>>,
    _place: OwnedSemaphorePermit,
}

impl Subscription {
    /// Waits for a view newer than `since`, at most until `deadline`.
    pub async fn newer(mut self, since: u64, deadline: Instant) -> Option<Arc<Published>> {
        let is_newer = |view: &Option<Arc<Published>>| view.as_ref().is_some_and(|view| view.epoch > since);
        let view = timeout_at(deadline, self.newest.wait_for(is_newer)).await.ok()?.ok()?;
        view.clone()
    }

    /// The view in force and each one after it, as server-sent events, with a comment each second.
    pub fn events(mut self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        // Sends the view there is, as if it had just come.
        self.newest.mark_changed();
        let start = (self, Instant::now() + HEARTBEAT);
        unfold(start, |(mut subscription, mut heartbeat)| async move {
            let chunk = loop {
                match timeout_at(heartbeat, subscription.newest.changed()).await {
                    // The service is shutting down.
                    Ok(Err(_)) => return None,
                    Ok(Ok(())) => {
                        let newest = subscription.newest.borrow_and_update().clone();
                        if let Some(view) = newest {
                            break view.event.clone();
                        }
                    }
                    Err(_) => {
                        heartbeat = Instant::now() + HEARTBEAT;
                        break Bytes::from_static(b": heartbeat\n\n");
                    }
                }
            };
            Some((Ok(chunk), (subscription, heartbeat)))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use cluster::{DEFAULT_POINTS, DEFAULT_SLOTS};
    use futures_util::StreamExt;

    use super::*;

    fn view(epoch: u64) -> View {
        let (slots, points) = (DEFAULT_SLOTS, DEFAULT_POINTS);
        View { epoch, slots, points, nodes: Vec::new(), proxies: Vec::new() }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[tokio::test]
    async fn a_slow_subscriber_gets_the_newest_view_only() {
        let publisher = Publisher::new();
        publisher.publish(&view(1));
        let mut events = pin!(publisher.reader().subscribe().unwrap().events());
        assert!(events.next().await.unwrap().unwrap().starts_with(b"id: 1\nevent: view\ndata: {"));
        for epoch in 2..=1_000 {
            publisher.publish(&view(epoch));
        }
        assert!(events.next().await.unwrap().unwrap().starts_with(b"id: 1000\n"));
        drop(publisher);
        assert!(events.next().await.is_none(), "the end of the service is the end of the stream");
    }

    #[tokio::test]
    async fn without_views_there_is_a_heartbeat_each_second() {
        let publisher = Publisher::new();
        let mut events = pin!(publisher.reader().subscribe().unwrap().events());
        let started = Instant::now();
        for second in 1..=2 {
            assert_eq!(events.next().await.unwrap().unwrap(), ": heartbeat\n\n");
            assert!(started.elapsed() >= HEARTBEAT * second);
        }
    }

    #[tokio::test]
    async fn places_are_bounded_and_given_back() {
        let publisher = Publisher::new();
        let reader = publisher.reader();
        let mut taken: Vec<Subscription> = std::iter::from_fn(|| reader.subscribe()).collect();
        assert_eq!((taken.len(), reader.subscribers()), (MAX_SUBSCRIBERS, MAX_SUBSCRIBERS));
        taken.pop();
        assert!(reader.subscribe().is_some());
    }

    #[tokio::test]
    async fn a_poll_waits_for_a_newer_view_until_its_deadline() {
        let publisher = Publisher::new();
        let reader = publisher.reader();
        let poll = |since, deadline| reader.subscribe().unwrap().newer(since, deadline);
        assert!(poll(0, Instant::now()).await.is_none());
        let waiting = tokio::spawn(poll(1, soon()));
        publisher.publish(&view(1));
        publisher.publish(&view(2));
        assert_eq!(waiting.await.unwrap().unwrap().epoch, 2);
        assert_eq!(poll(1, Instant::now()).await.unwrap().epoch, 2);
        assert!(poll(2, Instant::now()).await.is_none());
    }
}
