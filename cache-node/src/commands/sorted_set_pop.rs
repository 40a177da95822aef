//! Sorted sets: taking members out, at once or as soon as there are some: ZPOPMIN, ZMPOP, BZPOPMIN and the like.

use super::Family;
use super::argument::{float, integer, is};
use crate::execute::Context;
use crate::failure::Failure;
use crate::pop::{Pop, take};
use crate::waiting::Wait;
use resp::{Protocol, Request};
use std::ops::Range;

pub(super) const FAMILY: Family = &[
    ("zpopmin", |ctx, request| pop_one_key(ctx, request, false)),
    ("zpopmax", |ctx, request| pop_one_key(ctx, request, true)),
    ("zmpop", zmpop),
    ("bzpopmin", |ctx, request| wait_for_one(ctx, request, false)),
    ("bzpopmax", |ctx, request| wait_for_one(ctx, request, true)),
    ("bzmpop", bzmpop),
];

fn pop_one_key(ctx: &mut Context<'_>, request: &Request<'_>, highest: bool) -> Result<(), Failure> {
    let count = match request.len() {
        2 => None,
        3 => Some(pop_count(request.arg(2))?),
        _ => return Err(Failure::Syntax),
    };
    let popped = take(&mut ctx.node.engine, request.arg(1), count.unwrap_or(1), highest, ctx.now)?;
    // Asked for several, RESP3 pairs member and score; asked for one, it does not.
    let nested = count.is_some() && ctx.reply.protocol() == Protocol::Resp3;
    ctx.reply.array(if nested { popped.len() } else { popped.len() * 2 });
    for (member, score) in popped {
        if nested {
            ctx.reply.array(2);
        }
        ctx.reply.bulk(&member);
        ctx.reply.double(score);
    }
    Ok(())
}

fn pop_count(arg: &[u8]) -> Result<usize, Failure> {
    const RANGE: Failure = Failure::Fixed("ERR value is out of range, must be positive");
    let count = integer(arg).map_err(|_| RANGE)?;
    usize::try_from(count).map_err(|_| RANGE)
}

fn zmpop(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let (keys, pop) = read_many(request, 1)?;
    if !pop_first(ctx, request, keys, pop)? {
        ctx.reply.null_array();
    }
    Ok(())
}

fn bzmpop(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let (keys, pop) = read_many(request, 2)?;
    let timeout = timeout(request.arg(1))?;
    pop_or_wait(ctx, request, keys, pop, timeout)
}

fn wait_for_one(ctx: &mut Context<'_>, request: &Request<'_>, highest: bool) -> Result<(), Failure> {
    let last = request.len() - 1;
    let timeout = timeout(request.arg(last))?;
    pop_or_wait(ctx, request, 1..last, Pop { highest, count: None }, timeout)
}

/// Reads `numkeys key [key …] MIN|MAX [COUNT count]` from position `at` on.
fn read_many(request: &Request<'_>, at: usize) -> Result<(Range<usize>, Pop), Failure> {
    let keys = positive(request.arg(at), Failure::Fixed("ERR numkeys should be greater than 0"))?;
    let first = at + 1;
    let end = first.saturating_add(keys);
    let highest = match request.get(end).ok_or(Failure::Syntax)? {
        word if is(word, "min") => false,
        word if is(word, "max") => true,
        _ => return Err(Failure::Syntax),
    };
    let count = match request.get(end + 1) {
        None => 1,
        Some(word) if is(word, "count") && request.len() > end + 2 => {
            positive(request.arg(end + 2), Failure::Fixed("ERR count should be greater than 0"))?
        }
        Some(_) => return Err(Failure::Syntax),
    };
    if request.len() > end + 3 {
        return Err(Failure::Syntax);
    }
    Ok((first..end, Pop { highest, count: Some(count) }))
}

fn positive(arg: &[u8], otherwise: Failure) -> Result<usize, Failure> {
    let number = integer(arg).ok().and_then(|number| usize::try_from(number).ok());
    number.filter(|number| *number > 0).ok_or(otherwise)
}

/// Milliseconds to wait; 0 is for ever.
fn timeout(arg: &[u8]) -> Result<u64, Failure> {
    let seconds = float(arg).map_err(|_| Failure::Fixed("ERR timeout is not a float or out of range"))?;
    let ms = (seconds * 1_000.0).ceil();
    // What is too large for Redis' integer becomes the smallest there is, and so it is said.
    if !(0.0..i64::MAX as f64).contains(&ms) {
        return Err(Failure::Fixed("ERR timeout is negative"));
    }
    Ok(ms as u64)
}

/// Takes from the first key that has members; false when none has.
fn pop_first(
    ctx: &mut Context<'_>,
    request: &Request<'_>,
    keys: Range<usize>,
    pop: Pop,
) -> Result<bool, Failure> {
    for at in keys {
        if pop.take(&mut ctx.node.engine, request.arg(at), &mut ctx.reply, ctx.now)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn pop_or_wait(
    ctx: &mut Context<'_>,
    request: &Request<'_>,
    keys: Range<usize>,
    pop: Pop,
    timeout: u64,
) -> Result<(), Failure> {
    if pop_first(ctx, request, keys.clone(), pop)? {
        return Ok(());
    }
    if ctx.node.in_transaction() {
        // Nobody else could bring members before it ends.
        ctx.reply.null_array();
        return Ok(());
    }
    let keys = keys.map(|at| request.arg(at).into()).collect();
    // Not from the time of the batch on: what was executed before this in it may have taken longer than the timeout.
    let deadline = (timeout > 0).then(|| crate::server::unix_ms().saturating_add(timeout));
    ctx.node.wait(ctx.client, Wait { keys, pop, deadline });
    Ok(())
}
