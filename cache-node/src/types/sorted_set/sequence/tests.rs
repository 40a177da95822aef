//! The sequence against a vector.

use super::Sequence;
use proptest::prelude::*;

fn filled(n: u32) -> Sequence<u32> {
    let mut sequence = Sequence::default();
    for i in 0..n {
        sequence.insert(i as usize, i);
    }
    sequence
}

/// Counts the nodes the slow way.
fn count<T>(node: &super::Node<T>) -> (usize, usize) {
    match node {
        super::Node::Leaf(_) => (1, 0),
        super::Node::Inner(children) => children
            .iter()
            .map(|child| count(&child.node))
            .fold((0, 1), |(l, i), (leaves, inners)| (l + leaves, i + inners)),
    }
}

#[test]
fn ranks_are_found_by_predicate() {
    let sequence = filled(10_000);
    for wanted in [0, 1, 63, 64, 65, 2_048, 9_999, 10_000] {
        assert_eq!(sequence.rank_where(|item| *item < wanted), wanted as usize);
    }
    assert_eq!(sequence.range(9_999..usize::MAX).next(), Some(9_999));
    assert_eq!(sequence.range(10_000..usize::MAX).next(), None);
}

#[test]
fn emptied_sequence_is_one_leaf_again() {
    let mut sequence = filled(5_000);
    while sequence.len > 0 {
        sequence.remove(sequence.len / 2);
    }
    assert_eq!(sequence.remove(0), None);
    assert_eq!((sequence.census.leaves, sequence.census.inners), (1, 0));
    sequence.insert(0, 7);
    assert_eq!(sequence.range(0..usize::MAX).next(), Some(7));
}

proptest! {
    #[test]
    fn behaves_like_a_vec(
        start in 0u32..3_000,
        steps in prop::collection::vec((0..3, any::<prop::sample::Index>()), 0..600),
        (a, b) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let mut sequence = filled(start);
        let mut model: Vec<u32> = (0..start).collect();
        for (n, (kind, at)) in steps.into_iter().enumerate() {
            let rank = at.index(model.len() + 1);
            if kind == 2 && rank < model.len() {
                sequence.replace(rank, n as u32);
                model[rank] = n as u32;
            } else if kind == 0 {
                sequence.insert(rank, n as u32);
                model.insert(rank, n as u32);
            } else {
                let expected = (rank < model.len()).then(|| model.remove(rank));
                prop_assert_eq!(sequence.remove(rank), expected);
            }
        }
        prop_assert_eq!(sequence.len, model.len());
        prop_assert_eq!(count(&sequence.root), (sequence.census.leaves, sequence.census.inners));
        let (a, b) = (a.index(model.len() + 1), b.index(model.len() + 1));
        let range = a.min(b)..a.max(b);
        prop_assert_eq!(sequence.range(range.clone()).collect::<Vec<_>>(), &model[range.clone()]);
        let mut backwards = model[range.clone()].to_vec();
        backwards.reverse();
        prop_assert_eq!(sequence.range(range).rev().collect::<Vec<_>>(), backwards);
    }
}
