//! Counters: INCR and its relatives.

use super::Family;
use super::argument::{integer, stored_integer, with_bytes};
use super::long_double::LongDouble;
use crate::engine::Text;
use crate::execute::Context;
use crate::failure::Failure;
use resp::Request;

pub(super) const FAMILY: Family =
    &[("incr", incr), ("decr", decr), ("incrby", incrby), ("decrby", decrby), ("incrbyfloat", incrbyfloat)];

fn add(ctx: &mut Context<'_>, key: &[u8], amount: i64) -> Result<(), Failure> {
    let engine = &mut ctx.node.engine;
    let found = engine.find(key, ctx.now);
    let before = found.map_or(Ok(0), |found| stored_integer(engine.entry(found).value()))?;
    let after =
        before.checked_add(amount).ok_or(Failure::Fixed("ERR increment or decrement would overflow"))?;
    match found {
        Some(found) => {
            engine.set_value(found, Text::Int(after));
            engine.touch(found, ctx.now);
        }
        None => engine.set(key, Text::Int(after), None, ctx.now),
    }
    ctx.reply.integer(after);
    Ok(())
}

fn incr(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    add(ctx, request.arg(1), 1)
}

fn decr(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    add(ctx, request.arg(1), -1)
}

fn incrby(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    add(ctx, request.arg(1), integer(request.arg(2))?)
}

fn decrby(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let amount = integer(request.arg(2))?;
    let negated = amount.checked_neg().ok_or(Failure::Fixed("ERR decrement would overflow"))?;
    add(ctx, request.arg(1), negated)
}

fn incrbyfloat(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let key = request.arg(1);
    let engine = &mut ctx.node.engine;
    let found = engine.find(key, ctx.now);
    let before = match found {
        None => Some(LongDouble::ZERO),
        Some(found) => with_bytes(engine.entry(found).value(), LongDouble::parse)?,
    };
    let before = before.ok_or(Failure::NotAFloat)?;
    let amount = LongDouble::parse(request.arg(2)).ok_or(Failure::NotAFloat)?;
    let after =
        before.add(amount).ok_or(Failure::Fixed("ERR increment would produce NaN or Infinity"))?.to_string();
    match found {
        Some(found) => {
            engine.set_value(found, Text::Bytes(after.as_bytes()));
            engine.touch(found, ctx.now);
        }
        None => engine.set(key, Text::Bytes(after.as_bytes()), None, ctx.now),
    }
    ctx.reply.bulk(after.as_bytes());
    Ok(())
}
