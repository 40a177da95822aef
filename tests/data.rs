//! What is more than one request and one reply: walks over all keys, large values, requests in pieces.

use std::collections::BTreeSet;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::random::Random;
use resp::Elements;

#[test]
fn scan_walks_over_the_keys_of_all_nodes_once() {
    const KEYS: usize = 5_000;
    let cluster = Cluster::start(3, 1);
    let mut client = cluster.client(0);
    for first in (0..KEYS).step_by(500) {
        let pairs: String = (first..first + 500).map(|key| format!(" key:{key} {key}")).collect();
        assert_eq!(client.ask(&format!("MSET{pairs}")), "+OK\r\n");
    }
    assert_eq!(client.ask("DBSIZE"), format!(":{KEYS}\r\n"));
    for node in 0..3 {
        // Each node owns about a third.
        let count = cluster.node_client(node).ask("DBSIZE");
        let count: usize = count[1..].trim_end().parse().expect("a number");
        assert!((KEYS / 6..KEYS / 2).contains(&count), "node {node} holds {count} of {KEYS} keys");
    }
    let wanted: BTreeSet<_> = (0..KEYS).map(|key| format!("key:{key}")).collect();
    let found = scanned(&mut client, "COUNT 100");
    // Nothing changed during the walk, so nothing may come twice.
    assert_eq!(found.len(), KEYS);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted);
    let matching: BTreeSet<_> = scanned(&mut client, "MATCH key:12* COUNT 1000").into_iter().collect();
    assert_eq!(matching, wanted.into_iter().filter(|key| key.starts_with("key:12")).collect());
}

/// All keys that a walk with these options gives.
fn scanned(client: &mut Client, options: &str) -> Vec<String> {
    let (mut keys, mut cursor) = (Vec::new(), "0".to_owned());
    // Far more than any walk here takes.
    for _ in 0..10_000 {
        let reply = client.ask(&format!("SCAN {cursor} {options}"));
        let mut page = elements(reply.as_bytes());
        let page_keys = page.pop().expect("a cursor and a list");
        cursor = text(page[0]);
        keys.extend(elements(page_keys).into_iter().map(text));
        if cursor == "0" {
            return keys;
        }
    }
    panic!("the walk does not end: {cursor}");
}

fn elements(reply: &[u8]) -> Vec<&[u8]> {
    let elements = Elements::of(reply).unwrap_or_else(|| panic!("no list: {}", reply.escape_ascii()));
    elements.collect::<Result<_, _>>().expect("a complete reply")
}

/// The text of a bulk string.
fn text(bulk: &[u8]) -> String {
    let bulk = String::from_utf8_lossy(bulk);
    bulk.split_once("\r\n").expect("a bulk string").1.trim_end().to_owned()
}

#[test]
fn large_values_pass_through_unchanged() {
    let cluster = Cluster::start(2, 1);
    let mut client = cluster.client(0);
    let mut random = Random::new(1);
    for megabytes in [1, 8, 32] {
        let value: Vec<u8> = (0..megabytes << 17).flat_map(|_| random.next().to_le_bytes()).collect();
        assert_eq!(client.try_ask(&[b"SET", b"large", &value]).expect("the connection holds"), b"+OK\r\n");
        let reply = client.try_ask(&[b"GET", b"large"]).expect("the connection holds");
        let expected = [format!("${}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat();
        assert!(reply == expected, "{megabytes} MB came back as {} bytes", reply.len());
    }
}

/// A network may cut a request anywhere, and deliver the pieces whenever it likes.
#[test]
fn requests_may_come_byte_by_byte() {
    let cluster = Cluster::start(2, 1);
    let requests = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n1\r\n2\r\nPING\r\n*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n\r\nECHO \"x y\"\r\n";
    for mut client in [cluster.client(0), cluster.node_client(0)] {
        for byte in requests {
            client.send_raw(&[*byte]).expect("the connection holds");
        }
        let replies: Vec<_> =
            (0..4).map(|_| client.receive().expect("a reply").escape_ascii().to_string()).collect();
        assert_eq!(
            replies,
            ["+OK\\r\\n", "+PONG\\r\\n", "*2\\r\\n$4\\r\\n1\\r\\n2\\r\\n$-1\\r\\n", "$3\\r\\nx y\\r\\n"]
        );
    }
}
