//! What clients may take: replies, unfinished requests, connections, time. Beyond it they are ended or wait, and the
//! others notice nothing.

use super::peer::{Client, Node, eventually, text};
use cache_node::Config;
use cache_node::engine::Limits;
use std::io::Write;
use std::net::TcpStream;

fn node() -> Node {
    Node::start(Config::default())
}

#[test]
fn a_client_that_takes_no_replies_costs_bounded_memory() {
    let node = node();
    let mut greedy = node.connect();
    let value = vec![b'x'; 100_000];
    greedy.ask(&[b"SET".to_vec(), b"v".to_vec(), value]);
    // A gigabyte of replies, asked for in one go and not read.
    let requests = "GET v\r\n".repeat(10_000);
    let mut writer = greedy.stream().try_clone().unwrap();
    let sender = std::thread::spawn(move || writer.write_all(requests.as_bytes()));
    let mut observer = node.connect();
    let mut waiting = || {
        let list = observer.say("CLIENT LIST");
        let each =
            list.split("omem=").skip(1).filter_map(|rest| rest.split(' ').next()?.parse::<usize>().ok());
        each.sum::<usize>()
    };
    eventually(|| waiting() > 0);
    // The node goes on serving others, and reads no more than it can answer.
    for _ in 0..100 {
        assert!((1..1_000_000).contains(&waiting()), "{} bytes", waiting());
    }
    let mut taken = 0;
    while let Some(reply) = (taken < 10_000).then(|| greedy.reply()).flatten() {
        assert_eq!(reply.len(), 100_011);
        taken += 1;
    }
    assert_eq!(taken, 10_000);
    sender.join().unwrap().unwrap();
}

#[test]
fn clients_beyond_the_limit_are_refused() {
    let node = Node::start(Config { maxclients: 2, ..Config::default() });
    let mut first = node.connect();
    let mut second = node.connect();
    assert_eq!((first.say("PING"), second.say("PING")), ("+PONG\r\n".to_owned(), "+PONG\r\n".to_owned()));
    let mut third = node.connect();
    assert_eq!(text(third.reply()), "-ERR max number of clients reached\r\n");
    assert_eq!(third.reply(), None);
    assert!(first.say("INFO").contains("rejected_connections:1\r\n"));
    drop(second);
    eventually(|| node.connect().try_say("PING").as_deref() == Some("+PONG\r\n"));
}

#[test]
fn a_reply_that_is_too_long_ends_its_client_and_nobody_else() {
    let node = Node::start(Config { max_reply_len: 1_000_000, ..Config::default() });
    let mut other = node.connect();
    other.ask(&[b"SET".to_vec(), b"k".to_vec(), vec![b'x'; 100_000]]);
    other.ask(&[b"ZADD".to_vec(), b"z".to_vec(), b"1".to_vec(), vec![b'x'; 1_000_000]]);
    for n in 0..20 {
        other.ask(&[b"SET".to_vec(), vec![n; 60_000], vec![]]);
    }
    for greedy in [format!("MGET{}", " k".repeat(11)), "KEYS *".to_owned(), "ZRANGE z 0 -1".to_owned()] {
        let mut client = node.connect();
        assert_eq!(client.say("PING"), "+PONG\r\n");
        client.send(format!("PING\r\n{greedy}\r\nSET later 1\r\n").as_bytes());
        assert_eq!(text(client.reply()), "closed", "{greedy}");
    }
    assert_eq!(other.say("EXISTS k z later"), ":2\r\n");
    assert_eq!(other.say(&format!("MGET{}", " k".repeat(9))).len(), 4 + 9 * 100_011);
}

#[test]
fn the_longest_string_a_client_may_send_can_be_set() {
    let node = node();
    let mut client = node.connect();
    assert_eq!(client.say("CONFIG SET proto-max-bulk-len 1mb"), "+OK\r\n");
    assert_eq!(client.ask(&[b"SET".to_vec(), b"k".to_vec(), vec![0; 1 << 20]]), b"+OK\r\n");
    for mut client in [client, node.connect()] {
        client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n");
        assert_eq!(text(client.reply()), "-ERR Protocol error: invalid bulk length\r\n");
        assert_eq!(text(client.reply()), "closed");
    }
}

#[test]
fn unfinished_requests_of_all_clients_are_bounded() {
    let limits = Limits { maxmemory: 1_000_000, ..Config::default().limits };
    let node = Node::start(Config { limits, ..Config::default() });
    let start = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n";
    let (mut small, mut large, mut next) = (node.connect(), node.connect(), node.connect());
    let mut observer = node.connect();
    // What waits for EXEC counts too.
    small.say("MULTI");
    assert_eq!(small.ask(&[b"SET".to_vec(), b"k".to_vec(), vec![0; 20_000_000]]), b"+QUEUED\r\n");
    let mut unfinished = |client: &mut Client<TcpStream>, len: usize| {
        client.send(&[start.as_slice(), &vec![0; len]].concat());
        let held = format!("qbuf={} ", start.len() + len);
        eventually(|| observer.say("CLIENT LIST").contains(&held));
    };
    unfinished(&mut large, 30_000_000);
    // Together they would hold more than 64 MiB: the largest goes.
    unfinished(&mut next, 25_000_000);
    assert_eq!(text(large.reply()), "closed");
    assert_eq!(observer.say("PING"), "+PONG\r\n");
    let list = observer.say("CLIENT LIST");
    assert_eq!(list.matches("id=").count(), 3, "{list}");
}

#[test]
fn what_clients_wait_for_is_bounded_as_unfinished_requests_are() {
    let limits = Limits { maxmemory: 1_000_000, ..Config::default().limits };
    let node = Node::start(Config { limits, ..Config::default() });
    let mut observer = node.connect();
    let mut waits = |keys: usize, number: usize| {
        let mut client = node.connect();
        let keys: Vec<_> = (0..keys).map(|n| format!("{n:05}")).collect();
        let mut words = vec!["BZPOPMIN"];
        words.extend(keys.iter().map(String::as_str));
        words.push("0");
        let mut request = Vec::new();
        resp::encode_request(&mut request, words.into_iter().map(str::as_bytes));
        client.send(&request);
        let wanted = format!("blocked_clients:{number}\r\n");
        eventually(|| observer.say("INFO clients").contains(&wanted));
        client
    };
    // 400 bytes for each key, which is what it costs: together they would hold more than 64 MiB, so the largest goes.
    let (mut large, _small) = (waits(70_000, 1), waits(50_000, 2));
    let _next = waits(60_000, 2);
    assert_eq!(text(large.reply()), "closed");
    assert_eq!(observer.say("ZADD 00001 1 m"), ":1\r\n");
    assert_eq!(observer.say("EXISTS 00001"), ":0\r\n");
}

#[test]
fn slow_requests_of_one_client_let_others_in_between() {
    let node = node();
    let (mut hog, mut other) = (node.connect(), node.connect());
    let load: String = (0..5_000).map(|n| format!("SET k:{n} v\r\n")).collect();
    hog.send(load.as_bytes());
    for _ in 0..5_000 {
        hog.reply();
    }
    other.say("SET rounds 0");
    let round = format!("{}INCR rounds\r\n", "KEYS nothing*\r\n".repeat(32));
    hog.send(round.repeat(30).as_bytes());
    let mut seen = std::collections::BTreeSet::new();
    eventually(|| {
        seen.insert(other.say("GET rounds"));
        seen.contains("$2\r\n30\r\n")
    });
    // All in one go would show nothing between the first and the last.
    assert!(seen.len() > 5, "{seen:?}");
}

#[test]
fn more_clients_than_open_files_are_refused_with_a_number() {
    let node = node();
    let mut client = node.connect();
    let reply = client.say("CONFIG SET maxclients 4294967295");
    assert!(reply.contains("not able to handle the specified number of clients, try with "), "{reply}");
    assert_eq!(client.say("CONFIG GET maxclients"), "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n");
}
