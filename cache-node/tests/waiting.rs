//! Clients that wait for members of a sorted set: what they get is what redis-server gives, whoever comes first.

use super::peer::{Client, Node, Redis, eventually, text};
use cache_node::Config;
use std::io::{Read, Write};

/// Steps of a scene: `1 BZPOPMIN k 0` is said by client 1, `2 …` by client 2 and so on, and its reply awaited,
/// unless it begins with `?`: then it waits, and `1 !` awaits the reply later. The last client looks whether those
/// who should wait do so before the scene goes on.
fn play(scene: &str, clients: &mut [Client<impl Read + Write>]) -> Vec<String> {
    let mut told = Vec::new();
    let mut waiting = 0;
    for line in scene.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (who, words) = line.split_once(' ').unwrap();
        let who = who.parse::<usize>().unwrap() - 1;
        if let Some(words) = words.strip_prefix('?') {
            clients[who].send(format!("{words}\r\n").as_bytes());
            waiting += 1;
            let wanted = format!("blocked_clients:{waiting}\r\n");
            let observer = clients.last_mut().unwrap();
            eventually(|| observer.say("INFO clients").contains(&wanted));
        } else if words == "!" {
            told.push(format!("{line} => {}", text(clients[who].reply())));
            waiting -= 1;
        } else {
            told.push(format!("{line} => {}", clients[who].try_say(words).unwrap_or_default()));
        }
    }
    told
}

fn same(scene: &str) {
    for hello in ["HELLO 2", "HELLO 3"] {
        let (node, redis) = (Node::start(Config::default()), Redis::start());
        let mut ours: Vec<_> = (0..5).map(|_| node.connect()).collect();
        let mut theirs: Vec<_> = (0..5).map(|_| redis.connect()).collect();
        ours[..3].iter_mut().for_each(|client| drop(client.say(hello)));
        theirs[..3].iter_mut().for_each(|client| drop(client.say(hello)));
        assert_eq!(play(scene, &mut ours), play(scene, &mut theirs), "after {hello}");
    }
}

#[test]
fn who_came_first_is_served_first() {
    same(
        "1 ?BZPOPMIN a b 0
         2 ?BZPOPMAX b 0
         3 ?BZMPOP 0 2 c b MAX COUNT 2
         4 ZADD b 1 x 2 y 3 z 4 w
         1 !
         2 !
         3 !
         4 ZRANGE b 0 -1
         1 ?BZPOPMIN a 0
         2 ?BZPOPMIN a 0
         4 ZADD a 5 only
         1 !
         4 ZADD a 6 next
         2 !
         4 EXISTS a b",
    );
}

#[test]
fn members_that_are_there_are_taken_at_once() {
    same(
        "1 ZADD a 1 x 2 y 3 z
         1 BZPOPMIN none a 0
         1 BZPOPMAX a 0
         1 BZMPOP 0 2 none a MIN COUNT 5
         1 ZADD a 1 x 2 y 3 z
         1 ZMPOP 2 none a MAX COUNT 2
         1 ZMPOP 1 a MIN
         1 ZMPOP 1 a MIN
         1 SET s 1
         1 BZPOPMIN none s 0
         1 ZMPOP 1 s MIN
         1 BZPOPMIN none 0.01
         1 BZMPOP 0.01 1 none MIN",
    );
}

#[test]
fn wrong_arguments_are_told_in_redis_words() {
    same(
        "1 BZPOPMIN k abc
         1 BZPOPMIN k -1
         1 BZPOPMIN k 1e300
         1 BZPOPMIN k inf
         1 BZPOPMIN k nan
         1 BZPOPMIN k
         1 BZMPOP 1 0 k MIN
         1 BZMPOP x 1 k MIN COUNT
         1 BZMPOP x 1 k MIN
         1 BZMPOP 1 9223372036854775807 k MIN
         1 ZMPOP 1 k MIN COUNT 0
         1 ZMPOP 1 k MAX COUNT 1 COUNT 2
         1 ZMPOP 1 k MAX COUNT 1 2
         1 ZMPOP 1 k MID
         1 ZMPOP 2 k MIN
         1 ZMPOP a k MIN
         1 CLIENT UNBLOCK a
         1 CLIENT UNBLOCK 99
         1 CLIENT UNBLOCK 99 foo",
    );
}

#[test]
fn nothing_of_another_kind_ends_the_waiting() {
    same(
        "1 ?BZPOPMIN k 0
         4 SET k v
         4 DEL k
         4 ZADD other 1 m
         4 RENAME other k
         1 !
         1 ?BZPOPMIN k 0
         4 ZADD other 1 m
         4 RENAMENX other k
         1 !",
    );
}

#[test]
fn a_transaction_waits_for_nothing_and_serves_at_its_end() {
    same(
        "1 MULTI
         1 BZPOPMIN k 0
         1 BZMPOP 0 1 k MIN
         1 EXEC
         1 ?BZPOPMIN k l 0
         4 MULTI
         4 ZADD k 1 gone
         4 ZREM k gone
         4 ZADD l 1 l
         4 ZADD k 2 m
         4 EXEC
         1 !
         4 WATCH k
         1 ?BZPOPMAX k 0
         5 ZADD k 3 n
         1 !
         4 MULTI
         4 ZCARD k
         4 EXEC",
    );
}

#[test]
fn what_was_sent_behind_it_comes_after_it() {
    let node = Node::start(Config::default());
    let (mut client, mut other) = (node.connect(), node.connect());
    client.send(b"SET n 1\r\nBZPOPMIN k 0\r\nINCR n\r\n");
    assert_eq!(text(client.reply()), "+OK\r\n");
    eventually(|| other.say("CLIENT LIST").contains("flags=b"));
    client.send(b"INCR n\r\n");
    assert_eq!(other.say("GET n"), "$1\r\n1\r\n");
    other.say("ZADD k 1 m");
    let replies: Vec<_> = (0..3).map(|_| text(client.reply())).collect();
    assert_eq!(replies, ["*3\r\n$1\r\nk\r\n$1\r\nm\r\n$1\r\n1\r\n", ":2\r\n", ":3\r\n"]);
}

#[test]
fn nothing_is_taken_for_a_client_that_is_gone() {
    let node = Node::start(Config::default());
    let mut other = node.connect();
    let waits = |other: &mut Client<_>, number: usize| {
        let wanted = format!("blocked_clients:{number}\r\n");
        eventually(|| other.say("INFO clients").contains(&wanted));
    };
    let mut leaves = node.connect();
    leaves.send(b"BZPOPMIN k 0\r\n");
    waits(&mut other, 1);
    drop(leaves);
    waits(&mut other, 0);
    let mut killed = node.connect();
    killed.send(b"BZPOPMIN k 0\r\n");
    waits(&mut other, 1);
    assert_eq!(other.say("CLIENT KILL TYPE normal"), ":1\r\n");
    assert_eq!(other.say("ZADD k 1 m"), ":1\r\n");
    assert_eq!(other.say("ZCARD k"), ":1\r\n");
    assert_eq!(text(killed.reply()), "closed");
}

#[test]
fn waiting_ends_on_demand_and_with_the_node() {
    let mut node = Node::start(Config::default());
    let (mut client, mut other) = (node.connect(), node.connect());
    let id = client.say("CLIENT ID").trim_start_matches(':').trim_end().to_owned();
    for (how, answer) in [
        ("", "*-1\r\n"),
        (" TIMEOUT", "*-1\r\n"),
        (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"),
    ] {
        client.send(b"BZPOPMIN k 0\r\n");
        eventually(|| other.say(&format!("CLIENT UNBLOCK {id}{how}")) == ":1\r\n");
        assert_eq!(text(client.reply()), answer);
    }
    client.send(b"BZPOPMIN k 0\r\n");
    eventually(|| other.say("INFO clients").contains("blocked_clients:1"));
    node.shut_down();
    assert_eq!(text(client.reply()), "closed");
    node.join();
}

#[test]
fn an_answer_that_is_too_long_ends_its_client_and_not_the_line() {
    let node = Node::start(Config { max_reply_len: 10_000, ..Config::default() });
    let (mut greedy, mut next, mut giver) = (node.connect(), node.connect(), node.connect());
    greedy.send(b"BZMPOP 0 1 z MIN COUNT 1000\r\n");
    eventually(|| giver.say("INFO clients").contains("blocked_clients:1\r\n"));
    next.send(b"BZPOPMIN z 0\r\n");
    eventually(|| giver.say("INFO clients").contains("blocked_clients:2\r\n"));
    let members: String = (0..1_000).map(|n| format!(" {n} member-{n:020}")).collect();
    assert_eq!(giver.say(&format!("ZADD z{members}")), ":1000\r\n");
    let mut given = Vec::new();
    let end = greedy.stream().read_to_end(&mut given);
    assert!(end.is_ok() && given.is_empty(), "{end:?} after {} bytes", given.len());
    giver.say("ZADD z 1 m");
    assert_eq!(text(next.reply()), "*3\r\n$1\r\nz\r\n$1\r\nm\r\n$1\r\n1\r\n");
}

#[test]
fn a_client_that_has_sent_much_is_seen_to_go_all_the_same() {
    let node = Node::start(Config::default());
    let (mut leaves, mut floods, mut other) = (node.connect(), node.connect(), node.connect());
    leaves.send(b"BZPOPMIN k 0\r\n");
    eventually(|| other.say("INFO clients").contains("blocked_clients:1\r\n"));
    leaves.send("PING\r\n".repeat(30_000).as_bytes());
    drop(leaves);
    eventually(|| other.say("INFO clients").contains("blocked_clients:0\r\n"));
    // Who sends more than is kept is ended: what it waits for would be taken out for nobody.
    floods.send(b"BZPOPMIN k 0\r\n");
    eventually(|| other.say("INFO clients").contains("blocked_clients:1\r\n"));
    // It may be ended before it has sent all of it.
    let _ = floods.stream().write_all("PING\r\n".repeat(300_000).as_bytes());
    assert_eq!(text(floods.reply()), "closed");
    eventually(|| other.say("INFO clients").contains("blocked_clients:0\r\n"));
    assert_eq!((other.say("ZADD k 1 m"), other.say("ZCARD k")), (":1\r\n".to_owned(), ":1\r\n".to_owned()));
}

#[test]
fn much_that_was_sent_behind_it_comes_after_it() {
    let node = Node::start(Config::default());
    let (mut client, mut other) = (node.connect(), node.connect());
    client.send(b"BZPOPMIN k 0\r\n");
    eventually(|| other.say("INFO clients").contains("blocked_clients:1\r\n"));
    client.send("INCR n\r\n".repeat(20_000).as_bytes());
    eventually(|| other.say("CLIENT LIST").contains("qbuf=160000 "));
    other.say("ZADD k 1 m");
    assert!(text(client.reply()).contains("$1\r\nm\r\n"));
    for n in 1..=20_000 {
        assert_eq!(text(client.reply()), format!(":{n}\r\n"));
    }
}

/// The node's own clock tells, so that a busy machine makes no difference; and a slow command in front of it in the
/// same pipeline does not take from its time.
#[test]
fn a_wait_lasts_as_long_as_was_asked_for() {
    let node = Node::start(Config::default());
    let mut client = node.connect();
    let pairs: String = (0..50_000).map(|n| format!(" key:{n} v")).collect();
    assert_eq!(client.say(&format!("MSET{pairs}")), "+OK\r\n");
    for wait in ["BZPOPMIN none 0.3", "BZMPOP 0.3 1 none MAX"] {
        client.send(format!("KEYS nothing*\r\nTIME\r\n{wait}\r\nTIME\r\n").as_bytes());
        assert_eq!(text(client.reply()), "*0\r\n");
        let began = microseconds(client.reply());
        assert_eq!(text(client.reply()), "*-1\r\n");
        // The node counts whole milliseconds.
        let waited = microseconds(client.reply()) - began;
        assert!(waited > 299_000, "{wait}: {waited} µs");
    }
}

/// What TIME says.
fn microseconds(reply: Option<Vec<u8>>) -> u64 {
    let reply = text(reply);
    let numbers: Vec<u64> = reply.lines().filter_map(|line| line.parse().ok()).collect();
    let [seconds, microseconds] = numbers[..] else { panic!("no time: {reply}") };
    seconds * 1_000_000 + microseconds
}

#[test]
fn who_waits_is_not_silent() {
    let node = Node::start(Config::default());
    let (mut waits, mut silent, mut other) = (node.connect(), node.connect(), node.connect());
    waits.send(b"BZPOPMIN k 0\r\n");
    eventually(|| other.say("INFO clients").contains("blocked_clients:1\r\n"));
    silent.say("PING");
    // As long as a request takes on a busy machine.
    other.say("CONFIG SET timeout 3");
    assert_eq!(text(silent.reply()), "closed");
    other = node.connect();
    other.say("ZADD k 1 m");
    assert!(text(waits.reply()).contains("$1\r\nm\r\n"));
    // Its silence begins now.
    assert_eq!(waits.say("PING"), "+PONG\r\n");
}
