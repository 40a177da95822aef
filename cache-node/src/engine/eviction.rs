//! Which key goes when memory is short: Redis' sampled policies.
//!
//! The LRU policies look at a few random keys per eviction and keep the sixteen longest unused ones in a pool, as
//! Redis does: the pool makes five samples nearly as good as a true LRU list, without a list. A pool entry is a
//! hash and an access time, not a copy of the key. When no entry of that hash has that access time any more, the
//! key was used or is gone, and the candidate is skipped.

use super::expiry::{Expiry, second};
use super::idle_ticks;
use super::random::Random;
use super::record::Entry;
use super::table::{Place, Table};
use std::fmt;

/// Redis' pool size.
const POOL_MAX: usize = 16;
/// Places that are searched for a key with a deadline before the schedule is asked for one.
const VOLATILE_TRIES: usize = 8;
/// Neighbours that are looked at in each place. Together with the tries a key is found wherever one in sixty has
/// a deadline. Where fewer have, the schedule answers, which favours keys whose deadline is far from all others.
const VOLATILE_NEIGHBOURS: usize = 32;

/// Where in a segment a sample may start; a start beyond its end wraps around.
const SEGMENT_BUCKETS: usize = 256;

/// What may be evicted, and in which order (`maxmemory-policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: writes fail.
    NoEviction,
    /// Any key, longest unused first.
    AllKeysLru,
    /// Keys with a deadline, longest unused first.
    VolatileLru,
    /// Any key at random.
    AllKeysRandom,
    /// Keys with a deadline at random.
    VolatileRandom,
    /// Keys with a deadline, nearest first.
    VolatileTtl,
}

impl Policy {
    /// Redis' names.
    pub const NAMES: &[&str] =
        &["noeviction", "allkeys-lru", "volatile-lru", "allkeys-random", "volatile-random", "volatile-ttl"];
    const ALL: [Self; 6] = [
        Self::NoEviction,
        Self::AllKeysLru,
        Self::VolatileLru,
        Self::AllKeysRandom,
        Self::VolatileRandom,
        Self::VolatileTtl,
    ];

    /// The policy of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let at = Self::NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        Some(Self::ALL[at])
    }

    /// Redis' name.
    pub fn name(self) -> &'static str {
        Self::NAMES[Self::ALL.iter().position(|policy| *policy == self).unwrap_or(0)]
    }

    /// True when access times decide.
    pub fn is_lru(self) -> bool {
        matches!(self, Self::AllKeysLru | Self::VolatileLru)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A key that was long unused when it was sampled.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    idle: u32,
    accessed: u32,
    hash: u64,
}

/// Chooses keys to evict.
#[derive(Debug)]
pub(super) struct Evictor {
    random: Random,
    pool: Vec<Candidate>,
}

impl Evictor {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), pool: Vec::new() }
    }

    /// Some entry, if there is any.
    pub(super) fn any(&mut self, table: &Table) -> Option<Place> {
        let (hash, start) = (self.random.next(), self.random.below(SEGMENT_BUCKETS));
        table.sample(hash, start, 1).next().map(|(place, _)| place)
    }

    /// The next entry to go under `policy`; `clock` is the access clock.
    pub(super) fn victim(
        &mut self,
        policy: Policy,
        samples: usize,
        clock: u32,
        table: &Table,
        expiry: &Expiry,
    ) -> Option<Place> {
        match policy {
            Policy::NoEviction => None,
            Policy::AllKeysRandom => self.any(table),
            Policy::VolatileRandom => self.volatile(table, expiry),
            Policy::VolatileTtl => expiry.nearest().and_then(|due| scheduled(table, due)),
            Policy::AllKeysLru | Policy::VolatileLru => {
                self.longest_unused(policy == Policy::VolatileLru, samples, clock, table, expiry)
            }
        }
    }

    fn longest_unused(
        &mut self,
        volatile: bool,
        samples: usize,
        clock: u32,
        table: &Table,
        expiry: &Expiry,
    ) -> Option<Place> {
        // A pool full of stale candidates is emptied within one round, and the next one fills it anew.
        for _ in 0..2 {
            for _ in 0..samples {
                let place = if volatile { self.volatile(table, expiry) } else { self.any(table) };
                self.consider(table.at(place?), clock, table);
            }
            while let Some(candidate) = self.pool.pop() {
                let place = table.find_by(candidate.hash, |entry| {
                    entry.accessed() == candidate.accessed && (!volatile || entry.deadline().is_some())
                });
                if place.is_some() {
                    return place;
                }
            }
        }
        if volatile { self.volatile(table, expiry) } else { self.any(table) }
    }

    /// Puts a sampled entry into the pool if it was unused for longer than one that is there. Longest idle last.
    fn consider(&mut self, entry: &Entry, clock: u32, table: &Table) {
        let idle = idle_ticks(entry.accessed(), clock);
        let at = self.pool.partition_point(|other| other.idle < idle);
        let full = self.pool.len() >= POOL_MAX;
        if full && at == 0 {
            return;
        }
        let candidate = Candidate { idle, accessed: entry.accessed(), hash: table.hash(entry.key()) };
        if self.pool.iter().any(|other| other.hash == candidate.hash) {
            return;
        }
        if full {
            self.pool.remove(0);
            self.pool.insert(at - 1, candidate);
        } else {
            self.pool.insert(at, candidate);
        }
    }

    /// Some entry with a deadline.
    fn volatile(&mut self, table: &Table, expiry: &Expiry) -> Option<Place> {
        if expiry.len() == 0 {
            return None;
        }
        for _ in 0..VOLATILE_TRIES {
            let (hash, start) = (self.random.next(), self.random.below(SEGMENT_BUCKETS));
            let mut neighbours = table.sample(hash, start, VOLATILE_NEIGHBOURS);
            if let Some((place, _)) = neighbours.find(|(_, entry)| entry.deadline().is_some()) {
                return Some(place);
            }
        }
        let due = expiry.sample(self.random.next(), self.random.next())?;
        scheduled(table, due)
    }
}

/// The entry behind a place in the schedule.
pub(super) fn scheduled(table: &Table, (at, hash): (u64, u64)) -> Option<Place> {
    table.find_by(hash, |entry| {
        entry.deadline().is_some_and(|deadline| second(deadline) == at) && table.hash(entry.key()) == hash
    })
}

#[cfg(test)]
mod tests {
    use super::Policy;

    #[test]
    fn policies_are_found_by_their_names() {
        for name in Policy::NAMES {
            assert_eq!(Policy::named(name).map(Policy::name), Some(*name));
        }
        assert_eq!(Policy::named("ALLKEYS-LRU"), Some(Policy::AllKeysLru));
        assert_eq!(Policy::named("allkeys-lfu"), None);
    }
}
