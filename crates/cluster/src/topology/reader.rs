//! Reads a topology from what an operator wrote, and collects every mistake on the way.

use std::collections::HashMap;
use std::fmt;

use toml::{Table, Value};

use super::{MAX_NODES, MAX_POINTS, MAX_WEIGHT, Member, Topology, TopologyError};
use crate::slot::{MAX_SLOTS, MIN_SLOTS, SlotCount};

/// Collects the mistakes of one source.
#[derive(Default)]
pub(super) struct Reader {
    mistakes: Vec<String>,
}

impl Reader {
    fn mistake(&mut self, text: String) {
        self.mistakes.push(text);
    }

    pub(super) fn refuse_unknown_keys(&mut self, table: &Table, place: &str, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
            self.mistake(format!("{place}unknown key {key:?} (known: {})", known.join(", ")));
        }
    }

    pub(super) fn number(&mut self, table: &Table, place: &str, key: &str, default: u32) -> u32 {
        match table.get(key) {
            None => default,
            Some(Value::Integer(n)) => u32::try_from(*n).unwrap_or_else(|_| {
                self.mistake(format!("{place}{key} = {n} is out of range"));
                default
            }),
            Some(other) => {
                self.mistake(format!("{place}{key} must be a number, not a {}", other.type_str()));
                default
            }
        }
    }

    fn text<'a>(&mut self, table: &'a Table, place: &str, key: &str) -> Option<&'a str> {
        match table.get(key)? {
            Value::String(text) => Some(text),
            other => {
                self.mistake(format!("{place}{key} must be a text, not a {}", other.type_str()));
                None
            }
        }
    }

    pub(super) fn members(&mut self, table: &Table, key: &str) -> Vec<Member> {
        let entries = match table.get(key) {
            None => return Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(_) => {
                self.mistake(format!("{key} must be written as [[{key}]]"));
                return Vec::new();
            }
        };
        let numbered = (1..).zip(entries);
        numbered.filter_map(|(number, entry)| self.member(entry, key, number)).collect()
    }

    fn member(&mut self, entry: &Value, key: &str, number: usize) -> Option<Member> {
        let Value::Table(entry) = entry else {
            self.mistake(format!("{key} {number} must be written as [[{key}]]"));
            return None;
        };
        let name = entry.get("id").and_then(Value::as_str);
        let place = name.map_or(format!("{key} {number}: "), |id| format!("{key} {number} ({id}): "));
        let known: &[&str] = match key {
            "node" => &["id", "address", "zone", "weight"],
            _ => &["id", "address", "zone"],
        };
        self.refuse_unknown_keys(entry, &place, known);
        let weight = self.number(entry, &place, "weight", 1);
        if !(1..=MAX_WEIGHT).contains(&weight) {
            self.mistake(format!("{place}weight = {weight} is not 1 to {MAX_WEIGHT}"));
        }
        let zone = self.text(entry, &place, "zone").map(str::to_owned);
        let id = self.required(entry, &place, "id").and_then(|text| self.parse(&place, text));
        let address = self.required(entry, &place, "address").and_then(|text| self.parse(&place, text));
        Some(Member { id: id?, address: address?, zone, weight })
    }

    fn required<'a>(&mut self, entry: &'a Table, place: &str, key: &str) -> Option<&'a str> {
        if !entry.contains_key(key) {
            self.mistake(format!("{place}{key} is missing"));
        }
        self.text(entry, place, key)
    }

    fn parse<T: std::str::FromStr<Err: fmt::Display>>(&mut self, place: &str, text: &str) -> Option<T> {
        text.parse().map_err(|e| self.mistake(format!("{place}{e}"))).ok()
    }

    pub(super) fn list(&mut self, list: &str) -> Vec<Member> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.filter_map(|entry| self.list_entry(entry)).collect()
    }

    fn list_entry(&mut self, entry: &str) -> Option<Member> {
        let Some((id, address)) = entry.split_once('=') else {
            self.mistake(format!("{entry:?} is not ID=HOST:PORT"));
            return None;
        };
        let place = format!("{id}: ");
        let id = self.parse(&place, id);
        let address = self.parse(&place, address);
        Some(Member { id: id?, address: address?, zone: None, weight: 1 })
    }

    pub(super) fn finish(
        mut self,
        slots: u32,
        points: u32,
        nodes: Vec<Member>,
        proxies: Vec<Member>,
    ) -> Result<Topology, TopologyError> {
        self.check_sizes(&nodes, &proxies);
        self.check_unique(nodes.iter().chain(&proxies));
        self.check_points(points, &nodes);
        let count = SlotCount::new(slots);
        if count.is_none() {
            self.mistake(format!("slots = {slots} is not a power of two from {MIN_SLOTS} to {MAX_SLOTS}"));
        }
        match count {
            Some(slots) if self.mistakes.is_empty() => Ok(Topology { slots, points, nodes, proxies }),
            _ => Err(TopologyError { mistakes: self.mistakes }),
        }
    }

    fn check_sizes(&mut self, nodes: &[Member], proxies: &[Member]) {
        // With mistakes found, the nodes may only be missing because each of them had one.
        if nodes.is_empty() && self.mistakes.is_empty() {
            self.mistake("there are no nodes".to_owned());
        }
        for (count, what) in [(nodes.len(), "nodes"), (proxies.len(), "proxies")] {
            if count > MAX_NODES {
                self.mistake(format!("{count} {what} are more than {MAX_NODES}"));
            }
        }
    }

    fn check_unique<'a>(&mut self, members: impl Iterator<Item = &'a Member>) {
        let mut ids = HashMap::new();
        let mut addresses = HashMap::new();
        for member in members {
            if ids.insert(&member.id, ()).is_some() {
                self.mistake(format!("id {} appears more than once", member.id));
            }
            if let Some(other) = addresses.insert(&member.address, &member.id) {
                self.mistake(format!("address {} is that of {other} and of {}", member.address, member.id));
            }
        }
    }

    fn check_points(&mut self, points: u32, nodes: &[Member]) {
        let weight: u64 = nodes.iter().map(|node| u64::from(node.weight)).sum();
        let total = weight * u64::from(points);
        if points == 0 {
            self.mistake("points = 0 is not at least 1".to_owned());
        }
        if total > MAX_POINTS {
            self.mistake(format!(
                "points = {points} makes {total} ring points for a total weight of {weight}; the limit is {MAX_POINTS}"
            ));
        }
    }
}
