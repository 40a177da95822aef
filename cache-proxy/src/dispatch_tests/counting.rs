//! What is counted: what happens once, once, and nothing for those whom it does not concern.

use std::time::Duration;

use commands::Class;
use resp::Protocol;

use super::Bench;
use crate::metrics::error_kind::Told;
use crate::metrics::tally;

/// Error replies that the proxy made, by kind.
fn own_errors(bench: &Bench) -> Vec<(&'static str, u64)> {
    let counts = bench.worker.published.traffic.own_errors.by_kind(Told::Occurred);
    counts.filter(|(_, count)| *count > 0).collect()
}

fn known_nodes(bench: &Bench) -> Vec<String> {
    bench.worker.published.traffic.nodes().iter().map(|(id, _)| id.to_string()).collect()
}

#[test]
fn errors_of_commands_that_the_proxy_answers_itself_are_counted() {
    let mut bench = Bench::with_flags(1, &["--requirepass", "secret"]);
    let client = bench.client();
    bench.send(client, "AUTH wrong");
    assert_eq!(own_errors(&bench), [("WRONGPASS", 1)]);
    bench.send(client, "AUTH secret");
    bench.send(client, "SELECT 1");
    assert_eq!((own_errors(&bench), bench.worker.stats.errors), (vec![("ERR", 1), ("WRONGPASS", 1)], 2));
    bench.read(client);
    // What libraries try when they connect is no error.
    bench.send(client, "CLIENT MAINT_NOTIFICATIONS ON");
    assert!(bench.read(client).starts_with("-ERR unknown subcommand"));
    assert_eq!(bench.worker.stats.errors, 2);
}

#[test]
fn a_request_that_is_given_back_counts_when_it_comes_again() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let blocking = |bench: &Bench| bench.worker.published.traffic.class(Class::Blocking).requests.get();
    bench.send(client, "SET k v");
    bench.send(client, "BLPOP k 0");
    assert_eq!((blocking(&bench), bench.worker.stats.requests), (0, 1));
    bench.answer("n1", "+OK\r\n");
    bench.read(client);
    bench.send(client, "BLPOP k 0");
    assert_eq!((blocking(&bench), bench.worker.stats.requests), (1, 2));
    assert_eq!(bench.worker.stats.blocked_clients, 1);
    bench.worker.disconnect(client);
    assert_eq!(bench.worker.stats.blocked_clients, 0);
}

#[test]
fn a_transaction_counts_with_each_of_its_commands_and_its_time_is_that_of_exec() {
    let mut bench = Bench::with_flags(1, &["--slowlog-log-slower-than", "10000"]);
    let client = bench.client();
    for line in ["MULTI", "SET k v", "GET k", "EXEC"] {
        bench.send(client, line);
    }
    let worker = &bench.worker;
    let requests = [Class::Write, Class::Read, Class::Transaction]
        .map(|class| worker.published.traffic.class(class).requests.get());
    assert_eq!((requests, worker.stats.requests), ([1, 1, 2], 4));
    bench.worker.now += Duration::from_millis(20);
    bench.answer("n1", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\nv\r\n");
    let durations = bench.worker.published.traffic.class(Class::Transaction).durations.read();
    assert_eq!((durations.count(), bench.worker.overview.slow_log.len()), (1, 1));
}

#[test]
fn a_node_is_not_blamed_for_a_wait_for_an_element_nor_for_what_the_last_piece_of_a_reply_looks_like() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "BLPOP k 0");
    let (link, _) = bench.pinned(client);
    bench.connect_link(link);
    bench.write(link);
    bench.worker.reply(link, b"*-1\r\n").unwrap();
    bench.read(client);
    bench.send(client, "GET k");
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, "$6\r\nabc");
    bench.worker.end_of_reply(link, b"-ef\r\n").unwrap();
    let node = &tally::nodes(&bench.worker.overview.workers)["n1"];
    assert_eq!((node.requests, node.durations.count()), (2, 0));
    let errors = &bench.worker.published.traffic.class(Class::Read).errors;
    assert!(errors.by_kind(Told::Occurred).all(|(_, count)| count == 0));
}

#[test]
fn a_request_that_fails_in_many_parts_is_one_error() {
    let mut bench = Bench::new(3);
    let (client, gone) = (bench.client(), bench.client());
    let keys = ["n1", "n2", "n3"].map(|node| bench.key_on(node, 0)).join(" ");
    ["n1", "n2", "n3"].iter().for_each(|node| bench.fail(node));
    bench.send(client, &format!("MGET {keys}"));
    bench.send(gone, &format!("MGET {keys}"));
    bench.worker.disconnect(gone);
    bench.wait(Duration::from_secs(2));
    assert!(bench.read(client).starts_with("-UNAVAILABLE"));
    assert_eq!((own_errors(&bench), bench.worker.stats.errors), (vec![("UNAVAILABLE", 1)], 1));
}

#[test]
fn an_error_of_a_merged_reply_is_the_proxys_unless_a_node_made_it() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    for (reply, errors) in [("-OOM no\r\n", 0), ("$1\r\nx\r\n", 1)] {
        bench.send(client, "DBSIZE");
        bench.answer("n1", ":1\r\n");
        bench.answer("n2", reply);
        assert!(bench.read(client).starts_with('-'));
        assert_eq!(bench.worker.stats.errors, errors, "{reply}");
    }
}

#[test]
fn what_was_never_sent_is_not_resent() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    let counts = |bench: &Bench| (bench.worker.stats.held, bench.worker.stats.resent);
    bench.fail("n1");
    bench.send(client, &format!("GET {key}"));
    bench.set_routable("n1", false);
    assert_eq!(bench.sent("n2"), [format!("GET {key}")]);
    assert_eq!(counts(&bench), (1, 0));
    bench.fail("n2");
    bench.connect_links();
    assert_eq!(counts(&bench), (2, 1));
}

#[test]
fn what_the_hold_has_no_room_for_is_given_up_and_did_not_wait() {
    let mut bench = Bench::with_flags(1, &["--slowlog-log-slower-than", "0"]);
    let client = bench.client();
    bench.fail("n1");
    bench.send_value(client, "k", &"x".repeat(64 * 1024 * 1024));
    bench.send(client, "GET k");
    assert_eq!((bench.worker.stats.held, bench.worker.stats.expired), (1, 1));
    let node = &tally::nodes(&bench.worker.overview.workers)["n1"];
    assert_eq!((node.held, node.expired), (1, 1));
    assert_eq!(bench.worker.overview.slow_log.len(), 1);
}

#[test]
fn a_node_that_left_with_requests_on_their_way_is_forgotten() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    bench.send(client, &format!("GET {key}"));
    bench.sent("n1");
    bench.send(client, "DBSIZE");
    bench.sent("n1");
    bench.view.epoch += 1;
    bench.view.nodes.retain(|node| node.node_id.as_str() != "n1");
    bench.publish();
    assert_eq!(known_nodes(&bench), ["n2"]);
    bench.wait(Duration::from_secs(3));
    assert_eq!(known_nodes(&bench), ["n2"]);
}

#[test]
fn a_node_is_not_blamed_for_the_time_that_a_request_was_held() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.fail("n1");
    bench.send(client, "GET k");
    bench.worker.now += Duration::from_millis(500);
    bench.connect_links();
    bench.answer("n1", "$-1\r\n");
    bench.send(client, "GET k");
    bench.answer("n1", "$-1\r\n");
    let node = &tally::nodes(&bench.worker.overview.workers)["n1"];
    assert_eq!((node.requests, node.durations.count()), (2, 1));
    assert!(node.durations.sum() < 0.001);
    let read = bench.worker.published.traffic.class(Class::Read).durations.read();
    assert_eq!((read.count(), read.sum()), (2, 0.5), "the client has waited");
}
