//! The words in which rows are written.

use crate::{Categories, Class, Command, CommandId, CountRule, Flags, Group, Idempotence, KeySpec};

pub(super) const NONE: KeySpec = KeySpec::None;
/// Argument 1 is the key: most commands.
pub(super) const KEY: KeySpec = key(1);
/// Every argument is a key.
pub(super) const KEYS: KeySpec = range(1, -1, 1);
/// Arguments 1 and 2 are keys.
pub(super) const TWO_KEYS: KeySpec = range(1, 2, 1);
/// Every argument but the last, which is a timeout.
pub(super) const KEYS_TIMEOUT: KeySpec = range(1, -2, 1);
/// Keys and values in turn.
pub(super) const PAIRS: KeySpec = range(1, -1, 2);

/// How many pairs, then as many keys and values in turn.
pub(super) const COUNTED_PAIRS: KeySpec =
    KeySpec::Counted { destination: false, count: 1, step: 2, rule: CountRule::Pairs };

pub(super) const fn key(position: u8) -> KeySpec {
    range(position, position as i8, 1)
}

pub(super) const fn range(first: u8, last: i8, step: u8) -> KeySpec {
    KeySpec::Range { first, last, step }
}

/// The number at `count`, then as many keys.
pub(super) const fn counted(count: u8, rule: CountRule) -> KeySpec {
    KeySpec::Counted { destination: false, count, step: 1, rule }
}

/// The destination, the number, then as many keys.
pub(super) const fn counted_into(rule: CountRule) -> KeySpec {
    KeySpec::Counted { destination: true, count: 2, step: 1, rule }
}

type Name = &'static str;
type Text = &'static str;

pub(super) const fn read(
    name: Name,
    arity: i32,
    words: Text,
    keys: KeySpec,
    since: Text,
    summary: Text,
) -> Command {
    row(Class::Read, Flags::READONLY, name, arity, words, keys, since, summary).idempotent()
}

pub(super) const fn write(
    name: Name,
    arity: i32,
    words: Text,
    keys: KeySpec,
    since: Text,
    summary: Text,
) -> Command {
    row(Class::Write, Flags::WRITE, name, arity, words, keys, since, summary)
}

/// Blocks; whether it also writes is one of the `words`.
pub(super) const fn block(
    name: Name,
    arity: i32,
    words: Text,
    keys: KeySpec,
    since: Text,
    summary: Text,
) -> Command {
    row(Class::Blocking, Flags::NONE, name, arity, words, keys, since, summary)
}

pub(super) const fn script(
    name: Name,
    arity: i32,
    words: Text,
    keys: KeySpec,
    since: Text,
    summary: Text,
) -> Command {
    row(Class::Scripting, Flags::NONE, name, arity, words, keys, since, summary)
}

pub(super) const fn transaction(
    name: Name,
    arity: i32,
    words: Text,
    keys: KeySpec,
    since: Text,
    summary: Text,
) -> Command {
    row(Class::Transaction, Flags::NOSCRIPT, name, arity, words, keys, since, summary)
}

/// Channels are not keys.
pub(super) const fn pubsub(name: Name, arity: i32, words: Text, since: Text, summary: Text) -> Command {
    row(Class::PubSub, Flags::PUBSUB, name, arity, words, NONE, since, summary)
}

pub(super) const fn connection(name: Name, arity: i32, words: Text, since: Text, summary: Text) -> Command {
    row(Class::Connection, Flags::NONE, name, arity, words, NONE, since, summary)
}

/// Needs Redis' flag `admin`.
pub(super) const fn admin(name: Name, arity: i32, words: Text, since: Text, summary: Text) -> Command {
    row(Class::Admin, Flags::ADMIN, name, arity, words, NONE, since, summary)
}

/// The one administrative command with a key.
pub(super) const fn admin_on_key(
    name: Name,
    arity: i32,
    words: Text,
    keys: KeySpec,
    since: Text,
    summary: Text,
) -> Command {
    row(Class::Admin, Flags::ADMIN, name, arity, words, keys, since, summary)
}

/// Describes one server; Redis does not ask for the flag `admin`.
pub(super) const fn inspect(name: Name, arity: i32, words: Text, since: Text, summary: Text) -> Command {
    row(Class::Admin, Flags::NONE, name, arity, words, NONE, since, summary)
}

/// `… HELP`: the same everywhere.
pub(super) const fn help(name: Name, since: Text) -> Command {
    row(Class::Connection, Flags::NONE, name, 2, "loading stale", NONE, since, "Lists the subcommands")
        .idempotent()
}

/// A command that is nothing without one of its subcommands.
pub(super) const fn container(
    name: Name,
    class: Class,
    since: Text,
    summary: Text,
    subcommands: &'static [Command],
) -> Command {
    row(class, Flags::NONE, name, -2, "", NONE, since, summary).with_subcommands(subcommands)
}

impl Command {
    pub(super) const fn with_subcommands(mut self, subcommands: &'static [Self]) -> Self {
        self.subcommands = subcommands;
        self
    }

    /// May be repeated on the same node.
    pub(super) const fn idempotent(mut self) -> Self {
        self.idempotence = Idempotence::Always;
        self.idempotent = true;
        self
    }

    /// May be repeated on the same node unless one of these words is among the arguments.
    pub(super) const fn idempotent_unless(mut self, words: &'static [&'static str]) -> Self {
        self.idempotence = Idempotence::Unless(words);
        self.idempotent = false;
        self
    }
}

#[expect(clippy::too_many_arguments, reason = "a row has eight columns")]
const fn row(
    class: Class,
    base: Flags,
    name: Name,
    arity: i32,
    words: Text,
    keys: KeySpec,
    since: Text,
    summary: Text,
) -> Command {
    let (mut flags, categories) = parse(words.as_bytes());
    flags = flags.with(base);
    if keys.is_movable() {
        flags = flags.with(Flags::MOVABLEKEYS);
    }
    Command {
        name,
        id: CommandId(0),
        arity,
        flags,
        keys,
        class,
        idempotent: false,
        idempotence: Idempotence::Never,
        subcommands: &[],
        group: Group::Generic,
        categories,
        since,
        summary,
    }
}

/// Flags and `@categories`, separated by single blanks.
const fn parse(words: &[u8]) -> (Flags, Categories) {
    let (mut flags, mut categories, mut start) = (Flags::NONE, Categories::NONE, 0);
    while start < words.len() {
        let mut end = start;
        while end < words.len() && words[end] != b' ' {
            end += 1;
        }
        if let Some(flag) = Flags::named(words, start, end - start) {
            flags = flags.with(flag);
        } else if let Some(category) = Categories::named(words, start, end - start) {
            categories = categories.with(category);
        } else {
            panic!("the table names an unknown flag or category");
        }
        start = end + 1;
    }
    (flags, categories)
}
