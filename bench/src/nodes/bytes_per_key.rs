//! What a key costs in memory: as the server counts it (`used_memory`, which `maxmemory` limits), and as the
//! kernel does (resident memory, which the machine must have).
//!
//! A fresh server for every row; its memory before it held anything is taken off. The rounds hold different
//! numbers of keys: structures that double are half empty after it and full before the next time, and a user
//! may have any number. So the range of a row is that of the fill of the tables, not that of chance; its note
//! says so.

use std::io;

use super::load::send_all;
use super::server::{Node, Server};
use super::{declare as declare_rows, scenario};
use crate::bench::Bench;
use crate::client::Client;
use crate::load::{key, value};
use crate::results::{Better, Metric, Results, Scenario};
use crate::rounds::{Round, Trouble, interleaved};

const GROUP: &str = "bytes per key";
const USED: Metric = Metric { name: "used_memory", unit: "B/key", better: Better::Lower };
const RESIDENT: Metric = Metric { name: "resident", unit: "B/key", better: Better::Lower };

/// Keys of each round. 2^18 and 2^19 are where tables of powers of two grow: just above the one, between,
/// just below the other.
const KEYS: [u64; 3] = [300_000, 400_000, 500_000];
/// Only to see that it works.
const QUICK_KEYS: [u64; 1] = [50_000];
/// More than any of them takes.
const MAXMEMORY: u64 = 4 << 30;
/// Members of a small sorted set: fits the packed form, which all of them have for up to 128.
const SMALL_SET: u64 = 100;
/// Seconds until the first key with a deadline expires; the others follow over as much time. None does
/// meanwhile.
const LIFETIME: u64 = 3_600;

/// What a server is filled with.
#[derive(Debug, Clone, Copy)]
enum Content {
    Strings(usize),
    WithDeadline(usize),
    LargeSortedSet,
    SmallSortedSets,
}

const CONTENTS: [(Content, &str); 6] = [
    (Content::Strings(16), "16 B + 16 B"),
    (Content::Strings(64), "16 B + 64 B"),
    (Content::Strings(256), "16 B + 256 B"),
    (Content::WithDeadline(16), "16 B + 16 B with a TTL"),
    (Content::LargeSortedSet, "member of 16 B in one large sorted set"),
    (Content::SmallSortedSets, "member of 16 B in sorted sets of 100"),
];

impl Content {
    /// Queues what stores the key, or member, of this number.
    fn queue(self, number: u64, client: &mut Client) {
        let name = key("key", number);
        let (name, score) = (name.as_bytes(), number.to_string());
        match self {
            Self::Strings(size) => client.queue(&[b"SET", name, &value(number, size)]),
            Self::WithDeadline(size) => {
                let seconds = (LIFETIME + number % LIFETIME).to_string();
                client.queue(&[b"SET", name, &value(number, size), b"EX", seconds.as_bytes()]);
            }
            Self::LargeSortedSet => client.queue(&[b"ZADD", b"set", score.as_bytes(), name]),
            Self::SmallSortedSets => {
                let set = key("set", number / SMALL_SET);
                client.queue(&[b"ZADD", set.as_bytes(), score.as_bytes(), name]);
            }
        }
    }

    /// How many keys `count` of these make.
    fn keys(self, count: u64) -> u64 {
        match self {
            Self::Strings(_) | Self::WithDeadline(_) => count,
            Self::LargeSortedSet => 1,
            Self::SmallSortedSets => count.div_ceil(SMALL_SET),
        }
    }
}

fn counts(bench: &Bench) -> &'static [u64] {
    if bench.quick { &QUICK_KEYS } else { &KEYS }
}

fn scenarios() -> [(Scenario, Content); 6] {
    CONTENTS.map(|(content, name)| (scenario(GROUP, name), content))
}

pub(super) fn declare(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let scenarios = scenarios().map(|(scenario, _)| scenario);
    declare_rows(bench, results, nodes, &scenarios, &[USED, RESIDENT], counts(bench).len());
}

pub(super) fn measure(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let mut nodes = nodes.to_vec();
    for (scenario, content) in scenarios() {
        let counts = counts(bench);
        interleaved(bench, results, &scenario, &mut nodes, counts.len(), |node, round| {
            let server = node.start(bench, MAXMEMORY)?;
            let weighed =
                weigh(&server, content, counts[round]).map_err(|trouble| server.explain(trouble))?;
            Ok(if node.is_ours() { weighed.note(note(counts)) } else { weighed })
        });
    }
}

fn note(counts: &[u64]) -> String {
    let counts: Vec<String> = counts.iter().map(u64::to_string).collect();
    format!("the range of every node is over numbers of keys: {}", counts.join(", "))
}

fn weigh(server: &Server, content: Content, count: u64) -> Result<Round, Trouble> {
    let weight = || -> anyhow::Result<(u64, u64)> {
        Ok((server.info("memory")?.number("used_memory")?, server.resident()?))
    };
    let before = weight()?;
    fill(server, content, count)?;
    let after = weight()?;
    let held = Server::keys(&mut server.client()?)?;
    if held != content.keys(count) {
        return Err(Trouble::Failed(format!("it holds {held} of {} keys", content.keys(count))));
    }
    let per_key = |after: u64, before: u64| after.saturating_sub(before) as f64 / count as f64;
    let round =
        Round::default().with(USED, per_key(after.0, before.0)).with(RESIDENT, per_key(after.1, before.1));
    // A build with another allocator takes other sizes.
    let info = server.info("memory")?;
    Ok(match info.text("mem_allocator") {
        Some("libc") => round.note("built with the C library's allocator"),
        _ => round,
    })
}

/// The connection is closed before the memory is looked at: its buffers are no data.
fn fill(server: &Server, content: Content, count: u64) -> io::Result<()> {
    send_all(&mut server.client()?, count, |number, client| content.queue(number, client))
}
