//! The hash table of the keyspace: small segments under a directory, in the order of their hashes.
//!
//! The one idea is extendible hashing. The directory maps the leading bits of a hash to a segment; a full segment
//! splits alone, into two that share one bit less, so growing never rehashes more than one segment (some
//! microseconds) and never needs twice the memory. Because a segment is a range of hashes, the whole table has an
//! order that no split or merge changes: `scan` walks it, and its cursor is a place in that order. A key that is
//! present from the first call to the last is therefore returned exactly once, however the table changes.
//!
//! It knows nothing of expiry, eviction or values.

use super::record::Entry;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};
use std::mem::size_of;

/// Entries of a full segment, which then is a table of 256 buckets. A split hashes 192 keys anew, ten
/// microseconds; the segment's own 48 bytes are a third of a byte per key.
const SEGMENT_MAX: usize = 192;
/// What a half is made for: the most that 128 buckets hold. All but one half in a hundred fit, so a split takes no
/// more memory than it finds.
const HALF_CAPACITY: usize = 112;
/// Two neighbours merge when both together are this small: far enough from splitting not to flutter.
const MERGE_MAX: usize = SEGMENT_MAX / 2;
/// A segment's table is halved when it is filled to less than this part (in percent) of its capacity: the half is
/// then filled to 70 %, and some room is left before it has to double again. A full cache churns forever, and
/// tables that only ever grow would take the room of its keys.
const SHRINK_PERCENT: usize = 35;
/// Leading hash bits the directory may use. 2^24 segments hold some two billion keys.
const DEPTH_MAX: u32 = 24;
/// A cursor is the leading 48 bits of a hash, so that a proxy can put a node's number above it.
const CURSOR_BITS: u32 = 48;

/// Where an entry is, until the table changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    segment: u32,
    bucket: u32,
}

#[derive(Debug)]
struct Segment {
    entries: HashTable<Entry>,
    /// How many leading bits all hashes here share.
    depth: u32,
}

/// All entries, found by key or walked in the order of their hashes.
#[derive(Debug)]
pub(super) struct Table {
    directory: Vec<u32>,
    /// Leading bits that index the directory.
    depth: u32,
    segments: Vec<Segment>,
    vacant: Vec<u32>,
    len: usize,
    bytes: usize,
    hasher: foldhash::quality::RandomState,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            directory: vec![0],
            depth: 0,
            segments: vec![Segment { entries: HashTable::new(), depth: 0 }],
            vacant: Vec::new(),
            len: 0,
            bytes: 0,
            hasher: foldhash::quality::RandomState::default(),
        }
    }
}

impl Table {
    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of buckets, segments and directory.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes
            + self.segments.capacity() * size_of::<Segment>()
            + (self.directory.capacity() + self.vacant.capacity()) * size_of::<u32>()
    }

    /// The hash that orders the table; different in each process.
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        hash_with(&self.hasher, key)
    }

    /// Finds `key`, whose hash is `hash`.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        self.find_by(hash, |entry| entry.key() == key)
    }

    /// Finds an entry of this hash by a condition.
    pub(super) fn find_by(&self, hash: u64, wanted: impl FnMut(&Entry) -> bool) -> Option<Place> {
        let segment = self.segment_of(hash);
        let bucket = self.segments[segment as usize].entries.find_bucket_index(inner(hash), wanted)?;
        Some(Place { segment, bucket: bucket as u32 })
    }

    /// The entry at a place that was just found.
    pub(super) fn at(&self, place: Place) -> &Entry {
        self.get(place).expect("a place is used before the table changes")
    }

    /// The entry at a place that was just found, to change it.
    pub(super) fn at_mut(&mut self, place: Place) -> &mut Entry {
        self.segments[place.segment as usize]
            .entries
            .get_bucket_mut(place.bucket as usize)
            .expect("a place is used before the table changes")
    }

    /// Adds an entry whose key is not in the table yet.
    pub(super) fn insert(&mut self, hash: u64, entry: Entry) -> Place {
        let mut segment = self.segment_of(hash);
        while self.segments[segment as usize].entries.len() >= SEGMENT_MAX && self.split(segment) {
            segment = self.segment_of(hash);
        }
        self.len += 1;
        let Self { segments, hasher, bytes, .. } = self;
        let entries = &mut segments[segment as usize].entries;
        let before = entries.allocation_size();
        let inserted =
            entries.insert_unique(inner(hash), entry, |entry| inner(hash_with(hasher, entry.key())));
        let bucket = inserted.bucket_index() as u32;
        *bytes = *bytes + entries.allocation_size() - before;
        Place { segment, bucket }
    }

    /// Removes the entry at `place`.
    pub(super) fn remove(&mut self, place: Place) -> Entry {
        let entries = &mut self.segments[place.segment as usize].entries;
        let Ok(entry) = entries.get_bucket_entry(place.bucket as usize) else {
            panic!("a place is used before the table changes");
        };
        let (entry, _) = entry.remove();
        self.len -= 1;
        if self.len == 0 {
            self.reset();
        } else if entries.len() * 100 < entries.capacity() * SHRINK_PERCENT {
            self.shrink(place.segment);
            let hash = hash_with(&self.hasher, entry.key());
            while self.merge(hash) {}
        }
        entry
    }

    /// Gives back the directory and segments that an empty table has left of its former size: nothing else would,
    /// and they count as memory. The hasher stays, hashes that were taken before remain valid.
    fn reset(&mut self) {
        let hasher = self.hasher.clone();
        *self = Self { hasher, ..Self::default() };
    }

    /// Visits entries in hash order from cursor `from` (0 at first) until at least `want` were seen; returns the
    /// cursor to go on from, 0 at the end. Entries of one cursor position are never parted.
    pub(super) fn scan<'a>(&'a self, from: u64, want: usize, mut visit: impl FnMut(&'a Entry)) -> u64 {
        let mut from = from & ((1 << CURSOR_BITS) - 1);
        let mut seen = 0;
        // Empty segments count too: a call is bounded on a sparse table.
        let mut segments_left = want.saturating_mul(10);
        let mut here = Vec::new();
        loop {
            let segment = &self.segments[self.segment_of(from << (64 - CURSOR_BITS)) as usize];
            here.extend(segment.entries.iter().filter_map(|entry| {
                let position = self.hash(entry.key()) >> (64 - CURSOR_BITS);
                (position >= from).then_some((position, entry))
            }));
            here.sort_unstable_by_key(|(position, _)| *position);
            let mut last = None;
            for (position, entry) in here.drain(..) {
                if seen >= want && last != Some(position) {
                    return position;
                }
                visit(entry);
                seen += 1;
                last = Some(position);
            }
            let width = CURSOR_BITS - segment.depth;
            from = ((from >> width) + 1) << width;
            segments_left -= 1;
            if from >> CURSOR_BITS != 0 {
                return 0;
            }
            if seen >= want || segments_left == 0 {
                return from;
            }
        }
    }

    /// Up to `want` entries that lie together at a place named by two random numbers.
    pub(super) fn sample(
        &self,
        hash: u64,
        start: usize,
        want: usize,
    ) -> impl Iterator<Item = (Place, &Entry)> {
        let first = self.segment_of(hash);
        let count = self.segments.len() as u32;
        let segment = (0..count)
            .map(|step| (first + step) % count)
            .find(|segment| !self.segments[*segment as usize].entries.is_empty());
        segment
            .into_iter()
            .flat_map(move |segment| {
                let entries = &self.segments[segment as usize].entries;
                let buckets = entries.num_buckets();
                (0..buckets).map(move |step| (start + step) % buckets).filter_map(move |bucket| {
                    Some((Place { segment, bucket: bucket as u32 }, entries.get_bucket(bucket)?))
                })
            })
            .take(want)
    }

    /// Takes out all entries of one segment, for a caller that frees a table bit by bit; `None` at the end.
    pub(super) fn dismantle(&mut self) -> Option<impl Iterator<Item = Entry> + use<>> {
        let Segment { entries, .. } = self.segments.pop()?;
        self.len -= entries.len();
        self.bytes -= entries.allocation_size();
        Some(entries.into_iter())
    }

    fn get(&self, place: Place) -> Option<&Entry> {
        self.segments.get(place.segment as usize)?.entries.get_bucket(place.bucket as usize)
    }

    fn segment_of(&self, hash: u64) -> u32 {
        self.directory[leading(hash, self.depth)]
    }

    /// Parts a segment by its next hash bit; false when the directory may not grow any further.
    fn split(&mut self, segment: u32) -> bool {
        let depth = self.segments[segment as usize].depth + 1;
        if depth > DEPTH_MAX {
            return false;
        }
        if depth > self.depth {
            self.directory = self.directory.iter().flat_map(|segment| [*segment, *segment]).collect();
            self.depth = depth;
        }
        let old = std::mem::take(&mut self.segments[segment as usize].entries);
        self.bytes -= old.allocation_size();
        let mut halves = [(); 2].map(|()| HashTable::with_capacity(HALF_CAPACITY));
        let mut some_hash = 0;
        for entry in old {
            let hash = hash_with(&self.hasher, entry.key());
            some_hash = hash;
            let half = &mut halves[leading(hash, depth) & 1];
            half.insert_unique(inner(hash), entry, |entry| inner(hash_with(&self.hasher, entry.key())));
        }
        let [low, high] = halves;
        self.bytes += low.allocation_size() + high.allocation_size();
        self.segments[segment as usize] = Segment { entries: low, depth };
        let other = self.new_segment(Segment { entries: high, depth });
        let prefix = leading(some_hash, depth) | 1;
        self.point(prefix, depth, other);
        true
    }

    /// Halves the table of a segment.
    fn shrink(&mut self, segment: u32) {
        let Self { segments, hasher, bytes, .. } = self;
        let entries = &mut segments[segment as usize].entries;
        *bytes -= entries.allocation_size();
        entries.shrink_to(entries.capacity() / 2, |entry| inner(hash_with(hasher, entry.key())));
        *bytes += entries.allocation_size();
    }

    /// Joins the segment of `hash` with its buddy when both are small, and says whether it did; undoes a split.
    fn merge(&mut self, hash: u64) -> bool {
        let segment = self.segment_of(hash);
        let depth = self.segments[segment as usize].depth;
        if depth == 0 {
            return false;
        }
        let prefix = leading(hash, depth);
        let buddy = self.directory[(prefix ^ 1) << (self.depth - depth)];
        let [one, other] = [segment, buddy].map(|s| &self.segments[s as usize]);
        if other.depth != depth || one.entries.len() + other.entries.len() > MERGE_MAX {
            return false;
        }
        let moved = std::mem::take(&mut self.segments[buddy as usize].entries);
        self.bytes -= moved.allocation_size();
        let Self { segments, hasher, bytes, .. } = self;
        let kept = &mut segments[segment as usize];
        kept.depth = depth - 1;
        let rehash = |entry: &Entry| inner(hash_with(hasher, entry.key()));
        *bytes -= kept.entries.allocation_size();
        for entry in moved {
            kept.entries.insert_unique(rehash(&entry), entry, rehash);
        }
        *bytes += kept.entries.allocation_size();
        self.vacant.push(buddy);
        self.point(prefix >> 1, depth - 1, segment);
        true
    }

    fn new_segment(&mut self, segment: Segment) -> u32 {
        if let Some(vacant) = self.vacant.pop() {
            self.segments[vacant as usize] = segment;
            return vacant;
        }
        self.segments.push(segment);
        (self.segments.len() - 1) as u32
    }

    /// Lets all directory slots under `prefix` (of `depth` bits) name `segment`.
    fn point(&mut self, prefix: usize, depth: u32, segment: u32) {
        let width = self.depth - depth;
        self.directory[prefix << width..(prefix + 1) << width].fill(segment);
    }
}

fn hash_with(hasher: &foldhash::quality::RandomState, key: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(key);
    hasher.finish()
}

/// The `depth` leading bits of a hash.
fn leading(hash: u64, depth: u32) -> usize {
    // A shift by 64 would overflow: 0 bits are 0.
    hash.checked_shr(64 - depth).unwrap_or(0) as usize
}

/// The hash a segment's own table works with. Its tags are leading bits too, and those are the same for all
/// entries of a segment: rotate others to the front.
fn inner(hash: u64) -> u64 {
    hash.rotate_left(DEPTH_MAX + 16)
}

#[cfg(test)]
mod tests;
