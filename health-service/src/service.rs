//! The process: puts the parts together, serves until it is told to stop.

use std::ffi::OsString;
use std::future::IntoFuture;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use daemon::admin::Readiness;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::api::{self, Api};
use crate::board::Board;
use crate::clock::Clock;
use crate::config::{Config, PROGRAM};
use crate::journal::{Journal, Memory};
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::publish::{Publisher, Reader};
use crate::verdict::Verdict;

/// Time for answers on their way when the process is told to stop; a stuck client must not keep it.
const DRAIN: Duration = Duration::from_secs(3);

/// Open files that are enough: for all connections, and two to each of twenty thousand members.
const ENOUGH_FILES: u64 = 65_536;

/// Most connections at a time: all subscribers, and plenty of short requests.
const MAX_CONNECTIONS: usize = 2_048;
/// Files of other use: the runtime, the journal, standard streams, name lookups.
const OWN_FILES: usize = 64;
/// Connections that are served however low the limit of files is.
const FEW: usize = 16;

/// The whole life of the process, from its arguments (without the program's name) to its exit code.
pub fn main(args: impl IntoIterator<Item = impl Into<OsString>>) -> ExitCode {
    daemon::run_main(&PROGRAM, args, async |settings| {
        let config = Config::from_settings(&settings)?;
        let shutdown = daemon::shutdown::signal();
        let address = (config.host.as_str(), config.port);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {}:{}", config.host, config.port))?;
        let opened = open_journal(&config)?;
        daemon::open_files::raise_limit(ENOUGH_FILES);
        daemon::ready_line(listener.local_addr()?)?;
        serve(listener, config, opened, shutdown).await
    })
}

/// Runs the service on `listener` until `shutdown` resolves; requests on their way are answered,
/// event streams end.
///
/// # Errors
/// When the journal cannot be opened, or the listener fails.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let opened = open_journal(&config)?;
    serve(listener, config, opened, shutdown).await
}

async fn serve(
    listener: TcpListener,
    config: Config,
    (journal, memory): (Option<Journal>, Memory),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let members = config.topology.nodes.len() + config.topology.proxies.len();
    let clock = Clock::start();
    let (board, commands) = Board::new(remember(&config, clock, memory), clock, journal.is_some());
    let publisher = Publisher::new();
    let reader = publisher.reader();
    let metrics = Metrics::default();
    let readiness = Readiness::new();
    let registry = metrics.registry(board.clone(), reader.clone());
    let token = config.api_token;
    let api = Api { board: board.clone(), reader: reader.clone(), metrics: metrics.clone(), token };
    let router = api::router(api).merge(daemon::admin::router(registry, readiness.clone()));

    let login = config.node_login.as_ref();
    let monitor = Monitor::new(board, commands, publisher, journal, metrics, config.policy.timeout, login);
    let monitor = tokio::spawn(monitor.run());
    tokio::spawn(become_ready(reader, readiness.clone()));
    let (draining, is_draining) = oneshot::channel();
    let stop = async move {
        shutdown.await;
        readiness.set(false);
        // With the monitor goes the publisher, and with that all event streams.
        monitor.abort();
        let _ = draining.send(());
    };
    let most = connections(daemon::open_files::limit(), members);
    let serving = daemon::listener::serve(listener, most, router).with_graceful_shutdown(stop);
    tokio::select! {
        served = serving.into_future() => served.context("the listener failed"),
        () = drained(is_draining) => {
            tracing::warn!("some clients did not take their answers in time");
            Ok(())
        }
    }
}

/// How many connections leave the probes what they need: one kept and one that confirms for each
/// member. Clients must never be the reason why a node cannot be probed.
fn connections(files: u64, members: usize) -> usize {
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    files.saturating_sub(members.saturating_mul(2)).saturating_sub(OWN_FILES).clamp(FEW, MAX_CONNECTIONS)
}

/// When whoever still reads has had time enough.
async fn drained(is_draining: oneshot::Receiver<()>) {
    match is_draining.await {
        Ok(()) => tokio::time::sleep(DRAIN).await,
        Err(_) => std::future::pending().await,
    }
}

/// Ready is who has a view to publish.
async fn become_ready(reader: Reader, readiness: Readiness) {
    if reader.first().await {
        readiness.set(true);
    }
}

fn open_journal(config: &Config) -> anyhow::Result<(Option<Journal>, Memory)> {
    let Some(directory) = &config.state_dir else {
        tracing::warn!("no state directory: a restart forgets the epoch and who must be flushed");
        return Ok((None, Memory::default()));
    };
    let open = Journal::open(directory);
    let (journal, memory) =
        open.with_context(|| format!("cannot open the journal in {}", directory.display()))?;
    Ok((Some(journal), memory))
}

fn remember(config: &Config, clock: Clock, memory: Memory) -> Verdict {
    let mut verdict = Verdict::new(config.topology.clone(), config.policy, clock.now(), memory.record);
    for past in memory.transitions {
        let (id, transition) = past.into_transition();
        verdict.recall(&id, transition);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_probes() {
        assert_eq!(connections(1_024, 55), 1_024 - 110 - 64);
        assert_eq!(connections(u64::MAX, 55), MAX_CONNECTIONS);
        assert_eq!(connections(64, 4), FEW);
    }
}
