//! The replies of `COMMAND`: what a server says about the commands it serves. Node and proxy give the same
//! ones; each says which commands it serves.
//!
//! What the table does not hold is left out of the replies, as servers of older versions leave it out: key
//! specifications and tips are empty, `DOCS` has no arguments and histories. The clients that read `COMMAND`
//! use names, arities, flags and key positions.

use resp::{Encoder, Request};

use crate::{Command, KeyError, all, glob_matches, lookup};

/// Elements of one entry of `COMMAND`, as of Redis 7.
const ENTRY_LEN: usize = 10;

/// The commands a server serves, as far as `COMMAND` tells of them.
#[derive(Clone, Copy)]
pub struct Catalogue<'a> {
    served: &'a dyn Fn(&Command) -> bool,
}

impl std::fmt::Debug for Catalogue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalogue").finish_non_exhaustive()
    }
}

impl<'a> Catalogue<'a> {
    /// A catalogue of the commands and subcommands for which `served` holds.
    pub fn new(served: &'a dyn Fn(&Command) -> bool) -> Self {
        Self { served }
    }

    /// Answers a `COMMAND …` request.
    pub fn answer(&self, request: &Request<'_>, to: &mut Encoder<'_>) {
        let Some(given) = request.get(1) else { return self.infos(self.commands().map(Some), to) };
        let subcommand = lookup(b"command").and_then(|command| command.subcommand(given));
        let Some(subcommand) = subcommand else {
            let given = String::from_utf8_lossy(given);
            return to.error(&format!("ERR unknown subcommand '{given}'. Try COMMAND HELP."));
        };
        if !subcommand.arity_fits(request.len()) {
            return to.error(&format!("ERR wrong number of arguments for '{}' command", subcommand.name));
        }
        let asked = request.args().skip(2);
        match subcommand.short_name() {
            // There are some hundred commands.
            "count" => to.integer(self.commands().count() as i64),
            "info" if asked.len() == 0 => self.infos(self.commands().map(Some), to),
            "info" => self.infos(asked.map(|name| self.named(name)), to),
            "docs" if asked.len() == 0 => self.docs(self.commands(), to),
            "docs" => self.docs(asked.filter_map(|name| self.named(name)), to),
            "list" => self.list(request, to),
            "getkeys" => get_keys(request, to),
            "help" => help(to),
            _ => to.error(&format!("ERR '{}' is not supported", subcommand.name)),
        }
    }

    fn commands(&self) -> impl Iterator<Item = &'static Command> + Clone + use<'a> {
        let served = self.served;
        all().iter().filter(move |command| served(command) || command.subcommands.iter().any(served))
    }

    fn subcommands(
        &self,
        command: &'static Command,
    ) -> impl Iterator<Item = &'static Command> + Clone + use<'a> {
        let served = self.served;
        command.subcommands.iter().filter(move |subcommand| served(subcommand))
    }

    /// A command by the name a client gives: `get`, or `client|list`.
    fn named(&self, name: &[u8]) -> Option<&'static Command> {
        match name.iter().position(|byte| *byte == b'|') {
            None => lookup(name).filter(|command| self.commands().any(|known| known.id == command.id)),
            Some(bar) => {
                let subcommand = lookup(&name[..bar])?.subcommand(&name[bar + 1..])?;
                (self.served)(subcommand).then_some(subcommand)
            }
        }
    }

    fn infos(&self, commands: impl Iterator<Item = Option<&'static Command>> + Clone, to: &mut Encoder<'_>) {
        to.array(commands.clone().count());
        for command in commands {
            match command {
                Some(command) => self.info(command, to),
                None => to.null_array(),
            }
        }
    }

    fn info(&self, command: &'static Command, to: &mut Encoder<'_>) {
        let (first, last, step) = command.keys.legacy_range();
        to.array(ENTRY_LEN);
        to.bulk(command.name.as_bytes());
        to.integer(command.arity.into());
        statuses(command.flags.names(), to);
        [first, last, step].into_iter().for_each(|position| to.integer(position));
        statuses(command.categories.names(), to);
        // Tips and key specifications.
        to.set(0);
        to.set(0);
        match self.subcommands(command).count() {
            0 => to.set(0),
            count => to.array(count),
        }
        self.subcommands(command).for_each(|subcommand| self.info(subcommand, to));
    }

    fn docs(&self, commands: impl Iterator<Item = &'static Command> + Clone, to: &mut Encoder<'_>) {
        to.map(commands.clone().count());
        commands.for_each(|command| self.doc(command, to));
    }

    fn doc(&self, command: &'static Command, to: &mut Encoder<'_>) {
        let nested = self.subcommands(command).count();
        to.bulk(command.name.as_bytes());
        to.map(if nested == 0 { 3 } else { 4 });
        let fields =
            [("summary", command.summary), ("since", command.since), ("group", command.group.name())];
        for (field, value) in fields {
            to.bulk(field.as_bytes());
            to.bulk(value.as_bytes());
        }
        if nested > 0 {
            to.bulk(b"subcommands");
            to.map(nested);
            self.subcommands(command).for_each(|subcommand| self.doc(subcommand, to));
        }
    }

    fn list(&self, request: &Request<'_>, to: &mut Encoder<'_>) {
        let wanted: Filter = match (request.len(), request.get(3), request.get(4)) {
            (2, ..) => Box::new(|_| true),
            (5, Some(kind), Some(value)) if is(request.arg(2), "FILTERBY") => match filter(kind, value) {
                Some(filter) => filter,
                None => return to.error("ERR syntax error"),
            },
            _ => return to.error("ERR syntax error"),
        };
        let each =
            self.commands().flat_map(|command| std::iter::once(command).chain(self.subcommands(command)));
        let names: Vec<_> = each.filter(|command| wanted(command)).map(|command| command.name).collect();
        to.array(names.len());
        names.iter().for_each(|name| to.bulk(name.as_bytes()));
    }
}

fn statuses(names: impl Iterator<Item = &'static str> + Clone, to: &mut Encoder<'_>) {
    to.set(names.clone().count());
    names.for_each(|name| to.simple(name));
}

/// Which commands a `COMMAND LIST` names.
type Filter = Box<dyn Fn(&Command) -> bool>;

/// The filter that `COMMAND LIST FILTERBY kind value` asks for.
fn filter(kind: &[u8], value: &[u8]) -> Option<Filter> {
    let value = value.to_ascii_lowercase();
    if is(kind, "MODULE") {
        // There are none.
        Some(Box::new(|_| false))
    } else if is(kind, "ACLCAT") {
        Some(Box::new(move |command| {
            command.categories.names().any(|name| name.as_bytes()[1..] == value[..])
        }))
    } else if is(kind, "PATTERN") {
        Some(Box::new(move |command| glob_matches(&value, command.name.as_bytes())))
    } else {
        None
    }
}

fn get_keys(request: &Request<'_>, to: &mut Encoder<'_>) {
    let argc = request.len() - 2;
    let arg = |index: usize| request.arg(index + 2);
    let Some(command) = lookup(arg(0)) else { return to.error("ERR Invalid command specified") };
    let subcommand = (argc > 1).then(|| command.subcommand(arg(1))).flatten();
    let command = subcommand.unwrap_or(command);
    match command.keys(argc, arg) {
        Ok(keys) if keys.len() == 0 => to.error("ERR The command has no key arguments"),
        Ok(keys) => {
            to.array(keys.len());
            keys.for_each(|position| to.bulk(arg(position)));
        }
        Err(KeyError::Arity { .. }) if !command.arity_fits(argc) => {
            to.error("ERR Invalid number of arguments specified for command");
        }
        Err(_) => to.error("ERR Invalid arguments specified for command"),
    }
}

fn help(to: &mut Encoder<'_>) {
    const LINES: [&str; 15] = [
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Describe every command that is served.",
        "COUNT",
        "    Number of commands that are served.",
        "DOCS [<command-name> ...]",
        "    What these commands do, or all of them.",
        "GETKEYS <full-command>",
        "    The keys of a full command.",
        "INFO [<command-name> ...]",
        "    Arity, flags and key positions of these commands, or of all.",
        "LIST [FILTERBY ACLCAT <category>|MODULE <name>|PATTERN <pattern>]",
        "    Names of the commands that are served.",
        "HELP",
        "    Prints this help.",
    ];
    to.array(LINES.len());
    LINES.iter().for_each(|line| to.simple(line));
}

fn is(given: &[u8], word: &str) -> bool {
    given.eq_ignore_ascii_case(word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::COUNT;
    use resp::{Limits, Protocol, RequestScanner};

    fn answered_by(served: &dyn Fn(&Command) -> bool, line: &str) -> String {
        let line = format!("{line}\r\n");
        let mut scanner = RequestScanner::new(Limits::default());
        scanner.scan(line.as_bytes()).unwrap().unwrap();
        let mut reply = Vec::new();
        let request = scanner.request(line.as_bytes());
        Catalogue::new(served).answer(&request, &mut Encoder::new(&mut reply, Protocol::Resp3));
        String::from_utf8(reply).unwrap().replace("\r\n", " ")
    }

    fn answered(line: &str) -> String {
        answered_by(&|_| true, line)
    }

    #[test]
    fn answers_as_redis_does() {
        for (line, expected) in [
            (
                "COMMAND INFO get nope",
                "*2 *10 $3 get :2 ~2 +readonly +fast :1 :1 :1 ~3 +@read +@string +@fast ~0 ~0 ~0 _ ",
            ),
            ("COMMAND LIST FILTERBY MODULE x", "*0 "),
            ("COMMAND LIST FILTERBY PATTERN GETDE?", "*1 $6 getdel "),
            ("COMMAND LIST x", "-ERR syntax error "),
            ("COMMAND GETKEYS mget a b", "*2 $1 a $1 b "),
            ("COMMAND GETKEYS object encoding k", "*1 $1 k "),
            ("COMMAND GETKEYS ping x", "-ERR The command has no key arguments "),
            ("COMMAND GETKEYS nope x", "-ERR Invalid command specified "),
            ("COMMAND GETKEYS get a b", "-ERR Invalid number of arguments specified for command "),
            ("COMMAND NOPE", "-ERR unknown subcommand 'NOPE'. Try COMMAND HELP. "),
            ("COMMAND COUNT x", "-ERR wrong number of arguments for 'command|count' command "),
        ] {
            assert_eq!(answered(line), expected, "{line}");
        }
        assert_eq!(answered("COMMAND COUNT"), format!(":{COUNT} "));
        assert!(answered("COMMAND DOCS get").starts_with("%1 $3 get %3 $7 summary "));
        assert!(answered("COMMAND LIST FILTERBY ACLCAT sortedset").contains(" zadd "));
        assert!(answered("COMMAND LIST").contains(" client|list "));
        assert!(answered("COMMAND").starts_with(&format!("*{COUNT} *10 ")));
        assert!(answered("COMMAND HELP").starts_with("*15 +COMMAND <subcommand> "));
    }

    #[test]
    fn tells_only_of_what_is_served() {
        let served = |command: &Command| matches!(command.name, "get" | "client|id");
        let check = |line, expected| assert_eq!(answered_by(&served, line), expected, "{line}");
        check("COMMAND COUNT", ":2 ");
        check("COMMAND LIST", "*3 $3 get $6 client $9 client|id ");
        check("COMMAND INFO set client|list", "*2 _ _ ");
        check("COMMAND DOCS set", "%0 ");
        assert!(answered_by(&served, "COMMAND INFO client").contains("*1 *10 $9 client|id "));
    }
}
