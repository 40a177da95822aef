//! Large replies that come in pieces: who gets them, who waits, and what a lost node leaves behind.

use std::time::Duration;

use resp::Protocol;

use super::Bench;
use crate::link::LinkId;
use crate::outbox::RareWork;
use crate::target::ClientId;

/// More than may wait for a client.
pub(super) const MUCH: usize = 300 * 1024;

impl Bench {
    /// Lets the node behind `link` send the next piece of a reply.
    pub(crate) fn piece(&mut self, link: LinkId, piece: &str) {
        self.write(link);
        self.worker.pass_on(link, piece.as_bytes()).unwrap();
    }

    pub(super) fn last_piece(&mut self, link: LinkId, piece: &str) {
        self.worker.end_of_reply(link, piece.as_bytes()).unwrap();
    }

    /// What the client takes, and what follows from that.
    pub(super) fn take(&mut self, client: ClientId) -> String {
        let text = self.read(client);
        self.worker.resume_links_of(client);
        text
    }

    pub(super) fn is_killed(&mut self, client: ClientId) -> bool {
        let client = self.worker.client(client).unwrap();
        assert!(!client.killed || client.listed, "nobody would close it");
        client.killed
    }

    /// The link that new requests to `node` go over.
    pub(super) fn shared(&self, node: &str) -> Option<LinkId> {
        let index = self.worker.routing.as_ref().unwrap().index_of(node).unwrap();
        self.worker.link_of[index.get()][Protocol::Resp2 as usize]
    }

    pub(super) fn resumes(&mut self) -> bool {
        std::mem::take(&mut self.worker.outbox.rare).iter().any(|work| matches!(work, RareWork::Resume(_)))
    }
}

#[test]
fn the_pieces_of_a_reply_reach_its_client_as_they_come() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "GET k");
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, "$6\r\nab");
    assert_eq!(bench.take(client), "$6\r\nab");
    bench.piece(link, "cd");
    bench.last_piece(link, ">f\r\n");
    assert_eq!(bench.take(client), "cd>f\r\n", "the rest of a reply is no push, whatever it looks like");
    assert_eq!(bench.worker.client(client).unwrap().owed(), 0);
}

#[test]
fn a_reply_before_its_turn_waits_in_pieces_too() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let [first, second] = ["n1", "n2"].map(|node| format!("GET {}", bench.key_on(node, 0)));
    bench.send(client, &first);
    bench.send(client, &second);
    let link = bench.link("n2", Protocol::Resp2);
    bench.piece(link, "$6\r\nab");
    assert_eq!(bench.take(client), "");
    bench.answer("n1", ":1\r\n");
    assert_eq!(bench.take(client), ":1\r\n$6\r\nab");
    bench.last_piece(link, "cdef\r\n");
    assert_eq!(bench.take(client), "cdef\r\n");
}

#[test]
fn a_link_is_not_read_while_its_client_takes_nothing_and_goes_on_when_it_does() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "GET k");
    bench.send(client, "GET k");
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, &"x".repeat(MUCH));
    assert!(bench.worker.is_halted(link));
    bench.wait(Duration::from_secs(60));
    assert!(bench.worker.is_halted(link), "nobody else waits");
    assert!(!bench.gives_up_a_link(), "the node is not silent: it is not listened to");
    bench.take(client);
    assert!(!bench.worker.is_halted(link) && bench.resumes());
    bench.wait(Duration::from_millis(100));
    assert!(!bench.gives_up_a_link(), "nor was it while it was not listened to");
    bench.last_piece(link, "\r\n");
    bench.answer("n1", ":2\r\n");
    assert!(bench.take(client).ends_with(":2\r\n"));
    assert_eq!(bench.shared("n1"), Some(link), "nobody has needed another one");
}

#[test]
fn others_wait_only_so_long_behind_a_reply_that_is_not_taken() {
    let mut bench = Bench::with_flags(1, &["--client-output-buffer-limit", "1mb"]);
    let [reader, other] = [(); 2].map(|()| bench.client());
    bench.send(reader, "GET large");
    bench.send(other, "INCR k");
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, &"x".repeat(MUCH));
    bench.wait(Duration::from_millis(50));
    assert!(bench.worker.is_halted(link) && bench.worker.is_waiting(), "the deadlines are looked at");
    bench.wait(Duration::from_millis(50));
    assert!(!bench.worker.is_halted(link) && bench.resumes());
    for _ in 0..3 {
        bench.piece(link, &"x".repeat(MUCH));
        assert!(!bench.worker.is_halted(link) && !bench.is_killed(reader));
    }
    bench.piece(link, &"x".repeat(MUCH));
    assert!(bench.is_killed(reader), "more than may pile up for one client");
    bench.last_piece(link, "\r\n");
    bench.worker.reply(link, b":1\r\n").unwrap();
    assert_eq!(bench.take(other), ":1\r\n");
}

#[test]
fn a_reply_before_its_turn_holds_others_up_no_longer_either() {
    let mut bench = Bench::new(2);
    let [client, other] = [(); 2].map(|()| bench.client());
    let [one, two] = ["n1", "n2"].map(|node| format!("GET {}", bench.key_on(node, 0)));
    bench.send(client, &two);
    bench.send(client, &one);
    bench.send(other, &one.replace("GET", "INCR"));
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, &"1".repeat(MUCH));
    assert!(bench.worker.is_halted(link), "it waits for the first reply, which is long in coming");
    bench.wait(Duration::from_millis(100));
    assert!(!bench.worker.is_halted(link));
    bench.last_piece(link, "\r\n");
    bench.worker.reply(link, b":1\r\n").unwrap();
    assert_eq!(bench.take(other), ":1\r\n");
}

#[test]
fn a_client_that_leaves_holds_nothing_up() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "GET large");
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, &"x".repeat(MUCH));
    assert!(!bench.worker.is_waiting(), "nothing runs while nobody waits behind it");
    bench.worker.disconnect(client);
    assert!(!bench.worker.is_halted(link) && bench.resumes());
    bench.piece(link, &"x".repeat(MUCH));
    assert!(!bench.worker.is_halted(link));
    bench.last_piece(link, "\r\n");
}

#[test]
fn a_client_with_half_a_reply_of_a_lost_node_is_closed() {
    let mut bench = Bench::new(2);
    let [client, early] = [(); 2].map(|()| bench.client());
    let [one, two] = ["n1", "n2"].map(|node| format!("GET {}", bench.key_on(node, 0)));
    bench.send(client, &one);
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, "$6\r\nab");
    bench.send(early, &two);
    bench.send(early, &one);
    bench.fail("n1");
    assert!(bench.is_killed(client));
    assert_eq!(bench.worker.stats.cut_replies, 1);
    bench.connect_link(link);
    assert_eq!(bench.sent("n1"), [one.as_str()], "what nobody can read is not asked for again");

    bench.piece(link, "$6\r\nxx");
    bench.fail("n1");
    assert!(!bench.is_killed(early), "nothing of it has been seen");
    bench.connect_link(link);
    assert_eq!(bench.sent("n1"), [one.as_str()]);
    bench.answer("n1", "$2\r\nok\r\n");
    bench.answer("n2", ":2\r\n");
    assert_eq!(bench.take(early), ":2\r\n$2\r\nok\r\n");
}

#[test]
fn others_wait_no_longer_when_a_client_takes_a_little_now_and_then() {
    let mut bench = Bench::new(1);
    let [reader, other] = [(); 2].map(|()| bench.client());
    bench.send(reader, "GET large");
    bench.send(other, "INCR k");
    let link = bench.link("n1", Protocol::Resp2);
    for _ in 0..4 {
        bench.piece(link, &"x".repeat(MUCH));
        assert!(bench.worker.is_halted(link));
        bench.wait(Duration::from_millis(20));
        bench.take(reader);
    }
    bench.piece(link, &"x".repeat(MUCH));
    bench.wait(Duration::from_millis(20));
    assert!(!bench.worker.is_halted(link));
}

#[test]
fn what_must_be_looked_at_whole_is_not_passed_on() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "GET k");
    bench.sent("n1");
    let link = bench.link("n1", Protocol::Resp2);
    assert!(bench.worker.may_pass_on(link, Some(&b'$')));
    assert!(!bench.worker.may_pass_on(link, Some(&b'>')), "a push is no reply");
    bench.send(client, "SUBSCRIBE c");
    let subscriber = bench.subscriber_link("n1");
    bench.worker.link_connected(subscriber);
    bench.write(subscriber);
    assert!(!bench.worker.may_pass_on(subscriber, Some(&b'%')), "the answer to a handshake");
}

#[test]
fn a_reply_that_came_in_pieces_counts_for_how_many_may_be_owed() {
    let mut bench = Bench::with_flags(1, &["--client-output-buffer-limit", "1mb"]);
    let client = bench.client();
    bench.send(client, "GET large");
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, &"x".repeat(MUCH));
    bench.take(client);
    bench.last_piece(link, "\r\n");
    bench.take(client);
    assert!(bench.worker.may_read(client));
    bench.send(client, "GET large");
    assert!(!bench.worker.may_read(client));
}

#[test]
fn a_transaction_whose_reply_is_cut_off_is_forgotten() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for line in ["MULTI", "GET k", "EXEC"] {
        bench.send(client, line);
    }
    bench.read(client);
    bench.answer("n1", "+OK\r\n+QUEUED\r\n");
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, "*1\r\n$6\r\nab");
    bench.fail("n1");
    assert!(bench.is_killed(client));
    assert!(bench.worker.units.is_empty() && bench.worker.hold.is_empty());
}

#[test]
fn what_had_come_of_a_part_is_forgotten_when_its_node_is_asked_again() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let keys = ["n1", "n2"].map(|node| bench.key_on(node, 0));
    bench.send(client, &format!("MGET {} {}", keys[0], keys[1]));
    bench.answer("n2", "*1\r\n:2\r\n");
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, "*1\r\n$6\r\nab");
    bench.fail("n1");
    bench.connect_link(link);
    bench.answer("n1", "*1\r\n:1\r\n");
    assert_eq!(bench.take(client), "*2\r\n:1\r\n:2\r\n");
}

#[test]
fn gathered_replies_have_a_bound_and_a_clear_error() {
    let mut bench = Bench::with_flags(2, &["--client-output-buffer-limit", "1mb"]);
    let client = bench.client();
    let keys = ["n1", "n2"].map(|node| bench.key_on(node, 0));
    bench.send(client, &format!("MGET {} {}", keys[0], keys[1]));
    let link = bench.link("n1", Protocol::Resp2);
    bench.piece(link, "*1\r\n$2000000\r\n");
    (0..4).for_each(|_| bench.piece(link, &"x".repeat(500_000)));
    bench.last_piece(link, "\r\n");
    bench.answer("n2", "*1\r\n:2\r\n");
    assert!(bench.take(client).starts_with("-ERR the replies of the nodes together are larger than "));
    bench.send(client, &format!("MGET {} {}", keys[0], keys[1]));
    bench.piece(link, "*1\r\n$5\r\nhe");
    bench.last_piece(link, "llo\r\n");
    bench.answer("n2", "*1\r\n:2\r\n");
    assert_eq!(bench.take(client), "*2\r\n$5\r\nhello\r\n:2\r\n");
}
