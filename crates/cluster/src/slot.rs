//! Where a key lives: its slot.
//!
//! `slot = xxh3_64(key or {tag}) >> (64 - bits)`. The slot depends on the key's bytes and the number
//! of slots only, so no failure, join or restart ever changes it. Redis' hash-tag rule applies: when
//! a key holds `{...}` with at least one byte between the first `{` and the next `}`, only those
//! bytes are hashed, so `{user1}.name` and `{user1}.mail` live together.
//!
//! Who owns a slot is [`crate::Ring`]'s business; who serves it now is [`crate::Routing`]'s.

use xxhash_rust::xxh3::xxh3_64;

/// Fewest slots a cluster may have.
pub const MIN_SLOTS: u32 = 1 << 10;
/// Most slots a cluster may have: enough for thousands of nodes (5 000 nodes: 210 slots each), and
/// the routing table still is 2 MB.
pub const MAX_SLOTS: u32 = 1 << 20;
/// Slots when nothing else is said: 1 310 per node at 50 nodes, and a 128 KiB routing table that
/// stays in the L2 cache.
pub const DEFAULT_SLOTS: u32 = 1 << 16;

/// One of the cluster's slots: `0 .. slots`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// As an index into a table of all slots.
    #[must_use]
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

/// How many slots the cluster has: a power of two from [`MIN_SLOTS`] to [`MAX_SLOTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotCount {
    shift: u32,
}

impl SlotCount {
    /// `None` unless `slots` is a power of two in the allowed range.
    #[must_use]
    pub fn new(slots: u32) -> Option<Self> {
        let allowed = slots.is_power_of_two() && (MIN_SLOTS..=MAX_SLOTS).contains(&slots);
        allowed.then(|| Self { shift: 64 - slots.trailing_zeros() })
    }

    /// The number of slots.
    #[must_use]
    pub fn get(self) -> u32 {
        1 << (64 - self.shift)
    }

    /// All slots in order.
    pub fn slots(self) -> impl ExactSizeIterator<Item = Slot> {
        (0..self.get()).map(Slot)
    }

    /// The slot of a key, honouring `{tag}`.
    #[inline]
    #[must_use]
    pub fn slot(self, key: &[u8]) -> Slot {
        // Lossless: the shift leaves at most 20 bits.
        Slot((xxh3_64(hash_tag(key)) >> self.shift) as u32)
    }
}

/// The part of a key that decides its slot: what stands between the first `{` and the next `}`, or
/// the whole key when there is no such pair or nothing in it.
#[inline]
#[must_use]
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&b| b == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&b| b == b'}') {
        None | Some(0) => key,
        Some(close) => &rest[..close],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_follow_redis() {
        let check = |key: &str, tag: &str| assert_eq!(hash_tag(key.as_bytes()), tag.as_bytes(), "{key}");
        check("user", "user");
        check("", "");
        check("{user}.name", "user");
        check("a{user}b{other}", "user");
        check("foo{}{bar}", "foo{}{bar}");
        check("foo{{bar}}zap", "{bar");
        check("foo{bar", "foo{bar");
        check("foo}bar{", "foo}bar{");
        check("}{a}", "a");
    }

    #[test]
    fn counts_are_powers_of_two_in_range() {
        for bits in 0..32 {
            let accepted = SlotCount::new(1 << bits).map(SlotCount::get);
            assert_eq!(accepted, (10..=20).contains(&bits).then_some(1 << bits));
        }
        assert_eq!(SlotCount::new(0), None);
        assert_eq!(SlotCount::new(65_535), None);
    }

    #[test]
    fn more_slots_only_split_slots() {
        let (few, many) = (SlotCount::new(1 << 10).unwrap(), SlotCount::new(1 << 20).unwrap());
        for i in 0..1_000 {
            let key = format!("key:{i}");
            assert_eq!(many.slot(key.as_bytes()).0 >> 10, few.slot(key.as_bytes()).0);
        }
    }

    #[test]
    fn slots_are_in_range_and_used_evenly() {
        let count = SlotCount::new(MIN_SLOTS).unwrap();
        let mut keys_of = vec![0_u32; MIN_SLOTS as usize];
        for i in 0..102_400_u32 {
            keys_of[count.slot(&i.to_le_bytes()).get()] += 1;
        }
        // 100 keys expected in each slot; 10 standard deviations either side.
        assert!(keys_of.iter().all(|&n| n > 0 && n < 200), "{keys_of:?}");
    }
}
