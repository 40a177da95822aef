//! What the proxy decides for each request, without a socket: find its end and its arguments, look its
//! command up, find its keys, and the node that serves each of them; then put it where that node's connection
//! takes it from.
//!
//! Beside it the same from parts off the shelf: the `redis-protocol` crate, a `HashMap` of command names, and
//! the `hashring` crate with an xxh3 hasher. Those parts do less: they know no flags, no hash tags, and no
//! nodes that are out.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed measurement")]

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::time::Duration;

use cluster::{DEFAULT_SLOTS, NodeId, Routing, Status, View, ViewNode};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hashring::HashRing;
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;
use resp::{Limits, RequestScanner, encode_request};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The cluster that `fastcache up` starts.
const NODES: u16 = 50;
/// Points per node of `hashring`: ketama's number.
const POINTS: u16 = 160;
/// Requests that are decided in turn: other keys each time.
const REQUESTS: usize = 1_024;

fn routing() -> Routing {
    let node = |number: u16| ViewNode {
        node_id: NodeId::new(&format!("node{number}")).unwrap(),
        host: "127.0.0.1".to_owned(),
        port: 7_000 + number,
        zone: None,
        weight: 1,
        status: Status::Healthy,
        // One is out: it costs nothing.
        routable: number != 7,
        run_id: None,
    };
    let nodes = (1..=NODES).map(node).collect();
    let view = View { epoch: 1, slots: DEFAULT_SLOTS, points: 2_000, nodes, proxies: Vec::new() };
    Routing::compile(&view, None).unwrap()
}

fn key(number: usize) -> String {
    format!("key:{number:012}")
}

fn requests(args: impl Fn(usize) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let request = |number| {
        let (mut out, args) = (Vec::new(), args(number));
        encode_request(&mut out, args.iter().map(Vec::as_slice));
        out
    };
    (0..REQUESTS).map(request).collect()
}

fn kinds() -> [(&'static str, Vec<Vec<u8>>); 3] {
    let get = |number| vec![b"GET".to_vec(), key(number).into_bytes()];
    let set = |number| vec![b"SET".to_vec(), key(number).into_bytes(), vec![b'x'; 64]];
    let mget = |number| {
        let keys = (0..100).map(|more| key(number + more).into_bytes());
        std::iter::once(b"MGET".to_vec()).chain(keys).collect()
    };
    [("GET", requests(get)), ("SET 64 B", requests(set)), ("MGET of 100", requests(mget))]
}

/// The proxy's way; gives the sum of the nodes' numbers, so that nothing is left out as useless.
struct Ours {
    routing: Routing,
    scanner: RequestScanner,
    unsent: Vec<Vec<u8>>,
}

impl Ours {
    fn new() -> Self {
        let unsent = vec![Vec::new(); NODES.into()];
        Self { routing: routing(), scanner: RequestScanner::new(Limits::default()), unsent }
    }

    fn decide(&mut self, bytes: &[u8]) -> usize {
        self.scanner.scan(bytes).unwrap().unwrap();
        let request = self.scanner.request(bytes);
        let command = commands::lookup(request.arg(0)).unwrap();
        let keys = command.keys(request.len(), |place| request.arg(place)).unwrap();
        let mut sum = 0;
        for place in keys {
            let node = self.routing.serving(self.routing.slot(request.arg(place))).unwrap();
            let unsent = &mut self.unsent[node.get()];
            unsent.clear();
            unsent.extend_from_slice(if request.len() > 3 { request.arg(place) } else { request.wire() });
            sum += node.get();
        }
        sum
    }
}

/// xxh3 of each piece in one go: `hashring` at its best. The crate's own hasher for pieces costs more than the
/// search.
#[derive(Debug, Default)]
struct Xxh3(u64);

impl Hasher for Xxh3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Debug, Clone, Copy, Hash)]
struct Point {
    node: u16,
    number: u16,
}

/// The way of parts off the shelf.
struct OffTheShelf {
    /// First and last argument that is a key, by command.
    commands: HashMap<&'static str, (usize, usize)>,
    ring: HashRing<Point, BuildHasherDefault<Xxh3>>,
    unsent: Vec<Vec<u8>>,
}

impl OffTheShelf {
    fn new() -> Self {
        let mut ring = HashRing::with_hasher(BuildHasherDefault::default());
        let points = (0..NODES).flat_map(|node| (0..POINTS).map(move |number| Point { node, number }));
        ring.batch_add(points.collect());
        let commands = HashMap::from([("GET", (1, 1)), ("SET", (1, 1)), ("MGET", (1, usize::MAX))]);
        Self { commands, ring, unsent: vec![Vec::new(); NODES.into()] }
    }

    fn decide(&mut self, bytes: &[u8]) -> usize {
        let (frame, _) = decode_range(bytes).unwrap().unwrap();
        let RangeFrame::Array(args) = frame else { return 0 };
        let arg = |place: usize| match &args[place] {
            RangeFrame::BulkString((start, end)) => &bytes[*start..*end],
            _ => &bytes[..0],
        };
        let (first, last) = self.commands[std::str::from_utf8(arg(0)).unwrap()];
        let mut sum = 0;
        for place in first..=last.min(args.len() - 1) {
            let node = usize::from(self.ring.get(&arg(place)).unwrap().node);
            let unsent = &mut self.unsent[node];
            unsent.clear();
            unsent.extend_from_slice(if args.len() > 3 { arg(place) } else { bytes });
            sum += node;
        }
        sum
    }
}

fn measure(c: &mut Criterion, name: &str, requests: &[Vec<u8>], mut decide: impl FnMut(&[u8]) -> usize) {
    let mut next = 0;
    c.benchmark_group("decide").throughput(Throughput::Elements(1)).bench_function(name, |b| {
        b.iter(|| {
            next = (next + 1) % REQUESTS;
            decide(black_box(&requests[next]))
        });
    });
}

fn decide(c: &mut Criterion) {
    for (what, requests) in kinds() {
        let mut ours = Ours::new();
        measure(c, what, &requests, |bytes| ours.decide(bytes));
        let mut shelf = OffTheShelf::new();
        measure(c, &format!("{what}, parts off the shelf"), &requests, |bytes| shelf.decide(bytes));
    }
}

/// For what takes nanoseconds half a second is millions of runs. Plots and a hundred thousand resamplings would
/// take longer than the measurement.
fn fast() -> Criterion {
    let quick = Criterion::default().sample_size(50).nresamples(5_000).without_plots();
    quick.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500))
}

criterion_group!(name = benches; config = fast(); targets = decide);
criterion_main!(benches);
