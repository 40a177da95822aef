//! What routing costs: building a ring, compiling a view, finding a key's node; and what the same costs with
//! the `hashring` crate alone, which is what a client without a table would use.
//!
//! Clusters of 50, 500 and 5 000 nodes. From some hundred nodes on, the default 65 536 slots are too few for
//! an even spread (5 000 nodes would get 13 slots each): such a cluster sets `slots`, a power of two up to
//! 2^20, and so does this measurement.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed measurement")]

mod xxh3;

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::hint::black_box;
use std::time::Duration;

use cluster::{DEFAULT_SLOTS, MAX_SLOTS, NodeId, Routing, Status, View, ViewNode};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use hashring::HashRing;
use xxh3::Xxh3;

/// A cluster's size and what it sets for it.
#[derive(Clone, Copy)]
struct Size {
    nodes: u16,
    points: u32,
    slots: u32,
}

const SIZES: [Size; 3] = [
    Size { nodes: 50, points: 2_000, slots: DEFAULT_SLOTS },
    Size { nodes: 500, points: 1_000, slots: DEFAULT_SLOTS },
    Size { nodes: 5_000, points: 160, slots: MAX_SLOTS },
];

/// Points per node that users of `hashring` take (ketama's number); more would only make it slower.
const HASHRING_POINTS: u16 = 160;

/// Hot keys: as many as stay in the first caches, so that lookups are compared and not the reading of keys.
const KEYS: usize = 4_096;

/// What is put into a `hashring`: as small as it can be, because `get_with_replicas` copies all of them.
#[derive(Debug, Clone, Copy, Hash)]
struct Point {
    node: u16,
    number: u16,
}

/// Hashed in one piece: the standard library ends a string with a byte of its own, which would be a second xxh3.
struct Key<'a>(&'a str);

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(self.0.as_bytes());
    }
}

impl Size {
    fn view(self) -> View {
        let node = |i: u16| ViewNode {
            node_id: NodeId::new(&format!("node{i}")).unwrap(),
            host: "127.0.0.1".to_owned(),
            port: 7_000,
            zone: None,
            weight: 1,
            status: Status::Healthy,
            routable: true,
            run_id: None,
        };
        View {
            epoch: 1,
            slots: self.slots,
            points: self.points,
            nodes: (1..=self.nodes).map(node).collect(),
            proxies: Vec::new(),
        }
    }

    /// The view with every node out for which `is_out` holds.
    fn view_without(self, is_out: impl Fn(usize) -> bool) -> View {
        let mut view = self.view();
        let out = view.nodes.iter_mut().enumerate().filter(|(i, _)| is_out(*i));
        out.for_each(|(_, node)| node.routable = false);
        view
    }

    fn views(self) -> [(&'static str, View); 4] {
        [
            ("all in", self.view()),
            ("1 out", self.view_without(|i| i == 7)),
            ("10 % out", self.view_without(|i| i % 10 == 7)),
            ("1 in", self.view_without(|i| i != 0)),
        ]
    }

    fn hashring<S: BuildHasher>(self, hasher: S) -> HashRing<Point, S> {
        let mut ring = HashRing::with_hasher(hasher);
        let points =
            (0..self.nodes).flat_map(|node| (0..HASHRING_POINTS).map(move |number| Point { node, number }));
        ring.batch_add(points.collect());
        ring
    }
}

fn keys() -> Vec<String> {
    (0..KEYS).map(|i| format!("key:{i:012}")).collect()
}

/// Times `lookup` over 16-byte keys in turn.
fn over_keys<'a, R>(c: &mut Criterion, name: &str, keys: &'a [String], lookup: impl Fn(&'a str) -> R) {
    let mut next = 0;
    c.bench_function(name, |b| {
        b.iter(|| {
            next = (next + 1) % KEYS;
            lookup(black_box(keys[next].as_str()))
        });
    });
}

fn lookups(c: &mut Criterion) {
    let keys = keys();
    for size in SIZES {
        for (what, view) in size.views().into_iter().filter(|(what, _)| ["all in", "10 % out"].contains(what))
        {
            let routing = Routing::compile(&view, None).unwrap();
            let name = format!("lookup/{} nodes, {what}", size.nodes);
            over_keys(c, &name, &keys, |key| routing.serving(routing.slot(key.as_bytes())));
        }
    }
}

fn hashring_lookups(c: &mut Criterion) {
    let keys = keys();
    for size in SIZES {
        let (nodes, ring) = (size.nodes, size.hashring(BuildHasherDefault::<Xxh3>::default()));
        over_keys(c, &format!("hashring get, xxh3/{nodes} nodes"), &keys, |key| ring.get(&Key(key)));
        let default = size.hashring(std::hash::RandomState::new());
        over_keys(c, &format!("hashring get, SipHash/{nodes} nodes"), &keys, |key| default.get(&Key(key)));
        let replicas = |key: &str| ring.get_with_replicas(&Key(key), 2);
        over_keys(c, &format!("hashring get_with_replicas 2/{nodes} nodes"), &keys, replicas);
    }
}

fn builds(c: &mut Criterion) {
    for size in SIZES {
        let Size { nodes, points, slots } = size;
        let view = size.view();
        c.bench_function(&format!("build/{nodes} nodes, {points} points, {slots} slots"), |b| {
            b.iter(|| Routing::compile(black_box(&view), None).unwrap());
        });
        c.bench_function(&format!("hashring build/{nodes} nodes, {HASHRING_POINTS} points"), |b| {
            b.iter(|| size.hashring(BuildHasherDefault::<Xxh3>::default()));
        });
    }
}

fn compiles(c: &mut Criterion) {
    for size in SIZES {
        let whole = Routing::compile(&size.view(), None).unwrap();
        for (what, view) in size.views() {
            c.bench_function(&format!("compile/{} nodes, {what}", size.nodes), |b| {
                b.iter(|| Routing::compile(black_box(&view), Some(&whole)).unwrap());
            });
        }
    }
}

/// What a change of health costs who has only `hashring`: its points are removed one by one. One in ten out
/// takes a tenth of the nodes times this.
fn hashring_removals(c: &mut Criterion) {
    for size in SIZES {
        let ring = size.hashring(BuildHasherDefault::<Xxh3>::default());
        let points: Vec<_> = (0..HASHRING_POINTS).map(|number| Point { node: 7, number }).collect();
        c.bench_function(&format!("hashring remove 1/{} nodes", size.nodes), |b| {
            let remove = |mut ring: HashRing<_, _>| {
                points.iter().for_each(|point| {
                    ring.remove(point);
                });
                ring
            };
            b.iter_batched(|| ring.clone(), remove, BatchSize::PerIteration);
        });
    }
}

/// For what takes nanoseconds half a second is millions of runs. Plots and a hundred thousand resamplings would
/// take longer than the measurement.
fn fast() -> Criterion {
    let quick = Criterion::default().sample_size(50).nresamples(5_000).without_plots();
    quick.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500))
}

/// Builds of thousands of nodes take half a second each: fewer of them, and still ten. Whatever is compared with
/// each other has as many samples.
fn slow() -> Criterion {
    fast().sample_size(10)
}

criterion_group!(name = quick; config = fast(); targets = lookups, hashring_lookups);
criterion_group!(name = long; config = slow(); targets = compiles, builds, hashring_removals);
criterion_main!(quick, long);
