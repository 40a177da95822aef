//! What the nodes say of their settings in `CONFIG GET`, made one for the whole.
//!
//! Only what clients act upon is asked for, and what `INFO` does not tell. Each rule gives what holds for every key,
//! whichever node serves it; so while one of the nodes that were asked has not said it, nothing is known.
//!
//! Pure.

use std::time::Instant;

use resp::Elements;

use crate::local::figures::STANDS_FOR;

/// What a node is asked. One pattern, because servers before 7.0 take no more of them; the other names that it fits are
/// passed over.
pub(crate) const QUESTION: [&[u8]; 3] = [b"CONFIG", b"GET", b"[ns][lo]*"];

const NOTIFY: &str = "notify-keyspace-events";
const SLOWER_THAN: &str = "slowlog-log-slower-than";
const MAX_LEN: &str = "slowlog-max-len";

/// The settings that the nodes are asked for.
pub(crate) const NAMES: [&str; 3] = [NOTIFY, SLOWER_THAN, MAX_LEN];

/// The settings of all nodes.
#[derive(Debug, Default)]
pub(crate) struct NodeSettings {
    said: Vec<OfNode>,
    /// All that were asked have said it.
    is_whole: bool,
    /// When a round of questions ended last.
    asked: Option<Instant>,
}

/// The settings of one node. One that has no slow log notes nothing.
#[derive(Debug)]
struct OfNode {
    notify: String,
    slower_than: i64,
    max_len: u64,
}

impl NodeSettings {
    /// Whether there is no need to ask again.
    pub(crate) fn stand(&self, now: Instant) -> bool {
        self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < STANDS_FOR)
    }

    /// Takes what a node said. An error says nothing.
    pub(crate) fn take(&mut self, reply: &[u8]) {
        let Some(mut elements) = Elements::of(reply) else { return };
        let mut node = OfNode { notify: String::new(), slower_than: -1, max_len: 0 };
        while let (Some(Ok(name)), Some(Ok(value))) = (elements.next(), elements.next()) {
            let (Some(name), Some(value)) = (text(name), text(value)) else { continue };
            match name {
                NOTIFY => value.clone_into(&mut node.notify),
                SLOWER_THAN => node.slower_than = value.parse().unwrap_or(node.slower_than),
                MAX_LEN => node.max_len = value.parse().unwrap_or(node.max_len),
                _ => {}
            }
        }
        self.said.push(node);
    }

    /// A round in which so many nodes were asked has ended.
    pub(crate) fn end_round(&mut self, nodes: usize, now: Instant) {
        self.is_whole = self.said.len() == nodes;
        self.asked = Some(now);
    }

    /// The settings by name; none unless all nodes have said theirs.
    pub(crate) fn values(&self) -> Vec<(&'static str, String)> {
        let [first, ..] = self.said.as_slice() else { return Vec::new() };
        if !self.is_whole {
            return Vec::new();
        }
        // Who listens for events hears of some keys and not of others where nodes differ.
        let is_same = self.said.iter().all(|node| node.notify == first.notify);
        let notify = if is_same { first.notify.clone() } else { String::new() };
        // What takes as long as the largest is noted wherever it runs, unless a node notes nothing.
        let notes_all = self.said.iter().all(|node| node.slower_than >= 0);
        let slowest = self.said.iter().map(|node| node.slower_than).max().filter(|_| notes_all);
        let kept = self.said.iter().fold(0_u64, |sum, node| sum.saturating_add(node.max_len));
        vec![(NOTIFY, notify), (SLOWER_THAN, slowest.unwrap_or(-1).to_string()), (MAX_LEN, kept.to_string())]
    }
}

/// The text of a bulk string.
fn text(element: &[u8]) -> Option<&str> {
    let (_, text) = std::str::from_utf8(element.strip_prefix(b"$")?).ok()?.split_once("\r\n")?;
    text.strip_suffix("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(nodes: &[&[&str]]) -> Vec<String> {
        let mut settings = NodeSettings::default();
        for words in nodes {
            let mut reply = format!("*{}\r\n", words.len());
            words.iter().for_each(|word| reply += &format!("${}\r\n{word}\r\n", word.len()));
            settings.take(reply.as_bytes());
        }
        settings.end_round(nodes.len(), Instant::now());
        settings.values().into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn what_is_told_holds_for_every_key() {
        let first: &[&str] = &[SLOWER_THAN, "10000", MAX_LEN, "128", NOTIFY, "KEA", "save", ""];
        assert_eq!(said(&[first, first]), ["KEA", "10000", "256"]);
        assert_eq!(said(&[first, &[NOTIFY, "K", SLOWER_THAN, "5", MAX_LEN, "1"]]), ["", "10000", "129"]);
        assert_eq!(said(&[first, &[NOTIFY, "KEA", SLOWER_THAN, "-1", MAX_LEN, "128"]]), ["KEA", "-1", "256"]);
        assert_eq!(said(&[&[]]), ["", "-1", "0"], "a node without a slow log");
        assert_eq!(said(&[first, &[MAX_LEN, "many", SLOWER_THAN]]), ["", "-1", "128"]);
    }

    #[test]
    fn an_error_says_nothing_and_an_answer_stands_for_a_while() {
        let (mut settings, now) = (NodeSettings::default(), Instant::now());
        settings.take(b"*2\r\n$15\r\nslowlog-max-len\r\n$3\r\n128\r\n");
        settings.take(b"-NOPERM this user has no permissions\r\n");
        assert!(settings.values().is_empty() && !settings.stand(now));
        settings.end_round(2, now);
        assert!(settings.values().is_empty(), "what one of two says holds for no whole");
        assert!(settings.stand(now + STANDS_FOR / 2) && !settings.stand(now + STANDS_FOR));
        settings.end_round(1, now);
        assert_eq!(settings.values().len(), NAMES.len());
    }
}
