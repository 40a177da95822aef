//! From a request to its reply: finds the command, checks what Redis checks, and calls its handler.
//!
//! The order of the checks is Redis': the command exists, has enough arguments, is allowed, and there is memory
//! for it. A handler either writes exactly one reply or returns a `Failure` and has written nothing.

use crate::client::{Client, Ending};
use crate::commands::{Handler, Handlers, printable};
use crate::engine::Room;
use crate::failure::Failure;
use crate::node::Node;
use commands::{Command, Flags};
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

/// Longest part of a name that an error repeats, as in Redis.
const NAME_IN_ERROR: usize = 128;

/// Executes one request and appends its reply to `out`. Beyond `max_reply_len` the reply is cut off and the client
/// ends. Returns whether the command's time may grow with the data it meets: Redis does not call it fast.
pub fn execute(
    handlers: &Handlers,
    node: &mut Node,
    client: &Client,
    request: &Request<'_>,
    out: &mut Vec<u8>,
    now: u64,
) -> bool {
    let protocol = client.protocol.get();
    let mut slow = false;
    let result = resolve(handlers, request).and_then(|(command, handler)| {
        let index = command.id.index();
        if let Err(refusal) = admit(command, node, client, request, now) {
            node.stats.of_command[index].rejected += 1;
            return Err(refusal);
        }
        slow = !command.flags.contains(Flags::FAST);
        client.last_command.set(command.name);
        node.stats.commands += 1;
        node.stats.of_command[index].calls += 1;
        let reply = Encoder::with_limit(out, protocol, node.config.max_reply_len);
        let mut context = Context { node, client, command, handlers, reply, now };
        let result = handler(&mut context, request);
        if context.reply.exceeded() {
            let (peer, command) = (client.peer, command.name);
            tracing::warn!(client = %peer, command, "reply too large: closing the connection");
            client.end(Ending::Now);
        }
        node.stats.of_command[index].failed += u64::from(result.is_err());
        result
    });
    if let Err(failure) = result {
        node.stats.errors += 1;
        // Line ends around the text go, those inside become spaces: as in Redis.
        Encoder::new(out, protocol).error(failure.to_string().trim_matches(['\r', '\n']));
    }
    slow
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
        && command.flags.contains(Flags::DENYOOM)
    {
        return Err(Failure::OutOfMemory);
    }
    Ok(())
}

/// The command or subcommand a request names, with its handler.
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
        None => Err(unknown()),
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

fn unknown_subcommand(request: &Request<'_>) -> Failure {
    let container = String::from_utf8_lossy(request.arg(0)).to_uppercase();
    let word = printable(start_of(request.get(1).unwrap_or_default()));
    Failure::Worded(format!("ERR unknown subcommand '{word}'. Try {container} HELP."))
}

fn start_of(name: &[u8]) -> &[u8] {
    &name[..name.len().min(NAME_IN_ERROR)]
}
