//! The scripts that clients have loaded, so that every node has them.
//!
//! `SCRIPT LOAD` goes to all nodes, but a node that was away, or that restarted, comes back without them. So what
//! was loaded is kept here, and every new connection to a node begins with it: an `EVALSHA` that was held for the
//! node finds its script. A script is named by its content, so an old copy can never be a wrong one; that is not
//! so for libraries of functions, which are not kept.
//!
//! What another proxy was given, or a node by `EVAL` alone, this one does not know: a node that lacks it answers
//! `NOSCRIPT`, as any Redis does after a restart, and client libraries send the script again.
//!
//! Pure.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard, PoisonError};

use cluster::NodeId;
use commands::Class;
use resp::encode_request;

use crate::dispatch::Dispatcher;
use crate::link::LinkId;
use crate::link::pipeline::Waiter;
use crate::plan::gather::Gather;
use crate::plan::merge::Merge;
use crate::target::Target;

/// Most bytes of scripts kept. Applications have some dozens of some KB; and all of them are sent at the start of
/// every connection to a node.
const MOST_BYTES: usize = 1024 * 1024;

/// What keeping a script costs besides its body.
const ENTRY_BYTES: usize = 128;

/// Scripts by name, latest last.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    kept: VecDeque<Script>,
    bytes: usize,
}

#[derive(Debug)]
struct Script {
    /// The node's reply to `SCRIPT LOAD`: the name.
    name: Vec<u8>,
    body: Arc<[u8]>,
}

impl Scripts {
    /// Keeps a script, and forgets the oldest where there is no room. One for which there never is leaves the others.
    fn keep(&mut self, name: &[u8], body: &[u8]) {
        if body.len() + ENTRY_BYTES > MOST_BYTES {
            return;
        }
        if let Some(known) = self.kept.iter().position(|script| script.name == name) {
            if let Some(script) = self.kept.remove(known) {
                self.kept.push_back(script);
            }
            return;
        }
        self.bytes += body.len() + ENTRY_BYTES;
        self.kept.push_back(Script { name: name.to_vec(), body: body.into() });
        while self.bytes > MOST_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.body.len() + ENTRY_BYTES;
        }
    }

    fn bodies(&self) -> impl Iterator<Item = Arc<[u8]>> {
        self.kept.iter().map(|script| Arc::clone(&script.body))
    }
}

/// What decides the node of a script without keys that is run under `command`: its name, so that `EVALSHA` finds what
/// `EVAL` has left. `word` is the first argument.
pub(crate) fn name_of_script<'a>(command: Option<&str>, word: &'a [u8]) -> Cow<'a, [u8]> {
    match command {
        Some("EVAL_RO") => sha1_smol::Sha1::from(word).digest().to_string().into_bytes().into(),
        Some("EVALSHA_RO") => word.to_ascii_lowercase().into(),
        _ => word.into(),
    }
}

/// What to tell a client whose script without a key was sent under a name that the node does not know: the client may
/// never have heard of it.
pub(crate) fn unknown_script_command(node: &NodeId, error: &[u8]) -> Option<String> {
    // Redis before 7.0 quotes the name otherwise.
    let name = error.strip_prefix(b"-ERR ")?.strip_prefix(b"unknown command ")?.get(1..)?;
    let sent = ["EVAL", "EVALSHA", "FCALL"]
        .into_iter()
        .find(|sent| name.strip_prefix(sent.as_bytes()).is_some_and(|rest| rest.starts_with(b"_RO")))?;
    Some(format!(
        "ERR '{sent}' without keys is sent as {sent}_RO, which node {node} does not know; use stock Redis or Valkey nodes \
         of version 7.0 or later (FastCache's own nodes have no scripts)"
    ))
}

impl Dispatcher {
    fn scripts(&self) -> MutexGuard<'_, Scripts> {
        // Nothing under this lock can panic half-way.
        self.shared.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the script that all nodes have loaded now, or forgets those that they have forgotten.
    pub(crate) fn note_scripts(&self, gather: &Gather, reply: &[u8]) {
        match &gather.merge {
            Merge::Load(body) if reply.first() == Some(&b'$') => self.scripts().keep(reply, body),
            // What was being loaded when the nodes were asked to forget has been kept meanwhile.
            Merge::Flush => self.forget_scripts(),
            _ => {}
        }
    }

    pub(crate) fn forget_scripts(&self) {
        *self.scripts() = Scripts::default();
    }

    /// Gives a node that has just been connected to all scripts, over the link that is shared.
    pub(crate) fn provide_scripts(&mut self, id: LinkId) {
        if self.links.get(id).is_none_or(|link| link.pin.is_some()) {
            return;
        }
        let bodies: Vec<_> = self.scripts().bodies().collect();
        let now = self.now;
        let Some(link) = self.links.get_mut(id) else { return };
        let mut wire = Vec::new();
        for body in bodies {
            wire.clear();
            encode_request(&mut wire, [b"SCRIPT", &b"LOAD"[..], &body].into_iter());
            link.pipeline
                .push(&wire, Waiter { bound: true, ..Waiter::new(Target::NOBODY, now, Class::Scripting) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_the_same_is_kept_once() {
        let mut scripts = Scripts::default();
        let large = vec![b'x'; MOST_BYTES / 2 - ENTRY_BYTES];
        for name in [&b"a"[..], b"b", b"a", b"c"] {
            scripts.keep(name, &large);
        }
        let names: Vec<_> = scripts.kept.iter().map(|script| script.name.as_slice()).collect();
        assert_eq!((names, scripts.bytes), (vec![&b"a"[..], b"c"], MOST_BYTES));
        scripts.keep(b"d", &vec![b'x'; MOST_BYTES]);
        assert_eq!((scripts.bodies().count(), scripts.bytes), (2, MOST_BYTES), "it is not kept");
    }
}
