//! How long the dead stay: the time between a key's deadline and the moment its memory is free again, when
//! nobody asks for it, among a million other keys that have a deadline too but are not due.
//!
//! DBSIZE tells how many keys are still there; it is asked for every few milliseconds. That the first to go
//! is the first that was due is assumed, which is the kindest reading. And no read may find a key after its
//! deadline, however long its memory stays: that is checked at the deadlines of some keys, to the
//! millisecond.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::load::send_all;
use super::server::{Node, Server};
use super::{declare as declare_rows, rounds, scenario, worst_of_rounds};
use crate::bench::Bench;
use crate::client::Client;
use crate::load::keys::{key, shown};
use crate::process::let_pass;
use crate::results::{Better, Metric, Results, Scenario};
use crate::rounds::{Round, Trouble, interleaved};

const LAG_P50: Metric = Metric { name: "lag p50", unit: "ms", better: Better::Lower };
/// Of all rounds: of worst cases there is no median.
const LAG_WORST: Metric = Metric { name: "lag worst", unit: "ms", better: Better::Lower };
const WORST_OF_A_ROUND: Metric = Metric { name: "lag worst of a round", unit: "ms", better: Better::Neither };
const LEFT: Metric = Metric { name: "left at the end", unit: "%", better: Better::Lower };
const METRICS: [Metric; 4] = [LAG_P50, LAG_WORST, WORST_OF_A_ROUND, LEFT];

/// Bytes: more than the keys take.
const MAXMEMORY: u64 = 4 << 30;
/// Seconds until the first of the other keys is due; they follow over as much time.
const LIFETIME: u64 = 3_600;
/// Keys whose end is watched.
const WATCHED: u64 = 10_000;
/// Milliseconds until the first of them is due: time to store all of them.
const AHEAD: u64 = 1_500;
/// Milliseconds over which their deadlines are spread evenly.
const SPREAD: u64 = 2_000;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);
/// Keys that are read at their deadline, and milliseconds between two of them.
const READ: u64 = 100;
const READ_APART: u64 = 10;

struct Size {
    others: u64,
    /// How long the watched keys are waited for after the last one was due.
    window: Duration,
}

impl Size {
    fn of(bench: &Bench) -> Self {
        if bench.quick {
            Self { others: 50_000, window: Duration::from_millis(1_500) }
        } else {
            Self { others: 1_000_000, window: Duration::from_secs(5) }
        }
    }
}

fn scenarios(size: &Size) -> [Scenario; 1] {
    let (others, seconds) = (size.others, size.window.as_secs_f64());
    [scenario("expiry", format!("{WATCHED} keys due among {others} others, watched for {seconds} s after"))]
}

pub(super) fn declare(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let size = Size::of(bench);
    declare_rows(bench, results, nodes, &scenarios(&size), &METRICS, rounds(bench));
}

pub(super) fn measure(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let size = Size::of(bench);
    let mut nodes = nodes.to_vec();
    for scenario in scenarios(&size) {
        interleaved(bench, results, &scenario, &mut nodes, rounds(bench), |node, number| {
            let server = node.start(bench, MAXMEMORY)?;
            round(&server, &size, number == 0).map_err(|trouble| server.explain(trouble))
        });
        worst_of_rounds(results, &scenario, &nodes, WORST_OF_A_ROUND, LAG_WORST);
    }
}

fn round(server: &Server, size: &Size, reads: bool) -> Result<Round, Trouble> {
    let mut client = server.client()?;
    send_all(&mut client, size.others, |number, client| {
        let seconds = (LIFETIME + number % LIFETIME).to_string();
        client.queue(&[b"SET", key("key", number).as_bytes(), b"v", b"EX", seconds.as_bytes()]);
    })?;
    // Once is enough: it is right or wrong, and no figure.
    if reads {
        read_at_deadlines(&mut client)?;
    }
    let lags = watch(&mut client, size)?;
    let round = Round::default()
        .with(LAG_P50, lags.at_share(0.5))
        .with(WORST_OF_A_ROUND, lags.at_share(1.0))
        .with(LEFT, 100.0 * lags.left as f64 / WATCHED as f64);
    let note = "at least: keys that were left at the end count as gone then";
    Ok(if lags.left > 0 { round.note(note) } else { round })
}

/// Milliseconds since 1970, the clock of `PXAT`; server and harness read the same one.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

/// Stores `count` keys that are due one after the other, the first at `first`.
fn store_due(client: &mut Client, prefix: &str, count: u64, due: impl Fn(u64) -> u64) -> Result<(), Trouble> {
    send_all(client, count, |number, client| {
        let due = due(number).to_string();
        client.queue(&[b"SET", key(prefix, number).as_bytes(), b"v", b"PXAT", due.as_bytes()]);
    })?;
    Ok(())
}

/// A key that was there before its deadline must not be found after it.
fn read_at_deadlines(client: &mut Client) -> Result<(), Trouble> {
    let first = now() + AHEAD;
    let due = |number| first + number * READ_APART;
    store_due(client, "read", READ, due)?;
    for number in 0..READ {
        let name = key("read", number);
        let before = client.ask(&[b"GET", name.as_bytes()])?.to_vec();
        // The answer is older than this look at the clock: it only counts when the deadline was still ahead.
        if now() < due(number) && before != b"$1\r\nv\r\n" {
            return Err(Trouble::Wrong(format!("GET before the deadline gave {}", shown(&before))));
        }
        // At the deadline itself Redis still has the key; a millisecond later nobody may.
        while now() <= due(number) {
            let_pass(Duration::from_millis(due(number) + 1 - now().min(due(number))));
        }
        let after = client.ask(&[b"GET", name.as_bytes()])?;
        if after != b"$-1\r\n" {
            return Err(Trouble::Wrong(format!("GET after the deadline gave {}", shown(after))));
        }
    }
    Ok(())
}

fn watch(client: &mut Client, size: &Size) -> Result<Lags, Trouble> {
    let first = now() + AHEAD;
    let due = |number| first + number * SPREAD / WATCHED;
    store_due(client, "due", WATCHED, due)?;
    if now() > first {
        return Err(Trouble::Failed(format!("{WATCHED} keys took longer than {AHEAD} ms to store")));
    }
    let end = due(WATCHED) + size.window.as_millis() as u64;
    let mut lags = Lags::default();
    while lags.gone() < WATCHED && now() < end {
        let left = Server::keys(client)?.saturating_sub(size.others);
        lags.note(WATCHED - left.min(WATCHED), now(), due);
        let_pass(LOOK);
    }
    Ok(lags.end(now(), due))
}

/// How long after their deadlines keys went, in the order of the deadlines; milliseconds.
#[derive(Debug, Default, PartialEq)]
struct Lags {
    lags: Vec<u64>,
    /// Of the last of them, those that had not gone.
    left: u64,
}

impl Lags {
    fn gone(&self) -> u64 {
        self.lags.len() as u64
    }

    /// At `now`, `gone` keys had gone.
    fn note(&mut self, gone: u64, now: u64, due: impl Fn(u64) -> u64) {
        self.lags.extend((self.gone()..gone).map(|number| now.saturating_sub(due(number))));
    }

    /// Nobody looks any more.
    fn end(mut self, now: u64, due: impl Fn(u64) -> u64) -> Self {
        self.left = WATCHED - self.gone();
        self.note(WATCHED, now, due);
        self.lags.sort_unstable();
        self
    }

    /// The lag that this share of the keys did not exceed.
    fn at_share(&self, share: f64) -> f64 {
        let place = (share * self.lags.len() as f64).ceil() as usize;
        self.lags.get(place.saturating_sub(1)).map_or(0.0, |lag| *lag as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_count_from_each_deadline() {
        let due = |number: u64| 1_000 + number;
        let mut lags = Lags::default();
        lags.note(2, 1_011, due);
        lags.note(2, 1_500, due);
        assert_eq!(lags.lags, [11, 10]);
        let lags = lags.end(20_000, due);
        assert_eq!((lags.lags.len() as u64, lags.left), (WATCHED, WATCHED - 2));
        assert_eq!(lags.at_share(0.0), 10.0);
        assert_eq!(lags.at_share(1.0), 18_998.0);
    }
}
