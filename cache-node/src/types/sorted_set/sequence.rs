//! A sequence with ranks: a counted B+tree addressed by position.
//!
//! The one idea: the tree knows positions, not keys. Whoever keeps it sorted asks `rank_where` (a binary search
//! by a predicate that holds for a leading part of the sequence) and then inserts or removes at that rank.
//! Every child entry carries the length and the last item of its subtree, so a search touches one node per
//! level and ranks cost nothing extra. It does not know what order means, and it holds only `Copy` items.

use std::mem::size_of;
use std::ops::Range;

/// 64 items of 12 bytes are 12 cache lines: a memmove inside a leaf costs less than one cache miss.
const LEAF_MAX: usize = 64;
/// Three levels hold 64 * 32 * 32 = 65 536 items, four hold two million.
const INNER_MAX: usize = 32;

/// An indexable sequence with O(log n) insertion, removal and search.
#[derive(Debug)]
pub(super) struct Sequence<T> {
    root: Node<T>,
    len: usize,
    census: Census,
}

/// How many nodes there are: what memory accounting needs.
#[derive(Debug)]
struct Census {
    leaves: usize,
    inners: usize,
}

#[derive(Debug)]
enum Node<T> {
    Leaf(Vec<T>),
    Inner(Vec<Child<T>>),
}

#[derive(Debug)]
struct Child<T> {
    len: usize,
    last: T,
    node: Node<T>,
}

impl<T: Copy> Default for Sequence<T> {
    fn default() -> Self {
        Self { root: Node::Leaf(new_leaf()), len: 0, census: Census { leaves: 1, inners: 0 } }
    }
}

// Nodes are allocated at full capacity (one more than they keep: a node overflows before it is split), so that
// their bytes are known without asking each.
fn new_leaf<T>() -> Vec<T> {
    Vec::with_capacity(LEAF_MAX + 1)
}

fn new_inner<T>() -> Vec<Child<T>> {
    Vec::with_capacity(INNER_MAX + 1)
}

impl<T: Copy> Sequence<T> {
    /// Bytes of all nodes.
    pub(super) fn heap_bytes(&self) -> usize {
        let leaf = (LEAF_MAX + 1) * size_of::<T>();
        let inner = (INNER_MAX + 1) * size_of::<Child<T>>();
        self.census.leaves * leaf + self.census.inners * inner
    }

    /// How many leading items satisfy `before`, which must hold for a prefix and for nothing after it.
    pub(super) fn rank_where(&self, mut before: impl FnMut(&T) -> bool) -> usize {
        let mut rank = 0;
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(items) => return rank + items.partition_point(before),
                Node::Inner(children) => {
                    let at = children.partition_point(|child| before(&child.last));
                    rank += children[..at].iter().map(|child| child.len).sum::<usize>();
                    match children.get(at) {
                        Some(child) => node = &child.node,
                        None => return rank,
                    }
                }
            }
        }
    }

    /// Inserts `item` so that it gets `rank`, which may be at most `len`.
    pub(super) fn insert(&mut self, rank: usize, item: T) {
        debug_assert!(rank <= self.len);
        self.len += 1;
        let Some(right) = self.root.insert(rank, item, &mut self.census) else { return };
        let left = std::mem::replace(&mut self.root, Node::Inner(new_inner()));
        self.census.inners += 1;
        if let Node::Inner(children) = &mut self.root {
            children.extend([Child::of(left), Child::of(right)]);
        }
    }

    /// Removes the item at `rank` and returns it; `None` past the end.
    pub(super) fn remove(&mut self, rank: usize) -> Option<T> {
        if rank >= self.len {
            return None;
        }
        let item = self.root.remove(rank, &mut self.census);
        self.len -= 1;
        while let Node::Inner(children) = &mut self.root
            && children.len() <= 1
        {
            self.census.inners -= 1;
            self.root = match children.pop() {
                Some(only) => only.node,
                None => {
                    self.census.leaves += 1;
                    Node::Leaf(new_leaf())
                }
            };
        }
        item
    }

    /// Puts another item at `rank`, which must exist.
    pub(super) fn replace(&mut self, rank: usize, item: T) {
        debug_assert!(rank < self.len);
        self.root.replace(rank, item);
    }

    /// The items at the ranks of `range` (cut to what exists), from either end.
    pub(super) fn range(&self, range: Range<usize>) -> Items<'_, T> {
        let end = range.end.min(self.len);
        Items { sequence: self, front: range.start.min(end), back: end, head: &[], tail: &[] }
    }

    fn leaf_of(&self, mut rank: usize) -> Option<(&[T], usize)> {
        if rank >= self.len {
            return None;
        }
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(items) => return Some((items, rank)),
                Node::Inner(children) => node = &children[find_child(children, &mut rank)].node,
            }
        }
    }
}

/// The child that holds `rank`, which becomes relative to it.
fn find_child<T>(children: &[Child<T>], rank: &mut usize) -> usize {
    let mut at = 0;
    while *rank >= children[at].len {
        *rank -= children[at].len;
        at += 1;
    }
    at
}

impl<T: Copy> Child<T> {
    fn of(node: Node<T>) -> Self {
        Self { len: node.len(), last: node.last(), node }
    }

    fn refresh_last(&mut self) {
        self.last = self.node.last();
    }
}

impl<T: Copy> Node<T> {
    fn len(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Inner(children) => children.iter().map(|child| child.len).sum(),
        }
    }

    /// Only asked of nodes that hold something: an empty node is unlinked at once.
    fn last(&self) -> T {
        match self {
            Self::Leaf(items) => items[items.len() - 1],
            Self::Inner(children) => children[children.len() - 1].last,
        }
    }

    /// Returns the new right sibling when the node had to be split.
    fn insert(&mut self, mut rank: usize, item: T, census: &mut Census) -> Option<Self> {
        match self {
            Self::Leaf(items) => {
                items.insert(rank, item);
                let right = split_off(items, LEAF_MAX, rank == LEAF_MAX, new_leaf)?;
                census.leaves += 1;
                Some(Self::Leaf(right))
            }
            Self::Inner(children) => {
                let last = children.len() - 1;
                let mut at = 0;
                // `>` and not `>=`: an item that falls between two children is appended to the left one.
                while at < last && rank > children[at].len {
                    rank -= children[at].len;
                    at += 1;
                }
                let child = &mut children[at];
                let split = child.node.insert(rank, item, census);
                match split {
                    None => {
                        child.len += 1;
                        child.refresh_last();
                        return None;
                    }
                    Some(right) => {
                        let right = Child::of(right);
                        child.len = child.len + 1 - right.len;
                        child.refresh_last();
                        children.insert(at + 1, right);
                    }
                }
                let right = split_off(children, INNER_MAX, at + 1 == INNER_MAX, new_inner)?;
                census.inners += 1;
                Some(Self::Inner(right))
            }
        }
    }

    fn remove(&mut self, mut rank: usize, census: &mut Census) -> Option<T> {
        match self {
            Self::Leaf(items) => Some(items.remove(rank)),
            Self::Inner(children) => {
                let at = find_child(children, &mut rank);
                let child = &mut children[at];
                let item = child.node.remove(rank, census);
                child.len -= 1;
                if child.len > 0 {
                    child.refresh_last();
                }
                tidy(children, at, census);
                item
            }
        }
    }

    fn replace(&mut self, mut rank: usize, item: T) {
        match self {
            Self::Leaf(items) => items[rank] = item,
            Self::Inner(children) => {
                let at = find_child(children, &mut rank);
                children[at].node.replace(rank, item);
                children[at].refresh_last();
            }
        }
    }

    /// Entries of this node itself, not of its subtree.
    fn width(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Inner(children) => children.len(),
        }
    }

    fn max_width(&self) -> usize {
        match self {
            Self::Leaf(_) => LEAF_MAX,
            Self::Inner(_) => INNER_MAX,
        }
    }
}

/// Cuts an overfull node in two. One that overflowed at its end stays full: ascending insertion packs nodes.
fn split_off<E>(entries: &mut Vec<E>, max: usize, at_end: bool, empty: fn() -> Vec<E>) -> Option<Vec<E>> {
    if entries.len() <= max {
        return None;
    }
    let mut right = empty();
    right.extend(entries.drain(if at_end { max } else { max / 2 }..));
    Some(right)
}

/// Unlinks child `at` when it is empty, or merges it with a neighbour when both fit with room to spare.
fn tidy<T: Copy>(children: &mut Vec<Child<T>>, at: usize, census: &mut Census) {
    if children[at].len == 0 {
        census.forget(&children.remove(at).node);
        return;
    }
    let left = if at > 0 { at - 1 } else { at };
    let Some(right) = children.get(left + 1) else { return };
    // Merged nodes are at most 3/4 full, so that the next insertion does not split them again.
    let most = right.node.max_width() * 3 / 4;
    if children[left].node.width() + right.node.width() > most {
        return;
    }
    let right = children.remove(left + 1);
    census.forget(&right.node);
    let child = &mut children[left];
    child.len += right.len;
    child.last = right.last;
    match (&mut child.node, right.node) {
        (Node::Leaf(items), Node::Leaf(more)) => items.extend(more),
        (Node::Inner(inner), Node::Inner(more)) => inner.extend(more),
        // Siblings are of one level.
        _ => debug_assert!(false, "siblings of different kinds"),
    }
}

impl Census {
    fn forget<T>(&mut self, node: &Node<T>) {
        match node {
            Node::Leaf(_) => self.leaves -= 1,
            Node::Inner(_) => self.inners -= 1,
        }
    }
}

/// Iterates over a range of ranks; descends the tree once per leaf.
#[derive(Debug)]
pub(super) struct Items<'a, T> {
    sequence: &'a Sequence<T>,
    front: usize,
    back: usize,
    head: &'a [T],
    tail: &'a [T],
}

impl<T: Copy> Iterator for Items<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.front >= self.back {
            return None;
        }
        if self.head.is_empty() {
            let (leaf, at) = self.sequence.leaf_of(self.front)?;
            self.head = &leaf[at..];
        }
        let (first, rest) = self.head.split_first()?;
        self.head = rest;
        self.front += 1;
        Some(*first)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.back - self.front;
        (left, Some(left))
    }
}

impl<T: Copy> DoubleEndedIterator for Items<'_, T> {
    fn next_back(&mut self) -> Option<T> {
        if self.front >= self.back {
            return None;
        }
        if self.tail.is_empty() {
            let (leaf, at) = self.sequence.leaf_of(self.back - 1)?;
            self.tail = &leaf[..=at];
        }
        let (last, rest) = self.tail.split_last()?;
        self.tail = rest;
        self.back -= 1;
        Some(*last)
    }
}

impl<T: Copy> ExactSizeIterator for Items<'_, T> {}

#[cfg(test)]
mod tests;
