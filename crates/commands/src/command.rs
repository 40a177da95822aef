//! One row of the table: what is known about a command without executing it.

use crate::{Categories, Flags, Idempotence, KeyError, KeyPositions, KeySpec};

/// A command or a subcommand of Redis or Valkey.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Lowercase name; a subcommand is written `client|list`, as Redis does.
    pub name: &'static str,
    /// Position in a dense numbering of all commands and subcommands.
    pub id: CommandId,
    /// Redis' rule: `n` means exactly `n` arguments including the name, `-n` means at least `n`. The arity
    /// of a subcommand counts both words of its name.
    pub arity: i32,
    /// What `COMMAND INFO` calls flags.
    pub flags: Flags,
    /// Where its keys are.
    pub keys: KeySpec,
    /// What it is to somebody who routes it.
    pub class: Class,
    /// May be repeated on the same node whatever its arguments are: `idempotence` is `Always`.
    pub idempotent: bool,
    /// When it may be repeated on the same node; see [`Idempotence`] for the rule.
    pub idempotence: Idempotence,
    /// Its subcommands; empty for most commands.
    pub subcommands: &'static [Self],
    /// The family under which the documentation lists it.
    pub group: Group,
    /// The access control categories that `COMMAND INFO` lists.
    pub categories: Categories,
    /// The version of Redis (up to 7) or Valkey (from 8 on) that brought it; FastCache's for `PROXY`.
    pub since: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
}

/// Position of a command in a dense numbering: commands first, in the order of [`all`](crate::all), then the
/// subcommands. An array of [`ID_COUNT`](crate::ID_COUNT) elements has room for one thing per command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub(crate) u16);

impl CommandId {
    /// The number itself, below [`ID_COUNT`](crate::ID_COUNT).
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a command is to somebody who routes it. Each command has exactly one class; `flags` tell the rest
/// (a `Blocking` command may well be a write).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Reads data.
    Read,
    /// Changes data.
    Write,
    /// Waits for something to happen: `BLPOP`, `XREAD`, `WAIT`.
    Blocking,
    /// Concerns the connection or describes the server's commands: `PING`, `HELLO`, `CLIENT`, `COMMAND`.
    Connection,
    /// Administers or describes one server: `CONFIG`, `INFO`, `CLUSTER`.
    Admin,
    /// `MULTI` and what belongs to it.
    Transaction,
    /// Publish/subscribe.
    PubSub,
    /// Scripts and functions.
    Scripting,
}

impl Class {
    /// All of them; a class is at the position `class as usize`.
    pub const ALL: [Self; 8] = [
        Self::Read,
        Self::Write,
        Self::Blocking,
        Self::Connection,
        Self::Admin,
        Self::Transaction,
        Self::PubSub,
        Self::Scripting,
    ];

    /// The name, as labels of metrics use it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Blocking => "blocking",
            Self::Connection => "connection",
            Self::Admin => "admin",
            Self::Transaction => "transaction",
            Self::PubSub => "pubsub",
            Self::Scripting => "scripting",
        }
    }
}

/// The families of the command documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Group {
    String,
    Bitmap,
    HyperLogLog,
    Generic,
    Hash,
    List,
    Set,
    SortedSet,
    Stream,
    Geo,
    PubSub,
    Transactions,
    Scripting,
    Connection,
    Server,
    Cluster,
}

impl Group {
    /// The name in `COMMAND DOCS`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Bitmap => "bitmap",
            Self::HyperLogLog => "hyperloglog",
            Self::Generic => "generic",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Stream => "stream",
            Self::Geo => "geo",
            Self::PubSub => "pubsub",
            Self::Transactions => "transactions",
            Self::Scripting => "scripting",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Cluster => "cluster",
        }
    }
}

impl Command {
    /// The subcommand of that name in any case, such as `b"LIST"` of `client`.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Self> {
        self.subcommands.iter().find(|sub| sub.short_name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The last word of the name: `list` of `client|list`, `get` of `get`.
    pub fn short_name(&self) -> &'static str {
        self.name.split_once('|').map_or(self.name, |(_, short)| short)
    }

    /// Is a request of `argc` arguments, the name included, of an allowed length?
    #[inline]
    pub const fn arity_fits(&self, argc: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        argc == wanted || (self.arity < 0 && argc > wanted)
    }

    /// The positions of the keys among the `argc` arguments of a request (0 is the command's name), in the
    /// order in which `COMMAND GETKEYS` gives them. `arg` is called with positions below `argc` only.
    ///
    /// # Errors
    /// The request does not say which of its arguments are keys. The text of the error is the one that
    /// Redis answers, without the `ERR ` in front; such a request may be answered without sending it on.
    #[inline]
    pub fn keys<'a>(&self, argc: usize, arg: impl Fn(usize) -> &'a [u8]) -> Result<KeyPositions, KeyError> {
        if !self.arity_fits(argc) {
            return Err(KeyError::Arity { command: self.name });
        }
        self.keys.positions(self.name, argc, arg)
    }

    /// May the request with these arguments be executed once more on the same node? Sharper than the field
    /// `idempotent`: it looks at the options (`SET` with and without `NX`).
    pub fn repeatable<'a>(&self, argc: usize, arg: impl Fn(usize) -> &'a [u8]) -> bool {
        self.idempotence.allows((1..argc).map(arg))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Class, Flags, ID_COUNT, all, lookup};

    #[test]
    fn a_class_is_where_its_number_says_and_has_a_name_of_its_own() {
        assert!((0..).zip(Class::ALL).all(|(place, class)| class as usize == place));
        let names: std::collections::HashSet<_> = Class::ALL.iter().map(|class| class.name()).collect();
        assert_eq!(names.len(), Class::ALL.len());
    }

    #[test]
    fn ids_are_dense_and_commands_come_first() {
        let commands = all().iter();
        let subcommands = all().iter().flat_map(|command| command.subcommands);
        let ids: Vec<_> = commands.chain(subcommands).map(|command| command.id.index()).collect();
        assert_eq!(ids, (0..ID_COUNT).collect::<Vec<_>>());
    }

    #[test]
    fn subcommands_are_found_in_any_case_under_their_command_only() {
        for command in all() {
            for sub in command.subcommands {
                assert_eq!(sub.name, format!("{}|{}", command.name, sub.short_name()));
                let upper = sub.short_name().to_uppercase();
                assert_eq!(command.subcommand(upper.as_bytes()).map(|found| found.id), Some(sub.id));
            }
        }
        let client = lookup(b"client").expect("in the table");
        assert!(client.subcommand(b"encoding").is_none() && client.subcommand(b"client|list").is_none());
    }

    #[test]
    fn arity_counts_the_name() {
        let (get, mget) = (lookup(b"get").expect("in the table"), lookup(b"mget").expect("in the table"));
        assert_eq!([1, 2, 3].map(|argc| get.arity_fits(argc)), [false, true, false]);
        assert_eq!([0, 1, 2, 9].map(|argc| mget.arity_fits(argc)), [false, false, true, true]);
    }

    #[test]
    fn nothing_reads_and_writes() {
        for command in all() {
            let both = Flags::WRITE.with(Flags::READONLY);
            assert!(!command.flags.contains(both), "{}", command.name);
        }
    }
}
