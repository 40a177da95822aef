//! What became of each write: which nodes executed it, and what its client was told.
//!
//! The rules that make a retry harmless. A write counts once: a node executes it a second time only after it has lost the
//! key, and with it what the first time did. And the answer is true and final: what "was not executed" was nowhere
//! executed, and nothing is executed after its client was answered.

use std::collections::{BTreeMap, HashSet};

/// Tells one write from all others.
pub(super) type WriteId = u32;

/// All writes of a run.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    writes: BTreeMap<WriteId, Write>,
}

#[derive(Debug)]
struct Write {
    key: String,
    /// The nodes whose data it is in.
    counts_on: HashSet<String>,
    /// Some node has executed it, whatever became of that one's data.
    executed: bool,
    answered: bool,
}

/// What an answer says about the writes of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Done,
    /// Nothing of it is in the cluster's data.
    NotDone,
    /// Nothing of it was ever executed.
    NeverExecuted,
    PerhapsDone,
}

impl Ledger {
    /// A new write to a key with this tag: its id, and the key.
    pub(super) fn begin(&mut self, tag: &str) -> (WriteId, String) {
        let id = u32::try_from(self.writes.len()).unwrap();
        let key = format!("{{{tag}}}w{id}");
        let write = Write { key: key.clone(), counts_on: HashSet::new(), executed: false, answered: false };
        self.writes.insert(id, write);
        (id, key)
    }

    /// A node executes the write to this key; returns its id. What one does that does not serve the key is discarded.
    pub(super) fn execute(&mut self, key: &str, node: &str, serves: bool) -> WriteId {
        let (_, id) = key.rsplit_once('w').unwrap();
        let id = id.parse().unwrap();
        let write = self.writes.get_mut(&id).unwrap();
        assert!(!write.answered, "{key} is executed on {node} after its client was answered");
        write.executed = true;
        let is_first = !serves || write.counts_on.insert(node.to_owned());
        assert!(is_first, "{key} is executed on {node} twice");
        id
    }

    /// There is a new view: what nodes have of keys that others serve now is discarded.
    pub(super) fn note_view(&mut self, serves: impl Fn(&str, &str) -> bool) {
        for write in self.writes.values_mut() {
            write.counts_on.retain(|node| serves(node, &write.key));
        }
    }

    /// The client of a write has read its answer.
    pub(super) fn answer(&mut self, id: WriteId, said: Said) {
        let write = self.writes.get_mut(&id).unwrap();
        assert!(!std::mem::replace(&mut write.answered, true));
        let is_true = match said {
            Said::Done => write.executed,
            Said::NotDone => write.counts_on.is_empty(),
            Said::NeverExecuted => !write.executed,
            Said::PerhapsDone => true,
        };
        assert!(is_true, "the answer to {write:?} is {said:?}");
    }
}
