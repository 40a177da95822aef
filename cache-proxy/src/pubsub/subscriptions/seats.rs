//! The nodes' side of the subscriptions: which topic has a seat on which subscriber link, and what the node at
//! its end knows of it.
//!
//! Pure, as the rest.

use std::rc::Rc;

use super::{SEAT_COST, Saying, Subscriptions, TopicId};
use crate::link::LinkId;
use crate::pubsub::subscriptions::topic::{Kind, Seat, SeatState, Token};

impl Subscriptions {
    /// The node at the end of `link` listens: it is told everything that has a seat there.
    pub(crate) fn link_up(&mut self, link: LinkId) {
        self.up.insert(link);
        let mut seated: Vec<_> = self.seated.get(&link).into_iter().flatten().copied().collect();
        // The order of their making, as the clients asked.
        seated.sort_unstable();
        seated.into_iter().for_each(|id| self.ask(id));
    }

    /// The connection is lost, and with it what the node knew.
    pub(crate) fn link_down(&mut self, link: LinkId) {
        self.up.remove(&link);
        for id in self.seated.get(&link).into_iter().flatten() {
            let Some(topic) = self.topics.get_mut(*id) else { continue };
            for seat in topic.seats.iter_mut().filter(|seat| seat.link == link) {
                if let SeatState::Asked(token) = std::mem::replace(&mut seat.state, SeatState::Unasked) {
                    self.asked.remove(&token);
                }
            }
        }
    }

    /// Moves topics to where they live now: those with a seat on a link that `has_lost` some, and those that have none.
    pub(crate) fn rehome(
        &mut self,
        has_lost: impl Fn(LinkId) -> bool,
        mut homes: impl FnMut(Kind, &[u8]) -> Vec<LinkId>,
    ) {
        let mut ids: Vec<_> = std::mem::take(&mut self.unsettled).into_iter().collect();
        ids.extend(self.seated.iter().filter(|(link, _)| has_lost(**link)).flat_map(|(_, topics)| topics));
        ids.sort_unstable();
        // A pattern has many seats.
        ids.dedup();
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
                self.seated.entry(*link).or_default().insert(id);
                self.bytes += SEAT_COST;
            }
        }
        if seats.is_empty() {
            self.unsettled.insert(id);
        }
    }

    /// Gives up seats of a topic, and tells the nodes that may send its messages.
    pub(super) fn vacate(&mut self, id: TopicId, seats: Vec<Seat>) {
        for Seat { link, state } in seats {
            self.bytes -= SEAT_COST;
            if let Some(topics) = self.seated.get_mut(&link) {
                topics.remove(&id);
                if topics.is_empty() {
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
        if state == SeatState::Refused {
            self.unsettled.insert(id);
        }
        Some(id)
    }
}
