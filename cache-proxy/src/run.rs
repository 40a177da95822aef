//! A proxy's whole life: workers on their threads, the control tasks on this one, and the end of both (in the
//! steps that `drain` tells).

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use cluster::{ClientSettings, HealthClient};
use daemon::admin::{Readiness, Standing};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::config::Config;
use crate::drain::Phase;
use crate::explain::admin_api::{self, Asked};
use crate::explain::overview::Overview;
use crate::listener::Listeners;
use crate::metrics;
use crate::pulse::{Heart, Pulse, Silence, all_beat, pulse};
use crate::reporter::{Reporter, Undelivered};
use crate::shared::Shared;
use crate::view_follower::ViewFollower;
use crate::worker::{self, Wiring};

/// Suspicions that may wait for the reporter. More are about trouble that is known already.
const SUSPICIONS: usize = 1_024;

/// Deadline of one request to the health service. It only ever delays a report, never a client.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer of the health service is given again without asking.
const HEALTH_TTL: Duration = Duration::from_secs(1);

/// How long a worker may take to say that it has drained, beyond the time for draining. One that hangs never does.
/// With the default lame-duck and drain times this ends before Docker's 10 s do.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Runs a proxy on bound listeners until `shutdown` resolves and it has drained.
///
/// # Errors
/// When it cannot start, or a worker failed or did not end in its time.
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
    let shared = Arc::<Shared>::default();
    let overview = Arc::new(Overview::new(Arc::clone(&config), of_worker.len(), Instant::now()));
    let workers = start_workers(of_worker, |index, listeners, heart| Wiring {
        overview: Arc::clone(&overview),
        index,
        listeners,
        routing: routing_changes.clone(),
        phases: phases.clone(),
        heart,
        suspicions: suspect.clone(),
        shared: Arc::clone(&shared),
    })?;

    let readiness = Readiness::new();
    let undelivered = Undelivered::default();
    let reporter =
        Reporter::new(config.proxy_id.clone(), client, routing_changes.clone(), undelivered.clone());
    tokio::spawn(reporter.run(suspicions));
    tokio::spawn(follower.run());
    tokio::spawn(become_ready(readiness.clone(), routing_changes.clone()));
    if let Some(listener) = admin {
        if let Some(address) = open_to_others(&listener).filter(|_| config.password.is_some()) {
            warn_of_open_admin_port(address);
        }
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let registry = metrics::registry(Arc::clone(&overview), readiness.clone(), undelivered);
        let asked = Asked { overview, routing: routing_changes.clone() };
        tokio::spawn(serve_admin(listener, registry, readiness.clone(), workers.pulses, asked));
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
    end(workers.endings, lame_duck, &phase, config.drain_timeout + LAST_WORD).await
}

/// What the control thread keeps of the workers.
struct Workers {
    pulses: Vec<Pulse>,
    endings: Endings,
}

/// Tells which worker has ended, and how.
struct Endings {
    receiver: mpsc::Receiver<(String, std::io::Result<()>)>,
    /// Names of the workers that run.
    running: BTreeSet<String>,
}

impl Endings {
    /// The next ending. `None`: nobody is left who could tell.
    async fn next(&mut self) -> Option<anyhow::Result<()>> {
        let (name, ending) = self.receiver.recv().await?;
        self.running.remove(&name);
        Some(ending.with_context(|| format!("{name} failed")))
    }

    /// The names of those that run, for a message.
    fn running(&self) -> String {
        self.running.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Starts a thread for each set of listeners, with the wiring that `wire` gives it.
fn start_workers(
    of_worker: Vec<Vec<TcpListener>>,
    wire: impl Fn(usize, Vec<TcpListener>, Heart) -> Wiring,
) -> anyhow::Result<Workers> {
    let (ended, receiver) = mpsc::channel(of_worker.len());
    let (mut pulses, mut running) = (Vec::new(), BTreeSet::new());
    for (index, listeners) in of_worker.into_iter().enumerate() {
        let (asking, heart) = pulse();
        pulses.push(asking);
        let name = format!("worker-{index}");
        running.insert(name.clone());
        let thread = thread::Builder::new().name(name.clone());
        let (wiring, ended) = (wire(index, listeners, heart), ended.clone());
        let work = move || {
            // Whoever listens is there until all workers have ended.
            let _ = ended.blocking_send((name, worker::run(wiring)));
        };
        thread.spawn(work).context("cannot start a worker")?;
    }
    Ok(Workers { pulses, endings: Endings { receiver, running } })
}

/// Waits for the end of the lame-duck time, and then, no longer than `patience`, for the workers, which leave.
async fn end(
    mut endings: Endings,
    lame_duck: impl Future<Output = ()>,
    phase: &watch::Sender<Phase>,
    patience: Duration,
) -> anyhow::Result<()> {
    tokio::select! {
        biased;
        () = lame_duck => {}
        // Workers end when they are told to; one that ends before serves nobody.
        early = endings.next() => {
            early.unwrap_or(Ok(()))?;
            anyhow::bail!("a worker ended before it was told to");
        }
    }
    phase.send_replace(Phase::Leaving);
    let all_ended = async {
        while let Some(ending) = endings.next().await {
            ending?;
        }
        anyhow::Ok(())
    };
    match timeout(patience, all_ended).await {
        Ok(ended) => ended?,
        Err(_) => anyhow::bail!("did not end within {patience:?}: {}", endings.running()),
    }
    anyhow::ensure!(endings.running.is_empty(), "ended without a word: {}", endings.running());
    Ok(())
}

/// Ready is who is not ending, knows where requests go, and whose workers all turn.
async fn serve_admin(
    listener: tokio::net::TcpListener,
    registry: Registry,
    readiness: Readiness,
    workers: Vec<Pulse>,
    asked: Asked,
) -> std::io::Result<()> {
    let workers: Arc<[Pulse]> = workers.into();
    let router = daemon::admin::router_asking(registry, move || {
        let (standing, workers) = (readiness.standing(), Arc::clone(&workers));
        async move {
            match standing {
                Standing::Ready => match all_beat(&workers).await {
                    Ok(()) => Standing::Ready,
                    Err(Silence::Hangs) => Standing::NotReady("a worker hangs"),
                    Err(Silence::Ended) => Standing::NotReady("a worker has ended"),
                },
                Standing::NotReady(_) => Standing::NotReady("no view of the cluster yet"),
                Standing::Draining => Standing::Draining,
            }
        }
    });
    daemon::admin::serve(listener, router.merge(admin_api::router(asked))).await
}

/// The address of a listener that others than this machine can reach.
fn open_to_others(listener: &TcpListener) -> Option<SocketAddr> {
    listener.local_addr().ok().filter(|address| !address.ip().is_loopback())
}

/// Whoever asks clients for a password hardly wants to show their keys to everybody.
fn warn_of_open_admin_port(address: SocketAddr) {
    tracing::warn!(
        %address,
        "the admin port shows keys to whoever reaches it, without the clients' password: see --admin-host"
    );
}

/// Ready means that requests can be routed.
async fn become_ready(readiness: Readiness, mut routing: watch::Receiver<Option<Arc<cluster::Routing>>>) {
    if routing.wait_for(Option::is_some).await.is_ok() {
        readiness.set(true);
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[test]
    fn only_loopback_is_closed_to_others() {
        for (host, is_open) in [("127.0.0.1", false), ("127.0.0.2", false), ("0.0.0.0", true)] {
            let listener = TcpListener::bind((host, 0)).unwrap();
            assert_eq!(open_to_others(&listener).is_some(), is_open, "{host}");
        }
    }

    const INSTANT: Duration = Duration::from_millis(20);

    fn two_workers() -> (mpsc::Sender<(String, std::io::Result<()>)>, Endings) {
        let (ended, receiver) = mpsc::channel(2);
        let running = ["worker-0", "worker-1"].map(str::to_owned).into();
        (ended, Endings { receiver, running })
    }

    async fn end_of(endings: Endings) -> String {
        let (phase, _phases) = watch::channel(Phase::LameDuck);
        let ending = tokio::time::timeout(Duration::from_secs(20), end(endings, ready(()), &phase, INSTANT));
        ending.await.unwrap().map_or_else(|error| format!("{error:#}"), |()| "ended".to_owned())
    }

    #[tokio::test]
    async fn a_worker_that_never_ends_is_named_and_not_waited_for() {
        let (ended, endings) = two_workers();
        ended.send(("worker-0".to_owned(), Ok(()))).await.unwrap();
        assert_eq!(end_of(endings).await, "did not end within 20ms: worker-1");
    }

    #[tokio::test]
    async fn all_workers_must_end_well() {
        let (ended, endings) = two_workers();
        for name in ["worker-0", "worker-1"] {
            ended.send((name.to_owned(), Ok(()))).await.unwrap();
        }
        drop(ended);
        assert_eq!(end_of(endings).await, "ended");
        let (ended, endings) = two_workers();
        ended.send(("worker-1".to_owned(), Err(std::io::Error::other("broken")))).await.unwrap();
        assert_eq!(end_of(endings).await, "worker-1 failed: broken");
        let (ended, endings) = two_workers();
        drop(ended);
        assert_eq!(end_of(endings).await, "ended without a word: worker-0, worker-1");
    }
}
