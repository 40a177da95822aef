//! The dispatcher without a socket: requests go in as a client types them, and what each node would be sent
//! and each client would read comes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Routing, Status, View, ViewNode};
use resp::{Limits, Protocol, ReplyScanner, RequestScanner};

use crate::config::{Config, PROGRAM};
use crate::dispatch::Dispatcher;
use crate::failure::Failure;
use crate::link::LinkId;
use crate::outbox::RareWork;
use crate::target::ClientId;

/// A worker between nodes and clients that exist on paper only.
pub(crate) struct Bench {
    pub(crate) worker: Dispatcher,
    pub(crate) view: View,
}

impl Bench {
    /// A worker over that many nodes, all of them routable and connected.
    pub(crate) fn new(nodes: usize) -> Self {
        Self::with_flags(nodes, &[])
    }

    fn with_flags(nodes: usize, flags: &[&str]) -> Self {
        let settings = PROGRAM.from_flags(flags).unwrap();
        let config = Arc::new(Config::from_settings(&settings).unwrap());
        let nodes = (1..=nodes).map(|number| ViewNode {
            node_id: format!("n{number}").parse().unwrap(),
            host: "127.0.0.1".to_owned(),
            port: 7000 + u16::try_from(number).unwrap(),
            zone: None,
            weight: 1,
            status: Status::Healthy,
            routable: true,
            run_id: None,
        });
        let view = View { epoch: 1, slots: 1024, points: 100, nodes: nodes.collect(), proxies: Vec::new() };
        let mut bench = Self { worker: Dispatcher::new(config, Instant::now(), Arc::default()), view };
        bench.publish();
        bench.connect_links();
        bench
    }

    fn publish(&mut self) {
        let routing = Routing::compile(&self.view, self.worker.routing.as_deref()).unwrap();
        self.worker.apply(&Arc::new(routing));
    }

    /// Publishes a view in which `node` is in service or not.
    pub(crate) fn set_routable(&mut self, node: &str, routable: bool) {
        self.view.epoch += 1;
        let node = self.view.nodes.iter_mut().find(|known| known.node_id.as_str() == node).unwrap();
        node.routable = routable;
        self.publish();
    }

    fn connect_links(&mut self) {
        let down: Vec<_> = self.worker.links.iter().filter(|(_, link)| !link.up).map(|(id, _)| id).collect();
        down.into_iter().for_each(|id| self.connect_link(id));
    }

    /// Connects a link, and lets its node answer the handshake.
    pub(crate) fn connect_link(&mut self, id: LinkId) {
        self.worker.link_connected(id);
        let pipeline = &mut self.worker.links[id].pipeline;
        pipeline.mark_sent(pipeline.unsent().len());
        self.worker.reply(id, b"+PONG\r\n").unwrap();
    }

    pub(crate) fn client(&mut self) -> ClientId {
        self.worker.connect("127.0.0.1:1".parse().unwrap()).unwrap()
    }

    /// Sends a request, as a person would type it.
    pub(crate) fn send(&mut self, client: ClientId, line: &str) {
        let line = format!("{line}\r\n");
        let mut scanner = RequestScanner::new(Limits::default());
        scanner.scan(line.as_bytes()).unwrap().unwrap();
        self.worker.request(client, scanner.request(line.as_bytes()));
    }

    fn link(&self, node: &str, protocol: Protocol) -> LinkId {
        let is_it = |(_, link): &(LinkId, &crate::link::Link)| {
            link.node.as_str() == node && link.protocol == protocol
        };
        self.worker.links.iter().find(is_it).unwrap().0
    }

    /// Takes what would be written to `node`, as lines of words.
    pub(crate) fn sent_over(&mut self, node: &str, protocol: Protocol) -> Vec<String> {
        let id = self.link(node, protocol);
        let pipeline = &mut self.worker.links[id].pipeline;
        let mut unsent = pipeline.unsent().to_vec();
        pipeline.mark_sent(unsent.len());
        let mut scanner = RequestScanner::new(Limits::default());
        let mut lines = Vec::new();
        while let Some(len) = scanner.scan(&unsent).unwrap() {
            let words: Vec<_> = scanner.request(&unsent).args().map(String::from_utf8_lossy).collect();
            lines.push(words.join(" "));
            unsent.drain(..len);
        }
        lines
    }

    fn sent(&mut self, node: &str) -> Vec<String> {
        self.sent_over(node, Protocol::Resp2)
    }

    /// What would be written to each node, for those that would be sent anything.
    fn sent_to_all(&mut self) -> Vec<(String, Vec<String>)> {
        let routable = self.view.nodes.iter().filter(|node| node.routable);
        let nodes: Vec<_> = routable.map(|node| node.node_id.to_string()).collect();
        let sent = nodes.into_iter().map(|node| (node.clone(), self.sent(&node)));
        sent.filter(|(_, lines)| !lines.is_empty()).collect()
    }

    /// The node that serves `key`.
    fn node_of(&self, key: &str) -> String {
        let routing = self.worker.routing.as_ref().unwrap();
        routing.node(routing.serving(routing.slot(key.as_bytes())).unwrap()).node_id.to_string()
    }

    /// A key that `node` serves; a different one for each `salt`.
    fn key_on(&self, node: &str, salt: u32) -> String {
        (0..).map(|number| format!("key{salt}:{number}")).find(|key| self.node_of(key) == node).unwrap()
    }

    /// Lets `node` answer.
    fn answer(&mut self, node: &str, replies: &str) {
        let id = self.link(node, Protocol::Resp2);
        // It answers what it has got.
        let pipeline = &mut self.worker.links[id].pipeline;
        pipeline.mark_sent(pipeline.unsent().len());
        let mut rest = replies.as_bytes();
        let mut scanner = ReplyScanner::new(Limits::default());
        while !rest.is_empty() {
            let len = scanner.scan(rest).unwrap().unwrap();
            self.worker.reply(id, &rest[..len]).unwrap();
            rest = &rest[len..];
        }
    }

    fn fail(&mut self, node: &str) {
        let id = self.link(node, Protocol::Resp2);
        self.worker.link_failed(id, &Failure::Refused);
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.worker.now += time;
        self.worker.tick();
    }

    /// Takes what the client would read.
    pub(crate) fn read(&mut self, client: ClientId) -> String {
        let Some(client) = self.worker.client(client) else { return String::new() };
        let text = String::from_utf8(client.unwritten().to_vec()).unwrap();
        client.mark_written(text.len());
        text
    }

    fn gives_up_a_link(&mut self) -> bool {
        std::mem::take(&mut self.worker.outbox.rare).iter().any(|work| matches!(work, RareWork::GiveUp(_)))
    }

    fn reports(&mut self) -> Vec<String> {
        let report = |work| match work {
            RareWork::Report(suspicion) => Some(format!("{} {:?}", suspicion.node, suspicion.kind)),
            _ => None,
        };
        std::mem::take(&mut self.worker.outbox.rare).into_iter().filter_map(report).collect()
    }
}

#[test]
fn a_request_goes_to_the_node_that_serves_its_key_and_its_reply_comes_back() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n2", 0);
    bench.send(client, &format!("SET {key} v"));
    assert_eq!(bench.sent_to_all(), [("n2".to_owned(), vec![format!("SET {key} v")])]);
    bench.answer("n2", "+OK\r\n");
    assert_eq!(bench.read(client), "+OK\r\n");
}

#[test]
fn replies_come_in_the_order_of_the_requests_whichever_node_is_faster() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let keys = ["n1", "n2", "n3"].map(|node| bench.key_on(node, 0));
    keys.iter().for_each(|key| bench.send(client, &format!("GET {key}")));
    bench.send(client, "PING");
    bench.answer("n3", "+3\r\n");
    bench.answer("n2", "+2\r\n");
    assert_eq!(bench.read(client), "");
    bench.answer("n1", "+1\r\n");
    assert_eq!(bench.read(client), "+1\r\n+2\r\n+3\r\n+PONG\r\n");
}

#[test]
fn many_keys_are_split_by_node_and_merged_in_order() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let (a, b, c) = (bench.key_on("n1", 0), bench.key_on("n2", 0), bench.key_on("n1", 1));
    bench.send(client, &format!("mget {a} {b} {c}"));
    assert_eq!(bench.sent("n1"), [format!("mget {a} {c}")]);
    assert_eq!(bench.sent("n2"), [format!("mget {b}")]);
    bench.answer("n2", "*1\r\n$-1\r\n");
    bench.answer("n1", "*2\r\n$1\r\na\r\n$1\r\nc\r\n");
    assert_eq!(bench.read(client), "*3\r\n$1\r\na\r\n$-1\r\n$1\r\nc\r\n");

    bench.send(client, &format!("MSET {a} 1 {b} 2"));
    assert_eq!(bench.sent("n1"), [format!("MSET {a} 1")]);
    bench.answer("n1", "+OK\r\n");
    bench.answer("n2", "-OOM no\r\n");
    assert_eq!(bench.read(client), "-OOM no\r\n");

    bench.send(client, &format!("DEL {a} {b} {c}"));
    bench.answer("n1", ":2\r\n");
    bench.answer("n2", ":1\r\n");
    assert_eq!(bench.read(client), ":3\r\n");
}

#[test]
fn keys_of_one_node_are_not_split() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let (a, c) = (bench.key_on("n1", 0), bench.key_on("n1", 1));
    bench.send(client, &format!("MGET {a} {c}"));
    assert_eq!(bench.sent("n1"), [format!("MGET {a} {c}")]);
    assert!(bench.worker.gathers.is_empty());
}

#[test]
fn keys_of_one_command_must_live_together_unless_it_can_be_split() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let (a, b) = (bench.key_on("n1", 0), bench.key_on("n2", 0));
    bench.send(client, &format!("RENAME {a} {b}"));
    let reply = bench.read(client);
    assert!(reply.starts_with("-CROSSSLOT ") && reply.contains(&a) && reply.contains(&b), "{reply}");
    bench.send(client, "RENAME {tag}a {tag}b");
    assert_eq!(bench.sent_to_all().len(), 1);
}

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
    assert_eq!(bench.sent("n1"), ["PING"]);
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
fn every_node_is_asked_and_one_that_leaves_adds_nothing() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    bench.send(client, "DBSIZE");
    assert_eq!(bench.sent_to_all().len(), 3);
    bench.answer("n1", ":1\r\n");
    bench.answer("n2", ":2\r\n");
    bench.set_routable("n3", false);
    assert_eq!(bench.read(client), ":3\r\n");
    bench.send(client, "FLUSHALL");
    let flush = || vec!["FLUSHALL".to_owned()];
    assert_eq!(bench.sent_to_all(), [("n1".to_owned(), flush()), ("n2".to_owned(), flush())]);
}

#[test]
fn a_scan_passes_over_a_node_that_is_out_and_ends() {
    let mut bench = Bench::new(3);
    bench.set_routable("n2", false);
    let client = bench.client();
    bench.send(client, "SCAN 0 COUNT 5");
    assert_eq!(bench.sent("n1"), ["SCAN 0 COUNT 5"]);
    bench.answer("n1", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n");
    assert_eq!(bench.read(client), "*2\r\n$1\r\n1\r\n*1\r\n$1\r\na\r\n");
    bench.send(client, "SCAN 1 COUNT 5");
    assert_eq!(bench.sent("n3"), ["SCAN 0 COUNT 5"]);
    bench.answer("n3", "*2\r\n$1\r\n0\r\n*0\r\n");
    assert_eq!(bench.read(client), "*2\r\n$1\r\n0\r\n*0\r\n");
    bench.send(client, "SCAN x");
    assert_eq!(bench.read(client), "-ERR invalid cursor\r\n");
}

#[test]
fn a_client_of_resp3_has_connections_of_its_own() {
    let mut bench = Bench::new(1);
    let (old, new) = (bench.client(), bench.client());
    bench.send(new, "HELLO 3");
    assert!(bench.read(new).starts_with("%7\r\n"));
    bench.send(new, "GET k");
    bench.send(old, "GET k");
    let id = bench.link("n1", Protocol::Resp3);
    bench.worker.link_connected(id);
    assert_eq!(bench.sent_over("n1", Protocol::Resp3), ["HELLO 3"]);
    bench.worker.reply(id, b"%0\r\n").unwrap();
    assert_eq!(bench.sent_over("n1", Protocol::Resp3), ["GET k"]);
    assert_eq!(bench.sent("n1"), ["GET k"]);
}

#[test]
fn a_client_that_changes_its_version_waits_for_the_replies_of_the_old_one() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "SET k v");
    bench.send(client, "HELLO 3");
    assert!(!bench.worker.may_read(client), "a GET would overtake the SET on a connection of its own");
    bench.answer("n1", "+OK\r\n");
    assert!(bench.worker.may_read(client));
}

#[test]
fn a_push_is_nobodys_reply() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "GET k");
    bench.answer("n1", ">2\r\n+invalidate\r\n_\r\n$1\r\nv\r\n");
    assert_eq!(bench.read(client), "$1\r\nv\r\n");
}

#[test]
fn the_window_of_a_client_shrinks_with_the_size_of_its_replies() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let large = format!("$4194304\r\n{}\r\n", "x".repeat(4 * 1024 * 1024));
    bench.send(client, "GET k");
    bench.answer("n1", &large);
    (0..7).for_each(|_| bench.send(client, "GET k"));
    assert!(!bench.worker.may_read(client), "seven replies of 4 MiB are enough");
}

#[test]
fn a_client_that_takes_no_replies_is_closed_in_the_end() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let large = format!("$33554432\r\n{}\r\n", "x".repeat(32 * 1024 * 1024));
    for _ in 0..12 {
        bench.send(client, "GET k");
        bench.answer("n1", &large);
    }
    let client = bench.worker.client(client).unwrap();
    assert!(client.killed && client.backlog() < 300 * 1024 * 1024, "{}", client.backlog());
}

#[test]
fn replies_for_a_client_that_has_left_reach_nobody() {
    let mut bench = Bench::new(1);
    let first = bench.client();
    bench.send(first, "GET k");
    bench.worker.disconnect(first);
    let second = bench.client();
    assert_eq!(second.index, first.index, "the slab entry is used again");
    bench.send(second, "GET other");
    bench.answer("n1", "$5\r\nfirst\r\n$6\r\nsecond\r\n");
    assert_eq!(bench.read(second), "$6\r\nsecond\r\n");
}

#[test]
fn a_reply_that_nobody_asked_for_ends_the_connection() {
    let mut bench = Bench::new(1);
    let id = bench.link("n1", Protocol::Resp2);
    let failure = bench.worker.reply(id, b"-ERR max number of clients reached\r\n").unwrap_err();
    assert!(failure.to_string().contains("max number of clients"), "{failure}");
}

#[test]
fn a_client_that_feeds_a_full_link_is_not_read_until_it_drains() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let value = "x".repeat(3 * 1024 * 1024);
    bench.send_value(client, "k", &value);
    assert!(bench.worker.may_read(client));
    bench.send_value(client, "k", &value);
    assert!(!bench.worker.may_read(client));
    bench.sent("n1");
    bench.answer("n1", "+OK\r\n");
    assert!(!bench.worker.may_read(client));
    bench.answer("n1", "+OK\r\n");
    assert!(bench.worker.may_read(client));
}

#[test]
fn a_client_with_many_open_requests_is_read_no_further() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    (0..64).for_each(|_| bench.send(client, "GET k"));
    assert!(!bench.worker.may_read(client), "the size of its replies is not known yet");
    bench.answer("n1", "$-1\r\n");
    (0..192).for_each(|_| bench.send(client, "GET k"));
    assert!(bench.worker.may_read(client));
    bench.send(client, "GET k");
    assert!(!bench.worker.may_read(client));
}

#[test]
fn a_password_is_asked_for_before_anything_else() {
    let mut bench = Bench::with_flags(1, &["--requirepass", "secret"]);
    let client = bench.client();
    bench.send(client, "PING");
    bench.send(client, "GET k");
    bench.send(client, "AUTH wrong");
    bench.send(client, "AUTH secret");
    bench.send(client, "GET k");
    assert_eq!(bench.sent("n1"), ["GET k"]);
    bench.answer("n1", "$-1\r\n");
    let expected = [
        "+PONG\r\n",
        "-NOAUTH Authentication required.\r\n",
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        "+OK\r\n",
        "$-1\r\n",
    ];
    assert_eq!(bench.read(client), expected.concat());
}

#[test]
fn too_many_clients_are_turned_away() {
    let mut bench = Bench::with_flags(1, &["--maxclients", "2"]);
    let first = bench.client();
    bench.client();
    assert_eq!(bench.worker.connect("127.0.0.1:1".parse().unwrap()), None);
    bench.worker.disconnect(first);
    bench.client();
}

#[test]
fn without_a_view_or_a_node_the_answer_says_so() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.set_routable("n1", false);
    for line in ["GET k", "MGET a b", "DBSIZE", "RANDOMKEY"] {
        bench.send(client, line);
        assert_eq!(bench.read(client), "-UNAVAILABLE no node of the cluster is in service\r\n", "{line}");
    }
    bench.worker.routing = None;
    for line in ["GET k", "MGET a b", "DBSIZE", "SCAN 0", "PING"] {
        bench.send(client, line);
        assert!(bench.read(client).starts_with("-LOADING "), "{line}");
    }
}

impl Bench {
    fn send_value(&mut self, client: ClientId, key: &str, value: &str) {
        let mut wire = Vec::new();
        resp::encode_request(&mut wire, [&b"SET"[..], key.as_bytes(), value.as_bytes()].into_iter());
        let mut scanner = RequestScanner::new(Limits::default());
        scanner.scan(&wire).unwrap().unwrap();
        self.worker.request(client, scanner.request(&wire));
    }
}
