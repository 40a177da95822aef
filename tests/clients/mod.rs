//! Every client that users come with, in its default settings, through HAProxy and the proxies.
//!
//! Each goes through the same [`STEPS`], all clients at once; the last is to be there again after every proxy was
//! killed and started. What they managed is the tables of `docs/clients.md`, which this holds to the result.
//!
//! `reporter` collects what the clients tell, `library` runs those that are programs of their own (in Python,
//! JavaScript and Rust, beside this file), `redis_cli` and `tools` drive the tools, `install` says where all of
//! them are.

pub(crate) mod install;
mod library;
mod redis_cli;
mod reporter;
mod tools;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::cluster::Cluster;
use crate::haproxy::Haproxy;
use crate::literals;

/// What a client is asked to do, in this order.
const STEPS: [&str; 12] = [
    "connect",
    "pipeline",
    "MGET",
    "hash",
    "zset",
    "scan",
    "pub/sub",
    "script",
    "transaction",
    "blocking pop",
    "1 MB value",
    RECONNECT,
];
/// Those of them that our own nodes know.
const OWN_STEPS: [&str; 8] =
    ["connect", "pipeline", "MGET", "zset", "scan", "transaction", "1 MB value", RECONNECT];
const RECONNECT: &str = "reconnect";

/// By the step; a step that a tool has no use for is missing.
type Results = BTreeMap<String, Result<(), String>>;

/// A row of the tables.
struct Client {
    name: &'static str,
    try_out: fn(&reporter::Reporter),
}

const CLIENTS: [Client; 12] = [
    Client { name: "redis-py", try_out: library::redis_py },
    Client { name: "valkey-py", try_out: library::valkey_py },
    Client { name: "valkey-glide (Python)", try_out: library::glide_py },
    Client { name: "ioredis", try_out: library::ioredis },
    Client { name: "iovalkey", try_out: library::iovalkey },
    Client { name: "node-redis", try_out: library::node_redis },
    Client { name: "valkey-glide (Node.js)", try_out: library::glide_js },
    Client { name: "redis-rs", try_out: library::redis_rs },
    Client { name: "fred", try_out: library::fred },
    Client { name: "redis-cli", try_out: redis_cli::try_out },
    Client { name: "redis-benchmark", try_out: tools::redis_benchmark },
    Client { name: "redis_exporter", try_out: tools::redis_exporter },
];

#[test]
fn every_client_works_over_redis_nodes() {
    documented("Redis nodes", &STEPS, Cluster::over_redis(3, 2));
}

#[test]
fn every_client_works_over_valkey_nodes() {
    documented("Redis nodes", &STEPS, Cluster::over_valkey(3, 2));
}

#[test]
fn every_client_works_over_our_own_nodes() {
    documented("FastCache nodes", &OWN_STEPS, Cluster::start(3, 2));
}

#[test]
fn the_versions_in_the_document_are_those_tried() {
    let document = document();
    for (client, list, before) in [
        ("redis-py", "requirements.txt", "redis=="),
        ("valkey-py", "requirements.txt", "valkey=="),
        ("valkey-glide (Python)", "requirements.txt", "valkey-glide=="),
        ("ioredis", "package.json", "\"ioredis\": \""),
        ("iovalkey", "package.json", "\"iovalkey\": \""),
        ("node-redis", "package.json", "\"redis\": \""),
        ("valkey-glide (Node.js)", "package.json", "\"@valkey/valkey-glide\": \""),
        ("redis-rs", "rust/Cargo.toml", "redis = { version = \"="),
        ("fred", "rust/Cargo.toml", "fred = { version = \"="),
    ] {
        let row = format!("\n| {client} | {} | ", install::version(list, before));
        assert!(document.contains(&row), "docs/clients.md has no row that begins with {row:?}");
    }
}

fn document() -> String {
    literals::text_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients.md"))
}

/// Tries every client and compares with the table below this heading.
fn documented(heading: &str, steps: &'static [&'static str], mut cluster: Cluster) {
    install::all();
    let haproxy = Haproxy::before(&cluster);
    let results = reporter::try_all(&CLIENTS, haproxy.entry_port, steps, || {
        // One after the other, as one does it: HAProxy always has one to send clients to.
        for index in 0..cluster.proxies.len() {
            cluster.proxies[index].process.kill();
            haproxy.until_down(&cluster.proxies[index].id);
            cluster.restart_proxy(index);
            haproxy.until_up(&cluster.proxies[index].id);
        }
    });
    let table = table(steps, &results);
    let document = document();
    let section = document.split("\n## ").find_map(|section| section.strip_prefix(heading));
    assert!(
        section.is_some_and(|section| section.contains(&table)),
        "docs/clients.md has another table below `## {heading}` than this, which is what happened:\n\n{table}\n{}",
        failures(&results)
    );
}

fn table(steps: &[&str], results: &[Results]) -> String {
    let mut table = format!("| | {} |\n|---|{}\n", steps.join(" | "), ":-:|".repeat(steps.len()));
    for (client, results) in CLIENTS.iter().zip(results) {
        let cells = steps.iter().map(|step| match results.get(*step) {
            Some(Ok(())) => "✓",
            Some(Err(_)) => "✗",
            None => "–",
        });
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| {} | {} |", client.name, cells.collect::<Vec<_>>().join(" | "));
    }
    table
}

fn failures(results: &[Results]) -> String {
    let mut text = String::new();
    for (client, results) in CLIENTS.iter().zip(results) {
        for (step, result) in results {
            if let Err(reason) = result {
                let _ = writeln!(text, "{}, {step}: {reason}", client.name);
            }
        }
    }
    text
}
