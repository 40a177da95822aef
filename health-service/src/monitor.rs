//! The monitor: feeds the verdict with what happens and does what it asks for.
//!
//! ```text
//! probers --.                       .--> probers, rejoins (tasks)
//! timer   ---+--> verdict.step() ---+--> journal (save), then publisher
//! API     --'                       '--> log
//! ```
//!
//! It decides nothing. Events that come together are judged together and saved once; a view is
//! published only after it is on disk, or after the disk has had its time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cluster::{NodeId, NodeLogin, NodeType};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use crate::board::{Board, Command};
use crate::journal::{Entry, Journal, PastTransition};
use crate::metrics::Metrics;
use crate::probe::{Place, Probe, Prober};
use crate::publish::Publisher;
use crate::rejoin::rejoin;
use crate::saver::Saver;
use crate::verdict::{Action, Cause, Event, Failure, MemberIndex, ProbeId, Transition};

/// Events judged before their consequences are saved and published; a bound, so that a storm of
/// reports cannot hold a view back.
const MAX_BATCH: usize = 256;

/// Pause between two log lines about the checker's own shortages, or about logins; the metric counts each of them.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(10);

/// Drives one verdict.
#[derive(Debug)]
pub struct Monitor {
    board: Board,
    /// One for each member, in the verdict's order.
    probers: Vec<Prober>,
    /// How long a rejoin may take.
    rejoin_limit: Duration,
    events: mpsc::UnboundedReceiver<Event>,
    /// For the tasks of rejoins. The channel needs no bound of its own: each probe and rejoin sends
    /// one event, and the verdict bounds how many there are.
    sender: mpsc::UnboundedSender<Event>,
    commands: mpsc::Receiver<Command>,
    publisher: Publisher,
    saver: Saver,
    metrics: Metrics,
    /// Requested probes on their way, with those who wait for them.
    requested: HashMap<ProbeId, MemberIndex>,
    waiting: HashMap<MemberIndex, Vec<oneshot::Sender<()>>>,
    frozen: bool,
    shortage_noted: Option<Instant>,
    login_noted: Option<Instant>,
}

/// What one batch of events asked for.
#[derive(Default)]
struct Batch {
    actions: Vec<Action>,
    /// Who is to be told when all of it is done.
    done: Vec<oneshot::Sender<()>>,
}

impl Monitor {
    /// A monitor of the members on the board. `rejoin_limit` bounds one rejoin.
    #[must_use]
    pub fn new(
        board: Board,
        commands: mpsc::Receiver<Command>,
        publisher: Publisher,
        journal: Option<Journal>,
        metrics: Metrics,
        rejoin_limit: Duration,
        node_login: Option<&NodeLogin>,
    ) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let places: Vec<_> = board.read(|verdict, _| {
            let topology = verdict.topology();
            let nodes =
                topology.nodes.iter().map(|node| Place::of_node(node.address.clone(), node_login.cloned()));
            nodes.chain(topology.proxies.iter().map(|proxy| Place::of_proxy(proxy.address.clone()))).collect()
        });
        let start = |(index, place)| Prober::start(MemberIndex(index), place, sender.clone());
        let probers = places.into_iter().enumerate().map(start).collect();
        Self {
            board,
            probers,
            rejoin_limit,
            events,
            sender,
            commands,
            publisher,
            saver: Saver::new(journal),
            metrics,
            requested: HashMap::new(),
            waiting: HashMap::new(),
            frozen: false,
            shortage_noted: None,
            login_noted: None,
        }
    }

    /// Runs until the future is dropped.
    pub async fn run(mut self) {
        self.publish_memory().await;
        loop {
            let mut batch = Batch::default();
            let tick = self.board.read(|verdict, _| verdict.next_tick());
            tokio::select! {
                Some(event) = self.events.recv() => self.take(event, &mut batch),
                Some(command) = self.commands.recv() => self.obey(command, &mut batch),
                result = self.saver.finish() => self.end_late_write(result).await,
                () = sleep_until(self.board.clock().instant(tick).into()) => self.take(Event::Tick, &mut batch),
            }
            for _ in 0..MAX_BATCH {
                let Ok(event) = self.events.try_recv() else { break };
                self.take(event, &mut batch);
            }
            self.perform(batch).await;
        }
    }

    /// The view of an earlier run is in force again at once, under a new epoch.
    async fn publish_memory(&mut self) {
        if let Some(epoch) = self.board.read(|verdict, _| verdict.view().map(|view| view.epoch)) {
            self.save(Vec::new()).await;
            tracing::info!(epoch, "the view of the last run is in force");
            self.publish();
        }
    }

    fn take(&mut self, event: Event, batch: &mut Batch) {
        match &event {
            Event::Probed(id, outcome) => {
                match outcome {
                    Ok(success) => {
                        if let Some(kind) = self.board.read(|verdict, _| Some(verdict.member_of(*id)?.kind)) {
                            self.metrics.observe_probe(kind, success.response_time);
                        }
                    }
                    Err(failure) => {
                        self.metrics.count_failure(failure);
                        self.note_shortage(failure);
                        let member = self.board.read(|verdict, _| Some(verdict.member_of(*id)?.id.clone()));
                        self.note_login(member, failure);
                    }
                }
                if let Some(waiting) =
                    self.requested.remove(id).and_then(|member| self.waiting.remove(&member))
                {
                    batch.done.extend(waiting);
                }
            }
            Event::Rejoined(_, _, Ok(_)) => _ = self.metrics.rejoins.inc(),
            Event::Rejoined(node, _, Err(failure)) => {
                self.metrics.rejoin_failures.inc();
                let id = self.board.read(|verdict, _| Some(verdict.members().get(node.0)?.id.clone()));
                self.note_login(id, failure);
            }
            _ => {}
        }
        batch.actions.extend(self.board.step(event));
    }

    fn obey(&mut self, command: Command, batch: &mut Batch) {
        match (&command.event, command.done) {
            (Event::CheckRequested(member), Some(done)) => {
                self.waiting.entry(*member).or_default().push(done);
            }
            (_, done) => batch.done.extend(done),
        }
        self.take(command.event, batch);
    }

    async fn perform(&mut self, batch: Batch) {
        let mut transitions = Vec::new();
        let (mut save, mut publish) = (false, false);
        for action in batch.actions {
            match action {
                Action::Probe { id, member, cause, timeout } => self.probe(id, member, cause, timeout),
                Action::Rejoin { node, attempt, known_run_id } => self.rejoin(node, attempt, known_run_id),
                Action::Note(transition) => transitions.push(self.note(&transition)),
                Action::Save => save = true,
                Action::Publish => publish = true,
            }
        }
        self.note_freeze();
        if save || publish {
            self.save(transitions).await;
        }
        if publish {
            self.publish();
        }
        for done in batch.done {
            // Who asked may have gone.
            let _ = done.send(());
        }
    }

    fn probe(&mut self, id: ProbeId, member: MemberIndex, cause: Cause, timeout: Duration) {
        self.metrics.count_probe(cause);
        if cause == Cause::Request {
            self.requested.insert(id, member);
        }
        self.probers[member.0].probe(Probe { id, cause, timeout });
    }

    fn rejoin(&self, node: MemberIndex, attempt: u64, known_run_id: Option<String>) {
        let place = self.probers[node.0].place().clone();
        let (limit, events) = (self.rejoin_limit, self.sender.clone());
        tokio::spawn(async move {
            let result = rejoin(&place, known_run_id, limit).await;
            let _ = events.send(Event::Rejoined(node, attempt, result));
        });
    }

    fn note(&self, transition: &Transition) -> Entry {
        let (id, kind) = self.board.read(|verdict, _| {
            let member = &verdict.members()[transition.member.0];
            (member.id.clone(), member.kind)
        });
        let Transition { from, to, epoch, cause, .. } = transition;
        // A proxy is never routable, which says nothing about it.
        let routable = (kind == NodeType::Node).then_some(transition.routable);
        self.metrics.count_transition(kind, *from, *to);
        if *to == cluster::Status::Unhealthy {
            tracing::warn!(member = %id, %from, %to, routable, epoch, cause, "transition");
        } else {
            tracing::info!(member = %id, %from, %to, routable, epoch, cause, "transition");
        }
        Entry::Transition(PastTransition::of(id, transition))
    }

    /// A checker that cannot look says so, but not for each of its members.
    fn note_shortage(&mut self, failure: &Failure) {
        let quiet = self.shortage_noted.is_some_and(|at| at.elapsed() < COMPLAINT_PAUSE);
        if matches!(failure, Failure::Local(_)) && !quiet {
            tracing::error!(%failure, "a probe could not be made: it counts neither for nor against a member");
            self.shortage_noted = Some(Instant::now());
        }
    }

    /// A node that lives and lets nobody in is for an operator to put right: it is told even when that is no
    /// transition, but not for each of them.
    fn note_login(&mut self, member: Option<NodeId>, failure: &Failure) {
        let quiet = self.login_noted.is_some_and(|at| at.elapsed() < COMPLAINT_PAUSE);
        if let (Failure::Login(_), Some(id), false) = (failure, member, quiet) {
            tracing::error!(member = %id, %failure, "cannot log in");
            self.login_noted = Some(Instant::now());
        }
    }

    fn note_freeze(&mut self) {
        let frozen = self.board.read(|verdict, _| verdict.is_frozen());
        if frozen && !self.frozen {
            tracing::error!("too many nodes fail at once: routability is frozen, the last view stays");
        } else if self.frozen && !frozen {
            tracing::info!("most nodes answer again: routability is no longer frozen");
        }
        self.frozen = frozen;
    }

    /// Saves transitions and the state. A failure must not stop the service, which is more use
    /// without a memory than not at all; it is told in the summary and tried again with each change.
    async fn save(&mut self, transitions: Vec<Entry>) {
        let result = self.saver.save(&self.board, transitions).await;
        self.note_journal(&result);
    }

    /// A write that was not waited for has ended.
    async fn end_late_write(&mut self, result: std::io::Result<()>) {
        self.note_journal(&result);
        if self.saver.is_behind() {
            self.save(Vec::new()).await;
        }
    }

    fn note_journal(&self, result: &std::io::Result<()>) {
        if let Err(error) = result {
            self.metrics.journal_failures.inc();
            tracing::error!(%error, "cannot write the journal: a restart would forget this view");
        }
        self.board.set_journal_healthy(result.is_ok());
    }

    fn publish(&self) {
        if let Some(view) = self.board.read(|verdict, _| verdict.view().cloned()) {
            self.metrics.views.inc();
            self.publisher.publish(&view);
            self.board.published();
        }
    }
}
