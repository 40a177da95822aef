//! What the servers hold while requests are measured, and the requests.
//!
//! All keys are filled before: a GET finds its key, a SET overwrites, an INCR counts on, a ZADD moves a
//! member. Sorted sets are large ones, the case in which their structure counts. What is read is never written,
//! so every reply to a read is known: the keys and the set of the reads are not those of the writes.

use std::io;

use super::load::send_all;
use super::server::{Node, Server};
use crate::bench::Bench;
use crate::client::Client;
use crate::load::{key, value};
use crate::rounds::{Subject, Trouble};

/// More than the data of any server takes: nothing is evicted while requests are measured.
const MAXMEMORY: u64 = 4 << 30;
/// Bytes of a value: the size the other suite uses as well.
pub(super) const VALUE: usize = 64;
/// The sorted set that ZRANGE reads: the member of number n has the score n, always.
pub(super) const READ_SET: &str = "scores";
/// The sorted set in which ZADD moves members about; at first the same as the other.
pub(super) const MOVED_SET: &str = "moved";
/// Kinds of strings: read, overwritten, counted.
const STRINGS: [&str; 3] = ["key", "set", "cnt"];

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Get,
    Set,
    Incr,
    Zadd,
    Zrange,
}

impl Command {
    /// All of them, in the order of the report.
    pub(super) const ALL: [Self; 5] = [Self::Get, Self::Set, Self::Incr, Self::Zadd, Self::Zrange];

    /// Its name in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Set => "SET",
            Self::Incr => "INCR",
            Self::Zadd => "ZADD",
            Self::Zrange => "ZRANGE of 10",
        }
    }

    /// As redis-benchmark takes it; it puts random numbers below the number of keys in place of
    /// `__rand_int__`.
    pub(super) fn words(self) -> Vec<String> {
        let line = match self {
            Self::Get => "GET key:__rand_int__".to_owned(),
            // Keys of its own: those of GET keep the values that can be checked.
            Self::Set => format!("SET set:__rand_int__ {}", "x".repeat(VALUE)),
            Self::Incr => "INCR cnt:__rand_int__".to_owned(),
            Self::Zadd => format!("ZADD {MOVED_SET} __rand_int__ mem:__rand_int__"),
            // A random place in the set, found by score, as leaderboards and time lines do.
            Self::Zrange => format!("ZRANGE {READ_SET} __rand_int__ +inf BYSCORE LIMIT 0 10"),
        };
        line.split(' ').map(str::to_owned).collect()
    }
}

/// Keys of each kind: more than fit into a processor's caches.
pub(super) fn keys(bench: &Bench) -> u64 {
    if bench.quick { 20_000 } else { 500_000 }
}

/// A node that holds the data, or why it does not.
pub(super) struct Filled {
    node: Node,
    server: Result<Server, String>,
}

impl Subject for Filled {
    fn name(&self) -> &str {
        self.node.name()
    }

    fn missing(&self) -> Option<&str> {
        self.node.missing()
    }
}

impl Filled {
    /// Starts the nodes that are there and fills them.
    pub(super) fn all(bench: &Bench, nodes: &[Node]) -> Vec<Self> {
        let filled = |node: &Node| {
            bench.progress.say(&format!("filling {}", node.name()));
            let server = node.start(bench, MAXMEMORY).map_err(|error| format!("{error:#}"));
            let server =
                server.and_then(|server| match server.client().and_then(|client| fill(client, bench)) {
                    Ok(()) => Ok(server),
                    Err(error) => Err(server.explain(error.into()).to_string()),
                });
            Self { node: node.clone(), server }
        };
        nodes.iter().map(filled).collect()
    }

    /// The server, if it runs.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn server(&self) -> Result<&Server, Trouble> {
        self.server.as_ref().map_err(|reason| Trouble::Failed(reason.clone()))
    }
}

/// Keys that a server has, with both sorted sets.
pub(super) fn all_keys(bench: &Bench) -> u64 {
    STRINGS.len() as u64 * keys(bench) + 2
}

fn fill(mut client: Client, bench: &Bench) -> io::Result<()> {
    let keys = keys(bench);
    for prefix in STRINGS {
        send_all(&mut client, keys, |number, client| {
            // Counters begin at 1.
            let content = if prefix == "cnt" { b"1".to_vec() } else { value(number, VALUE) };
            client.queue(&[b"SET", key(prefix, number).as_bytes(), &content]);
        })?;
    }
    for set in [READ_SET, MOVED_SET] {
        send_all(&mut client, keys, |number, client| {
            let (score, member) = (number.to_string(), key("mem", number));
            client.queue(&[b"ZADD", set.as_bytes(), score.as_bytes(), member.as_bytes()]);
        })?;
    }
    Ok(())
}
