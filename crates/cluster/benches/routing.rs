//! What routing costs: building a ring, compiling a view, looking a key up.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::hint::black_box;

use cluster::{MAX_SLOTS, NodeId, Routing, Status, View, ViewNode};
use criterion::{Criterion, criterion_group, criterion_main};

fn view(nodes: usize, points: u32, slots: u32) -> View {
    let node = |i: usize| ViewNode {
        node_id: NodeId::new(&format!("node{i}")).unwrap(),
        host: "127.0.0.1".to_owned(),
        port: 7_000,
        zone: None,
        weight: 1,
        status: Status::Healthy,
        routable: true,
        run_id: None,
    };
    View { epoch: 1, slots, points, nodes: (1..=nodes).map(node).collect(), proxies: Vec::new() }
}

fn rings(c: &mut Criterion) {
    let mut group = c.benchmark_group("ring");
    group.sample_size(10);
    for (nodes, points, slots) in [(50, 2_000, 1 << 16), (500, 1_000, 1 << 16), (5_000, 160, MAX_SLOTS)] {
        let view = view(nodes, points, slots);
        let name = format!("build {nodes} nodes, {points} points, {slots} slots");
        group.bench_function(name, |b| b.iter(|| Routing::compile(black_box(&view), None).unwrap()));

        let whole = Routing::compile(&view, None).unwrap();
        let compile = |view: &View| Routing::compile(black_box(view), Some(&whole)).unwrap();
        let name = |what: &str| format!("compile {nodes} nodes, {points} points, {slots} slots, {what}");
        group.bench_function(name("all in"), |b| b.iter(|| compile(&view)));
        let mut one_out = view.clone();
        one_out.nodes[7].routable = false;
        group.bench_function(name("1 out"), |b| b.iter(|| compile(&one_out)));
        let mut one_in = view.clone();
        one_in.nodes[1..].iter_mut().for_each(|node| node.routable = false);
        group.bench_function(name("1 in"), |b| b.iter(|| compile(&one_in)));
    }
}

fn lookups(c: &mut Criterion) {
    let routing = Routing::compile(&view(50, 2_000, 1 << 16), None).unwrap();
    let keys: Vec<String> = (0..4_096).map(|i| format!("key:{i:012}")).collect();
    let mut next = keys.iter().cycle();
    c.bench_function("serving node of a 16-byte key", |b| {
        b.iter(|| {
            let key = next.next().map_or(&b""[..], String::as_bytes);
            routing.serving(routing.slot(black_box(key)))
        });
    });
}

criterion_group!(benches, rings, lookups);
criterion_main!(benches);
