//! Answers with an error: what a request cannot have, in Redis' words where Redis has any.

use commands::Command;
use resp::{Encoder, Protocol, ProtocolError, Request};

use crate::dispatch::{Dispatcher, Job};
use crate::link::failure::Failure;
use crate::plan::refusal::{Refusal, unknown_command};
use crate::target::{ClientId, Receiver, Target};

/// Before the first view. `LOADING` is what clients already know to wait for.
pub(crate) const NO_VIEW: &str = "LOADING the proxy has no view of the cluster yet";

/// The view names no routable node.
pub(crate) const NO_NODE: &str = "UNAVAILABLE no node of the cluster is in service";

/// What a client may have in replies not taken bounds what is gathered for it, too.
pub(crate) const GATHERED_TOO_LARGE: &str = "ERR the replies of the nodes together are larger than client-output-buffer-limit; ask for fewer keys at a time";

impl Dispatcher {
    /// Answers with an error.
    #[cold]
    pub(crate) fn fail(&mut self, target: Target, text: &str) {
        self.note_error(target, text.as_bytes());
        let mut reply = self.spare.take();
        Encoder::new(&mut reply, Protocol::Resp2).error(text);
        self.deliver(target, &reply);
        self.spare.put(reply);
    }

    /// Counts an error reply that the proxy made, once for the client that gets it: a request over many nodes may have
    /// failed in many parts, and a client may be gone.
    #[cold]
    pub(crate) fn note_error(&mut self, target: Target, text: &[u8]) {
        match target.receiver() {
            Receiver::Part(gather, _) => {
                if let Some(gather) = self.gathers.get_mut(gather as usize) {
                    gather.failed_here = true;
                }
            }
            _ if self.client_behind(target).is_some_and(|id| self.client(id).is_some()) => {
                self.stats.errors += 1;
                self.published.traffic.own_errors.add(text);
            }
            _ => {}
        }
    }

    /// Counts an error reply to a command that the proxy answers itself. Client libraries try newer subcommands of
    /// `CLIENT` whenever they connect, and go on without them: that is nobody's error.
    #[cold]
    pub(crate) fn note_local_error(&mut self, command: &Command, job: &Job<'_>, reply: &[u8]) {
        let is_known = job.request.get(1).is_none_or(|given| command.subcommand(given).is_some());
        if command.name != "client" || is_known {
            self.note_error(job.target, reply);
        }
    }

    /// Answers with the reason why a request is not served.
    #[cold]
    pub(crate) fn refuse(&mut self, target: Target, refusal: &Refusal) {
        if let (Refusal::Exec, Receiver::Client(id, _)) = (refusal, target.receiver()) {
            self.end_transaction(id);
            self.end_watch(id);
        }
        self.fail(target, &refusal.to_string());
    }

    /// Answers a command that nobody knows. The first line or a header of an HTTP request is no command: a
    /// web page tries to make a browser send commands in the body, so nothing more is read.
    #[cold]
    pub(crate) fn refuse_unknown(&mut self, id: ClientId, target: Target, request: &Request<'_>) {
        if [&b"POST"[..], b"Host:"].iter().any(|word| request.arg(0).eq_ignore_ascii_case(word))
            && let Some(client) = self.client(id)
        {
            tracing::warn!(peer = %client.peer, "closing a client that speaks HTTP");
            client.closing = true;
        }
        self.fail(target, &unknown_command(request));
    }

    /// Ends a client that broke the protocol: it gets the replies it is owed, the error, and the end.
    pub(crate) fn refuse_client(&mut self, id: ClientId, error: &ProtocolError) {
        let Some(client) = self.client(id) else { return };
        client.closing = true;
        let target = Target::client(id, client.expect());
        self.fail(target, &format!("ERR {error}"));
    }
}

/// Keys that should live together and do not.
pub(crate) fn crossslot(a: &[u8], b: &[u8]) -> String {
    /// Enough to recognise a key by.
    const SHOWN: usize = 64;
    let shown = |key: &[u8]| String::from_utf8_lossy(&key[..key.len().min(SHOWN)]).into_owned();
    format!(
        "CROSSSLOT Keys in request don't live on the same node: '{}' and '{}'; give them a common {{tag}}",
        shown(a),
        shown(b)
    )
}

/// A node that answers more than it was asked is out of step.
#[cold]
pub(crate) fn unasked(reply: &[u8]) -> Failure {
    /// Enough to recognise a `-ERR max number of clients reached` by.
    const SHOWN: usize = 80;
    let shown = String::from_utf8_lossy(&reply[..reply.len().min(SHOWN)]);
    Failure::Protocol(format!("the node said what nobody asked for: {}", shown.trim()))
}
