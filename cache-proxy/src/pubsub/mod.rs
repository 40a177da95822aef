//! Publish/subscribe as a client sees it: its commands, its messages, and the rules of its protocol version.
//!
//! A message is published on the one node that serves the channel's slot, and each worker hears it there once for
//! all its clients. Messages come encoded for RESP3; for RESP2 the first byte is another one.

pub(crate) mod subscriber_link;
pub(crate) mod subscriptions;

use commands::Command;
use resp::{Encoder, Protocol, Request};

use crate::dispatch::{Dispatcher, Job};
use crate::plan::refuse::{NO_NODE, NO_VIEW};
use crate::pubsub::subscriptions::Wish;
use crate::pubsub::subscriptions::topic::{Kind, slot_name};
use crate::target::{ClientId, Receiver, Target};

/// A subscriber that has not taken this much is closed when another message comes: Redis' default for its class
/// `pubsub`. It holds back nobody else, so nothing but a bound protects the memory.
pub(crate) const SUBSCRIBER_LIMIT: usize = 32 * 1024 * 1024;

impl Dispatcher {
    /// `SUBSCRIBE` and its kin.
    #[cold]
    pub(crate) fn subscribe(&mut self, kind: Kind, job: &Job<'_>) {
        // A subscription belongs to a connection, so it is a part of nothing.
        let Receiver::Client(client, place) = job.target.receiver() else { return };
        match &self.routing {
            None => return self.fail(job.target, NO_VIEW),
            Some(routing) if !routing.nodes().iter().any(|node| node.routable) => {
                return self.fail(job.target, NO_NODE);
            }
            Some(_) => {}
        }
        let names = job.request.args().skip(1);
        if !self.subscriptions.has_room(names.len(), names.clone().map(<[u8]>::len).sum()) {
            return self.fail(job.target, "ERR the proxy holds too many subscriptions");
        }
        self.unmute(client);
        let wish = Wish { client, place, protocol: job.protocol, kind, since: self.now };
        let mut subscriptions = std::mem::take(&mut self.subscriptions);
        subscriptions.subscribe(&wish, names, |kind, name| self.homes(kind, name));
        self.subscriptions = subscriptions;
        if self.subscriptions.waits(client)
            && let Some(client) = self.client(client)
        {
            // What it publishes next must reach it, and one request that waits is enough to keep.
            client.barrier = true;
        }
        self.note_subscriptions(client);
        self.settle_for(client);
    }

    /// `UNSUBSCRIBE` and its kin.
    #[cold]
    pub(crate) fn unsubscribe(&mut self, kind: Kind, job: &Job<'_>) {
        let Receiver::Client(client, _) = job.target.receiver() else { return };
        self.unmute(client);
        let names = job.request.args().skip(1);
        let reply = self.subscriptions.unsubscribe(client, job.protocol, kind, names);
        self.note_subscriptions(client);
        // First what was asked for before.
        self.settle_for(client);
        self.deliver(job.target, &reply);
    }

    /// Confirmations are pushes, and `CLIENT REPLY` silences none of these.
    fn unmute(&mut self, client: ClientId) {
        if let Some(client) = self.client(client) {
            client.mute(false);
        }
    }

    /// Carries out what a client's request has changed. It is read no further while a node has too much to answer.
    fn settle_for(&mut self, client: ClientId) {
        if let Some(full) = self.settle_subscriptions() {
            self.choke_client(full, client);
        }
    }

    /// Ends all subscriptions of a client.
    pub(crate) fn forget_subscriptions(&mut self, client: ClientId) {
        self.subscriptions.forget(client);
        self.note_subscriptions(client);
        self.settle_subscriptions();
    }

    /// Notes whether a client listens to anything.
    pub(crate) fn note_subscriptions(&mut self, id: ClientId) {
        let subscribed = self.subscriptions.has(id);
        if let Some(client) = self.client(id) {
            client.subscribed = subscribed;
            client.note_standing();
        }
    }

    /// `PUBLISH` and `SPUBLISH`: to the node where the channel lives.
    pub(crate) fn publish(&mut self, job: &Job<'_>) {
        let Some(routing) = &self.routing else { return self.fail(job.target, NO_VIEW) };
        match routing.serving(routing.slot(slot_name(job.request.arg(1)))) {
            Some(node) => self.send(node, job.request.wire(), job, false),
            None => self.fail(job.target, NO_NODE),
        }
    }

    /// Whether a subscriber of RESP2 may send this: a reply to anything else would look like a message to it.
    #[cold]
    pub(crate) fn admits_of_subscriber(
        &mut self,
        target: Target,
        command: &'static Command,
        request: &Request<'_>,
    ) -> bool {
        match command.name {
            // A wrong number of arguments is told first.
            _ if !command.arity_fits(request.len()) => true,
            "subscribe" | "psubscribe" | "ssubscribe" | "unsubscribe" | "punsubscribe" | "sunsubscribe"
            | "quit" | "reset" => true,
            "ping" if request.len() > 2 => true,
            "ping" => {
                let mut reply = self.spare.take();
                let mut to = Encoder::new(&mut reply, Protocol::Resp2);
                to.array(2);
                to.bulk(b"pong");
                to.bulk(request.get(1).unwrap_or_default());
                self.deliver(target, &reply);
                self.spare.put(reply);
                false
            }
            _ => {
                let subcommand = request.get(1).and_then(|name| command.subcommand(name));
                let name = subcommand.unwrap_or(command).name;
                self.fail(
                    target,
                    &format!(
                        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                         allowed in this context"
                    ),
                );
                false
            }
        }
    }

    /// Gives a message to everybody who listens to its topic.
    pub(crate) fn pass_message(&mut self, kind: Kind, name: &[u8], message: &[u8]) {
        let mut flat = self.spare.take();
        flat.extend_from_slice(message);
        if let Some(first) = flat.first_mut() {
            *first = b'*';
        }
        let (mut grown, mut passed) = (0, 0);
        for (id, since) in self.subscriptions.audience(kind, name) {
            let Some(client) = self.clients.get_mut(id.index as usize) else { continue };
            // It is told of the subscription before it gets anything of it, and nothing comes after a QUIT.
            if client.serial != id.serial || client.closing || !client.is_answered(since) {
                continue;
            }
            if client.backlog() > SUBSCRIBER_LIMIT.min(self.limits.close_at) {
                tracing::warn!(peer = %client.peer, backlog = client.backlog(), "closing a subscriber that takes no messages");
                client.closing = true;
                client.killed = true;
            } else {
                let said = if client.reads() == Protocol::Resp3 { message } else { &flat };
                client.push(said, &mut self.spare);
                grown += message.len();
                passed += 1;
            }
            if !client.listed {
                client.listed = true;
                self.outbox.clients.push(id);
            }
        }
        self.spare.put(flat);
        self.stats.messages += passed;
        self.note_growth(grown);
    }
}
