//! Which reads a node that may have executed them is not asked again, though reading twice changes nothing.
//!
//! Behind a read, on the connection that broke, its client may have written what it reads: the same key, or all of them,
//! or any where it reads all. The node may have done that too: a second run of the read would see what was written after
//! it.
//!
//! Pure.

use std::collections::{HashMap, HashSet};

use crate::link::hold::{Held, Sent};
use crate::target::{ClientId, Target};
use crate::transaction::touched::{self, Touched};

/// The places of these reads among what waits for a node, in the order in which it was sent.
pub(crate) fn outrun(waiting: &[Held], client_behind: impl Fn(Target) -> Option<ClientId>) -> HashSet<usize> {
    let (mut written, mut outrun) = (HashMap::<ClientId, Touched>::new(), HashSet::new());
    for (place, held) in waiting.iter().enumerate().rev().filter(|(_, held)| held.sent == Sent::Here) {
        let Some(client) = client_behind(held.target) else { continue };
        let written_behind = written.entry(client).or_default();
        // What a unit writes itself is no matter: it runs as a whole.
        let mut writes = Touched::default();
        touched::visit(&held.wire, |piece, is_written| {
            if is_written {
                writes.add(piece);
            } else if written_behind.meets(piece) {
                outrun.insert(place);
            }
        });
        written_behind.extend(writes);
    }
    outrun
}
