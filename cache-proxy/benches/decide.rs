//! The parts that the proxy's decision is made of, put together as the proxy does it, without a socket: find the
//! end and the arguments of a request, look its command up, find its keys, and the node that serves each of
//! them; then write to each node what it gets: the request as it came, or an MGET of its keys.
//!
//! It is not the proxy's own planner and dispatcher, which are private: what those add (a client's state, the
//! order of replies, limits, counters) shows in `bench`, as CPU time per request of the whole process.
//!
//! Beside it the same from parts off the shelf: the `redis-protocol` crate, a `HashMap` of command names, and
//! the `hashring` crate with an xxh3 hasher. Those parts do less: they know no flags, no hash tags, and no
//! nodes that are out.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed measurement")]

#[path = "../../crates/cluster/benches/xxh3/mod.rs"]
mod xxh3;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::hint::black_box;
use std::time::Duration;

use cluster::{DEFAULT_SLOTS, NodeId, Routing, Status, View, ViewNode};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hashring::HashRing;
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;
use resp::{Encoder, Limits, Protocol, RequestScanner, encode_request};
use xxh3::Xxh3;

/// The cluster that `fastcache up` starts.
const NODES: u16 = 50;
/// Points per node of `hashring`: ketama's number.
const POINTS: u16 = 160;
/// Requests that are decided in turn: other keys each time.
const REQUESTS: usize = 1_024;
/// `SET key value`; what is longer here is an MGET.
const MOST_ARGS_OF_ONE_KEY: usize = 3;

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

/// What goes to each node. Both ways write the same: they differ in what comes before.
struct Outboxes {
    unsent: Vec<Vec<u8>>,
    /// Of the nodes that an MGET concerns: the keys so far, encoded, and how many.
    keys: Vec<(Vec<u8>, usize)>,
    concerned: Vec<usize>,
}

impl Outboxes {
    fn new() -> Self {
        let nodes = NODES.into();
        Self { unsent: vec![Vec::new(); nodes], keys: vec![(Vec::new(), 0); nodes], concerned: Vec::new() }
    }

    /// The request as it came.
    fn put_whole(&mut self, node: usize, wire: &[u8]) -> usize {
        let unsent = &mut self.unsent[node];
        unsent.clear();
        unsent.extend_from_slice(wire);
        unsent.len()
    }

    fn put_key(&mut self, node: usize, key: &[u8]) {
        let (bytes, count) = &mut self.keys[node];
        if *count == 0 {
            self.concerned.push(node);
            bytes.clear();
        }
        *count += 1;
        Encoder::new(bytes, Protocol::Resp2).bulk(key);
    }

    /// An MGET for each node that got keys.
    fn put_mgets(&mut self) -> usize {
        let mut sum = 0;
        for node in self.concerned.drain(..) {
            let (bytes, count) = &mut self.keys[node];
            let unsent = &mut self.unsent[node];
            unsent.clear();
            let mut encoder = Encoder::new(unsent, Protocol::Resp2);
            encoder.array(*count + 1);
            encoder.bulk(b"MGET");
            unsent.extend_from_slice(bytes);
            *count = 0;
            sum += unsent.len();
        }
        sum
    }
}

/// The proxy's way; gives how many bytes go to nodes, so that nothing is left out as useless.
struct Ours {
    routing: Routing,
    scanner: RequestScanner,
    outboxes: Outboxes,
}

impl Ours {
    fn new() -> Self {
        let scanner = RequestScanner::new(Limits::default());
        Self { routing: routing(), scanner, outboxes: Outboxes::new() }
    }

    fn decide(&mut self, bytes: &[u8]) -> usize {
        self.scanner.scan(bytes).unwrap().unwrap();
        let request = self.scanner.request(bytes);
        let command = commands::lookup(request.arg(0)).unwrap();
        let keys = command.keys(request.len(), |place| request.arg(place)).unwrap();
        let (routing, mut whole) = (&self.routing, 0);
        let is_split = request.len() > MOST_ARGS_OF_ONE_KEY;
        for place in keys {
            let node = routing.serving(routing.slot(request.arg(place))).unwrap().get();
            if is_split {
                self.outboxes.put_key(node, request.arg(place));
            } else {
                whole = self.outboxes.put_whole(node, request.wire());
            }
        }
        whole + self.outboxes.put_mgets()
    }
}

/// Hashed in one piece: the standard library hashes a slice's length as well, which would be a second xxh3.
struct Key<'a>(&'a [u8]);

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(self.0);
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
    outboxes: Outboxes,
}

impl OffTheShelf {
    fn new() -> Self {
        let mut ring = HashRing::with_hasher(BuildHasherDefault::default());
        let points = (0..NODES).flat_map(|node| (0..POINTS).map(move |number| Point { node, number }));
        ring.batch_add(points.collect());
        let commands = HashMap::from([("GET", (1, 1)), ("SET", (1, 1)), ("MGET", (1, usize::MAX))]);
        Self { commands, ring, outboxes: Outboxes::new() }
    }

    fn decide(&mut self, bytes: &[u8]) -> usize {
        let (frame, _) = decode_range(bytes).unwrap().unwrap();
        let RangeFrame::Array(args) = frame else { return 0 };
        let arg = |place: usize| match &args[place] {
            RangeFrame::BulkString((start, end)) => &bytes[*start..*end],
            _ => &bytes[..0],
        };
        let (first, last) = self.commands[std::str::from_utf8(arg(0)).unwrap()];
        let mut whole = 0;
        for place in first..=last.min(args.len() - 1) {
            let node = usize::from(self.ring.get(&Key(arg(place))).unwrap().node);
            if args.len() > MOST_ARGS_OF_ONE_KEY {
                self.outboxes.put_key(node, arg(place));
            } else {
                whole = self.outboxes.put_whole(node, bytes);
            }
        }
        whole + self.outboxes.put_mgets()
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
