//! Clients that block: each on a connection of its own, which does not outlive its need.

use std::time::Duration;

use resp::Protocol;

use super::Bench;
use crate::link::LinkId;
use crate::link::failure::Failure;
use crate::outbox::RareWork;
use crate::target::ClientId;

/// A client that is blocked on `key`, which the node has been sent.
fn blocked(bench: &mut Bench, key: &str) -> (ClientId, LinkId) {
    let client = bench.client();
    bench.send(client, &format!("BLPOP {key} 0"));
    let (link, _) = bench.pinned(client);
    bench.connect_links();
    assert_eq!(bench.sent_on(link), [format!("BLPOP {key} 0")]);
    (client, link)
}

fn closed(bench: &mut Bench) -> Vec<LinkId> {
    let work = std::mem::take(&mut bench.worker.outbox.rare);
    work.into_iter().filter_map(|work| if let RareWork::Close(id) = work { Some(id) } else { None }).collect()
}

#[test]
fn a_blocked_client_keeps_nobody_waiting() {
    let mut bench = Bench::new(1);
    let (client, link) = blocked(&mut bench, "k");
    let other = bench.client();
    bench.send(other, "RPUSH k v");
    assert_eq!(bench.sent("n1"), ["RPUSH k v"]);
    bench.answer("n1", ":1\r\n");
    assert_eq!((bench.read(other), bench.read(client)), (":1\r\n".to_owned(), String::new()));
    assert_eq!(bench.worker.stats.blocked_clients, 1);
    bench.worker.reply(link, b"*2\r\n$1\r\nk\r\n$1\r\nv\r\n").unwrap();
    assert_eq!(bench.read(client), "*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
    assert_eq!(bench.worker.stats.blocked_clients, 0);
}

#[test]
fn a_blocking_request_waits_until_its_client_is_owed_nothing() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "GET k");
    bench.send(client, "BLPOP k 0");
    let state = bench.worker.client(client).unwrap();
    assert!(std::mem::take(&mut state.given_back), "the session keeps it");
    assert_eq!((state.owed(), state.blocked_on), (1, None));
    assert!(!bench.worker.may_read(client), "nor is anything behind it read");
    bench.answer("n1", "$-1\r\n");
    assert!(bench.worker.may_read(client));
    bench.send(client, "BLPOP k 0");
    assert!(bench.worker.client(client).unwrap().blocked_on.is_some());
    assert!(!bench.worker.may_read(client));
    assert_eq!(bench.worker.stats.requests, 2);
}

#[test]
fn a_link_that_is_done_serves_the_next_client_and_is_closed_when_there_is_none() {
    let mut bench = Bench::new(1);
    let (first, link) = blocked(&mut bench, "k");
    bench.worker.reply(link, b"*-1\r\n").unwrap();
    let next = bench.client();
    bench.send(next, "BLPOP other 1");
    assert_eq!(bench.pinned(next).0, link);
    bench.worker.disconnect(first);
    assert_eq!(bench.sent_on(link), ["BLPOP other 1"]);
    bench.worker.outbox.rare.clear();
    bench.worker.reply(link, b"*-1\r\n").unwrap();
    assert!(matches!(bench.worker.outbox.rare[..], [RareWork::Watch]), "somebody looks at the deadlines");
    bench.wait(Duration::from_secs(9));
    assert!(bench.worker.is_waiting(), "the clock must run on");
    assert!(closed(&mut bench).is_empty());
    bench.wait(Duration::from_secs(2));
    assert_eq!(closed(&mut bench), [link]);
    assert!(!bench.worker.is_waiting());
}

#[test]
fn a_node_may_close_a_link_that_nobody_uses() {
    let mut bench = Bench::new(1);
    let (client, link) = blocked(&mut bench, "k");
    bench.worker.reply(link, b"*-1\r\n").unwrap();
    bench.reports();
    bench.worker.link_failed(link, &Failure::Lost("closed by the node".to_owned()));
    let work = std::mem::take(&mut bench.worker.outbox.rare);
    assert!(matches!(work[..], [RareWork::Close(id)] if id == link), "nobody is accused: {work:?}");
    let shared = &bench.worker.links[bench.link("n1", Protocol::Resp2)];
    assert_eq!((bench.worker.stats.connected_links, shared.traffic.links_up.get()), (1, 1));
    bench.send(client, "BLPOP k 0");
    let (link, _) = bench.pinned(client);
    assert!(!bench.worker.links[link].up, "a new one");
}

#[test]
fn those_whose_time_is_up_together_find_their_links_again() {
    let mut bench = Bench::new(1);
    let mut links: Vec<_> = (0..1_000).map(|_| blocked(&mut bench, "k").1).collect();
    links.iter().for_each(|link| bench.worker.reply(*link, b"*-1\r\n").unwrap());
    assert!(closed(&mut bench).is_empty());
    for _ in 0..1_000 {
        let client = bench.client();
        bench.send(client, "BLPOP k 0");
        let (link, _) = bench.pinned(client);
        assert!(bench.worker.links[link].up, "no new connection");
        bench.sent_on(link);
    }
    links.iter().for_each(|link| bench.worker.reply(*link, b"*-1\r\n").unwrap());
    bench.wait(Duration::from_secs(11));
    let mut gone = closed(&mut bench);
    links.sort_unstable();
    gone.sort_unstable();
    assert_eq!(gone, links, "nobody blocks any more");
}

#[test]
fn the_end_of_a_blocked_client_closes_its_link_at_once() {
    let mut bench = Bench::new(1);
    let (client, link) = blocked(&mut bench, "k");
    bench.worker.disconnect(client);
    assert_eq!(closed(&mut bench), [link]);
    // And before the link was up.
    let client = bench.client();
    bench.send(client, "BLPOP k 0");
    let (link, _) = bench.pinned(client);
    bench.worker.disconnect(client);
    assert_eq!(closed(&mut bench), [link]);
    assert!(bench.worker.hold.is_empty());
}

#[test]
fn a_client_may_block_for_longer_than_a_node_may_take() {
    let mut bench = Bench::new(1);
    let (client, _) = blocked(&mut bench, "k");
    bench.wait(Duration::from_secs(3600));
    assert!(!bench.gives_up_a_link());
    assert_eq!(bench.read(client), "");
    assert!(!bench.worker.is_waiting(), "nothing is due");
}

#[test]
fn a_reply_to_a_blocked_client_that_stops_midway_is_given_up() {
    let mut bench = Bench::new(1);
    let (_, link) = blocked(&mut bench, "k");
    bench.wait(Duration::from_secs(60));
    bench.piece(link, "*2\r\n$1\r\nk\r\n$6\r\nab");
    bench.worker.links[link].heard = bench.worker.now;
    assert!(bench.worker.is_waiting(), "the clock must run");
    bench.wait(Duration::from_secs(4));
    assert!(!bench.gives_up_a_link());
    bench.wait(Duration::from_secs(2));
    assert!(bench.gives_up_a_link());
}

#[test]
fn a_reply_to_a_blocked_client_that_has_begun_is_ended_by_a_node_that_goes_out_of_service() {
    let mut bench = Bench::new(2);
    let key = bench.key_on("n1", 0);
    let (client, link) = blocked(&mut bench, &key);
    bench.piece(link, "*2\r\n$1\r\nk\r\n$6\r\nab");
    bench.set_routable("n1", false);
    assert!(!bench.worker.client(client).unwrap().killed);
    bench.worker.end_of_reply(link, b"cdef\r\n").unwrap();
    assert_eq!(bench.read(client), "*2\r\n$1\r\nk\r\n$6\r\nabcdef\r\n");
    assert!(closed(&mut bench).contains(&link) && bench.worker.stats.blocked_clients == 0);
}

#[test]
fn what_a_node_may_have_given_of_a_key_that_it_keeps_is_not_asked_of_others() {
    let (mut bench, [moving, kept], _) = Bench::apart();
    let (client, link) = blocked(&mut bench, &format!("{kept} {moving}"));
    bench.set_routable("n1", true);
    assert!(closed(&mut bench).contains(&link));
    let reply = bench.read(client);
    assert!(reply.ends_with("the command may have been executed\r\n"), "{reply}");
    assert_eq!((bench.worker.stats.blocked_clients, bench.worker.hold.len()), (0, 0));
}

#[test]
fn who_is_blocked_on_a_node_that_fails_waits_on_its_stand_in() {
    let mut bench = Bench::new(3);
    let key = bench.key_on("n1", 0);
    let (client, link) = blocked(&mut bench, &key);
    bench.wait(Duration::from_secs(60));
    bench.worker.link_failed(link, &Failure::Lost("gone".to_owned()));
    bench.wait(Duration::from_millis(900));
    assert_eq!(bench.read(client), "", "that it was blocked for long is no fault of the node");
    bench.set_routable("n1", false);
    let (link, node) = bench.pinned(client);
    assert_eq!(node, bench.node_of(&key));
    bench.connect_link(link);
    assert_eq!(bench.sent_on(link), [format!("BLPOP {key} 0")]);
    bench.worker.reply(link, b"*-1\r\n").unwrap();
    assert_eq!(bench.read(client), "*-1\r\n");
}

#[test]
fn who_is_blocked_on_a_stand_in_follows_the_keys_back_to_their_owner() {
    let mut bench = Bench::new(3);
    let key = bench.key_on("n1", 0);
    bench.set_routable("n1", false);
    let (client, old) = blocked(&mut bench, &key);
    bench.set_routable("n1", true);
    assert!(closed(&mut bench).contains(&old));
    let (link, node) = bench.pinned(client);
    assert_eq!(node, "n1");
    bench.connect_link(link);
    assert_eq!(bench.sent_on(link), [format!("BLPOP {key} 0")]);
}

#[test]
fn who_could_not_yet_block_on_a_stand_in_follows_the_keys_back_and_leaves_no_link() {
    let mut bench = Bench::new(3);
    let key = bench.key_on("n1", 0);
    bench.set_routable("n1", false);
    let client = bench.client();
    bench.send(client, &format!("BLPOP {key} 0"));
    let (old, _) = bench.pinned(client);
    bench.set_routable("n1", true);
    assert!(closed(&mut bench).contains(&old));
    assert_eq!(bench.pinned(client).1, "n1");
    assert_eq!(bench.worker.stats.blocked_clients, 1);
}

#[test]
fn who_is_blocked_on_a_node_that_moves_is_blocked_at_its_new_address() {
    let mut bench = Bench::new(1);
    let (client, old) = blocked(&mut bench, "k");
    bench.view.epoch += 1;
    bench.view.nodes[0].port += 100;
    bench.publish();
    assert!(closed(&mut bench).contains(&old));
    let (link, _) = bench.pinned(client);
    bench.connect_link(link);
    assert_eq!(bench.sent_on(link), ["BLPOP k 0"]);
    assert_eq!(bench.worker.stats.blocked_clients, 1);
}

#[test]
fn an_idle_link_outlives_a_view_and_serves_one_client_at_a_time() {
    let mut bench = Bench::new(1);
    let (client, link) = blocked(&mut bench, "k");
    bench.worker.reply(link, b"*-1\r\n").unwrap();
    bench.view.epoch += 1;
    bench.publish();
    let other = bench.client();
    [client, other].iter().for_each(|client| bench.send(*client, "BLPOP k 0"));
    assert_eq!(bench.pinned(client).0, link);
    assert_ne!(bench.pinned(other).0, link);
}

#[test]
fn what_a_node_may_have_given_is_not_asked_of_it_twice() {
    let mut bench = Bench::new(1);
    let (client, link) = blocked(&mut bench, "k");
    bench.worker.link_failed(link, &Failure::Lost("gone".to_owned()));
    bench.connect_link(link);
    let reply = bench.read(client);
    assert!(reply.starts_with("-UNAVAILABLE ") && reply.contains("may have been executed"), "{reply}");
    assert!(closed(&mut bench).contains(&link));
    assert!(bench.worker.may_read(client));
}

#[test]
fn what_only_reads_is_asked_again() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "XREAD BLOCK 0 STREAMS s $");
    let (link, _) = bench.pinned(client);
    bench.connect_link(link);
    bench.sent_on(link);
    bench.worker.link_failed(link, &Failure::Lost("gone".to_owned()));
    bench.connect_link(link);
    assert_eq!(bench.sent_on(link), ["XREAD BLOCK 0 STREAMS s $"]);
    assert_eq!(bench.read(client), "");
}

#[test]
fn a_node_that_stays_away_is_an_error_in_the_end() {
    let mut bench = Bench::new(1);
    bench.fail("n1");
    let client = bench.client();
    bench.send(client, "BLPOP k 0");
    let (link, _) = bench.pinned(client);
    bench.worker.link_failed(link, &Failure::Refused);
    bench.wait(Duration::from_millis(1_100));
    assert!(bench.read(client).contains("was not executed"));
    assert!(closed(&mut bench).contains(&link));
    assert_eq!(bench.worker.stats.blocked_clients, 0);
}

#[test]
fn keys_of_two_nodes_cannot_be_waited_for() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let (a, b) = (bench.key_on("n1", 0), bench.key_on("n2", 0));
    bench.send(client, &format!("BLPOP {a} {b} 0"));
    assert!(bench.read(client).starts_with("-CROSSSLOT "));
    assert!(bench.worker.may_read(client));
}

#[test]
fn a_proxy_that_leaves_answers_who_is_blocked() {
    let mut bench = Bench::new(1);
    let (client, link) = blocked(&mut bench, "k");
    let waiting = bench.client();
    bench.send(waiting, "HELLO 3");
    bench.read(waiting);
    bench.send(waiting, "BLMOVE a{k} b{k} LEFT LEFT 0");
    let (other, _) = bench.pinned(waiting);
    assert_eq!(bench.worker.links[other].protocol, Protocol::Resp3);
    let early = bench.client();
    bench.send(early, "BLPOP k 0");
    bench.connect_link(other);
    bench.sent_on(other);
    bench.worker.unblock_all();
    assert_eq!(bench.sent("n1"), [format!("CLIENT UNBLOCK {link}"), format!("CLIENT UNBLOCK {other}")]);
    assert_eq!(bench.read(early), "*-1\r\n", "its node has not heard of it");
    // One was given an element in the last moment.
    bench.worker.reply(link, b"*2\r\n$1\r\nk\r\n$1\r\nv\r\n").unwrap();
    bench.worker.reply(other, b"_\r\n").unwrap();
    let element = "*2\r\n$1\r\nk\r\n$1\r\nv\r\n".to_owned();
    assert_eq!((bench.read(client), bench.read(waiting)), (element, "_\r\n".to_owned()));
    assert_eq!(bench.worker.stats.blocked_clients, 0);
    bench.send(client, "BLPOP k 0");
    assert_eq!(bench.read(client), "*-1\r\n");
}

#[test]
fn a_proxy_that_leaves_does_not_wait_for_a_node_that_unblocks_nobody() {
    let mut bench = Bench::new(1);
    let (client, link) = blocked(&mut bench, "k");
    bench.worker.unblock_all();
    bench.answer("n1", "-ERR unknown subcommand 'UNBLOCK'\r\n");
    assert_eq!(bench.read(client), "");
    bench.worker.unblock_rest();
    assert_eq!(bench.read(client), "*-1\r\n");
    assert!(closed(&mut bench).contains(&link) && bench.worker.stats.blocked_clients == 0);
}

#[test]
fn a_proxy_that_leaves_answers_at_once_whom_no_node_can_be_asked_about() {
    // One has a link that was lost, one a link whose node has not greeted; and at last nodes cannot be asked at all.
    let mut bench = Bench::new(1);
    let [lost, early] = [(); 2].map(|()| bench.client());
    for client in [lost, early] {
        bench.send(client, "XREAD BLOCK 0 STREAMS s $");
    }
    let [(link, _), (accepted, _)] = [lost, early].map(|client| bench.pinned(client));
    bench.connect_link(link);
    bench.sent_on(link);
    bench.worker.link_failed(link, &Failure::Lost("gone".to_owned()));
    bench.worker.link_connected(accepted);
    bench.worker.unblock_all();
    assert_eq!([lost, early].map(|client| bench.read(client)), ["*-1\r\n", "*-1\r\n"]);
    assert!(bench.sent("n1").is_empty() && bench.worker.hold.is_empty());

    let mut bench = Bench::new(1);
    let (client, _) = blocked(&mut bench, "k");
    bench.fail("n1");
    bench.worker.unblock_all();
    assert_eq!(bench.read(client), "*-1\r\n");
    assert!(bench.sent("n1").is_empty(), "nothing goes before the handshake");
}

#[test]
fn a_proxy_that_leaves_cuts_no_reply_that_has_begun() {
    let mut bench = Bench::new(1);
    let (client, link) = blocked(&mut bench, "k");
    bench.piece(link, "*2\r\n$1\r\nk\r\n$6\r\nab");
    bench.worker.unblock_all();
    bench.worker.unblock_rest();
    bench.worker.end_of_reply(link, b"cdef\r\n").unwrap();
    assert_eq!(bench.read(client), "*2\r\n$1\r\nk\r\n$6\r\nabcdef\r\n");
}

#[test]
fn thousands_of_blocked_clients_follow_their_keys_at_once() {
    let mut bench = Bench::new(3);
    let key = bench.key_on("n1", 0);
    let blocked: Vec<_> = (0..1_000).map(|_| blocked(&mut bench, &key)).collect();
    for (_, link) in &blocked {
        bench.worker.link_failed(*link, &Failure::Lost("gone".to_owned()));
    }
    bench.set_routable("n1", false);
    for (client, _) in &blocked {
        let (link, node) = bench.pinned(*client);
        assert_ne!(node, "n1");
        bench.connect_link(link);
    }
    assert!(bench.worker.hold.is_empty());
}
