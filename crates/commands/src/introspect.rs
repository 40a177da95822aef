//! The replies of `COMMAND`: what a server says about its commands. Node and proxy give the same ones.
//!
//! What the table does not hold is left out of the replies, as servers of older versions leave it out: key
//! specifications and tips are empty, `DOCS` has no arguments and histories. The clients that read `COMMAND`
//! use names, arities, flags and key positions.

use resp::{Encoder, Request};

use crate::{COUNT, Command, KeyError, all, lookup};

/// Answers a `COMMAND …` request whose arity has been checked.
pub fn answer(request: &Request<'_>, to: &mut Encoder<'_>) {
    let Some(given) = request.get(1) else { return infos(all().iter().map(Some), to) };
    let subcommand = lookup(b"command").and_then(|command| command.subcommand(given));
    let Some(subcommand) = subcommand else {
        let given = String::from_utf8_lossy(given);
        return to.error(&format!("ERR unknown subcommand '{given}'. Try COMMAND HELP."));
    };
    if !subcommand.arity_fits(request.len()) {
        return to.error(&format!("ERR wrong number of arguments for '{}' command", subcommand.name));
    }
    match subcommand.short_name() {
        "count" => to.integer(i64::try_from(COUNT).unwrap_or(i64::MAX)),
        "info" if request.len() == 2 => infos(all().iter().map(Some), to),
        "info" => infos(request.args().skip(2).map(named), to),
        "docs" if request.len() == 2 => docs(all().iter(), to),
        "docs" => docs(request.args().skip(2).filter_map(named), to),
        "list" => list(request, to),
        "getkeys" => get_keys(request, to),
        _ => to.error(&format!("ERR '{}' is not supported", subcommand.name)),
    }
}

/// A command by the name a client gives: `get`, or `client|list`.
fn named(name: &[u8]) -> Option<&'static Command> {
    match name.iter().position(|byte| *byte == b'|') {
        Some(bar) => lookup(&name[..bar])?.subcommand(&name[bar + 1..]),
        None => lookup(name),
    }
}

fn infos<'a>(commands: impl ExactSizeIterator<Item = Option<&'a Command>>, to: &mut Encoder<'_>) {
    to.array(commands.len());
    for command in commands {
        match command {
            Some(command) => info(command, to),
            None => to.null_array(),
        }
    }
}

fn info(command: &Command, to: &mut Encoder<'_>) {
    let (first, last, step) = command.keys.legacy_range();
    to.array(10);
    to.bulk(command.name.as_bytes());
    to.integer(command.arity.into());
    statuses(command.flags.names(), to);
    [first, last, step].into_iter().for_each(|position| to.integer(position));
    statuses(command.categories.names(), to);
    // Tips and key specifications.
    to.set(0);
    to.set(0);
    if command.subcommands.is_empty() {
        return to.set(0);
    }
    to.array(command.subcommands.len());
    command.subcommands.iter().for_each(|subcommand| info(subcommand, to));
}

fn statuses(names: impl Iterator<Item = &'static str> + Clone, to: &mut Encoder<'_>) {
    to.set(names.clone().count());
    names.for_each(|name| to.simple(name));
}

fn docs(commands: impl Iterator<Item = &'static Command> + Clone, to: &mut Encoder<'_>) {
    to.map(commands.clone().count());
    commands.for_each(|command| doc(command, to));
}

fn doc(command: &Command, to: &mut Encoder<'_>) {
    to.bulk(command.name.as_bytes());
    to.map(if command.subcommands.is_empty() { 3 } else { 4 });
    for (field, value) in
        [("summary", command.summary), ("since", command.since), ("group", command.group.name())]
    {
        to.bulk(field.as_bytes());
        to.bulk(value.as_bytes());
    }
    if !command.subcommands.is_empty() {
        to.bulk(b"subcommands");
        to.map(command.subcommands.len());
        command.subcommands.iter().for_each(|subcommand| doc(subcommand, to));
    }
}

fn list(request: &Request<'_>, to: &mut Encoder<'_>) {
    let wanted: Vec<&Command> = match (request.len(), request.get(3), request.get(4)) {
        (2, ..) => all().iter().collect(),
        (5, Some(filter), Some(value)) if is(request.arg(2), "FILTERBY") => match filtered(filter, value) {
            Some(wanted) => wanted,
            None => return to.error("ERR syntax error"),
        },
        _ => return to.error("ERR syntax error"),
    };
    to.array(wanted.len());
    wanted.iter().for_each(|command| to.bulk(command.name.as_bytes()));
}

fn filtered(filter: &[u8], value: &[u8]) -> Option<Vec<&'static Command>> {
    let of_category = |command: &&Command| command.categories.names().any(|name| is(value, &name[1..]));
    if is(filter, "MODULE") {
        Some(Vec::new())
    } else if is(filter, "ACLCAT") {
        Some(all().iter().filter(of_category).collect())
    } else if is(filter, "PATTERN") {
        let value = value.to_ascii_lowercase();
        Some(all().iter().filter(|command| crate::glob_matches(&value, command.name.as_bytes())).collect())
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
        Err(KeyError::Arity { .. }) => to.error("ERR Invalid number of arguments specified for command"),
        Err(_) => to.error("ERR Invalid arguments specified for command"),
    }
}

fn is(given: &[u8], word: &str) -> bool {
    given.eq_ignore_ascii_case(word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use resp::{Limits, Protocol, RequestScanner};

    fn answered(line: &str) -> String {
        let line = format!("{line}\r\n");
        let mut scanner = RequestScanner::new(Limits::default());
        scanner.scan(line.as_bytes()).unwrap().unwrap();
        let mut reply = Vec::new();
        answer(&scanner.request(line.as_bytes()), &mut Encoder::new(&mut reply, Protocol::Resp3));
        String::from_utf8(reply).unwrap().replace("\r\n", " ")
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
        assert!(answered("COMMAND").starts_with(&format!("*{COUNT} *10 ")));
    }
}
