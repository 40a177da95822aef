//! The access control categories of a command, as the seventh element of `COMMAND INFO` lists them.
//!
//! Most of them follow from the flags and the group, and are derived; the table adds the few that do not.

use crate::flags::word_is;
use crate::{Flags, Group};

/// A set of access control categories.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Categories(u32);

const NAMES: [&str; 21] = [
    "@keyspace",
    "@read",
    "@write",
    "@set",
    "@sortedset",
    "@list",
    "@hash",
    "@string",
    "@bitmap",
    "@hyperloglog",
    "@geo",
    "@stream",
    "@pubsub",
    "@admin",
    "@fast",
    "@slow",
    "@blocking",
    "@dangerous",
    "@connection",
    "@transaction",
    "@scripting",
];

impl Categories {
    /// No category.
    pub(crate) const NONE: Self = Self(0);

    /// The names, each with its `@`.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        NAMES.iter().enumerate().filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| *name)
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The category called by the `length` bytes of `words` from `start` on, if there is one.
    pub(crate) const fn named(words: &[u8], start: usize, length: usize) -> Option<Self> {
        let mut bit = 0;
        while bit < NAMES.len() {
            if word_is(words, start, length, NAMES[bit].as_bytes()) {
                return Some(Self(1 << bit));
            }
            bit += 1;
        }
        None
    }

    /// What flags and group imply. A command with subcommands has only its speed: the rest is theirs.
    pub(crate) const fn implied(flags: Flags, group: Group, has_subcommands: bool) -> Self {
        let speed = if flags.contains(Flags::FAST) { "@fast" } else { "@slow" };
        let mut set = of(speed);
        if has_subcommands {
            return set;
        }
        if let Some(name) = of_group(group) {
            set = set.with(of(name));
        }
        if flags.contains(Flags::WRITE) {
            set = set.with(of("@write"));
        }
        // Scripts may do both, so Redis counts none of them as a read.
        if flags.contains(Flags::READONLY) && !matches!(group, Group::Scripting) {
            set = set.with(of("@read"));
        }
        if flags.contains(Flags::ADMIN) {
            set = set.with(of("@admin")).with(of("@dangerous"));
        }
        if flags.contains(Flags::PUBSUB) {
            set = set.with(of("@pubsub"));
        }
        if flags.contains(Flags::BLOCKING) {
            set = set.with(of("@blocking"));
        }
        set
    }
}

const fn of_group(group: Group) -> Option<&'static str> {
    Some(match group {
        Group::String => "@string",
        Group::Bitmap => "@bitmap",
        Group::HyperLogLog => "@hyperloglog",
        Group::Generic => "@keyspace",
        Group::Hash => "@hash",
        Group::List => "@list",
        Group::Set => "@set",
        Group::SortedSet => "@sortedset",
        Group::Stream => "@stream",
        Group::Geo => "@geo",
        Group::Transactions => "@transaction",
        Group::Scripting => "@scripting",
        Group::Connection => "@connection",
        Group::PubSub | Group::Server | Group::Cluster => return None,
    })
}

const fn of(name: &str) -> Categories {
    match Categories::named(name.as_bytes(), 0, name.len()) {
        Some(category) => category,
        None => panic!("unknown category"),
    }
}

impl std::fmt::Debug for Categories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
