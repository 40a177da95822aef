//! Large replies that come in pieces: who gets them, who waits, and what a lost node leaves behind.

use std::time::Duration;

use resp::Protocol;

use super::Bench;
use crate::link::LinkId;
use crate::outbox::RareWork;
use crate::target::ClientId;

/// More than may wait for a client.
const MUCH: usize = 300 * 1024;

impl Bench {
    /// Lets the node behind `link` send the next piece of a reply.
    pub(crate) fn piece(&mut self, link: LinkId, piece: &str) {
        let pipeline = &mut self.worker.links[link].pipeline;
        pipeline.mark_sent(pipeline.unsent().len());
        self.worker.pass_on(link, piece.as_bytes()).unwrap();
    }

    fn last_piece(&mut self, link: LinkId, piece: &str) {
        self.worker.end_of_reply(link, piece.as_bytes()).unwrap();
    }

    /// What the client takes, and what follows from that.
    fn take(&mut self, client: ClientId) -> String {
        let text = self.read(client);
        self.worker.resume_links_of(client);
        text
    }

    fn is_killed(&mut self, client: ClientId) -> bool {
        self.worker.client(client).unwrap().killed
    }

    /// The link that new requests to `node` go over.
    fn shared(&self, node: &str) -> Option<LinkId> {
        let index = self.worker.routing.as_ref().unwrap().index_of(node).unwrap();
        self.worker.link_of[index.get()][Protocol::Resp2 as usize]
    }

    fn resumes(&mut self) -> bool {
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
    bench.last_piece(link, "\r\n");
    bench.answer("n1", ":2\r\n");
    assert!(bench.take(client).ends_with(":2\r\n"));
    assert_eq!(bench.shared("n1"), Some(link), "nobody has needed another one");
}

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
    assert!(bench.worker.is_halted(link) && bench.worker.may_read(choked));
    assert!(!bench.worker.may_read(reader));
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
