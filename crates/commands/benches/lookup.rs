//! How long a lookup takes: it happens once per request on the proxy's hot path.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

/// What clients send most, short and long, in the two cases they use.
const NAMES: [&[u8]; 16] = [
    b"GET",
    b"set",
    b"MGET",
    b"DEL",
    b"INCR",
    b"zadd",
    b"EXPIRE",
    b"HGETALL",
    b"lpush",
    b"ZRANGE",
    b"EXISTS",
    b"setex",
    b"ZRANGEBYSCORE",
    b"ping",
    b"TTL",
    b"zremrangebyscore",
];

fn lookup(c: &mut Criterion) {
    let mut group = c.benchmark_group("lookup");
    group.throughput(Throughput::Elements(NAMES.len() as u64));
    group.bench_function("16 names in turn", |b| {
        b.iter(|| {
            for name in NAMES {
                black_box(commands::lookup(black_box(name)));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, lookup);
criterion_main!(benches);
