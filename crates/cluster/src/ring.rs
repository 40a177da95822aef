//! The ring: which node owns a slot when every node is in.
//!
//! Each node puts `weight * points` points on a circle of 2^64 positions; a slot belongs to the node
//! of the first point at or after the slot's own position, clockwise. Positions are
//! `xxh3_64(id ‖ number as u32 LE)` for points and `xxh3_64(slot as u32 LE)` for slots, so a ring is
//! a function of ids, weights, `slots` and `points`: never of addresses, statuses or input order
//! (nodes are sorted by id before they are added, so not even two points on one position could make
//! it matter).
//!
//! The `hashring` crate builds the circle and answers for each slot once. What it answered is then
//! flattened:
//!
//! ```text
//! owners:  [ n7 n2 n2 n9 n1 ... ]   the node of each point, clockwise       (2 bytes a point)
//! first:   [ 8134 17 90211 ... ]    for each slot, the index of its point   (4 bytes a slot)
//! ```
//!
//! With these two arrays any set of nodes can be left out by walking clockwise past their points:
//! that is the ring without them, exactly (a property test asks `hashring` itself), and no point is
//! ever removed from it (22 ms a node with 2 000 points at 50 nodes).
//!
//! | nodes x points, slots | build | 2 arrays |
//! |---|---|---|
//! | 50 x 2 000, 65 536 | 8.9 ms | 0.45 MB |
//! | 500 x 1 000, 65 536 | 40 ms | 1.2 MB |
//! | 5 000 x 160, 1 048 576 | 470 ms | 5.8 MB |
//!
//! (`cargo bench -p cluster`, 2 shared vCPUs.) A ring is built once for each topology, never because a
//! node's health changed.
//!
//! Balance, slots of the fullest node over the mean, with 2 000 points and 65 536 slots: 1.02 for
//! `node1..node3`, 1.01 for 10 nodes, 1.09 for 50, 1.07 for 100, 1.16 for 200, 1.30 for 500 (1.11 with
//! 2^20 slots: take more slots from 200 nodes on). It depends on the ids: 40 other sets of 50 ids gave
//! 1.05 to 1.13, 1.08 in the middle.

use std::hash::{Hash, Hasher};

use hashring::HashRing;
use xxhash_rust::xxh3::Xxh3Builder;

use crate::node::{NodeId, NodeIndex};
use crate::slot::{Slot, SlotCount};

/// The circle of points of one topology, flattened for lookups and for walking past nodes.
#[derive(Debug)]
pub struct Ring {
    /// Ids and weights in id order: with `slots` and `points`, all that the ring depends on.
    members: Box<[(NodeId, u32)]>,
    slots: SlotCount,
    points: u32,
    /// The node of each point, clockwise.
    owners: Box<[NodeIndex]>,
    /// For each slot the index into `owners` of the first point at or after it.
    first: Box<[u32]>,
}

/// A node's `number`th point.
#[derive(Debug, Clone)]
struct Point<'a> {
    id: &'a NodeId,
    node: NodeIndex,
    number: u32,
}

impl Hash for Point<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Raw bytes only: `str` and integers would add a suffix and the machine's byte order.
        state.write(self.id.as_str().as_bytes());
        state.write(&self.number.to_le_bytes());
    }
}

/// A slot's position on the circle.
struct Position(Slot);

impl Hash for Position {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0.0.to_le_bytes());
    }
}

impl Ring {
    /// Builds the ring of `members` (id, weight), in any order, with `points` points per unit of
    /// weight.
    ///
    /// The caller has checked the limits ([`crate::Topology`] and [`crate::View`] do): at least one
    /// member, no id twice, at most [`crate::MAX_NODES`] of them and [`crate::MAX_POINTS`] points.
    #[must_use]
    pub(crate) fn build(mut members: Vec<(NodeId, u32)>, slots: SlotCount, points: u32) -> Self {
        members.sort();
        let circle = circle(&members, points);
        let starts = first_point_ranks(&members, points);
        let answers: Vec<(NodeIndex, u32)> = slots
            .slots()
            .filter_map(|slot| circle.get(&Position(slot)).map(|point| (point.node, point.number)))
            .collect();

        // The whole circle clockwise, from any point: the crate's only way to see its order.
        let clockwise = circle.get_with_replicas(&Position(Slot(0)), circle.len() + 1).unwrap_or_default();
        let mut place = vec![0_u32; clockwise.len()];
        for (index, point) in (0_u32..).zip(&clockwise) {
            place[(starts[point.node.get()] + point.number) as usize] = index;
        }
        let owners = clockwise.iter().map(|point| point.node).collect();
        let first =
            answers.iter().map(|(node, number)| place[(starts[node.get()] + number) as usize]).collect();
        Self { members: members.into(), slots, points, owners, first }
    }

    /// Whether this is the ring of these members (sorted by id), slots and points.
    pub(crate) fn is_of<'a>(
        &self,
        members: impl ExactSizeIterator<Item = (&'a NodeId, u32)>,
        slots: SlotCount,
        points: u32,
    ) -> bool {
        self.slots == slots
            && self.points == points
            && self.members.len() == members.len()
            && self.members.iter().zip(members).all(|((id, weight), other)| (id, *weight) == other)
    }

    /// The number of slots.
    #[must_use]
    pub fn slots(&self) -> SlotCount {
        self.slots
    }

    /// The node that owns `slot` when every node is in.
    ///
    /// # Panics
    /// When `slot` is not one of this ring's slots.
    #[inline]
    #[must_use]
    pub fn owner(&self, slot: Slot) -> NodeIndex {
        self.owners[self.first[slot.get()] as usize]
    }

    /// The node of the first point at or after `slot` for which `is_in` holds; `None` when there is none.
    pub(crate) fn first_of(&self, slot: Slot, is_in: impl Fn(NodeIndex) -> bool) -> Option<NodeIndex> {
        let (before, after) = self.owners.split_at(self.first[slot.get()] as usize);
        after.iter().chain(before).copied().find(|node| is_in(*node))
    }

    /// Who serves each slot when only nodes with `routable[index]` are in: the node of the first
    /// such point clockwise. `None` when there is no such node.
    ///
    /// One pass back over the points and one over the slots, whatever is out: the cost has no bad
    /// case, not even when one node of thousands is left.
    pub(crate) fn without(&self, routable: &[bool]) -> Option<Box<[NodeIndex]>> {
        let is_in = |node: &NodeIndex| routable[node.get()];
        // The last point's successor is the first point of a routable node from the start.
        let mut next = *self.owners.iter().find(|node| is_in(node))?;
        if routable.iter().all(|&r| r) {
            return Some(self.first.iter().map(|&point| self.owners[point as usize]).collect());
        }
        let mut serving = self.owners.clone();
        for node in serving.iter_mut().rev() {
            if is_in(node) {
                next = *node;
            } else {
                *node = next;
            }
        }
        Some(self.first.iter().map(|&point| serving[point as usize]).collect())
    }
}

/// The circle as `hashring` orders it.
fn circle(members: &[(NodeId, u32)], points: u32) -> HashRing<Point<'_>, Xxh3Builder> {
    let mut circle = HashRing::with_hasher(Xxh3Builder::new());
    let all = (0_u16..)
        .map(NodeIndex)
        .zip(members)
        .flat_map(|(node, (id, weight))| (0..weight * points).map(move |number| Point { id, node, number }));
    circle.batch_add(all.collect());
    circle
}

/// For each member, the number of points of the members before it.
fn first_point_ranks(members: &[(NodeId, u32)], points: u32) -> Vec<u32> {
    members
        .iter()
        .scan(0, |sum, (_, weight)| {
            let start = *sum;
            *sum += weight * points;
            Some(start)
        })
        .collect()
}
