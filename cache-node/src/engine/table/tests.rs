//! The table against models: growth, sampling, and the guarantee of SCAN.

use super::super::record::{Entry, Text};
use super::Table;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn add(table: &mut Table, key: &[u8]) {
    let hash = table.hash(key);
    if table.find(hash, key).is_none() {
        table.insert(hash, Entry::text(key, Text::Int(1), 0));
    }
}

fn take(table: &mut Table, key: &[u8]) -> bool {
    let place = table.find(table.hash(key), key);
    place.map(|place| table.remove(place)).is_some()
}

fn key(n: u32) -> Vec<u8> {
    format!("key:{n}").into_bytes()
}

fn real_bytes(table: &Table) -> usize {
    table.segments.iter().map(|segment| segment.entries.allocation_size()).sum()
}

#[test]
fn grows_and_shrinks_with_its_keys() {
    let mut table = Table::default();
    for n in 0..50_000 {
        add(&mut table, &key(n));
    }
    assert_eq!((table.len(), table.bytes), (50_000, real_bytes(&table)));
    assert!((0..50_000).all(|n| table.find(table.hash(&key(n)), &key(n)).is_some()));
    let segments = table.segments.len();
    for n in 0..49_990 {
        assert!(take(&mut table, &key(n)));
    }
    assert_eq!((table.len(), table.bytes), (10, real_bytes(&table)));
    let used = table.segments.len() - table.vacant.len();
    assert!(used * 20 < segments, "{used} of {segments} segments are left");
    assert!((49_990..50_000).all(|n| table.find(table.hash(&key(n)), &key(n)).is_some()));
}

#[test]
fn a_full_cache_keeps_its_tables_filled_while_it_churns() {
    let mut table = Table::default();
    for n in 0..200_000 {
        add(&mut table, &key(n));
        if n >= 20_000 {
            assert!(take(&mut table, &key(n - 20_000)));
        }
    }
    assert_eq!(table.bytes, real_bytes(&table));
    let per_key = table.heap_bytes() / table.len();
    assert!(per_key < 75, "{per_key} bytes of table per key");
}

#[test]
fn samples_come_from_all_over_the_table() {
    let mut table = Table::default();
    for n in 0..2_000 {
        add(&mut table, &key(n));
    }
    let mut random = super::super::random::Random::new(1);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20_000 {
        let (hash, start) = (random.next(), random.below(256));
        seen.extend(table.sample(hash, start, 1).map(|(_, entry)| entry.key().to_vec()));
    }
    assert!(seen.len() > 1_950, "{} of 2000 keys sampled", seen.len());
    assert!(Table::default().sample(0, 0, 5).next().is_none());
}

proptest! {
    /// SCAN's guarantee: keys present throughout are returned, here even exactly once, whatever happens
    /// to the others between the calls.
    #[test]
    fn scan_returns_lasting_keys_exactly_once(
        lasting in 0u32..3_000,
        churn in prop::collection::vec((0u32..20_000, any::<bool>(), 1u32..4_000), 0..12),
        want in 1usize..400,
    ) {
        let mut table = Table::default();
        for n in 0..lasting {
            add(&mut table, &key(n));
        }
        let (mut cursor, mut calls) = (0, 0);
        let mut seen = BTreeMap::<Vec<u8>, u32>::new();
        loop {
            cursor = table.scan(cursor, want, |entry| *seen.entry(entry.key().to_vec()).or_default() += 1);
            if cursor == 0 {
                break;
            }
            if let Some((first, insert, count)) = churn.get(calls) {
                for n in *first..first + count {
                    let other = format!("churn:{n}");
                    if *insert { add(&mut table, other.as_bytes()) } else { take(&mut table, other.as_bytes()); }
                }
            }
            calls += 1;
        }
        for n in 0..lasting {
            prop_assert_eq!(seen.get(&key(n)), Some(&1), "key {}", n);
        }
        prop_assert!(seen.values().all(|count| *count == 1));
    }
}
