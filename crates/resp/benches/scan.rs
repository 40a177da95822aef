//! How long it takes to find a request or a reply in a stream, against the `redis-protocol` crate: `decode`,
//! which gives owned values, and `decode_range`, which gives places in the buffer as our scanners do.
//!
//! Read the figures as what they are: the scanners find borders, arguments and mistakes; a decoder builds a
//! tree. A proxy needs only the former, which is why this crate is not that one.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed measurement")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use redis_protocol::{resp2, resp3};
use resp::{Encoder, Limits, Protocol, ReplyScanner, RequestScanner, encode_request};

/// Keys of 16 bytes: what the measurements of the whole proxy use as well.
const KEY: &[u8] = b"key:000000000042";

/// Requests in one buffer, as a client with a pipeline sends them.
const DEPTH: usize = 32;

fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_request(&mut out, args.iter().copied());
    out
}

fn requests() -> [(&'static str, Vec<u8>); 4] {
    let mget: Vec<&[u8]> = std::iter::once(&b"MGET"[..]).chain(std::iter::repeat_n(KEY, 100)).collect();
    [
        ("GET", request(&[b"GET", KEY])),
        ("SET 64 B", request(&[b"SET", KEY, &[b'x'; 64]])),
        ("SET 4 KiB", request(&[b"SET", KEY, &[b'x'; 4_096]])),
        ("MGET of 100", request(&mget)),
    ]
}

fn reply(protocol: Protocol, write: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Encoder::new(&mut out, protocol));
    out
}

fn bulks(reply: &mut Encoder<'_>) {
    reply.array(100);
    (0..100).for_each(|_| reply.bulk(&[b'x'; 64]));
}

fn scores(reply: &mut Encoder<'_>) {
    reply.array(20);
    for place in 0..10 {
        reply.bulk(KEY);
        reply.double(f64::from(place) + 0.5);
    }
}

fn replies() -> [(&'static str, Vec<u8>); 4] {
    [
        ("OK", reply(Protocol::Resp2, |reply| reply.simple("OK"))),
        ("bulk 64 B", reply(Protocol::Resp2, |reply| reply.bulk(&[b'x'; 64]))),
        ("bulk 4 KiB", reply(Protocol::Resp2, |reply| reply.bulk(&[b'x'; 4_096]))),
        ("array of 100 bulks", reply(Protocol::Resp2, bulks)),
    ]
}

/// Times `read` on `bytes`; it must have read them to the end, or the figure would mean nothing.
fn measure(c: &mut Criterion, name: &str, bytes: &[u8], mut read: impl FnMut(&[u8]) -> usize) {
    assert_eq!(read(bytes), bytes.len(), "{name}");
    c.bench_function(name, |b| b.iter(|| read(black_box(bytes))));
}

fn scan_requests(c: &mut Criterion) {
    for (what, bytes) in requests() {
        let mut scanner = RequestScanner::new(Limits::default());
        measure(c, &format!("request/{what}, scan"), &bytes, |bytes| {
            let len = scanner.scan(bytes).unwrap().unwrap();
            // The arguments are what the scan is for.
            black_box(scanner.request(bytes).len());
            len
        });
        decode_resp2(c, &format!("request/{what}"), &bytes);
    }
}

fn scan_replies(c: &mut Criterion) {
    for (what, bytes) in replies() {
        let mut scanner = ReplyScanner::new(Limits::default());
        let name = format!("reply/{what}");
        measure(c, &format!("{name}, scan"), &bytes, |bytes| scanner.scan(bytes).unwrap().unwrap());
        decode_resp2(c, &name, &bytes);
    }
}

fn decode_resp2(c: &mut Criterion, name: &str, bytes: &[u8]) {
    measure(c, &format!("{name}, redis-protocol decode"), bytes, |bytes| {
        black_box(resp2::decode::decode(bytes).unwrap().unwrap()).1
    });
    measure(c, &format!("{name}, redis-protocol decode_range"), bytes, |bytes| {
        black_box(resp2::decode::decode_range(bytes).unwrap().unwrap()).1
    });
}

fn scan_resp3(c: &mut Criterion) {
    let bytes = reply(Protocol::Resp3, scores);
    let name = "reply/RESP3 10 members with scores";
    let mut scanner = ReplyScanner::new(Limits::default());
    measure(c, &format!("{name}, scan"), &bytes, |bytes| scanner.scan(bytes).unwrap().unwrap());
    measure(c, &format!("{name}, redis-protocol decode"), &bytes, |bytes| {
        black_box(resp3::decode::complete::decode(bytes).unwrap().unwrap()).1
    });
    measure(c, &format!("{name}, redis-protocol decode_range"), &bytes, |bytes| {
        black_box(resp3::decode::complete::decode_range(bytes).unwrap().unwrap()).1
    });
}

/// A whole read of pipelined requests, as the proxy and the node go through it; per request.
fn scan_pipeline(c: &mut Criterion) {
    let bytes = request(&[b"GET", KEY]).repeat(DEPTH);
    let mut group = c.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(DEPTH as u64));
    let mut scanner = RequestScanner::new(Limits::default());
    group.bench_function("32 GET, scan", |b| {
        b.iter(|| {
            let mut rest = black_box(&bytes[..]);
            while let Some(len) = scanner.scan(rest).unwrap() {
                black_box(scanner.request(rest).arg(1));
                rest = &rest[len..];
            }
            assert!(rest.is_empty());
        });
    });
    group.bench_function("32 GET, redis-protocol decode_range", |b| {
        b.iter(|| {
            let mut rest = black_box(&bytes[..]);
            while let Some((frame, len)) = resp2::decode::decode_range(rest).unwrap() {
                black_box(frame);
                rest = &rest[len..];
            }
            assert!(rest.is_empty());
        });
    });
}

/// For what takes nanoseconds half a second is millions of runs. Plots and a hundred thousand resamplings would
/// take longer than the measurement.
fn fast() -> Criterion {
    let quick = Criterion::default().sample_size(50).nresamples(5_000).without_plots();
    quick.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500))
}

criterion_group!(name = benches; config = fast(); targets = scan_requests, scan_replies, scan_resp3, scan_pipeline);
criterion_main!(benches);
