//! What nobody can reach any more and is too big to free at once.
//!
//! FLUSHALL, UNLINK, expiry and eviction hand such things over in O(1); they are freed in slices while the node
//! has nothing better to do. Nothing here counts as data.

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
}

impl Remains {
    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.schedules.is_empty() && self.sets.is_empty()
    }

    pub(super) fn keyspace(&mut self, table: Table, expiry: Expiry) {
        if table.len() > 0 {
            self.tables.push(table);
        }
        if expiry.len() > 0 {
            self.schedules.push(expiry);
        }
    }

    /// Takes a set that left the keyspace; a small one is dropped here.
    pub(super) fn set(&mut self, set: SortedSet) {
        if set.len() > LAZY_FREE_MIN {
            self.sets.push(set);
        }
    }

    /// Frees about `budget` items.
    pub(super) fn free(&mut self, mut budget: usize) {
        while budget > 0 && !self.is_empty() {
            budget = budget.saturating_sub(self.free_some(budget));
        }
    }

    /// One step; returns what it took of the budget.
    fn free_some(&mut self, budget: usize) -> usize {
        if let Some(set) = self.sets.last_mut() {
            if set.shed(budget) {
                self.sets.pop();
            }
            return budget;
        }
        if let Some(schedule) = self.schedules.last_mut() {
            if schedule.shed(budget) {
                self.schedules.pop();
            }
            return budget;
        }
        let Some(table) = self.tables.last_mut() else { return budget };
        let mut freed = 1;
        match table.dismantle() {
            None => {
                self.tables.pop();
            }
            Some(entries) => {
                for entry in entries {
                    freed += 1;
                    if let Some(set) = entry.into_sorted_set()
                        && set.len() > LAZY_FREE_MIN
                    {
                        self.sets.push(set);
                    }
                }
            }
        }
        freed
    }
}
