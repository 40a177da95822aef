//! The rows of the table: one file per family, one line per command.
//!
//! A row reads: what it is (the function's name gives class and first flag), name, arity, further flags and
//! categories in Redis' words, key positions, since, summary, and at the end whether it may be repeated; a
//! row that says nothing about that is `Idempotence::Never`, except for reads, which always may.
//! Arity and flags are those of Redis 7.0, and Valkey's for what Redis 7.0 does not have.

mod assemble;
mod bitmap;
mod cluster;
mod connection;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod list;
mod proxy;
mod pubsub;
mod row;
mod scripting;
mod server;
mod set;
mod sorted_set;
mod stream;
mod string;
mod transactions;

use crate::{Command, Group};

/// All families with the group that `COMMAND DOCS` gives their commands.
const FAMILIES: [(Group, &[Command]); 17] = [
    (Group::String, string::COMMANDS),
    (Group::Generic, generic::COMMANDS),
    (Group::Hash, hash::COMMANDS),
    (Group::List, list::COMMANDS),
    (Group::Set, set::COMMANDS),
    (Group::SortedSet, sorted_set::COMMANDS),
    (Group::Stream, stream::COMMANDS),
    (Group::Bitmap, bitmap::COMMANDS),
    (Group::HyperLogLog, hyperloglog::COMMANDS),
    (Group::Geo, geo::COMMANDS),
    (Group::PubSub, pubsub::COMMANDS),
    (Group::Transactions, transactions::COMMANDS),
    (Group::Scripting, scripting::COMMANDS),
    (Group::Connection, connection::COMMANDS),
    (Group::Server, server::COMMANDS),
    (Group::Cluster, cluster::COMMANDS),
    (Group::Server, proxy::COMMANDS),
];

/// How many commands there are, subcommands not counted.
pub const COUNT: usize = assemble::count_commands();
/// How many commands and subcommands there are: every [`CommandId`](crate::CommandId) is below it.
pub const ID_COUNT: usize = COUNT + assemble::count_subcommands();

static COMMANDS: [Command; COUNT] = assemble::commands();
static SUBCOMMANDS: [Command; ID_COUNT - COUNT] = assemble::subcommands();

/// Every command, family by family; a command's position is its id.
pub const fn all() -> &'static [Command] {
    &COMMANDS
}
