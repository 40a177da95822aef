//! What becomes of a transaction: queued here, sent as one unit, held and sent again as a whole.

use super::Bench;

const QUEUED: &str = "+QUEUED\r\n";

/// What a node answers to a unit of `commands` commands.
fn executed(commands: usize, reply: &str) -> String {
    format!("+OK\r\n{}{reply}", QUEUED.repeat(commands))
}

#[test]
fn a_transaction_goes_to_its_node_as_one_piece_when_it_is_complete() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n2", 0);
    bench.send(client, "MULTI");
    bench.send(client, &format!("SET {key} v"));
    bench.send(client, "PING");
    bench.send(client, &format!("INCR {key}"));
    assert_eq!(bench.read(client), format!("+OK\r\n{}", QUEUED.repeat(3)));
    assert!(bench.sent_to_all().is_empty(), "nothing is sent before EXEC");
    bench.send(client, "exec");
    bench.send(client, &format!("GET {key}"));
    let lines =
        ["MULTI", &format!("SET {key} v"), "PING", &format!("INCR {key}"), "EXEC", &format!("GET {key}")];
    assert_eq!(bench.sent("n2"), lines);
    bench.answer("n2", &executed(3, ""));
    assert_eq!(bench.read(client), "", "a swallowed reply is nobody's");
    bench.answer("n2", "*3\r\n+OK\r\n+PONG\r\n:1\r\n$1\r\n1\r\n");
    assert_eq!(bench.read(client), "*3\r\n+OK\r\n+PONG\r\n:1\r\n$1\r\n1\r\n");
    assert!(bench.worker.units.is_empty());
}

#[test]
fn requests_of_others_are_never_inside_a_unit() {
    let mut bench = Bench::new(1);
    let (one, other) = (bench.client(), bench.client());
    for line in ["MULTI", "INCR a"] {
        bench.send(one, line);
        bench.send(other, "GET x");
    }
    bench.send(one, "EXEC");
    assert_eq!(bench.sent("n1"), ["GET x", "GET x", "MULTI", "INCR a", "EXEC"]);
    bench.answer("n1", &format!("+1\r\n+2\r\n{}", executed(1, "*1\r\n:1\r\n")));
    assert_eq!(bench.read(other), "+1\r\n+2\r\n");
    assert_eq!(bench.read(one), "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
}

#[test]
fn what_cannot_be_queued_aborts_the_transaction() {
    let mut bench = Bench::new(2);
    let (a, b) = (bench.key_on("n1", 0), bench.key_on("n2", 0));
    for (line, error) in [
        ("NOPE".to_owned(), "-ERR unknown command 'NOPE'"),
        ("GET".to_owned(), "-ERR wrong number of arguments for 'get' command"),
        ("DBSIZE".to_owned(), "-ERR 'dbsize' cannot be part of a transaction"),
        ("EVAL x 0".to_owned(), "-ERR 'eval' without a key"),
        (format!("SET {b} v"), "-CROSSSLOT "),
        (format!("MGET {a} {b}"), "-CROSSSLOT "),
        ("DISCARD now".to_owned(), "-ERR wrong number of arguments for 'discard' command"),
    ] {
        let client = bench.client();
        for line in ["MULTI", &format!("SET {a} v"), &line, &format!("SET {a} w"), "EXEC"] {
            bench.send(client, line);
        }
        let read = bench.read(client);
        let replies: Vec<_> = read.split_terminator("\r\n").collect();
        assert_eq!(replies[..2], ["+OK", "+QUEUED"], "{line}");
        assert!(replies[2].starts_with(error), "{line}: {read}");
        assert_eq!(
            replies[3..],
            ["+QUEUED", "-EXECABORT Transaction discarded because of previous errors."],
            "{line}"
        );
        assert!(bench.sent_to_all().is_empty(), "{line}");
    }
}

#[test]
fn the_commands_of_transactions_answer_as_redis_does() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for (line, reply) in [
        ("EXEC", "-ERR EXEC without MULTI\r\n"),
        ("DISCARD", "-ERR DISCARD without MULTI\r\n"),
        ("UNWATCH", "+OK\r\n"),
        ("MULTI now", "-ERR wrong number of arguments for 'multi' command\r\n"),
        ("PING", "+PONG\r\n"),
        ("MULTI", "+OK\r\n"),
        ("MULTI", "-ERR MULTI calls can not be nested\r\n"),
        ("WATCH k", "-ERR WATCH inside MULTI is not allowed\r\n"),
        ("EXEC", "*0\r\n"),
        ("MULTI", "+OK\r\n"),
        ("SET k v", QUEUED),
        ("DISCARD", "+OK\r\n"),
        ("MULTI", "+OK\r\n"),
        (
            "EXEC now",
            "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n",
        ),
        ("EXEC", "-ERR EXEC without MULTI\r\n"),
        ("MULTI", "+OK\r\n"),
        ("SET k v", QUEUED),
        ("RESET", "+RESET\r\n"),
        ("PING", "+PONG\r\n"),
    ] {
        bench.send(client, line);
        assert_eq!(bench.read(client), reply, "{line}");
    }
    assert!(bench.sent_to_all().is_empty());
}

#[test]
fn why_a_node_aborted_is_told() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for line in ["MULTI", "SET k v", "EXEC"] {
        bench.send(client, line);
    }
    bench.read(client);
    bench.answer(
        "n1",
        "+OK\r\n-OOM no memory\r\n-EXECABORT Transaction discarded because of previous errors.\r\n",
    );
    assert_eq!(bench.read(client), "-EXECABORT Transaction discarded because of: OOM no memory\r\n");
}

#[test]
fn a_unit_whose_node_fails_goes_whole_to_the_stand_in() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    let unit = ["MULTI".to_owned(), format!("INCR {key}"), format!("GET {key}"), "EXEC".to_owned()];
    unit.iter().for_each(|line| bench.send(client, line));
    bench.read(client);
    bench.sent("n1");
    bench.answer("n1", "+OK\r\n+QUEUED\r\n");
    bench.fail("n1");
    bench.send(client, &format!("GET {key}"));
    bench.set_routable("n1", false);
    let stand_in = bench.node_of(&key);
    let sent = bench.sent(&stand_in);
    assert_eq!(sent[..4], unit);
    assert_eq!(sent[4..], [format!("GET {key}")]);
    bench.answer(&stand_in, &executed(2, "*2\r\n:1\r\n$1\r\n1\r\n+1\r\n"));
    assert_eq!(bench.read(client), "*2\r\n:1\r\n$1\r\n1\r\n+1\r\n");
}

#[test]
fn a_unit_runs_again_on_its_node_only_when_nobody_can_tell() {
    for (lines, again) in
        [(["SET a 1", "GET a"], true), (["GET a", "SET a 1"], false), (["INCR a", "GET b"], false)]
    {
        let mut bench = Bench::new(1);
        let client = bench.client();
        for line in ["MULTI", lines[0], lines[1], "EXEC"] {
            bench.send(client, line);
        }
        bench.read(client);
        bench.sent("n1");
        bench.fail("n1");
        bench.connect_links();
        assert_eq!(bench.sent("n1").len(), if again { 4 } else { 0 }, "{lines:?}");
        assert_eq!(bench.read(client).contains("may have been executed"), !again, "{lines:?}");
    }
}

#[test]
fn a_unit_that_was_sent_in_part_is_sent_again_whatever_it_does() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for line in ["MULTI", "INCR a", "EXEC"] {
        bench.send(client, line);
    }
    let id = bench.link("n1", resp::Protocol::Resp2);
    let pipeline = &mut bench.worker.links[id].pipeline;
    pipeline.mark_sent(pipeline.unsent().len() - 1);
    bench.fail("n1");
    bench.connect_links();
    assert_eq!(bench.sent("n1"), ["MULTI", "INCR a", "EXEC"]);
}

#[test]
fn a_unit_is_held_while_its_node_is_away_and_given_up_in_the_end() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.fail("n1");
    for line in ["MULTI", "INCR a", "EXEC"] {
        bench.send(client, line);
    }
    assert_eq!(bench.read(client), "+OK\r\n+QUEUED\r\n");
    bench.wait(std::time::Duration::from_millis(1_100));
    let read = bench.read(client);
    assert!(read.starts_with("-UNAVAILABLE node n1 ") && read.contains("was not executed"), "{read}");
    assert!(bench.worker.units.is_empty() && bench.worker.hold.is_empty());
}

#[test]
fn keys_that_live_apart_after_a_failover_are_told() {
    let mut bench = Bench::new(5);
    let client = bench.client();
    let keys: Vec<_> = (0..30).map(|salt| bench.key_on("n1", salt)).collect();
    bench.send(client, "MULTI");
    keys.iter().for_each(|key| bench.send(client, &format!("INCR {key}")));
    bench.set_routable("n1", false);
    bench.read(client);
    bench.send(client, "EXEC");
    let read = bench.read(client);
    assert!(read.starts_with("-EXECABORT Transaction discarded because of: CROSSSLOT "), "{read}");
    assert!(bench.sent_to_all().is_empty());
}

#[test]
fn a_node_that_does_not_know_multi_is_sent_none() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.fail("n1");
    for line in ["MULTI", "INCR a", "EXEC"] {
        bench.send(client, line);
    }
    let id = bench.link("n1", resp::Protocol::Resp2);
    bench.connect_link_to(id, "-ERR unknown command 'MULTI'\r\n");
    for line in ["MULTI", "INCR a", "EXEC", "GET a"] {
        bench.send(client, line);
    }
    let refusal = "-EXECABORT Transaction discarded because of: node n1 does not know MULTI\r\n";
    assert_eq!(bench.read(client), format!("+OK\r\n+QUEUED\r\n{refusal}+OK\r\n+QUEUED\r\n{refusal}"));
    assert_eq!(bench.sent("n1"), ["GET a"]);
}

#[test]
fn a_node_that_takes_the_right_to_multi_away_is_never_silent_about_it() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for line in ["MULTI", "INCR a", "EXEC"] {
        bench.send(client, line);
    }
    bench.read(client);
    bench.answer("n1", "-NOPERM no right to MULTI\r\n:1\r\n-ERR EXEC without MULTI\r\n");
    let read = bench.read(client);
    assert!(read.contains("node n1 refused MULTI (NOPERM no right to MULTI)"), "{read}");
    assert!(read.contains("may have been executed one by one"), "{read}");
    for line in ["MULTI", "INCR a", "EXEC"] {
        bench.send(client, line);
    }
    assert!(bench.read(client).ends_with("node n1 does not know MULTI\r\n"));
    assert!(bench.sent("n1").is_empty());
}

#[test]
fn a_unit_of_a_client_that_has_left_is_nobodys() {
    let mut bench = Bench::new(1);
    let (client, other) = (bench.client(), bench.client());
    for line in ["MULTI", "INCR a", "EXEC"] {
        bench.send(client, line);
    }
    bench.send(other, "GET a");
    bench.worker.disconnect(client);
    bench.answer("n1", &executed(1, "*1\r\n:1\r\n$1\r\n1\r\n"));
    assert_eq!(bench.read(other), "$1\r\n1\r\n");
    assert!(bench.worker.units.is_empty());
}
