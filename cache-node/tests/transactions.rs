//! Transactions, told to a node and to redis-server alike: the replies must be the same bytes.
//!
//! Each scene has two clients, because what one watches the other changes. Where there is nothing to compare with
//! (memory, limits of our own), the node is asked alone.

use super::generator::{Random, command};
use super::peer::{Client, Node, Redis, eventually};
use cache_node::Config;
use std::io::{Read, Write};

/// Steps per seed: some hundred transactions.
const STEPS: usize = 4_000;

/// Lines such as `1 MULTI`: which client says what.
fn play(scene: &str, clients: &mut [Client<impl Read + Write>; 2]) -> Vec<String> {
    let lines = scene.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (who, words) = line.split_once(' ').unwrap();
            let client = &mut clients[who.parse::<usize>().unwrap() - 1];
            format!("{line} => {}", client.try_say(words).unwrap_or_else(|| "closed".to_owned()))
        })
        .collect()
}

/// Plays a scene in both protocol versions on both servers.
fn same(scene: &str) {
    for hello in ["1 HELLO 2", "1 HELLO 3"] {
        let (node, redis) = (Node::start(Config::default()), Redis::start());
        let mut ours = [node.connect(), node.connect()];
        let mut theirs = [redis.connect(), redis.connect()];
        play(hello, &mut ours);
        play(hello, &mut theirs);
        assert_eq!(play(scene, &mut ours), play(scene, &mut theirs), "after {hello}");
    }
}

#[test]
fn a_queue_is_executed_in_one_piece() {
    same(
        "1 MULTI
         1 SET a 1
         1 INCR a
         1 STRLEN
         1 GET a
         2 GET a
         1 DISCARD
         1 MULTI
         1 SET a 1
         1 INCR a
         1 ZADD z 1.5 m
         1 ZSCORE z m
         1 INCR z
         1 MGET a none z
         2 GET a
         1 EXEC
         2 GET a
         1 MULTI
         1 EXEC
         1 MULTI
         1 PING
         1 ECHO hi
         1 SELECT 0
         1 UNWATCH
         1 CLIENT GETNAME
         1 ZSCORE z m
         1 AUTH x
         1 CONFIG GET maxmemory-samples
         1 EXEC",
    );
}

#[test]
fn what_cannot_be_queued_breaks_the_transaction() {
    same(
        "1 MULTI
         1 SET a 1
         1 NOSUCH x
         1 SET a
         1 CLIENT nosuch
         1 CONFIG
         1 GET a
         1 EXEC
         1 GET a
         1 MULTI
         1 SET a
         1 DISCARD
         1 MULTI
         1 MULTI
         1 WATCH a
         1 SET a 2
         1 EXEC
         1 EXEC
         1 DISCARD
         1 EXEC now
         1 MULTI
         1 SET a 3
         1 EXEC now
         1 EXEC
         1 MULTI now
         1 WATCH
         1 UNWATCH now
         1 GET a
         1 MULTI
         1 SET a 4
         1 RESET
         1 EXEC
         1 GET a
         1 MULTI
         1 SET a 5
         1 QUIT
         2 GET a",
    );
}

/// Each change of a key between WATCH and EXEC, and each thing that is none.
#[test]
fn watched_keys_are_those_of_redis() {
    let changes = [
        "SET k 1",
        "SET k v XX",
        "SET k w GET",
        "SET k w NX",
        "SETNX k w",
        "GETSET k v",
        "GETDEL k",
        "GETEX k",
        "GETEX k PERSIST",
        "GETEX k EX 100",
        "GETEX k PXAT 1",
        "MSET k 1 j 2",
        "MSETNX j 1 i 2",
        "MSETNX k 1 h 2",
        "APPEND k x",
        "APPEND k ",
        "SETRANGE k 0 x",
        "SETRANGE k 0 ",
        "INCR n",
        "INCRBY n 0",
        "INCRBYFLOAT n 0",
        "INCR k",
        "DEL k",
        "UNLINK none",
        "DEL k none",
        "TOUCH k",
        "EXISTS k",
        "EXPIRE k 100",
        "EXPIRE k -1",
        "EXPIRE k 100 XX",
        "PERSIST k",
        "PERSIST t",
        "PEXPIREAT t 4102444800000",
        "EXPIRE t 100 NX",
        "RENAME k l",
        "RENAME l k",
        "RENAME k k",
        "RENAMENX k t",
        "RENAMENX k none",
        "ZADD z 1 m",
        "ZADD z 2 m",
        "ZADD z NX 3 m",
        "ZADD z GT 0 m",
        "ZADD none XX 1 m",
        "ZADD none 1 m",
        "ZINCRBY z 0 m",
        "ZINCRBY z 1 m",
        "ZREM z nobody",
        "ZREM z m",
        "ZPOPMIN z",
        "ZPOPMIN z 0",
        "ZPOPMAX none",
        "ZREMRANGEBYSCORE z 5 6",
        "ZREMRANGEBYSCORE z 0 6",
        "ZREMRANGEBYRANK z 0 0",
        "ZREMRANGEBYLEX z [a [b",
        "ZADD k 1 m",
        "FLUSHALL",
        "FLUSHDB",
        "GET k",
        "RANDOMKEY",
    ];
    let (node, redis) = (Node::start(Config::default()), Redis::start());
    let mut ours = [node.connect(), node.connect()];
    let mut theirs = [redis.connect(), redis.connect()];
    for who in [1, 2] {
        for change in changes {
            let scene = format!(
                "1 FLUSHALL
                 1 MSET k v n 5 l other
                 1 SET t v EX 1000
                 1 ZADD z 1 m
                 1 WATCH none k n t z
                 {who} {change}
                 1 MULTI
                 1 PING
                 1 EXEC"
            );
            // What RANDOMKEY answers is up to chance.
            let known = |line: &String| !line.contains("RANDOMKEY");
            let told = |lines: Vec<String>| lines.into_iter().filter(known).collect::<Vec<_>>();
            assert_eq!(told(play(&scene, &mut ours)), told(play(&scene, &mut theirs)), "{change}");
        }
    }
}

#[test]
fn watching_ends_with_whatever_ends_it() {
    for end in ["UNWATCH", "DISCARD", "EXEC", "RESET", "PING"] {
        same(&format!(
            "1 SET k v
             1 WATCH k j
             1 WATCH k
             2 SET k w
             1 MULTI
             1 {end}
             1 DISCARD
             1 WATCH j
             1 UNWATCH
             2 SET j 1
             1 MULTI
             1 GET k
             1 EXEC
             1 {end}
             1 WATCH k
             2 SET k x
             1 {end}
             1 MULTI
             1 GET k
             1 EXEC"
        ));
    }
}

#[test]
fn an_expired_key_has_changed_unless_it_was_when_it_was_watched() {
    let (node, redis) = (Node::start(Config::default()), Redis::start());
    let mut ours = [node.connect(), node.connect()];
    let mut theirs = [redis.connect(), redis.connect()];
    for (before, after) in [("2 PING", "1 WATCH k"), ("1 WATCH k", "2 PING")] {
        // Long enough that a busy machine watches it in time.
        let start = format!("2 SET k v PX 1000\n{before}");
        assert_eq!(play(&start, &mut ours), play(&start, &mut theirs));
        // TIME and not GET: nobody meets the key.
        let milliseconds = |client: &mut Client<_>| {
            let time = client.say("TIME");
            let parts: Vec<u64> = time.lines().filter_map(|line| line.parse().ok()).collect();
            parts[0] * 1_000 + parts[1] / 1_000
        };
        let due = milliseconds(&mut ours[1]) + 1_020;
        eventually(|| milliseconds(&mut ours[1]) > due);
        let end = format!("{after}\n1 MULTI\n1 EXISTS k\n1 EXEC");
        assert_eq!(play(&end, &mut ours), play(&end, &mut theirs), "{before}");
    }
}

#[test]
fn a_full_node_refuses_as_redis_does() {
    same(
        "2 SET k v
         1 MULTI
         1 SET a 1
         2 CONFIG SET maxmemory-policy noeviction
         2 CONFIG SET maxmemory 1
         1 GET k
         1 EXEC
         1 MULTI
         1 EXEC
         2 CONFIG SET maxmemory 0
         1 MULTI
         1 SET a 1
         2 CONFIG SET maxmemory 1
         1 EXEC
         1 EXEC
         2 CONFIG SET maxmemory 0
         1 WATCH k
         1 MULTI
         1 GET k
         2 CONFIG SET maxmemory 1
         1 EXEC
         1 EXISTS a",
    );
}

#[test]
fn a_stranger_has_no_transactions() {
    same(
        "2 CONFIG SET requirepass secret
         1 RESET
         1 MULTI
         1 WATCH k
         1 EXEC
         1 AUTH secret
         1 MULTI
         1 GET k
         1 EXEC",
    );
}

#[test]
fn random_transactions_are_those_of_redis() {
    let (node, redis) = (Node::start(Config::default()), Redis::start());
    for (seed, hello) in [(11, "HELLO 2"), (12, "HELLO 3")] {
        let mut ours = [node.connect(), node.connect()];
        let mut theirs = [redis.connect(), redis.connect()];
        for client in 0..2 {
            assert!(ours[client].say(hello).len() > theirs[client].say(hello).len() / 2);
        }
        ours[0].say("FLUSHALL");
        theirs[0].say("FLUSHALL");
        let mut random = Random::new(seed);
        let mut told = Vec::new();
        for _ in 0..STEPS {
            let (who, args) = (random.below(2), step(&mut random));
            let (mine, other) = (ours[who].ask(&args), theirs[who].ask(&args));
            let words: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
            told.push(format!("{who} {}", words.join(" ")));
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(text(&mine), text(&other), "seed {seed}, the last of {:#?}", tail(&told));
        }
    }
}

fn tail(told: &[String]) -> &[String] {
    &told[told.len().saturating_sub(30)..]
}

/// A command of a transaction, or one that may be part of it and has one right answer.
fn step(random: &mut Random) -> Vec<Vec<u8>> {
    let words = |text: &str| text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    match random.below(16) {
        0..=2 => words("MULTI"),
        3..=4 => words("EXEC"),
        5 => words("DISCARD"),
        6 => words(&format!("WATCH k{} z{}", random.below(6), random.below(4))),
        7 => words("UNWATCH"),
        _ => loop {
            let args = command(random);
            if has_one_answer(&args) {
                return args;
            }
        },
    }
}

/// Commands whose replies neither time, order nor chance decides, and that say the same of both servers.
fn has_one_answer(args: &[Vec<u8>]) -> bool {
    const OTHERS: &[&str] = &[
        "keys",
        "scan",
        "zscan",
        "config",
        "ttl",
        "pttl",
        "expiretime",
        "pexpiretime",
        "object",
        "memory",
        "hello",
        "client",
        "command",
        "debug",
        "latency",
        "dbsize",
        "zrank",
        "zrevrank",
        "flushall",
    ];
    let name = String::from_utf8_lossy(&args[0]).to_ascii_lowercase();
    !OTHERS.contains(&name.as_str())
}

#[test]
fn a_transaction_is_bounded_and_seen() {
    let config = Config { max_bulk_len: 1024 * 1024, ..Config::default() };
    let node = Node::start(config);
    let (mut client, mut watcher) = (node.connect(), node.connect());
    client.say("MULTI");
    client.say("SET k 1");
    let list = watcher.say("CLIENT LIST");
    assert!(list.contains("flags=x db=0 sub=0 psub=0 ssub=0 multi=1 qbuf=0 multi-mem="), "{list}");
    // A transaction may be as long as a request: here 64 MiB.
    let large = [b"SET".to_vec(), b"k".to_vec(), vec![b'x'; 1024 * 1024]];
    for _ in 0..63 {
        assert_eq!(client.ask(&large), b"+QUEUED\r\n");
    }
    let refused = client.ask(&large);
    assert!(refused.starts_with(b"-ERR Transaction too large"), "{}", String::from_utf8_lossy(&refused));
    assert_eq!(client.say("EXEC"), "-EXECABORT Transaction discarded because of previous errors.\r\n");
    let list = watcher.say("CLIENT LIST");
    assert!(list.matches("multi-mem=0").count() == 2 && !list.contains("flags=x"), "{list}");
    assert_eq!(watcher.say("GET k"), "$-1\r\n");
}

#[test]
fn a_key_is_watched_once_however_often_it_is_said() {
    same(
        "1 WATCH k
         2 SET k 1
         1 WATCH k k
         1 MULTI
         1 GET k
         1 EXEC",
    );
    let node = Node::start(Config::default());
    let mut client = node.connect();
    let mut held = |words: &str| {
        assert_eq!(client.say(words), "+OK\r\n");
        client.say("CLIENT LIST").split("multi-mem=").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    let once = held("WATCH a b");
    assert_eq!((held("WATCH b a b"), once.as_str()), (once.clone(), "260"));
    assert_eq!((held("UNWATCH"), held("WATCH a a")), ("0".to_owned(), "130".to_owned()));
}

#[test]
fn who_leaves_watches_nothing_any_more() {
    let node = Node::start(Config::default());
    let mut stays = node.connect();
    let watched = |client: &mut Client<_>| client.say("INFO clients").contains("total_watched_keys:2");
    let mut leaves = node.connect();
    leaves.say("WATCH a b");
    assert!(watched(&mut stays));
    drop(leaves);
    eventually(|| !watched(&mut stays));
    assert!(stays.say("INFO clients").contains("total_watched_keys:0"));
}

#[test]
fn a_reply_that_is_too_large_ends_the_client_but_not_the_transaction() {
    let config = Config { max_reply_len: 10_000, ..Config::default() };
    let node = Node::start(config);
    let (mut client, mut witness) = (node.connect(), node.connect());
    witness.ask(&[b"SET".to_vec(), b"large".to_vec(), vec![b'x'; 4_000]]);
    client.say("MULTI");
    for words in ["GET large", "GET large", "GET large", "SET done 1"] {
        assert_eq!(client.say(words), "+QUEUED\r\n");
    }
    assert_eq!(client.try_say("EXEC"), None);
    assert_eq!(witness.say("GET done"), "$1\r\n1\r\n");
}
