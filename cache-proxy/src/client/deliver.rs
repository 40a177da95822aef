//! Where a node's reply goes: to the first who waits on its link, and from there to a client's place in line, into a
//! gather, or to whoever of the proxy itself has asked.
//!
//! What is counted of replies is counted here. Pure.

use std::time::Duration;

use commands::Class;
use resp::{Encoder, Protocol};

use crate::dispatch::Dispatcher;
use crate::link::LinkId;
use crate::link::failure::Failure;
use crate::link::pipeline::{Past, Waiter};
use crate::plan::scripts::unknown_script_command;
use crate::target::{Receiver, Target};

impl Dispatcher {
    /// Takes the next reply of a link.
    ///
    /// # Errors
    /// When the connection is out of step or refused its handshake, and must be given up.
    #[inline]
    pub(crate) fn reply(&mut self, link: LinkId, reply: &[u8]) -> Result<(), Failure> {
        if reply.first() == Some(&b'>') && !self.take_push(link, reply) {
            return Ok(());
        }
        self.answer(link, reply)
    }

    /// Gives the first waiter of a link its reply, or the rest of it.
    ///
    /// # Errors
    /// As [`Self::reply`].
    #[inline]
    pub(crate) fn answer(&mut self, link: LinkId, reply: &[u8]) -> Result<(), Failure> {
        let Some(entry) = self.links.get_mut(link) else { return Ok(()) };
        entry.heard = self.now;
        let Some(waiter) = entry.pipeline.due() else { return self.unit_reply(link, reply) };
        let took = self.now.saturating_duration_since(waiter.since);
        if took >= self.slow_from {
            self.note_slow(link, &waiter, took);
        }
        let entry = &mut self.links[link];
        entry.pipeline.pop();
        let is_pinned = entry.pin.is_some();
        self.release_if_drained(link);
        if waiter.target == Target::HANDSHAKE {
            return self.handshake_reply(link, reply);
        }
        if self.note_answer(link, &waiter, took, reply) {
            self.deliver_error(link, &waiter, reply);
        } else {
            self.deliver(waiter.target, reply);
        }
        if is_pinned {
            self.pinned_answered(link);
        }
        Ok(())
    }

    /// Counts a node's answer to a client. `true`: it is an error.
    #[inline]
    pub(crate) fn note_answer(&self, link: LinkId, waiter: &Waiter, took: Duration, reply: &[u8]) -> bool {
        let entry = &self.links[link];
        let class = self.published.traffic.class(waiter.class);
        // What was passed on in pieces took as long as its client liked, and its last one may look like an error.
        let is_whole = entry.download.is_none();
        let is_timed = is_whole && !entry.takes_upload();
        // A node is not blamed for the time before it could be asked.
        let is_nodes_time = waiter.class != Class::Blocking && waiter.past == Past::None;
        entry.traffic.answered(took, is_timed && is_nodes_time);
        if is_timed {
            class.durations.observe(took);
        }
        let is_error = reply.first() == Some(&b'-') && is_whole;
        if is_error {
            entry.traffic.errors.add(reply);
            class.errors.add(reply);
        }
        is_error
    }

    /// Gives a node's error to whoever waits for it, in the client's terms where it is about what the proxy has made
    /// of the request.
    #[cold]
    fn deliver_error(&mut self, link: LinkId, waiter: &Waiter, error: &[u8]) {
        let text =
            (waiter.class == Class::Scripting).then(|| unknown_script_command(&self.links[link].node, error));
        let Some(text) = text.flatten() else { return self.deliver(waiter.target, error) };
        let mut reply = self.spare.take();
        Encoder::new(&mut reply, Protocol::Resp2).error(&text);
        self.deliver(waiter.target, &reply);
        self.spare.put(reply);
    }

    /// Gives a reply to whoever waits for it.
    #[inline]
    pub(crate) fn deliver(&mut self, target: Target, reply: &[u8]) {
        match target.receiver() {
            Receiver::Client(id, place) => {
                let Some(client) = self.clients.get_mut(id.index as usize) else { return };
                if client.serial != id.serial {
                    return;
                }
                if client.backlog() > self.limits.close_at {
                    tracing::warn!(peer = %client.peer, backlog = client.backlog(), "closing a client that takes no replies");
                    client.closing = true;
                    client.killed = true;
                }
                if !client.killed {
                    client.fill(place, reply, &mut self.spare);
                }
                if !client.listed {
                    client.listed = true;
                    self.outbox.clients.push(id);
                }
                self.note_growth(reply.len());
            }
            Receiver::Part(gather, part) => self.deliver_part(gather, part, reply),
            Receiver::Unit(unit) => self.deliver_unit(unit, reply),
            // The handshake is taken care of in `reply`.
            Receiver::Handshake | Receiver::Nobody => {}
            Receiver::Subscription(token) => self.subscription_answered(token, reply),
            Receiver::Figures(round, place) => self.take_figures(round, place, reply),
        }
    }
}
