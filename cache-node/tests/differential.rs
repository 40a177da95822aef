//! The same commands to a node and to redis-server: the replies must be the same bytes.
//!
//! Where they may differ is listed here and nowhere else: the order of keys, the passing of time, and the few
//! deliberate differences.

use super::generator::{Random, command};
use super::peer::{Client, Node, Redis};
use cache_node::Config;
use std::io::{Read, Write};

/// Commands per seed; thirty thousand in all.
const COMMANDS: usize = 5_000;
/// Mismatches shown before a run is given up: the first ones tell most.
const SHOWN: usize = 25;

#[test]
fn resp2_replies_are_those_of_redis() {
    compare("2", &[], &[1, 2]);
}

#[test]
fn resp3_replies_are_those_of_redis() {
    compare("3", &[], &[3, 4]);
}

#[test]
fn large_sorted_sets_answer_as_in_redis() {
    let limits = ["CONFIG SET zset-max-listpack-entries 2", "CONFIG SET zset-max-listpack-value 1"];
    compare("3", &limits, &[5, 6]);
}

fn compare(protocol: &str, settings: &[&str], seeds: &[u64]) {
    let (node, redis) = (Node::start(Config::default()), Redis::start());
    let mut mismatches = Vec::new();
    for seed in seeds {
        let (mut ours, mut theirs) = (node.connect(), redis.connect());
        let hello = format!("HELLO {protocol}");
        for setup in settings.iter().copied().chain([hello.as_str(), "FLUSHALL"]) {
            ours.say(setup);
            theirs.say(setup);
        }
        let mut random = Random::new(*seed);
        for _ in 0..COMMANDS {
            let args = command(&mut random);
            if is_excluded(&args) {
                continue;
            }
            step(&args, protocol, &mut ours, &mut theirs, &mut mismatches);
            if mismatches.len() >= SHOWN {
                break;
            }
        }
    }
    assert!(mismatches.is_empty(), "{} mismatches:\n{}", mismatches.len(), mismatches.join("\n"));
}

fn step(
    args: &[Vec<u8>],
    protocol: &str,
    ours: &mut Client<impl Read + Write>,
    theirs: &mut Client<impl Read + Write>,
    mismatches: &mut Vec<String>,
) {
    if args[0].eq_ignore_ascii_case(b"dbsize") {
        // Expired keys count until they are met: meet them all.
        let all = "EXISTS k0 k1 k2 k3 k4 k5 z0 z1 z2 z3 l0 l1";
        ours.say(all);
        theirs.say(all);
    }
    let (mine, other) = (ours.ask(args), theirs.ask(args));
    if !equivalent(args, &mine, &other) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let words: Vec<_> = args.iter().map(|arg| format!("{:?}", text(arg))).collect();
        let line = format!("{}\n  node  {:?}\n  redis {:?}", words.join(" "), text(&mine), text(&other));
        if !mismatches.contains(&line) {
            mismatches.push(line);
        }
        // What follows from one difference is not another one.
        ours.say("FLUSHALL");
        theirs.say("FLUSHALL");
    }
    if args[0].eq_ignore_ascii_case(b"hello") {
        let back = format!("HELLO {protocol}");
        ours.say(&back);
        theirs.say(&back);
    }
}

/// Commands of which the two are known to say different things.
fn is_excluded(args: &[Vec<u8>]) -> bool {
    let name = args[0].to_ascii_lowercase();
    let second = args.get(1).map(|arg| arg.to_ascii_lowercase()).unwrap_or_default();
    match name.as_slice() {
        // Redis knows these; the node does not.
        b"debug" | b"latency" => true,
        // WITHSCORE is of Redis 7.2.
        b"zrank" | b"zrevrank" => args.len() == 4,
        // It counts its own commands, and finds no keys where a value is missing.
        b"command" => second == b"count" && args.len() == 2 || args.len().is_multiple_of(2),
        _ => false,
    }
}

fn equivalent(args: &[Vec<u8>], mine: &[u8], other: &[u8]) -> bool {
    if mine == other {
        return true;
    }
    let name = args[0].to_ascii_lowercase();
    match name.as_slice() {
        // Order is not part of the answer.
        b"keys" | b"scan" | b"zscan" | b"config" => sorted(mine) == sorted(other),
        // The two were asked one after the other, on a machine that may be busy.
        b"ttl" | b"expiretime" => close(mine, other, 20),
        b"pttl" | b"pexpiretime" => close(mine, other, 20_000),
        // Redis shares small integers between keys, their access time too; and what a key takes is not the same.
        b"object" if !args[1].eq_ignore_ascii_case(b"idletime") => false,
        b"object" | b"memory" => mine.starts_with(b":") && other.starts_with(b":"),
        // The connection's number differs.
        b"hello" => without_id(mine) == without_id(other),
        _ => false,
    }
}

fn sorted(reply: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = reply.split(|byte| *byte == b'\n').collect();
    lines.sort();
    lines
}

/// Whether both are integers and nearly the same. Two errors with different texts are not.
fn close(mine: &[u8], other: &[u8], tolerance: u64) -> bool {
    match (integer(mine), integer(other)) {
        // Below zero is "no deadline" and "no key", which are never close to anything.
        (Some(mine @ 0..), Some(other @ 0..)) => mine.abs_diff(other) <= tolerance,
        _ => false,
    }
}

fn integer(reply: &[u8]) -> Option<i64> {
    std::str::from_utf8(reply.strip_prefix(b":")?).ok()?.trim_end().parse().ok()
}

fn without_id(reply: &[u8]) -> String {
    let text = String::from_utf8_lossy(reply);
    let lines: Vec<_> = text.split("\r\n").collect();
    let id = lines.iter().position(|line| *line == "id").map(|at| at + 1);
    lines.iter().enumerate().filter(|(at, _)| Some(*at) != id).map(|(_, line)| format!("{line}\n")).collect()
}
