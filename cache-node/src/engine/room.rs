//! Keeping memory within its limit: how much a command evicts, and how much of what was removed may wait.
//!
//! No command pays for more than its share: what is left to do is done by the commands after it and in idle
//! moments. Which key goes is decided by `eviction`.

use super::{Engine, Limits, Policy, access_clock};
use crate::types::sorted_set::SortedSet;

/// Keys one command may evict: a few milliseconds of work. What is left is evicted by the commands after it and
/// in idle moments.
pub(super) const EVICTIONS_PER_COMMAND: usize = 1_000;
/// Past the limit by this part of it, writes are refused until eviction has caught up: an exceeded bound would end
/// with the process killed.
const OVERSHOOT: u64 = 16;
/// Removed things may wait to be freed up to this part of the limit; beyond it commands help freeing them.
const REMAINS_PART: u64 = 16;
/// The same without a limit.
const REMAINS_MAX: u64 = 64 * 1024 * 1024;
/// Items a command frees when too many wait: some hundred microseconds, and more than a usual command removes.
const RECLAIMED_PER_COMMAND: usize = 1_000;
/// Items that are freed at most when a large set joins too many that wait: some ten milliseconds.
const RECLAIMED_PER_SET: usize = 100_000;

/// Whether memory suffices for another write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Within the limit, or close enough and being worked on.
    Enough,
    /// Over the limit, and nothing may be evicted, or far over it and eviction is still under way.
    Exhausted,
}

impl Engine {
    /// True while more memory is used than allowed and something may be done about it.
    pub fn must_evict(&self) -> bool {
        let Limits { maxmemory, policy, .. } = self.limits;
        let candidates = match policy {
            Policy::NoEviction => 0,
            Policy::AllKeysLru | Policy::AllKeysRandom => self.table.len(),
            Policy::VolatileLru | Policy::VolatileRandom | Policy::VolatileTtl => self.expiry.len(),
        };
        maxmemory > 0 && candidates > 0 && self.used_memory() > maxmemory
    }

    /// Evicts what a write needs to go ahead, with bounded work.
    pub fn make_room(&mut self, now: u64) -> Room {
        let limit = self.limits.maxmemory;
        if limit == 0 {
            return Room::Enough;
        }
        let mut work = 0;
        while self.used_memory() > limit && work < EVICTIONS_PER_COMMAND {
            let Some(freed) = self.evict_one(now) else { return Room::Exhausted };
            work += 1 + freed;
        }
        if self.used_memory() > limit.saturating_add(limit / OVERSHOOT) {
            return Room::Exhausted;
        }
        Room::Enough
    }

    /// Evicts a key if any may go; returns how many items had to be freed for it at once.
    fn evict_one(&mut self, now: u64) -> Option<usize> {
        let Limits { policy, samples, .. } = self.limits;
        let victim = self.evictor.victim(policy, samples, access_clock(now), &self.table, &self.expiry);
        let freed = self.take(victim?);
        self.counters.evicted += 1;
        Some(freed)
    }

    /// Frees some of what was removed earlier if too much of it has gathered: each command does, so that a flood
    /// of removals cannot outrun the idle moments.
    pub fn reclaim(&mut self) {
        if self.is_crowded() {
            self.remains.free(RECLAIMED_PER_COMMAND);
        }
    }

    fn is_crowded(&self) -> bool {
        let most = match self.limits.maxmemory {
            0 => REMAINS_MAX,
            limit => limit / REMAINS_PART,
        };
        self.remains.bytes() as u64 > most
    }

    /// Leaves a set for later. When too much waits already, twice its length is freed at once: so what waits
    /// shrinks, however fast sets are made and removed.
    pub(super) fn discard(&mut self, set: SortedSet) -> usize {
        let owed = if self.is_crowded() { (2 * set.len()).min(RECLAIMED_PER_SET) } else { 0 };
        self.remains.set(set);
        self.remains.free(owed);
        owed
    }
}
