//! The nodes' side of the subscriptions: which topic has a seat on which subscriber link, and what the node at
//! its end knows of it.
//!
//! Pure, as the rest.

use std::rc::Rc;

use super::{SEAT_COST, Saying, Subscriptions, TopicId};
use crate::link::LinkId;
use crate::pubsub::subscriptions::topic::{Kind, Seat, SeatState, Token, Topic};

impl Subscriptions {
    /// The node at the end of `link` listens: it is told everything that has a seat there.
    pub(crate) fn link_up(&mut self, link: LinkId) {
        self.up.insert(link);
        for id in self.seated_at(link) {
            self.ask(id);
        }
    }

    /// The connection is lost, and with it what the node knew.
    pub(crate) fn link_down(&mut self, link: LinkId) {
        self.up.remove(&link);
        self.asked.retain(|_, (_, of)| *of != link);
        for (_, topic) in &mut self.topics {
            for seat in topic.seats.iter_mut().filter(|seat| seat.link == link) {
                seat.state = SeatState::Unasked;
            }
        }
    }

    /// Moves every topic to where it lives now.
    pub(crate) fn rehome(&mut self, mut homes: impl FnMut(Kind, &[u8]) -> Vec<LinkId>) {
        let ids: Vec<_> = self.topics.iter().map(|(id, _)| id).collect();
        for id in ids {
            let topic = &mut self.topics[id];
            let homes = homes(topic.kind, &topic.name);
            let (stay, go) =
                std::mem::take(&mut topic.seats).into_iter().partition(|seat| homes.contains(&seat.link));
            topic.seats = stay;
            self.vacate(id, go);
            self.seat(id, &homes);
            self.ask(id);
            self.release(id);
        }
    }

    /// Whether any topic has a seat on the link.
    pub(crate) fn is_seated(&self, link: LinkId) -> bool {
        self.seated.contains_key(&link)
    }

    /// A node has confirmed what it was asked with this token.
    pub(crate) fn confirmed(&mut self, token: Token) {
        if let Some(id) = self.answered(token, SeatState::Confirmed) {
            self.release(id);
        }
    }

    /// A node has refused what it was asked with this token. Whoever waits for it gets the node's words.
    /// `false`: nobody does, so nobody hears of it.
    pub(crate) fn refused(&mut self, token: Token, error: &[u8]) -> bool {
        let Some(id) = self.answered(token, SeatState::Refused) else { return true };
        let waiting = std::mem::take(&mut self.topics[id].waiting);
        for (client, place) in &waiting {
            self.fail(*client, *place, error);
        }
        !waiting.is_empty()
    }

    /// Gives the topic a seat on each of these links where it has none.
    pub(super) fn seat(&mut self, id: TopicId, links: &[LinkId]) {
        let seats = &mut self.topics[id].seats;
        for link in links {
            if seats.iter().all(|seat| seat.link != *link) {
                seats.push(Seat { link: *link, state: SeatState::Unasked });
                *self.seated.entry(*link).or_default() += 1;
                self.bytes += SEAT_COST;
            }
        }
    }

    /// Gives up seats of a topic, and tells the nodes that may send its messages.
    pub(super) fn vacate(&mut self, id: TopicId, seats: Vec<Seat>) {
        for Seat { link, state } in seats {
            self.bytes -= SEAT_COST;
            if let Some(count) = self.seated.get_mut(&link) {
                *count -= 1;
                if *count == 0 {
                    self.seated.remove(&link);
                }
            }
            if let SeatState::Asked(token) = state {
                self.asked.remove(&token);
            }
            if matches!(state, SeatState::Asked(_) | SeatState::Confirmed) {
                let topic = &self.topics[id];
                let (command, name) = (topic.kind.unsubscribe(), Rc::clone(&topic.name));
                self.sayings.push(Saying { link, command, name, token: 0 });
            }
        }
    }

    /// Asks the nodes that can be asked and have not been, or have refused.
    pub(super) fn ask(&mut self, id: TopicId) {
        let topic = &mut self.topics[id];
        for seat in &mut topic.seats {
            let is_open = matches!(seat.state, SeatState::Unasked | SeatState::Refused);
            if is_open && self.up.contains(&seat.link) {
                self.last_token += 1;
                let token = self.last_token;
                seat.state = SeatState::Asked(token);
                self.asked.insert(token, (id, seat.link));
                let (command, name) = (topic.kind.subscribe(), Rc::clone(&topic.name));
                self.sayings.push(Saying { link: seat.link, command, name, token });
            }
        }
    }

    /// Notes a node's answer. `None`: the topic is no longer there, or has been asked for anew.
    fn answered(&mut self, token: Token, state: SeatState) -> Option<TopicId> {
        let (id, link) = self.asked.remove(&token)?;
        let seat = self.topics.get_mut(id)?.seats.iter_mut().find(|seat| seat.link == link)?;
        seat.state = state;
        Some(id)
    }

    fn seated_at(&self, link: LinkId) -> Vec<TopicId> {
        let here = |topic: &Topic| topic.seats.iter().any(|seat| seat.link == link);
        self.topics.iter().filter(|(_, topic)| here(topic)).map(|(id, _)| id).collect()
    }
}
