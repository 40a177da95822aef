//! What a new connection says to its node first. Requests go over it only when the node has answered, so that a node's
//! refusal is nobody's reply.
//!
//! Pure.

use commands::Class;
use resp::{Protocol, encode_request};

use crate::dispatch::Dispatcher;
use crate::link::LinkId;
use crate::link::failure::Failure;
use crate::link::pipeline::Waiter;
use crate::target::Target;

impl Dispatcher {
    /// A link is connected: the handshake goes first. It is up when the node has answered.
    pub(crate) fn link_connected(&mut self, id: LinkId) {
        let now = self.now;
        let handshake = self.handshake(id);
        let Some(link) = self.links.get_mut(id) else { return };
        link.heard = now;
        link.suspected = None;
        for request in handshake {
            link.pipeline.push(
                &request,
                Waiter { bound: true, ..Waiter::new(Target::HANDSHAKE, now, Class::Connection) },
            );
        }
        self.list_link(id);
    }

    /// Takes an answer to the handshake; after the last one the link is up.
    ///
    /// # Errors
    /// When the node refuses: too many clients, a wrong password, still loading.
    #[cold]
    pub(crate) fn handshake_reply(&mut self, id: LinkId, reply: &[u8]) -> Result<(), Failure> {
        let link = &mut self.links[id];
        match link.pipeline.len() {
            // `DISCARD`'s, which says no more than `MULTI`'s.
            0 => self.link_up(id),
            1 => link.transactions = reply == b"+OK\r\n",
            2 => link.client_id = number_in(reply),
            _ => {
                if let Some(error) = reply.strip_prefix(b"-") {
                    Failure::of_handshake(String::from_utf8_lossy(error).trim()).map_or(Ok(()), Err)?;
                }
            }
        }
        Ok(())
    }

    /// What a new connection says first: at least a PING, because a node that accepts may still refuse. Then, which of
    /// the node's clients it is, and whether the node knows transactions.
    fn handshake(&self, id: LinkId) -> Vec<Vec<u8>> {
        let encoded = |args: &[&[u8]]| {
            let mut wire = Vec::new();
            encode_request(&mut wire, args.iter().copied());
            wire
        };
        let auth = self.config.node_login.as_ref().map(|login| login.request().to_vec());
        let resp3 = self.links.get(id).is_some_and(|link| link.protocol == Protocol::Resp3);
        let greeting = if resp3 { encoded(&[b"HELLO", b"3"]) } else { encoded(&[b"PING"]) };
        let questions = [encoded(&[b"CLIENT", b"ID"]), encoded(&[b"MULTI"]), encoded(&[b"DISCARD"])];
        auth.into_iter().chain([greeting]).chain(questions).collect()
    }
}

/// The integer that a reply is, if it is one.
fn number_in(reply: &[u8]) -> Option<u64> {
    std::str::from_utf8(reply.strip_prefix(b":")?).ok()?.trim_end().parse().ok()
}
