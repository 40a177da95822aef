//! What the commands that take members out of a sorted set have in common: how many, from which end, and how that
//! is told. A client that waits for members is one of them, later.

use crate::engine::{Engine, WrongType};
use crate::types::sorted_set::SortedSet;
use resp::Encoder;

/// Members with their scores.
type Members = Vec<(Vec<u8>, f64)>;

/// A pop from the first of several keys that has members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pop {
    /// From the end with the highest scores.
    pub highest: bool,
    /// Most members of ZMPOP and BZMPOP; the others take one and tell it without a list around it.
    pub count: Option<usize>,
}

impl Pop {
    /// Takes from `key` and tells it; false when there is nothing to take.
    pub fn take(
        self,
        engine: &mut Engine,
        key: &[u8],
        reply: &mut Encoder<'_>,
        now: u64,
    ) -> Result<bool, WrongType> {
        let members = take(engine, key, self.count.unwrap_or(1), self.highest, now)?;
        if members.is_empty() {
            return Ok(false);
        }
        reply.array(if self.count.is_some() { 2 } else { 3 });
        reply.bulk(key);
        if self.count.is_some() {
            reply.array(members.len());
        }
        for (member, score) in members {
            if self.count.is_some() {
                reply.array(2);
            }
            reply.bulk(&member);
            reply.double(score);
        }
        Ok(true)
    }
}

/// Takes up to `count` members out of the set under `key`, best first; none where there is no set.
pub fn take(
    engine: &mut Engine,
    key: &[u8],
    count: usize,
    highest: bool,
    now: u64,
) -> Result<Members, WrongType> {
    let taken = engine.edit_sorted_set(key, now, false, |set, _| {
        let members = cut(set, count, highest);
        let changed = !members.is_empty();
        (members, changed)
    })?;
    Ok(taken.unwrap_or_default())
}

/// Removes the lowest or highest `count` members.
fn cut(set: &mut SortedSet, count: usize, highest: bool) -> Members {
    let count = count.min(set.len());
    let ranks = if highest { set.len() - count..set.len() } else { 0..count };
    let owned = |(member, score): (&[u8], f64)| (member.to_vec(), score);
    let taken = if highest {
        set.range(ranks.clone()).rev().map(owned).collect()
    } else {
        set.range(ranks.clone()).map(owned).collect()
    };
    set.remove_range(ranks);
    taken
}
