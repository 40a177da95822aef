//! Where requests go, and in what order and form their replies come back.

use resp::Protocol;

use super::Bench;

#[test]
fn a_request_goes_to_the_node_that_serves_its_key_and_its_reply_comes_back() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n2", 0);
    bench.send(client, &format!("SET {key} v"));
    assert_eq!(bench.sent_to_all(), [("n2".to_owned(), vec![format!("SET {key} v")])]);
    bench.answer("n2", "+OK\r\n");
    assert_eq!(bench.read(client), "+OK\r\n");
}

#[test]
fn replies_come_in_the_order_of_the_requests_whichever_node_is_faster() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let keys = ["n1", "n2", "n3"].map(|node| bench.key_on(node, 0));
    keys.iter().for_each(|key| bench.send(client, &format!("GET {key}")));
    bench.send(client, "PING");
    bench.answer("n3", "+3\r\n");
    bench.answer("n2", "+2\r\n");
    assert_eq!(bench.read(client), "");
    bench.answer("n1", "+1\r\n");
    assert_eq!(bench.read(client), "+1\r\n+2\r\n+3\r\n+PONG\r\n");
}

#[test]
fn many_keys_are_split_by_node_and_merged_in_order() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let (a, b, c) = (bench.key_on("n1", 0), bench.key_on("n2", 0), bench.key_on("n1", 1));
    bench.send(client, &format!("mget {a} {b} {c}"));
    assert_eq!(bench.sent("n1"), [format!("mget {a} {c}")]);
    assert_eq!(bench.sent("n2"), [format!("mget {b}")]);
    bench.answer("n2", "*1\r\n$-1\r\n");
    bench.answer("n1", "*2\r\n$1\r\na\r\n$1\r\nc\r\n");
    assert_eq!(bench.read(client), "*3\r\n$1\r\na\r\n$-1\r\n$1\r\nc\r\n");

    bench.send(client, &format!("MSET {a} 1 {b} 2"));
    assert_eq!(bench.sent("n1"), [format!("MSET {a} 1")]);
    bench.answer("n1", "+OK\r\n");
    bench.answer("n2", "-OOM no\r\n");
    assert_eq!(bench.read(client), "-OOM no\r\n");

    bench.send(client, &format!("DEL {a} {b} {c}"));
    bench.answer("n1", ":2\r\n");
    bench.answer("n2", ":1\r\n");
    assert_eq!(bench.read(client), ":3\r\n");
}

#[test]
fn keys_of_one_node_are_not_split() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let (a, c) = (bench.key_on("n1", 0), bench.key_on("n1", 1));
    bench.send(client, &format!("MGET {a} {c}"));
    assert_eq!(bench.sent("n1"), [format!("MGET {a} {c}")]);
    assert!(bench.worker.gathers.is_empty());
}

#[test]
fn keys_of_one_command_must_live_together_unless_it_can_be_split() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let (a, b) = (bench.key_on("n1", 0), bench.key_on("n2", 0));
    bench.send(client, &format!("RENAME {a} {b}"));
    let reply = bench.read(client);
    assert!(reply.starts_with("-CROSSSLOT ") && reply.contains(&a) && reply.contains(&b), "{reply}");
    bench.send(client, "RENAME {tag}a {tag}b");
    assert_eq!(bench.sent_to_all().len(), 1);
}

#[test]
fn every_node_is_asked_and_one_that_leaves_adds_nothing() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    bench.send(client, "DBSIZE");
    assert_eq!(bench.sent_to_all().len(), 3);
    bench.answer("n1", ":1\r\n");
    bench.answer("n2", ":2\r\n");
    bench.set_routable("n3", false);
    assert_eq!(bench.read(client), ":3\r\n");
    bench.send(client, "FLUSHALL");
    let flush = || vec!["FLUSHALL".to_owned()];
    assert_eq!(bench.sent_to_all(), [("n1".to_owned(), flush()), ("n2".to_owned(), flush())]);
}

#[test]
fn a_scan_passes_over_a_node_that_is_out_and_ends() {
    let mut bench = Bench::new(3);
    bench.set_routable("n2", false);
    let client = bench.client();
    bench.send(client, "SCAN 0 COUNT 5");
    assert_eq!(bench.sent("n1"), ["SCAN 0 COUNT 5"]);
    bench.answer("n1", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n");
    assert_eq!(bench.read(client), "*2\r\n$1\r\n1\r\n*1\r\n$1\r\na\r\n");
    bench.send(client, "SCAN 1 COUNT 5");
    assert_eq!(bench.sent("n3"), ["SCAN 0 COUNT 5"]);
    bench.answer("n3", "*2\r\n$1\r\n0\r\n*0\r\n");
    assert_eq!(bench.read(client), "*2\r\n$1\r\n0\r\n*0\r\n");
    bench.send(client, "SCAN x");
    assert_eq!(bench.read(client), "-ERR invalid cursor\r\n");
}

#[test]
fn a_client_of_resp3_has_connections_of_its_own() {
    let mut bench = Bench::new(1);
    let (old, new) = (bench.client(), bench.client());
    bench.send(new, "HELLO 3");
    assert!(bench.read(new).starts_with("%7\r\n"));
    bench.send(new, "GET k");
    bench.send(old, "GET k");
    let id = bench.link("n1", Protocol::Resp3);
    bench.worker.link_connected(id);
    assert_eq!(bench.sent_over("n1", Protocol::Resp3), ["HELLO 3", "CLIENT ID", "MULTI", "DISCARD"]);
    for reply in [&b"%0\r\n"[..], b":7\r\n", b"+OK\r\n", b"+OK\r\n"] {
        bench.worker.reply(id, reply).unwrap();
    }
    assert_eq!(bench.sent_over("n1", Protocol::Resp3), ["GET k"]);
    assert_eq!(bench.sent("n1"), ["GET k"]);
}

#[test]
fn a_push_is_nobodys_reply() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "GET k");
    bench.answer("n1", ">2\r\n+invalidate\r\n_\r\n$1\r\nv\r\n");
    assert_eq!(bench.read(client), "$1\r\nv\r\n");
}

#[test]
fn replies_for_a_client_that_has_left_reach_nobody() {
    let mut bench = Bench::new(1);
    let first = bench.client();
    bench.send(first, "GET k");
    bench.worker.disconnect(first);
    let second = bench.client();
    assert_eq!(second.index, first.index, "the slab entry is used again");
    bench.send(second, "GET other");
    bench.answer("n1", "$5\r\nfirst\r\n$6\r\nsecond\r\n");
    assert_eq!(bench.read(second), "$6\r\nsecond\r\n");
}

#[test]
fn a_reply_that_nobody_asked_for_ends_the_connection() {
    let mut bench = Bench::new(1);
    let id = bench.link("n1", Protocol::Resp2);
    let failure = bench.worker.reply(id, b"-ERR max number of clients reached\r\n").unwrap_err();
    assert!(failure.to_string().contains("max number of clients"), "{failure}");
}
