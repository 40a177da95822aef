//! The sorted set: members ordered by score, then by their bytes.
//!
//! Small sets are one packed byte string, large ones a slab with a hash index and a counted tree. Both answer the
//! same questions by rank: whatever a command asks for (scores, lexical bounds, positions) becomes an interval of
//! ranks first, and then is counted, read or removed. Scores are never NaN; the commands see to that.

mod packed;
mod ranked;
mod sequence;

use crate::memory::heap_size;
use packed::Packed;
use ranked::Ranked;
use std::cmp::Ordering;
use std::ops::Range;

/// When a set stops being packed (`zset-max-listpack-entries`, `zset-max-listpack-value`).
#[derive(Debug, Clone, Copy)]
pub struct PackedLimits {
    /// Most items of a packed set.
    pub entries: usize,
    /// Longest member of a packed set, in bytes.
    pub member: usize,
}

impl Default for PackedLimits {
    /// Redis' own defaults.
    fn default() -> Self {
        Self { entries: 128, member: 64 }
    }
}

/// A sorted set.
#[derive(Debug)]
pub struct SortedSet {
    form: Form,
}

#[derive(Debug)]
enum Form {
    Packed(Packed),
    Ranked(Box<Ranked>),
}

impl SortedSet {
    /// An empty set, packed unless the limits forbid packing.
    pub fn new(limits: PackedLimits) -> Self {
        let form = match limits.entries {
            0 => Form::Ranked(Box::default()),
            _ => Form::Packed(Packed::default()),
        };
        Self { form }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Packed(set) => set.len(),
            Form::Ranked(set) => set.len(),
        }
    }

    /// True without members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        match &self.form {
            Form::Packed(_) => "listpack",
            Form::Ranked(_) => "skiplist",
        }
    }

    /// Bytes on the heap, allocator overhead included.
    pub fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Packed(set) => heap_size(set.capacity()),
            Form::Ranked(set) => heap_size(size_of::<Ranked>()) + set.heap_bytes(),
        }
    }

    /// Score of `member`.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.form {
            Form::Packed(set) => set.find(member).map(|(_, _, score)| score),
            Form::Ranked(set) => set.score(member),
        }
    }

    /// Rank (0 is the lowest score) and score of `member`.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match &self.form {
            Form::Packed(set) => set.find(member).map(|(rank, _, score)| (rank, score)),
            Form::Ranked(set) => set.rank(member),
        }
    }

    /// How many leading members satisfy `before`, which must hold for a prefix and for nothing after it.
    pub fn rank_where(&self, mut before: impl FnMut(f64, &[u8]) -> bool) -> usize {
        match &self.form {
            Form::Packed(set) => set.iter().take_while(|(member, score)| before(*score, member)).count(),
            Form::Ranked(set) => set.rank_where(before),
        }
    }

    /// Adds `member` or moves it to `score`; returns its former score.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: PackedLimits) -> Option<f64> {
        let packed = match &mut self.form {
            Form::Ranked(set) => return set.insert(member, score),
            Form::Packed(set) => set,
        };
        let former = packed.remove(member);
        if packed.len() < limits.entries && member.len() <= limits.member.min(packed::MEMBER_MAX) {
            packed.insert(member, score);
        } else {
            let mut ranked = Box::<Ranked>::default();
            for (member, score) in packed.iter().chain([(member, score)]) {
                ranked.insert(member, score);
            }
            self.form = Form::Ranked(ranked);
        }
        former
    }

    /// Removes `member`; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.form {
            Form::Packed(set) => set.remove(member),
            Form::Ranked(set) => set.remove(member),
        }
    }

    /// Removes the members at `ranks`, which must lie within the set.
    pub fn remove_range(&mut self, ranks: Range<usize>) {
        match &mut self.form {
            Form::Packed(set) => set.remove_range(ranks),
            Form::Ranked(set) => set.remove_range(ranks),
        }
    }

    /// Members and scores at `ranks`, lowest first; can be walked from either end.
    pub fn range(&self, ranks: Range<usize>) -> Members<'_> {
        match &self.form {
            Form::Packed(set) => {
                let wanted: Vec<_> = set.iter().skip(ranks.start).take(ranks.len()).collect();
                Members(Source::Packed(wanted.into_iter()))
            }
            Form::Ranked(set) => Members(Source::Ranked(set.range(ranks))),
        }
    }

    /// Visits members from `cursor` on, about `want` of them; returns the next cursor, 0 at the end. A member that
    /// is there from the first call to the last is visited. A packed set is visited in one go.
    pub fn scan<'a>(&'a self, cursor: u64, want: usize, mut visit: impl FnMut(&'a [u8], f64)) -> u64 {
        match &self.form {
            Form::Packed(set) => {
                set.iter().for_each(|(member, score)| visit(member, score));
                0
            }
            Form::Ranked(set) => set.scan(cursor, want, visit),
        }
    }

    /// True while all members are in one allocation: dropping such a set costs the same whatever its length.
    pub fn is_packed(&self) -> bool {
        matches!(self.form, Form::Packed(_))
    }

    /// Frees up to `budget` members of a set that nobody will read again; returns how many. With fewer than
    /// `budget`, dropping the rest is cheap.
    pub fn shed(&mut self, budget: usize) -> usize {
        match &mut self.form {
            Form::Packed(_) => 0,
            Form::Ranked(set) => set.shed(budget),
        }
    }
}

/// Members and scores in rank order, from either end.
#[derive(Debug)]
pub struct Members<'a>(Source<'a>);

#[derive(Debug)]
enum Source<'a> {
    Packed(std::vec::IntoIter<(&'a [u8], f64)>),
    Ranked(ranked::Members<'a>),
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Packed(items) => items.next(),
            Source::Ranked(items) => items.next(),
        }
    }
}

impl DoubleEndedIterator for Members<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Packed(items) => items.next_back(),
            Source::Ranked(items) => items.next_back(),
        }
    }
}

/// The order of a sorted set: by score, then by bytes. Scores are never NaN.
fn compare(left: (f64, &[u8]), right: (f64, &[u8])) -> Ordering {
    left.0.partial_cmp(&right.0).unwrap_or(Ordering::Equal).then_with(|| left.1.cmp(right.1))
}

#[cfg(test)]
mod tests {
    use super::{PackedLimits, SortedSet, compare};
    use proptest::prelude::*;

    /// The sorted set a child would write: a vector, sorted after each change.
    #[derive(Default)]
    struct Model(Vec<(Vec<u8>, f64)>);

    impl Model {
        fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
            let former = self.remove(member);
            self.0.push((member.to_vec(), score));
            self.0.sort_by(|a, b| compare((a.1, &a.0), (b.1, &b.0)));
            former
        }

        fn remove(&mut self, member: &[u8]) -> Option<f64> {
            let at = self.0.iter().position(|(text, _)| text == member)?;
            Some(self.0.remove(at).1)
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u16, i8),
        Remove(u16),
        RemoveRange(prop::sample::Index, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0u16..400, any::<i8>()).prop_map(|(member, score)| Step::Insert(member, score)),
            3 => (0u16..400).prop_map(Step::Remove),
            1 => (any::<prop::sample::Index>(), 0usize..40).prop_map(|(at, n)| Step::RemoveRange(at, n)),
        ]
    }

    fn name(member: u16) -> Vec<u8> {
        format!("member:{member}").into_bytes()
    }

    fn check_equal(set: &SortedSet, model: &Model) -> Result<(), TestCaseError> {
        prop_assert_eq!(set.len(), model.0.len());
        let all: Vec<_> = set.range(0..set.len()).map(|(text, score)| (text.to_vec(), score)).collect();
        prop_assert_eq!(&all, &model.0);
        for (rank, (text, score)) in model.0.iter().enumerate() {
            prop_assert_eq!(set.rank(text), Some((rank, *score)));
            prop_assert_eq!(set.score(text), Some(*score));
        }
        for bound in [-128.0, -1.0, 0.0, 0.5, 127.0] {
            let expected = model.0.iter().filter(|(_, score)| *score < bound).count();
            prop_assert_eq!(set.rank_where(|score, _| score < bound), expected);
        }
        Ok(())
    }

    fn run(entries: usize, steps: Vec<Step>) -> Result<(), TestCaseError> {
        let limits = PackedLimits { entries, member: 64 };
        let (mut set, mut model) = (SortedSet::new(limits), Model::default());
        for step in steps {
            match step {
                Step::Insert(member, score) => {
                    let member = name(member);
                    let score = f64::from(score);
                    prop_assert_eq!(set.insert(&member, score, limits), model.insert(&member, score));
                }
                Step::Remove(member) => {
                    let member = name(member);
                    prop_assert_eq!(set.remove(&member), model.remove(&member));
                }
                Step::RemoveRange(at, n) => {
                    let start = at.index(model.0.len() + 1);
                    let end = (start + n).min(model.0.len());
                    set.remove_range(start..end);
                    model.0.drain(start..end);
                }
            }
        }
        check_equal(&set, &model)
    }

    proptest! {
        #[test]
        fn packed_set_behaves_like_the_model(steps in prop::collection::vec(step(), 0..120)) {
            run(128, steps)?;
        }

        #[test]
        fn ranked_set_behaves_like_the_model(steps in prop::collection::vec(step(), 0..800)) {
            run(0, steps)?;
        }

        #[test]
        fn unpacking_keeps_every_member(steps in prop::collection::vec(step(), 0..400)) {
            run(16, steps)?;
        }
    }

    #[test]
    fn a_scan_misses_no_lasting_member_while_others_come_and_go() {
        let limits = PackedLimits::default();
        let mut set = SortedSet::new(limits);
        let name = |i: u32| format!("{i}").into_bytes();
        for i in 0..5_000 {
            set.insert(&name(i), f64::from(i), limits);
        }
        // Every fifth member stays; the others go in an order that has nothing to do with their places.
        let mut going = (0..5_000u32).map(|i| i * 3_571 % 5_000).filter(|i| i % 5 != 0);
        let mut seen = std::collections::BTreeSet::new();
        let (mut cursor, mut calls) = (0, 0);
        loop {
            cursor = set.scan(cursor, 37, |member, _| {
                seen.insert(member.to_vec());
            });
            if cursor == 0 {
                break;
            }
            calls += 1;
            for i in going.by_ref().take(60) {
                assert!(set.remove(&name(i)).is_some());
            }
            for i in 0..11 {
                set.insert(format!("new {calls} {i}").as_bytes(), f64::from(i), limits);
            }
        }
        assert!(calls > 40, "{calls} calls");
        assert!((0..5_000).step_by(5).all(|i| seen.contains(&name(i))));
    }

    #[test]
    fn encoding_follows_the_limits() {
        let limits = PackedLimits { entries: 2, member: 4 };
        let mut set = SortedSet::new(limits);
        set.insert(b"a", 1.0, limits);
        set.insert(b"b", 1.0, limits);
        assert_eq!(set.encoding(), "listpack");
        set.insert(b"c", 1.0, limits);
        assert_eq!(set.encoding(), "skiplist");
        let mut long = SortedSet::new(limits);
        long.insert(b"abcde", 1.0, limits);
        assert_eq!((long.encoding(), long.len()), ("skiplist", 1));
    }

    #[test]
    fn removing_most_members_gives_their_memory_back() {
        let limits = PackedLimits::default();
        let mut set = SortedSet::new(limits);
        for i in 0..20_000u32 {
            set.insert(&i.to_be_bytes(), f64::from(i), limits);
        }
        let full = set.heap_bytes();
        set.remove_range(10..20_000);
        assert!(set.heap_bytes() < full / 20, "{} of {full}", set.heap_bytes());
        assert_eq!(set.rank(&9u32.to_be_bytes()), Some((9, 9.0)));
    }
}
