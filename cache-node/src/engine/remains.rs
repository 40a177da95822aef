//! What nobody can reach any more and is too big to free at once.
//!
//! FLUSHALL, UNLINK, expiry and eviction hand such things over in O(1); they are freed in slices while the node
//! has nothing better to do. Nothing here counts as data, but its bytes are known: the engine frees faster when
//! too many of them gather.

use super::expiry::Expiry;
use super::table::Table;
use crate::types::sorted_set::SortedSet;

/// Redis' lazy-free threshold: dropping fewer items than this is cheaper than remembering to do it.
const LAZY_FREE_MIN: usize = 64;

/// Things to be freed bit by bit.
#[derive(Debug, Default)]
pub(super) struct Remains {
    tables: Vec<Table>,
    schedules: Vec<Expiry>,
    sets: Vec<SortedSet>,
    bytes: usize,
}

impl Remains {
    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.schedules.is_empty() && self.sets.is_empty()
    }

    /// Bytes that are still to be freed.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keys, sets and schedules that are still to be freed.
    pub(super) fn objects(&self) -> usize {
        self.tables.iter().map(Table::len).sum::<usize>() + self.schedules.len() + self.sets.len()
    }

    /// Takes a whole keyspace; `entry_bytes` are those of the table's entries.
    pub(super) fn keyspace(&mut self, table: Table, expiry: Expiry, entry_bytes: usize) {
        if table.len() > 0 {
            self.bytes += table.heap_bytes() + entry_bytes;
            self.tables.push(table);
        }
        if expiry.len() > 0 {
            self.bytes += expiry.heap_bytes();
            self.schedules.push(expiry);
        }
    }

    /// Takes a set that left the keyspace. One that is small or of one piece is dropped here.
    pub(super) fn set(&mut self, set: SortedSet) {
        if set.len() > LAZY_FREE_MIN && !set.is_packed() {
            self.bytes += set.heap_bytes();
            self.sets.push(set);
        }
    }

    /// Frees about `budget` items.
    pub(super) fn free(&mut self, mut budget: usize) {
        while budget > 0 && !self.is_empty() {
            let freed = self.free_some(budget);
            // A step that found only an empty shell was work too.
            budget = budget.saturating_sub(freed.max(1));
        }
    }

    /// One step; returns how many items it freed.
    fn free_some(&mut self, budget: usize) -> usize {
        if !self.sets.is_empty() {
            self.free_set(budget)
        } else if !self.schedules.is_empty() {
            self.free_schedule(budget)
        } else {
            self.free_segment()
        }
    }

    fn free_set(&mut self, budget: usize) -> usize {
        let Some(set) = self.sets.last_mut() else { return 0 };
        let before = set.heap_bytes();
        let freed = set.shed(budget);
        self.bytes -= before - set.heap_bytes();
        if freed < budget {
            self.bytes -= set.heap_bytes();
            self.sets.pop();
        }
        freed
    }

    fn free_schedule(&mut self, budget: usize) -> usize {
        let Some(schedule) = self.schedules.last_mut() else { return 0 };
        let before = schedule.heap_bytes();
        let freed = schedule.shed(budget);
        self.bytes -= before - schedule.heap_bytes();
        if schedule.len() == 0 {
            self.schedules.pop();
        }
        freed
    }

    /// Frees one segment of a table; what is big in it is kept for later.
    fn free_segment(&mut self) -> usize {
        let Some(table) = self.tables.last_mut() else { return 0 };
        let before = table.heap_bytes();
        let Some(entries) = table.dismantle() else {
            self.bytes -= before;
            self.tables.pop();
            return 0;
        };
        self.bytes -= before - table.heap_bytes();
        let mut freed = 0;
        for entry in entries {
            freed += 1;
            self.bytes -= entry.heap_bytes();
            if let Some(set) = entry.into_sorted_set() {
                self.set(set);
            }
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::Remains;
    use crate::types::sorted_set::{PackedLimits, SortedSet};

    fn set(members: u32) -> SortedSet {
        let limits = PackedLimits::default();
        let mut set = SortedSet::new(limits);
        for n in 0..members {
            set.insert(&n.to_be_bytes(), f64::from(n), limits);
        }
        set
    }

    #[test]
    fn a_packed_set_is_dropped_at_once() {
        let mut remains = Remains::default();
        remains.set(set(100));
        assert!(remains.is_empty() && remains.bytes() == 0);
    }

    #[test]
    fn a_budget_is_spent_on_as_many_things_as_it_lasts_for() {
        let mut remains = Remains::default();
        for _ in 0..10 {
            remains.set(set(200));
        }
        assert_eq!(remains.objects(), 10);
        let before = remains.bytes();
        remains.free(1_000);
        assert!((5..=6).contains(&remains.objects()), "{} are left", remains.objects());
        assert!(remains.bytes() < before * 6 / 10, "{} of {before}", remains.bytes());
        remains.free(usize::MAX);
        assert_eq!((remains.objects(), remains.bytes()), (0, 0));
    }
}
