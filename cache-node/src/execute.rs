//! From a request to its reply: finds the command, checks what Redis checks, and calls its handler.
//!
//! The order of the checks is Redis': the command exists, has enough arguments, is allowed, and there is memory
//! for it. A handler either writes exactly one reply or returns a `Failure` and has written nothing.

use crate::client::{Client, Ending};
use crate::commands::{Handler, Handlers, printable};
use crate::engine::Room;
use crate::failure::Failure;
use crate::node::Node;
use crate::transaction::runs_at_once;
use commands::{Command, Flags, Group};
use resp::{Encoder, Request};

/// What a handler works with.
#[derive(Debug)]
pub struct Context<'a> {
    /// The node.
    pub node: &'a mut Node,
    /// Whose request it is.
    pub client: &'a Client,
    /// The command, as the table has it.
    pub command: &'static Command,
    /// All handlers: COMMAND answers for those there are.
    pub handlers: &'a Handlers,
    /// Takes the reply.
    pub reply: Encoder<'a>,
    /// Time of this batch, Unix milliseconds.
    pub now: u64,
}

/// What came of a request, to whoever has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It took little time.
    Fast,
    /// Its time may grow with the data it meets: Redis does not call it fast.
    Slow,
    /// It is not answered yet: nothing else may be executed for the client until it is.
    Waiting,
}

/// Longest part of a name that an error repeats, as in Redis.
const NAME_IN_ERROR: usize = 128;

/// Executes one request, or queues it between MULTI and EXEC, and appends its reply to `out`. Beyond `max_reply_len`
/// the reply is cut off and the client ends.
pub fn execute(
    handlers: &Handlers,
    node: &mut Node,
    client: &Client,
    request: &Request<'_>,
    out: &mut Vec<u8>,
    now: u64,
) -> After {
    let protocol = client.protocol.get();
    let mut after = After::Fast;
    let result = match admitted(handlers, node, client, request, now) {
        Ok((command, _)) if client.in_multi.get() && !runs_at_once(command) => {
            queue(command, node, client, request, out)
        }
        Ok((command, handler)) => {
            let reply = Encoder::with_limit(out, protocol, node.config.max_reply_len);
            let result = call(handler, Context { node, client, command, handlers, reply, now }, request);
            if !command.flags.contains(Flags::FAST) || command.flags.contains(Flags::BLOCKING) {
                after = if client.is_waiting() { After::Waiting } else { After::Slow };
            }
            result
        }
        Err(refusal) => Err(refused(node, client, request, refusal)),
    };
    if let Err(failure) = result {
        fail(node, &failure, Encoder::new(out, protocol));
    }
    after
}

/// Executes a request that was admitted when it was queued.
pub fn run_queued(ctx: &mut Context<'_>, request: &Request<'_>, out: &mut Vec<u8>) {
    let (node, client, handlers, now) = (&mut *ctx.node, ctx.client, ctx.handlers, ctx.now);
    let protocol = client.protocol.get();
    // A transaction is never refused halfway, but what it brings may cost others their place.
    node.engine.reclaim();
    node.engine.make_room(now);
    let result = resolve(handlers, request).and_then(|(command, handler)| {
        let reply = Encoder::with_limit(out, protocol, node.config.max_reply_len);
        call(handler, Context { node, client, command, handlers, reply, now }, request)
    });
    if let Err(failure) = result {
        fail(ctx.node, &failure, Encoder::new(out, protocol));
    }
}

/// Calls a handler and counts what comes of it.
#[inline(always)] // As `resolve`.
fn call(handler: Handler, mut ctx: Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let index = ctx.command.id.index();
    ctx.client.last_command.set(ctx.command.name);
    ctx.node.stats.commands += 1;
    ctx.node.stats.of_command[index].calls += 1;
    let result = handler(&mut ctx, request);
    if ctx.reply.exceeded() {
        end_cut_off(ctx.client, ctx.command.name);
    }
    ctx.node.stats.of_command[index].failed += u64::from(result.is_err());
    result
}

/// Ends a client whose reply was cut off: what followed would be taken for the rest of it.
#[cold]
pub fn end_cut_off(client: &Client, command: &str) {
    tracing::warn!(client = %client.peer, command, "reply too large: closing the connection");
    client.end(Ending::Now);
}

fn fail(node: &mut Node, failure: &Failure, mut reply: Encoder<'_>) {
    node.stats.errors += 1;
    // Line ends around the text go, those inside become spaces: as in Redis.
    reply.error(failure.to_string().trim_matches(['\r', '\n']));
}

#[cold]
fn queue(
    command: &Command,
    node: &mut Node,
    client: &Client,
    request: &Request<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    if let Err(failure) = node.queue(client, command, request) {
        client.transaction.borrow_mut().mark_broken();
        return Err(failure);
    }
    Encoder::new(out, client.protocol.get()).simple("QUEUED");
    Ok(())
}

/// What a refusal means for a transaction: one that was to be queued breaks it, and that of EXEC is its end.
#[cold]
fn refused(node: &mut Node, client: &Client, request: &Request<'_>, refusal: Failure) -> Failure {
    if commands::lookup(request.arg(0)).is_some_and(|command| command.name == "exec") {
        node.end_transaction(client);
        let reason = refusal.to_string();
        let reason = reason.strip_prefix("ERR ").unwrap_or(&reason);
        return Failure::Worded(format!("EXECABORT Transaction discarded because of: {reason}"));
    }
    if client.in_multi.get() {
        client.transaction.borrow_mut().mark_broken();
    }
    refusal
}

/// The command a request names, if it may be executed now.
#[inline(always)] // As `resolve`.
fn admitted(
    handlers: &Handlers,
    node: &mut Node,
    client: &Client,
    request: &Request<'_>,
    now: u64,
) -> Result<(&'static Command, Handler), Failure> {
    let (command, handler) = resolve(handlers, request)?;
    if let Err(refusal) = admit(command, node, client, request, now) {
        node.stats.of_command[command.id.index()].rejected += 1;
        return Err(refusal);
    }
    Ok((command, handler))
}

/// Fails unless the command may be executed now.
fn admit(
    command: &'static Command,
    node: &mut Node,
    client: &Client,
    request: &Request<'_>,
    now: u64,
) -> Result<(), Failure> {
    if !command.arity_fits(request.len()) {
        return Err(Failure::Arity(command.name));
    }
    if node.must_authenticate(client) && !command.flags.contains(Flags::NO_AUTH) {
        return Err(Failure::NotAuthenticated);
    }
    node.engine.reclaim();
    if node.config.limits.maxmemory > 0
        && node.engine.make_room(now) == Room::Exhausted
        && needs_room(command, client)
    {
        return Err(Failure::OutOfMemory);
    }
    Ok(())
}

/// True when a command may take more memory: a queue does, and so does what EXEC finds in it.
fn needs_room(command: &Command, client: &Client) -> bool {
    if !client.in_multi.get() {
        return command.flags.contains(Flags::DENYOOM);
    }
    !runs_at_once(command) || command.name == "exec" && client.transaction.borrow().needs_room()
}

/// The command or subcommand a request names, with its handler.
// It has two callers since there are transactions, and a plain GET or SET would pay for that: 4 % of its
// instructions, those of `call` and `admitted` included.
#[inline(always)]
fn resolve(handlers: &Handlers, request: &Request<'_>) -> Result<(&'static Command, Handler), Failure> {
    let unknown = || unknown_command(request);
    let command = commands::lookup(request.arg(0)).ok_or_else(unknown)?;
    let found = match request.get(1) {
        Some(word) if !command.subcommands.is_empty() && handlers.serves(command) => {
            command.subcommand(word).ok_or_else(|| unknown_subcommand(request))?
        }
        _ => command,
    };
    match handlers.of(found) {
        Some(handler) => Ok((found, handler)),
        None if found.name == command.name && handlers.serves(command) => Err(Failure::Arity(command.name)),
        None if found.name != command.name => Err(unknown_subcommand(request)),
        None => Err(not_here(command, request)),
    }
}

fn unknown_command(request: &Request<'_>) -> Failure {
    let mut words = String::new();
    for arg in request.args().skip(1) {
        if words.len() >= NAME_IN_ERROR {
            break;
        }
        let room = NAME_IN_ERROR - words.len();
        words.push_str(&format!("'{}' ", printable(&arg[..arg.len().min(room)])));
    }
    let name = printable(start_of(request.arg(0)));
    Failure::Worded(format!("ERR unknown command '{name}', with args beginning with: {words}"))
}

/// A command of Redis that this node does not have: where all of its family is missing, what has it.
#[cold]
fn not_here(command: &Command, request: &Request<'_>) -> Failure {
    let Some(family) = missing(command) else { return unknown_command(request) };
    let name = printable(start_of(request.arg(0)));
    Failure::Worded(format!(
        "ERR unknown command '{name}': FastCache's own nodes have no {family}; use stock Redis or Valkey nodes"
    ))
}

/// What this node has nothing of, in words.
fn missing(command: &Command) -> Option<&'static str> {
    match command.group {
        Group::Bitmap => Some("bitmaps"),
        Group::HyperLogLog => Some("HyperLogLogs"),
        Group::Hash => Some("hashes"),
        Group::List => Some("lists"),
        Group::Set => Some("sets"),
        Group::Stream => Some("streams"),
        Group::Geo => Some("geospatial indexes"),
        Group::PubSub => Some("publish/subscribe"),
        Group::Scripting => Some("scripts"),
        // Of the server's own commands, the one that people look for.
        Group::Server if command.name == "slowlog" => Some("slow log"),
        _ => None,
    }
}

fn unknown_subcommand(request: &Request<'_>) -> Failure {
    let container = String::from_utf8_lossy(request.arg(0)).to_uppercase();
    let word = printable(start_of(request.get(1).unwrap_or_default()));
    Failure::Worded(format!("ERR unknown subcommand '{word}'. Try {container} HELP."))
}

fn start_of(name: &[u8]) -> &[u8] {
    &name[..name.len().min(NAME_IN_ERROR)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_served_of_what_is_said_to_be_missing() {
        let handlers = Handlers::default();
        let served: Vec<_> =
            handlers.served().filter(|command| missing(command).is_some()).map(|c| c.name).collect();
        assert_eq!(served, [""; 0]);
    }
}
