//! The dispatcher under random traffic and random failures: whatever happens, every request gets exactly one
//! reply, its own, in its client's order.
//!
//! A reply is told to be a request's own because the paper nodes answer with the keys they were asked for. An
//! error reply is legal anywhere, since nodes fail; a wrong, missing, second or misplaced reply is not. Replies may come
//! in pieces, be taken slowly, and be cut off with their client when the node is lost.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use resp::{Limits, ReplyScanner};

use crate::client::download::in_turn;
use crate::dispatch_tests::Bench;
use crate::link::LinkId;
use crate::link::failure::Failure;
use crate::link::pin::Pin;
use crate::outbox::RareWork;
use crate::target::{ClientId, Receiver, Target};

const NODES: usize = 4;
const CLIENTS: usize = 3;
const KEYS: u32 = 40;

/// Something that happens.
#[derive(Debug, Clone)]
enum Event {
    /// A client asks for one key.
    Get(usize, u32),
    /// A client asks for some keys.
    MultiGet(usize, Vec<u32>),
    /// A client asks for so many keys of one node in a transaction.
    Transact(usize, u32, usize),
    /// A client asks all nodes.
    Size(usize),
    /// A client asks the proxy itself.
    Ping(usize),
    /// A client leaves, and another comes in its place.
    Replace(usize),
    /// A node answers so many of the requests it has.
    Answer(usize, usize),
    /// A node sends half of the reply that is next on each connection; its client may be slow to take it.
    Begin(usize, bool),
    /// A client takes what there is for it.
    Take(usize),
    /// A node's connections break.
    Break(usize),
    /// A node's connections are back.
    Connect(usize),
    /// A view with the node in service or not.
    Routable(usize, bool),
    /// Time passes, in ms.
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let (client, node, key) = (0..CLIENTS, 0..NODES, 0..KEYS);
    let transaction = (client.clone(), key.clone(), 0_usize..4);
    prop_oneof![
        8 => (client.clone(), key.clone()).prop_map(|(client, key)| Event::Get(client, key)),
        4 => (client.clone(), prop::collection::vec(key, 1..8)).prop_map(|(client, keys)| Event::MultiGet(client, keys)),
        3 => transaction.prop_map(|(client, key, count)| Event::Transact(client, key, count)),
        1 => client.clone().prop_map(Event::Size),
        1 => client.clone().prop_map(Event::Ping),
        1 => client.clone().prop_map(Event::Replace),
        2 => client.prop_map(Event::Take),
        4 => (node.clone(), any::<bool>()).prop_map(|(node, slowly)| Event::Begin(node, slowly)),
        8 => (node.clone(), 1_usize..6).prop_map(|(node, count)| Event::Answer(node, count)),
        2 => node.clone().prop_map(Event::Break),
        2 => node.clone().prop_map(Event::Connect),
        2 => (node, any::<bool>()).prop_map(|(node, routable)| Event::Routable(node, routable)),
        1 => (1_u64..700).prop_map(Event::Wait),
    ]
}

/// The world around a worker.
struct World {
    bench: Bench,
    clients: Vec<Asker>,
    /// What each connection will answer to what it has been sent.
    answers: HashMap<LinkId, VecDeque<String>>,
    /// The rest of the replies that have begun.
    begun: HashMap<LinkId, String>,
}

/// A client, and the replies it should see.
struct Asker {
    id: ClientId,
    owed: VecDeque<String>,
    /// What it has read and not understood: the beginning of a reply.
    read: String,
}

impl World {
    fn new() -> Self {
        let mut bench = Bench::new(NODES);
        let clients = (0..CLIENTS).map(|_| Asker::of(&mut bench)).collect();
        let mut world = Self { bench, clients, answers: HashMap::new(), begun: HashMap::new() };
        // One of them speaks RESP3, over connections of its own.
        world.ask(0, "HELLO 3", "%7\r\n".to_owned());
        world.clients[0].owed.clear();
        world.bench.read(world.clients[0].id);
        world
    }

    fn ask(&mut self, client: usize, line: &str, reply: String) {
        self.clients[client].owed.push_back(reply);
        self.bench.send(self.clients[client].id, line);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Get(client, _)
            | Event::MultiGet(client, _)
            | Event::Transact(client, ..)
            | Event::Size(client)
                if !self.bench.worker.may_read(self.clients[client].id) => {}
            Event::Get(client, key) => self.ask(client, &format!("GET k{key}"), format!("+k{key}\r\n")),
            Event::MultiGet(client, keys) => {
                let names: Vec<_> = keys.iter().map(|key| format!("k{key}")).collect();
                let values: String = names.iter().map(|name| format!("+{name}\r\n")).collect();
                self.ask(
                    client,
                    &format!("MGET {}", names.join(" ")),
                    format!("*{}\r\n{values}", keys.len()),
                );
            }
            Event::Transact(client, key, count) => self.transact(client, key, count),
            // Any count is right: nodes come and go while it is taken.
            Event::Size(client) => self.ask(client, "DBSIZE", ":".to_owned()),
            Event::Ping(client) => self.ask(client, "PING", "+PONG\r\n".to_owned()),
            Event::Replace(client) => {
                self.bench.worker.disconnect(self.clients[client].id);
                self.clients[client] = Asker::of(&mut self.bench);
            }
            Event::Answer(node, count) => self.answer(node, count),
            Event::Begin(node, slowly) => self.begin(node, slowly),
            Event::Take(client) => self.bench.worker.resume_links_of(self.clients[client].id),
            Event::Break(node) => self.break_links(node),
            Event::Connect(node) => self.connect(node),
            Event::Routable(node, routable) => self.bench.set_routable(&name(node), routable),
            Event::Wait(milliseconds) => self.bench.wait(Duration::from_millis(milliseconds)),
        }
        self.collect();
        self.check();
    }

    fn transact(&mut self, client: usize, key: u32, count: usize) {
        let names: Vec<_> = (0..count).map(|number| format!("{{k{key}}}{number}")).collect();
        self.ask(client, "MULTI", "+OK\r\n".to_owned());
        names.iter().for_each(|name| self.ask(client, &format!("GET {name}"), "+QUEUED\r\n".to_owned()));
        let values: String = names.iter().map(|name| format!("+{name}\r\n")).collect();
        self.ask(client, "EXEC", format!("*{count}\r\n{values}"));
    }

    /// Ids of the node's links, which come and go.
    fn links(&self, node: usize) -> Vec<LinkId> {
        let name = name(node);
        let of_node = self.bench.worker.links.iter().filter(|(_, link)| link.node.as_str() == name);
        of_node.map(|(id, _)| id).collect()
    }

    /// Takes what the links would write. A link that is gone or down has forgotten what it was asked.
    fn collect(&mut self) {
        for work in std::mem::take(&mut self.bench.worker.outbox.rare) {
            if let RareWork::Close(id) = work {
                self.forget(id);
            }
        }
        for id in (0..NODES).flat_map(|node| self.links(node)).collect::<Vec<_>>() {
            if self.bench.worker.links[id].up {
                let sent = self.bench.sent_on(id);
                self.answers.entry(id).or_default().extend(answers_to(&sent));
            } else {
                self.forget(id);
            }
        }
    }

    fn forget(&mut self, id: LinkId) {
        self.answers.remove(&id);
        self.begun.remove(&id);
    }

    fn answer(&mut self, node: usize, count: usize) {
        for id in self.links(node) {
            for _ in 0..count {
                if self.bench.worker.is_halted(id) {
                    break;
                }
                if let Some(rest) = self.begun.remove(&id) {
                    self.bench.worker.end_of_reply(id, rest.as_bytes()).unwrap();
                    continue;
                }
                let Some(reply) = self.answers.get_mut(&id).and_then(VecDeque::pop_front) else { break };
                self.bench.worker.reply(id, reply.as_bytes()).unwrap();
            }
        }
    }

    fn begin(&mut self, node: usize, slowly: bool) {
        for id in self.links(node) {
            let Some(reply) = self.answers.get(&id).and_then(VecDeque::front) else { continue };
            if self.begun.contains_key(&id) || !self.bench.worker.may_pass_on(id, reply.as_bytes().first()) {
                continue;
            }
            let (half, rest) = reply.split_at(reply.len() / 2);
            self.bench.worker.pass_on(id, half.as_bytes()).unwrap();
            self.begun.insert(id, rest.to_owned());
            self.answers.entry(id).and_modify(|answers| drop(answers.pop_front()));
            let worker = &mut self.bench.worker;
            let target = in_turn(&worker.links[id], &worker.units);
            if let Some(Receiver::Client(client, _)) = target.map(Target::receiver)
                && slowly
                && worker.client(client).is_some()
            {
                worker.halt(id, client);
            }
        }
    }

    fn break_links(&mut self, node: usize) {
        for id in self.links(node) {
            self.bench.worker.link_failed(id, &Failure::Refused);
        }
    }

    fn connect(&mut self, node: usize) {
        for id in self.links(node) {
            if !self.bench.worker.links[id].up {
                self.bench.connect_link(id);
            }
        }
    }

    /// Compares what each client would read with what it should.
    fn check(&mut self) {
        for asker in &mut self.clients {
            asker.read += &self.bench.read(asker.id);
            asker.check();
            if self.bench.worker.client(asker.id).is_some_and(|client| client.killed) {
                self.bench.worker.disconnect(asker.id);
                *asker = Asker::of(&mut self.bench);
            }
        }
    }

    /// Lets everything come to rest: all nodes in service, connected and answering.
    fn settle(&mut self) {
        for node in 0..NODES {
            self.happen(Event::Routable(node, true));
        }
        for _ in 0..3 {
            (0..NODES).for_each(|node| self.happen(Event::Connect(node)));
            (0..CLIENTS).for_each(|client| self.happen(Event::Take(client)));
            (0..NODES).for_each(|node| self.happen(Event::Answer(node, usize::MAX)));
            // Past every deadline: what may not run again on its node is given up.
            self.happen(Event::Wait(7_000));
        }
    }
}

impl Asker {
    fn of(bench: &mut Bench) -> Self {
        Self { id: bench.client(), owed: VecDeque::new(), read: String::new() }
    }

    fn check(&mut self) {
        while let Some(len) = ReplyScanner::new(Limits::default()).scan(self.read.as_bytes()).unwrap() {
            let reply: String = self.read.drain(..len).collect();
            let owed = self.owed.pop_front().expect("nobody asked for this reply");
            let failed =
                ["-UNAVAILABLE ", "-LOADING ", "-EXECABORT "].iter().any(|error| reply.starts_with(error));
            assert!(
                failed || reply == owed || (owed == ":" && reply.starts_with(':')),
                "{reply:?} for {owed:?}"
            );
        }
    }
}

fn name(node: usize) -> String {
    format!("n{}", node + 1)
}

/// What a node on paper answers to what one write brings it. Units come whole, and nothing else is between.
fn answers_to(requests: &[String]) -> Vec<String> {
    let mut executed: Option<Vec<String>> = None;
    let answer = |request: &String| match (request.as_str(), &mut executed) {
        ("MULTI", None) => {
            executed = Some(Vec::new());
            "+OK\r\n".to_owned()
        }
        ("EXEC", Some(replies)) => {
            let reply = format!("*{}\r\n{}", replies.len(), replies.concat());
            executed = None;
            reply
        }
        (other, Some(replies)) => {
            replies.push(answer_to(other));
            "+QUEUED\r\n".to_owned()
        }
        (other, None) => answer_to(other),
    };
    let answers = requests.iter().map(answer).collect();
    assert!(executed.is_none(), "a unit without an end: {requests:?}");
    answers
}

/// What a node on paper answers: each key's value is its name.
fn answer_to(request: &str) -> String {
    let mut words = request.split(' ');
    match words.next() {
        Some("GET") => format!("+{}\r\n", words.next().unwrap()),
        Some("MGET") => {
            let values: Vec<_> = words.map(|key| format!("+{key}\r\n")).collect();
            format!("*{}\r\n{}", values.len(), values.concat())
        }
        Some("DBSIZE") => ":1\r\n".to_owned(),
        other => panic!("a node was sent {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_request_gets_its_own_reply_in_order(events in prop::collection::vec(event(), 1..200)) {
        let mut world = World::new();
        events.into_iter().for_each(|event| world.happen(event));
        world.settle();
        for asker in &world.clients {
            prop_assert!(asker.owed.is_empty(), "never answered: {:?}", asker.owed);
        }
        prop_assert!(world.bench.worker.gathers.is_empty(), "gathers are left");
        prop_assert!(world.bench.worker.units.is_empty(), "units are left");
        prop_assert!(world.bench.worker.hold.is_empty(), "requests are left in the hold");
        let mut links = world.bench.worker.links.iter();
        prop_assert!(links.all(|(_, link)| link.pin != Some(Pin::Aside)), "a link is left aside");
    }
}
