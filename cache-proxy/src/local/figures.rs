//! What the nodes say of themselves in `INFO`, added up to what one Redis would say.
//!
//! Amounts (memory, keys) are those of the nodes that answered last. Counters (hits, evictions) never fall: what a
//! node had counted before it restarted, or went away, stays in the sum. A monitor takes a counter that falls for
//! one that was reset, and counts all of it once more.
//!
//! Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cluster::NodeId;

use crate::plan::merge::Cursor;

/// How long an answer stands: the nodes are asked at most once in this time, however many clients say INFO. Some
/// do whenever they connect.
pub(crate) const STANDS_FOR: Duration = Duration::from_secs(1);

/// Most nodes that are known one by one: as many as a cluster has at most. So only those are ever too many that have left;
/// their ids may be made up anew each time.
const MOST_NODES: usize = Cursor::MOST_NODES;

/// Fields that are added up.
const AMOUNTS: [&str; 6] = [
    "used_memory",
    "used_memory_rss",
    "used_memory_peak",
    "used_memory_dataset",
    "maxmemory",
    "instantaneous_ops_per_sec",
];

/// Fields that are added up and never fall.
const COUNTERS: [&str; 4] = ["expired_keys", "evicted_keys", "keyspace_hits", "keyspace_misses"];

/// The figures of one node.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct OfNode {
    amounts: [u64; AMOUNTS.len()],
    counters: [u64; COUNTERS.len()],
    /// What the counters had reached when the node began to count anew.
    before: [u64; COUNTERS.len()],
    policy: String,
    keys: u64,
    expires: u64,
    avg_ttl: u64,
    answered: Option<Instant>,
}

/// The figures of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    nodes: HashMap<NodeId, OfNode>,
    /// What the counters of nodes had reached that are forgotten.
    forgotten: [u64; COUNTERS.len()],
    /// When a round of questions ended last.
    asked: Option<Instant>,
    /// When that round began.
    began: Option<Instant>,
}

/// The keys of the one database.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keyspace {
    pub(crate) keys: u64,
    pub(crate) expires: u64,
    /// In milliseconds.
    pub(crate) avg_ttl: u64,
}

impl Figures {
    /// Whether there is no need to ask again.
    pub(crate) fn stand(&self, now: Instant) -> bool {
        self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < STANDS_FOR)
    }

    /// Takes what a node said.
    pub(crate) fn take(&mut self, node: &NodeId, info: &str, now: Instant) {
        if self.nodes.len() >= MOST_NODES && !self.nodes.contains_key(node) {
            self.forget_oldest();
        }
        let known = self.nodes.entry(node.clone()).or_default();
        let mut said = OfNode { answered: Some(now), ..OfNode::default() };
        for line in info.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let number = || value.trim().parse().unwrap_or(0);
            if let Some(index) = AMOUNTS.iter().position(|known| *known == name) {
                said.amounts[index] = number();
            } else if let Some(index) = COUNTERS.iter().position(|known| *known == name) {
                said.counters[index] = number();
            } else if name == "maxmemory_policy" {
                value.trim().clone_into(&mut said.policy);
            } else if name == "db0" {
                said.take_keyspace(value);
            }
        }
        for (index, before) in said.before.iter_mut().enumerate() {
            let began_anew = said.counters[index] < known.counters[index];
            *before = known.before[index] + if began_anew { known.counters[index] } else { 0 };
        }
        *known = said;
    }

    /// Forgets the node that has not answered for longest, but for what it had counted.
    fn forget_oldest(&mut self) {
        let oldest = self.nodes.iter().min_by_key(|(_, node)| node.answered).map(|(id, _)| id.clone());
        let Some(gone) = oldest.and_then(|id| self.nodes.remove(&id)) else { return };
        for (index, forgotten) in self.forgotten.iter_mut().enumerate() {
            *forgotten += gone.counted(index);
        }
    }

    /// A round of questions that began then has ended.
    pub(crate) fn end_round(&mut self, began: Instant, now: Instant) {
        self.began = Some(began);
        self.asked = Some(now);
    }

    /// The nodes that answered in the last round.
    fn present(&self) -> impl Iterator<Item = &OfNode> {
        let began = self.began;
        self.nodes.values().filter(move |node| node.answered >= began)
    }

    /// How many nodes these figures are of.
    pub(crate) fn answered(&self) -> usize {
        self.present().count()
    }

    /// The sum of an amount.
    pub(crate) fn amount(&self, name: &str) -> u64 {
        let index = AMOUNTS.iter().position(|known| *known == name);
        index.map_or(0, |index| self.present().map(|node| node.amounts[index]).sum())
    }

    /// The sum of the limits of memory; 0 when a node has none.
    pub(crate) fn maxmemory(&self) -> u64 {
        let index = AMOUNTS.iter().position(|known| *known == "maxmemory");
        let limits = || self.present().map(|node| index.map_or(0, |index| node.amounts[index]));
        if limits().any(|limit| limit == 0) { 0 } else { limits().sum() }
    }

    /// What the nodes do when their memory is full, if they all do the same.
    pub(crate) fn policy(&self) -> &str {
        let mut policies = self.present().map(|node| node.policy.as_str());
        let first = policies.next().unwrap_or_default();
        if policies.all(|policy| policy == first) { first } else { "mixed" }
    }

    /// All counters by name.
    pub(crate) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let sum = |index| self.nodes.values().map(|node| node.counted(index)).sum::<u64>();
        COUNTERS.into_iter().enumerate().map(move |(index, name)| (name, self.forgotten[index] + sum(index)))
    }

    /// The keys of all nodes.
    pub(crate) fn keyspace(&self) -> Keyspace {
        let mut all = Keyspace::default();
        let mut ttls = 0_u128;
        for node in self.present() {
            all.keys += node.keys;
            all.expires += node.expires;
            ttls += u128::from(node.avg_ttl) * u128::from(node.expires);
        }
        // A mean is not larger than the largest.
        all.avg_ttl = ttls.checked_div(all.expires.into()).unwrap_or(0) as u64;
        all
    }
}

impl OfNode {
    /// What a counter has reached.
    fn counted(&self, index: usize) -> u64 {
        self.before[index] + self.counters[index]
    }

    /// `keys=1,expires=0,avg_ttl=0`
    fn take_keyspace(&mut self, text: &str) {
        for (name, value) in text.split(',').filter_map(|field| field.split_once('=')) {
            let number = value.trim().parse().unwrap_or(0);
            match name {
                "keys" => self.keys = number,
                "expires" => self.expires = number,
                "avg_ttl" => self.avg_ttl = number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    #[test]
    fn figures_of_nodes_are_added_up() {
        let (mut figures, now) = (Figures::default(), Instant::now());
        assert!(!figures.stand(now));
        let first = "# Memory\r\nused_memory:100\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n\
                     evicted_keys:3\r\nused_memory_human:1M\r\nno colon\r\ndb0:keys=3,expires=1,avg_ttl=900\r\n";
        let second = "used_memory:50\r\nmaxmemory:500\r\nmaxmemory_policy:allkeys-lru\r\n\
                      evicted_keys:4\r\ndb0:keys=5,expires=2,avg_ttl=300\r\n";
        figures.take(&id("a"), first, now);
        figures.take(&id("b"), second, now);
        figures.end_round(now, now);
        assert_eq!((figures.amount("used_memory"), figures.maxmemory(), figures.answered()), (150, 1500, 2));
        assert_eq!(figures.policy(), "allkeys-lru");
        assert_eq!(figures.keyspace(), Keyspace { keys: 8, expires: 3, avg_ttl: 500 });
        assert!(figures.counters().any(|counter| counter == ("evicted_keys", 7)));
        assert!(figures.stand(now + STANDS_FOR / 2) && !figures.stand(now + STANDS_FOR));
        figures.take(&id("b"), "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n", now);
        assert_eq!((figures.maxmemory(), figures.policy()), (0, "mixed"));
    }

    #[test]
    fn counters_never_fall_and_amounts_are_those_of_now() {
        let (mut figures, start) = (Figures::default(), Instant::now());
        let hits =
            |figures: &Figures| figures.counters().find(|(name, _)| *name == "keyspace_hits").unwrap().1;
        for (seconds, says, expected) in [(0, 10, 10), (1, 15, 15), (2, 4, 19), (3, 6, 21)] {
            let now = start + Duration::from_secs(seconds);
            figures.take(&id("a"), &format!("keyspace_hits:{says}\r\nused_memory:7\r\n"), now);
            figures.end_round(now, now);
            assert_eq!(hits(&figures), expected);
        }
        // Nobody answers.
        let later = start + Duration::from_secs(9);
        figures.end_round(later, later);
        assert_eq!((hits(&figures), figures.amount("used_memory"), figures.answered()), (21, 0, 0));
    }

    #[test]
    fn nodes_that_left_are_forgotten_in_the_end_and_what_they_counted_is_not() {
        let (mut figures, start) = (Figures::default(), Instant::now());
        for number in 0..MOST_NODES + 5 {
            let now = start + Duration::from_secs(number as u64);
            figures.take(&id(&format!("n{number}")), "keyspace_hits:1\r\nused_memory:7\r\n", now);
            figures.end_round(now, now);
        }
        assert_eq!(
            (figures.nodes.len(), figures.answered(), figures.amount("used_memory")),
            (MOST_NODES, 1, 7)
        );
        assert!(figures.counters().any(|counter| counter == ("keyspace_hits", MOST_NODES as u64 + 5)));
        assert!(!figures.nodes.contains_key(&id("n4")) && figures.nodes.contains_key(&id("n5")));
    }
}
