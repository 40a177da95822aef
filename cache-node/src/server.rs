//! The life of the node: accepts clients, works when nobody asks (expiry, eviction, freeing), and drains.
//!
//! Everything runs on one thread; what clients share is behind `RefCell`s that are never held across an await.

use crate::admin::Admin;
use crate::client::{Client, ClientId, Ending};
use crate::commands::Handlers;
use crate::config::Config;
use crate::connection::Connection;
use crate::node::Node;
use daemon::admin::Readiness;
use socket2::{SockRef, TcpKeepalive};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};

/// One read takes at most this much: enough for a thousand pipelined requests, small enough for a cache.
const INPUT_LEN: usize = 64 * 1024;
/// Items one turn of background work expires or frees: some hundred microseconds.
const WORK_PER_TURN: usize = 1_000;
/// Pause between two turns of background work, so that it takes a fraction of the core.
const WORK_PAUSE: Duration = Duration::from_millis(1);
/// How long draining waits for clients to take their last replies.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Redis' `tcp-keepalive 300`: a peer that vanished without a word is noticed within ten minutes.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(300))
    .with_interval(Duration::from_secs(100))
    .with_retries(3);
/// Longest sleep of background work that waits for a time: the clock may be set forwards meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Pause after a failure to accept that will not go away at once, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Least time between two lines in the log about such failures.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(10);

/// What all connections of a node share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) node: RefCell<Node>,
    pub(crate) handlers: Handlers,
    /// Every read goes here first.
    pub(crate) input: RefCell<Vec<u8>>,
    /// Every batch of replies is built here.
    pub(crate) output: RefCell<Vec<u8>>,
    pub(crate) readiness: Readiness,
    /// Told when background work is due earlier than it expects.
    work: Notify,
    /// When background work wakes up by itself, Unix milliseconds.
    alarm: Cell<u64>,
}

impl Shared {
    fn new(node: Node) -> Self {
        Self {
            node: RefCell::new(node),
            handlers: Handlers::default(),
            input: RefCell::new(vec![0; INPUT_LEN]),
            output: RefCell::new(Vec::new()),
            readiness: Readiness::new(),
            work: Notify::new(),
            alarm: Cell::new(u64::MAX),
        }
    }

    /// Wakes background work if commands have left any that cannot wait.
    pub(crate) fn note_work(&self, node: &Node) {
        if next_work(node).is_some_and(|due| due < self.alarm.get()) {
            self.work.notify_one();
        }
    }

    /// Forgets a client whose connection has ended.
    pub(crate) fn leave(&self, id: ClientId) {
        self.node.borrow_mut().remove_client(id);
    }
}

/// When there is background work, Unix milliseconds; 0 is now.
fn next_work(node: &Node) -> Option<u64> {
    if node.engine.has_remains() || node.engine.must_evict() {
        return Some(0);
    }
    let due = node.engine.next_due().into_iter().chain(node.next_silence_check()).min();
    // After every batch this is asked, and hardly ever does anybody wait.
    if node.waiting.is_empty() {
        return due;
    }
    due.into_iter().chain(node.waiting.next_deadline()).min()
}

/// Now, in Unix milliseconds.
pub(crate) fn unix_ms() -> u64 {
    since_1970().as_millis() as u64
}

/// The time since 1970.
pub(crate) fn since_1970() -> Duration {
    // A clock before 1970 reads as 1970: nothing expires, nothing breaks.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Serves clients on `listener` until `shutdown` resolves, then answers what has been sent so far and returns.
///
/// # Errors
/// When the listener has no address or the admin port cannot be bound.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let admin = Admin::bind(&config).await?;
    run_with(listener, admin, config, shutdown).await
}

/// The same with an admin port that was bound before.
///
/// # Errors
/// When the listener has no address.
pub async fn run_with(
    listener: TcpListener,
    admin: Option<Admin>,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let port = listener.local_addr()?.port();
    let mut node = Node::new(config, port, unix_ms());
    node.admin_port = admin.as_ref().and_then(Admin::port);
    let (node_id, limits) = (&node.config.node_id, node.config.limits);
    tracing::info!(node = %node_id, port, maxmemory = limits.maxmemory, policy = %limits.policy, "serving");
    let shared = Rc::new(Shared::new(node));
    let local = LocalSet::new();
    local.spawn_local(work(Rc::clone(&shared)));
    if let Some(admin) = admin {
        local.spawn_local(admin.serve(Rc::clone(&shared)));
    }
    shared.readiness.set(true);
    local.run_until(serve(listener, shared, shutdown)).await;
    Ok(())
}

async fn serve(listener: TcpListener, shared: Rc<Shared>, shutdown: impl Future<Output = ()>) {
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    let mut last_complaint = None::<Instant>;
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => admit(stream, peer, &shared, &mut connections),
                Err(error) => {
                    if last_complaint.is_none_or(|last| last.elapsed() >= COMPLAINT_PAUSE) {
                        tracing::warn!(%error, "cannot accept connections");
                        last_complaint = Some(Instant::now());
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    shared.readiness.set(false);
    drop(listener);
    drain(&shared, connections).await;
}

/// Starts serving a new client, or refuses it as Redis does when there are too many.
fn admit(stream: TcpStream, peer: SocketAddr, shared: &Rc<Shared>, connections: &mut JoinSet<()>) {
    match register(&stream, peer, shared) {
        Ok(Some(client)) => {
            let connection = Connection::new(stream, Rc::clone(shared), client);
            connections.spawn_local(async move {
                if let Err(error) = connection.serve().await {
                    tracing::debug!(client = %peer, %error, "connection lost");
                }
            });
        }
        Ok(None) => {
            // The socket's buffer is empty: a short line always fits.
            let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
        }
        Err(error) => tracing::debug!(client = %peer, %error, "connection lost"),
    }
}

/// Makes a client of a connection; `None` when there are too many already.
fn register(stream: &TcpStream, peer: SocketAddr, shared: &Shared) -> io::Result<Option<Rc<Client>>> {
    let mut node = shared.node.borrow_mut();
    if node.clients.len() >= node.config.maxclients {
        node.stats.refused += 1;
        return Ok(None);
    }
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&KEEPALIVE)?;
    node.stats.connections += 1;
    let id = node.new_client_id();
    let free = node.config.requirepass.is_empty();
    let client = Rc::new(Client::new(id, peer, stream.local_addr()?, unix_ms(), free));
    node.clients.insert(id, Rc::clone(&client));
    Ok(Some(client))
}

/// Lets every client take the replies to what was read, for a while.
async fn drain(shared: &Shared, mut connections: JoinSet<()>) {
    let clients: Vec<_> = shared.node.borrow().clients.values().cloned().collect();
    tracing::info!(clients = clients.len(), "draining");
    clients.iter().for_each(|client| client.end(Ending::Drained));
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_MAX, finished).await.is_err() {
        tracing::warn!("some clients did not take their last replies in time");
    }
}

/// Expires, evicts and frees in small turns, and ends silent clients. With nothing scheduled it sleeps without a
/// timer until commands leave work.
async fn work(shared: Rc<Shared>) {
    loop {
        let now = unix_ms();
        let due = {
            let mut node = shared.node.borrow_mut();
            node.engine.expire_due(now, WORK_PER_TURN);
            node.engine.free_remains(WORK_PER_TURN);
            node.end_silent_clients(now);
            node.end_waits(now);
            if node.engine.must_evict() {
                node.engine.make_room(now);
            }
            next_work(&node)
        };
        shared.alarm.set(due.unwrap_or(u64::MAX));
        match due {
            None => shared.work.notified().await,
            Some(due) => {
                let pause = Duration::from_millis(due.saturating_sub(now)).clamp(WORK_PAUSE, SLEEP_MAX);
                // Either is a reason to look again.
                let _ = tokio::time::timeout(pause, shared.work.notified()).await;
            }
        }
    }
}
