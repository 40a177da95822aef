//! Large values that are passed on while they come.

use std::time::Duration;

use commands::Class;
use resp::{Limits, Protocol, ProtocolError, RequestScanner, Unfinished};

use super::Bench;
use crate::client::upload::Passage;
use crate::link::LinkId;
use crate::link::failure::Failure;
use crate::link::pin::Pin;
use crate::outbox::RareWork;
use crate::target::ClientId;

const MIB: usize = 1024 * 1024;

/// Asks what becomes of a request that begins with these words and of which the next argument is arriving.
fn begin(bench: &mut Bench, client: ClientId, words: &[&str], missing: usize, arriving: usize) -> Passage {
    let mut wire = format!("*{}\r\n", words.len() + missing);
    words.iter().for_each(|word| wire += &format!("${}\r\n{word}\r\n", word.len()));
    wire += &format!("${arriving}\r\n");
    let mut scanner = RequestScanner::new(Limits::default());
    assert_eq!(scanner.scan(wire.as_bytes()), Ok(None));
    let unfinished: Unfinished<'_> = scanner.unfinished(wire.as_bytes()).unwrap();
    bench.worker.begin_upload(client, &unfinished)
}

fn begin_set(bench: &mut Bench, client: ClientId, key: &str) -> Passage {
    begin(bench, client, &["SET", key], 1, 10 * MIB)
}

fn link_of(bench: &Bench) -> LinkId {
    let is_it = |link: &crate::link::Link| matches!(link.pin, Some(Pin::Upload(_)));
    bench.worker.links.iter().find(|(_, link)| is_it(link)).unwrap().0
}

/// Lets the node take all that it was sent; gives that.
fn taken(bench: &mut Bench, link: LinkId) -> Vec<u8> {
    let bytes = bench.write(link);
    bench.worker.upload_written(link);
    bytes
}

/// A client whose large value has begun to flow.
fn flowing(bench: &mut Bench, key: &str) -> (ClientId, LinkId) {
    let client = bench.client();
    assert_eq!(begin_set(bench, client, key), Passage::Later);
    let link = link_of(bench);
    bench.connect_link(link);
    assert!(bench.worker.may_read(client), "the link is up");
    assert_eq!(begin_set(bench, client, key), Passage::Open);
    (client, link)
}

#[test]
fn only_one_large_value_behind_its_key_is_passed_on() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    for (words, missing, arriving) in [
        (&["SET", "k"][..], 1, MIB),
        (&["SET"], 2, 2 * MIB),
        (&["MSET", "k"], 1, 2 * MIB),
        (&["EVAL"], 3, 2 * MIB),
        (&["BLPOP", "k"], 1, 2 * MIB),
        (&["NOPE", "k"], 1, 2 * MIB),
        (&["SETEX", "k"], 1, 2 * MIB),
    ] {
        assert_eq!(begin(&mut bench, client, words, missing, arriving), Passage::Closed, "{words:?}");
    }
    for words in [&["SET", "k"][..], &["HSET", "k", "field"], &["RPUSH", "k", "a", "b"], &["setex", "k", "9"]]
    {
        let mut bench = Bench::new(2);
        let client = bench.client();
        assert_eq!(begin(&mut bench, client, words, 1, 2 * MIB), Passage::Later, "{words:?}");
    }
}

#[test]
fn a_value_goes_to_its_node_in_pieces_and_its_answer_comes_back() {
    let mut bench = Bench::new(3);
    let key = bench.key_on("n2", 0);
    let (client, link) = flowing(&mut bench, &key);
    assert_eq!(bench.worker.links[link].node.as_str(), "n2");
    assert!(bench.worker.may_upload(client));
    for piece in ["one", "two", "three"] {
        bench.worker.upload(client, piece.as_bytes());
    }
    assert_eq!(taken(&mut bench, link), b"onetwothree");
    bench.worker.finish_upload(client, b"\r\n");
    assert!(!bench.worker.may_read(client), "what follows waits for the answer");
    assert_eq!(taken(&mut bench, link), b"\r\n");
    bench.worker.reply(link, b"+OK\r\n").unwrap();
    assert_eq!(bench.read(client), "+OK\r\n");
    assert!(bench.worker.may_read(client));
    assert!(matches!(bench.worker.links[link].pin, Some(Pin::Idle(_))), "it serves the next one");
    assert_eq!(bench.worker.stats.requests, 1);
    assert_eq!(bench.worker.published.traffic.class(Class::Write).requests.get(), 1);
}

#[test]
fn the_value_of_a_client_in_a_special_state_is_looked_at_whole() {
    for line in ["MULTI", "CLIENT REPLY OFF"] {
        let mut bench = Bench::new(1);
        let client = bench.client();
        bench.send(client, line);
        assert_eq!(begin_set(&mut bench, client, "k"), Passage::Closed, "{line}");
    }
}

#[test]
fn a_value_that_has_not_begun_follows_its_key_back_and_leaves_no_link() {
    let (mut bench, [moving, _], _) = Bench::apart();
    let client = bench.client();
    assert_eq!(begin_set(&mut bench, client, &moving), Passage::Later);
    bench.set_routable("n1", true);
    bench.wait(Duration::from_millis(50));
    assert_eq!(begin_set(&mut bench, client, &moving), Passage::Later);
    let links: Vec<_> = bench.worker.links.iter().filter(|(_, link)| link.takes_upload()).collect();
    assert_eq!((links.len(), links[0].1.node.as_str()), (1, "n1"));
}

/// Its place is taken at once by the link that all share.
#[test]
fn a_value_that_has_not_begun_does_not_go_over_a_link_that_has_taken_the_place_of_its_own() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    assert_eq!(begin_set(&mut bench, client, "k"), Passage::Later);
    bench.view.epoch += 1;
    bench.view.nodes[0].port += 100;
    bench.publish();
    bench.connect_links();
    assert_eq!(begin_set(&mut bench, client, "k"), Passage::Later);
    let (link, shared) = (link_of(&bench), bench.link("n1", Protocol::Resp2));
    bench.connect_link(link);
    assert_eq!(begin_set(&mut bench, client, "k"), Passage::Open);
    bench.worker.upload(client, b"value");
    assert!(bench.worker.links[shared].pipeline.unsent().is_empty());
    assert_eq!(taken(&mut bench, link), b"value");
}

#[test]
fn a_value_that_breaks_the_protocol_ends_its_client_and_the_link() {
    let mut bench = Bench::new(1);
    let (client, link) = flowing(&mut bench, "k");
    bench.worker.upload(client, b"value");
    bench.worker.break_upload(client, &ProtocolError::NestedTooDeeply);
    assert!(bench.read(client).starts_with("-ERR "));
    assert!(bench.worker.client(client).unwrap().closing && !bench.worker.links.contains(link));
    // One whose node was lost before.
    let (client, link) = flowing(&mut bench, "k");
    bench.worker.link_failed(link, &Failure::Refused);
    bench.worker.break_upload(client, &ProtocolError::NestedTooDeeply);
    assert!(bench.read(client).starts_with("-ERR "));
    assert!(bench.worker.client(client).unwrap().closing);
}

#[test]
fn a_node_that_takes_a_value_slowly_is_not_silent() {
    let mut bench = Bench::new(1);
    let (client, link) = flowing(&mut bench, "k");
    bench.worker.upload(client, &[b'x'; 1024]);
    for _ in 0..4 {
        bench.wait(Duration::from_secs(4));
        bench.worker.links[link].pipeline.mark_sent(1);
        bench.worker.upload_written(link);
        assert!(!bench.gives_up_a_link());
    }
}

#[test]
fn a_client_is_read_no_faster_than_its_node_takes() {
    let mut bench = Bench::new(1);
    let (client, link) = flowing(&mut bench, "k");
    let piece = [b'x'; 64 * 1024];
    let mut pieces = 0;
    while bench.worker.may_upload(client) {
        bench.worker.upload(client, &piece);
        pieces += 1;
    }
    assert_eq!(pieces, 5);
    assert_eq!(bench.worker.links[link].traffic.choked.get(), 0, "that is its ordinary way");
    bench.wait(Duration::from_millis(50));
    assert!(!bench.worker.may_upload(client), "time alone makes no room");
    let kept = |bench: &mut Bench| bench.worker.client(client).unwrap().kept();
    assert_eq!(kept(&mut bench), 5 * piece.len(), "it counts for maxmemory-clients");
    bench.worker.links[link].pipeline.mark_sent(piece.len());
    bench.worker.upload_written(link);
    assert!(!bench.worker.may_upload(client), "too much is left");
    taken(&mut bench, link);
    assert!(bench.worker.may_upload(client));
    assert_eq!(kept(&mut bench), 0);
    let rouses = |work: &RareWork| matches!(work, RareWork::Rouse(id) if *id == client);
    assert!(bench.worker.outbox.rare.iter().any(rouses), "it is told");
}

#[test]
fn a_value_waits_until_its_client_is_owed_nothing() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "GET k");
    assert_eq!(begin_set(&mut bench, client, "k"), Passage::Later);
    assert!(!bench.worker.may_read(client));
    bench.answer("n1", "$-1\r\n");
    assert!(bench.worker.may_read(client));
}

#[test]
fn a_value_that_has_not_begun_goes_to_the_stand_in() {
    let mut bench = Bench::new(3);
    let key = bench.key_on("n1", 0);
    let client = bench.client();
    assert_eq!(begin_set(&mut bench, client, &key), Passage::Later);
    let link = link_of(&bench);
    bench.worker.link_failed(link, &Failure::Refused);
    assert_eq!(link_of(&bench), link, "it is tried again");
    assert_eq!(begin_set(&mut bench, client, &key), Passage::Later);
    assert!(!bench.worker.may_read(client));
    bench.set_routable("n1", false);
    assert!(bench.worker.may_read(client), "asks again");
    assert_eq!(begin_set(&mut bench, client, &key), Passage::Later);
    let link = link_of(&bench);
    assert_eq!(bench.worker.links[link].node.as_str(), bench.node_of(&key));
    bench.connect_link(link);
    assert_eq!(begin_set(&mut bench, client, &key), Passage::Open);
}

#[test]
fn a_node_that_stays_away_is_told_behind_the_value() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.worker.outbox.rare.clear();
    assert_eq!(begin_set(&mut bench, client, "k"), Passage::Later);
    assert!(matches!(bench.worker.outbox.rare[..], [RareWork::Open(_), RareWork::Watch]));
    bench.wait(Duration::from_millis(900));
    assert_eq!(begin_set(&mut bench, client, "k"), Passage::Later);
    bench.wait(Duration::from_millis(200));
    assert!(bench.worker.may_read(client), "asks again");
    assert_eq!(begin_set(&mut bench, client, "k"), Passage::Open);
    assert!(
        bench.worker.may_upload(client) && !bench.worker.links.iter().any(|(_, link)| link.takes_upload())
    );
    assert_eq!((bench.worker.stats.expired, bench.worker.stats.requests), (1, 1));
    bench.worker.upload(client, b"value");
    assert_eq!(bench.read(client), "");
    bench.worker.finish_upload(client, b"\r\n");
    let reply = bench.read(client);
    assert!(reply.starts_with("-UNAVAILABLE node n1 ") && reply.contains("was not executed"), "{reply}");
    bench.send(client, "PING");
    assert_eq!(bench.read(client), "+PONG\r\n");
}

#[test]
fn a_node_lost_midway_is_told_behind_the_value() {
    let mut bench = Bench::new(1);
    let (client, link) = flowing(&mut bench, "k");
    bench.worker.upload(client, b"some");
    bench.worker.link_failed(link, &Failure::Lost("gone".to_owned()));
    assert!(!bench.worker.links.contains(link));
    bench.worker.upload(client, b"more");
    assert_eq!(bench.read(client), "");
    bench.worker.finish_upload(client, b"\r\n");
    let reply = bench.read(client);
    assert!(
        reply.starts_with("-UNAVAILABLE node n1 was lost") && reply.contains("was not executed"),
        "{reply}"
    );
    assert!(bench.worker.may_read(client));
}

const TOO_LARGE: &str = "-ERR Protocol error: invalid bulk length\r\n";

#[test]
fn a_node_that_refuses_a_value_midway_is_quoted_behind_it_and_has_not_failed() {
    let mut bench = Bench::new(1);
    let (client, link) = flowing(&mut bench, "k");
    let traffic = bench.worker.links[link].traffic.clone();
    bench.worker.upload(client, b"some");
    taken(&mut bench, link);
    bench.reports();
    bench.worker.reply(link, TOO_LARGE.as_bytes()).unwrap();
    assert!(!bench.worker.links.contains(link), "the node closes it");
    bench.worker.upload(client, b"more");
    assert_eq!(bench.read(client), "");
    bench.worker.finish_upload(client, b"\r\n");
    assert_eq!(bench.read(client), TOO_LARGE);
    assert!(bench.reports().is_empty() && traffic.link_failures.get() == 0);
    assert!(bench.worker.may_read(client));
}

#[test]
fn a_node_that_refuses_a_value_whose_end_it_has_not_is_quoted_at_once() {
    let mut bench = Bench::new(1);
    let (client, link) = flowing(&mut bench, "k");
    bench.worker.finish_upload(client, b"value\r\n");
    bench.reports();
    bench.worker.reply(link, TOO_LARGE.as_bytes()).unwrap();
    assert_eq!(bench.read(client), TOO_LARGE);
    assert!(!bench.worker.links.contains(link) && bench.reports().is_empty());
    assert!(bench.worker.may_read(client));
}

/// It says so as soon as it has accepted, perhaps before it is asked anything.
#[test]
fn a_node_that_takes_no_more_connections_refuses_the_link_and_not_the_value() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    assert_eq!(begin_set(&mut bench, client, "k"), Passage::Later);
    let link = link_of(&bench);
    bench.worker.link_connected(link);
    let failure = bench.worker.reply(link, b"-ERR max number of clients reached\r\n").unwrap_err();
    assert!(bench.worker.links.contains(link) && !bench.worker.may_read(client), "it would come at once");
    bench.worker.link_failed(link, &failure);
    assert_eq!(link_of(&bench), link, "it is tried again, after a pause");
    assert!(bench.reports().iter().any(|report| report.starts_with("n1 ")), "that is a failure");
}

#[test]
fn what_a_node_says_in_the_middle_of_a_value_and_is_no_error_is_a_failure() {
    let mut bench = Bench::new(1);
    let (client, link) = flowing(&mut bench, "k");
    bench.worker.upload(client, b"some");
    assert!(bench.worker.reply(link, b"+OK\r\n").is_err());
}

#[test]
fn what_a_lost_node_had_whole_may_have_been_executed() {
    for (is_sent, expected) in [(true, "may have been executed"), (false, "was not executed")] {
        let mut bench = Bench::new(1);
        let (client, link) = flowing(&mut bench, "k");
        bench.worker.upload(client, b"value");
        bench.worker.finish_upload(client, b"\r\n");
        if is_sent {
            taken(&mut bench, link);
        }
        bench.worker.link_failed(link, &Failure::Lost("gone".to_owned()));
        let reply = bench.read(client);
        assert!(reply.starts_with("-UNAVAILABLE ") && reply.contains(expected), "{reply}");
        assert!(!bench.worker.links.contains(link));
    }
}

#[test]
fn a_node_that_takes_no_more_is_given_up_and_a_slow_client_is_not() {
    let mut bench = Bench::new(1);
    let (client, link) = flowing(&mut bench, "k");
    bench.worker.upload(client, b"value");
    taken(&mut bench, link);
    bench.wait(Duration::from_secs(60));
    assert!(!bench.gives_up_a_link(), "the client sends nothing");
    bench.worker.upload(client, b"more");
    bench.wait(Duration::from_secs(4));
    assert!(!bench.gives_up_a_link());
    bench.wait(Duration::from_secs(2));
    assert!(bench.gives_up_a_link());
}

#[test]
fn a_client_that_leaves_midway_takes_its_link_along() {
    let mut bench = Bench::new(1);
    let (client, link) = flowing(&mut bench, "k");
    bench.worker.upload(client, b"value");
    bench.worker.disconnect(client);
    assert!(!bench.worker.links.contains(link));
    let client = bench.client();
    assert_eq!(begin_set(&mut bench, client, "k"), Passage::Later);
    bench.worker.disconnect(client);
    let is_left = |link: &crate::link::Link| link.pin.is_some();
    assert!(!bench.worker.links.iter().any(|(_, link)| is_left(link)));
}

#[test]
fn without_a_view_the_value_is_read_and_its_client_told() {
    let mut bench = Bench::new(1);
    bench.set_routable("n1", false);
    let client = bench.client();
    assert_eq!(begin_set(&mut bench, client, "k"), Passage::Open);
    bench.worker.upload(client, b"value");
    bench.worker.finish_upload(client, b"\r\n");
    assert_eq!(bench.read(client), "-UNAVAILABLE no node of the cluster is in service\r\n");
}

#[test]
fn a_client_that_takes_the_answer_to_its_large_value_slowly_accuses_nobody() {
    let mut bench = Bench::new(1);
    let (client, link) = flowing(&mut bench, "k");
    bench.worker.finish_upload(client, b"value\r\n");
    taken(&mut bench, link);
    bench.piece(link, &"x".repeat(MIB));
    assert!(bench.worker.is_halted(link));
    bench.reports();
    bench.wait(Duration::from_secs(10));
    let work = std::mem::take(&mut bench.worker.outbox.rare);
    let accuses = |work: &RareWork| matches!(work, RareWork::GiveUp(_) | RareWork::Report(_));
    assert!(!work.iter().any(accuses));
}
