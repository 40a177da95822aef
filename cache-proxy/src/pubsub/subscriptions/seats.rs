//! The nodes' side of the subscriptions: which topic has a seat on which line, and what the node at its end knows
//! of it.
//!
//! Pure, as the rest.

use std::rc::Rc;

use super::{SEAT_COST, Saying, Subscriptions, TopicId};
use crate::pubsub::subscriptions::topic::{Kind, Line, Seat, SeatState, Token};

impl Subscriptions {
    /// The node at the end of the line listens: it is told everything that has a seat there.
    pub(crate) fn line_up(&mut self, line: Line) {
        self.up.insert(line);
        self.doubt(line);
    }

    /// The line is gone, and with it what the node knew.
    pub(crate) fn line_down(&mut self, line: Line) {
        self.up.remove(&line);
        self.doubt(line);
    }

    fn doubt(&mut self, line: Line) {
        if self.is_seated(line) {
            self.begin_review(|seated| seated == line);
        }
    }

    /// There is another view: topics move to where they live now. Lines that `lost` none of theirs keep them.
    pub(crate) fn rehome(&mut self, lost: impl Fn(Line) -> bool) {
        self.begin_review(lost);
        self.review.ask_again();
    }

    /// Gives a topic the seats that it needs now, and takes from it the others. Returns how many it needs.
    pub(super) fn settle_seats(
        &mut self,
        id: TopicId,
        homes: &mut impl FnMut(Kind, &[u8]) -> Vec<Line>,
    ) -> usize {
        let topic = &mut self.topics[id];
        let homes = homes(topic.kind, &topic.name);
        let (stay, go) =
            std::mem::take(&mut topic.seats).into_iter().partition(|seat| homes.contains(&seat.line));
        topic.seats = stay;
        self.vacate(id, go);
        self.seat(id, &homes);
        if self.review.asks_again() {
            self.forget_refusals(id);
        }
        self.ask(id);
        homes.len()
    }

    /// Whether the node at the end of the line listens.
    pub(crate) fn is_up(&self, line: Line) -> bool {
        self.up.contains(&line)
    }

    /// Whether any topic has a seat on the line.
    pub(crate) fn is_seated(&self, line: Line) -> bool {
        self.seated.contains_key(&line)
    }

    /// A node has confirmed what it was asked with this token.
    pub(crate) fn confirmed(&mut self, token: Token) {
        if let Some(id) = self.answered(token, SeatState::Confirmed) {
            self.release(id);
        }
    }

    /// A node has refused what it was asked with this token. Whoever waits for it gets the node's words.
    /// `false`: nobody does any more, so nobody hears of it.
    pub(crate) fn refused(&mut self, token: Token, error: &[u8]) -> bool {
        let Some(id) = self.answered(token, SeatState::Refused) else { return true };
        let waiting = std::mem::take(&mut self.topics[id].waiting);
        // Those that have left meanwhile are told nothing.
        waiting.into_iter().fold(false, |told, (client, place)| self.fail(client, place, error) || told)
    }

    /// Gives the topic a seat on each of these lines where it has none.
    pub(super) fn seat(&mut self, id: TopicId, lines: &[Line]) {
        let seats = &mut self.topics[id].seats;
        for line in lines {
            if seats.iter().all(|seat| seat.line != *line) {
                seats.push(Seat { line: *line, state: SeatState::Unasked });
                *self.seated.entry(*line).or_default() += 1;
                self.bytes += SEAT_COST;
            }
        }
    }

    /// Gives up seats of a topic, and tells the nodes that may send its messages.
    pub(super) fn vacate(&mut self, id: TopicId, seats: Vec<Seat>) {
        for Seat { line, state } in seats {
            self.bytes -= SEAT_COST;
            if let Some(topics) = self.seated.get_mut(&line) {
                *topics -= 1;
                if *topics == 0 {
                    self.seated.remove(&line);
                }
            }
            if let SeatState::Asked(token) = state {
                self.asked.remove(&token);
            }
            if matches!(state, SeatState::Asked(_) | SeatState::Confirmed) && self.up.contains(&line) {
                let topic = &self.topics[id];
                let (command, name) = (topic.kind.unsubscribe(), Rc::clone(&topic.name));
                self.sayings.push(Saying { line, command, name, token: 0 });
            }
        }
    }

    /// Nodes that have refused the topic may be asked again.
    pub(super) fn forget_refusals(&mut self, id: TopicId) {
        let refused = |seat: &&mut Seat| seat.state == SeatState::Refused;
        self.topics[id].seats.iter_mut().filter(refused).for_each(|seat| seat.state = SeatState::Unasked);
    }

    /// Asks the nodes that can be asked and have not been.
    pub(super) fn ask(&mut self, id: TopicId) {
        let topic = &mut self.topics[id];
        for seat in &mut topic.seats {
            if seat.state == SeatState::Unasked && self.up.contains(&seat.line) {
                self.last_token += 1;
                let token = self.last_token;
                seat.state = SeatState::Asked(token);
                self.asked.insert(token, (id, seat.line));
                let (command, name) = (topic.kind.subscribe(), Rc::clone(&topic.name));
                self.sayings.push(Saying { line: seat.line, command, name, token });
            }
        }
    }

    /// Notes a node's answer. `None`: the topic is no longer there, or has been asked for anew.
    fn answered(&mut self, token: Token, state: SeatState) -> Option<TopicId> {
        let (id, line) = self.asked.remove(&token)?;
        let seat = self.topics.get_mut(id)?.seats.iter_mut().find(|seat| seat.line == line)?;
        seat.state = state;
        Some(id)
    }
}
