//! What becomes of requests when connections are lost, nodes come and go, and time passes.

use std::time::Duration;

use resp::{Protocol, ProtocolError};

use super::Bench;
use crate::link::failure::Failure;

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
fn what_may_not_run_twice_on_a_node_that_is_back_is_answered_before_anything_overtakes_it() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    bench.send(client, &format!("INCR {key}"));
    bench.send(client, &format!("SET {key} 100"));
    bench.sent("n1");
    bench.fail("n1");
    bench.send(client, &format!("INCR {key}"));
    bench.connect_links();
    // The first INCR may have counted; the second was never sent.
    let reply = bench.read(client);
    assert!(
        reply.starts_with("-UNAVAILABLE node n1 ") && reply.contains("may have been executed"),
        "{reply}"
    );
    assert_eq!(bench.sent("n1"), [format!("SET {key} 100"), format!("INCR {key}")]);
    bench.set_routable("n1", false);
    let stand_in = bench.node_of(&key);
    assert_eq!(bench.sent(&stand_in), [format!("SET {key} 100"), format!("INCR {key}")]);
}

#[test]
fn a_read_is_not_asked_again_of_a_node_that_may_have_done_what_its_client_wrote_behind_it() {
    let mut bench = Bench::new(1);
    let [client, other] = [(); 2].map(|()| bench.client());
    for line in ["GET a", "GET b", "SET a 1", "GET a"] {
        bench.send(client, line);
    }
    bench.send(other, "GET a");
    bench.sent("n1");
    // Of this the node knows nothing.
    for line in ["GET c", "SET b 1", "SET c 1"] {
        bench.send(client, line);
    }
    bench.fail("n1");
    bench.connect_links();
    let reply = bench.read(client);
    assert!(reply.ends_with("the command may have been executed\r\n"), "{reply}");
    assert_eq!(reply.lines().count(), 1, "{reply}");
    assert_eq!(bench.sent("n1"), ["GET b", "SET a 1", "GET a", "GET a", "GET c", "SET b 1", "SET c 1"]);
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
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "INCR k");
    bench.sent("n1");
    bench.view.epoch += 1;
    bench.view.nodes[0].port += 100;
    bench.publish();
    bench.connect_links();
    assert_eq!(bench.sent("n1"), ["INCR k"]);
}

#[test]
fn an_error_does_not_claim_that_nothing_was_executed_when_another_node_may_have() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    bench.send(client, &format!("INCR {key}"));
    bench.sent("n1");
    bench.fail("n2");
    bench.fail("n1");
    bench.set_routable("n1", false);
    bench.wait(Duration::from_millis(1_100));
    assert!(bench.read(client).contains("may have been executed"));
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
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    bench.fail("n1");
    bench.send(client, &format!("GET {key}"));
    bench.wait(Duration::from_millis(999));
    assert_eq!(bench.read(client), "");
    bench.wait(Duration::from_millis(2));
    assert!(bench.read(client).contains("was not executed"));
    assert_eq!(bench.worker.stats.expired, 1);
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
    bench.wait(Duration::from_secs(5));
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
fn what_a_node_may_have_done_to_keys_that_it_keeps_is_not_done_again() {
    for line in ["DEL MOVING KEPT", "RENAME KEPT MOVING", "MULTI; INCR MOVING; INCR KEPT; EXEC"] {
        for breaks_first in [false, true] {
            let (mut bench, [moving, kept], stand_in) = Bench::apart();
            let client = bench.client();
            let lines = line.replace("MOVING", &moving).replace("KEPT", &kept);
            lines.split("; ").for_each(|line| bench.send(client, line));
            assert!(!bench.sent(&stand_in).is_empty(), "{line}");
            if breaks_first {
                bench.fail(&stand_in);
            }
            bench.set_routable("n1", true);
            if !breaks_first {
                bench.fail(&stand_in);
            }
            let reply = bench.read(client);
            assert!(reply.ends_with("the command may have been executed\r\n"), "{line}: {reply}");
            bench.connect_links();
            assert!(bench.sent_to_all().is_empty(), "{line}");
            assert!(bench.worker.units.is_empty() && bench.worker.gathers.is_empty(), "{line}");
        }
    }
}

#[test]
fn what_may_run_twice_is_asked_of_each_node_when_some_of_its_keys_have_moved() {
    let (mut bench, [moving, kept], stand_in) = Bench::apart();
    let client = bench.client();
    bench.send(client, &format!("MGET {moving} {kept}"));
    bench.sent(&stand_in);
    bench.fail(&stand_in);
    bench.set_routable("n1", true);
    bench.connect_links();
    assert_eq!(bench.sent("n1"), [format!("MGET {moving}")]);
    assert_eq!(bench.sent(&stand_in), [format!("MGET {kept}")]);
}

#[test]
fn a_message_that_may_have_been_heard_is_not_published_again() {
    for line in ["PUBLISH CHANNEL m", "MULTI; PUBLISH CHANNEL m; EXEC"] {
        let mut bench = Bench::new(2);
        let client = bench.client();
        let lines = line.replace("CHANNEL", &bench.key_on("n1", 0));
        lines.split("; ").for_each(|line| bench.send(client, line));
        let sent = bench.sent("n1");
        assert!(!sent.is_empty(), "{line}");
        bench.fail("n1");
        lines.split("; ").for_each(|line| bench.send(client, line));
        bench.set_routable("n1", false);
        assert_eq!(bench.sent("n2"), sent, "{line}: what nobody has heard");
        let reply = bench.read(client);
        assert!(reply.contains("the command may have been executed\r\n"), "{line}: {reply}");
    }
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

#[test]
fn a_reply_that_cannot_be_read_breaks_no_second_connection() {
    for line in ["EVAL_RO x 0", "MULTI; GET k; EXEC"] {
        let mut bench = Bench::new(1);
        let [client, other] = [(); 2].map(|()| bench.client());
        line.split("; ").for_each(|line| bench.send(client, line));
        bench.send(other, "GET other");
        bench.sent("n1");
        let id = bench.link("n1", Protocol::Resp2);
        bench.worker.link_failed(id, &Failure::Reply(ProtocolError::NestedTooDeeply));
        let reply = bench.read(client);
        assert!(reply.contains("-ERR the reply of node n1 cannot be read ("), "{line}: {reply}");
        assert_eq!(bench.reports(), ["n1 Protocol"]);
        bench.connect_links();
        assert_eq!(bench.sent("n1"), ["GET other"], "{line}");
        assert!(bench.worker.units.is_empty(), "{line}");
    }
}
