//! The small sorted set: all items in one byte string, in order.
//!
//! An item is its score (8 bytes), the length of its member (1 byte) and the member. Up to 128 such items are
//! walked faster than a pointer is followed a few times, and cost 9 bytes each over the member itself.

use std::cmp::Ordering;
use std::ops::Range;

/// Bytes of an item besides its member.
const HEAD: usize = 9;

/// The longest member an item can hold: its length is one byte.
pub(super) const MEMBER_MAX: usize = u8::MAX as usize;

/// Items ordered by score, then by member.
#[derive(Debug, Default)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    len: usize,
}

impl Packed {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn iter(&self) -> Walk<'_> {
        Walk { rest: &self.bytes }
    }

    /// Rank, offset and score of `member`.
    pub(super) fn find(&self, member: &[u8]) -> Option<(usize, usize, f64)> {
        let mut offset = 0;
        for (rank, (text, score)) in self.iter().enumerate() {
            if text == member {
                return Some((rank, offset, score));
            }
            offset += HEAD + text.len();
        }
        None
    }

    /// The member must not be in the set, and at most `MEMBER_MAX` bytes long.
    pub(super) fn insert(&mut self, member: &[u8], score: f64) {
        let mut offset = 0;
        for (text, other) in self.iter() {
            if super::compare((other, text), (score, member)) == Ordering::Greater {
                break;
            }
            offset += HEAD + text.len();
        }
        self.make_room(HEAD + member.len());
        let len = [member.len() as u8];
        let item = score.to_le_bytes().into_iter().chain(len).chain(member.iter().copied());
        self.bytes.splice(offset..offset, item);
        self.len += 1;
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (_, offset, score) = self.find(member)?;
        self.bytes.drain(offset..offset + HEAD + member.len());
        self.len -= 1;
        Some(score)
    }

    pub(super) fn remove_range(&mut self, ranks: Range<usize>) {
        let offset = |rank| self.iter().take(rank).map(|(text, _)| HEAD + text.len()).sum::<usize>();
        let bytes = offset(ranks.start)..offset(ranks.end);
        self.bytes.drain(bytes);
        self.len -= ranks.len();
    }

    /// Grows by a quarter: doubling would waste more than the packing saves.
    fn make_room(&mut self, extra: usize) {
        if self.bytes.len() + extra > self.bytes.capacity() {
            self.bytes.reserve_exact(extra + self.bytes.len() / 4);
        }
    }
}

/// Walks the items in order.
#[derive(Debug, Clone)]
pub(super) struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Walk<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        let (score, rest) = self.rest.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first()?;
        let (member, rest) = rest.split_at(usize::from(*len));
        self.rest = rest;
        Some((member, f64::from_le_bytes(*score)))
    }
}
