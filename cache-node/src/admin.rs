//! The admin endpoints of a node: /livez, /readyz and /metrics on a port of their own.
//!
//! The data path keeps no second set of counters: a request for the metrics first has them copied from the node,
//! which lives on this thread and cannot be reached from the HTTP side's `Send` handlers but by a message.

use crate::config::Config;
use crate::node::Node;
use crate::server::Shared;
use anyhow::Context;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// Requests for metrics that may wait for the node; more are answered with the figures of the last one.
const WAITING_MAX: usize = 4;

/// The bound admin port.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
}

impl Admin {
    /// Binds the admin port if there is to be one.
    ///
    /// # Errors
    /// When the port is taken or may not be used.
    pub async fn bind(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some(port) = config.admin_port else { return Ok(None) };
        let listener = TcpListener::bind((config.host.as_str(), port))
            .await
            .with_context(|| format!("cannot listen on admin port {port}"))?;
        Ok(Some(Self { listener }))
    }

    /// The port, if the system still knows it.
    pub(crate) fn port(&self) -> Option<u16> {
        self.listener.local_addr().ok().map(|address| address.port())
    }

    /// Serves until the node ends.
    pub(crate) async fn serve(self, shared: Rc<Shared>) {
        let mut registry = Registry::with_prefix("cache_node");
        let metrics = Metrics::register(&mut registry);
        let (ask, mut asked) = mpsc::channel::<oneshot::Sender<()>>(WAITING_MAX);
        let refresh = from_fn(move |request: Request, next: Next| {
            let ask = ask.clone();
            async move {
                let (done, refreshed) = oneshot::channel();
                if request.uri().path() == "/metrics" && ask.try_send(done).is_ok() {
                    // An error means that the node is going down: the last figures will do.
                    let _ = refreshed.await;
                }
                next.run(request).await
            }
        });
        let router = daemon::admin::router(registry, shared.readiness.clone()).layer(refresh);
        let copy = async {
            while let Some(done) = asked.recv().await {
                metrics.copy(&shared.node.borrow());
                let _ = done.send(());
            }
        };
        let (served, ()) = tokio::join!(daemon::admin::serve(self.listener, router), copy);
        if let Err(error) = served {
            tracing::warn!(%error, "admin endpoints ended");
        }
    }
}

/// Reads one figure of a node.
type Figure = fn(&Node) -> u64;

static GAUGES: [(&str, &str, Figure); 5] = [
    ("keys", "Keys held", |node| node.engine.len() as u64),
    ("volatile_keys", "Keys with a deadline", |node| node.engine.volatile_len() as u64),
    ("clients", "Connected clients", |node| node.clients.len() as u64),
    ("memory_used_bytes", "Bytes of data", |node| node.engine.used_memory()),
    ("memory_limit_bytes", "Most bytes of data; 0 is no limit", |node| node.config.limits.maxmemory),
];

static COUNTERS: [(&str, &str, Figure); 10] = [
    ("connections", "Connections accepted", |node| node.stats.connections),
    ("connections_refused", "Connections refused for want of room", |node| node.stats.refused),
    ("commands", "Commands executed", |node| node.stats.commands),
    ("errors", "Error replies", |node| node.stats.errors),
    ("hits", "Reads that found their key", |node| node.engine.counters.hits),
    ("misses", "Reads that did not find their key", |node| node.engine.counters.misses),
    ("expired", "Keys removed because their time had come", |node| node.engine.counters.expired),
    ("evicted", "Keys removed for want of memory", |node| node.engine.counters.evicted),
    ("received_bytes", "Bytes read from clients", |node| node.stats.bytes_in),
    ("sent_bytes", "Bytes of replies", |node| node.stats.bytes_out),
];

/// Where the figures are copied to.
struct Metrics {
    gauges: Vec<(Gauge, Figure)>,
    counters: Vec<(Counter, Figure)>,
}

impl Metrics {
    fn register(registry: &mut Registry) -> Self {
        let gauges = GAUGES.iter().map(|(name, help, figure)| {
            let gauge = Gauge::default();
            registry.register(*name, *help, gauge.clone());
            (gauge, *figure)
        });
        let gauges = gauges.collect();
        let counters = COUNTERS.iter().map(|(name, help, figure)| {
            let counter = Counter::default();
            registry.register(*name, *help, counter.clone());
            (counter, *figure)
        });
        Self { gauges, counters: counters.collect() }
    }

    fn copy(&self, node: &Node) {
        for (gauge, figure) in &self.gauges {
            gauge.set(i64::try_from(figure(node)).unwrap_or(i64::MAX));
        }
        for (counter, figure) in &self.counters {
            // The node has counted already: take over its count.
            counter.inner().store(figure(node), Ordering::Relaxed);
        }
    }
}
