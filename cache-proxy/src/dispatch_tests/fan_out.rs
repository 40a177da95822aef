//! What concerns all nodes, or any: scripts, logs, and commands without a key.

use resp::Protocol;

use super::Bench;
use crate::link::failure::Failure;
use crate::link::pin::Pin;
use crate::link::{Link, LinkId};

const SHA: &str = "$4\r\nabcd\r\n";

fn lines(line: &str) -> Vec<String> {
    vec![line.to_owned()]
}

#[test]
fn a_script_is_loaded_on_all_nodes_and_on_those_that_come_later() {
    let mut bench = Bench::new(3);
    bench.set_routable("n3", false);
    let client = bench.client();
    bench.send(client, "SCRIPT LOAD return");
    for node in ["n1", "n2"] {
        assert_eq!(bench.sent(node), lines("SCRIPT LOAD return"));
        bench.answer(node, SHA);
    }
    assert_eq!(bench.read(client), SHA);
    bench.set_routable("n3", true);
    let key = bench.key_on("n3", 0);
    bench.send(client, &format!("EVALSHA abcd 1 {key}"));
    bench.connect_links();
    // The handshake has been answered; the script goes before what was held.
    let expected = ["SCRIPT LOAD return".to_owned(), format!("EVALSHA abcd 1 {key}")];
    assert_eq!(bench.sent("n3"), expected);
    bench.answer("n3", &format!("{SHA}:7\r\n"));
    assert_eq!(bench.read(client), ":7\r\n");
}

#[test]
fn a_node_that_knows_no_scripts_is_no_failure() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "SCRIPT LOAD return");
    bench.answer("n1", SHA);
    assert_eq!(bench.read(client), SHA);
    bench.fail("n1");
    bench.connect_links();
    assert_eq!(bench.sent("n1"), lines("SCRIPT LOAD return"));
    // Lost before it has answered: nobody waits for it.
    bench.fail("n1");
    bench.connect_links();
    bench.answer("n1", "-ERR unknown command 'SCRIPT'\r\n");
    bench.send(client, "GET k");
    bench.answer("n1", "$-1\r\n");
    assert_eq!(bench.read(client), "$-1\r\n");
}

#[test]
fn what_was_flushed_or_refused_is_not_given_to_anybody() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "SCRIPT LOAD bad");
    bench.answer("n1", "-ERR Error compiling script\r\n");
    bench.send(client, "SCRIPT LOAD good");
    bench.answer("n1", SHA);
    bench.send(client, "SCRIPT FLUSH");
    bench.answer("n1", "+OK\r\n");
    assert_eq!(bench.read(client), format!("-ERR Error compiling script\r\n{SHA}+OK\r\n"));
    bench.fail("n1");
    bench.connect_links();
    assert!(bench.sent("n1").is_empty());
}

#[test]
fn a_script_that_was_refused_is_not_kept_and_one_that_is_being_flushed_is_given_to_nobody() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "SCRIPT LOAD bad");
    bench.answer("n1", "-ERR Error compiling script\r\n");
    bench.fail("n1");
    bench.connect_links();
    assert!(bench.sent("n1").is_empty());
    bench.send(client, "SCRIPT LOAD good");
    bench.answer("n1", SHA);
    bench.send(client, "SCRIPT FLUSH");
    bench.fail("n1");
    bench.connect_links();
    assert_eq!(bench.sent("n1"), lines("SCRIPT FLUSH"));
}

#[test]
fn a_link_for_one_client_is_given_no_scripts() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "SCRIPT LOAD return");
    bench.answer("n1", SHA);
    bench.send(client, "BLPOP k 0");
    let (link, _) = bench.pinned(client);
    bench.connect_link(link);
    assert_eq!(bench.sent_on(link), lines("BLPOP k 0"));
}

#[test]
fn a_page_of_a_walk_is_asked_of_its_own_node_alone() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, "SCAN 0");
    assert_eq!(bench.sent("n1"), lines("SCAN 0"));
    bench.set_routable("n1", false);
    assert_eq!(bench.read(client), "*2\r\n$1\r\n1\r\n*0\r\n", "on to the next node");
    assert!(bench.sent_to_all().is_empty());
}

#[test]
fn a_random_key_is_not_always_of_the_same_node() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let mut keys = std::collections::BTreeSet::new();
    for _ in 0..10 {
        bench.send(client, "RANDOMKEY");
        bench.answer("n1", "$1\r\na\r\n");
        bench.answer("n2", "$1\r\nb\r\n");
        keys.insert(bench.read(client));
    }
    assert_eq!(keys.len(), 2);
}

#[test]
fn a_script_without_a_key_may_only_read_and_runs_on_one_node() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let mut nodes = std::collections::BTreeSet::new();
    for number in 0..40 {
        bench.send(client, &format!("eval return:{number} 0"));
        let [(node, sent)] = bench.sent_to_all().try_into().unwrap();
        assert_eq!(sent, lines(&format!("EVAL_RO return:{number} 0")));
        bench.answer(&node, ":1\r\n");
        nodes.insert(node);
    }
    assert_eq!(nodes.len(), 3, "they spread");
    assert_eq!(bench.read(client), ":1\r\n".repeat(40));
}

#[test]
fn a_node_that_runs_no_script_without_a_key_is_told_of_in_the_clients_words() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for (request, sent, quote) in
        [("EVAL return 0", "EVAL", '\''), ("evalsha abcd 0", "EVALSHA", '`'), ("FCALL f 0 a", "FCALL", '\'')]
    {
        bench.send(client, request);
        bench.answer(
            "n1",
            &format!("-ERR unknown command {quote}{sent}_RO{quote}, with args beginning with: \r\n"),
        );
        let told = bench.read(client);
        let expected =
            format!("-ERR '{sent}' without keys is sent as {sent}_RO, which node n1 does not know; use ");
        assert!(told.starts_with(&expected) && told.ends_with(")\r\n"), "{told}");
    }
    // With a key it is sent as it is, and so is what the node says of it.
    for error in ["-ERR unknown command 'EVAL', with args\r\n", "-NOSCRIPT No matching script.\r\n"] {
        bench.send(client, "EVAL return 1 k");
        bench.answer("n1", error);
        assert_eq!(bench.read(client), error);
    }
}

#[test]
fn a_script_without_a_key_is_found_by_its_name_where_it_ran() {
    // SHA-1 of `return 1`.
    const NAME: &str = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    let mut bench = Bench::new(50);
    let client = bench.client();
    let upper = NAME.to_ascii_uppercase();
    let lines =
        [format!("EVALSHA {NAME} 0"), format!("EVALSHA_RO {upper} 0"), "EVAL 'return 1' 0".to_owned()];
    let nodes = lines.map(|line| {
        bench.send(client, &line);
        let [(node, _)] = bench.sent_to_all().try_into().unwrap();
        node
    });
    assert!(nodes.iter().all(|node| *node == nodes[0]), "{nodes:?}");
}

#[test]
fn a_script_that_was_being_loaded_when_all_were_flushed_is_not_kept() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "SCRIPT LOAD return");
    bench.send(client, "SCRIPT FLUSH");
    bench.answer("n1", &format!("{SHA}+OK\r\n"));
    assert_eq!(bench.read(client), format!("{SHA}+OK\r\n"));
    bench.fail("n1");
    bench.connect_links();
    assert!(bench.sent("n1").is_empty());
}

#[test]
fn what_the_hold_refuses_leaves_no_link_behind() {
    let mut bench = Bench::new(1);
    let key = bench.key_on("n1", 0);
    bench.fail("n1");
    let (writer, client) = (bench.client(), bench.client());
    bench.send_value(writer, &key, &"x".repeat(64 * 1024 * 1024));
    let links = bench.worker.links.len();
    bench.send(client, "SCRIPT KILL");
    assert!(bench.read(client).contains("too many requests wait for it"));
    assert_eq!(bench.worker.links.len(), links);
}

#[test]
fn a_script_without_a_key_goes_to_another_node_when_its_own_is_lost() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, "EVAL return 0");
    let [(node, _)] = bench.sent_to_all().try_into().unwrap();
    bench.fail(&node);
    bench.set_routable(&node, false);
    let [(other, sent)] = bench.sent_to_all().try_into().unwrap();
    assert_eq!(sent, lines("EVAL_RO return 0"));
    bench.answer(&other, ":1\r\n");
    assert_eq!(bench.read(client), ":1\r\n");
}

#[test]
fn slow_logs_are_one_log() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, "SLOWLOG GET 1");
    bench.answer("n1", "*1\r\n*3\r\n:4\r\n:100\r\n:5\r\n");
    bench.answer("n2", "*1\r\n*3\r\n:2\r\n:200\r\n:6\r\n");
    assert_eq!(bench.read(client), format!("*1\r\n*3\r\n:{}\r\n:200\r\n:6\r\n", 2 << 12 | 1));
    bench.send(client, "SLOWLOG GET x");
    bench.answer("n1", "-ERR not an integer\r\n");
    bench.answer("n2", "-ERR not an integer\r\n");
    assert_eq!(bench.read(client), "-ERR not an integer\r\n");
    bench.send(client, "SLOWLOG LEN");
    bench.answer("n1", ":3\r\n");
    bench.answer("n2", ":4\r\n");
    assert_eq!(bench.read(client), ":7\r\n");
}

#[test]
fn what_stops_a_script_goes_past_it() {
    let mut bench = Bench::new(2);
    let clients = [bench.client(), bench.client()];
    let key = bench.key_on("n1", 0);
    bench.send(clients[0], &format!("EVAL endless 1 {key}"));
    bench.send(clients[1], "SCRIPT KILL");
    bench.connect_links();
    for (node, answer) in [("n1", &b"+OK\r\n"[..]), ("n2", IDLE)] {
        let link = urgent_link(&bench, node);
        assert_eq!(bench.sent_on(link), lines("SCRIPT KILL"));
        assert_eq!(bench.worker.links[link].protocol, Protocol::Resp3, "a busy node greets with HELLO alone");
        bench.worker.reply(link, answer).unwrap();
    }
    assert_eq!(bench.read(clients[1]), "+OK\r\n");
    assert_eq!(bench.sent("n1"), lines(&format!("EVAL endless 1 {key}")));
}

#[test]
fn a_node_that_is_lost_has_no_script_to_stop() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, "SCRIPT KILL");
    bench.connect_links();
    let links = ["n1", "n2"].map(|node| urgent_link(&bench, node));
    links.iter().for_each(|link| drop(bench.sent_on(*link)));
    bench.worker.link_failed(links[0], &Failure::Refused);
    bench.set_routable("n1", false);
    bench.worker.reply(links[1], IDLE).unwrap();
    assert_eq!(bench.read(client).as_bytes(), IDLE);
}

const IDLE: &[u8] = b"-NOTBUSY No scripts in execution right now.\r\n";

/// The link to `node` that waits behind nothing.
fn urgent_link(bench: &Bench, node: &str) -> LinkId {
    let is_it = |link: &Link| link.node.as_str() == node && link.pin == Some(Pin::Urgent);
    bench.worker.links.iter().find(|(_, link)| is_it(link)).unwrap().0
}

#[test]
fn scripts_are_provided_in_both_protocol_versions() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "SCRIPT LOAD return");
    bench.answer("n1", SHA);
    bench.send(client, "HELLO 3");
    bench.read(client);
    bench.send(client, "GET k");
    bench.connect_links();
    assert_eq!(bench.sent_over("n1", Protocol::Resp3), ["SCRIPT LOAD return", "GET k"]);
}
