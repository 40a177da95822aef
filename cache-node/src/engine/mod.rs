//! The keyspace: keys and values, their deadlines and the memory they may take. Pure: no IO, no clock.
//!
//! Commands ask for a key with the time of their batch (`now`, Unix milliseconds) and never see an expired one.
//! Every change passes through here, so `used_memory` is kept exactly, by the difference each change makes. The
//! engine knows nothing of clients, replies or commands.

mod eviction;
mod expiry;
mod random;
mod record;
mod remains;
mod room;
mod table;
#[cfg(test)]
mod tests;
mod watched;

pub use eviction::Policy;
pub(crate) use random::Random;
pub use record::{Entry, Text, Value};
pub use room::Room;
pub use watched::Watch;

use crate::types::sorted_set::{PackedLimits, SortedSet};
use eviction::{Evictor, scheduled};
use expiry::Expiry;
use remains::Remains;
use table::{Place, Table};
use watched::Watched;

/// How much memory there is and who has to go.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of data; 0 is no limit.
    pub maxmemory: u64,
    /// What is evicted at the limit.
    pub policy: Policy,
    /// Keys looked at per eviction.
    pub samples: usize,
    /// When sorted sets stop being packed.
    pub packed: PackedLimits,
}

/// Counters since the start, or since CONFIG RESETSTAT.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counters {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys removed because their time had come.
    pub expired: u64,
    /// Keys removed for want of memory.
    pub evicted: u64,
}

/// The value is not of the type the operation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongType;

/// A key that was looked up; valid until the keyspace changes.
#[derive(Debug, Clone, Copy)]
pub struct Found(Place);

/// All keys of the node.
#[derive(Debug)]
pub struct Engine {
    table: Table,
    expiry: Expiry,
    remains: Remains,
    evictor: Evictor,
    watched: Watched,
    /// Bytes of all entries outside the table.
    entry_bytes: usize,
    /// Limits; CONFIG SET changes them.
    pub limits: Limits,
    /// Counters; CONFIG RESETSTAT clears them.
    pub counters: Counters,
}

/// The clock of access times: 64 ms per tick, so that 32 bits last for eight years.
pub fn access_clock(now: u64) -> u32 {
    (now >> 6) as u32
}

/// Milliseconds between an access time and `now`.
pub fn idle_ms(accessed: u32, now: u64) -> u64 {
    u64::from(idle_ticks(accessed, access_clock(now))) << 6
}

/// Ticks between an access time and `clock`. An access in the future, as after the clock was set back, is one just
/// now: the difference is signed, which leaves four years of idleness.
fn idle_ticks(accessed: u32, clock: u32) -> u32 {
    clock.wrapping_sub(accessed).cast_signed().max(0).cast_unsigned()
}

impl Engine {
    /// An empty keyspace; `seed` decides what sampling finds.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self {
            table: Table::default(),
            expiry: Expiry::default(),
            remains: Remains::default(),
            evictor: Evictor::new(seed),
            watched: Watched::default(),
            entry_bytes: 0,
            limits,
            counters: Counters::default(),
        }
    }

    /// Number of keys; expired ones that were not met yet count.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True without keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of keys with a deadline.
    pub fn volatile_len(&self) -> usize {
        self.expiry.len()
    }

    /// Bytes of all data: entries, table and schedule.
    pub fn used_memory(&self) -> u64 {
        (self.entry_bytes + self.table.heap_bytes() + self.expiry.heap_bytes()) as u64
    }

    /// Looks a key up without leaving a trace. An expired key is removed.
    pub fn find(&mut self, key: &[u8], now: u64) -> Option<Found> {
        let place = self.table.find(self.table.hash(key), key)?;
        if self.table.at(place).is_expired(now) {
            self.take(place);
            self.counters.expired += 1;
            return None;
        }
        Some(Found(place))
    }

    /// Looks a key up to read it: counts the hit or miss and, unless `quiet`, notes the access.
    pub fn read(&mut self, key: &[u8], now: u64, quiet: bool) -> Option<&Entry> {
        let Some(Found(place)) = self.find(key, now) else {
            self.counters.misses += 1;
            return None;
        };
        self.counters.hits += 1;
        let entry = self.table.at_mut(place);
        if !quiet {
            entry.touch(access_clock(now));
        }
        Some(entry)
    }

    /// The entry that was found.
    pub fn entry(&self, found: Found) -> &Entry {
        self.table.at(found.0)
    }

    /// Notes an access.
    pub fn touch(&mut self, found: Found, now: u64) {
        self.table.at_mut(found.0).touch(access_clock(now));
    }

    /// Sets a string, whatever was there, and its deadline.
    pub fn set(&mut self, key: &[u8], value: Text<'_>, deadline: Option<u64>, now: u64) {
        if !self.watched.is_empty() {
            self.watched.raise(key);
        }
        let hash = self.table.hash(key);
        let place = match self.table.find(hash, key) {
            Some(place) => {
                self.replace(place, value);
                self.table.at_mut(place).touch(access_clock(now));
                place
            }
            None => {
                let entry = Entry::text(key, value, access_clock(now));
                self.entry_bytes += entry.heap_bytes();
                self.table.insert(hash, entry)
            }
        };
        self.arm(place, hash, deadline);
    }

    /// Replaces the value that was found by a string; the deadline stays.
    pub fn set_value(&mut self, found: Found, value: Text<'_>) {
        self.note_change(found.0);
        self.replace(found.0, value);
    }

    /// Writes `bytes` into the string that was found, from `offset` on; zeros fill a gap.
    pub fn overwrite(&mut self, found: Found, offset: usize, bytes: &[u8]) {
        self.note_change(found.0);
        self.edit(found.0, |entry| entry.overwrite(offset, bytes));
    }

    /// Gives the key that was found a deadline, or takes it away.
    pub fn set_deadline(&mut self, found: Found, deadline: Option<u64>) {
        let entry = self.table.at(found.0);
        let hash = self.table.hash(entry.key());
        if deadline.is_some() || entry.deadline().is_some() {
            self.note_change(found.0);
        }
        self.arm(found.0, hash, deadline);
    }

    /// Removes the key that was found.
    pub fn remove(&mut self, found: Found) {
        self.take(found.0);
    }

    /// Moves the key that was found to another name, over whatever is there.
    pub fn rename(&mut self, found: Found, to: &[u8], now: u64) {
        let entry = self.extract(found.0);
        if let Some(target) = self.find(to, now) {
            self.remove(target);
        }
        let deadline = entry.deadline();
        let mut entry = entry.renamed(to);
        entry.set_deadline(None);
        self.entry_bytes += entry.heap_bytes();
        let hash = self.table.hash(to);
        let place = self.table.insert(hash, entry);
        self.note_change(place);
        self.arm(place, hash, deadline);
    }

    /// Runs `change` on the sorted set under `key`, which is made if `create` says so and removed when it is left
    /// empty. `None` when there is none. Beside its result, `change` says whether it has changed anything.
    pub fn edit_sorted_set<R>(
        &mut self,
        key: &[u8],
        now: u64,
        create: bool,
        change: impl FnOnce(&mut SortedSet, PackedLimits) -> (R, bool),
    ) -> Result<Option<R>, WrongType> {
        let place = match self.find(key, now) {
            Some(Found(place)) => place,
            None if create => self.add_sorted_set(key, now),
            None => return Ok(None),
        };
        let limits = self.limits.packed;
        let clock = access_clock(now);
        let (result, changed, emptied) = self.edit(place, |entry| {
            let set = entry.sorted_set_mut().ok_or(WrongType)?;
            let (result, changed) = change(set, limits);
            let emptied = set.is_empty();
            entry.touch(clock);
            Ok((result, changed, emptied))
        })?;
        if changed {
            self.note_change(place);
        }
        if emptied {
            self.take(place);
        }
        Ok(Some(result))
    }

    /// Some key that is not expired.
    pub fn random_key(&mut self, now: u64) -> Option<Vec<u8>> {
        // Expired keys that are met are removed, so this ends.
        loop {
            let place = self.evictor.any(&self.table)?;
            if !self.table.at(place).is_expired(now) {
                return Some(self.table.at(place).key().to_vec());
            }
            self.take(place);
            self.counters.expired += 1;
        }
    }

    /// Visits keys from `cursor` on, about `count` of them; returns the next cursor, 0 at the end.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, now: u64, mut visit: impl FnMut(&'a Entry)) -> u64 {
        self.table.scan(cursor, count, |entry| {
            if !entry.is_expired(now) {
                visit(entry);
            }
        })
    }

    /// Removes every key. Their memory is freed later, by `free_remains`.
    pub fn clear(&mut self) {
        let table = &self.table;
        self.watched.raise_all(|key| table.find(table.hash(key), key).is_some());
        let (table, expiry) = (std::mem::take(&mut self.table), std::mem::take(&mut self.expiry));
        self.remains.keyspace(table, expiry, std::mem::take(&mut self.entry_bytes));
    }

    /// True while there is memory to give back.
    pub fn has_remains(&self) -> bool {
        !self.remains.is_empty()
    }

    /// Keys and other things that were removed and still wait to be freed.
    pub fn remaining_objects(&self) -> usize {
        self.remains.objects()
    }

    /// Frees about `budget` items that were removed earlier.
    pub fn free_remains(&mut self, budget: usize) {
        self.remains.free(budget);
    }

    /// Removes keys that are due, at most `budget`.
    pub fn expire_due(&mut self, now: u64, budget: usize) {
        let mut work = 0;
        while work < budget {
            let Some(due) = self.expiry.pop_due(now) else { return };
            work += 1;
            if let Some(place) = scheduled(&self.table, due) {
                work += self.take(place);
                self.counters.expired += 1;
            }
        }
    }

    /// When keys are due next, in Unix milliseconds.
    pub fn next_due(&self) -> Option<u64> {
        self.expiry.next_due()
    }

    fn add_sorted_set(&mut self, key: &[u8], now: u64) -> Place {
        let set = SortedSet::new(self.limits.packed);
        let entry = Entry::sorted_set(key, set, access_clock(now));
        self.entry_bytes += entry.heap_bytes();
        self.table.insert(self.table.hash(key), entry)
    }

    fn replace(&mut self, place: Place, value: Text<'_>) {
        if let Some(set) = self.edit(place, |entry| entry.set_text(value)) {
            self.discard(set);
        }
    }

    /// Changes an entry and accounts for the difference.
    fn edit<R>(&mut self, place: Place, change: impl FnOnce(&mut Entry) -> R) -> R {
        let entry = self.table.at_mut(place);
        let before = entry.heap_bytes();
        let result = change(entry);
        self.entry_bytes = self.entry_bytes + entry.heap_bytes() - before;
        result
    }

    /// The one place where deadlines change: entry and schedule stay in step.
    fn arm(&mut self, place: Place, hash: u64, deadline: Option<u64>) {
        let entry = self.table.at_mut(place);
        let former = entry.deadline();
        if former == deadline {
            return;
        }
        entry.set_deadline(deadline);
        if let Some(former) = former {
            self.expiry.cancel(former, hash);
        }
        if let Some(deadline) = deadline {
            self.expiry.schedule(deadline, hash);
        }
    }

    /// Takes an entry out, with its accounts settled.
    fn extract(&mut self, place: Place) -> Entry {
        self.note_change(place);
        let entry = self.table.remove(place);
        self.entry_bytes -= entry.heap_bytes();
        if let Some(deadline) = entry.deadline() {
            self.expiry.cancel(deadline, self.table.hash(entry.key()));
        }
        entry
    }

    /// Removes an entry; something big is left for later. Returns how many items had to be freed at once.
    fn take(&mut self, place: Place) -> usize {
        self.extract(place).into_sorted_set().map_or(0, |set| self.discard(set))
    }
}
