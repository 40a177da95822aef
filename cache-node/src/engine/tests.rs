//! The engine against models: accounts, expiry, eviction.

use super::{Engine, Limits, Policy, Room, Text, Value, access_clock};
use crate::types::sorted_set::PackedLimits;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn engine(maxmemory: u64, policy: Policy) -> Engine {
    Engine::new(Limits { maxmemory, policy, samples: 5, packed: PackedLimits::default() }, 7)
}

fn key(n: u32) -> Vec<u8> {
    format!("key:{n}").into_bytes()
}

/// The slow truth about the bytes of all entries.
fn entry_bytes(engine: &Engine) -> usize {
    let mut bytes = 0;
    engine.table.scan(0, usize::MAX, |entry| bytes += entry.heap_bytes());
    bytes
}

fn has(engine: &mut Engine, n: u32, now: u64) -> bool {
    engine.find(&key(n), now).is_some()
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Set(u32, usize, Option<u64>),
    Overwrite(u32, usize, usize),
    Add(u32, u32),
    Remove(u32),
    Rename(u32, u32),
    Deadline(u32, Option<u64>),
    Pass(u64),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0u32..60;
    let deadline = prop::option::of(1u64..20_000);
    prop_oneof![
        6 => (n.clone(), 0usize..200, deadline.clone()).prop_map(|(n, len, at)| Step::Set(n, len, at)),
        2 => (n.clone(), 0usize..100, 0usize..50).prop_map(|(n, at, len)| Step::Overwrite(n, at, len)),
        6 => (n.clone(), 0u32..300).prop_map(|(n, member)| Step::Add(n, member)),
        3 => n.clone().prop_map(Step::Remove),
        2 => (n.clone(), n.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        3 => (n, deadline).prop_map(|(n, at)| Step::Deadline(n, at)),
        2 => (0u64..3_000).prop_map(Step::Pass),
        1 => Just(Step::Clear),
    ]
}

/// What a step does to the deadlines of the keys that exist.
fn apply(engine: &mut Engine, model: &mut BTreeMap<u32, Option<u64>>, now: &mut u64, step: Step) {
    match step {
        Step::Set(n, len, ttl) => {
            let deadline = ttl.map(|ttl| *now + ttl);
            engine.set(&key(n), Text::Bytes(&vec![b'x'; len]), deadline, *now);
            model.insert(n, deadline);
        }
        Step::Overwrite(n, at, len) => {
            if let Some(found) = engine.find(&key(n), *now)
                && !matches!(engine.entry(found).value(), Value::SortedSet(_))
            {
                engine.overwrite(found, at, &vec![b'y'; len]);
            }
        }
        Step::Add(n, member) => {
            let added = engine.edit_sorted_set(&key(n), *now, true, |set, limits| {
                (set.insert(&member.to_be_bytes(), f64::from(member), limits), true)
            });
            if added.is_ok() {
                model.entry(n).or_insert(None);
            }
        }
        Step::Remove(n) => {
            let found = engine.find(&key(n), *now);
            assert_eq!(found.is_some(), model.remove(&n).is_some());
            found.into_iter().for_each(|found| engine.remove(found));
        }
        Step::Rename(from, to) => {
            if let Some(found) = engine.find(&key(from), *now) {
                engine.rename(found, &key(to), *now);
                let deadline = model.remove(&from).expect("the engine has it");
                model.insert(to, deadline);
            }
        }
        Step::Deadline(n, ttl) => {
            let deadline = ttl.map(|ttl| *now + ttl);
            if let Some(found) = engine.find(&key(n), *now) {
                engine.set_deadline(found, deadline);
                model.insert(n, deadline);
            }
        }
        Step::Pass(ms) => {
            *now += ms;
            engine.expire_due(*now, usize::MAX);
            model.retain(|_, deadline| deadline.is_none_or(|deadline| deadline >= *now));
        }
        Step::Clear => {
            engine.clear();
            model.clear();
        }
    }
}

proptest! {
    #[test]
    fn keys_deadlines_and_accounts_follow_the_model(steps in prop::collection::vec(step(), 0..300)) {
        let (mut engine, mut model, mut now) = (engine(0, Policy::NoEviction), BTreeMap::new(), 1_000_000);
        for step in steps {
            apply(&mut engine, &mut model, &mut now, step);
            prop_assert_eq!(engine.entry_bytes, entry_bytes(&engine));
        }
        for n in 0..60 {
            let deadline = engine.find(&key(n), now).map(|found| engine.entry(found).deadline());
            prop_assert_eq!(deadline, model.get(&n).copied(), "key {}", n);
        }
        prop_assert_eq!(engine.len(), model.len());
        let volatile = model.values().filter(|deadline| deadline.is_some()).count();
        prop_assert_eq!(engine.volatile_len(), volatile);
        while engine.has_remains() {
            engine.free_remains(10);
        }
        prop_assert_eq!((engine.remains.bytes(), engine.remaining_objects()), (0, 0));
    }
}

/// What of a key a client can see; access times are nobody's business.
fn seen(engine: &mut Engine, n: u32, now: u64) -> Option<String> {
    let found = engine.find(&key(n), now)?;
    let entry = engine.entry(found);
    let value = match entry.value() {
        Value::SortedSet(set) => format!("{:?}", set.range(0..set.len()).collect::<Vec<_>>()),
        value => format!("{value:?}"),
    };
    Some(format!("{value} {:?}", entry.deadline()))
}

proptest! {
    #[test]
    fn no_change_of_a_watched_key_is_missed(steps in prop::collection::vec(step(), 0..60)) {
        let (mut engine, mut model, mut now) = (engine(0, Policy::NoEviction), BTreeMap::new(), 1_000_000);
        for step in steps {
            let watches: Vec<_> = (0..60).map(|n| engine.watch(&key(n), now)).collect();
            let before: Vec<_> = (0..60).map(|n| seen(&mut engine, n, now)).collect();
            apply(&mut engine, &mut model, &mut now, step);
            for (n, watch) in (0..).zip(&watches) {
                let changed = engine.has_changed(watch, now);
                let differs = seen(&mut engine, n, now) != before[n as usize];
                prop_assert!(changed || !differs, "key {} after {:?}", n, step);
                engine.unwatch(watch);
            }
            prop_assert_eq!(engine.watched_len(), 0);
        }
    }
}

#[test]
fn an_evicted_key_has_changed() {
    let mut engine = engine(20_000, Policy::AllKeysRandom);
    engine.set(&key(0), Text::Int(1), None, 0);
    let watch = engine.watch(&key(0), 0);
    assert!(!engine.has_changed(&watch, 0));
    for n in 1..10_000 {
        engine.set(&key(n), Text::Bytes(&[0; 100]), None, 0);
        engine.make_room(0);
        if !has(&mut engine, 0, 0) {
            break;
        }
    }
    assert!(!has(&mut engine, 0, 0) && engine.has_changed(&watch, 0));
}

#[test]
fn due_keys_are_removed_within_the_budget() {
    let mut engine = engine(0, Policy::NoEviction);
    for n in 0..100 {
        engine.set(&key(n), Text::Int(1), Some(5_000), 0);
    }
    assert_eq!(engine.next_due(), Some(6_000));
    engine.expire_due(5_999, 1_000);
    assert_eq!(engine.len(), 100);
    engine.expire_due(6_000, 30);
    assert_eq!((engine.len(), engine.counters.expired), (70, 30));
    engine.expire_due(6_000, 1_000);
    assert_eq!((engine.len(), engine.next_due(), engine.used_memory() < 60_000), (0, None, true));
}

#[test]
fn a_full_node_without_eviction_says_so() {
    let mut engine = engine(10_000, Policy::NoEviction);
    let mut n = 0;
    while engine.make_room(0) == Room::Enough {
        engine.set(&key(n), Text::Bytes(&[0; 100]), None, 0);
        n += 1;
        assert!(n < 200, "the limit was never noticed");
    }
    assert!(engine.len() as u32 == n && !engine.must_evict());
}

/// Fills a node beyond its limit and returns it.
fn overfilled(policy: Policy, deadline: impl Fn(u32) -> Option<u64>) -> Engine {
    let mut engine = engine(2_000_000, policy);
    for n in 0..20_000 {
        let now = u64::from(n) * 64;
        assert_eq!(engine.make_room(now), Room::Enough, "key {n}");
        engine.set(&key(n), Text::Bytes(&[0; 100]), deadline(n), now);
    }
    assert!(engine.used_memory() <= 2_010_000, "{} bytes", engine.used_memory());
    assert!(engine.len() > 8_000, "{} keys are left", engine.len());
    engine
}

#[test]
fn lru_keeps_the_recently_used() {
    let mut engine = overfilled(Policy::AllKeysLru, |_| None);
    let now = 20_000 * 64;
    let recent = (18_000..20_000).filter(|n| has(&mut engine, *n, now)).count();
    let old = (0..2_000).filter(|n| has(&mut engine, *n, now)).count();
    assert!(recent > 1_990 && old < 100, "{recent} recent and {old} old keys are left");
}

#[test]
fn volatile_policies_spare_keys_without_deadline() {
    for policy in [Policy::VolatileLru, Policy::VolatileRandom, Policy::VolatileTtl] {
        let far = 1 << 40;
        let mut engine = overfilled(policy, |n| (n % 5 != 0).then_some(far + u64::from(n) * 1_000));
        let spared = (0..20_000).step_by(5).filter(|n| has(&mut engine, *n, 0)).count();
        assert_eq!(spared, 4_000, "{policy}");
    }
}

#[test]
fn volatile_ttl_takes_the_nearest_deadline_first() {
    let mut engine = overfilled(Policy::VolatileTtl, |n| Some((1 << 40) - u64::from(n) * 1_000));
    assert!(has(&mut engine, 0, 0) && !has(&mut engine, 19_000, 0));
}

#[test]
fn without_volatile_keys_a_volatile_policy_gives_up() {
    let mut engine = engine(1, Policy::VolatileLru);
    engine.set(b"k", Text::Int(1), None, 0);
    assert_eq!((engine.make_room(0), engine.len()), (Room::Exhausted, 1));
    // Nothing can be done, so nobody is to try again and again.
    assert!(!engine.must_evict());
}

#[test]
fn one_command_evicts_a_bounded_number_of_keys() {
    let mut engine = engine(0, Policy::AllKeysRandom);
    for n in 0..100_000 {
        engine.set(&key(n), Text::Int(1), None, 0);
    }
    engine.limits.maxmemory = engine.used_memory() * 99 / 100;
    engine.make_room(0);
    assert_eq!(engine.counters.evicted, super::room::EVICTIONS_PER_COMMAND as u64);
    assert!(engine.must_evict());
    // Far above the limit no command does more than another, but writes have to wait.
    engine.limits.maxmemory /= 2;
    assert_eq!(engine.make_room(0), Room::Exhausted);
    assert_eq!(engine.counters.evicted, 2 * super::room::EVICTIONS_PER_COMMAND as u64);
    let mut turns = 0;
    while engine.must_evict() {
        engine.make_room(0);
        turns += 1;
    }
    assert!((40..100).contains(&turns), "{turns} turns");
    assert_eq!(engine.make_room(0), Room::Enough);
}

fn add_members(engine: &mut Engine, n: u32, members: u32) {
    let added = engine.edit_sorted_set(&key(n), 0, true, |set, limits| {
        for member in 0..members {
            set.insert(format!("member-number-{member:020}").as_bytes(), f64::from(member), limits);
        }
        ((), true)
    });
    assert!(matches!(added, Ok(Some(()))));
}

#[test]
fn what_was_removed_stays_bounded_while_sets_come_and_go() {
    // Packed sets, ranked ones, and such that one of them is more than a command frees otherwise.
    for members in [70, 200, 3_000] {
        let mut engine = engine(8_000_000, Policy::AllKeysLru);
        for n in 0..400_000 / members {
            // What comes before a command, without an idle moment ever.
            engine.reclaim();
            assert_eq!(engine.make_room(0), Room::Enough);
            add_members(&mut engine, n, members);
            if n % 3 == 0 {
                let found = engine.find(&key(n), 0).expect("it was just added");
                engine.remove(found);
            }
            let (remains, one) = (engine.remains.bytes(), members as usize * 150);
            assert!(remains <= 8_000_000 / 16 + 2 * one, "{remains} bytes after {n} sets of {members}");
        }
        assert!(engine.counters.evicted > 10, "{} evicted", engine.counters.evicted);
    }
}

#[test]
fn commands_help_freeing_a_flushed_keyspace() {
    let mut engine = engine(4_000_000, Policy::NoEviction);
    for n in 0..20_000 {
        engine.set(&key(n), Text::Bytes(&[0; 100]), Some(9_000_000), 0);
    }
    engine.clear();
    let objects = engine.remaining_objects();
    assert!(objects > 20_000 && engine.remains.bytes() > 3_000_000, "{objects} objects");
    for _ in 0..100 {
        engine.reclaim();
    }
    assert!(engine.remains.bytes() <= 4_000_000 / 16, "{} bytes", engine.remains.bytes());
    // One big slice is everything.
    engine.free_remains(usize::MAX);
    assert!(!engine.has_remains());
}

#[test]
fn keys_used_before_the_clock_was_set_back_count_as_just_used() {
    let mut engine = engine(1_500_000, Policy::AllKeysLru);
    let now = 1 << 40;
    for n in 0..5_000 {
        engine.set(&key(n), Text::Bytes(&[0; 100]), None, now - 3_600_000);
    }
    for n in 0..500 {
        let found = engine.find(&key(n), now).expect("it is there");
        engine.touch(found, now);
    }
    let back = now - 2_000;
    assert_eq!(super::idle_ms(access_clock(now), back), 0);
    for n in 10_000..14_000 {
        assert_eq!(engine.make_room(back), Room::Enough);
        engine.set(&key(n), Text::Bytes(&[0; 100]), None, back);
    }
    assert!(engine.counters.evicted > 500, "{} evicted", engine.counters.evicted);
    let hot = (0..500).filter(|n| has(&mut engine, *n, back)).count();
    assert!(hot > 495, "{hot} hot keys are left");
}

#[test]
fn a_keyspace_that_became_empty_leaves_no_skeleton() {
    let mut engine = engine(0, Policy::AllKeysRandom);
    for n in 0..200_000 {
        engine.set(&key(n), Text::Int(1), None, 0);
    }
    let full = engine.used_memory();
    engine.limits.maxmemory = 20_000;
    while engine.must_evict() {
        engine.make_room(0);
    }
    assert!(full > 10_000_000 && engine.used_memory() <= 20_000, "{} bytes", engine.used_memory());
    engine.set(b"k", Text::Int(1), None, 0);
    assert_eq!((engine.make_room(0), has(&mut engine, 1, 0)), (Room::Enough, false));
    assert!(engine.find(b"k", 0).is_some());
}

#[test]
fn volatile_random_takes_no_account_of_deadlines() {
    let mut engine = engine(0, Policy::VolatileRandom);
    for n in 0..30_000 {
        // One in twenty has a deadline; one in ten of these a far one, each far from all others.
        let deadline = (n % 20 == 0).then(|| match n % 200 {
            0 => (1 << 41) + u64::from(n) * 10_000_000,
            _ => (1 << 40) + u64::from(n),
        });
        engine.set(&key(n), Text::Bytes(&[0; 50]), deadline, 0);
    }
    engine.limits.maxmemory = engine.used_memory();
    while engine.counters.evicted < 750 {
        engine.limits.maxmemory -= 1_000;
        engine.make_room(0);
    }
    let far = (0..30_000).step_by(200).filter(|n| has(&mut engine, *n, 0)).count();
    // Half of the 150 would be fair.
    assert!((50..100).contains(&far), "{far} of the far ones are left");
}

#[test]
fn reads_are_counted_and_noted() {
    let mut engine = engine(0, Policy::NoEviction);
    engine.set(b"k", Text::Int(1), None, 0);
    assert!(engine.read(b"k", 6_400, false).is_some_and(|entry| entry.accessed() == access_clock(6_400)));
    assert!(engine.read(b"k", 64_000, true).is_some_and(|entry| entry.accessed() == access_clock(6_400)));
    assert!(engine.read(b"x", 0, false).is_none());
    assert_eq!((engine.counters.hits, engine.counters.misses), (2, 1));
    assert_eq!(super::idle_ms(access_clock(6_400), 64_000), 57_600);
}
