//! A worker between nodes and clients that exist on paper only: requests go in as a client types them, and what
//! each node would be sent and each client would read comes out.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cluster::{Routing, Status, View, ViewNode};
use resp::{Limits, Protocol, ReplyScanner, RequestScanner};

use crate::client::spare::SpareBuffers;
use crate::config::{Config, PROGRAM};
use crate::dispatch::Dispatcher;
use crate::explain::overview::Overview;
use crate::link::LinkId;
use crate::link::failure::Failure;
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

    pub(crate) fn with_flags(nodes: usize, flags: &[&str]) -> Self {
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
        let now = Instant::now();
        let overview = Arc::new(Overview::new(config, 1, now));
        let mut bench = Self { worker: Dispatcher::new(overview, 0, now, Arc::default()), view };
        bench.publish();
        bench.connect_links();
        bench
    }

    /// A worker over three nodes of which `n1` is out; a key of `n1`, one that its stand-in owns, and the stand-in.
    pub(crate) fn apart() -> (Self, [String; 2], String) {
        let mut bench = Self::new(3);
        let moving = bench.key_on("n1", 0);
        bench.set_routable("n1", false);
        let stand_in = bench.node_of(&moving);
        bench.set_routable("n1", true);
        let kept = bench.key_on(&stand_in, 1);
        bench.set_routable("n1", false);
        (bench, [moving, kept], stand_in)
    }

    pub(crate) fn publish(&mut self) {
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

    pub(crate) fn connect_links(&mut self) {
        let down: Vec<_> = self.worker.links.iter().filter(|(_, link)| !link.up).map(|(id, _)| id).collect();
        down.into_iter().for_each(|id| self.connect_link(id));
    }

    /// Connects a link, and lets its node answer the handshake.
    pub(crate) fn connect_link(&mut self, id: LinkId) {
        self.connect_link_to(id, "+OK\r\n");
    }

    /// Connects a link to a node that answers `MULTI` with this.
    pub(crate) fn connect_link_to(&mut self, id: LinkId, multi: &str) {
        self.worker.link_connected(id);
        self.write(id);
        for reply in ["+PONG\r\n", &format!(":{id}\r\n"), multi, multi] {
            self.worker.reply(id, reply.as_bytes()).unwrap();
        }
    }

    pub(crate) fn client(&mut self) -> ClientId {
        self.worker.connect("127.0.0.1:1".parse().unwrap()).unwrap()
    }

    /// Sends a request, as a person would type it.
    pub(crate) fn send(&mut self, client: ClientId, line: &str) {
        let line = format!("{line}\r\n");
        let mut scanner = RequestScanner::new(Limits::default());
        scanner.scan(line.as_bytes()).unwrap().unwrap();
        self.worker.request(client, &scanner.request(line.as_bytes()));
    }

    /// The subscriber link to `node`.
    pub(crate) fn subscriber_link(&self, node: &str) -> LinkId {
        let links = self.worker.subscriber_links.iter().flatten();
        links.copied().find(|id| self.worker.links[*id].node.as_str() == node).unwrap()
    }

    pub(crate) fn link(&self, node: &str, protocol: Protocol) -> LinkId {
        let is_it = |(_, link): &(LinkId, &crate::link::Link)| {
            link.node.as_str() == node && link.protocol == protocol && link.pin.is_none()
        };
        self.worker.links.iter().find(is_it).unwrap().0
    }

    /// The link on which the client is blocked, and its node.
    pub(crate) fn pinned(&mut self, client: ClientId) -> (LinkId, String) {
        let id = self.worker.client(client).unwrap().blocked_on.unwrap();
        (id, self.worker.links[id].node.to_string())
    }

    /// Takes what would be written to `node` over the shared link, as lines of words.
    pub(crate) fn sent_over(&mut self, node: &str, protocol: Protocol) -> Vec<String> {
        self.sent_on(self.link(node, protocol))
    }

    /// Takes what would be written over a link, as lines of words.
    pub(crate) fn sent_on(&mut self, id: LinkId) -> Vec<String> {
        let mut unsent = self.write(id);
        let mut scanner = RequestScanner::new(Limits::default());
        let mut lines = Vec::new();
        while let Some(len) = scanner.scan(&unsent).unwrap() {
            let words: Vec<_> = scanner.request(&unsent).args().map(String::from_utf8_lossy).collect();
            lines.push(words.join(" "));
            unsent.drain(..len);
        }
        lines
    }

    /// Has the link's socket take all there is, as the worker's tasks do: only from a link that is listed.
    pub(crate) fn write(&mut self, id: LinkId) -> Vec<u8> {
        let link = &mut self.worker.links[id];
        let unsent = link.pipeline.unsent().to_vec();
        assert!(unsent.is_empty() || link.listed, "nobody would write it");
        link.listed = false;
        link.pipeline.note_write(self.worker.now);
        link.pipeline.mark_sent(unsent.len());
        self.worker.outbox.links.retain(|listed| *listed != id);
        unsent
    }

    pub(crate) fn sent(&mut self, node: &str) -> Vec<String> {
        self.sent_over(node, Protocol::Resp2)
    }

    /// What would be written to each node, for those that would be sent anything.
    pub(crate) fn sent_to_all(&mut self) -> Vec<(String, Vec<String>)> {
        let routable = self.view.nodes.iter().filter(|node| node.routable);
        let nodes: Vec<_> = routable.map(|node| node.node_id.to_string()).collect();
        let sent = nodes.into_iter().map(|node| (node.clone(), self.sent(&node)));
        sent.filter(|(_, lines)| !lines.is_empty()).collect()
    }

    /// The node that serves `key`.
    pub(crate) fn node_of(&self, key: &str) -> String {
        let routing = self.worker.routing.as_ref().unwrap();
        routing.node(routing.serving(routing.slot(key.as_bytes())).unwrap()).node_id.to_string()
    }

    /// A key that `node` serves; a different one for each `salt`.
    pub(crate) fn key_on(&self, node: &str, salt: u32) -> String {
        (0..).map(|number| format!("key{salt}:{number}")).find(|key| self.node_of(key) == node).unwrap()
    }

    /// Lets `node` answer.
    pub(crate) fn answer(&mut self, node: &str, replies: &str) {
        let id = self.link(node, Protocol::Resp2);
        // It answers what it has got.
        self.write(id);
        let mut rest = replies.as_bytes();
        let mut scanner = ReplyScanner::new(Limits::default());
        while !rest.is_empty() {
            let len = scanner.scan(rest).unwrap().unwrap();
            self.worker.reply(id, &rest[..len]).unwrap();
            rest = &rest[len..];
        }
    }

    pub(crate) fn fail(&mut self, node: &str) {
        let id = self.link(node, Protocol::Resp2);
        self.worker.link_failed(id, &Failure::Refused);
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.worker.now += time;
        self.worker.tick();
    }

    /// Takes what the client would read.
    pub(crate) fn read(&mut self, client: ClientId) -> String {
        let Some(state) = self.worker.client(client) else { return String::new() };
        let text = String::from_utf8(state.unwritten().to_vec()).unwrap();
        assert!(text.is_empty() || state.listed, "nobody would write it");
        state.mark_written(text.len(), &mut SpareBuffers::default());
        state.listed = false;
        self.worker.outbox.clients.retain(|listed| *listed != client);
        text
    }

    pub(crate) fn gives_up_a_link(&mut self) -> bool {
        std::mem::take(&mut self.worker.outbox.rare).iter().any(|work| matches!(work, RareWork::GiveUp(_)))
    }

    pub(crate) fn reports(&mut self) -> Vec<String> {
        let report = |work| match work {
            RareWork::Report(suspicion) => Some(format!("{} {:?}", suspicion.node, suspicion.kind)),
            _ => None,
        };
        std::mem::take(&mut self.worker.outbox.rare).into_iter().filter_map(report).collect()
    }
}

impl Bench {
    pub(crate) fn send_value(&mut self, client: ClientId, key: &str, value: &str) {
        self.send_words(client, &["SET", key, value]);
    }

    /// Sends a request, as a program would: it may be longer than a line.
    pub(crate) fn send_words(&mut self, client: ClientId, words: &[&str]) {
        let mut wire = Vec::new();
        resp::encode_request(&mut wire, words.iter().map(|word| word.as_bytes()));
        let mut scanner = RequestScanner::new(Limits::default());
        scanner.scan(&wire).unwrap().unwrap();
        self.worker.request(client, &scanner.request(&wire));
    }
}

impl Bench {
    /// Sends a request about the proxy, and has the answer found as the desk does.
    pub(crate) fn inquire(&mut self, client: ClientId, line: &str) -> String {
        self.send(client, line);
        let (asked, rest) = std::mem::take(&mut self.worker.outbox.rare)
            .into_iter()
            .partition::<Vec<_>, _>(|work| matches!(work, RareWork::Ask(_)));
        self.worker.outbox.rare = rest;
        for work in asked {
            let RareWork::Ask(inquiry) = work else { continue };
            let (overview, routing) = (Arc::clone(&self.worker.overview), self.worker.routing.clone());
            let now = (self.worker.now, SystemTime::now());
            let answer = inquiry.question.answer(&overview, routing.as_deref(), now.0, now.1);
            let reply = answer.map(|answer| answer.reply(inquiry.protocol));
            self.worker.told_of_proxy(inquiry.target, reply);
        }
        self.read(client)
    }
}
