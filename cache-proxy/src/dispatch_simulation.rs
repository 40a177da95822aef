//! The dispatcher under random traffic and random failures: whatever happens, every request gets exactly one
//! reply, its own, in its client's order; every write counts once; and afterwards nothing is left over.
//!
//! A reply is told to be a request's own because the paper nodes answer with the keys they were asked for, and with the
//! number of each write. An error is legal only for a request in whose time something has gone wrong, and must be true
//! (see `ledger`); a wrong, missing, second or misplaced reply never is. Requests may reach the node in halves, and
//! replies come in pieces, be taken slowly, and be cut off with their client when the node is lost.

mod asker;
mod connection;
mod event;
mod ledger;

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use self::asker::{Asker, Expected, Owed};
use self::connection::Connection;
use self::event::{CLIENTS, Event, NODES, event};
use self::ledger::Ledger;
use crate::client::download::in_turn;
use crate::dispatch_tests::Bench;
use crate::link::LinkId;
use crate::link::failure::Failure;
use crate::link::pin::Pin;
use crate::outbox::RareWork;
use crate::target::{Receiver, Target};

/// The world around a worker.
struct World {
    bench: Bench,
    clients: Vec<Asker>,
    connections: HashMap<LinkId, Connection>,
    /// How many bytes each node's sockets take.
    room: [usize; NODES],
    ledger: Ledger,
}

impl World {
    fn new() -> Self {
        let mut bench = Bench::new(NODES);
        let clients: Vec<_> = (0..CLIENTS).map(|_| Asker::new(&mut bench)).collect();
        // One of them speaks RESP3, over connections of its own.
        bench.send(clients[0].id, "HELLO 3");
        bench.read(clients[0].id);
        let (connections, ledger) = (HashMap::new(), Ledger::default());
        Self { bench, clients, connections, room: [usize::MAX; NODES], ledger }
    }

    fn ask(&mut self, client: usize, line: &str, owed: Owed) {
        self.clients[client].owed.push_back(owed);
        self.bench.send(self.clients[client].id, line);
        let calm = self.is_calm();
        self.clients[client].owed.back_mut().unwrap().calm = calm;
    }

    /// Whether nothing is wrong with any node, or the way to it.
    fn is_calm(&self) -> bool {
        let worker = &self.bench.worker;
        worker.links.iter().all(|(_, link)| link.up) && self.bench.view.nodes.iter().all(|node| node.routable)
    }

    /// Something goes wrong: whoever waits may be told of it.
    fn alarm(&mut self) {
        self.clients.iter_mut().flat_map(|asker| &mut asker.owed).for_each(|owed| owed.calm = false);
    }

    /// Whether a client is read.
    fn may_ask(&mut self, client: usize) -> bool {
        self.bench.worker.may_read(self.clients[client].id)
    }

    /// Whether it is owed nothing, too: only then a request that occupies a connection is carried out at once.
    fn is_at_rest(&mut self, client: usize) -> bool {
        let id = self.clients[client].id;
        self.may_ask(client) && self.bench.worker.client(id).is_some_and(|client| client.owed() == 0)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Replace(client) => {
                self.bench.worker.disconnect(self.clients[client].id);
                self.clients[client] = Asker::new(&mut self.bench);
            }
            Event::Answer(node, count) => self.answer(node, count),
            Event::Begin(node, slowly) => self.begin(node, slowly),
            Event::Take(client) => self.bench.worker.resume_links_of(self.clients[client].id),
            Event::Room(node, bytes) => self.room[node] = bytes,
            Event::Break(node) => self.break_links(node),
            Event::Connect(node) => self.connect(node),
            Event::Routable(node, routable) => self.publish(node, routable),
            Event::Wait(milliseconds) => {
                if !self.is_calm() {
                    self.alarm();
                }
                self.bench.wait(Duration::from_millis(milliseconds));
            }
            asking => self.ask_for(asking),
        }
        self.collect();
        self.check();
    }

    fn ask_for(&mut self, event: Event) {
        match event {
            Event::Ping(client) if self.may_ask(client) => {
                self.ask(client, "PING", Owed::exactly("+PONG\r\n"));
            }
            Event::Get(client, key) if self.may_ask(client) => {
                self.ask(client, &format!("GET k{key}"), Owed::exactly(format!("+k{key}\r\n")));
            }
            Event::MultiGet(client, keys) if self.may_ask(client) => {
                let names: Vec<_> = keys.iter().map(|key| format!("k{key}")).collect();
                let values: String = names.iter().map(|name| format!("+{name}\r\n")).collect();
                let owed = Owed::exactly(format!("*{}\r\n{values}", keys.len()));
                self.ask(client, &format!("MGET {}", names.join(" ")), owed);
            }
            Event::Push(client, key) if self.may_ask(client) => {
                let (id, key) = self.ledger.begin(&format!("k{key}"));
                let owed = Owed::of(Expected::Exactly(format!(":{id}\r\n")), vec![id]);
                self.ask(client, &format!("RPUSH {key} x"), owed);
            }
            Event::Block(client, key) if self.is_at_rest(client) => {
                let (id, key) = self.ledger.begin(&format!("k{key}"));
                let reply = format!("*2\r\n+{key}\r\n:{id}\r\n");
                self.ask(client, &format!("BLPOP {key} 0"), Owed::of(Expected::Exactly(reply), vec![id]));
            }
            Event::Transact(client, key, count, writes) if self.may_ask(client) => {
                self.transact(client, &format!("k{key}"), count, writes);
            }
            Event::Watch(client, key)
                if self.clients[client].watches.is_none() && self.is_at_rest(client) =>
            {
                self.clients[client].watches = Some(format!("k{key}"));
                self.ask(client, &format!("WATCH {{k{key}}}"), Owed::exactly("+OK\r\n"));
            }
            Event::Mute(client, key) if self.may_ask(client) => {
                self.bench.send(self.clients[client].id, "CLIENT REPLY SKIP");
                self.bench.send(self.clients[client].id, &format!("GET k{key}"));
            }
            Event::Size(client) if self.may_ask(client) => {
                self.ask(client, "DBSIZE", Owed::of(Expected::Count, Vec::new()));
            }
            // Its client is not read now.
            _ => {}
        }
    }

    fn transact(&mut self, client: usize, tag: &str, count: usize, writes: bool) {
        if self.clients[client].watches.is_some() && !self.is_at_rest(client) {
            return;
        }
        let watches = self.clients[client].watches.take();
        let tag = watches.clone().unwrap_or_else(|| tag.to_owned());
        let (mut ids, mut replies) = (Vec::new(), String::new());
        self.ask(client, "MULTI", Owed::exactly("+OK\r\n"));
        for number in 0..count {
            let line = if writes {
                let (id, key) = self.ledger.begin(&tag);
                ids.push(id);
                replies += &format!(":{id}\r\n");
                format!("RPUSH {key} x")
            } else {
                replies += &format!("+{{{tag}}}{number}\r\n");
                format!("GET {{{tag}}}{number}")
            };
            self.ask(client, &line, Owed::exactly("+QUEUED\r\n"));
        }
        let reply = format!("*{count}\r\n{replies}");
        let reply = if watches.is_some() { Expected::OrNull(reply) } else { Expected::Exactly(reply) };
        self.ask(client, "EXEC", Owed::of(reply, ids));
    }

    /// Ids of the node's links, which come and go.
    fn links(&self, node: usize) -> Vec<LinkId> {
        let name = name(node);
        let of_node = self.bench.worker.links.iter().filter(|(_, link)| link.node.as_str() == name);
        of_node.map(|(id, _)| id).collect()
    }

    /// Takes what the links would write. One that is gone or down leaves its node with what has arrived.
    fn collect(&mut self) {
        for work in std::mem::take(&mut self.bench.worker.outbox.rare) {
            if let RareWork::Close(id) = work {
                self.hang_up(id);
            }
        }
        for node in 0..NODES {
            for id in self.links(node) {
                let link = &mut self.bench.worker.links[id];
                if !link.up {
                    self.hang_up(id);
                    continue;
                }
                let len = link.pipeline.unsent().len().min(self.room[node]);
                self.room[node] -= if self.room[node] == usize::MAX { 0 } else { len };
                let connection = self.connections.entry(id).or_insert_with(|| Connection::to(name(node)));
                connection.arrive(&link.pipeline.unsent()[..len]);
                link.pipeline.note_write(self.bench.worker.now);
                link.pipeline.mark_sent(len);
            }
        }
    }

    /// A connection is gone. Its node executes what it has got; nobody hears of it.
    fn hang_up(&mut self, id: LinkId) {
        if let Some(mut connection) = self.connections.remove(&id) {
            let node = connection.node.clone();
            let mut write = writer(&mut self.ledger, &self.bench, &node);
            while connection.execute(&mut write).is_some() {}
        }
    }

    fn answer(&mut self, node: usize, count: usize) {
        for id in self.links(node) {
            for _ in 0..count {
                if self.bench.worker.is_halted(id) {
                    break;
                }
                let Some(connection) = self.connections.get_mut(&id) else { break };
                if let Some(rest) = connection.begun.take() {
                    self.bench.worker.end_of_reply(id, rest.as_bytes()).unwrap();
                    continue;
                }
                let reply = connection.reply(&mut writer(&mut self.ledger, &self.bench, &name(node)));
                let Some(reply) = reply else { break };
                self.bench.worker.reply(id, reply.as_bytes()).unwrap();
            }
        }
    }

    fn begin(&mut self, node: usize, slowly: bool) {
        for id in self.links(node) {
            let Some(connection) = self.connections.get_mut(&id).filter(|other| other.begun.is_none()) else {
                continue;
            };
            let reply = connection.reply(&mut writer(&mut self.ledger, &self.bench, &name(node)));
            let Some(reply) = reply else { continue };
            if !self.bench.worker.may_pass_on(id, reply.as_bytes().first()) {
                connection.put_back(reply);
                continue;
            }
            let (half, rest) = reply.split_at(reply.len() / 2);
            self.bench.worker.pass_on(id, half.as_bytes()).unwrap();
            connection.begun = Some(rest.to_owned());
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
        self.alarm();
        for id in self.links(node) {
            // First of all the node does what it has got.
            self.hang_up(id);
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

    fn publish(&mut self, node: usize, routable: bool) {
        self.alarm();
        self.bench.set_routable(&name(node), routable);
        let bench = &self.bench;
        self.ledger.note_view(|node, key| serves(bench, node, key));
    }

    /// Compares what each client would read with what it should.
    fn check(&mut self) {
        for asker in &mut self.clients {
            asker.read(&mut self.bench, &mut self.ledger);
            if self.bench.worker.client(asker.id).is_some_and(|client| client.killed) {
                self.bench.worker.disconnect(asker.id);
                *asker = Asker::new(&mut self.bench);
            }
        }
    }

    /// Lets everything come to rest: all nodes in service, connected and answering.
    fn settle(&mut self) {
        self.room = [usize::MAX; NODES];
        for node in 0..NODES {
            self.happen(Event::Routable(node, true));
        }
        for _ in 0..3 {
            (0..NODES).for_each(|node| self.happen(Event::Connect(node)));
            (0..CLIENTS).for_each(|client| self.happen(Event::Take(client)));
            (0..NODES).for_each(|node| self.happen(Event::Answer(node, usize::MAX)));
            // Past every deadline: what may not run again on its node is given up.
            self.happen(Event::Wait(7_000));
            // Who still watches ends it.
            (0..CLIENTS).for_each(|client| self.happen(Event::Transact(client, 0, 1, false)));
        }
        (0..NODES).for_each(|node| self.happen(Event::Connect(node)));
        (0..NODES).for_each(|node| self.happen(Event::Answer(node, usize::MAX)));
    }

    /// Nobody waits, nothing is kept, and every client is read.
    fn check_at_rest(&mut self) {
        for asker in &self.clients {
            assert!(asker.owed.is_empty(), "never answered: {:?}", asker.owed);
            assert!(self.bench.worker.may_read(asker.id), "{:?}", self.bench.worker.client(asker.id));
            let client = self.bench.worker.client(asker.id).unwrap();
            let pinned = (client.blocked_on, client.watch.is_some(), client.halts.len());
            assert_eq!((client.kept(), client.gathered, pinned), (0, 0, (None, false, 0)), "{client:?}");
        }
        let worker = &self.bench.worker;
        assert!(worker.gathers.is_empty() && worker.units.is_empty(), "{:?}", worker.gathers);
        assert!(worker.hold.is_empty(), "{:?}", worker.hold);
        for (id, link) in &worker.links {
            assert!(matches!(link.pin, None | Some(Pin::Idle(_))), "nobody needs link {id}: {link:?}");
            assert!(link.choked.is_empty() && link.pipeline.is_empty() && link.up, "{link:?}");
        }
    }
}

fn name(node: usize) -> String {
    format!("n{}", node + 1)
}

fn serves(bench: &Bench, node: &str, key: &str) -> bool {
    let routing = bench.worker.routing.as_ref().unwrap();
    let serving = routing.serving(routing.slot(key.as_bytes()));
    serving.is_some_and(|serving| routing.node(serving).node_id.as_str() == node)
}

/// Notes what a node writes.
fn writer<'a>(ledger: &'a mut Ledger, bench: &'a Bench, node: &'a str) -> impl FnMut(&str) -> u32 + 'a {
    move |key| ledger.execute(key, node, serves(bench, node, key))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_request_gets_its_own_reply_in_order(events in prop::collection::vec(event(), 1..200)) {
        let mut world = World::new();
        events.into_iter().for_each(|event| world.happen(event));
        world.settle();
        world.check_at_rest();
    }
}
