//! The connection itself: PING, ECHO, HELLO, AUTH, SELECT, RESET, QUIT.

use super::Family;
use super::argument::{integer, is, printable};
use super::client::{set_name, valid_name};
use crate::client::Ending;
use crate::execute::Context;
use crate::failure::Failure;
use resp::{Encoder, Protocol, Request};

pub(super) const FAMILY: Family = &[
    ("ping", ping),
    ("echo", echo),
    ("hello", hello),
    ("auth", auth),
    ("select", select),
    ("reset", reset),
    ("quit", quit),
];

/// The version of Redis whose behaviour clients find here.
pub(super) const REDIS_VERSION: &str = "7.0.15";

/// The only user there is.
const USER: &[u8] = b"default";

fn ping(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    match request.len() {
        1 => ctx.reply.simple("PONG"),
        2 => ctx.reply.bulk(request.arg(1)),
        _ => return Err(Failure::Arity(ctx.command.name)),
    }
    Ok(())
}

fn echo(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    ctx.reply.bulk(request.arg(1));
    Ok(())
}

fn quit(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    ctx.reply.simple("OK");
    ctx.client.end(Ending::AfterReplies);
    Ok(())
}

fn reset(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    ctx.node.end_transaction(ctx.client);
    ctx.client.reset(ctx.node.config.requirepass.is_empty());
    ctx.reply.simple("RESET");
    Ok(())
}

fn select(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let index = i32::try_from(integer(request.arg(1))?).map_err(|_| {
        Failure::Fixed("ERR value is out of range, value must between -2147483648 and 2147483647")
    })?;
    if index != 0 {
        return Err(Failure::Fixed("ERR DB index is out of range"));
    }
    ctx.reply.simple("OK");
    Ok(())
}

/// Lets the client in if name and password are right.
fn authenticate(ctx: &Context<'_>, user: &[u8], password: &[u8]) -> Result<(), Failure> {
    let expected = &ctx.node.config.requirepass;
    // Without a password the default user takes any.
    if user != USER || !expected.is_empty() && !expected.is(password) {
        return Err(Failure::Fixed("WRONGPASS invalid username-password pair or user is disabled."));
    }
    ctx.client.authenticated.set(true);
    Ok(())
}

fn auth(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    match request.len() {
        2 => {
            if ctx.node.config.requirepass.is_empty() {
                return Err(Failure::Fixed(
                    "ERR AUTH <password> called without any password configured for the default user. Are you \
                     sure your configuration is correct?",
                ));
            }
            authenticate(ctx, USER, request.arg(1))?;
        }
        3 => authenticate(ctx, request.arg(1), request.arg(2))?,
        _ => return Err(Failure::Syntax),
    }
    ctx.reply.simple("OK");
    Ok(())
}

fn hello(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let protocol = match request.get(1) {
        None => ctx.client.protocol.get(),
        Some(version) => requested_protocol(version)?,
    };
    let mut name = None;
    let mut at = 2;
    while let Some(word) = request.get(at) {
        let more = request.len() - at - 1;
        if is(word, "auth") && more >= 2 {
            authenticate(ctx, request.arg(at + 1), request.arg(at + 2))?;
            at += 3;
        } else if is(word, "setname") && more >= 1 {
            name = Some(valid_name(request.arg(at + 1))?);
            at += 2;
        } else {
            let word = printable(word);
            return Err(Failure::Worded(format!("ERR Syntax error in HELLO option '{word}'")));
        }
    }
    if ctx.node.must_authenticate(ctx.client) {
        return Err(Failure::Fixed(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
             the same time",
        ));
    }
    if let Some(name) = name {
        set_name(ctx.client, name);
    }
    ctx.client.protocol.set(protocol);
    greet(ctx, protocol);
    Ok(())
}

fn requested_protocol(version: &[u8]) -> Result<Protocol, Failure> {
    match crate::number::parse_integer(version) {
        Some(2) => Ok(Protocol::Resp2),
        Some(3) => Ok(Protocol::Resp3),
        Some(_) => Err(Failure::Fixed("NOPROTO unsupported protocol version")),
        None => Err(Failure::Fixed("ERR Protocol version is not an integer or out of range")),
    }
}

/// Replies in the version that was just asked for.
fn greet(ctx: &mut Context<'_>, protocol: Protocol) {
    let mut greeting = Vec::new();
    let mut reply = Encoder::new(&mut greeting, protocol);
    reply.map(7);
    for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(ctx.client.id as i64);
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    ctx.reply.raw(&greeting);
}
