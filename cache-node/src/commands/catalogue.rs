//! COMMAND: what this node can do, from the command table, without what it does not serve.

use super::Family;
use super::argument::is;
use super::pattern;
use crate::execute::Context;
use crate::failure::Failure;
use commands::{Command, lookup};
use resp::{Encoder, Request};

pub(super) const FAMILY: Family = &[
    ("command", all),
    ("command|count", count),
    ("command|docs", docs),
    ("command|info", info),
    ("command|list", list),
    ("command|getkeys", getkeys),
    ("command|help", help),
];

/// Elements of one entry of COMMAND, as of Redis 7.
const ENTRY_LEN: usize = 10;

fn all(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    ctx.reply.array(ctx.handlers.served().count());
    for command in ctx.handlers.served() {
        describe(&mut ctx.reply, ctx.handlers, command);
    }
    Ok(())
}

/// Subcommands that are served.
fn subcommands<'a>(
    handlers: &'a super::Handlers,
    command: &'static Command,
) -> impl Iterator<Item = &'static Command> + Clone + use<'a> {
    command.subcommands.iter().filter(|sub| handlers.of(sub).is_some())
}

fn describe(reply: &mut Encoder<'_>, handlers: &super::Handlers, command: &'static Command) {
    let (first, last, step) = command.keys.legacy_range();
    reply.array(ENTRY_LEN);
    reply.bulk(command.name.as_bytes());
    reply.integer(i64::from(command.arity));
    words(reply, command.flags.names());
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    words(reply, command.categories.names());
    // Tips and key specifications: the first three numbers say all there is to say here.
    reply.array(0);
    reply.array(0);
    let subcommands = subcommands(handlers, command);
    reply.array(subcommands.clone().count());
    subcommands.for_each(|sub| describe(reply, handlers, sub));
}

fn words(reply: &mut Encoder<'_>, words: impl Iterator<Item = &'static str> + Clone) {
    reply.set(words.clone().count());
    words.for_each(|word| reply.simple(word));
}

fn count(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    ctx.reply.integer(ctx.handlers.served().count() as i64);
    Ok(())
}

/// The served command or subcommand (`client|list`) of this name.
fn named(handlers: &super::Handlers, name: &[u8]) -> Option<&'static Command> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let container = lookup(parts.next()?)?;
    let command = match parts.next() {
        None => container,
        Some(word) => container.subcommand(word)?,
    };
    handlers.serves(command).then_some(command)
}

fn info(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    if request.len() == 2 {
        return all(ctx, request);
    }
    ctx.reply.array(request.len() - 2);
    for name in request.args().skip(2) {
        match named(ctx.handlers, name) {
            Some(command) => describe(&mut ctx.reply, ctx.handlers, command),
            None => ctx.reply.null_array(),
        }
    }
    Ok(())
}

fn docs(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let wanted: Vec<_> = if request.len() == 2 {
        ctx.handlers.served().collect()
    } else {
        request.args().skip(2).filter_map(|name| named(ctx.handlers, name)).collect()
    };
    ctx.reply.map(wanted.len());
    for command in wanted {
        document(&mut ctx.reply, ctx.handlers, command);
    }
    Ok(())
}

fn document(reply: &mut Encoder<'_>, handlers: &super::Handlers, command: &'static Command) {
    let subcommands = subcommands(handlers, command);
    let nested = subcommands.clone().count();
    reply.bulk(command.name.as_bytes());
    reply.map(if nested > 0 { 4 } else { 3 });
    for (name, text) in
        [("summary", command.summary), ("since", command.since), ("group", command.group.name())]
    {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if nested > 0 {
        reply.bulk(b"subcommands");
        reply.map(nested);
        subcommands.for_each(|sub| document(reply, handlers, sub));
    }
}

fn list(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let names: Vec<_> = match request.len() {
        2 => ctx.handlers.served().map(|command| command.name).collect(),
        5 if is(request.arg(2), "filterby") => filtered(ctx, request.arg(3), request.arg(4))?,
        _ => return Err(Failure::Syntax),
    };
    ctx.reply.array(names.len());
    names.iter().for_each(|name| ctx.reply.bulk(name.as_bytes()));
    Ok(())
}

fn filtered(ctx: &Context<'_>, kind: &[u8], value: &[u8]) -> Result<Vec<&'static str>, Failure> {
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    let category = format!("@{text}");
    let wanted: Box<dyn Fn(&Command) -> bool> = match () {
        () if is(kind, "pattern") => {
            Box::new(|command| pattern::matches(text.as_bytes(), command.name.as_bytes()))
        }
        () if is(kind, "aclcat") => {
            Box::new(|command| command.categories.names().any(|name| name == category))
        }
        // There are no modules.
        () if is(kind, "module") => Box::new(|_| false),
        () => return Err(Failure::Syntax),
    };
    let each = ctx
        .handlers
        .served()
        .flat_map(|command| std::iter::once(command).chain(subcommands(ctx.handlers, command)));
    Ok(each.filter(|command| wanted(command)).map(|command| command.name).collect())
}

fn getkeys(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let container = lookup(request.arg(2)).ok_or(Failure::Fixed("ERR Invalid command specified"))?;
    let command = request.get(3).and_then(|word| container.subcommand(word)).unwrap_or(container);
    let argc = request.len() - 2;
    if !command.arity_fits(argc) {
        return Err(Failure::Fixed("ERR Invalid number of arguments specified for command"));
    }
    let keys = command.keys(argc, |at| request.arg(at + 2));
    let keys = keys.map_err(|_| Failure::Fixed("ERR Invalid arguments specified for command"))?;
    let keys: Vec<_> = keys.collect();
    if keys.is_empty() {
        return Err(Failure::Fixed("ERR The command has no key arguments"));
    }
    ctx.reply.array(keys.len());
    keys.iter().for_each(|at| ctx.reply.bulk(request.arg(at + 2)));
    Ok(())
}

fn help(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    super::server::reply_help(
        ctx,
        "COMMAND",
        &[
            "(no subcommand)",
            "    Return details about all Redis commands.",
            "COUNT",
            "    Return the total number of commands in this Redis server.",
            "LIST",
            "    Return a list of all commands in this Redis server.",
            "INFO [<command-name> ...]",
            "    Return details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "DOCS [<command-name> ...]",
            "    Return documentation details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "GETKEYS <full-command>",
            "    Return the keys from a full Redis command.",
        ],
    );
    Ok(())
}
