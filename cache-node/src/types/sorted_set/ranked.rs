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
    /// Without holes: the last member moves into the place of one that is removed.
    members: Vec<Member>,
    index: HashTable<u32>,
    order: Sequence<Item>,
    hasher: foldhash::fast::RandomState,
    text_bytes: usize,
}

impl Ranked {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.text_bytes
            + self.members.capacity() * size_of::<Member>()
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

    /// Visits up to `want` members from `cursor` (0 at first) on; returns the next cursor, 0 at the end.
    ///
    /// The cursor is the number of places not visited yet, and they are visited from the last to the first. A
    /// removal only ever moves a member to a lower place, so one that was not visited stays below the cursor:
    /// nothing that is there throughout is missed.
    pub(super) fn scan<'a>(&'a self, cursor: u64, want: usize, mut visit: impl FnMut(&'a [u8], f64)) -> u64 {
        let all = self.members.len();
        let left = if cursor == 0 { all } else { all.min(cursor as usize) };
        let rest = left.saturating_sub(want);
        for member in self.members[rest..left].iter().rev() {
            visit(&member.text, member.score);
        }
        rest as u64
    }

    /// Frees up to `budget` members of a set that nobody will read again; returns how many.
    pub(super) fn shed(&mut self, budget: usize) -> usize {
        let keep = self.members.len().saturating_sub(budget);
        let shed = self.members.drain(keep..);
        let count = shed.len();
        self.text_bytes -= shed.map(|member| heap_size(member.text.len())).sum::<usize>();
        count
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
        let Some(Item { place, .. }) = self.order.remove(rank) else { return };
        self.unindex(place);
        let last = (self.members.len() - 1) as u32;
        if place != last {
            self.announce_move(last, place);
        }
        let removed = self.members.swap_remove(place as usize);
        self.text_bytes -= heap_size(removed.text.len());
        self.give_back();
    }

    fn unindex(&mut self, place: u32) {
        let hash = self.hash(&self.members[place as usize].text);
        if let Ok(entry) = self.index.find_entry(hash, |known| *known == place) {
            entry.remove();
        }
    }

    /// Lets index and tree name the new place of a member that is about to move there.
    fn announce_move(&mut self, from: u32, to: u32) {
        let Member { text, score } = &self.members[from as usize];
        let rank = self.rank_of(*score, text);
        self.order.replace(rank, Item::new(*score, to));
        let hash = hash_with(&self.hasher, text);
        if let Some(place) = self.index.find_mut(hash, |known| *known == from) {
            *place = to;
        }
    }

    /// Returns memory once three quarters of it are unused.
    fn give_back(&mut self) {
        let len = self.members.len();
        if self.members.capacity() > 4 * len + SLACK {
            self.members.shrink_to(2 * len);
            let Self { index, members, hasher, .. } = self;
            index.shrink_to(2 * len, |place| hash_with(hasher, &members[*place as usize].text));
        }
    }

    fn store(&mut self, member: &[u8], score: f64) -> u32 {
        self.text_bytes += heap_size(member.len());
        self.members.push(Member { text: member.into(), score });
        // A member costs over 60 bytes: four billion of them do not fit into a node.
        (self.members.len() - 1) as u32
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

/// Unused members that are not worth a reallocation: a few pages.
const SLACK: usize = 256;

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
