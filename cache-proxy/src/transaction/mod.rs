//! What a client has said since `MULTI`: checked and kept here, and sent as one unit when it says `EXEC`.
//!
//! So a transaction costs no connection of its own, and a client that thinks for long between its commands keeps
//! nobody waiting. What a node would find wrong with a command when it is queued is found wrong here, in Redis'
//! words: the name, the number of arguments, and that all keys live on one node.
//!
//! Pure.

pub(crate) mod exec;
pub(crate) mod touched;
pub(crate) mod unit;
pub(crate) mod watch;

use cluster::{NodeIndex, Routing};
use commands::{Class, Command, Flags, KeySpec};
use resp::Request;

use crate::plan;
use crate::plan::refusal::Refusal;
use crate::plan::refuse::{NO_NODE, NO_VIEW, crossslot};
use crate::transaction::unit::{EXEC, MULTI};

/// Most bytes of commands that one client may queue: what the hold keeps for all of them together, since a unit
/// must fit there. One command of any size is always taken.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Most commands: Redis' own bound of the arguments of one request.
const MOST_COMMANDS: usize = 1024 * 1024;

/// The commands of one client since `MULTI`.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// `MULTI` and the commands, as they will be sent.
    wire: Vec<u8>,
    commands: usize,
    /// The first key, which decides the node.
    key: Option<Vec<u8>>,
    /// The view by which its keys live on one node.
    epoch: u64,
    /// A command was refused, so nothing will be executed.
    aborted: bool,
}

impl Transaction {
    pub(crate) fn begin() -> Self {
        Self { wire: MULTI.to_vec(), commands: 0, key: None, epoch: 0, aborted: false }
    }

    /// Refuses to execute anything of it, whatever comes.
    pub(crate) fn abort(&mut self) {
        self.aborted = true;
        self.wire = Vec::new();
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted
    }

    /// Number of the commands queued.
    pub(crate) fn len(&self) -> usize {
        self.commands
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.wire.len()
    }

    /// Queues a command.
    ///
    /// # Errors
    /// It cannot be part of the transaction, which is thereby aborted: the text of the error reply.
    pub(crate) fn queue(
        &mut self,
        command: &'static Command,
        request: &Request<'_>,
        routing: Option<&Routing>,
    ) -> Result<(), String> {
        let checked = self.check(command, request, routing);
        match checked {
            Ok(()) if !self.aborted => {
                self.wire.extend_from_slice(request.wire());
                self.commands += 1;
            }
            Ok(()) => {}
            Err(_) => self.abort(),
        }
        checked
    }

    fn check(
        &mut self,
        command: &'static Command,
        request: &Request<'_>,
        routing: Option<&Routing>,
    ) -> Result<(), String> {
        let command = queueable(command, request).map_err(|refusal| refusal.to_string())?;
        let is_full = self.wire.len() + request.wire().len() > MOST_BYTES || self.commands >= MOST_COMMANDS;
        if is_full && self.commands > 0 {
            return Err("ERR the transaction is larger than what the proxy keeps for one".to_owned());
        }
        let routing = routing.ok_or(NO_VIEW)?;
        // One that does not say which its keys are is refused by the node, in the transaction's reply.
        let Ok(names) = unit::names(command, request) else { return Ok(()) };
        if names.len() == 0 && command.class == Class::Scripting && !command.flags.contains(Flags::READONLY) {
            // It may write keys that it does not name, which may belong to another node.
            return Err(Refusal::no_key(command).to_string());
        }
        for name in names {
            self.check_key(name, routing)?;
        }
        Ok(())
    }

    /// The key must live where the others do.
    fn check_key(&mut self, key: &[u8], routing: &Routing) -> Result<(), String> {
        let serving = |key: &[u8]| routing.serving(routing.slot(key));
        let node = serving(key).ok_or(NO_NODE)?;
        match &self.key {
            None => {
                self.key = Some(key.to_vec());
                self.epoch = routing.epoch();
                Ok(())
            }
            Some(first) if serving(first) == Some(node) => Ok(()),
            Some(first) => Err(crossslot(first, key)),
        }
    }

    /// Its first key.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    /// The node that serves all its keys now. They were checked one by one, so they are looked at again only when
    /// the view has changed meanwhile.
    ///
    /// # Errors
    /// There is none: the text of the error reply.
    pub(crate) fn node(&self, routing: &Routing) -> Result<NodeIndex, String> {
        match &self.key {
            Some(_) if self.epoch != routing.epoch() => unit::locate(&self.wire, routing),
            key => {
                let key = key.as_deref().unwrap_or_default();
                routing.serving(routing.slot(key)).ok_or_else(|| NO_NODE.to_owned())
            }
        }
    }

    /// All of it, ready to be sent.
    pub(crate) fn into_wire(mut self) -> Vec<u8> {
        self.wire.extend_from_slice(EXEC);
        self.wire
    }
}

/// Whether the command may be part of a transaction; its row, or its subcommand's. What the proxy answers itself,
/// or asks every node, cannot be: a transaction is executed by one node.
fn queueable(command: &'static Command, request: &Request<'_>) -> Result<&'static Command, Refusal> {
    if !command.arity_fits(request.len()) {
        return Err(Refusal::arity(command));
    }
    let row = match request.get(1) {
        Some(given) if !command.subcommands.is_empty() => {
            command.subcommand(given).ok_or_else(|| Refusal::subcommand(command, given))?
        }
        _ => command,
    };
    if !row.arity_fits(request.len()) {
        return Err(Refusal::arity(row));
    }
    let takes_keys = row.keys != KeySpec::None;
    match row.class {
        _ if row.flags.contains(Flags::NO_MULTI) => Err(Refusal::NotInMulti),
        Class::Read | Class::Write | Class::Blocking | Class::Scripting if takes_keys => {
            plan::objection(row, request).map_or(Ok(row), Err)
        }
        _ if matches!(row.name, "ping" | "echo" | "time" | "unwatch" | "publish" | "spublish") => Ok(row),
        _ if row.name == "select" && request.arg(1) == b"0" => Ok(row),
        _ => Err(Refusal::no_part(row)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    /// Calls `look` with an inline request and its command.
    fn with<T>(line: &str, look: impl FnOnce(&'static Command, &Request<'_>) -> T) -> T {
        let line = format!("{line}\r\n");
        let mut scanner = resp::RequestScanner::new(resp::Limits::default());
        scanner.scan(line.as_bytes()).unwrap().unwrap();
        let request = scanner.request(line.as_bytes());
        look(commands::lookup(request.arg(0)).unwrap(), &request)
    }

    fn checked(line: &str) -> Result<&'static str, String> {
        with(line, |command, request| {
            queueable(command, request).map(|row| row.name).map_err(|refusal| refusal.to_string())
        })
    }

    /// The refusal of a request for what it is, and not for what it lacks.
    fn refused(line: &str) -> Option<Refusal> {
        with(line, |command, request| match plan::plan(command, request) {
            Plan::Refuse(Refusal::Keys(_) | Refusal::NoKey(_) | Refusal::Arity(_)) => None,
            Plan::Refuse(refusal) => Some(refusal),
            _ => None,
        })
    }

    #[test]
    fn what_is_refused_is_refused_in_a_transaction_too() {
        let mut number = 0;
        for command in commands::all() {
            let subcommands = command.subcommands.iter().map(|row| row.name.replace('|', " "));
            for name in subcommands.chain([command.name.to_owned()]) {
                for args in 0..7 {
                    let line = format!("{name}{}", " 1".repeat(args));
                    if refused(&line).is_some() {
                        number += 1;
                        assert!(checked(&line).is_err(), "{line}");
                    }
                }
            }
        }
        assert!(number > 100, "{number} refusals");
    }

    #[test]
    fn what_one_node_can_execute_is_queued() {
        for line in [
            "GET k",
            "MSET a 1 b 2",
            "DEL a b",
            "BLPOP l 0",
            "XREAD BLOCK 0 STREAMS s $",
            "EVALSHA x 1 k",
            "OBJECT ENCODING k",
            "PUBLISH c m",
            "PING",
            "SELECT 0",
            "EVAL_RO x 0",
            "SORT l BY nosort",
            "TIME",
            "UNWATCH",
        ] {
            assert!(checked(line).is_ok(), "{line}: {:?}", checked(line));
        }
    }

    #[test]
    fn a_transaction_has_a_bound_that_one_command_may_pass() {
        let full = "ERR the transaction is larger than what the proxy keeps for one";
        let is_full = |mut transaction: Transaction| {
            with("PING", |command, request| transaction.queue(command, request, None))
                .is_err_and(|text| text == full)
        };
        let with_wire =
            |len, commands| Transaction { wire: vec![b'x'; len], commands, ..Transaction::begin() };
        assert!(is_full(with_wire(MOST_BYTES, 1)) && is_full(with_wire(0, MOST_COMMANDS)));
        assert!(!is_full(with_wire(MOST_BYTES, 0)) && !is_full(with_wire(0, MOST_COMMANDS - 1)));
    }

    #[test]
    fn what_concerns_all_nodes_or_the_proxy_is_not() {
        for line in [
            "DBSIZE",
            "SCAN 0",
            "KEYS *",
            "FLUSHALL",
            "RANDOMKEY",
            "SCRIPT LOAD x",
            "SUBSCRIBE c",
            "CLIENT ID",
            "CONFIG GET x",
            "SELECT 1",
            "HELLO 3",
            "INFO",
            "WAIT 0 0",
        ] {
            let refused = checked(line).expect_err(line);
            assert!(refused.contains("cannot be part of a transaction"), "{line}: {refused}");
        }
        for line in ["COPY a b DB 1", "MOVE k 1"] {
            assert!(checked(line).expect_err("another database").contains("only database 0"), "{line}");
        }
        assert!(checked("MIGRATE host 1 k 0 5").expect_err("to elsewhere").contains("administers"));
        assert_eq!(checked("GET"), Err("ERR wrong number of arguments for 'get' command".to_owned()));
        assert_eq!(
            checked("OBJECT NOPE k"),
            Err("ERR unknown subcommand 'NOPE'. Try OBJECT HELP.".to_owned())
        );
        assert_eq!(checked("SHUTDOWN"), Err("ERR Command not allowed inside a transaction".to_owned()));
    }
}
