//! A client that is not in the ordinary state: it has not given its password, or it is in a transaction.
//!
//! Ordinary requests pay one look at one flag for all of these; everything else about them is here.

use commands::{Command, Flags};
use resp::{Protocol, Request};

use crate::dispatch::Dispatcher;
use crate::target::{ClientId, Target};

impl Dispatcher {
    /// Whether the request of a client in a special state goes on its ordinary way; if not, it is dealt with.
    #[cold]
    pub(crate) fn admits(&mut self, id: ClientId, target: Target, request: &Request<'_>) -> bool {
        let Some(client) = self.client(id) else { return false };
        let (authenticated, refused) = (client.authenticated, client.in_refused_transaction);
        let subscribed = client.subscribed && client.protocol == Protocol::Resp2;
        if refused {
            self.refuse_transaction(id, target, request);
            return false;
        }
        // What nobody knows is refused as such.
        let Some(command) = commands::lookup(request.arg(0)) else { return true };
        if !authenticated && !is_open_to_all(command) {
            self.fail(target, "NOAUTH Authentication required.");
            return false;
        }
        !subscribed || self.admits_of_subscriber(target, command, request)
    }

    /// Makes a client as new as when it connected.
    pub(crate) fn reset(&mut self, id: ClientId) {
        let authenticated = self.config.password.is_none();
        self.forget_subscriptions(id);
        if let Some(client) = self.client(id) {
            client.switch_to(Protocol::Resp2);
            client.name.clear();
            client.authenticated = authenticated;
            client.note_standing();
        }
    }
}

/// Whether a client that has not given its password may send it. `PING` is, other than in Redis: load
/// balancers and the health service ask it, and its answer tells no secret.
fn is_open_to_all(command: &Command) -> bool {
    command.flags.contains(Flags::NO_AUTH) || command.name == "ping"
}
