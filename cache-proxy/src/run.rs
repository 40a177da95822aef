//! A proxy's whole life: workers on their threads, the control tasks on this one, and the end of both.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use cluster::{ClientSettings, HealthClient};
use daemon::admin::Readiness;
use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::listener::Listeners;
use crate::stats::Published;
use crate::view_follower::ViewFollower;
use crate::worker::{self, Wiring};
use crate::{metrics, reporter};

/// Suspicions that may wait for the reporter. More are about trouble that is known already.
const SUSPICIONS: usize = 1_024;

/// Deadline of one request to the health service. It only ever delays a report, never a client.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer of the health service is given again without asking.
const HEALTH_TTL: Duration = Duration::from_secs(1);

/// Runs a proxy on bound listeners until `shutdown` resolves and it has drained.
///
/// # Errors
/// When it cannot start, or a worker failed.
pub async fn run(
    listeners: Listeners,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let client = HealthClient::new(&ClientSettings {
        url: config.health_service.clone(),
        proxy_id: Some(config.proxy_id.clone()),
        timeout: HEALTH_TIMEOUT,
        ttl: HEALTH_TTL,
    })?;
    let (routing, routing_changes) = watch::channel(None);
    let (suspect, suspicions) = mpsc::channel(SUSPICIONS);
    let (drain, draining) = watch::channel(false);
    let follower = ViewFollower::new(&config, client.clone(), routing)?;

    let published: Vec<Arc<Published>> = (0..config.workers).map(|_| Arc::default()).collect();
    let Listeners { of_worker, admin, address } = listeners;
    let clients = Arc::new(AtomicUsize::new(0));
    let (ended, mut endings) = mpsc::channel(config.workers);
    for (index, (listeners, published)) in of_worker.into_iter().zip(&published).enumerate() {
        let wiring = Wiring {
            config: Arc::clone(&config),
            listeners,
            routing: routing_changes.clone(),
            draining: draining.clone(),
            suspicions: suspect.clone(),
            published: Arc::clone(published),
            clients: Arc::clone(&clients),
        };
        let ended = ended.clone();
        let name = format!("worker-{index}");
        let work = move || {
            // Whoever listens is there until all workers have ended.
            let _ = ended.blocking_send(worker::run(wiring));
        };
        thread::Builder::new().name(name).spawn(work).context("cannot start a worker")?;
    }
    drop(ended);

    let readiness = Readiness::new();
    tokio::spawn(reporter::run(config.proxy_id.clone(), client, routing_changes.clone(), suspicions));
    tokio::spawn(follower.run());
    tokio::spawn(become_ready(readiness.clone(), routing_changes));
    if let Some(listener) = admin {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let router = daemon::admin::router(metrics::registry(published), readiness.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    // Whoever started this may have gone away; the proxy serves all the same.
    let _ = daemon::ready_line(address);
    tokio::select! {
        () = shutdown => {}
        // Workers end when they are told to; one that ends before serves nobody.
        early = endings.recv() => {
            let failed = early.unwrap_or(Ok(()));
            return Err(failed.err().map_or_else(|| anyhow::anyhow!("a worker ended"), anyhow::Error::from));
        }
    }

    readiness.set(false);
    drain.send_replace(true);
    while let Some(ending) = endings.recv().await {
        ending.context("a worker failed")?;
    }
    Ok(())
}

/// Ready means that requests can be routed.
async fn become_ready(readiness: Readiness, mut routing: watch::Receiver<Option<Arc<cluster::Routing>>>) {
    if routing.wait_for(Option::is_some).await.is_ok() {
        readiness.set(true);
    }
}
