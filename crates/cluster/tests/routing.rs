//! What routing promises, checked against `hashring` itself and by properties over random clusters.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod views;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use cluster::{MIN_SLOTS, NodeIndex, Routing, Slot, View};
use hashring::HashRing;
use proptest::prelude::*;
use xxhash_rust::xxh3::Xxh3Builder;

use views::{equal_nodes, view_of};

/// Few slots and points keep thousands of random clusters cheap; the code has no special sizes.
const SLOTS: u32 = MIN_SLOTS;
const POINTS: u32 = 20;

/// The documented hash inputs, written down a second time.
struct OraclePoint(String, u32);
struct OracleSlot(u32);

impl Hash for OraclePoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.as_bytes());
        state.write(&self.1.to_le_bytes());
    }
}

impl Hash for OracleSlot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0.to_le_bytes());
    }
}

/// For each slot the id that `hashring` names on a circle of the given nodes only.
fn oracle(nodes: &[(String, u32)], points: u32, slots: u32) -> Vec<Option<String>> {
    let mut ring: HashRing<OraclePoint, Xxh3Builder> = HashRing::with_hasher(Xxh3Builder::new());
    let all = nodes
        .iter()
        .flat_map(|(id, weight)| (0..weight * points).map(|number| OraclePoint(id.clone(), number)));
    ring.batch_add(all.collect());
    (0..slots).map(|slot| ring.get(&OracleSlot(slot)).map(|point| point.0.clone())).collect()
}

fn owners(routing: &Routing) -> Vec<String> {
    let id = |node: NodeIndex| routing.node(node).node_id.to_string();
    (0..routing.ring().slots().get()).map(|slot| id(routing.owner(Slot(slot)))).collect()
}

fn serving(routing: &Routing) -> Vec<Option<String>> {
    let id = |node: NodeIndex| routing.node(node).node_id.to_string();
    (0..routing.ring().slots().get()).map(|slot| routing.serving(Slot(slot)).map(id)).collect()
}

fn compile(view: &View) -> Routing {
    Routing::compile(view, None).unwrap()
}

fn small_view(nodes: &[(String, u32)]) -> View {
    View { slots: SLOTS, points: POINTS, ..view_of(nodes) }
}

/// Between 1 and 12 nodes of distinct ids and small weights.
fn clusters() -> impl Strategy<Value = Vec<(String, u32)>> {
    prop::collection::btree_map("[a-z][a-z0-9.-]{0,9}", 1_u32..4, 1..12)
        .prop_map(|nodes| nodes.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn owners_are_those_of_hashring(nodes in clusters()) {
        let expected: Vec<String> = oracle(&nodes, POINTS, SLOTS).into_iter().flatten().collect();
        prop_assert_eq!(owners(&compile(&small_view(&nodes))), expected);
    }

    #[test]
    fn stand_ins_are_the_owners_of_the_ring_without_the_out_nodes(
        nodes in clusters(),
        out in prop::collection::vec(any::<bool>(), 12),
    ) {
        let mut view = small_view(&nodes);
        for (node, out) in view.nodes.iter_mut().zip(&out) {
            node.routable = !out;
        }
        let left: Vec<(String, u32)> =
            nodes.iter().zip(&out).filter(|(_, out)| !**out).map(|(node, _)| node.clone()).collect();
        let routing = compile(&view);
        prop_assert_eq!(serving(&routing), oracle(&left, POINTS, SLOTS));
        // Who owns a slot never depends on who is out.
        prop_assert_eq!(owners(&routing), owners(&compile(&small_view(&nodes))));
    }

    #[test]
    fn what_is_foretold_of_nodes_going_out_is_what_comes_true(
        nodes in clusters(),
        out in prop::collection::vec(any::<bool>(), 12),
        next in prop::collection::vec(any::<bool>(), 12),
    ) {
        let mut view = small_view(&nodes);
        for (node, out) in view.nodes.iter_mut().zip(&out) {
            node.routable = !out;
        }
        let before = compile(&view);
        let id = |node: NodeIndex| before.node(node).node_id.to_string();
        let mut gone = Vec::new();
        for (node, out) in view.nodes.iter_mut().zip(&next).filter(|(_, next)| **next) {
            gone.extend(before.index_of(node.node_id.as_str()));
            node.routable &= !out;
        }
        let foretold = before.serving_without(&gone).map(|nodes| nodes.iter().copied().map(id).collect::<Vec<_>>());
        let after: Option<Vec<String>> = serving(&compile(&view)).into_iter().collect();
        prop_assert_eq!(foretold, after);
        for slot in before.ring().slots().slots().step_by(97) {
            let without = before.serving(slot).and_then(|node| before.serving_without(&[node]));
            prop_assert_eq!(before.next_in_line(slot), without.map(|serving| serving[slot.get()]));
        }
    }

    #[test]
    fn removing_a_node_moves_only_its_own_slots(nodes in clusters(), pick in any::<prop::sample::Index>()) {
        prop_assume!(nodes.len() > 1);
        let gone = pick.index(nodes.len());
        let mut left = nodes.clone();
        let (gone, _) = left.remove(gone);
        let before = owners(&compile(&small_view(&nodes)));
        let after = owners(&compile(&small_view(&left)));
        for (before, after) in before.iter().zip(&after) {
            if before != after {
                prop_assert_eq!(before, &gone);
            }
            prop_assert_ne!(after, &gone);
        }
    }

    #[test]
    fn adding_a_node_moves_slots_only_to_it(nodes in clusters()) {
        let mut more = nodes.clone();
        more.push(("the-new-one".to_owned(), 2));
        let before = owners(&compile(&small_view(&nodes)));
        let after = owners(&compile(&small_view(&more)));
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(before == after || after == "the-new-one", "{before} -> {after}");
        }
    }

    #[test]
    fn order_and_addresses_do_not_matter(nodes in clusters(), seed in any::<u16>()) {
        let view = small_view(&nodes);
        let mut other = view.clone();
        other.nodes.reverse();
        other.nodes.rotate_left(usize::from(seed) % nodes.len());
        for node in &mut other.nodes {
            node.host = format!("host-{seed}");
            node.port = node.port.wrapping_add(seed).max(1);
            node.zone = Some("elsewhere".to_owned());
        }
        prop_assert_eq!(owners(&compile(&view)), owners(&compile(&other)));
    }

    #[test]
    fn a_compiled_previous_routing_changes_nothing_but_shares_the_ring(
        nodes in clusters(),
        out in prop::collection::vec(any::<bool>(), 12),
    ) {
        let before = compile(&small_view(&nodes));
        let mut view = small_view(&nodes);
        view.epoch += 1;
        for (node, out) in view.nodes.iter_mut().zip(&out) {
            node.routable = !out;
        }
        let after = Routing::compile(&view, Some(&before)).unwrap();
        prop_assert!(Arc::ptr_eq(before.ring(), after.ring()));
        prop_assert_eq!(serving(&after), serving(&compile(&view)));
    }
}

#[test]
fn another_topology_gets_another_ring() {
    let nodes: Vec<(String, u32)> = [("a", 1), ("b", 1)].map(|(id, weight)| (id.to_owned(), weight)).into();
    let before = compile(&small_view(&nodes));
    let shares = |view: &View| {
        let after = Routing::compile(view, Some(&before)).unwrap();
        assert_eq!(owners(&after), owners(&compile(view)));
        Arc::ptr_eq(before.ring(), after.ring())
    };
    let mut heavier = nodes.clone();
    heavier[1].1 = 2;
    let mut renamed = nodes.clone();
    renamed[1].0 = "c".to_owned();
    assert!(shares(&small_view(&nodes)));
    assert!(!shares(&small_view(&heavier)));
    assert!(!shares(&small_view(&renamed)));
    assert!(!shares(&small_view(&nodes[..1])));
    assert!(!shares(&View { slots: SLOTS * 2, ..small_view(&nodes) }));
    assert!(!shares(&View { points: POINTS + 1, ..small_view(&nodes) }));
}

#[test]
fn nothing_serves_when_nothing_is_routable() {
    let mut view = equal_nodes(3);
    for node in &mut view.nodes {
        node.routable = false;
    }
    let routing = compile(&view);
    assert!(serving(&routing).iter().all(Option::is_none));
    assert_eq!(owners(&routing), owners(&compile(&equal_nodes(3))));
}

#[test]
fn nodes_are_found_by_id_and_sorted() {
    let routing = compile(&equal_nodes(50));
    assert!(routing.nodes().is_sorted_by_key(|node| node.node_id.clone()));
    let index = routing.index_of("node37").unwrap();
    assert_eq!(routing.node(index).node_id.as_str(), "node37");
    assert_eq!(routing.index_of("node51"), None);
}

/// Slots of the fullest node over the mean, by weight.
fn peak_to_mean(routing: &Routing) -> f64 {
    let mut slots_of = vec![0_u32; routing.nodes().len()];
    for slot in routing.ring().slots().slots() {
        slots_of[routing.owner(slot).get()] += 1;
    }
    let weight: u32 = routing.nodes().iter().map(|node| node.weight).sum();
    let per_weight = f64::from(routing.ring().slots().get()) / f64::from(weight);
    let shares = slots_of.iter().zip(routing.nodes());
    shares.map(|(&slots, node)| f64::from(slots) / (per_weight * f64::from(node.weight))).fold(0.0, f64::max)
}

#[test]
fn fifty_equal_nodes_share_the_slots_evenly() {
    let ratio = peak_to_mean(&compile(&equal_nodes(50)));
    assert!(ratio <= 1.10, "the fullest of 50 nodes has {ratio:.3} times the mean");
}

/// Other id sets than `node1..node50`: the figures in the documentation of `ring.rs`.
#[test]
fn other_ids_share_the_slots_nearly_as_evenly() {
    let mut ratios = Vec::new();
    for set in 0..40 {
        let nodes: Vec<(String, u32)> = (0..50).map(|i| (format!("set{set}-cache-{i}"), 1)).collect();
        ratios.push(peak_to_mean(&compile(&view_of(&nodes))));
    }
    ratios.sort_by(f64::total_cmp);
    println!("50 nodes, 40 id sets: best {:.3} median {:.3} worst {:.3}", ratios[0], ratios[20], ratios[39]);
    assert!(ratios[20] <= 1.10 && ratios[39] <= 1.15, "{ratios:.3?}");
}

#[test]
fn weights_are_honoured() {
    let nodes: Vec<(String, u32)> = (1..=12).map(|i| (format!("node{i}"), i)).collect();
    let ratio = peak_to_mean(&compile(&view_of(&nodes)));
    assert!(ratio <= 1.10, "{ratio:.3} times the share of the weight");
}

#[test]
fn the_slots_of_a_lost_node_spread_over_all_others() {
    let mut view = equal_nodes(50);
    view.nodes[0].routable = false;
    let lost = view.nodes[0].node_id.clone();
    let routing = compile(&view);
    let mut extra = vec![0_u32; 50];
    for slot in routing.ring().slots().slots() {
        if routing.node(routing.owner(slot)).node_id == lost {
            extra[routing.serving(slot).unwrap().get()] += 1;
        }
    }
    // About 1 310 slots over 49 nodes: 27 each; nobody may take over as much as four times that.
    assert!(extra.iter().filter(|&&n| n > 0).count() == 49 && extra.iter().all(|&n| n < 107), "{extra:?}");
}
