//! The requests on their way through one node connection, and who waits for each answer.
//!
//! RESP answers in order, so the first waiter owns the next reply. The one idea: a request's bytes stay in
//! the buffer until its reply is here. The kernel may have had them long before, but when the connection
//! breaks, every unanswered request is still whole and can be sent elsewhere, without a copy of its own.
//!
//! Pure: the socket is written by the connection's task.

use std::collections::VecDeque;
use std::time::Instant;

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
    /// Length of the request in bytes.
    len: u32,
    /// Whether it was meant for this node and no other: a part of a `DBSIZE`, not a `GET`.
    pub(crate) bound: bool,
}

/// A request taken back from a broken connection.
#[derive(Debug)]
pub(crate) struct Unanswered<'a> {
    pub(crate) waiter: Waiter,
    pub(crate) wire: &'a [u8],
    /// Whether any of its bytes had been handed to the kernel.
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
    waiters: VecDeque<Waiter>,
}

impl Pipeline {
    /// Appends a request.
    #[inline]
    pub(crate) fn push(&mut self, wire: &[u8], target: Target, since: Instant, bound: bool) {
        self.buffer.extend_from_slice(wire);
        // A request is at most 1 GiB long: `resp::Limits::max_request_len`.
        self.waiters.push_back(Waiter { target, since, len: wire.len() as u32, bound });
    }

    /// The bytes still to be written to the socket.
    #[inline]
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }

    /// Marks the next `len` bytes as written.
    #[inline]
    pub(crate) fn mark_sent(&mut self, len: usize) {
        self.sent += len;
    }

    /// Takes the waiter of the next reply. `None`: nobody asked for one.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Waiter> {
        let waiter = self.waiters.pop_front()?;
        self.answered += waiter.len as usize;
        if self.answered == self.buffer.len() {
            self.clear();
        } else if self.answered > COMPACT_AFTER && self.answered * 2 > self.buffer.len() {
            self.buffer.drain(..self.answered);
            // A reply can come before its request is wholly written only from a node that breaks the
            // protocol; the rest of that request is then dropped with it.
            self.sent = self.sent.saturating_sub(self.answered);
            self.answered = 0;
        }
        Some(waiter)
    }

    fn clear(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_CAPACITY);
        if self.waiters.is_empty() {
            self.waiters.shrink_to(KEPT_CAPACITY / size_of::<Waiter>());
        }
        self.answered = 0;
        self.sent = 0;
    }

    /// The request that has waited longest.
    #[inline]
    pub(crate) fn oldest(&self) -> Option<&Waiter> {
        self.waiters.front()
    }

    /// Bytes held, answered ones that were not dropped yet included.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Every unanswered request in order.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = Unanswered<'_>> {
        let mut start = self.answered;
        self.waiters.iter().map(move |waiter| {
            let end = start + waiter.len as usize;
            let request =
                Unanswered { waiter: *waiter, wire: &self.buffer[start..end], sent: start < self.sent };
            start = end;
            request
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(index: u32) -> Target {
        Target::Part { gather: index, part: 0 }
    }

    fn pushed(pipeline: &mut Pipeline, wires: &[&str]) {
        for (index, wire) in (0..).zip(wires) {
            pipeline.push(wire.as_bytes(), target(index), Instant::now(), false);
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
        assert_eq!(left, [(&b"two"[..], true), (b"three", false)]);
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
    }

    #[test]
    fn answered_bytes_are_dropped_while_others_wait() {
        let large = "x".repeat(COMPACT_AFTER);
        let mut pipeline = Pipeline::default();
        pushed(&mut pipeline, &[&large, &large, "last"]);
        pipeline.mark_sent(2 * COMPACT_AFTER + 1);
        pipeline.pop();
        pipeline.pop();
        assert_eq!(pipeline.held_bytes(), 4);
        assert_eq!(pipeline.unsent(), b"ast");
        assert_eq!(pipeline.unanswered().next().unwrap().wire, b"last");
    }
}
