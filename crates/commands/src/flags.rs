//! The flags of a command, under the names that `COMMAND INFO` gives them.
//!
//! The table writes them as words in one string, like Redis' own table once did; the words become bits at
//! compile time, and a misspelt word is a compile error.

/// A set of command flags.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

/// Every flag with its name in `COMMAND INFO`, in the order in which replies list them.
const NAMES: [(&str, Flags); 20] = [
    ("write", Flags::WRITE),
    ("readonly", Flags::READONLY),
    ("denyoom", Flags::DENYOOM),
    ("admin", Flags::ADMIN),
    ("pubsub", Flags::PUBSUB),
    ("noscript", Flags::NOSCRIPT),
    ("blocking", Flags::BLOCKING),
    ("loading", Flags::LOADING),
    ("stale", Flags::STALE),
    ("skip_monitor", Flags::SKIP_MONITOR),
    ("skip_slowlog", Flags::SKIP_SLOWLOG),
    ("asking", Flags::ASKING),
    ("fast", Flags::FAST),
    ("no_auth", Flags::NO_AUTH),
    ("may_replicate", Flags::MAY_REPLICATE),
    ("no_async_loading", Flags::NO_ASYNC_LOADING),
    ("no_multi", Flags::NO_MULTI),
    ("movablekeys", Flags::MOVABLEKEYS),
    ("allow_busy", Flags::ALLOW_BUSY),
    ("no_mandatory_keys", Flags::NO_MANDATORY_KEYS),
];

impl Flags {
    /// No flag at all.
    pub const NONE: Self = Self(0);
    /// May change the data.
    pub const WRITE: Self = Self(1);
    /// Never changes the data.
    pub const READONLY: Self = Self(1 << 1);
    /// May grow the data: refused when the node is over `maxmemory` and nothing can be evicted.
    pub const DENYOOM: Self = Self(1 << 2);
    /// Administers the server.
    pub const ADMIN: Self = Self(1 << 3);
    /// Belongs to publish/subscribe.
    pub const PUBSUB: Self = Self(1 << 4);
    /// Not allowed inside a script.
    pub const NOSCRIPT: Self = Self(1 << 5);
    /// May block the connection.
    pub const BLOCKING: Self = Self(1 << 6);
    /// Allowed while the server loads its data.
    pub const LOADING: Self = Self(1 << 7);
    /// Allowed on a replica with stale data.
    pub const STALE: Self = Self(1 << 8);
    /// Not shown to `MONITOR`.
    pub const SKIP_MONITOR: Self = Self(1 << 9);
    /// Not kept in the slow log.
    pub const SKIP_SLOWLOG: Self = Self(1 << 10);
    /// Accepted for a slot that is being imported.
    pub const ASKING: Self = Self(1 << 11);
    /// Takes constant or logarithmic time.
    pub const FAST: Self = Self(1 << 12);
    /// Allowed before authentication.
    pub const NO_AUTH: Self = Self(1 << 13);
    /// Writes when its arguments or its script do.
    pub const MAY_REPLICATE: Self = Self(1 << 14);
    /// Not allowed while a replica loads data in the background.
    pub const NO_ASYNC_LOADING: Self = Self(1 << 15);
    /// Not allowed inside `MULTI`.
    pub const NO_MULTI: Self = Self(1 << 16);
    /// The first, last and step of `COMMAND` do not name all the keys.
    pub const MOVABLEKEYS: Self = Self(1 << 17);
    /// Allowed while a script runs for too long.
    pub const ALLOW_BUSY: Self = Self(1 << 18);
    /// Takes keys but may be called without any.
    pub const NO_MANDATORY_KEYS: Self = Self(1 << 19);

    /// Are all flags of `other` in this set?
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names, as `COMMAND INFO` lists them.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        NAMES.iter().filter(move |(_, flag)| self.contains(*flag)).map(|(name, _)| *name)
    }

    /// The flag called by the `length` bytes of `words` from `start` on, if there is one.
    pub(crate) const fn named(words: &[u8], start: usize, length: usize) -> Option<Self> {
        let mut i = 0;
        while i < NAMES.len() {
            if word_is(words, start, length, NAMES[i].0.as_bytes()) {
                return Some(NAMES[i].1);
            }
            i += 1;
        }
        None
    }
}

/// Compares one word of a table string; slices and `==` are not available at compile time.
pub(crate) const fn word_is(words: &[u8], start: usize, length: usize, name: &[u8]) -> bool {
    if length != name.len() {
        return false;
    }
    let mut i = 0;
    while i < length {
        if words[start + i] != name[i] {
            return false;
        }
        i += 1;
    }
    true
}

impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_its_own_bit_and_name() {
        let all = NAMES.iter().fold(Flags::NONE, |set, (_, flag)| set.with(*flag));
        assert_eq!(all.0.count_ones() as usize, NAMES.len());
        for (name, flag) in NAMES {
            assert_eq!(Flags::named(name.as_bytes(), 0, name.len()), Some(flag));
            assert_eq!(flag.names().collect::<Vec<_>>(), [name]);
        }
        assert_eq!(Flags::named(b"fastest", 0, 7), None);
    }
}
