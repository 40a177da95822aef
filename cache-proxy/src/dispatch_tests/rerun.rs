//! What a node may have executed: whether it runs again, where, and what its client is told.

use std::time::Duration;

use resp::{Protocol, ProtocolError};

use super::Bench;
use crate::link::failure::Failure;

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
fn a_command_without_keys_touches_all_of_them_or_none() {
    let again = |lines: &str| {
        let mut bench = Bench::new(1);
        let client = bench.client();
        lines.split("; ").for_each(|line| bench.send(client, line));
        assert_eq!(bench.sent("n1").join("; "), lines);
        bench.fail("n1");
        bench.connect_links();
        (bench.sent("n1").join("; "), bench.read(client).matches("may have been executed").count())
    };
    for (lines, expected) in [
        ("GET k; FLUSHALL", "FLUSHALL"),
        ("GET k; FLUSHDB", "FLUSHDB"),
        ("DBSIZE; SET k 1", "SET k 1"),
        ("KEYS *; FLUSHALL", "FLUSHALL"),
        ("RANDOMKEY; SET k 1", "SET k 1"),
    ] {
        assert_eq!(again(lines), (expected.to_owned(), 1), "{lines}");
    }
    for lines in ["FLUSHALL; GET k", "SET k 1; DBSIZE", "DBSIZE; GET k"] {
        assert_eq!(again(lines).0, lines);
    }
    // A channel is no key.
    assert_eq!(again("GET news; PUBLISH news x").0, "GET news");
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

/// What another node did is discarded when that one goes out of service; what this one did is not.
#[test]
fn what_may_have_run_on_one_node_does_not_run_again_because_another_is_out() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n2", 0);
    bench.send(client, &format!("INCR {key}"));
    bench.sent("n2");
    ["n1", "n2"].iter().for_each(|node| bench.fail(node));
    bench.set_routable("n1", false);
    bench.connect_links();
    assert!(bench.sent("n2").is_empty());
    assert!(bench.read(client).contains("may have been executed"));
}

#[test]
fn what_one_node_may_have_done_is_remembered_when_a_second_one_is_lost() {
    for line in ["INCR KEY", "MULTI; INCR KEY; EXEC"] {
        let mut bench = Bench::new(3);
        let [client, other] = [(); 2].map(|()| bench.client());
        let key = bench.key_on("n1", 0);
        let send = |bench: &mut Bench, client| {
            line.replace("KEY", &key).split("; ").for_each(|line| bench.send(client, line));
        };
        send(&mut bench, client);
        bench.sent("n1");
        bench.set_routable("n1", false);
        let stand_in = bench.node_of(&key);
        send(&mut bench, other);
        // Neither of them was written to the stand-in.
        bench.fail(&stand_in);
        bench.wait(Duration::from_millis(1_100));
        assert!(bench.read(client).contains("may have been executed"), "{line}");
        assert!(bench.read(other).contains("was not executed"), "{line}");
    }
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

/// The link of a blocked client whose answer has begun is left to finish although its node stays: what that one may have
/// done besides counts.
#[test]
fn what_may_have_run_on_a_node_that_stays_does_not_run_again_because_of_an_answer_under_way() {
    let (mut bench, [moving, kept], stand_in) = Bench::apart();
    let [blocked, client] = [(); 2].map(|()| bench.client());
    bench.send(blocked, &format!("BLPOP {moving} 0"));
    let (link, _) = bench.pinned(blocked);
    bench.connect_link(link);
    bench.write(link);
    bench.piece(link, "*2\r\n$1\r\nk\r\n$6\r\nab");
    bench.send(client, &format!("INCR {kept}"));
    bench.sent(&stand_in);
    bench.fail(&stand_in);
    bench.set_routable("n1", true);
    bench.connect_links();
    assert!(bench.sent(&stand_in).is_empty());
    assert!(bench.read(client).ends_with("the command may have been executed\r\n"));
    bench.worker.end_of_reply(link, b"cdef\r\n").unwrap();
    assert!(bench.read(blocked).ends_with("abcdef\r\n"));
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
