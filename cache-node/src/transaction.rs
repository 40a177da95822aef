//! What one client has begun: the commands queued since MULTI, and the keys it watches.
//!
//! The one idea: a transaction is one request that comes in pieces, so it is bounded as one request is, in bytes
//! and in number. It executes nothing and knows neither node nor keyspace.

use crate::engine::Watch;
use crate::failure::Failure;
use commands::{Command, Flags};
use resp::{Limits, Request, RequestQueue};
use std::collections::HashSet;

/// What a watched key costs beside its two copies: the entries of both lists, and what an allocator adds.
const WATCH_BYTES: usize = 128;

/// The state of a client between WATCH or MULTI and EXEC.
#[derive(Debug, Default)]
pub struct Transaction {
    queue: RequestQueue,
    /// Flags that any queued command has.
    flags: Flags,
    /// A command could not be queued: EXEC will do nothing.
    broken: bool,
    watches: HashSet<Watch>,
    watch_bytes: usize,
}

impl Transaction {
    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        self.queue.bytes() + self.watch_bytes
    }

    /// The queued requests.
    pub fn queued(&self) -> &RequestQueue {
        &self.queue
    }

    /// True when a queued command may need more memory.
    pub fn needs_room(&self) -> bool {
        self.flags.contains(Flags::DENYOOM)
    }

    /// Notes that a command could not be queued.
    pub fn mark_broken(&mut self) {
        self.broken = true;
    }

    /// True when EXEC has to refuse.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Queues a command; everything together may be `most` bytes.
    pub fn queue(&mut self, command: &Command, request: &Request<'_>, most: usize) -> Result<(), Failure> {
        if self.queue.len() >= Limits::DEFAULT.max_args {
            return Err(Failure::TransactionTooLarge);
        }
        self.must_fit(RequestQueue::bytes_of(request), most)?;
        self.queue.push(request);
        self.flags = self.flags.with(command.flags);
        Ok(())
    }

    /// True when a key is watched already: what it is watched for then holds.
    pub fn is_watching(&self, key: &[u8]) -> bool {
        self.watches.contains(key)
    }

    /// Fails unless `keys` may be watched too.
    pub fn must_fit_keys<'a>(
        &self,
        keys: impl Iterator<Item = &'a [u8]>,
        most: usize,
    ) -> Result<(), Failure> {
        self.must_fit(keys.filter(|key| !self.is_watching(key)).map(watch_bytes).sum(), most)
    }

    /// Adds a watched key.
    pub fn watch(&mut self, watch: Watch) {
        self.watch_bytes += watch_bytes(watch.key());
        self.watches.insert(watch);
    }

    /// The watched keys.
    pub fn watches(&self) -> impl Iterator<Item = &Watch> {
        self.watches.iter()
    }

    /// Takes the watched keys out.
    pub fn take_watches(&mut self) -> HashSet<Watch> {
        self.watch_bytes = 0;
        std::mem::take(&mut self.watches)
    }

    fn must_fit(&self, more: usize, most: usize) -> Result<(), Failure> {
        if self.bytes().saturating_add(more) > most {
            return Err(Failure::TransactionTooLarge);
        }
        Ok(())
    }
}

fn watch_bytes(key: &[u8]) -> usize {
    2 * key.len() + WATCH_BYTES
}

/// True for the commands that are executed, not queued, between MULTI and EXEC.
pub fn runs_at_once(command: &Command) -> bool {
    matches!(command.name, "multi" | "exec" | "discard" | "watch" | "quit" | "reset")
}

#[cfg(test)]
mod tests {
    use super::Transaction;
    use crate::failure::Failure;
    use resp::{Limits, RequestScanner};

    fn queue(transaction: &mut Transaction, wire: &str, most: usize) -> Result<(), Failure> {
        let mut scanner = RequestScanner::new(Limits::default());
        scanner.scan(wire.as_bytes()).unwrap().unwrap();
        let request = scanner.request(wire.as_bytes());
        let command = commands::lookup(request.arg(0)).unwrap();
        transaction.queue(command, &request, most)
    }

    #[test]
    fn it_knows_whether_any_command_may_need_memory() {
        let mut transaction = Transaction::default();
        queue(&mut transaction, "GET k\r\n", 1_000).unwrap();
        assert!(!transaction.needs_room());
        queue(&mut transaction, "SET k v\r\n", 1_000).unwrap();
        queue(&mut transaction, "GET k\r\n", 1_000).unwrap();
        assert!(transaction.needs_room());
    }

    #[test]
    fn what_it_holds_is_bounded() {
        let mut transaction = Transaction::default();
        let most = 200;
        let taken = (0..100).take_while(|_| queue(&mut transaction, "PING\r\n", most).is_ok()).count();
        assert_eq!(taken, transaction.queued().len());
        assert!((1..100).contains(&taken) && transaction.bytes() <= most);
        assert_eq!(queue(&mut transaction, "PING\r\n", most), Err(Failure::TransactionTooLarge));
        assert!(transaction.must_fit_keys([b"k".as_slice()].into_iter(), most).is_err());
    }
}
