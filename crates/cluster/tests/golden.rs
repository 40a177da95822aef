//! Golden vectors: where keys live, fixed for ever.
//!
//! A release that moves a key empties the cache of everyone who upgrades, and two releases that
//! disagree serve stale values while both run. So these files are never regenerated: a failing test
//! here means that the change under test must not be made.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod views;

use std::collections::BTreeMap;

use cluster::{DEFAULT_SLOTS, MAX_SLOTS, MIN_SLOTS, Routing, Slot, SlotCount, Status, View, ViewProxy};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use views::{equal_nodes, view_of};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Golden {
    /// Key -> its slot of 2^10, 2^16 and 2^20.
    keys: BTreeMap<String, [u32; 3]>,
    /// Name of the cluster -> what its ring says.
    rings: BTreeMap<String, GoldenRing>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct GoldenRing {
    /// Owners of slots 0, 2048, 4096, ...
    every_2048th: Vec<String>,
    /// xxh3_64 of the owners of all slots, each followed by a newline.
    all: String,
}

fn slots_of(key: &str) -> [u32; 3] {
    [MIN_SLOTS, DEFAULT_SLOTS, MAX_SLOTS].map(|count| SlotCount::new(count).unwrap().slot(key.as_bytes()).0)
}

fn ring_of(view: &View) -> GoldenRing {
    let routing = Routing::compile(view, None).unwrap();
    let owner = |slot| routing.node(routing.owner(Slot(slot))).node_id.to_string();
    let all: String = (0..DEFAULT_SLOTS).map(|slot| owner(slot) + "\n").collect();
    GoldenRing {
        every_2048th: (0..DEFAULT_SLOTS).step_by(2_048).map(owner).collect(),
        all: format!("{:016x}", xxh3_64(all.as_bytes())),
    }
}

#[test]
fn no_key_ever_moves() {
    let keys =
        ["", "a", "foo", "user:1000", "{user:1000}.cart", "x{}y", "naïve", "key:000000000042", "\r\n\0"];
    let weighted = [("big", 4), ("small", 1), ("spare", 2)].map(|(id, weight)| (id.to_owned(), weight));
    let rings = [
        ("3 equal", equal_nodes(3)),
        ("10 equal", equal_nodes(10)),
        ("50 equal", equal_nodes(50)),
        ("weighted big=4 small=1 spare=2", view_of(&weighted)),
        ("3 equal, 160 points", View { points: 160, ..equal_nodes(3) }),
    ];
    let actual = Golden {
        keys: keys.iter().map(|key| ((*key).to_owned(), slots_of(key))).collect(),
        rings: rings.iter().map(|(name, view)| ((*name).to_owned(), ring_of(view))).collect(),
    };
    let golden: Golden = serde_json::from_str(include_str!("golden/routing.json")).unwrap();
    assert_eq!(actual, golden, "{}", serde_json::to_string_pretty(&actual).unwrap());
}

#[test]
fn the_view_reads_and_writes_as_published() {
    let json = include_str!("golden/view.json");
    let view = View::from_json(json.as_bytes()).unwrap();
    let mut expected = equal_nodes(2);
    expected.epoch = 42;
    expected.nodes[0].zone = Some("a".to_owned());
    expected.nodes[0].run_id = Some("0123456789abcdef0123456789abcdef01234567".to_owned());
    expected.nodes[1].status = Status::Unhealthy;
    expected.nodes[1].routable = false;
    expected.nodes[1].weight = 2;
    expected.proxies = vec![ViewProxy {
        node_id: "proxy1".parse().unwrap(),
        host: "127.0.0.1".to_owned(),
        port: 6_382,
        zone: None,
    }];
    assert_eq!(view, expected);
    assert_eq!(serde_json::to_string_pretty(&view).unwrap(), json.trim_end());
}
