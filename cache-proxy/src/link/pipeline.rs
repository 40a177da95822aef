//! The requests on their way through one node connection, and who waits for each answer.
//!
//! RESP answers in order, so the first waiter owns the next reply. The one idea: a request's bytes stay in
//! the buffer until its reply is here. The kernel may have had them long before, but when the connection
//! breaks, every unanswered request is still whole and can be sent elsewhere, without a copy of its own.
//!
//! Pure: the socket is written by the connection's task.

use std::collections::VecDeque;
use std::time::Instant;

use commands::Class;

use crate::link::write_times::WriteTimes;
use crate::target::Target;

/// Answered bytes are dropped from the front once there are this many of them and they are the larger
/// half: each byte then moves at most once more.
const COMPACT_AFTER: usize = 32 * 1024;

/// Capacity kept when nothing is on its way: what a busy connection needs again at once.
const KEPT_CAPACITY: usize = 64 * 1024;

/// Who gets the reply to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiter {
    /// Where the reply goes.
    pub(crate) target: Target,
    /// Since when the client has been waiting for it.
    pub(crate) since: Instant,
    /// What the request is, to whoever counts.
    pub(crate) class: Class,
    /// Whether it was meant for this node and no other: a part of a `DBSIZE`, not a `GET`.
    pub(crate) bound: bool,
    /// Where it has been before.
    pub(crate) past: Past,
}

/// Where a request has been before it is put on its way to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    /// It has just come.
    None,
    /// In the hold: how long its client waits says nothing about the node that gets it now.
    Held,
    /// There too, and at a node, which may have executed it.
    Tried,
}

/// A waiter and the length of its request.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    waiter: Waiter,
    /// With [`UNIT`] when it is a unit's.
    len: usize,
}

/// Marks the length of a unit, to which a node gives many replies. It makes the unit look longer than anything that
/// was ever sent, so that for single requests one look tells both: sent whole, and no unit.
const UNIT: usize = 1 << (usize::BITS - 1);

impl Awaited {
    fn bytes(self) -> usize {
        self.len & !UNIT
    }
}

impl Waiter {
    /// A waiter for the reply to a request that may go anywhere and has been nowhere.
    pub(crate) fn new(target: Target, since: Instant, class: Class) -> Self {
        Self { target, since, class, bound: false, past: Past::None }
    }
}

/// A request taken back from a broken connection.
#[derive(Debug)]
pub(crate) struct Unanswered<'a> {
    pub(crate) waiter: Waiter,
    pub(crate) wire: &'a [u8],
    /// Whether the node may have executed it: its last byte had been handed to the kernel.
    pub(crate) sent: bool,
}

/// One connection's requests in flight.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    /// `[answered | sent, unanswered | not sent]`
    buffer: Vec<u8>,
    /// End of the answered bytes.
    answered: usize,
    /// End of the sent bytes.
    sent: usize,
    waiters: VecDeque<Awaited>,
    /// How many requests there have been, answered ones included.
    pushed: u64,
    written: WriteTimes,
}

impl Pipeline {
    /// Appends a request.
    #[inline]
    pub(crate) fn push(&mut self, wire: &[u8], waiter: Waiter) {
        self.buffer.extend_from_slice(wire);
        self.pushed += 1;
        self.waiters.push_back(Awaited { waiter, len: wire.len() });
    }

    /// Appends a unit.
    pub(crate) fn push_unit(&mut self, wire: &[u8], waiter: Waiter) {
        self.buffer.extend_from_slice(wire);
        self.pushed += 1;
        self.waiters.push_back(Awaited { waiter, len: wire.len() | UNIT });
    }

    /// Appends bytes of a request that is not kept until its answer: they are forgotten once they are written. Its
    /// end is [`push`](Self::push)ed. Nothing else may be on its way.
    pub(crate) fn stream(&mut self, bytes: &[u8]) {
        if self.sent == self.buffer.len() || self.sent > COMPACT_AFTER {
            self.buffer.drain(..self.sent);
            self.sent = 0;
        }
        self.buffer.extend_from_slice(bytes);
        // Nobody waits for an answer to them alone.
        self.answered = self.buffer.len();
    }

    /// The bytes still to be written to the socket.
    #[inline]
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }

    /// Notes that the socket is given all there is, at this time. That it does not take it at once is the node's
    /// doing, or that of the way to it.
    #[inline]
    pub(crate) fn note_write(&mut self, now: Instant) {
        self.written.note(now, self.pushed, self.answered_requests());
    }

    /// The request whose reply is next, and when it was written.
    pub(crate) fn first(&self) -> Option<(&[u8], Instant)> {
        let awaited = self.waiters.front()?;
        let at = self.written.of(self.answered_requests())?;
        Some((&self.buffer[self.answered..self.answered + awaited.bytes()], at))
    }

    #[inline]
    fn answered_requests(&self) -> u64 {
        self.pushed - self.waiters.len() as u64
    }

    /// Marks the next `len` bytes as written.
    #[inline]
    pub(crate) fn mark_sent(&mut self, len: usize) {
        self.sent += len;
    }

    /// The waiter of the next reply. `None`: it is one of a unit's replies; or nobody asked for one, or has not asked to
    /// the end yet, so the node is out of step.
    #[inline]
    pub(crate) fn due(&self) -> Option<Waiter> {
        let Awaited { waiter, len } = self.waiters.front()?;
        (self.answered + len <= self.sent).then_some(*waiter)
    }

    /// Takes the waiter of the next reply, if one is [`due`](Self::due).
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Waiter> {
        let end = self.answered + self.waiters.front()?.len;
        if end > self.sent {
            return None;
        }
        self.answer_to(end)
    }

    /// The unit whose replies are coming: the first one waited for, some of whose bytes were sent.
    pub(crate) fn unit_in_turn(&self) -> Option<Waiter> {
        let first = self.waiters.front().filter(|first| first.len & UNIT != 0)?;
        (self.sent > self.answered).then_some(first.waiter)
    }

    /// Takes the waiter of a unit, whose last reply has come. `None`: it has not been sent to the end.
    pub(crate) fn pop_unit(&mut self) -> Option<Waiter> {
        let end = self.answered + self.waiters.front()?.bytes();
        if end > self.sent {
            return None;
        }
        self.answer_to(end)
    }

    /// Drops the first waiter, whose bytes end at `end`.
    #[inline]
    fn answer_to(&mut self, end: usize) -> Option<Waiter> {
        let Awaited { waiter, .. } = self.waiters.pop_front()?;
        self.answered = end;
        if self.answered == self.buffer.len() {
            self.clear();
        } else if self.answered > COMPACT_AFTER && self.answered * 2 > self.buffer.len() {
            self.buffer.drain(..self.answered);
            self.sent -= self.answered;
            self.answered = 0;
        }
        Some(waiter)
    }

    fn clear(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_CAPACITY);
        if self.waiters.is_empty() {
            self.waiters.shrink_to(KEPT_CAPACITY / size_of::<Awaited>());
        }
        self.answered = 0;
        self.sent = 0;
    }

    /// The request that has waited longest.
    #[inline]
    pub(crate) fn oldest(&self) -> Option<&Waiter> {
        self.waiters.front().map(|awaited| &awaited.waiter)
    }

    /// Bytes held, answered ones that were not dropped yet included.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Requests on their way.
    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Makes the reply to the request at `place` in line nobody's.
    pub(crate) fn give_up(&mut self, place: usize) {
        if let Some(awaited) = self.waiters.get_mut(place) {
            awaited.waiter.target = Target::NOBODY;
        }
    }

    /// Who waits for the next replies.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = Target> + '_ {
        self.waiters.iter().map(|awaited| awaited.waiter.target)
    }

    /// Every unanswered request in order.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = Unanswered<'_>> {
        let mut start = self.answered;
        self.waiters.iter().map(move |awaited| {
            let end = start + awaited.bytes();
            let (waiter, wire) = (awaited.waiter, &self.buffer[start..end]);
            let request = Unanswered { waiter, wire, sent: end <= self.sent };
            start = end;
            request
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(index: u32) -> Target {
        Target::part(index, 0)
    }

    fn pushed(pipeline: &mut Pipeline, wires: &[&str]) {
        for (index, wire) in (0..).zip(wires) {
            pipeline.push(wire.as_bytes(), Waiter::new(target(index), Instant::now(), Class::Read));
        }
    }

    #[test]
    fn what_is_unanswered_can_be_taken_back_whole() {
        let mut pipeline = Pipeline::default();
        pushed(&mut pipeline, &["one", "two", "three"]);
        pipeline.mark_sent(4);
        assert_eq!(pipeline.pop().unwrap().target, target(0));
        assert_eq!(pipeline.unsent(), b"wothree");
        let left: Vec<_> = pipeline.unanswered().map(|request| (request.wire, request.sent)).collect();
        // A request of which only a part was sent cannot have been executed.
        assert_eq!(left, [(&b"two"[..], false), (b"three", false)]);
    }

    #[test]
    fn a_unit_waits_for_its_last_reply_and_is_taken_back_whole() {
        let mut pipeline = Pipeline::default();
        let waiter = |index| Waiter::new(target(index), Instant::now(), Class::Read);
        pipeline.push(b"one", waiter(0));
        pipeline.push_unit(b"unit", waiter(1));
        pipeline.push(b"two", waiter(2));
        pipeline.mark_sent(3);
        assert_eq!(pipeline.pop().unwrap().target, target(0));
        assert_eq!(pipeline.unit_in_turn(), None, "nothing of it was sent");
        pipeline.mark_sent(2);
        assert_eq!(pipeline.pop(), None);
        assert_eq!(pipeline.unit_in_turn().unwrap().target, target(1));
        assert_eq!(pipeline.pop_unit(), None, "it was not sent to its end");
        let left: Vec<_> = pipeline.unanswered().map(|request| (request.wire, request.sent)).collect();
        assert_eq!(left, [(&b"unit"[..], false), (b"two", false)]);
        pipeline.mark_sent(5);
        assert_eq!(pipeline.pop(), None, "it is a unit");
        assert_eq!(pipeline.pop_unit().unwrap().target, target(1));
        assert_eq!(pipeline.pop().unwrap().target, target(2));
        assert_eq!((pipeline.len(), pipeline.held_bytes()), (0, 0));
    }

    #[test]
    fn what_is_streamed_is_forgotten_when_it_is_written() {
        let mut pipeline = Pipeline::default();
        for _ in 0..10 {
            pipeline.stream(&[b'x'; COMPACT_AFTER]);
            pipeline.mark_sent(COMPACT_AFTER - 1);
            pipeline.mark_sent(1);
        }
        assert_eq!((pipeline.held_bytes(), pipeline.unsent()), (COMPACT_AFTER, &b""[..]));
        // A socket that never takes all there is.
        for _ in 0..10 {
            pipeline.stream(&[b'x'; COMPACT_AFTER]);
            pipeline.mark_sent(pipeline.unsent().len() - 1);
        }
        assert!(pipeline.held_bytes() <= 2 * COMPACT_AFTER + 1, "{} bytes", pipeline.held_bytes());
        pipeline.mark_sent(1);
        pipeline.stream(b"last");
        pipeline.push(b"end", Waiter::new(target(0), Instant::now(), Class::Write));
        pipeline.mark_sent(6);
        assert_eq!(pipeline.pop(), None, "its end is not wholly sent");
        let left: Vec<_> = pipeline.unanswered().map(|request| (request.wire, request.sent)).collect();
        assert_eq!(left, [(&b"end"[..], false)]);
        pipeline.mark_sent(1);
        assert_eq!(pipeline.pop().unwrap().target, target(0));
        assert_eq!(pipeline.held_bytes(), 0);
    }

    #[test]
    fn it_is_known_when_the_first_request_was_written() {
        let times = [Instant::now(), Instant::now() + std::time::Duration::from_secs(1)];
        let mut pipeline = Pipeline::default();
        assert_eq!(pipeline.first(), None);
        for (wire, now) in ["a", "bc"].into_iter().zip(times) {
            pushed(&mut pipeline, &[wire]);
            pipeline.note_write(now);
            pipeline.mark_sent(wire.len());
        }
        assert_eq!(pipeline.first(), Some((&b"a"[..], times[0])));
        pipeline.pop();
        assert_eq!(pipeline.first(), Some((&b"bc"[..], times[1])));
    }

    #[test]
    fn an_answered_pipeline_holds_nothing() {
        let mut pipeline = Pipeline::default();
        pushed(&mut pipeline, &["one", "two"]);
        pipeline.mark_sent(6);
        pipeline.pop();
        pipeline.pop();
        assert!(pipeline.is_empty() && pipeline.unsent().is_empty());
        assert_eq!(pipeline.held_bytes(), 0);
        assert_eq!(pipeline.pop(), None);
        let many: Vec<_> = (0..100_000).map(|_| "twelve bytes").collect();
        pushed(&mut pipeline, &many);
        pipeline.mark_sent(pipeline.unsent().len());
        while pipeline.pop().is_some() {}
        let kept = (pipeline.buffer.capacity(), pipeline.waiters.capacity() * size_of::<Awaited>());
        assert!(kept.0 <= KEPT_CAPACITY && kept.1 <= 2 * KEPT_CAPACITY, "{kept:?}");
    }

    #[test]
    fn answered_bytes_are_dropped_while_others_wait() {
        let large = "x".repeat(COMPACT_AFTER);
        let mut pipeline = Pipeline::default();
        pushed(&mut pipeline, &[&large, &large, "last"]);
        pipeline.mark_sent(2 * COMPACT_AFTER + 1);
        pipeline.pop();
        pipeline.pop();
        assert_eq!(pipeline.pop(), None, "its request is not wholly sent");
        assert_eq!(pipeline.held_bytes(), 4);
        assert_eq!(pipeline.unsent(), b"ast");
        assert_eq!(pipeline.unanswered().next().unwrap().wire, b"last");
    }
}
