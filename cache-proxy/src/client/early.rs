//! The replies of one client that came before their turn, all in one buffer.
//!
//! They arrive in any order and leave in the order of their requests, so the buffer has holes; it is packed when it
//! is mostly holes, and given back when nothing waits. One buffer per client and not one per reply: a pipeline of 32
//! over 50 nodes has some 30 replies waiting, and each would be a trip to the allocator and a line of cache.
//!
//! Pure.

use std::ops::Range;

use crate::client::spare::SpareBuffers;

/// The buffer is packed once there are this many bytes in it, and more than half are holes: each byte then moves at
/// most once more, and pipelines of small replies are never packed.
const PACK_AFTER: usize = 32 * 1024;

/// Where a reply is that waits for its turn. One without bytes is nowhere: `0..0`, whatever becomes of the buffer.
pub(crate) type Kept = Range<usize>;

/// Replies that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Early {
    buffer: Vec<u8>,
    /// Bytes in the buffer that are no holes.
    waiting: usize,
}

impl Early {
    /// Bytes of the replies that wait.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.waiting
    }

    /// Keeps a reply.
    #[inline]
    pub(crate) fn keep(&mut self, reply: &[u8], spare: &mut SpareBuffers) -> Kept {
        if reply.is_empty() {
            return Kept::default();
        }
        if self.buffer.capacity() == 0 {
            self.buffer = spare.take();
        }
        let start = self.buffer.len();
        self.buffer.extend_from_slice(reply);
        self.waiting += reply.len();
        start..self.buffer.len()
    }

    /// Appends a reply whose turn has come, and leaves a hole.
    #[inline]
    pub(crate) fn release(&mut self, kept: Kept, out: &mut Vec<u8>) {
        self.waiting -= kept.len();
        out.extend_from_slice(&self.buffer[kept]);
    }

    /// Whether so much of the buffer is holes that it should be [packed](Self::pack).
    #[inline]
    pub(crate) fn is_sparse(&self) -> bool {
        self.buffer.len() > PACK_AFTER && self.waiting * 2 < self.buffer.len()
    }

    /// Moves the replies together. `line` must be all that wait.
    #[cold]
    pub(crate) fn pack<'a>(&mut self, line: impl Iterator<Item = &'a mut Kept>) {
        let mut packed = Vec::with_capacity(self.waiting);
        for kept in line.filter(|kept| kept.start < kept.end) {
            let start = packed.len();
            packed.extend_from_slice(&self.buffer[kept.clone()]);
            *kept = start..packed.len();
        }
        self.buffer = packed;
    }

    /// Gives the buffer back if nothing waits.
    #[inline]
    pub(crate) fn give_back(&mut self, spare: &mut SpareBuffers) {
        if self.waiting == 0 && self.buffer.capacity() > 0 {
            spare.put(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_what_waits_and_nothing_else() {
        let (mut early, mut spare) = (Early::default(), SpareBuffers::default());
        let reply = |number: usize| vec![number as u8; 1_000];
        let mut line: Vec<_> = (0..40).map(|number| early.keep(&reply(number), &mut spare)).collect();
        assert!(!early.is_sparse(), "nothing has left");
        for (number, kept) in line.drain(..21).enumerate() {
            let mut out = Vec::new();
            early.release(kept, &mut out);
            assert_eq!(out, reply(number));
        }
        assert!(early.is_sparse());
        early.pack(line.iter_mut());
        assert_eq!((early.bytes(), early.buffer.len(), early.is_sparse()), (19_000, 19_000, false));
        let late = early.keep(b"late", &mut spare);
        for (number, kept) in (21..).zip(line) {
            let mut out = Vec::new();
            early.release(kept, &mut out);
            assert_eq!(out, reply(number));
        }
        early.give_back(&mut spare);
        assert!(early.buffer.capacity() > 0, "one still waits");
        let mut out = Vec::new();
        early.release(late, &mut out);
        early.give_back(&mut spare);
        assert_eq!((out.as_slice(), early.buffer.capacity()), (&b"late"[..], 0));
        assert!(spare.take().capacity() >= 19_000, "the worker has it again");
    }
}
