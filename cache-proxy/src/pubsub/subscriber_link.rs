//! Subscriber links: the one connection per worker and node that carries the subscriptions of all clients.
//!
//! It speaks RESP3, so messages come as pushes and replies stay what they are. Subscriptions are asked for one by
//! one: each is confirmed by one push, which takes the place of a reply. It is opened when a topic first needs it
//! and closed when none has for a while. When it is lost, `subscriptions` asks for everything again: on the same
//! node once it is back, or where the next view says. Nobody is told; messages in between are lost, as in Redis.
//! What was subscribed over it moves in pieces, one a turn.

use std::collections::HashSet;
use std::time::Duration;

use cluster::{NodeIndex, Routing};
use commands::Class;
use resp::{Elements, Encoder, Protocol, encode_request};

use crate::dispatch::Dispatcher;
use crate::link::LinkId;
use crate::link::choke::CHOKE_AT;
use crate::link::pin::Pin;
use crate::link::pipeline::Waiter;
use crate::outbox::RareWork;
use crate::pubsub::subscriptions::Subscriptions;
use crate::pubsub::subscriptions::topic::{Home, Kind, Line, Token};
use crate::target::{ClientId, Target};

/// How long a subscriber link is kept that carries nothing: clients that subscribe in turn find a connection.
const UNUSED_FOR: Duration = Duration::from_secs(10);

/// How many subscriptions are moved in one turn of the worker's loop: that takes 0.5 ms, or 1.5 when a client leaves, and
/// other clients are served before the next.
pub(crate) const MOVED_AT_ONCE: usize = 1024;

impl Dispatcher {
    /// The lines over which a topic's messages come.
    pub(crate) fn homes(&mut self, kind: Kind, name: &[u8]) -> Vec<Line> {
        let Some(routing) = self.routing.clone() else { return Vec::new() };
        let nodes: Vec<NodeIndex> = match kind.home(name) {
            Home::Slot(name) => routing.serving(routing.slot(name)).into_iter().collect(),
            Home::Everywhere => {
                let nodes = (0..).map(NodeIndex).zip(routing.nodes());
                nodes.filter(|(_, node)| node.routable).map(|(index, _)| index).collect()
            }
        };
        nodes.into_iter().filter_map(|node| self.line_to(node)).collect()
    }

    fn line_to(&mut self, node: NodeIndex) -> Option<Line> {
        if let Some(id) = self.subscriber_links.get(node.get()).copied().flatten() {
            return self.line_of(id);
        }
        let id = self.open_link(node, Protocol::Resp3)?;
        self.subscriber_links[node.get()] = Some(id);
        Some(self.new_line(id))
    }

    fn new_line(&mut self, link: LinkId) -> Line {
        self.lines += 1;
        self.links[link].pin = Some(Pin::Subscriber { line: self.lines, unused_since: None });
        Line { link, serial: self.lines }
    }

    /// The line that a subscriber link is at present.
    fn line_of(&self, link: LinkId) -> Option<Line> {
        match self.links.get(link)?.pin {
            Some(Pin::Subscriber { line: serial, .. }) => Some(Line { link, serial }),
            _ => None,
        }
    }

    /// Carries out what the subscriptions want: asks nodes, answers clients. Returns a link that has too much on its
    /// way, if there is one: whoever asks for more must wait.
    pub(crate) fn settle_subscriptions(&mut self) -> Option<LinkId> {
        let (now, mut full) = (self.now, None);
        for saying in std::mem::take(&mut self.subscriptions.sayings) {
            let id = saying.line.link;
            if self.line_of(id) != Some(saying.line) {
                continue;
            }
            let link = &mut self.links[id];
            let mut wire = self.spare.take();
            encode_request(&mut wire, [saying.command.as_bytes(), &saying.name].into_iter());
            let target = Target::subscription(saying.token);
            link.pipeline.push(&wire, Waiter { bound: true, ..Waiter::new(target, now, Class::PubSub) });
            self.spare.put(wire);
            if link.pipeline.held_bytes() > CHOKE_AT {
                full = Some(id);
            }
            self.list_link(id);
        }
        for answer in std::mem::take(&mut self.subscriptions.answers) {
            self.note_subscriptions(answer.client);
            self.deliver(Target::client(answer.client, answer.place), &answer.reply);
        }
        let topics = |kind| self.subscriptions.topics(kind) as u64;
        self.stats.subscribed_clients = self.subscriptions.clients() as u64;
        self.stats.channels = topics(Kind::Channel);
        self.stats.patterns = topics(Kind::Pattern);
        self.stats.shard_channels = topics(Kind::Shard);
        if self.subscriptions.is_waiting() {
            self.outbox.rare.push(RareWork::Watch);
        }
        full
    }

    /// The node has answered the handshake.
    pub(crate) fn subscriber_up(&mut self, id: LinkId) {
        if let Some(line) = self.line_of(id) {
            self.doubt_subscriptions(|subscriptions| subscriptions.line_up(line));
        }
    }

    /// The connection is lost, or could not be made.
    pub(crate) fn subscriber_down(&mut self, id: LinkId) {
        // One that was never up goes on: its node knows nothing that could be lost.
        if let Some(line) = self.line_of(id).filter(|line| self.subscriptions.is_up(*line)) {
            self.new_line(id);
            self.doubt_subscriptions(|subscriptions| subscriptions.line_down(line));
        }
    }

    /// Starts a review, which goes on in the next turns. One that is under way does so anyway: many links may come or
    /// go in one turn.
    fn doubt_subscriptions(&mut self, doubt: impl FnOnce(&mut Subscriptions)) {
        let is_under_way = self.subscriptions.is_in_review();
        doubt(&mut self.subscriptions);
        if is_under_way {
            self.outbox.rare.push(RareWork::Review);
        } else {
            self.review_subscriptions();
        }
    }

    /// Ends the subscriptions of a client that has left, in the next turns: very many may leave in one.
    pub(crate) fn end_subscriptions(&mut self, client: ClientId) {
        self.subscriptions.depart(client);
        self.outbox.rare.push(RareWork::Review);
    }

    /// Finds topics their place in the new routing. Most have it: only those are looked at that live on a link which
    /// is gone, or whose node has lost slots. A node that comes takes its slots from others, so that it is found too.
    pub(crate) fn rehome_subscriptions(&mut self, before: Option<&Routing>) {
        let Some(now) = self.routing.clone().filter(|_| !self.subscriptions.is_empty()) else { return };
        let lost = before.map_or_else(|| vec![true; now.nodes().len()], |before| lost_slots(before, &now));
        let keeping = self.subscriber_links.iter().zip(lost).filter(|(_, lost)| !lost);
        let keeping: HashSet<Line> = keeping.filter_map(|(link, _)| self.line_of((*link)?)).collect();
        self.subscriptions.rehome(|line| !keeping.contains(&line));
        self.review_subscriptions();
    }

    /// Moves some of the subscriptions that are not where they belong, and has the rest moved in the next turns.
    pub(crate) fn review_subscriptions(&mut self) {
        if self.move_subscriptions() {
            self.outbox.rare.push(RareWork::Review);
        }
    }

    /// Moves some of the subscriptions that are not where they belong. `true`: there are more.
    pub(crate) fn move_subscriptions(&mut self) -> bool {
        let mut subscriptions = std::mem::take(&mut self.subscriptions);
        subscriptions.review(MOVED_AT_ONCE, |kind, name| self.homes(kind, name));
        self.subscriptions = subscriptions;
        self.settle_subscriptions();
        self.subscriptions.is_in_review()
    }

    /// Takes a push. `true`: it is the answer to a request.
    #[cold]
    pub(crate) fn take_push(&mut self, link: LinkId, push: &[u8]) -> bool {
        if !self.links.get(link).is_some_and(|link| matches!(link.pin, Some(Pin::Subscriber { .. }))) {
            // Nobody has asked for any there.
            return false;
        }
        self.links[link].heard = self.now;
        let Some((word, name)) = head(push) else { return false };
        let kind = |matches: fn(Kind) -> &'static str| {
            Kind::ALL.into_iter().find(|kind| matches(*kind).as_bytes() == word)
        };
        if let Some(kind) = kind(Kind::message) {
            self.pass_message(kind, name, push);
            return false;
        }
        kind(Kind::subscribe).or_else(|| kind(Kind::unsubscribe)).is_some()
    }

    /// Takes a node's answer to something said to it.
    #[cold]
    pub(crate) fn subscription_answered(&mut self, token: Token, reply: &[u8]) {
        if reply.first() == Some(&b'>') {
            self.subscriptions.confirmed(token);
        } else if !self.subscriptions.refused(token, reply) {
            let error = String::from_utf8_lossy(reply);
            tracing::warn!(error = error.trim(), "a node refuses what it was subscribed to before");
        }
        self.settle_subscriptions();
    }

    /// Whether the passing of time matters to subscriptions.
    pub(crate) fn subscriptions_wait(&self) -> bool {
        self.subscriptions.is_waiting()
            || self.subscriber_links.iter().flatten().any(|id| self.is_unused(*id))
    }

    fn is_unused(&self, id: LinkId) -> bool {
        self.line_of(id).is_some_and(|line| !self.subscriptions.is_seated(line))
    }

    /// Gives up requests to subscribe that no node confirms, and closes links that carry nothing.
    pub(crate) fn tick_subscriptions(&mut self) {
        if self.subscriptions.is_waiting() {
            self.expire_subscriptions();
        }
        for node in 0..self.subscriber_links.len() {
            if let Some(id) = self.subscriber_links[node] {
                self.close_if_unused(id);
            }
        }
    }

    #[cold]
    fn expire_subscriptions(&mut self) {
        let patience = self.config.node_timeout;
        let Some(latest) = self.now.checked_sub(patience) else { return };
        let mut error = Vec::new();
        Encoder::new(&mut error, Protocol::Resp2).error(&format!(
            "UNAVAILABLE a node did not confirm the subscription within {} ms (epoch {})",
            patience.as_millis(),
            self.stats.epoch
        ));
        self.subscriptions.expire(latest, &error);
        self.settle_subscriptions();
    }

    fn close_if_unused(&mut self, id: LinkId) {
        let (now, is_unused) = (self.now, self.is_unused(id));
        let Some(Pin::Subscriber { line: serial, unused_since }) =
            self.links.get_mut(id).and_then(|link| link.pin.as_mut())
        else {
            return;
        };
        if !is_unused {
            *unused_since = None;
        } else if *unused_since.get_or_insert(now) + UNUSED_FOR <= now {
            let line = Line { link: id, serial: *serial };
            self.subscriptions.line_down(line);
            self.subscriber_links
                .iter_mut()
                .filter(|known| **known == Some(id))
                .for_each(|known| *known = None);
            self.drop_pinned(id);
        }
    }
}

/// Which nodes have served slots that they serve no longer.
fn lost_slots(before: &Routing, now: &Routing) -> Vec<bool> {
    let slots = now.ring().slots();
    let mut lost = vec![before.ring().slots() != slots; now.nodes().len()];
    let here: Vec<_> = before.nodes().iter().map(|node| now.index_of(node.node_id.as_str())).collect();
    for slot in slots.slots() {
        let served = before.serving(slot).and_then(|node| here[node.get()]);
        if let Some(node) = served.filter(|node| now.serving(slot) != Some(*node)) {
            lost[node.get()] = true;
        }
    }
    lost
}

/// The first two elements of a push: what it is, and what of.
fn head(push: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut elements = Elements::of(push)?;
    let word = bulk(elements.next()?.ok()?)?;
    let name = bulk(elements.next()?.ok()?)?;
    Some((word, name))
}

/// The bytes of a bulk string.
fn bulk(element: &[u8]) -> Option<&[u8]> {
    let body = element.strip_prefix(b"$")?.strip_suffix(b"\r\n")?;
    let header = body.iter().position(|byte| *byte == b'\n')?;
    Some(&body[header + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_known_by_its_first_words() {
        assert_eq!(
            head(b">3\r\n$7\r\nmessage\r\n$2\r\na\n\r\n$1\r\nx\r\n"),
            Some((&b"message"[..], &b"a\n"[..]))
        );
        assert_eq!(head(b">3\r\n$7\r\nmessage\r\n$0\r\n\r\n$1\r\nx\r\n"), Some((&b"message"[..], &b""[..])));
        for other in [&b">2\r\n$10\r\ninvalidate\r\n_\r\n"[..], b">1\r\n$4\r\npong\r\n", b">0\r\n"] {
            assert_eq!(head(other), None);
        }
    }
}
