//! A worker: one thread, one runtime, its own listeners, its own connections to the nodes.
//!
//! The tasks of a worker (one per client, one per link, and a few here) share one [`Dispatcher`] and carry
//! out what it leaves in its outbox. Nothing crosses threads but the routing that comes in, the suspicions
//! that go out, and the published counts.
//!
//! When bytes are written is told in `turn` for those to nodes, in `linger` for those to clients.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::Routing;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, spawn_local, yield_now};
use tokio::time::{sleep, timeout};

use crate::client::session::{ClientSocket, Session};
use crate::config::Config;
use crate::dispatch::Dispatcher;
use crate::drain::{Phase, reached};
use crate::explain::desk;
use crate::explain::overview::Overview;
use crate::linger::{self, Lingering};
use crate::link::LinkId;
use crate::link::failure::is_out_of_files;
use crate::link::keepalive;
use crate::link::node_link::{self, LinkSocket};
use crate::outbox::{Inquiry, RareWork, Suspicion};
use crate::pulse::Heart;
use crate::shared::Shared;
use crate::signal::Signal;
use crate::target::ClientId;
use crate::turn;

/// Room for one read: a full pipeline of a client, or of a node's replies.
pub(crate) const READ_LEN: usize = 64 * 1024;

/// How often deadlines are looked at while something is waiting: a quarter of the default suspicion time.
const TICK: Duration = Duration::from_millis(50);

/// How long to wait when no file descriptor is left: some must be closed first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a worker gets from the control thread and gives to it.
#[derive(Debug)]
pub(crate) struct Wiring {
    pub(crate) overview: Arc<Overview>,
    /// Which of the proxy's workers it is.
    pub(crate) index: usize,
    pub(crate) listeners: Vec<std::net::TcpListener>,
    pub(crate) routing: watch::Receiver<Option<Arc<Routing>>>,
    pub(crate) phases: watch::Receiver<Phase>,
    pub(crate) heart: Heart,
    pub(crate) suspicions: mpsc::Sender<Suspicion>,
    pub(crate) shared: Arc<Shared>,
}

/// The shared state of one worker's tasks.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) config: Arc<Config>,
    pub(crate) dispatcher: RefCell<Dispatcher>,
    /// Where every read of this thread lands: an idle connection holds no buffer.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    pub(crate) sockets: RefCell<Vec<Option<Rc<ClientSocket>>>>,
    pub(crate) links: RefCell<Vec<Option<LinkTask>>>,
    /// Links have bytes to write.
    pub(crate) turn: Signal,
    /// Requests until the last write to the links.
    pub(crate) gathered: Cell<u64>,
    pub(crate) lingering: Lingering,
    /// Subscriptions are to be moved.
    review: Signal,
    /// Something waits, so that deadlines matter.
    clock: Signal,
    clock_runs: Cell<bool>,
    /// Clients are closed as soon as nothing of them is open.
    pub(crate) leaving: Cell<bool>,
    suspicions: mpsc::Sender<Suspicion>,
}

#[derive(Debug)]
pub(crate) struct LinkTask {
    pub(crate) socket: Rc<LinkSocket>,
    task: AbortHandle,
}

/// Runs a worker on this thread until it has drained.
pub(crate) fn run(wiring: Wiring) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(wiring))
}

async fn serve(wiring: Wiring) -> std::io::Result<()> {
    let Wiring { overview, index, listeners, routing, phases, heart, suspicions, shared } = wiring;
    let config = Arc::clone(&overview.config);
    let dispatcher = Dispatcher::new(overview, index, Instant::now(), shared);
    let worker = Rc::new(Worker {
        dispatcher: RefCell::new(dispatcher),
        config,
        scratch: RefCell::new(vec![0; READ_LEN].into_boxed_slice()),
        sockets: RefCell::default(),
        links: RefCell::default(),
        turn: Signal::default(),
        gathered: Cell::new(0),
        lingering: Lingering::default(),
        review: Signal::default(),
        clock: Signal::default(),
        clock_runs: Cell::new(false),
        leaving: Cell::new(false),
        suspicions,
    });
    let mut accepting = Vec::new();
    for listener in listeners {
        let listener = TcpListener::from_std(listener)?;
        accepting.push(spawn_local(accept(Rc::clone(&worker), listener, phases.clone())));
    }
    spawn_local(turn::write_to_links(Rc::clone(&worker)));
    spawn_local(linger::write_lingering(Rc::clone(&worker)));
    spawn_local(move_subscriptions(Rc::clone(&worker)));
    spawn_local(watch_deadlines(Rc::clone(&worker)));
    spawn_local(follow_routing(Rc::clone(&worker), routing));
    spawn_local(heart.beat());
    worker.drain(phases, accepting).await;
    Ok(())
}

async fn accept(worker: Rc<Worker>, listener: TcpListener, mut phases: watch::Receiver<Phase>) {
    loop {
        let accepted = tokio::select! {
            // Whoever is at the door is let in before it is closed.
            biased;
            accepted = listener.accept() => accepted,
            () = reached(Phase::Leaving, &mut phases) => return,
        };
        match accepted {
            Ok((stream, peer)) => worker.admit(stream, peer),
            Err(error) if is_out_of_files(&error) => {
                tracing::warn!(%error, "cannot accept a client");
                // Whoever is at the door stays there until a client leaves; while the proxy itself leaves, nobody
                // would let it in.
                if timeout(ACCEPT_PAUSE, reached(Phase::Leaving, &mut phases)).await.is_ok() {
                    return;
                }
            }
            // A client that left before it was accepted.
            Err(error) => tracing::debug!(%error, "a connection was lost before it was accepted"),
        }
    }
}

async fn follow_routing(worker: Rc<Worker>, mut routing: watch::Receiver<Option<Arc<Routing>>>) {
    loop {
        let current = routing.borrow_and_update().clone();
        if let Some(current) = current {
            worker.event(|dispatcher| dispatcher.apply(&current));
        }
        if routing.changed().await.is_err() {
            return;
        }
    }
}

/// Moves subscriptions a piece at a time. Others have their turn before each.
async fn move_subscriptions(worker: Rc<Worker>) {
    loop {
        worker.review.raised().await;
        yield_now().await;
        // It must not raise the signal itself: a task that is woken while it runs yields to nobody.
        while worker.event(Dispatcher::move_subscriptions) {
            yield_now().await;
        }
    }
}

async fn watch_deadlines(worker: Rc<Worker>) {
    loop {
        worker.clock.raised().await;
        while worker.clock_runs.get() {
            sleep(TICK).await;
            worker.event(Dispatcher::tick);
            worker.clock_runs.set(worker.dispatcher.borrow().is_waiting());
        }
    }
}

impl Worker {
    /// Lets the dispatcher handle one event at the present time, and carries out what follows from it.
    pub(crate) fn event<T>(self: &Rc<Self>, handle: impl FnOnce(&mut Dispatcher) -> T) -> T {
        let mut dispatcher = self.dispatcher.borrow_mut();
        dispatcher.now = Instant::now();
        let outcome = handle(&mut dispatcher);
        self.settle(&mut dispatcher);
        outcome
    }

    /// Carries out what the dispatcher left in its outbox.
    #[inline]
    pub(crate) fn settle(self: &Rc<Self>, dispatcher: &mut Dispatcher) {
        if !dispatcher.outbox.rare.is_empty() {
            self.settle_rare(dispatcher);
        }
        if !dispatcher.outbox.links.is_empty() {
            self.turn.raise();
            self.watch();
        }
        let mut clients = std::mem::take(&mut dispatcher.outbox.clients);
        for id in clients.drain(..) {
            self.settle_client(dispatcher, id);
        }
        // Whoever is listed meanwhile would never be written to.
        debug_assert!(dispatcher.outbox.clients.is_empty(), "writing to a client lists nobody");
        dispatcher.outbox.clients = clients;
        dispatcher.stats.waiting = dispatcher.hold.len() as u64;
        dispatcher.published.set(&dispatcher.stats);
    }

    #[cold]
    pub(crate) fn settle_rare(self: &Rc<Self>, dispatcher: &mut Dispatcher) {
        for work in std::mem::take(&mut dispatcher.outbox.rare) {
            match work {
                RareWork::Open(id) => self.open(id),
                RareWork::Close(id) => self.close(id),
                RareWork::GiveUp(id) => self.give_up(id),
                RareWork::Resume(id) => self.resume(id),
                // A full queue holds reports about the same trouble already.
                RareWork::Report(suspicion) => drop(self.suspicions.try_send(suspicion)),
                RareWork::Ask(inquiry) => self.ask(dispatcher, inquiry),
                RareWork::Rouse(id) => self.rouse(id),
                RareWork::Review => self.review.raise(),
                RareWork::Watch => self.watch(),
            }
        }
    }

    /// Has a question about the proxy answered by a thread that serves no client.
    fn ask(self: &Rc<Self>, dispatcher: &Dispatcher, inquiry: Inquiry) {
        let Inquiry { question, target, protocol } = inquiry;
        let answer = desk::ask(
            question,
            Arc::clone(&dispatcher.overview),
            dispatcher.routing.as_ref().map(Arc::clone),
            move |answer| answer.reply(protocol),
        );
        let worker = Rc::clone(self);
        spawn_local(async move {
            let answer = answer.await;
            worker.event(|dispatcher| dispatcher.told_of_proxy(target, answer));
        });
    }

    /// Starts looking at deadlines, if it is not done already.
    #[inline]
    fn watch(&self) {
        if !self.clock_runs.replace(true) {
            self.clock.raise();
        }
    }

    fn give_up(&self, id: LinkId) {
        if let Some(Some(link)) = self.links.borrow().get(id) {
            link.socket.give_up();
        }
    }

    /// Has a link's task look whether it may read again.
    fn resume(&self, id: LinkId) {
        if let Some(Some(link)) = self.links.borrow().get(id) {
            link.socket.rouse();
        }
    }

    fn close(&self, id: LinkId) {
        if let Some(link) = self.links.borrow_mut().get_mut(id).and_then(Option::take) {
            link.task.abort();
        }
    }

    fn open(self: &Rc<Self>, id: LinkId) {
        let socket = Rc::new(LinkSocket::default());
        let task: JoinHandle<()> = spawn_local(node_link::run(Rc::clone(self), id, Rc::clone(&socket)));
        let mut links = self.links.borrow_mut();
        if links.len() <= id {
            links.resize_with(id + 1, || None);
        }
        links[id] = Some(LinkTask { socket, task: task.abort_handle() });
    }

    /// Takes in a client, or turns it away in Redis' words when there are too many.
    fn admit(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        let mut dispatcher = self.dispatcher.borrow_mut();
        dispatcher.now = Instant::now();
        let Some(id) = dispatcher.connect(peer) else {
            // It is told if its socket takes the line at once; a new socket does.
            let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
            return;
        };
        // Replies are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        keepalive::towards_client(&stream);
        let (reader, writer) = stream.into_split();
        let socket = Rc::new(ClientSocket::new(writer));
        let mut sockets = self.sockets.borrow_mut();
        let index = id.index as usize;
        if sockets.len() <= index {
            sockets.resize_with(index + 1, || None);
        }
        sockets[index] = Some(Rc::clone(&socket));
        dispatcher.stats.connected_clients = dispatcher.clients.len() as u64;
        spawn_local(Session::new(Rc::clone(self), socket, reader, id).run());
    }

    /// Forgets a client whose session has ended.
    pub(crate) fn dismiss(self: &Rc<Self>, id: ClientId) {
        let mut dispatcher = self.dispatcher.borrow_mut();
        dispatcher.disconnect(id);
        dispatcher.stats.connected_clients = dispatcher.clients.len() as u64;
        self.sockets.borrow_mut()[id.index as usize] = None;
        self.settle(&mut dispatcher);
    }

    fn rouse(&self, id: ClientId) {
        if let Some(Some(socket)) = self.sockets.borrow().get(id.index as usize) {
            socket.attention.raise();
        }
    }

    /// Has every session look at its client.
    pub(crate) fn rouse_clients(&self) {
        for socket in self.sockets.borrow().iter().flatten() {
            socket.attention.raise();
        }
    }
}
