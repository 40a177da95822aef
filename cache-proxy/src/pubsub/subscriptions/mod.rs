//! Who of this worker's clients listens to what, and what the nodes must be told so that the messages come.
//!
//! However many clients listen to a topic, each of its nodes is asked once. A topic has a *seat* on the *line* to
//! each node it lives on: the subscriber link from when it was made until it is lost. A seat is asked for when its line
//! is up. Whether topics still have the seats they need is found out by a `review`, in pieces. A client's request is
//! answered when every seat of every topic it named is confirmed, so what is published after the answer reaches it.
//!
//! What it wants done it leaves in `sayings` and `answers`. Counts in answers are those of the client's own
//! subscriptions at its request, as in Redis.
//!
//! Pure: links and clients are numbers to it.

mod review;
mod seats;
mod subscriber;
#[cfg(test)]
mod tests;
pub(crate) mod topic;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Instant;

use resp::{Encoder, Protocol};
use slab::Slab;

use self::review::Review;
use self::subscriber::{Pending, Subscriber};
use self::topic::{Interest, Kind, Line, Token, Topic};
use crate::client::replies::Place;
use crate::target::ClientId;

/// Most memory that one worker's subscriptions may take: a million subscriptions of 10 000 clients to channels
/// of their own, with names of 40 bytes, take as much.
const MOST_BYTES: usize = 512 * 1024 * 1024;

/// What a topic takes besides its name: its entries in the tables.
const TOPIC_COST: usize = 256;

/// What a topic takes for each of its nodes: the seat, and the request under way.
const SEAT_COST: usize = 96;

/// What a name takes in a request that waits, besides the name: its part of the answer, and its entries in two lists.
const WAIT_COST: usize = 96;

/// What one client's interest in a topic takes: an entry in each of two tables, which are half empty at worst.
const INTEREST_COST: usize = 80;

type TopicId = usize;

/// Something to say to a node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Saying {
    pub(crate) line: Line,
    /// `subscribe`, `punsubscribe` …
    pub(crate) command: &'static str,
    pub(crate) name: Rc<[u8]>,
    /// Comes back with the node's answer; 0 when nobody cares for it.
    pub(crate) token: Token,
}

/// The answer to a client's request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) client: ClientId,
    pub(crate) place: Place,
    pub(crate) reply: Vec<u8>,
}

/// A client's request to subscribe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) client: ClientId,
    pub(crate) place: Place,
    pub(crate) protocol: Protocol,
    pub(crate) kind: Kind,
    pub(crate) since: Instant,
}

/// The subscriptions of one worker's clients.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    topics: Slab<Topic>,
    ids: [HashMap<Rc<[u8]>, TopicId>; 3],
    subscribers: HashMap<ClientId, Subscriber>,
    /// What the nodes have been asked and have not answered.
    asked: HashMap<Token, (TopicId, Line)>,
    /// Lines that are up.
    up: HashSet<Line>,
    /// How many topics have a seat on each line.
    seated: HashMap<Line, usize>,
    review: Review,
    /// Clients that have left, and the topics that they are still to be taken out of.
    departing: Vec<(ClientId, Vec<TopicId>)>,
    /// How many requests wait.
    pending: usize,
    last_token: Token,
    bytes: usize,
    /// To be sent, in order.
    pub(crate) sayings: Vec<Saying>,
    /// To be delivered.
    pub(crate) answers: Vec<Answer>,
}

impl Subscriptions {
    /// Whether there is room for subscriptions to that many names of that many bytes.
    pub(crate) fn has_room(&self, names: usize, bytes: usize) -> bool {
        let each = TOPIC_COST + SEAT_COST + INTEREST_COST + WAIT_COST;
        // A name is kept once for itself and once in the answer.
        self.bytes + names * each + 2 * bytes <= MOST_BYTES
    }

    /// Subscribes a client to `names`; `homes` tells the lines of a name. The answer comes when the nodes have
    /// confirmed.
    pub(crate) fn subscribe<'a>(
        &mut self,
        wish: &Wish,
        names: impl Iterator<Item = &'a [u8]>,
        mut homes: impl FnMut(Kind, &[u8]) -> Vec<Line>,
    ) {
        let Wish { client, place, protocol, kind, since } = *wish;
        let mut pending = Pending { place, since, missing: 0, reply: Vec::new(), named: Vec::new() };
        for name in names {
            let id = self.topic(kind, name, &mut homes);
            self.join(id, client, place);
            pending.named.push(id);
            self.forget_refusals(id);
            self.ask(id);
            if !self.is_confirmed(id) {
                self.topics[id].waiting.push((client, place));
                pending.missing += 1;
            }
            write_confirmation(
                &mut pending.reply,
                protocol,
                kind.subscribe(),
                Some(name),
                self.count(client, kind),
            );
        }
        if pending.missing == 0 {
            return self.answers.push(Answer { client, place, reply: pending.reply });
        }
        self.pending += 1;
        self.bytes += pending.cost();
        self.subscribers.entry(client).or_default().pending.push(pending);
    }

    /// Ends a client's subscriptions to `names`, or all of that kind when there are none. Returns the answer.
    pub(crate) fn unsubscribe<'a>(
        &mut self,
        client: ClientId,
        protocol: Protocol,
        kind: Kind,
        names: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Vec<u8> {
        let command = kind.unsubscribe();
        let mut reply = Vec::new();
        if names.len() > 0 {
            for name in names {
                if let Some(id) = self.ids[kind as usize].get(name).copied() {
                    self.leave(id, client);
                }
                write_confirmation(&mut reply, protocol, command, Some(name), self.count(client, kind));
            }
            return reply;
        }
        for id in self.topics_of(client, kind) {
            let name = Rc::clone(&self.topics[id].name);
            self.leave(id, client);
            write_confirmation(&mut reply, protocol, command, Some(&name), self.count(client, kind));
        }
        if reply.is_empty() {
            write_confirmation(&mut reply, protocol, command, None, self.count(client, kind));
        }
        reply
    }

    /// Ends all subscriptions of a client that has left. It may have very many, and others leave with it, so a
    /// [`review`](Self::review) does it. Who stays and ends them all, with one `UNSUBSCRIBE` or `RESET`, is served at
    /// once: that is one client at a time, and takes 1.5 µs a topic, as its requests did that subscribed.
    pub(crate) fn depart(&mut self, client: ClientId) {
        let Some(Subscriber { topics, pending }) = self.subscribers.remove(&client) else { return };
        self.pending -= pending.len();
        self.bytes -= pending.iter().map(Pending::cost).sum::<usize>();
        self.departing.push((client, topics.into_iter().flatten().collect()));
    }

    /// Ends all of a client's subscriptions: it has reset its connection.
    pub(crate) fn forget(&mut self, client: ClientId) {
        for kind in Kind::ALL {
            for id in self.topics_of(client, kind) {
                self.leave(id, client);
            }
        }
    }

    /// The number of a client's subscriptions, as a confirmation of `kind` counts them.
    pub(crate) fn count(&self, client: ClientId, kind: Kind) -> usize {
        self.subscribers.get(&client).map_or(0, |subscriber| subscriber.count(kind))
    }

    /// How many topics of this kind alone a client listens to.
    pub(crate) fn number_of(&self, client: ClientId, kind: Kind) -> usize {
        self.subscribers.get(&client).map_or(0, |subscriber| subscriber.topics[kind as usize].len())
    }

    /// Whether a client listens to anything.
    pub(crate) fn has(&self, client: ClientId) -> bool {
        self.count(client, Kind::Channel) + self.count(client, Kind::Shard) > 0
    }

    /// How many clients listen to anything.
    pub(crate) fn clients(&self) -> usize {
        self.subscribers.len()
    }

    /// Whether nobody listens to anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// How many topics of a kind somebody listens to.
    pub(crate) fn topics(&self, kind: Kind) -> usize {
        self.ids[kind as usize].len()
    }

    /// Who gets the messages of a topic, each from the answer in its place on.
    pub(crate) fn audience(&self, kind: Kind, name: &[u8]) -> impl Iterator<Item = (ClientId, Place)> {
        let topic = self.ids[kind as usize].get(name).map(|id| &self.topics[*id]);
        topic
            .into_iter()
            .flat_map(|topic| topic.audience.iter().map(|(client, interest)| (*client, interest.since)))
    }

    /// Whether a request of the client waits for nodes.
    pub(crate) fn waits(&self, client: ClientId) -> bool {
        self.subscribers.get(&client).is_some_and(|subscriber| !subscriber.pending.is_empty())
    }

    /// Whether requests wait for nodes.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pending > 0
    }

    /// Gives up the requests that wait since before `latest`.
    pub(crate) fn expire(&mut self, latest: Instant, error: &[u8]) {
        if self.pending == 0 {
            return;
        }
        let overdue = self.subscribers.iter().flat_map(|(client, subscriber)| {
            let overdue = subscriber.pending.iter().filter(|pending| pending.since < latest);
            overdue.map(|pending| (*client, pending.place))
        });
        let overdue: Vec<_> = overdue.collect();
        for (client, place) in overdue {
            self.fail(client, place, error);
        }
    }

    /// The topic of that name, made if there is none.
    fn topic(
        &mut self,
        kind: Kind,
        name: &[u8],
        homes: &mut impl FnMut(Kind, &[u8]) -> Vec<Line>,
    ) -> TopicId {
        if let Some(id) = self.ids[kind as usize].get(name) {
            return *id;
        }
        let shared: Rc<[u8]> = name.into();
        let id = self.topics.insert(Topic::new(kind, Rc::clone(&shared), self.review.number()));
        self.ids[kind as usize].insert(shared, id);
        self.bytes += TOPIC_COST + name.len();
        self.seat(id, &homes(kind, name));
        id
    }

    /// Adds a client to a topic's audience. If it is there by a request that may still fail, this one counts too.
    fn join(&mut self, id: TopicId, client: ClientId, place: Place) {
        let topic = &mut self.topics[id];
        let subscriber = self.subscribers.entry(client).or_default();
        if let Some(interest) = topic.audience.get_mut(&client) {
            if subscriber.waits_at(interest.since) {
                interest.again.push(place);
            }
            return;
        }
        topic.audience.insert(client, Interest::new(place));
        subscriber.topics[topic.kind as usize].insert(id);
        self.bytes += INTEREST_COST;
    }

    /// Takes a client out of a topic's audience. What it waits for there is as good as confirmed. The last one
    /// out ends the topic.
    fn leave(&mut self, id: TopicId, client: ClientId) {
        let topic = &mut self.topics[id];
        if topic.audience.remove(&client).is_none() {
            return;
        }
        self.bytes -= INTEREST_COST;
        if let Some(subscriber) = self.subscribers.get_mut(&client) {
            subscriber.topics[topic.kind as usize].remove(&id);
        }
        let (mine, others) =
            std::mem::take(&mut topic.waiting).into_iter().partition(|(waiting, _)| *waiting == client);
        topic.waiting = others;
        let is_over = topic.audience.is_empty();
        self.count_down(mine);
        if is_over {
            self.end(id);
        }
        if self.subscribers.get(&client).is_some_and(Subscriber::is_idle) {
            self.subscribers.remove(&client);
        }
    }

    fn end(&mut self, id: TopicId) {
        let seats = std::mem::take(&mut self.topics[id].seats);
        self.vacate(id, seats);
        let topic = self.topics.remove(id);
        self.ids[topic.kind as usize].remove(&topic.name);
        self.bytes -= TOPIC_COST + topic.name.len();
    }

    /// Whether each node that a topic needs will send its messages. What a review has not looked at may need others.
    fn is_confirmed(&self, id: TopicId) -> bool {
        let topic = &self.topics[id];
        topic.is_confirmed() && topic.reviewed == self.review.number()
    }

    /// Lets those who wait for a topic go on, if it is confirmed.
    fn release(&mut self, id: TopicId) {
        if self.is_confirmed(id) {
            let waiting = std::mem::take(&mut self.topics[id].waiting);
            self.count_down(waiting);
        }
    }

    /// One thing less to wait for, for each of these requests.
    fn count_down(&mut self, waiting: Vec<(ClientId, Place)>) {
        for (client, place) in waiting {
            let Some(subscriber) = self.subscribers.get_mut(&client) else { continue };
            let Some(pending) = subscriber.pending.iter_mut().find(|pending| pending.place == place) else {
                continue;
            };
            pending.missing -= 1;
            if pending.missing == 0
                && let Some(done) = self.take_pending(client, place)
            {
                self.settle(client, &done);
                self.answers.push(Answer { client, place, reply: done.reply });
            }
        }
    }

    /// What a request named can no longer be taken back: it is answered.
    fn settle(&mut self, client: ClientId, done: &Pending) {
        for id in &done.named {
            let interest = self.topics.get_mut(*id).and_then(|topic| topic.audience.get_mut(&client));
            if let Some(interest) = interest.filter(|interest| interest.since == done.place) {
                interest.again = Vec::new();
            }
        }
    }

    fn take_pending(&mut self, client: ClientId, place: Place) -> Option<Pending> {
        let pending = &mut self.subscribers.get_mut(&client)?.pending;
        let index = pending.iter().position(|pending| pending.place == place)?;
        let taken = pending.remove(index);
        self.pending -= 1;
        self.bytes -= taken.cost();
        Some(taken)
    }

    /// Answers a waiting request with an error and takes back what it has changed. `false`: nobody waits for it.
    fn fail(&mut self, client: ClientId, place: Place, error: &[u8]) -> bool {
        let Some(pending) = self.take_pending(client, place) else { return false };
        for id in pending.named {
            let interest = self.topics.get_mut(id).and_then(|topic| topic.audience.get_mut(&client));
            if interest.is_some_and(|interest| !interest.survives_without(place)) {
                self.leave(id, client);
            }
        }
        if self.subscribers.get(&client).is_some_and(Subscriber::is_idle) {
            self.subscribers.remove(&client);
        }
        self.answers.push(Answer { client, place, reply: error.to_vec() });
        true
    }

    fn topics_of(&self, client: ClientId, kind: Kind) -> Vec<TopicId> {
        let subscriber = self.subscribers.get(&client);
        subscriber.map(|known| known.topics[kind as usize].iter().copied().collect()).unwrap_or_default()
    }
}

/// Appends what a client is told of one name: the command, the name, and how many subscriptions it has now.
fn write_confirmation(
    out: &mut Vec<u8>,
    protocol: Protocol,
    command: &str,
    name: Option<&[u8]>,
    count: usize,
) {
    let mut to = Encoder::new(out, protocol);
    to.push(3);
    to.bulk(command.as_bytes());
    match name {
        Some(name) => to.bulk(name),
        None => to.null(),
    }
    // Memory bounds it far below 2^63.
    to.integer(count as i64);
}
