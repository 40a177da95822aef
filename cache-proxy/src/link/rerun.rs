//! Which reads a node that may have executed them is not asked again, though reading twice changes nothing.
//!
//! Behind a read, on the connection that broke, its client may have written the same key. The node may have done that
//! too: a second run of the read would see what was written after it.
//!
//! Pure.

use std::collections::HashSet;

use crate::link::hold::{Held, Sent};
use crate::target::{ClientId, Target};
use crate::transaction::unit;

/// The places of these reads among what waits for a node, in the order in which it was sent.
pub(crate) fn outrun(waiting: &[Held], client_behind: impl Fn(Target) -> Option<ClientId>) -> HashSet<usize> {
    let (mut written, mut outrun) = (HashSet::<(ClientId, Vec<u8>)>::new(), HashSet::new());
    for (place, held) in waiting.iter().enumerate().rev().filter(|(_, held)| held.sent == Sent::Here) {
        let Some(client) = client_behind(held.target) else { continue };
        // What a unit writes itself is no matter: it runs as a whole.
        let mut writes = Vec::new();
        unit::visit_names(&held.wire, |name, is_written| {
            let name = (client, name.to_vec());
            if is_written {
                writes.push(name);
            } else if written.contains(&name) {
                outrun.insert(place);
            }
        });
        written.extend(writes);
    }
    outrun
}
