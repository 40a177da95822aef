//! `MULTI`, `EXEC` and `DISCARD`: what a client has queued goes to its node as one unit, and comes back as one
//! reply.
//!
//! A node that does not know `MULTI` would execute the commands of a unit one by one. So every connection asks its
//! node for one when it is made ([`Link::transactions`]), and no unit is sent to a node that refused.
//!
//! [`Link::transactions`]: crate::link::Link::transactions

use cluster::NodeIndex;
use commands::Command;
use resp::Request;

use crate::dispatch::{Dispatcher, Job};
use crate::link::LinkId;
use crate::link::failure::Failure;
use crate::link::pin::Pin;
use crate::link::pipeline::Waiter;
use crate::plan::refuse::{NO_NODE, NO_VIEW, unasked};
use crate::target::{ClientId, Receiver, Target, UnitId};
use crate::transaction::Transaction;
use crate::transaction::unit::{self, Outcome, Unit};

impl Dispatcher {
    /// Carries out a command about transactions.
    #[cold]
    pub(crate) fn transact(&mut self, command: &'static Command, job: &Job<'_>) {
        // A part of a request never is one.
        let Receiver::Client(id, _) = job.target.receiver() else { return };
        match command.name {
            "multi" => self.multi(id, job.target),
            "exec" => self.exec(id, job),
            "discard" => self.discard(id, job.target),
            "unwatch" => {
                self.end_watch(id);
                self.deliver(job.target, b"+OK\r\n");
            }
            _ => self.watch(id, command, job),
        }
    }

    fn multi(&mut self, id: ClientId, target: Target) {
        let Some(client) = self.client(id) else { return };
        if client.transaction.is_some() {
            return self.fail(target, "ERR MULTI calls can not be nested");
        }
        client.set_transaction(Some(Transaction::begin()));
        self.deliver(target, b"+OK\r\n");
    }

    fn discard(&mut self, id: ClientId, target: Target) {
        match self.end_transaction(id) {
            Some(_) => {
                self.end_watch(id);
                self.deliver(target, b"+OK\r\n");
            }
            None => self.fail(target, "ERR DISCARD without MULTI"),
        }
    }

    pub(crate) fn end_transaction(&mut self, id: ClientId) -> Option<Box<Transaction>> {
        self.client(id)?.set_transaction(None)
    }

    /// Queues the command of a client that has said `MULTI`.
    pub(crate) fn queue(
        &mut self,
        id: ClientId,
        target: Target,
        command: &'static Command,
        request: &Request<'_>,
    ) {
        self.published.traffic.class(command.class).requests.add(1);
        if self.stats.requests >= self.sample_at {
            self.sample(command, request);
        }
        let routing = self.routing.clone();
        let Some(transaction) = self.client(id).and_then(|client| client.transaction.as_mut()) else {
            return;
        };
        match transaction.queue(command, request, routing.as_deref()) {
            Ok(()) => {
                self.note_growth(request.wire().len());
                self.deliver(target, b"+QUEUED\r\n");
            }
            Err(text) => self.fail(target, &text),
        }
    }

    fn exec(&mut self, id: ClientId, job: &Job<'_>) {
        let Some(client) = self.client(id) else { return };
        if client.transaction.is_some() && client.watch.is_some() && self.must_wait(job.target) {
            return;
        }
        let Some(transaction) = self.end_transaction(id) else {
            return self.fail(job.target, "ERR EXEC without MULTI");
        };
        if transaction.is_aborted() {
            self.end_watch(id);
            return self.fail(job.target, "EXECABORT Transaction discarded because of previous errors.");
        }
        if let Some(watch) = self.client(id).and_then(|client| client.watch.take()) {
            return self.exec_watched(&watch, *transaction, job);
        }
        if transaction.len() == 0 {
            return self.deliver(job.target, b"*0\r\n");
        }
        let Some(routing) = &self.routing else { return self.fail(job.target, &aborted(NO_VIEW)) };
        match transaction.node(routing) {
            Ok(node) => {
                let unit = self.units.insert(Unit::new(job.target, transaction.len()));
                // An entry of a slab that the hold and the links bound.
                let target = Target::unit(unit as UnitId);
                self.send_unit(node, &transaction.into_wire(), &Job { target, ..*job });
            }
            Err(text) => self.fail(job.target, &aborted(&text)),
        }
    }

    /// Puts a unit into the node's pipeline or, while there is no connection, into the hold.
    fn send_unit(&mut self, node: NodeIndex, wire: &[u8], job: &Job<'_>) {
        let id = self.link_to(node, job.protocol);
        let Some(link) = self.links.get(id) else { return self.fail(job.target, &aborted(NO_VIEW)) };
        if !link.up {
            return self.hold_for(id, wire, job, false);
        }
        self.push_unit(id, wire, Waiter { past: job.past, ..Waiter::new(job.target, job.since, job.class) });
        self.list_link(id);
        self.choke_if_full(id, job.target);
    }

    /// Puts a unit into the pipeline of a link that is up.
    pub(crate) fn push_unit(&mut self, id: LinkId, wire: &[u8], waiter: Waiter) {
        let Receiver::Unit(unit) = waiter.target.receiver() else { return };
        let Some(link) = self.links.get_mut(id) else { return self.fail(waiter.target, &aborted(NO_NODE)) };
        if !link.transactions {
            let text = aborted(&format!("node {} does not know MULTI", link.node));
            return self.fail(waiter.target, &text);
        }
        if let Some(unit) = self.units.get_mut(unit as usize) {
            unit.begin();
        }
        link.pipeline.push_unit(wire, waiter);
    }

    /// Takes a reply that is no single request's: one of a unit's.
    ///
    /// # Errors
    /// When nobody asked for it.
    #[cold]
    pub(crate) fn unit_reply(&mut self, id: LinkId, reply: &[u8]) -> Result<(), Failure> {
        let Some(waiter) = self.links[id].pipeline.unit_in_turn() else {
            return if self.upload_refused(id, reply) { Ok(()) } else { Err(unasked(reply)) };
        };
        let Receiver::Unit(unit) = waiter.target.receiver() else { return Err(unasked(reply)) };
        let Some(outcome) = self.units.get_mut(unit as usize).and_then(|unit| unit.take(reply)) else {
            return Ok(());
        };
        let took = self.now.saturating_duration_since(waiter.since);
        if took >= self.slow_from {
            self.note_slow(id, &waiter, took);
        }
        if self.links[id].pipeline.pop_unit().is_none() {
            return Err(unasked(reply));
        }
        let is_pinned = self.links[id].pin.is_some();
        self.release_if_drained(id);
        self.note_answer(id, &waiter, took, reply);
        match outcome {
            Outcome::Replied => self.deliver(waiter.target, reply),
            Outcome::Aborted(why) => self.fail(waiter.target, &aborted(&why)),
            Outcome::NotAtomic(why) => self.fail_not_atomic(id, waiter.target, &why),
        }
        if is_pinned {
            self.pinned_answered(id);
        }
        Ok(())
    }

    /// The node knew `MULTI` when the connection was made, and refuses it now: somebody has taken the right away.
    fn fail_not_atomic(&mut self, id: LinkId, target: Target, why: &str) {
        let link = &mut self.links[id];
        link.transactions = false;
        tracing::error!(node = %link.node, why, "a node refused MULTI and may have executed a transaction's commands one by one");
        let text = format!(
            "ERR node {} refused MULTI ({why}): the commands may have been executed one by one",
            link.node
        );
        self.fail(target, &text);
        if self.links[id].pin == Some(Pin::Released) {
            // It still watches.
            self.drop_pinned(id);
        }
    }

    /// Gives a unit's reply to whoever said `EXEC`.
    #[cold]
    pub(crate) fn deliver_unit(&mut self, unit: UnitId, reply: &[u8]) {
        if let Some(unit) = self.units.try_remove(unit as usize) {
            self.deliver(unit.target, reply);
        }
    }

    /// Sends a held unit where its keys live now.
    pub(crate) fn resend_unit(&mut self, wire: &[u8], job: &Job<'_>) {
        let Some(routing) = &self.routing else { return self.fail(job.target, &aborted(NO_VIEW)) };
        match unit::locate(wire, routing) {
            Ok(node) => self.send_unit(node, wire, job),
            Err(text) => self.fail(job.target, &aborted(&text)),
        }
    }
}

/// Why nothing of a transaction was executed, in the form that Redis gives it.
pub(crate) fn aborted(why: &str) -> String {
    format!("EXECABORT Transaction discarded because of: {why}")
}
