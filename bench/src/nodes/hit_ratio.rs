//! What the memory is worth: the share of requests that find their key in a cache that cannot hold all of
//! them.
//!
//! Read-through, as applications use a cache: GET, and SET when it was not there. Every node has the same
//! bytes for its data and gets the same stream of keys. So a node gains twice: by holding more keys in the
//! same bytes, and by keeping the right ones. No speed is measured, so the nodes run side by side, which also
//! gives them more time between requests: Redis and Valkey tell uses apart by the second.
//!
//! The bytes come on top of the `used_memory` of the empty server, up to a megabyte: beside the gigabytes of
//! a real cache that is nothing, beside the few here it would be the data of thousands of keys.
//!
//! Time is short nevertheless: a day of a cache is pressed into seconds. Redis at a sixth of the speed
//! reached 0.7 points more with zipf 0.8 and 1.5 less with scans: differences of that size are none. Whatever
//! forgets by the minute, as `allkeys-lfu` does, forgets nothing here.

use std::collections::VecDeque;
use std::thread;

use super::server::{Node, Server};
use super::{declare as declare_rows, scenario};
use crate::bench::Bench;
use crate::client::Client;
use crate::load::keys::shown;
use crate::load::{key, value};
use crate::results::{Better, Metric, Results, Scenario};
use crate::rounds::{Subject, Trouble};
use crate::workload::{Keys, Workload};

const HITS: Metric = Metric { name: "hit ratio", unit: "%", better: Better::Higher };
/// Bytes of a value: the middle of what large caches see. Larger ones make the price of a key matter less.
const VALUE: usize = 256;
/// Bytes that a key of 16 bytes with its value takes in the larger of the peers, Redis: with them a fifth of
/// the keys fits into it.
const PRICE: u64 = 408;
/// The share of the keys that fits.
const FITS: u64 = 5;
/// Requests per key of the workload; those of the first [`WARM_UP`] are not counted.
const REQUESTS: u64 = 5;
/// Requests per key until every cache is full: four in ten of a flat workload miss.
const WARM_UP: u64 = 1;
/// The policy that needs no mention.
const USUAL_POLICY: &str = "allkeys-lru";
/// `maxmemory` until the limit is known.
const UNLIMITED: u64 = 0;
/// GETs under way: keys asked for twice within a batch miss twice, so it is short against the cache.
const BATCH: usize = 64;

/// A hit ratio in percent and the policy that gave it.
type Outcome = Result<(f64, String), Trouble>;

struct Size {
    keys: u64,
    rounds: u64,
}

impl Size {
    fn of(bench: &Bench) -> Self {
        if bench.quick { Self { keys: 20_000, rounds: 1 } } else { Self { keys: 200_000, rounds: 3 } }
    }

    /// Bytes for data: a fifth of the keys in Redis.
    fn data(&self) -> u64 {
        self.keys * PRICE / FITS
    }
}

/// The nodes, and the peers again with the policy that counts uses.
fn subjects(nodes: &[Node]) -> Vec<Node> {
    let peers = nodes.iter().filter(|node| !node.is_ours()).map(|peer| peer.with_policy("allkeys-lfu"));
    nodes.iter().cloned().chain(peers).collect()
}

fn scenario_of(workload: Workload) -> Scenario {
    scenario("hit ratio, same bytes for data", workload.name())
}

pub(super) fn declare(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let scenarios = Workload::ALL.map(scenario_of);
    let rounds = Size::of(bench).rounds as usize;
    declare_rows(bench, results, &subjects(nodes), &scenarios, &[HITS], rounds);
}

pub(super) fn measure(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let subjects = subjects(nodes);
    for node in &subjects {
        if let Some(reason) = node.missing() {
            Workload::ALL
                .iter()
                .for_each(|workload| results.absent(&scenario_of(*workload), node.name(), reason));
        }
    }
    for workload in Workload::ALL {
        let scenario = scenario_of(workload);
        bench.progress.say(&format!("hit ratio: {}", scenario.name));
        for round in 0..Size::of(bench).rounds {
            for (node, outcome) in side_by_side(bench, &subjects, workload, round) {
                match outcome {
                    Ok((hits, policy)) => {
                        results.add(&scenario, node, HITS, hits);
                        if policy != USUAL_POLICY && !node.ends_with(&policy) {
                            results.note(&scenario, node, format!("maxmemory-policy {policy}"));
                        }
                    }
                    Err(Trouble::Failed(reason)) => results.fail(&scenario, node, reason),
                    Err(Trouble::Wrong(what)) => results.wrong_value(&scenario, node, what),
                }
            }
            for node in &subjects {
                bench.progress.step(&format!("{}: {}", scenario.name, node.name()));
            }
        }
    }
}

/// What each node that is there reaches. The seed is the round: other keys, but the same for all.
fn side_by_side<'a>(
    bench: &Bench,
    nodes: &'a [Node],
    workload: Workload,
    seed: u64,
) -> Vec<(&'a str, Outcome)> {
    let size = Size::of(bench);
    let there = nodes.iter().filter(|node| node.missing().is_none());
    let servers: Vec<_> = there.map(|node| (node.name(), limited(bench, node, size.data()))).collect();
    thread::scope(|scope| {
        let running = servers.into_iter().map(|(name, server)| {
            let keys = workload.keys(size.keys, seed);
            let (warm_up, requests) = (size.keys * WARM_UP, size.keys * REQUESTS);
            let run = move || {
                let server = server?;
                let hits = read_through(server.client()?, keys, warm_up, requests);
                Ok((hits.map_err(|trouble| server.explain(trouble))?, server.setting("maxmemory-policy")?))
            };
            (name, scope.spawn(run))
        });
        let running: Vec<_> = running.collect();
        let panicked = || Err(Trouble::Failed("its load generator panicked".to_owned()));
        running.into_iter().map(|(name, run)| (name, run.join().unwrap_or_else(|_| panicked()))).collect()
    })
}

/// A server that may hold `data` bytes more than it takes when it is empty.
fn limited(bench: &Bench, node: &Node, data: u64) -> anyhow::Result<Server> {
    let server = node.start(bench, UNLIMITED)?;
    let maxmemory = server.info("memory")?.number("used_memory")? + data;
    server.client()?.ask_line(&format!("CONFIG SET maxmemory {maxmemory}"))?;
    Ok(server)
}

/// The hit ratio in percent over `requests` requests, without those before `warm_up`.
fn read_through(client: Client, keys: Keys, warm_up: u64, requests: u64) -> Result<f64, Trouble> {
    let mut reader = Reader { client, missed: VecDeque::new(), asked: Vec::new() };
    let mut keys = keys.take(requests as usize);
    let (mut passed, mut counted, mut hits) = (0, 0, 0);
    loop {
        let found = reader.batch(keys.by_ref().take(BATCH))?;
        let count = reader.asked.len() as u64;
        if count == 0 {
            return Ok(100.0 * hits as f64 / counted as f64);
        }
        if passed >= warm_up {
            counted += count;
            hits += found;
        }
        passed += count;
    }
}

/// A user of a cache: asks for keys, and stores those that were missing.
struct Reader {
    client: Client,
    /// Keys to store with the next batch.
    missed: VecDeque<u64>,
    /// Keys of this batch.
    asked: Vec<u64>,
}

impl Reader {
    /// Stores what was missing the last time, and asks for `keys`; gives how many were there.
    fn batch(&mut self, keys: impl Iterator<Item = u64>) -> Result<u64, Trouble> {
        let stores = self.missed.len();
        for number in self.missed.drain(..) {
            self.client.queue(&[b"SET", key("key", number).as_bytes(), &value(number, VALUE)]);
        }
        self.asked.clear();
        self.asked.extend(keys);
        for number in &self.asked {
            self.client.queue(&[b"GET", key("key", *number).as_bytes()]);
        }
        self.client.flush()?;
        for _ in 0..stores {
            let reply = self.client.receive()?;
            if reply != b"+OK\r\n" {
                return Err(Trouble::Failed(format!("SET gave {}", shown(reply))));
            }
        }
        self.take_values()
    }

    fn take_values(&mut self) -> Result<u64, Trouble> {
        let mut hits = 0;
        for number in &self.asked {
            let reply = self.client.receive()?;
            match reply.strip_prefix(b"$256\r\n").and_then(|rest| rest.strip_suffix(b"\r\n")) {
                Some(bytes) if bytes == value(*number, VALUE) => hits += 1,
                _ if reply == b"$-1\r\n" => self.missed.push_back(*number),
                _ => return Err(Trouble::Wrong(format!("GET of key {number} gave {}", shown(reply)))),
            }
        }
        Ok(hits)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use resp::{Encoder, Limits, Protocol, Request, RequestScanner};

    use super::*;

    const KEYS: u64 = 1_000;
    const SOME: u64 = 4_096;

    /// A cache without a limit, for one connection; keeps what `kept` makes of a value.
    fn cache(kept: fn(Vec<u8>) -> Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(listener.accept().unwrap().0, kept));
        address
    }

    fn serve(mut stream: TcpStream, kept: fn(Vec<u8>) -> Vec<u8>) {
        stream.set_nodelay(true).unwrap();
        let mut scanner = RequestScanner::new(Limits::default());
        let (mut values, mut bytes, mut piece) = (HashMap::new(), Vec::new(), [0; 4_096]);
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            bytes.extend_from_slice(&piece[..count]);
            let mut replies = Vec::new();
            while let Some(length) = scanner.scan(&bytes).unwrap() {
                answer(&scanner.request(&bytes), &mut values, kept, &mut replies);
                bytes.drain(..length);
            }
            stream.write_all(&replies).unwrap();
        }
    }

    fn answer(
        request: &Request<'_>,
        values: &mut HashMap<Vec<u8>, Vec<u8>>,
        kept: fn(Vec<u8>) -> Vec<u8>,
        replies: &mut Vec<u8>,
    ) {
        let mut reply = Encoder::new(replies, Protocol::Resp2);
        let name = request.arg(1).to_vec();
        match (request.arg(0), values.get(&name)) {
            (b"SET", _) => {
                values.insert(name, kept(request.arg(2).to_vec()));
                reply.simple("OK");
            }
            (_, Some(value)) => reply.bulk(value),
            (_, None) => reply.null(),
        }
    }

    fn ratio_of(address: SocketAddr, workload: Workload) -> Result<f64, Trouble> {
        read_through(Client::connect(address).unwrap(), workload.keys(KEYS, 1), SOME / 2, SOME)
    }

    /// What a cache without a limit must reach: a key is there from the batch after its first one on.
    fn expected(workload: Workload) -> f64 {
        let keys: Vec<u64> = workload.keys(KEYS, 1).take(SOME as usize).collect();
        let (mut seen, mut hits) = (HashSet::<u64>::new(), 0);
        for (number, batch) in keys.chunks(BATCH).enumerate() {
            let is_counted = number * BATCH >= SOME as usize / 2;
            hits += batch.iter().filter(|key| is_counted && seen.contains(*key)).count();
            seen.extend(batch);
        }
        100.0 * hits as f64 / (SOME / 2) as f64
    }

    #[test]
    fn every_server_is_asked_for_the_same_keys_and_hits_are_counted_after_the_warm_up() {
        for workload in Workload::ALL {
            let ratios = [(); 2].map(|()| ratio_of(cache(|value| value), workload).unwrap());
            assert_eq!(ratios, [expected(workload); 2], "{}", workload.name());
        }
    }

    #[test]
    fn a_wrong_value_is_no_hit() {
        let spoilt = cache(|mut value| {
            value[9] ^= 1;
            value
        });
        assert!(matches!(ratio_of(spoilt, Workload::Zipf(1.0)), Err(Trouble::Wrong(_))));
    }
}
