//! The kinds of error replies: the word in capitals that they begin with.
//!
//! There are few, and whoever counts by them must not be made to count without end by a node's scripts, which can
//! make up words. So they are listed, and the rest is one kind.

use crate::metrics::count::Count;

/// The words, those of Redis and Valkey and the proxy's own. The last stands for all others.
const WORDS: [&str; 25] = [
    "ERR",
    "WRONGTYPE",
    "OOM",
    "UNAVAILABLE",
    "CROSSSLOT",
    "LOADING",
    "BUSY",
    "NOSCRIPT",
    "EXECABORT",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "NOPROTO",
    "READONLY",
    "MISCONF",
    "NOREPLICAS",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "MOVED",
    "ASK",
    "BUSYGROUP",
    "NOGROUP",
    "BUSYKEY",
    "UNKILLABLE",
    OTHER,
];

const OTHER: &str = "other";

/// Error replies by kind; one thread counts, any may read.
#[derive(Debug, Default)]
pub(crate) struct ErrorCounts([Count; WORDS.len()]);

impl ErrorCounts {
    /// Counts an error by its text, with or without the `-` in front.
    #[cold]
    pub(crate) fn add(&self, text: &[u8]) {
        let text = text.strip_prefix(b"-").unwrap_or(text);
        let is_end = |byte: &u8| matches!(byte, b' ' | b'\r' | b'\n');
        let word = &text[..text.iter().position(is_end).unwrap_or(text.len())];
        let kind = WORDS.iter().position(|known| known.as_bytes() == word).unwrap_or(WORDS.len() - 1);
        self.0[kind].add(1);
    }

    /// The kinds that occurred, and `ERR`, which is always told, so that there is something to watch.
    pub(crate) fn by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = WORDS.into_iter().zip(&self.0).map(|(word, count)| (word, count.get()));
        counts.filter(|(word, count)| *word == WORDS[0] || *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_first_word() {
        let counts = ErrorCounts::default();
        for text in ["-WRONGTYPE Operation against\r\n", "OOM\r\n", "-MINE made up\r\n", "other one", "-\r\n"]
        {
            counts.add(text.as_bytes());
        }
        let by_kind: Vec<_> = counts.by_kind().collect();
        assert_eq!(by_kind, [("ERR", 0), ("WRONGTYPE", 1), ("OOM", 1), ("other", 3)]);
    }
}
