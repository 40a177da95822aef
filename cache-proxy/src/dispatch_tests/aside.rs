//! Links that others go around while a client takes its large reply, or that are left to end it.

use std::time::Duration;

use resp::Protocol;

use super::Bench;
use super::download::MUCH;
use crate::link::LinkId;

#[test]
fn new_requests_go_around_a_halted_link_but_overtake_nothing() {
    let mut bench = Bench::new(1);
    let [reader, behind, other] = [(); 3].map(|()| bench.client());
    bench.send(reader, "GET large");
    bench.send(behind, "SET k 1");
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, &"x".repeat(MUCH));
    assert!(bench.worker.may_read(other));
    assert!(!bench.worker.may_read(behind), "its GET must not overtake its SET");
    bench.send(other, "GET k");
    let fresh = bench.shared("n1").unwrap();
    assert_ne!(fresh, link);
    bench.connect_link(fresh);
    let sent = bench.worker.links[fresh].pipeline.unsent().to_vec();
    assert_eq!(String::from_utf8(sent).unwrap(), "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");

    bench.take(reader);
    bench.last_piece(link, "\r\n");
    bench.worker.reply(link, b"+OK\r\n").unwrap();
    assert_eq!(bench.take(behind), "+OK\r\n");
    assert!(bench.worker.may_read(behind));
    bench.wait(Duration::from_secs(11));
    assert!(!bench.worker.links.contains(link), "nobody has needed it again");
}

#[test]
fn a_link_set_aside_is_used_again_before_a_new_one_is_opened() {
    let mut bench = Bench::new(1);
    let [reader, other] = [(); 2].map(|()| bench.client());
    let mut read_slowly = |link: LinkId| {
        bench.send(reader, "GET large");
        bench.piece(link, &"x".repeat(MUCH));
        bench.send(other, "GET k");
        let fresh = bench.shared("n1").unwrap();
        if !bench.worker.links[fresh].up {
            bench.connect_link(fresh);
        }
        bench.take(reader);
        bench.last_piece(link, "\r\n");
        let pipeline = &mut bench.worker.links[fresh].pipeline;
        pipeline.mark_sent(pipeline.unsent().len());
        bench.worker.reply(fresh, b"$-1\r\n").unwrap();
        fresh
    };
    let first = 0;
    let second = read_slowly(first);
    assert_ne!(second, first);
    assert_eq!(read_slowly(second), first);
    assert_eq!(bench.worker.links.len(), 2);
    bench.wait(Duration::from_secs(11));
    assert!(bench.worker.links.contains(first), "it is the shared one now, however quiet");
}

#[test]
fn slow_readers_take_only_so_many_connections_of_a_node() {
    let mut bench = Bench::new(2);
    let mut read_slowly = |node: &str| {
        let client = bench.client();
        let key = bench.key_on(node, 0);
        bench.send(client, &format!("GET {key}"));
        let link = bench.shared(node).unwrap();
        if !bench.worker.links[link].up {
            bench.connect_link(link);
        }
        bench.piece(link, &"x".repeat(MUCH));
        (bench.shared(node), link)
    };
    assert!((0..64).all(|_| read_slowly("n1").0.is_none()));
    let (shared, link) = read_slowly("n1");
    assert_eq!(shared, Some(link), "from now on they share one");
    assert_eq!(read_slowly("n2").0, None, "another node has as many");
    let other = bench.client();
    let line = format!("GET {}", bench.key_on("n1", 1));
    bench.send(other, &line);
    assert_eq!(bench.sent_on(link), [line]);
    bench.wait(Duration::from_millis(50));
    assert!(bench.sent_on(link).is_empty(), "there is no other link to ask again over");
}

#[test]
fn what_waits_on_a_lost_link_that_was_set_aside_goes_over_the_other() {
    let mut bench = Bench::new(1);
    let [reader, behind, other] = [(); 3].map(|()| bench.client());
    bench.send(reader, "GET large");
    bench.send(behind, "GET k");
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, &"x".repeat(MUCH));
    bench.send(other, "GET k");
    let fresh = bench.shared("n1").unwrap();
    bench.connect_link(fresh);
    bench.worker.link_failed(link, &crate::link::failure::Failure::Refused);
    assert!(!bench.worker.links.contains(link));
    assert!(bench.is_killed(reader));
    assert_eq!(bench.sent("n1"), ["GET k", "GET k"]);
    bench.answer("n1", ":1\r\n:2\r\n");
    assert_eq!((bench.take(other), bench.take(behind)), (":1\r\n".to_owned(), ":2\r\n".to_owned()));
}

#[test]
fn reads_behind_a_slow_reader_are_asked_again_over_the_other_link() {
    let mut bench = Bench::new(1);
    let [reader, reads, writes] = [(); 3].map(|()| bench.client());
    bench.send(reader, "GET large");
    bench.send(reader, "GET mine");
    bench.send(reads, "GET a");
    bench.send(writes, "GET c");
    bench.send(writes, "SET c 1");
    bench.send(writes, "GET c");
    bench.send(reads, "GET b");
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, &"x".repeat(MUCH));
    bench.wait(Duration::from_millis(50));
    let fresh = bench.shared("n1").unwrap();
    bench.connect_link(fresh);
    assert_eq!(bench.sent_on(fresh), ["GET a", "GET b"], "no read is before or behind its own write");
    bench.worker.reply(fresh, b"$1\r\na\r\n").unwrap();
    bench.worker.reply(fresh, b"$1\r\nb\r\n").unwrap();
    assert_eq!(bench.take(reads), "$1\r\na\r\n$1\r\nb\r\n");
    bench.wait(Duration::from_millis(50));
    assert!(!bench.worker.is_halted(link), "the writes have waited for long enough");
    assert_eq!((bench.sent_on(fresh).len(), bench.worker.stats.resent), (0, 2), "once is enough");
    bench.last_piece(link, "\r\n");
    for reply in ["$1\r\nm\r\n", "$5\r\nother\r\n", ":1\r\n", "+OK\r\n", ":3\r\n", "$5\r\nother\r\n"] {
        bench.worker.reply(link, reply.as_bytes()).unwrap();
    }
    assert_eq!(bench.take(reads), "", "what was asked again is not answered twice");
    assert_eq!(bench.take(writes), ":1\r\n+OK\r\n:3\r\n");
    assert!(bench.take(reader).ends_with("x\r\n$1\r\nm\r\n"));
}

/// It was choked by what others had on the link, and is not to wait until a client takes its reply that takes none.
#[test]
fn who_was_choked_by_a_link_that_is_set_aside_goes_on_over_the_other() {
    let mut bench = Bench::new(1);
    let [reader, choked] = [(); 2].map(|()| bench.client());
    bench.send(reader, "GET large");
    (0..5).for_each(|_| bench.send_value(reader, "k", &"x".repeat(1024 * 1024)));
    bench.send(choked, "GET k");
    assert!(!bench.worker.may_read(choked));
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, &"x".repeat(MUCH));
    bench.wait(Duration::from_millis(50));
    let fresh = bench.shared("n1").unwrap();
    bench.connect_link(fresh);
    assert_eq!(bench.sent_on(fresh), ["GET k"]);
    bench.worker.reply(fresh, b"$1\r\nv\r\n").unwrap();
    assert_eq!(bench.take(choked), "$1\r\nv\r\n");
    bench.wait(Duration::from_millis(200));
    assert!(bench.worker.is_halted(link), "nobody waits behind it any more");
    assert!(bench.worker.may_read(choked) && !bench.worker.may_read(reader));
}

#[test]
fn a_node_that_goes_out_of_service_ends_the_reply_that_it_has_begun() {
    let mut bench = Bench::new(2);
    let [reader, other] = [(); 2].map(|()| bench.client());
    let [large, small] = [0, 1].map(|salt| format!("GET {}", bench.key_on("n1", salt)));
    bench.send(reader, &large);
    bench.send(other, &small);
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, "$6\r\nab");
    bench.set_routable("n1", false);
    assert_eq!(bench.sent("n2"), [small], "the stand-in is asked for what had not begun");
    bench.answer("n2", ":2\r\n");
    assert_eq!(bench.take(other), ":2\r\n");
    bench.last_piece(link, "cdef\r\n");
    bench.worker.reply(link, b":1\r\n").unwrap();
    assert_eq!(bench.take(reader), "$6\r\nabcdef\r\n");
    assert_eq!(bench.take(other), "", "it has its answer");
    assert!(!bench.worker.links.contains(link), "the node is out");
}

/// Nobody waits for it where it was asked first: the gather may be another one by then.
#[test]
fn a_part_that_the_stand_in_has_answered_is_not_taken_from_the_node_that_went_out_of_service() {
    let mut bench = Bench::new(2);
    let [reader, other] = [(); 2].map(|()| bench.client());
    let [large, gone] = [0, 1].map(|salt| bench.key_on("n1", salt));
    let [here, more] = [0, 1].map(|salt| bench.key_on("n2", salt));
    bench.send(reader, &format!("GET {large}"));
    bench.send(other, &format!("MGET {gone} {here}"));
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, "$6\r\nab");
    bench.set_routable("n1", false);
    assert_eq!(bench.sent("n2"), [format!("MGET {here}"), format!("MGET {gone}")]);
    bench.answer("n2", "*1\r\n+here\r\n*1\r\n+gone\r\n");
    assert_eq!(bench.take(other), "*2\r\n+gone\r\n+here\r\n");
    bench.send(other, "SCAN 1");
    bench.last_piece(link, "cdef\r\n");
    bench.worker.reply(link, b"*1\r\n+late\r\n").unwrap();
    assert_eq!(bench.take(other), "");
    bench.answer("n2", &format!("*2\r\n$1\r\n0\r\n*1\r\n+{more}\r\n"));
    assert_eq!(bench.take(other), format!("*2\r\n$1\r\n0\r\n*1\r\n+{more}\r\n"));
}

#[test]
fn who_was_choked_by_a_link_that_is_left_to_finish_goes_on() {
    let mut bench = Bench::new(2);
    let [reader, choked] = [(); 2].map(|()| bench.client());
    let long = format!("{{{}}}{}", bench.key_on("n1", 0), "x".repeat(5 * 1024 * 1024));
    let key = bench.key_on("n1", 1);
    bench.send(reader, &format!("GET {key}"));
    bench.send_words(reader, &["GET", &long]);
    bench.send(choked, &format!("GET {key}"));
    assert!(!bench.worker.may_read(choked));
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, "$6\r\nab");
    bench.set_routable("n1", false);
    bench.answer("n2", "$-1\r\n$1\r\nv\r\n");
    assert_eq!(bench.take(choked), "$1\r\nv\r\n");
    assert!(bench.worker.links.contains(link) && bench.worker.may_read(choked));
}

#[test]
fn a_write_behind_a_reply_does_not_stay_with_a_node_that_goes_out_of_service() {
    let mut bench = Bench::new(2);
    let [reader, writer] = [(); 2].map(|()| bench.client());
    let key = bench.key_on("n1", 0);
    bench.send(reader, &format!("GET {key}"));
    bench.send(writer, &format!("SET {key} old"));
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, "$6\r\nab");
    bench.set_routable("n1", false);
    assert_eq!(bench.sent("n2"), [format!("SET {key} old")]);
    assert!(!bench.worker.links.contains(link), "n1 would execute it after it was emptied");
    assert!(bench.is_killed(reader));
}
