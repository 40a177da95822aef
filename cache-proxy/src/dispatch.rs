//! The heart of a worker: takes requests, and decides where each one goes.
//!
//! Everything a worker knows is here, without a socket or a clock: clients and what they are owed, links and
//! what is on its way, gathers, and the hold. The tasks around it feed it bytes that arrived (`request`;
//! `reply`: in `deliver`) and events (`link_connected`, `link_failed`, `apply`, `tick`: in `failover`), and then carry out what
//! it left in its [`Outbox`]: which sockets have bytes to write, which connections to open or close.
//!
//! One thread owns it; nothing in it is locked or shared.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cluster::{Address, NodeIndex, Routing};
use commands::{Class, Command, KeyPositions};
use resp::{Protocol, Request};
use slab::Slab;

use crate::client::Client;
use crate::client::backlog::BacklogLimits;
use crate::client::spare::SpareBuffers;
use crate::config::Config;
use crate::explain::overview::Overview;
use crate::explain::slow_quota::SlowQuota;
use crate::link::hold::{Held, Hold, Sent, Via};
use crate::link::pin::IdlePins;
use crate::link::pipeline::{Past, Waiter};
use crate::link::{Link, LinkId};
use crate::local;
use crate::local::node_info::NodeInfo;
use crate::metrics::stats::{Published, Stats};
use crate::outbox::{Outbox, RareWork};
use crate::plan::gather::{Gather, WORTH_A_LOOK};
use crate::plan::grouping::Grouping;
use crate::plan::refuse::NO_NODE;
use crate::plan::serving::node_of_all;
use crate::plan::{self, Plan};
use crate::pubsub::subscriptions::Subscriptions;
use crate::shared::Shared;
use crate::target::{ClientId, Receiver, Target};
use crate::transaction::unit::Unit;

/// A request whose node has been unreachable for longer than the hold still waits this long: one look at the
/// deadlines, in case the node is just coming back.
const LEAST_HOLD: Duration = Duration::from_millis(50);

/// The state of one worker.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) config: Arc<Config>,
    /// The time of the event being handled; set by the tasks.
    pub(crate) now: Instant,
    pub(crate) started: Instant,
    /// Since when the proxy says that it will end.
    pub(crate) draining_since: Option<Instant>,
    /// Clients are being closed: nobody may block any more.
    pub(crate) leaving: bool,
    pub(crate) routing: Option<Arc<Routing>>,
    pub(crate) links: Slab<Link>,
    /// The link to each node of `routing`, by protocol version.
    pub(crate) link_of: Vec<[Option<LinkId>; 2]>,
    pub(crate) idle_pins: IdlePins,
    /// The subscriber link of each node of `routing`.
    pub(crate) subscriber_links: Vec<Option<LinkId>>,
    /// Counts the lines there have been on them.
    pub(crate) lines: u64,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) clients: Slab<Client>,
    pub(crate) gathers: Slab<Gather>,
    pub(crate) node_info: NodeInfo,
    pub(crate) units: Slab<Unit>,
    pub(crate) hold: Hold,
    pub(crate) outbox: Outbox,
    pub(crate) stats: Stats,
    /// What other threads may see of this worker …
    pub(crate) published: Arc<Published>,
    /// … and of the whole proxy.
    pub(crate) overview: Arc<Overview>,
    /// What takes at least this long is noted in the slow log.
    pub(crate) slow_from: Duration,
    pub(crate) slow_quota: SlowQuota,
    /// The number of requests after which the next one is sampled.
    pub(crate) sample_at: u64,
    pub(crate) spare: SpareBuffers,
    pub(crate) grouping: Grouping,
    pub(crate) limits: BacklogLimits,
    /// Bytes kept for clients since all of them were looked at.
    pub(crate) grown: usize,
    serials: u32,
    pub(crate) shared: Arc<Shared>,
}

/// A request on its way: what is sent, who gets the reply, and since when they wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    /// Lent and not copied: a copy of what was just written piece by piece waits until all earlier writes are
    /// done. That was a quarter of the worker's own time in pipelines.
    pub(crate) request: &'a Request<'a>,
    pub(crate) target: Target,
    pub(crate) protocol: Protocol,
    /// What it is, to whoever counts.
    pub(crate) class: Class,
    pub(crate) since: Instant,
    /// Where it has been before.
    pub(crate) past: Past,
}

impl Dispatcher {
    /// The worker at this place of a proxy, without clients or nodes.
    pub(crate) fn new(overview: Arc<Overview>, worker: usize, now: Instant, shared: Arc<Shared>) -> Self {
        let config = Arc::clone(&overview.config);
        let keeps_slow = config.slowlog_max_len > 0;
        Self {
            slow_from: if keeps_slow { config.slowlog_log_slower_than } else { Duration::MAX },
            slow_quota: SlowQuota::default(),
            sample_at: 0,
            published: Arc::clone(&overview.workers[worker]),
            overview,
            limits: BacklogLimits::of(&config),
            grown: 0,
            config,
            now,
            started: now,
            draining_since: None,
            leaving: false,
            routing: None,
            links: Slab::new(),
            link_of: Vec::new(),
            idle_pins: IdlePins::default(),
            subscriber_links: Vec::new(),
            lines: 0,
            subscriptions: Subscriptions::default(),
            clients: Slab::new(),
            gathers: Slab::new(),
            node_info: NodeInfo::default(),
            units: Slab::new(),
            hold: Hold::default(),
            outbox: Outbox::default(),
            stats: Stats::default(),
            spare: SpareBuffers::default(),
            grouping: Grouping::default(),
            serials: 0,
            shared,
        }
    }

    /// Takes in a new client, or `None` when there are too many.
    pub(crate) fn connect(&mut self, peer: SocketAddr) -> Option<ClientId> {
        // A count of its own: it orders nothing else.
        if self.shared.clients.fetch_add(1, Ordering::Relaxed) >= self.config.max_clients {
            self.shared.clients.fetch_sub(1, Ordering::Relaxed);
            self.stats.rejected_clients += 1;
            return None;
        }
        self.serials = self.serials.wrapping_add(1);
        self.stats.accepted_clients += 1;
        let client = Client::new(self.serials, peer, self.now, self.config.password.is_none());
        let index = self.clients.insert(client);
        // `max_clients` is far below 2^32.
        Some(ClientId { index: index as u32, serial: self.serials })
    }

    /// Forgets a client; replies still on their way to it will reach nobody.
    pub(crate) fn disconnect(&mut self, id: ClientId) {
        let Some(client) = self.client(id) else { return };
        let (pinned, halts) = (client.pinned(), std::mem::take(&mut client.halts));
        let (subscribed, gathered) = (client.subscribed, client.gathered);
        self.end_watch(id);
        self.clients.remove(id.index as usize);
        self.shared.clients.fetch_sub(1, Ordering::Relaxed);
        // At once: a node that still sees it blocked would give it an element that nobody gets.
        pinned.into_iter().for_each(|link| self.drop_pinned(link));
        if !halts.is_empty() {
            self.resume_links(id, halts);
        }
        if gathered > WORTH_A_LOOK {
            self.void_gathers_of(id);
        }
        if subscribed {
            self.end_subscriptions(id);
        }
    }

    /// The client, if it is still there.
    #[inline]
    pub(crate) fn client(&mut self, id: ClientId) -> Option<&mut Client> {
        self.clients.get_mut(id.index as usize).filter(|client| client.serial == id.serial)
    }

    /// Whether the client's next bytes may be read now: back-pressure.
    #[inline]
    pub(crate) fn may_read(&mut self, id: ClientId) -> bool {
        let limits = self.limits;
        self.client(id).is_some_and(|client| {
            client.barrier &= client.owed() > 0;
            let waits = client.closing || client.choked || client.barrier;
            !waits
                && client.owed() < client.window(limits.window)
                && client.backlog() + client.gathered < limits.pause_at
        })
    }

    /// Takes one request of a client.
    #[inline]
    pub(crate) fn request(&mut self, id: ClientId, request: &Request<'_>) {
        let since = self.now;
        self.stats.requests += 1;
        let Some(client) = self.client(id) else { return };
        let target = Target::client(id, client.expect());
        let protocol = client.protocol;
        if client.special && !self.admits(id, target, request) {
            return;
        }
        let Some(command) = commands::lookup(request.arg(0)) else {
            return self.refuse_unknown(id, target, request);
        };
        let (class, counted) = (command.class, self.stats.requests);
        if counted >= self.sample_at {
            self.sample(command, request);
        }
        self.carry_out(command, &Job { request, target, protocol, class, since, past: Past::None });
        if self.stats.requests == counted {
            // Else it was given back, and counts when it comes again: a scrape must not see a count fall.
            self.published.traffic.class(class).requests.add(1);
        }
    }

    /// Plans a request and does what the plan says.
    #[inline]
    pub(crate) fn carry_out(&mut self, command: &'static Command, job: &Job<'_>) {
        match &mut plan::plan(command, job.request) {
            Plan::One(keys) => self.send_to_one(keys, job),
            Plan::Block(keys) => self.block(keys, job),
            Plan::Local => self.answer_locally(command, job),
            Plan::Split(split) => self.split(*split, job),
            Plan::Every(fan_out) => self.send_to_every(*fan_out, job),
            Plan::Info => self.info(job),
            Plan::Settings => self.config_get(job),
            Plan::Keyless(name) => self.send_without_key(*name, job),
            Plan::Scan => self.scan(job),
            Plan::Publish => self.publish(job),
            Plan::Subscribe(kind) => self.subscribe(*kind, job),
            Plan::Unsubscribe(kind) => self.unsubscribe(*kind, job),
            Plan::Proxy(subcommand) => self.tell_of_proxy(subcommand, job),
            Plan::Transaction => self.transact(command, job),
            Plan::Refuse(refusal) => self.refuse(job.target, refusal),
        }
    }

    #[inline]
    fn send_to_one(&mut self, keys: &mut KeyPositions, job: &Job<'_>) {
        match node_of_all(self.routing.as_deref(), keys, job.request) {
            Ok(node) => self.send(node, job.request.wire(), job, false),
            Err(unserved) => self.fail(job.target, &unserved.text(job.request)),
        }
    }

    fn answer_locally(&mut self, command: &'static Command, job: &Job<'_>) {
        // Only a client's own request is planned as local; a part of one never is.
        let Receiver::Client(id, _) = job.target.receiver() else { return };
        let mut reply = self.spare.take();
        local::answer(self, id, command, job.request, &mut reply);
        if reply.first() == Some(&b'-') {
            self.note_local_error(command, job, &reply);
        }
        self.deliver(job.target, &reply);
        self.spare.put(reply);
    }

    /// Puts a request into the node's pipeline or, while there is no connection, into the hold.
    #[inline]
    pub(crate) fn send(&mut self, node: NodeIndex, wire: &[u8], job: &Job<'_>, bound: bool) {
        let id = self.link_to(node, job.protocol);
        self.send_over(id, wire, job, bound);
    }

    /// Puts a request into this link's pipeline or, while it is not up, into the hold.
    #[inline]
    pub(crate) fn send_over(&mut self, id: LinkId, wire: &[u8], job: &Job<'_>, bound: bool) {
        let Some(link) = self.links.get_mut(id) else { return self.fail(job.target, NO_NODE) };
        if !link.up {
            return self.hold_for(id, wire, job, bound);
        }
        link.pipeline
            .push(wire, Waiter { bound, past: job.past, ..Waiter::new(job.target, job.since, job.class) });
        if !link.listed {
            link.listed = true;
            self.outbox.links.push(id);
        }
        self.choke_if_full(id, job.target);
    }

    /// Keeps a request for a link that is not up.
    #[cold]
    pub(crate) fn hold_for(&mut self, id: LinkId, wire: &[u8], job: &Job<'_>, bound: bool) {
        let link = &self.links[id];
        self.hold(Held {
            wire: wire.to_vec(),
            target: job.target,
            protocol: job.protocol,
            class: job.class,
            since: job.since,
            deadline: self.deadline(job.since, link.down_since),
            bound,
            node: link.node.clone(),
            sent: if job.past == Past::Tried { Sent::Elsewhere } else { Sent::Nowhere },
            via: Via::of(id, link),
        });
    }

    /// Until when a request that waits since `since` may be held for a node that is away since `down_since`:
    /// one hold from the node's loss, so that a node that stays away is not waited for again and again; and
    /// not for ever when the request is held by one node after the other.
    pub(crate) fn deadline(&self, since: Instant, down_since: Instant) -> Instant {
        let (hold, patience) = (self.config.hold_timeout, self.config.node_timeout);
        (down_since + hold).max(self.now + hold.min(LEAST_HOLD)).min(since + patience + hold)
    }

    /// Keeps a request until its node is back or another one serves its keys.
    pub(crate) fn hold(&mut self, held: Held) {
        self.outbox.rare.push(RareWork::Watch);
        let traffic = self.published.traffic.known(&held.node);
        if let Err(held) = self.hold.push(held) {
            let node = &held.node;
            let text = format!("UNAVAILABLE node {node} is not reachable and too many requests wait for it");
            self.note_expired(&held);
            return self.fail(held.target, &text);
        }
        self.stats.held += 1;
        if let Some(traffic) = traffic {
            traffic.held.add(1);
        }
    }

    /// The link to a node, opened if there is none yet.
    #[inline]
    pub(crate) fn link_to(&mut self, node: NodeIndex, protocol: Protocol) -> LinkId {
        match self.link_of[node.get()][protocol as usize] {
            Some(id) => id,
            None => self.open_shared_link(node, protocol),
        }
    }

    #[cold]
    fn open_shared_link(&mut self, node: NodeIndex, protocol: Protocol) -> LinkId {
        let Some(id) = self.take_idle_pin(node, protocol).or_else(|| self.open_link(node, protocol)) else {
            return LinkId::MAX;
        };
        self.link_of[node.get()][protocol as usize] = Some(id);
        id
    }

    /// Begins a connection to a node of the view.
    pub(crate) fn open_link(&mut self, node: NodeIndex, protocol: Protocol) -> Option<LinkId> {
        let known = self.routing.as_ref()?.node(node).clone();
        let address = Address { host: known.host, port: known.port };
        let traffic = self.published.traffic.node(&known.node_id);
        let id = self.links.insert(Link::new(known.node_id, address, protocol, self.now, traffic));
        self.outbox.rare.push(RareWork::Open(id));
        Some(id)
    }

    /// Puts the client into the list of those whose sockets need attention.
    pub(crate) fn list(&mut self, id: ClientId) {
        if let Some(client) = self.client(id).filter(|client| !client.listed) {
            client.listed = true;
            self.outbox.clients.push(id);
        }
    }
}
