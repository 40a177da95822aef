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

/// What makes a kind's count begin at 0, so that its first rise is one: Prometheus takes the first value of a series
/// for where it began.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Told {
    /// All kinds, whether they occurred or not.
    All,
    /// `ERR` and the three that tell of trouble, and those that occurred.
    Usual,
    /// `ERR`, so that there is something to watch, and those that occurred.
    Occurred,
}

impl Told {
    /// So many of the first words are told always.
    const fn always(self) -> usize {
        match self {
            Self::All => WORDS.len(),
            Self::Usual => 4,
            Self::Occurred => 1,
        }
    }
}

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

    /// The kinds that are told, and how often each occurred.
    pub(crate) fn by_kind(&self, told: Told) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.iter().map(Count::get).enumerate();
        let told = counts.filter(move |(index, count)| *index < told.always() || *count > 0);
        told.map(|(index, count)| (WORDS[index], count))
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
        let by_kind = |told| counts.by_kind(told).collect::<Vec<_>>();
        assert_eq!(by_kind(Told::Occurred), [("ERR", 0), ("WRONGTYPE", 1), ("OOM", 1), ("other", 3)]);
        assert_eq!(by_kind(Told::Usual)[3], ("UNAVAILABLE", 0));
        assert_eq!((by_kind(Told::Usual).len(), by_kind(Told::All).len()), (5, WORDS.len()));
    }
}
