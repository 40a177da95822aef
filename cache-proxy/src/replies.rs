//! Puts the replies of one client into the order of its requests.
//!
//! Requests of one client go to many nodes and come back in any order; RESP has no request ids, so the
//! client must see them in the order it asked. Each request takes a *place* in line. A reply for the first
//! place goes straight to the output, without a copy in between; one that comes early waits in its place.
//!
//! Pure: it holds no socket. How many places may be open is the session's decision (it stops reading).

use std::collections::VecDeque;

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
    /// Bytes of the replies that wait for their turn.
    early: usize,
}

#[derive(Debug)]
enum Entry {
    Waiting,
    /// Arrived before its turn.
    Early(Vec<u8>),
}

impl Replies {
    /// Takes the next place in line.
    #[inline]
    pub(crate) fn expect(&mut self) -> Place {
        self.line.push_back(Entry::Waiting);
        self.first + self.line.len() as Place - 1
    }

    /// Number of requests so far.
    pub(crate) fn asked(&self) -> u64 {
        self.first + self.line.len() as Place
    }

    /// Number of replies still owed, early ones included.
    #[inline]
    pub(crate) fn owed(&self) -> usize {
        self.line.len()
    }

    /// Bytes of the replies that wait for their turn.
    #[inline]
    pub(crate) fn early_bytes(&self) -> usize {
        self.early
    }

    /// Takes the reply for `place`: appends it to `out`, and whatever waited behind it, or keeps it until
    /// its turn. A place that is not open is ignored: its request was given up.
    #[inline]
    pub(crate) fn fill(&mut self, place: Place, reply: &[u8], out: &mut Vec<u8>, spare: &mut SpareBuffers) {
        if place != self.first {
            return self.fill_early(place, reply, spare);
        }
        if self.line.pop_front().is_none() {
            return;
        }
        self.first += 1;
        out.extend_from_slice(reply);
        self.release(out, spare);
    }

    /// Appends the early replies whose turn has come.
    #[inline]
    fn release(&mut self, out: &mut Vec<u8>, spare: &mut SpareBuffers) {
        while let Some(Entry::Early(reply)) = self.line.front_mut() {
            out.extend_from_slice(reply);
            self.early -= reply.len();
            spare.put(std::mem::take(reply));
            self.line.pop_front();
            self.first += 1;
        }
        if self.line.is_empty() && self.line.capacity() > KEPT_PLACES {
            self.line.shrink_to(KEPT_PLACES);
        }
    }

    fn fill_early(&mut self, place: Place, reply: &[u8], spare: &mut SpareBuffers) {
        let ahead = place.checked_sub(self.first).and_then(|ahead| usize::try_from(ahead).ok());
        if let Some(entry @ Entry::Waiting) = ahead.and_then(|ahead| self.line.get_mut(ahead)) {
            let mut early = spare.take();
            early.extend_from_slice(reply);
            self.early += reply.len();
            *entry = Entry::Early(early);
        }
    }
}

/// Empty buffers kept for the next early reply, so that none is allocated per reply.
#[derive(Debug, Default)]
pub(crate) struct SpareBuffers(Vec<Vec<u8>>);

impl SpareBuffers {
    /// Most buffers kept: 32 pipelined requests of 50 clients.
    const MOST: usize = 1_600;
    /// Largest buffer kept; a rare large reply is given back to the allocator.
    const LARGEST: usize = 4 * 1024;

    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    pub(crate) fn put(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= Self::LARGEST && self.0.len() < Self::MOST {
            buffer.clear();
            self.0.push(buffer);
        }
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

    proptest! {
        #[test]
        fn any_order_of_arrival_gives_the_order_of_asking(order in Just((0_u64..60).collect::<Vec<_>>()).prop_shuffle()) {
            let (mut replies, mut out, mut spare) = (Replies::default(), Vec::new(), SpareBuffers::default());
            order.iter().for_each(|_| { replies.expect(); });
            for place in &order {
                replies.fill(*place, &[*place as u8], &mut out, &mut spare);
            }
            prop_assert_eq!(out, (0..60).collect::<Vec<u8>>());
            prop_assert_eq!(replies.owed(), 0);
        }
    }
}
