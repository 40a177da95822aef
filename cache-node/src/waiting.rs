//! The clients that wait for a sorted set to have members: who, for which keys, until when.
//!
//! The one idea: for each key its waiters stand in line by the ticket they drew when they came, so the first to
//! come is the first to be served, and leaving a line costs no look at the others. It takes nothing out of a set
//! and answers nobody; `serving` does.

use crate::client::ClientId;
use crate::pop::Pop;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a waiter costs for each key beside its two copies: a line is a tree, whose first node alone takes 200 bytes,
/// in a table that is up to half empty; and there is what an allocator adds.
const KEY_BYTES: usize = 384;

/// What one client waits for.
#[derive(Debug)]
pub struct Wait {
    /// The keys, in the order of the request.
    pub keys: Vec<Box<[u8]>>,
    /// What it takes from the first that has members.
    pub pop: Pop,
    /// When it gives up, Unix milliseconds; `None` is never.
    pub deadline: Option<u64>,
}

impl Wait {
    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        self.keys.iter().map(|key| 2 * key.len() + KEY_BYTES).sum()
    }
}

/// All who wait.
#[derive(Debug, Default)]
pub struct Waiting {
    waits: HashMap<ClientId, (u64, Wait)>,
    lines: HashMap<Box<[u8]>, BTreeMap<u64, ClientId>>,
    deadlines: BTreeSet<(u64, ClientId)>,
    tickets: u64,
}

impl Waiting {
    /// Number of clients that wait.
    pub fn len(&self) -> usize {
        self.waits.len()
    }

    /// True when nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    /// Puts a client into the lines of its keys.
    pub fn join(&mut self, client: ClientId, wait: Wait) {
        self.tickets += 1;
        for key in &wait.keys {
            self.lines.entry(key.clone()).or_default().insert(self.tickets, client);
        }
        self.deadlines.extend(wait.deadline.map(|deadline| (deadline, client)));
        self.waits.insert(client, (self.tickets, wait));
    }

    /// Takes a client out of all lines.
    pub fn leave(&mut self, client: ClientId) -> Option<Wait> {
        let (ticket, wait) = self.waits.remove(&client)?;
        for key in &wait.keys {
            if let Some(line) = self.lines.get_mut(key) {
                line.remove(&ticket);
                if line.is_empty() {
                    self.lines.remove(key);
                }
            }
        }
        if let Some(deadline) = wait.deadline {
            self.deadlines.remove(&(deadline, client));
        }
        Some(wait)
    }

    /// Who is first in line for a key, and what it takes.
    pub fn first(&self, key: &[u8]) -> Option<(ClientId, Pop)> {
        let client = *self.lines.get(key)?.first_key_value()?.1;
        Some((client, self.waits.get(&client)?.1.pop))
    }

    /// When somebody gives up next, Unix milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Somebody whose time is up.
    pub fn overdue(&self, now: u64) -> Option<ClientId> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, client)| *client)
    }
}

#[cfg(test)]
mod tests {
    use super::{Wait, Waiting};
    use crate::pop::Pop;

    fn wait(keys: &[&str], deadline: Option<u64>) -> Wait {
        let keys = keys.iter().map(|key| key.as_bytes().into()).collect();
        Wait { keys, pop: Pop { highest: false, count: None }, deadline }
    }

    #[test]
    fn the_first_to_come_is_the_first_in_line() {
        let mut waiting = Waiting::default();
        waiting.join(7, wait(&["a", "b", "a"], None));
        waiting.join(3, wait(&["b"], Some(50)));
        let first = |waiting: &Waiting, key: &str| waiting.first(key.as_bytes()).map(|(client, _)| client);
        assert_eq!(
            (first(&waiting, "a"), first(&waiting, "b"), first(&waiting, "c")),
            (Some(7), Some(7), None)
        );
        assert!(waiting.leave(7).is_some() && waiting.leave(7).is_none());
        assert_eq!((first(&waiting, "a"), first(&waiting, "b"), waiting.len()), (None, Some(3), 1));
    }

    #[test]
    fn who_is_overdue_is_known_until_it_leaves() {
        let mut waiting = Waiting::default();
        waiting.join(1, wait(&["a"], Some(50)));
        waiting.join(2, wait(&["a"], Some(20)));
        waiting.join(3, wait(&["a"], None));
        assert_eq!(
            (waiting.next_deadline(), waiting.overdue(19), waiting.overdue(20)),
            (Some(20), None, Some(2))
        );
        waiting.leave(2);
        assert_eq!((waiting.overdue(49), waiting.overdue(50)), (None, Some(1)));
        waiting.leave(1);
        waiting.leave(3);
        assert!(waiting.is_empty() && waiting.lines.is_empty() && waiting.next_deadline().is_none());
    }
}
