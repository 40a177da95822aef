//! How a node serves clients that wait: with the members that a command has brought, when their time is up, or
//! because somebody said so.
//!
//! Who waits is answered in the same moment in which the members come, before any other command is executed: so
//! nobody else can take them. Within a transaction that moment is its end.

use crate::client::{Client, ClientId, Ending, Patience};
use crate::execute::end_cut_off;
use crate::node::Node;
use crate::waiting::Wait;
use resp::{Encoder, Protocol};

impl Node {
    /// Lets a client wait: it executes nothing until it is answered.
    pub fn wait(&mut self, client: &Client, wait: Wait) {
        client.patience.set(Patience::Waiting);
        self.note_waiting(client, wait.bytes());
        self.waiting.join(client.id, wait);
    }

    /// Notes that there may be a sorted set under `key` now.
    pub fn note_members(&mut self, key: &[u8], now: u64) {
        if self.waiting.is_empty() {
            return;
        }
        if self.in_transaction {
            self.with_members.push(key.into());
        } else {
            self.serve(key, now);
        }
    }

    /// True while queued commands are executed: nobody may wait.
    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Begins a transaction: who waits is served at its end.
    pub fn begin_transaction(&mut self) {
        self.in_transaction = true;
    }

    /// Serves those who wait for what a transaction has brought.
    pub fn serve_after_transaction(&mut self, now: u64) {
        self.in_transaction = false;
        for key in std::mem::take(&mut self.with_members) {
            self.serve(&key, now);
        }
    }

    /// Gives the members under `key` to those who stand in line for it.
    fn serve(&mut self, key: &[u8], now: u64) {
        while let Some((id, pop)) = self.waiting.first(key) {
            // Who was ended is gone, even before its connection notices.
            let Some(client) = self.clients.get(&id).filter(|client| client.ending() != Ending::Now) else {
                self.waiting.leave(id);
                continue;
            };
            let mut answer = Vec::new();
            let protocol = client.protocol.get();
            let mut reply = Encoder::with_limit(&mut answer, protocol, self.config.max_reply_len);
            if !matches!(pop.take(&mut self.engine, key, &mut reply, now), Ok(true)) {
                // Something else is there, or nothing any more.
                return;
            }
            if reply.exceeded() {
                end_cut_off(client, client.last_command.get());
                self.waiting.leave(id);
                continue;
            }
            self.answer(id, answer);
        }
    }

    /// Answers those whose time is up.
    pub fn end_waits(&mut self, now: u64) {
        while let Some(id) = self.waiting.overdue(now) {
            self.answer_nothing(id);
        }
    }

    /// Ends the waiting of a client as if its time were up; false when it does not wait.
    pub fn answer_nothing(&mut self, id: ClientId) -> bool {
        let protocol = self.clients.get(&id).map_or(Protocol::Resp2, |client| client.protocol.get());
        let mut answer = Vec::new();
        Encoder::new(&mut answer, protocol).null_array();
        self.answer(id, answer)
    }

    /// Ends the waiting of a client with an error; false when it does not wait.
    pub fn answer_error(&mut self, id: ClientId, text: &str) -> bool {
        let mut answer = Vec::new();
        Encoder::new(&mut answer, Protocol::Resp2).error(text);
        self.answer(id, answer)
    }

    fn answer(&mut self, id: ClientId, answer: Vec<u8>) -> bool {
        if self.waiting.leave(id).is_none() {
            return false;
        }
        if let Some(client) = self.clients.get(&id).cloned() {
            self.stats.bytes_out += answer.len() as u64;
            self.note_waiting(&client, 0);
            client.answer(answer);
        }
        true
    }
}
