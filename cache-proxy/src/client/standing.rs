//! A client that is not in the ordinary state: it has not given its password, it is in a transaction, it listens to
//! channels, or it wants no replies.
//!
//! Ordinary requests pay one look at one flag for all of these; everything else about them is here.

use commands::{Command, Flags};
use resp::{Protocol, Request};

use crate::client::Wants;
use crate::dispatch::Dispatcher;
use crate::target::{ClientId, Target};

impl Dispatcher {
    /// Whether the request of a client in a special state goes on its ordinary way; if not, it is dealt with.
    #[cold]
    pub(crate) fn admits(&mut self, id: ClientId, target: Target, request: &Request<'_>) -> bool {
        let Some(client) = self.client(id) else { return false };
        client.mute_as_wanted();
        let Some(command) = commands::lookup(request.arg(0)) else {
            // What nobody knows is refused as such.
            client.abort_transaction();
            return true;
        };
        if !client.authenticated && !is_open_to_all(command) {
            self.fail(target, "NOAUTH Authentication required.");
            return false;
        }
        if client.subscribed
            && client.protocol == Protocol::Resp2
            && !self.admits_of_subscriber(target, command, request)
        {
            return false;
        }
        let in_transaction = self.client(id).is_some_and(|client| client.transaction.is_some());
        !in_transaction || !self.joins_transaction(id, target, command, request)
    }

    /// Queues the command of a client that is in a transaction, unless it is one of those that are carried out at
    /// once; whether that is all.
    fn joins_transaction(
        &mut self,
        id: ClientId,
        target: Target,
        command: &'static Command,
        request: &Request<'_>,
    ) -> bool {
        let fits = command.arity_fits(request.len());
        match command.name {
            "multi" | "exec" | "discard" | "watch" | "quit" | "reset" => {
                if let Some(client) = self.client(id).filter(|_| !fits) {
                    client.abort_transaction();
                }
                false
            }
            _ => {
                self.queue(id, target, command, request);
                true
            }
        }
    }

    /// Makes a client as new as when it connected.
    pub(crate) fn reset(&mut self, id: ClientId) {
        let authenticated = self.config.password.is_none();
        self.forget_subscriptions(id);
        self.end_watch(id);
        if let Some(client) = self.client(id) {
            client.switch_to(Protocol::Resp2);
            client.name.clear();
            client.authenticated = authenticated;
            client.set_transaction(None);
            client.want(Wants::Replies);
            client.mute(false);
        }
    }
}

/// Whether a client that has not given its password may send it. `PING` is, other than in Redis: load
/// balancers and the health service ask it, and its answer tells no secret.
fn is_open_to_all(command: &Command) -> bool {
    command.flags.contains(Flags::NO_AUTH) || command.name == "ping"
}
