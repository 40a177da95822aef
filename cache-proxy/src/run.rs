//! A proxy's whole life: workers on their threads, the control tasks on this one, and the end of both (in the
//! steps that `drain` tells).

use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use cluster::{ClientSettings, HealthClient};
use daemon::admin::{Readiness, Standing};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::config::Config;
use crate::drain::Phase;
use crate::listener::Listeners;
use crate::pulse::{Heart, Pulse, all_beat, pulse};
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
        api_token: config.api_token.clone(),
        timeout: HEALTH_TIMEOUT,
        ttl: HEALTH_TTL,
    })?;
    let (routing, routing_changes) = watch::channel(None);
    let (suspect, suspicions) = mpsc::channel(SUSPICIONS);
    let (phase, phases) = watch::channel(Phase::Serving);
    let follower = ViewFollower::new(&config, client.clone(), routing)?;

    let Listeners { of_worker, admin, address } = listeners;
    let clients = Arc::new(AtomicUsize::new(0));
    let workers = start_workers(of_worker, |listeners, published, heart| Wiring {
        config: Arc::clone(&config),
        listeners,
        routing: routing_changes.clone(),
        phases: phases.clone(),
        heart,
        suspicions: suspect.clone(),
        published,
        clients: Arc::clone(&clients),
    })?;

    let readiness = Readiness::new();
    tokio::spawn(reporter::run(config.proxy_id.clone(), client, routing_changes.clone(), suspicions));
    tokio::spawn(follower.run());
    tokio::spawn(become_ready(readiness.clone(), routing_changes));
    if let Some(listener) = admin {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let registry = metrics::registry(workers.published, readiness.clone());
        tokio::spawn(serve_admin(listener, registry, readiness.clone(), workers.pulses));
    }
    // Whoever started this may have gone away; the proxy serves all the same.
    let _ = daemon::ready_line(address);
    let lame_duck = async {
        shutdown.await;
        readiness.drain();
        tracing::info!(lame_duck = ?config.lame_duck, "draining");
        phase.send_replace(Phase::LameDuck);
        sleep(config.lame_duck).await;
    };
    end(workers.endings, lame_duck, &phase).await
}

/// What the control thread keeps of the workers.
struct Workers {
    published: Vec<Arc<Published>>,
    pulses: Vec<Pulse>,
    endings: mpsc::Receiver<std::io::Result<()>>,
}

/// Starts a thread for each set of listeners, with the wiring that `wire` gives it.
fn start_workers(
    of_worker: Vec<Vec<TcpListener>>,
    wire: impl Fn(Vec<TcpListener>, Arc<Published>, Heart) -> Wiring,
) -> anyhow::Result<Workers> {
    let (ended, endings) = mpsc::channel(of_worker.len());
    let mut workers = Workers { published: Vec::new(), pulses: Vec::new(), endings };
    for (index, listeners) in of_worker.into_iter().enumerate() {
        let published = Arc::<Published>::default();
        let (asking, heart) = pulse();
        workers.published.push(Arc::clone(&published));
        workers.pulses.push(asking);
        let (wiring, ended) = (wire(listeners, published, heart), ended.clone());
        let work = move || {
            // Whoever listens is there until all workers have ended.
            let _ = ended.blocking_send(worker::run(wiring));
        };
        let name = format!("worker-{index}");
        thread::Builder::new().name(name).spawn(work).context("cannot start a worker")?;
    }
    Ok(workers)
}

/// Waits for the end of the lame-duck time, and then for the workers, which leave.
async fn end(
    mut endings: mpsc::Receiver<std::io::Result<()>>,
    lame_duck: impl Future<Output = ()>,
    phase: &watch::Sender<Phase>,
) -> anyhow::Result<()> {
    tokio::select! {
        () = lame_duck => {}
        // Workers end when they are told to; one that ends before serves nobody.
        early = endings.recv() => {
            let failed = early.unwrap_or(Ok(()));
            return Err(failed.err().map_or_else(|| anyhow::anyhow!("a worker ended"), anyhow::Error::from));
        }
    }
    phase.send_replace(Phase::Leaving);
    while let Some(ending) = endings.recv().await {
        ending.context("a worker failed")?;
    }
    Ok(())
}

/// Ready is who is not ending, knows where requests go, and whose workers all turn.
async fn serve_admin(
    listener: tokio::net::TcpListener,
    registry: Registry,
    readiness: Readiness,
    workers: Vec<Pulse>,
) -> std::io::Result<()> {
    let workers: Arc<[Pulse]> = workers.into();
    let router = daemon::admin::router_asking(registry, move || {
        let (standing, workers) = (readiness.standing(), Arc::clone(&workers));
        async move {
            match standing {
                Standing::Ready if all_beat(&workers).await => Standing::Ready,
                Standing::Ready => Standing::NotReady("a worker hangs"),
                Standing::NotReady(_) => Standing::NotReady("no view of the cluster yet"),
                Standing::Draining => Standing::Draining,
            }
        }
    });
    axum::serve(listener, router).await
}

/// Ready means that requests can be routed.
async fn become_ready(readiness: Readiness, mut routing: watch::Receiver<Option<Arc<cluster::Routing>>>) {
    if routing.wait_for(Option::is_some).await.is_ok() {
        readiness.set(true);
    }
}
