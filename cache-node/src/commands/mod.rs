//! The commands, one file per family. The table of `crates/commands` says what there is; here is what it does.
//!
//! A handler takes its arguments from the request, asks the engine, and writes one reply. Adding a command is a
//! function and a line in its family's list.

mod argument;
mod catalogue;
mod client;
mod config;
mod connection;
mod counter;
mod expire;
mod info;
mod key;
mod long_double;
mod scan;
mod server;
mod set;
mod sorted_set;
mod sorted_set_pop;
mod sorted_set_range;
mod string;
mod transaction;

pub(crate) use argument::printable;

use crate::execute::Context;
use crate::failure::Failure;
use commands::{Command, ID_COUNT};
use resp::Request;

/// Executes one command.
pub type Handler = fn(&mut Context<'_>, &Request<'_>) -> Result<(), Failure>;

/// The commands of one family: names as in the table, subcommands as `client|list`.
type Family = &'static [(&'static str, Handler)];

const FAMILIES: &[Family] = &[
    catalogue::FAMILY,
    client::FAMILY,
    config::FAMILY,
    connection::FAMILY,
    counter::FAMILY,
    expire::FAMILY,
    info::FAMILY,
    key::FAMILY,
    scan::FAMILY,
    server::FAMILY,
    set::FAMILY,
    sorted_set::FAMILY,
    sorted_set_pop::FAMILY,
    sorted_set_range::FAMILY,
    string::FAMILY,
    transaction::FAMILY,
];

/// The handler of each command there is one for, by `CommandId`.
#[derive(Debug)]
pub struct Handlers {
    by_id: Box<[Option<Handler>]>,
}

impl Default for Handlers {
    fn default() -> Self {
        let mut by_id = vec![None; ID_COUNT].into_boxed_slice();
        for (name, handler) in FAMILIES.iter().copied().flatten() {
            if let Some(command) = find(name) {
                by_id[command.id.index()] = Some(*handler);
            }
        }
        Self { by_id }
    }
}

impl Handlers {
    /// The handler of this very command.
    pub fn of(&self, command: &Command) -> Option<Handler> {
        self.by_id[command.id.index()]
    }

    /// True when the command or one of its subcommands is served.
    pub fn serves(&self, command: &Command) -> bool {
        self.of(command).is_some() || command.subcommands.iter().any(|sub| self.of(sub).is_some())
    }

    /// The commands that are served, without their subcommands.
    pub fn served(&self) -> impl Iterator<Item = &'static Command> {
        commands::all().iter().filter(|command| self.serves(command))
    }
}

/// The command of a name such as `client|list`.
fn find(name: &str) -> Option<&'static Command> {
    match name.split_once('|') {
        None => commands::lookup(name.as_bytes()),
        Some((container, word)) => commands::lookup(container.as_bytes())?.subcommand(word.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::{FAMILIES, find};

    #[test]
    fn every_handler_is_for_a_known_command_and_only_one() {
        let mut seen = std::collections::BTreeSet::new();
        for (name, _) in FAMILIES.iter().copied().flatten() {
            assert!(find(name).is_some(), "{name} is not in the table");
            assert!(seen.insert(name), "{name} has two handlers");
        }
    }
}
