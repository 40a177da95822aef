//! Puts the replies of one client into the order of its requests.
//!
//! Requests of one client go to many nodes and come back in any order; RESP has no request ids, so the
//! client must see them in the order it asked. Each request takes a *place* in line. A reply for the first
//! place goes straight to the output, without a copy in between; one that comes early waits in its place.
//!
//! A large reply comes in pieces: what has come of it goes the same ways. A push (a message that answers no
//! request) may stand between two replies, and waits for the end of one that is under way.
//!
//! Pure: it holds no socket. How many places may be open is the session's decision (it stops reading).

use std::collections::VecDeque;

use crate::client::early::{Early, Kept};
use crate::client::spare::SpareBuffers;

/// A request's position in its client's line; never reused.
pub(crate) type Place = u64;

/// Open places kept allocated when the line is empty: a deep pipeline gives its memory back.
const KEPT_PLACES: usize = 64;

/// The replies one client is still owed.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    /// Place of the first entry.
    first: Place,
    line: VecDeque<Entry>,
    /// Whole replies that wait for their turn.
    early: Early,
    /// Bytes of pieces and pushes that wait for theirs.
    pieces: usize,
    /// Pushes that wait for the end of the first reply.
    pushes: Vec<u8>,
}

#[derive(Debug)]
enum Entry {
    Waiting,
    /// Arrived before its turn.
    Early(Kept),
    /// The same, in pieces.
    Joined(Vec<u8>),
    /// Its reply is for nobody.
    Muted,
    /// Arrived in part. What has come of the first one is in the output already.
    UnderWay(Vec<u8>),
}

impl Replies {
    /// Takes the next place in line.
    #[inline]
    pub(crate) fn expect(&mut self) -> Place {
        self.line.push_back(Entry::Waiting);
        self.first + self.line.len() as Place - 1
    }

    /// Takes back the last place, whose request was not taken after all; whether it was muted.
    pub(crate) fn retract(&mut self) -> bool {
        matches!(self.line.pop_back(), Some(Entry::Muted))
    }

    /// Has the reply for the last place go nowhere, or to the client after all. It counts as owed in either case.
    pub(crate) fn mute_last(&mut self, muted: bool) {
        if let Some(last) = self.line.back_mut() {
            *last = if muted { Entry::Muted } else { Entry::Waiting };
        }
    }

    /// Number of requests so far.
    pub(crate) fn asked(&self) -> u64 {
        self.first + self.line.len() as Place
    }

    /// Whether the reply for this place, and all before it, are in the output.
    pub(crate) fn is_answered(&self, place: Place) -> bool {
        place < self.first
    }

    /// Number of replies still owed, early ones included.
    #[inline]
    pub(crate) fn owed(&self) -> usize {
        self.line.len()
    }

    /// Bytes of the replies and pushes that wait for their turn.
    #[inline]
    pub(crate) fn early_bytes(&self) -> usize {
        self.early.bytes() + self.pieces
    }

    /// Takes the reply for `place`: appends it to `out`, and whatever waited behind it, or keeps it until
    /// its turn. A place that is not open is ignored: its request was given up.
    #[inline]
    pub(crate) fn fill(&mut self, place: Place, reply: &[u8], out: &mut Vec<u8>, spare: &mut SpareBuffers) {
        if place != self.first {
            return self.fill_early(place, reply, spare);
        }
        let Some(entry) = self.line.pop_front() else { return };
        self.first += 1;
        if !matches!(entry, Entry::Muted) {
            out.extend_from_slice(reply);
        }
        if let Entry::UnderWay(_) = entry {
            self.release_pushes(out);
        }
        self.release(out, spare);
    }

    /// Takes the next piece of a reply whose end has not come: for the first place it goes to `out`.
    pub(crate) fn extend(&mut self, place: Place, piece: &[u8], out: &mut Vec<u8>) {
        let is_first = self.is_first(place);
        let Some(entry) = self.entry(place) else { return };
        if let Entry::Waiting = entry {
            *entry = Entry::UnderWay(Vec::new());
        }
        match entry {
            Entry::UnderWay(_) if is_first => out.extend_from_slice(piece),
            Entry::UnderWay(early) => {
                early.extend_from_slice(piece);
                self.pieces += piece.len();
            }
            Entry::Waiting | Entry::Early(_) | Entry::Joined(_) | Entry::Muted => {}
        }
    }

    /// Forgets what has come of a reply; `false`: it has gone to the output.
    pub(crate) fn withdraw(&mut self, place: Place) -> bool {
        let is_first = self.is_first(place);
        let Some(entry) = self.entry(place) else { return true };
        let Entry::UnderWay(begun) = entry else { return true };
        if !is_first {
            let len = begun.len();
            *entry = Entry::Waiting;
            self.pieces -= len;
        }
        !is_first
    }

    /// Whether the reply for `place` is the next one.
    pub(crate) fn is_first(&self, place: Place) -> bool {
        place == self.first
    }

    /// Takes a message that answers no request: it stands between two replies.
    pub(crate) fn push(&mut self, message: &[u8], out: &mut Vec<u8>) {
        if !self.is_under_way() {
            return out.extend_from_slice(message);
        }
        self.pushes.extend_from_slice(message);
        self.pieces += message.len();
    }

    /// Whether the output ends inside of a reply.
    fn is_under_way(&self) -> bool {
        matches!(self.line.front(), Some(Entry::UnderWay(_)))
    }

    #[cold]
    fn release_pushes(&mut self, out: &mut Vec<u8>) {
        self.pieces -= self.pushes.len();
        out.append(&mut self.pushes);
        self.pushes = Vec::new();
    }

    fn entry(&mut self, place: Place) -> Option<&mut Entry> {
        let ahead = self.ahead(place)?;
        self.line.get_mut(ahead)
    }

    /// Where in the line a place is; `None`: it has left it.
    #[inline]
    fn ahead(&self, place: Place) -> Option<usize> {
        usize::try_from(place.checked_sub(self.first)?).ok()
    }

    /// Appends the early replies whose turn has come.
    #[inline]
    fn release(&mut self, out: &mut Vec<u8>, spare: &mut SpareBuffers) {
        loop {
            match self.line.front_mut() {
                Some(Entry::Early(kept)) => self.early.release(std::mem::take(kept), out),
                Some(Entry::Joined(reply)) => {
                    self.pieces -= reply.len();
                    out.append(reply);
                }
                Some(Entry::UnderWay(begun)) => {
                    self.pieces -= begun.len();
                    out.append(begun);
                    break;
                }
                Some(Entry::Waiting | Entry::Muted) | None => break,
            }
            self.line.pop_front();
            self.first += 1;
        }
        self.early.give_back(spare);
        self.pack_if_sparse();
        if self.line.is_empty() && self.line.capacity() > KEPT_PLACES {
            self.line.shrink_to(KEPT_PLACES);
        }
    }

    fn fill_early(&mut self, place: Place, reply: &[u8], spare: &mut SpareBuffers) {
        let Some(entry) = self.ahead(place).and_then(|ahead| self.line.get_mut(ahead)) else { return };
        match entry {
            Entry::Waiting => *entry = Entry::Early(self.early.keep(reply, spare)),
            Entry::Muted => *entry = Entry::Early(Kept::default()),
            Entry::UnderWay(begun) => {
                begun.extend_from_slice(reply);
                self.pieces += reply.len();
                *entry = Entry::Joined(std::mem::take(begun));
            }
            Entry::Early(_) | Entry::Joined(_) => {}
        }
        self.pack_if_sparse();
    }

    #[inline]
    fn pack_if_sparse(&mut self) {
        if self.early.is_sparse() {
            let kept = self.line.iter_mut().filter_map(Entry::kept);
            self.early.pack(kept);
        }
    }
}

impl Entry {
    fn kept(&mut self) -> Option<&mut Kept> {
        if let Self::Early(kept) = self { Some(kept) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_place_is_written_at_once() {
        let (mut replies, mut out, mut spare) = (Replies::default(), Vec::new(), SpareBuffers::default());
        let (a, b) = (replies.expect(), replies.expect());
        replies.fill(b, b"b", &mut out, &mut spare);
        assert_eq!((out.as_slice(), replies.owed(), replies.early_bytes()), (&b""[..], 2, 1));
        replies.fill(a, b"a", &mut out, &mut spare);
        assert_eq!((out.as_slice(), replies.owed(), replies.early_bytes()), (&b"ab"[..], 0, 0));
    }

    #[test]
    fn a_place_that_is_not_open_is_ignored() {
        let (mut replies, mut out, mut spare) = (Replies::default(), Vec::new(), SpareBuffers::default());
        replies.fill(0, b"x", &mut out, &mut spare);
        let place = replies.expect();
        replies.fill(place + 5, b"x", &mut out, &mut spare);
        replies.fill(place, b"a", &mut out, &mut spare);
        replies.fill(place, b"again", &mut out, &mut spare);
        assert_eq!(out, b"a");
    }

    #[test]
    fn a_push_waits_for_the_end_of_the_reply_under_way() {
        let (mut replies, mut out, mut spare) = (Replies::default(), Vec::new(), SpareBuffers::default());
        replies.push(b"(0)", &mut out);
        let (a, b, c) = (replies.expect(), replies.expect(), replies.expect());
        replies.push(b"(1)", &mut out);
        replies.extend(a, b"a", &mut out);
        replies.push(b"(2)", &mut out);
        replies.extend(b, b"b", &mut out);
        replies.fill(c, b"c", &mut out, &mut spare);
        assert_eq!((out.as_slice(), replies.early_bytes()), (&b"(0)(1)a"[..], 5));
        replies.fill(a, b"A", &mut out, &mut spare);
        assert_eq!((out.as_slice(), replies.early_bytes()), (&b"(0)(1)aA(2)b"[..], 1));
        replies.push(b"(3)", &mut out);
        replies.fill(b, b"B", &mut out, &mut spare);
        assert_eq!((out.as_slice(), replies.early_bytes()), (&b"(0)(1)aA(2)bB(3)c"[..], 0));
        assert_eq!(replies.owed(), 0);
    }

    #[test]
    fn a_muted_reply_takes_its_turn_and_is_dropped() {
        let (mut replies, mut out, mut spare) = (Replies::default(), Vec::new(), SpareBuffers::default());
        let mut muted = || {
            let place = replies.expect();
            replies.mute_last(true);
            place
        };
        let (a, b, c) = (muted(), muted(), muted());
        let d = replies.expect();
        replies.fill(b, b"b", &mut out, &mut spare);
        replies.fill(d, b"d", &mut out, &mut spare);
        replies.extend(a, b"half", &mut out);
        assert_eq!((out.as_slice(), replies.owed()), (&b""[..], 4), "they count as owed");
        replies.fill(a, b"a", &mut out, &mut spare);
        replies.fill(c, b"c", &mut out, &mut spare);
        assert_eq!((out.as_slice(), replies.owed(), replies.early_bytes()), (&b"d"[..], 0, 0));
    }

    /// From nothing to 2 KB: those of a long line are packed on the way.
    fn reply(place: Place) -> Vec<u8> {
        vec![place as u8; (place as usize * 571) % 2_048]
    }

    /// What happens next to a client.
    #[derive(Debug, Clone)]
    enum Step {
        Ask {
            muted: bool,
        },
        /// One of those who wait is answered.
        Answer(proptest::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Ask { muted: false }),
            1 => Just(Step::Ask { muted: true }),
            4 => any::<proptest::sample::Index>().prop_map(Step::Answer),
        ]
    }

    proptest! {
        #[test]
        fn any_order_of_arrival_gives_the_order_of_asking(steps in proptest::collection::vec(step(), 0..600)) {
            let (mut replies, mut out, mut spare) = (Replies::default(), Vec::new(), SpareBuffers::default());
            let (mut waiting, mut muted, mut arrived) = (Vec::new(), Vec::new(), 0);
            let mut answer = |place: Place, muted: &[bool], replies: &mut Replies, out: &mut Vec<u8>| {
                replies.fill(place, &reply(place), out, &mut spare);
                arrived += if muted[place as usize] { 0 } else { reply(place).len() };
                assert_eq!(out.len() + replies.early_bytes(), arrived);
            };
            for step in steps {
                match step {
                    Step::Ask { muted: is_muted } => {
                        waiting.push(replies.expect());
                        replies.mute_last(is_muted);
                        muted.push(is_muted);
                    }
                    Step::Answer(_) if waiting.is_empty() => {}
                    Step::Answer(which) => {
                        let place = waiting.swap_remove(which.index(waiting.len()));
                        answer(place, &muted, &mut replies, &mut out);
                    }
                }
            }
            for place in waiting.into_iter().rev() {
                answer(place, &muted, &mut replies, &mut out);
            }
            let wanted = (0..).zip(&muted).filter(|(_, muted)| !**muted);
            prop_assert_eq!(out, wanted.flat_map(|(place, _)| reply(place)).collect::<Vec<u8>>());
            prop_assert_eq!((replies.owed(), replies.early_bytes()), (0, 0));
        }
    }

    #[test]
    fn a_muted_reply_outlives_the_buffer_that_it_is_not_in() {
        let (mut replies, mut out, mut spare) = (Replies::default(), Vec::new(), SpareBuffers::default());
        let places: Vec<_> = (0..46).map(|_| replies.expect()).collect();
        replies.mute_last(true);
        let large = [b'x'; 1_024];
        for place in &places[1..41] {
            replies.fill(*place, &large, &mut out, &mut spare);
        }
        replies.fill(places[42], &large, &mut out, &mut spare);
        replies.fill(places[45], b"muted", &mut out, &mut spare);
        // Now the buffer is packed, then given back, and the muted one is still in line.
        replies.fill(places[0], b"", &mut out, &mut spare);
        for place in [41, 43, 44] {
            replies.fill(places[place], b"", &mut out, &mut spare);
        }
        assert_eq!((out.len(), replies.owed()), (41 * 1_024, 0));
    }
}
