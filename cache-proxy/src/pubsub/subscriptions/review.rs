//! The review: finds the topics whose seats a new view, or a line that came or went, has put in doubt; and takes clients
//! that have left out of theirs.
//!
//! A node may have the channels of 100 000 clients. To look at them all in one turn of the worker's loop would keep all
//! other clients waiting, so a review is a round through the topics in pieces. Whatever puts more in doubt meanwhile
//! makes it a round longer, from where it is: so it ends, and every topic is looked at after the last such event.
//! Until then a topic counts as unconfirmed, and who subscribes to it waits.
//!
//! Pure, as the rest.

use std::collections::HashSet;

use super::{Subscriptions, TopicId};
use crate::pubsub::subscriptions::topic::{Kind, Line, SeatState};

/// How many seats are looked at for each that may be given anew: that costs as much less.
const LOOKS_PER_MOVE: usize = 16;

/// How far a review is. The topics are those of the slab, by their index.
#[derive(Debug, Default)]
pub(super) struct Review {
    /// Counts the events after which all topics are looked at.
    number: u64,
    /// Lines that were lost, or are up since, or whose nodes have lost slots.
    doubtful: HashSet<Line>,
    /// Whether there is another view: what nodes have refused is asked for again. A line that came or went is no
    /// reason: others' refusals stand.
    asks_again: bool,
    next: TopicId,
    /// Where the round goes on at the first.
    end: TopicId,
    left: usize,
}

impl Review {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Has what nodes have refused asked for again in this round.
    pub(super) fn ask_again(&mut self) {
        self.asks_again = self.left > 0;
    }

    pub(super) fn asks_again(&self) -> bool {
        self.asks_again
    }

    fn step(&mut self) -> Option<TopicId> {
        self.left = self.left.checked_sub(1)?;
        let id = self.next;
        self.next = if id + 1 < self.end { id + 1 } else { 0 };
        Some(id)
    }
}

impl Subscriptions {
    /// Has all topics looked at, and those given the seats they need that have one on a doubtful line, or none.
    pub(super) fn begin_review(&mut self, is_doubtful: impl Fn(Line) -> bool) {
        if self.topics.is_empty() {
            return;
        }
        let doubtful = self.seated.keys().copied().filter(|line| is_doubtful(*line));
        self.review.doubtful.extend(doubtful);
        self.review.number += 1;
        // The slab never shrinks, and topics that are made later are given their seats at once.
        self.review.end = self.topics.capacity();
        self.review.left = self.review.end;
    }

    /// Whether topics are still to be looked at.
    pub(crate) fn is_in_review(&self) -> bool {
        self.review.left > 0 || !self.departing.is_empty()
    }

    /// Goes on until about `most` seats are given anew, or given up. Clients that are there come first: others wait for
    /// their channels. But half is for those that have left, however many seats are in doubt.
    pub(crate) fn review(&mut self, most: usize, homes: impl FnMut(Kind, &[u8]) -> Vec<Line>) {
        let kept = if self.departing.is_empty() { 0 } else { most / 2 };
        let left = self.look_at_seats(most - kept, homes);
        self.see_off(left + kept);
    }

    /// Takes clients that have left out of their topics.
    fn see_off(&mut self, most: usize) {
        let mut left = most;
        while left > 0
            && let Some((client, topics)) = self.departing.last_mut()
        {
            let client = *client;
            let Some(id) = topics.pop() else {
                self.departing.pop();
                continue;
            };
            let seats = self.topics.get(id).map_or(0, |topic| topic.seats.len());
            left = left.saturating_sub(seats.max(1));
            self.leave(id, client);
        }
    }

    /// Goes on with the round. Returns how many seats may still be dealt with.
    fn look_at_seats(&mut self, most: usize, mut homes: impl FnMut(Kind, &[u8]) -> Vec<Line>) -> usize {
        let (mut looks, mut moves) = (most * LOOKS_PER_MOVE, most);
        while looks > 0
            && moves > 0
            && let Some(id) = self.review.step()
        {
            looks -= 1;
            let Some(topic) = self.topics.get_mut(id) else { continue };
            topic.reviewed = self.review.number;
            looks = looks.saturating_sub(topic.seats.len());
            let is_doubtful = topic.seats.is_empty()
                || topic.seats.iter().any(|seat| {
                    let is_refused = seat.state == SeatState::Refused;
                    (is_refused && self.review.asks_again) || self.review.doubtful.contains(&seat.line)
                });
            if is_doubtful {
                moves = moves.saturating_sub(self.settle_seats(id, &mut homes).max(1));
            }
            self.release(id);
        }
        if self.review.left == 0 {
            self.review.doubtful = HashSet::new();
            self.review.asks_again = false;
        }
        moves.min(looks / LOOKS_PER_MOVE)
    }
}
