//! Buffers that belong to the worker and are lent to its clients while there is something in them.
//!
//! A client that is idle holds none, and one that is busy finds one that was written a moment ago, still in the
//! processor's cache. What is kept is bounded in bytes, so many clients of small replies and few of larger ones get
//! along without the allocator alike.

/// Empty buffers for the next bytes that must wait.
#[derive(Debug, Default)]
pub(crate) struct SpareBuffers {
    buffers: Vec<Vec<u8>>,
    /// The capacity of all of them.
    bytes: usize,
}

impl SpareBuffers {
    /// Most bytes kept: those of 1 000 clients with a pipeline of 32 values of 100 bytes each, under way twice, on
    /// their way to a client and waiting for their turn.
    const MOST_BYTES: usize = 8 * 1024 * 1024;
    /// Largest buffer kept: a pipeline of 64 values of 1 KB. One that had to grow further is given back.
    const LARGEST: usize = 64 * 1024;

    #[inline]
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    #[inline]
    pub(crate) fn put(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if (1..=Self::LARGEST).contains(&capacity) && self.bytes + capacity <= Self::MOST_BYTES {
            buffer.clear();
            self.bytes += capacity;
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let mut spare = SpareBuffers::default();
        spare.put(Vec::with_capacity(SpareBuffers::LARGEST + 1));
        spare.put(Vec::new());
        assert_eq!(spare.take().capacity(), 0, "neither too large nor empty");
        for _ in 0..2 * SpareBuffers::MOST_BYTES / SpareBuffers::LARGEST {
            spare.put(vec![b'x'; SpareBuffers::LARGEST]);
        }
        let kept = || {
            let buffer = spare.take();
            assert!(buffer.is_empty());
            Some(buffer.capacity()).filter(|capacity| *capacity > 0)
        };
        assert_eq!(std::iter::from_fn(kept).sum::<usize>(), SpareBuffers::MOST_BYTES);
        assert_eq!(spare.bytes, 0);
    }
}
