//! The large sorted set: members in a slab, found by a hash table and ordered by a counted tree.
//!
//! Both sides refer to a member by its 4-byte place in the slab, so its bytes exist once. The tree repeats the
//! score beside the place: most comparisons are decided without following it.

use super::sequence::{Items, Sequence};
use crate::memory::heap_size;
use hashbrown::HashTable;
use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher};
use std::mem::size_of;
use std::ops::Range;

#[derive(Debug)]
struct Member {
    text: Box<[u8]>,
    score: f64,
}

/// What the tree holds: 12 bytes, because an `f64` field would pad it to 16.
#[derive(Debug, Clone, Copy)]
struct Item {
    score: [u8; 8],
    place: u32,
}

impl Item {
    fn new(score: f64, place: u32) -> Self {
        Self { score: score.to_ne_bytes(), place }
    }

    fn score(self) -> f64 {
        f64::from_ne_bytes(self.score)
    }
}

/// A sorted set of any size.
#[derive(Debug, Default)]
pub(super) struct Ranked {
    members: Vec<Member>,
    free: Vec<u32>,
    index: HashTable<u32>,
    order: Sequence<Item>,
    hasher: foldhash::fast::RandomState,
    text_bytes: usize,
    /// Grows when members change their places; part of every scan's cursor.
    generation: u16,
}

/// Where the generation stands in a cursor: above the place. Together they take 48 bits, as cursors of the
/// keyspace do.
const GENERATION_SHIFT: u32 = 32;

impl Ranked {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.text_bytes
            + self.members.capacity() * size_of::<Member>()
            + self.free.capacity() * size_of::<u32>()
            + self.index.allocation_size()
            + self.order.heap_bytes()
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.place_of(member).map(|place| self.members[place as usize].score)
    }

    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(member)?;
        Some((self.rank_of(score, member), score))
    }

    pub(super) fn rank_where(&self, mut before: impl FnMut(f64, &[u8]) -> bool) -> usize {
        self.order.rank_where(|item| before(item.score(), &self.members[item.place as usize].text))
    }

    /// Adds `member` or moves it to `score`; returns its former score.
    pub(super) fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        if let Some(place) = self.place_of(member) {
            return Some(self.move_to(place, score));
        }
        let rank = self.rank_of(score, member);
        let place = self.store(member, score);
        let hash = self.hash(member);
        let Self { index, members, hasher, .. } = self;
        index.insert_unique(hash, place, |place| hash_with(hasher, &members[*place as usize].text));
        self.order.insert(rank, Item::new(score, place));
        None
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (rank, score) = self.rank(member)?;
        self.remove_rank(rank);
        Some(score)
    }

    pub(super) fn remove_range(&mut self, ranks: Range<usize>) {
        for _ in ranks.clone() {
            self.remove_rank(ranks.start);
        }
    }

    pub(super) fn range(&self, ranks: Range<usize>) -> Members<'_> {
        Members { items: self.order.range(ranks), members: &self.members }
    }

    /// Visits members from `cursor` (0 at first) on, at least `want` of them unless the end comes first; returns
    /// the next cursor, 0 at the end. Members keep their place for as long as they are there; when a compaction
    /// moved them, the scan starts over, so nothing is missed.
    pub(super) fn scan<'a>(&'a self, cursor: u64, want: usize, mut visit: impl FnMut(&'a [u8], f64)) -> u64 {
        let current = (cursor >> GENERATION_SHIFT) as u16 == self.generation;
        let start = if current { cursor as u32 as usize } else { 0 };
        let mut seen = 0;
        for (place, member) in self.members.iter().enumerate().skip(start) {
            if seen >= want {
                return u64::from(self.generation) << GENERATION_SHIFT | place as u64;
            }
            // The hole of a removed member has an empty text, and so has the member that is the empty string.
            if !member.text.is_empty() || self.is_empty_member(place) {
                visit(&member.text, member.score);
                seen += 1;
            }
        }
        0
    }

    fn is_empty_member(&self, place: usize) -> bool {
        self.place_of(b"").is_some_and(|empty| empty as usize == place)
    }

    /// Frees up to `budget` members of a set that nobody will read again; true when nothing is left.
    pub(super) fn shed(&mut self, budget: usize) -> bool {
        let keep = self.members.len().saturating_sub(budget);
        self.members.truncate(keep);
        keep == 0
    }

    fn move_to(&mut self, place: u32, score: f64) -> f64 {
        let member = &self.members[place as usize];
        let former = member.score;
        if former.to_bits() != score.to_bits() {
            let text = &member.text;
            let from = self.rank_of(former, text);
            self.order.remove(from);
            let to = self.rank_of(score, &self.members[place as usize].text);
            self.order.insert(to, Item::new(score, place));
            self.members[place as usize].score = score;
        }
        former
    }

    fn remove_rank(&mut self, rank: usize) {
        let Some(item) = self.order.remove(rank) else { return };
        let text = std::mem::take(&mut self.members[item.place as usize].text);
        let hash = self.hash(&text);
        if let Ok(entry) = self.index.find_entry(hash, |place| *place == item.place) {
            entry.remove();
        }
        self.text_bytes -= heap_size(text.len());
        self.free.push(item.place);
        if self.free.len() > 2 * self.len() + COMPACT_SLACK {
            self.compact();
        }
    }

    fn store(&mut self, member: &[u8], score: f64) -> u32 {
        self.text_bytes += heap_size(member.len());
        let member = Member { text: member.into(), score };
        if let Some(place) = self.free.pop() {
            self.members[place as usize] = member;
            return place;
        }
        self.members.push(member);
        // A member costs over 60 bytes: four billion of them do not fit into a node.
        (self.members.len() - 1) as u32
    }

    /// Rebuilds slab, index and tree without the holes; its cost is paid for by the removals that made them.
    fn compact(&mut self) {
        let generation = self.generation.wrapping_add(1);
        let mut compact = Self { hasher: self.hasher.clone(), generation, ..Self::default() };
        compact.members.reserve_exact(self.len());
        for rank in 0..self.len() {
            let Some(item) = self.order.get(rank) else { break };
            let text = std::mem::take(&mut self.members[item.place as usize].text);
            compact.insert(&text, item.score());
        }
        *self = compact;
    }

    fn rank_of(&self, score: f64, member: &[u8]) -> usize {
        self.rank_where(|other, text| super::compare((other, text), (score, member)) == Ordering::Less)
    }

    fn place_of(&self, member: &[u8]) -> Option<u32> {
        let hash = self.hash(member);
        self.index.find(hash, |place| *self.members[*place as usize].text == *member).copied()
    }

    fn hash(&self, member: &[u8]) -> u64 {
        hash_with(&self.hasher, member)
    }
}

/// Holes are not worth a rebuild while they cost less than a few pages.
const COMPACT_SLACK: usize = 256;

fn hash_with(hasher: &foldhash::fast::RandomState, member: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(member);
    hasher.finish()
}

/// Members and scores of a range of ranks, from either end.
#[derive(Debug)]
pub(super) struct Members<'a> {
    items: Items<'a, Item>,
    members: &'a [Member],
}

impl<'a> Members<'a> {
    fn resolve(&self, item: Item) -> (&'a [u8], f64) {
        (&self.members[item.place as usize].text, item.score())
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.items.next()?;
        Some(self.resolve(item))
    }
}

impl DoubleEndedIterator for Members<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let item = self.items.next_back()?;
        Some(self.resolve(item))
    }
}
