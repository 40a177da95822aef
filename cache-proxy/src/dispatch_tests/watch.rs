//! What becomes of clients that watch keys: a link of their own from WATCH to EXEC, and null when nobody can know.

use std::time::Duration;

use resp::Protocol;

use super::Bench;
use crate::link::LinkId;
use crate::link::pin::Pin;
use crate::target::ClientId;

/// The newest pinned link.
fn pinned(bench: &Bench) -> LinkId {
    let is_it = |link: &crate::link::Link| matches!(link.pin, Some(Pin::Watching(_) | Pin::Released));
    bench.worker.links.iter().rfind(|(_, link)| is_it(link)).unwrap().0
}

fn reply(bench: &mut Bench, link: LinkId, replies: &[&str]) {
    for reply in replies {
        bench.worker.reply(link, reply.as_bytes()).unwrap();
    }
}

/// Has a client watch, on a node that confirms it; the link.
fn watching(bench: &mut Bench, client: ClientId, line: &str) -> LinkId {
    bench.send(client, line);
    let link = pinned(bench);
    if !bench.worker.links[link].up {
        bench.connect_link(link);
    }
    assert_eq!(bench.sent_on(link), [line]);
    reply(bench, link, &["+OK\r\n"]);
    assert_eq!(bench.read(client), "+OK\r\n");
    assert!(bench.worker.may_read(client));
    link
}

fn transact(bench: &mut Bench, client: ClientId, lines: &[&str]) {
    bench.send(client, "MULTI");
    lines.iter().for_each(|line| bench.send(client, line));
    bench.send(client, "EXEC");
}

const QUEUED: &str = "+OK\r\n+QUEUED\r\n";
const NULL: &str = "*-1\r\n";

#[test]
fn exec_goes_over_the_link_that_knows_what_is_watched() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let link = watching(&mut bench, client, "WATCH a");
    bench.send(client, "GET a");
    assert_eq!(bench.sent("n1"), ["GET a"]);
    bench.answer("n1", "$1\r\n1\r\n");
    transact(&mut bench, client, &["SET a 2"]);
    assert_eq!(bench.read(client), format!("$1\r\n1\r\n{QUEUED}"));
    assert!(bench.sent("n1").is_empty());
    assert_eq!(bench.sent_on(link), ["MULTI", "SET a 2", "EXEC"]);
    assert!(!bench.worker.may_read(client), "what comes behind EXEC must not overtake it");
    reply(&mut bench, link, &["+OK\r\n", "+QUEUED\r\n", "*-1\r\n"]);
    assert_eq!(bench.read(client), NULL);
    assert!(bench.worker.may_read(client));
    // The link serves the next one.
    let other = bench.client();
    assert_eq!(watching(&mut bench, other, "WATCH b"), link);
    transact(&mut bench, client, &["SET a 3"]);
    assert_eq!(bench.sent("n1"), ["MULTI", "SET a 3", "EXEC"], "nothing is watched any more");
}

#[test]
fn nothing_of_the_client_is_on_its_way_around_watch_and_exec() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "SET a 1");
    bench.send(client, "WATCH a");
    assert!(std::mem::take(&mut bench.worker.client(client).unwrap().given_back));
    assert!(!bench.worker.may_read(client));
    bench.answer("n1", "+OK\r\n");
    assert_eq!(bench.read(client), "+OK\r\n");
    let link = watching(&mut bench, client, "WATCH a");
    for line in ["GET a", "MULTI", "SET a 2", "EXEC"] {
        bench.send(client, line);
    }
    assert!(std::mem::take(&mut bench.worker.client(client).unwrap().given_back));
    assert!(bench.sent_on(link).is_empty());
    bench.answer("n1", "$1\r\n1\r\n");
    bench.send(client, "EXEC");
    assert_eq!(bench.sent_on(link), ["MULTI", "SET a 2", "EXEC"]);
}

#[test]
fn what_is_watched_is_lost_with_the_link_and_exec_answers_null() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let link = watching(&mut bench, client, "WATCH a");
    bench.worker.link_failed(link, &crate::link::failure::Failure::Refused);
    bench.send(client, "WATCH b");
    transact(&mut bench, client, &["SET a 2"]);
    assert_eq!(bench.read(client), format!("+OK\r\n{QUEUED}{NULL}"));
    assert!(bench.sent("n1").is_empty());
    watching(&mut bench, client, "WATCH a");
}

#[test]
fn a_second_watch_on_a_link_that_breaks_is_lost_with_the_first() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let link = watching(&mut bench, client, "WATCH a");
    bench.send(client, "WATCH b");
    bench.sent_on(link);
    bench.worker.link_failed(link, &crate::link::failure::Failure::Refused);
    assert_eq!(bench.read(client), "+OK\r\n");
    transact(&mut bench, client, &["SET a 2"]);
    assert_eq!(bench.read(client), format!("{QUEUED}{NULL}"));
}

#[test]
fn a_watched_key_that_another_node_serves_now_was_perhaps_written() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    bench.set_routable("n1", false);
    watching(&mut bench, client, &format!("WATCH {key}"));
    bench.set_routable("n1", true);
    bench.connect_links();
    transact(&mut bench, client, &[&format!("SET {key} 2")]);
    assert_eq!(bench.read(client), format!("{QUEUED}{NULL}"));
    let sent: Vec<_> = bench.sent_to_all();
    assert!(sent.is_empty(), "{sent:?}");
}

#[test]
fn a_watched_key_that_another_node_served_for_a_while_was_perhaps_written_there() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    bench.set_routable("n1", false);
    let link = watching(&mut bench, client, &format!("WATCH {key}"));
    bench.set_routable("n1", true);
    bench.set_routable("n1", false);
    transact(&mut bench, client, &[&format!("SET {key} 2")]);
    assert_eq!(bench.read(client), format!("{QUEUED}{NULL}"));
    assert_eq!(bench.sent_on(link), ["UNWATCH"]);
}

#[test]
fn what_is_watched_counts_as_kept_for_the_client() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let keys: Vec<_> = (0..100).map(|number| format!("k{number}")).collect();
    watching(&mut bench, client, &format!("WATCH {}", keys.join(" ")));
    let kept = bench.worker.client(client).unwrap().kept();
    assert!(kept > 200, "{kept} bytes");
}

#[test]
fn a_watch_that_was_not_confirmed_is_asked_of_the_stand_in() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    bench.fail("n1");
    let line = format!("WATCH {key}");
    bench.send(client, &line);
    bench.set_routable("n1", false);
    let link = pinned(&bench);
    assert_eq!(bench.worker.links[link].node.as_str(), bench.node_of(&key));
    bench.connect_link(link);
    assert_eq!(bench.sent_on(link), [line]);
    reply(&mut bench, link, &["+OK\r\n"]);
    transact(&mut bench, client, &[&format!("SET {key} 2")]);
    assert_eq!(bench.sent_on(link).len(), 3);
    assert_eq!(bench.read(client), format!("+OK\r\n{QUEUED}"));
}

/// Sends a watched transaction of which the node has this much; the link breaks.
fn cut_off(bench: &mut Bench, unsent: usize) -> ClientId {
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    let link = watching(bench, client, &format!("WATCH {key}"));
    transact(bench, client, &[&format!("INCR {key}")]);
    assert_eq!(bench.read(client), QUEUED);
    let pipeline = &mut bench.worker.links[link].pipeline;
    pipeline.mark_sent(pipeline.unsent().len() - unsent);
    bench.worker.link_failed(link, &crate::link::failure::Failure::Refused);
    client
}

#[test]
fn an_exec_that_was_not_wholly_sent_did_nothing() {
    let mut bench = Bench::new(2);
    let client = cut_off(&mut bench, 1);
    assert_eq!(bench.read(client), NULL);
    assert!(bench.worker.links.iter().all(|(_, link)| link.pin.is_none()), "the link is not made again");
    assert!(bench.worker.units.is_empty() && bench.worker.hold.is_empty());
}

#[test]
fn what_a_node_that_left_did_with_an_exec_does_not_count() {
    let mut bench = Bench::new(2);
    let client = cut_off(&mut bench, 0);
    assert_eq!(bench.read(client), "");
    bench.set_routable("n1", false);
    assert_eq!(bench.read(client), NULL);
    assert!(bench.sent_to_all().is_empty(), "it is not sent without what was watched");
    assert!(bench.worker.units.is_empty() && bench.worker.hold.is_empty());
}

#[test]
fn an_exec_that_a_serving_node_may_have_executed_is_an_error() {
    let mut bench = Bench::new(2);
    let client = cut_off(&mut bench, 0);
    bench.set_routable("n2", false);
    assert_eq!(bench.read(client), "", "that view says nothing of n1");
    bench.wait(Duration::from_millis(1_100));
    assert!(bench.read(client).contains("may have been executed"));
    assert!(bench.worker.units.is_empty() && bench.worker.hold.is_empty());
}

#[test]
fn what_ends_a_watch_gives_the_link_back() {
    for end in ["UNWATCH", "RESET", "MULTI; DISCARD", "MULTI; EXEC now", "MULTI; NOPE; EXEC", "leaves"] {
        let mut bench = Bench::new(1);
        let client = bench.client();
        let link = watching(&mut bench, client, "WATCH a");
        match end {
            "leaves" => bench.worker.disconnect(client),
            lines => lines.split("; ").for_each(|line| bench.send(client, line)),
        }
        assert_eq!(bench.sent_on(link), ["UNWATCH"], "{end}");
        reply(&mut bench, link, &["+OK\r\n"]);
        assert!(matches!(bench.worker.links[link].pin, Some(Pin::Idle(_))), "{end}");
    }
}

#[test]
fn keys_that_are_watched_live_where_the_transaction_does() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let (a, b) = (bench.key_on("n1", 0), bench.key_on("n2", 0));
    bench.send(client, &format!("WATCH {a} {b}"));
    assert!(bench.read(client).starts_with("-CROSSSLOT "));
    let link = watching(&mut bench, client, &format!("WATCH {a}"));
    bench.send(client, &format!("WATCH {b}"));
    assert!(bench.read(client).starts_with("-CROSSSLOT "));
    transact(&mut bench, client, &[&format!("SET {b} 1")]);
    let read = bench.read(client);
    assert!(read.contains("-EXECABORT Transaction discarded because of: CROSSSLOT "), "{read}");
    assert_eq!(bench.sent_on(link), ["UNWATCH"]);
}

#[test]
fn an_empty_transaction_tells_whether_a_key_was_written() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let link = watching(&mut bench, client, "WATCH a");
    transact(&mut bench, client, &[]);
    assert_eq!(bench.sent_on(link), ["MULTI", "EXEC"]);
    reply(&mut bench, link, &["+OK\r\n", "*0\r\n"]);
    assert_eq!(bench.read(client), "+OK\r\n*0\r\n");
}

#[test]
fn a_client_that_changes_its_protocol_version_has_to_watch_again() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    watching(&mut bench, client, "WATCH a");
    bench.send(client, "HELLO 3");
    bench.read(client);
    transact(&mut bench, client, &["SET a 2"]);
    assert_eq!(bench.read(client), format!("{QUEUED}_\r\n"));
    let id = bench.worker.links.iter().find(|(_, link)| link.protocol == Protocol::Resp3);
    assert!(id.is_none(), "nothing was sent");
}

#[test]
fn a_link_that_goes_on_watching_because_multi_was_refused_serves_nobody_else() {
    // When the connection was made …
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "WATCH a");
    let link = pinned(&bench);
    bench.connect_link_to(link, "-ERR unknown command\r\n");
    assert_eq!(bench.sent_on(link), ["WATCH a"]);
    reply(&mut bench, link, &["+OK\r\n"]);
    transact(&mut bench, client, &["SET a 2"]);
    assert!(bench.read(client).ends_with("node n1 does not know MULTI\r\n"));
    assert!(!bench.worker.links.contains(link) && bench.worker.units.is_empty());
    // … and when it was used.
    let link = watching(&mut bench, client, "WATCH a");
    transact(&mut bench, client, &["SET a 2"]);
    bench.sent_on(link);
    reply(&mut bench, link, &["-NOPERM no\r\n", "+OK\r\n", "-ERR EXEC without MULTI\r\n"]);
    assert!(bench.read(client).contains("refused MULTI (NOPERM no)"));
    assert!(!bench.worker.links.contains(link) && bench.worker.units.is_empty());
}

#[test]
fn a_client_that_leaves_before_its_watch_was_sent_leaves_nothing_behind() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "WATCH a");
    let link = pinned(&bench);
    bench.worker.disconnect(client);
    assert!(bench.worker.hold.is_empty() && !bench.worker.links.contains(link));
}

#[test]
fn a_client_that_leaves_with_an_exec_on_its_way_leaves_nothing_behind() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let link = watching(&mut bench, client, "WATCH a");
    transact(&mut bench, client, &["SET a 2"]);
    bench.sent_on(link);
    bench.worker.disconnect(client);
    reply(&mut bench, link, &["+OK\r\n", "+QUEUED\r\n", "*1\r\n+OK\r\n"]);
    assert!(bench.worker.units.is_empty());
    assert!(matches!(bench.worker.links[link].pin, Some(Pin::Idle(_))));
}

#[test]
fn an_exec_of_which_a_serving_node_keeps_a_key_is_no_null() {
    let (mut bench, [moving, kept], _) = Bench::apart();
    let client = bench.client();
    let link = watching(&mut bench, client, &format!("WATCH {kept}"));
    transact(&mut bench, client, &[&format!("INCR {kept}"), &format!("INCR {moving}")]);
    bench.sent_on(link);
    bench.set_routable("n1", true);
    let reply = bench.read(client);
    assert!(reply.ends_with("the command may have been executed\r\n"), "{reply}");
    assert!(bench.worker.units.is_empty() && bench.worker.hold.is_empty());
}
