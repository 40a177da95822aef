//! What becomes of requests when connections are lost, nodes come and go, and time passes.

use std::time::Duration;

use cluster::ViewNode;
use resp::Protocol;

use super::Bench;
use crate::link::failure::Failure;
use crate::outbox::RareWork;

#[test]
fn a_lost_request_goes_to_the_stand_in_of_the_next_view() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    bench.send(client, &format!("INCR {key}"));
    bench.sent("n1");
    bench.fail("n1");
    assert_eq!(bench.reports(), ["n1 Refused"]);
    bench.send(client, &format!("GET {key}"));
    assert_eq!(bench.read(client), "");

    bench.set_routable("n1", false);
    let stand_in = bench.node_of(&key);
    assert_ne!(stand_in, "n1");
    assert_eq!(bench.sent(&stand_in), [format!("INCR {key}"), format!("GET {key}")]);
    assert_eq!(bench.worker.stats.resent, 1, "the other one had not been sent");
    bench.answer(&stand_in, ":1\r\n$1\r\n1\r\n");
    assert_eq!(bench.read(client), ":1\r\n$1\r\n1\r\n");
}

#[test]
fn keys_of_a_lost_part_go_to_the_stand_in_of_each() {
    let mut bench = Bench::new(4);
    let client = bench.client();
    let lost: Vec<_> = (0..12).map(|salt| bench.key_on("n1", salt)).collect();
    let other = bench.key_on("n2", 0);
    bench.send(client, &format!("MGET {other} {}", lost.join(" ")));
    bench.sent_to_all();
    bench.answer("n2", "*1\r\n$5\r\nother\r\n");
    bench.fail("n1");
    bench.set_routable("n1", false);
    let parts = bench.sent_to_all();
    assert!(parts.len() > 1, "{parts:?}");
    for (node, lines) in parts {
        let values: Vec<_> =
            lines[0].split(' ').skip(1).map(|key| format!("${}\r\n{key}\r\n", key.len())).collect();
        bench.answer(&node, &format!("*{}\r\n{}", values.len(), values.concat()));
    }
    let values: String = lost.iter().map(|key| format!("${}\r\n{key}\r\n", key.len())).collect();
    assert_eq!(bench.read(client), format!("*13\r\n$5\r\nother\r\n{values}"));
    assert!(bench.worker.gathers.is_empty());
}

#[test]
fn what_is_held_for_a_stand_in_goes_to_the_owner_that_is_back() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    bench.set_routable("n1", false);
    let stand_in = bench.node_of(&key);
    bench.fail(&stand_in);
    bench.send(client, &format!("SET {key} new"));
    bench.set_routable("n1", true);
    bench.connect_links();
    assert_eq!(bench.sent(&stand_in), Vec::<String>::new());
    assert_eq!(bench.sent("n1"), [format!("SET {key} new")]);
}

#[test]
fn what_a_stand_in_lost_after_its_keys_had_moved_goes_to_the_owner() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    bench.set_routable("n1", false);
    let stand_in = bench.node_of(&key);
    bench.send(client, &format!("SET {key} new"));
    bench.sent(&stand_in);
    bench.set_routable("n1", true);
    bench.connect_links();
    bench.fail(&stand_in);
    bench.connect_links();
    assert_eq!(bench.sent(&stand_in), Vec::<String>::new());
    assert_eq!(bench.sent("n1"), [format!("SET {key} new")]);
}

#[test]
fn a_node_with_a_new_address_is_another_process() {
    let move_to_port = |node: &mut ViewNode| node.port += 100;
    let move_to_host = |node: &mut ViewNode| node.host.push_str(".example");
    for change in [move_to_port as fn(&mut ViewNode), move_to_host] {
        let mut bench = Bench::new(1);
        let client = bench.client();
        bench.send(client, "INCR k");
        bench.sent("n1");
        bench.view.epoch += 1;
        change(&mut bench.view.nodes[0]);
        bench.publish();
        bench.connect_links();
        assert_eq!(bench.sent("n1"), ["INCR k"]);
    }
}

#[test]
fn what_is_held_goes_over_the_link_of_its_own_protocol_version() {
    let mut bench = Bench::new(1);
    let [old, new] = [(); 2].map(|()| bench.client());
    bench.send(new, "HELLO 3");
    bench.send(new, "GET new");
    bench.fail("n1");
    bench.send(old, "GET old");
    bench.connect_link(bench.link("n1", Protocol::Resp2));
    assert_eq!(bench.sent("n1"), ["GET old"]);
    bench.connect_links();
    assert_eq!(bench.sent_over("n1", Protocol::Resp3), ["GET new"]);
}

#[test]
fn a_node_that_accepts_and_does_not_greet_is_given_up_as_one_that_does_not_accept() {
    let mut bench = Bench::with_flags(1, &["--connect-timeout", "300ms", "--node-timeout", "5s"]);
    bench.fail("n1");
    let id = bench.link("n1", Protocol::Resp2);
    bench.worker.link_connected(id);
    bench.sent("n1");
    bench.wait(Duration::from_millis(250));
    assert!(!bench.gives_up_a_link());
    bench.wait(Duration::from_millis(100));
    assert!(bench.gives_up_a_link());
    // A link on which somebody is to be blocked is no exception.
    bench.fail("n1");
    bench.connect_link(id);
    let client = bench.client();
    bench.send(client, "BLPOP k 0");
    let (link, _) = bench.pinned(client);
    bench.worker.link_connected(link);
    bench.write(link);
    bench.wait(Duration::from_millis(250));
    assert!(!bench.gives_up_a_link());
    bench.wait(Duration::from_millis(100));
    assert!(bench.gives_up_a_link());
}

#[test]
fn a_node_that_refuses_the_connection_answers_nobody() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.fail("n1");
    bench.send(client, "INCR k");
    let id = bench.link("n1", Protocol::Resp2);
    bench.worker.link_connected(id);
    assert_eq!(bench.sent("n1"), ["PING", "CLIENT ID", "MULTI", "DISCARD"]);
    bench.reports();
    let failure = bench.worker.reply(id, b"-ERR max number of clients reached\r\n").unwrap_err();
    bench.worker.link_failed(id, &failure);
    assert_eq!(bench.reports(), ["n1 Error"]);
    assert_eq!(bench.read(client), "");
    bench.connect_links();
    assert_eq!(bench.sent("n1"), ["INCR k"]);
}

#[test]
fn a_proxy_that_cannot_connect_by_its_own_fault_accuses_nobody() {
    let mut bench = Bench::new(1);
    let id = bench.link("n1", Protocol::Resp2);
    bench.reports();
    bench.worker.link_failed(id, &Failure::Own("too many open files".to_owned()));
    assert!(bench.reports().is_empty());
}

#[test]
fn a_node_that_stays_away_is_waited_for_once() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.fail("n1");
    bench.wait(Duration::from_secs(60));
    bench.send(client, "GET k");
    bench.wait(Duration::from_millis(40));
    assert_eq!(bench.read(client), "");
    bench.wait(Duration::from_millis(20));
    assert!(bench.read(client).starts_with("-UNAVAILABLE "));
}

#[test]
fn a_request_is_not_held_for_ever() {
    let mut bench = Bench::new(2);
    let [client, early] = [(); 2].map(|()| bench.client());
    let key = bench.key_on("n1", 0);
    // The time counts from the loss of the node, for what is on its way too.
    bench.wait(Duration::from_secs(60));
    bench.send(early, &format!("GET {key}"));
    bench.sent("n1");
    bench.fail("n1");
    bench.worker.outbox.rare.clear();
    bench.send(client, &format!("GET {key}"));
    assert!(matches!(bench.worker.outbox.rare[..], [RareWork::Watch]), "somebody looks at the deadlines");
    bench.wait(Duration::from_millis(999));
    assert!(bench.worker.is_waiting());
    assert_eq!([early, client].map(|client| bench.read(client)), ["", ""]);
    bench.wait(Duration::from_millis(2));
    assert!(bench.read(client).contains("was not executed"));
    assert!(bench.read(early).contains("may have been executed"));
    assert_eq!(bench.worker.stats.expired, 2);
}

#[test]
fn a_request_that_loses_one_node_after_the_other_is_given_up() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, "GET k");
    for _ in 0..8 {
        assert_eq!(bench.read(client), "");
        let node = bench.node_of("k");
        bench.sent(&node);
        bench.fail(&node);
        bench.wait(Duration::from_millis(850));
        let other = if node == "n1" { "n2" } else { "n1" };
        bench.set_routable(other, true);
        bench.set_routable(&node, false);
        bench.connect_links();
        if bench.worker.stats.expired > 0 {
            break;
        }
    }
    let reply = bench.read(client);
    assert!(reply.contains("gave no answer within 6800 ms"), "a node's time and a hold's: {reply}");
}

#[test]
fn a_slow_node_is_reported_and_given_up_only_much_later() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "GET k");
    bench.reports();
    bench.wait(Duration::from_millis(150));
    assert!(bench.reports().is_empty());
    bench.wait(Duration::from_millis(100));
    assert_eq!(bench.reports(), ["n1 Timeout"]);
    bench.wait(Duration::from_millis(100));
    assert!(bench.reports().is_empty(), "once a second is enough");
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.reports(), ["n1 Timeout"]);
    bench.wait(Duration::from_secs(4));
    assert!(bench.gives_up_a_link());
}

#[test]
fn a_node_that_answers_is_not_given_up_however_long_its_queue() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    (0..60).for_each(|_| bench.send(client, "GET k"));
    for _ in 0..59 {
        bench.wait(Duration::from_millis(100));
        bench.answer("n1", "$1\r\nv\r\n");
    }
    assert!(!bench.gives_up_a_link());
}

#[test]
fn a_new_connection_is_not_given_up_for_the_age_of_what_it_is_given() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "GET k");
    bench.sent("n1");
    bench.wait(Duration::from_millis(5_050));
    assert!(bench.gives_up_a_link());
    bench.fail("n1");
    bench.connect_links();
    bench.wait(Duration::from_millis(50));
    assert!(!bench.gives_up_a_link());
}

#[test]
fn a_slow_reply_is_taken_when_it_comes_before_a_new_view() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "GET k");
    bench.wait(Duration::from_secs(4));
    bench.answer("n1", "$1\r\nv\r\n");
    assert_eq!(bench.read(client), "$1\r\nv\r\n");
}

#[test]
fn a_node_with_a_new_address_is_asked_in_the_version_that_is_waited_for() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "HELLO 3");
    bench.send(client, "GET k");
    bench.connect_links();
    assert_eq!(bench.sent_over("n1", Protocol::Resp3), ["GET k"]);
    bench.view.epoch += 1;
    bench.view.nodes[0].port += 100;
    bench.publish();
    bench.connect_links();
    assert_eq!(bench.sent_over("n1", Protocol::Resp3), ["GET k"]);
}
