//! Keys, whatever they hold: DEL, EXISTS, RENAME, TYPE, OBJECT and the like.

use super::Family;
use super::argument::{integer, is};
use crate::engine::{Value, idle_ms};
use crate::execute::Context;
use crate::failure::Failure;
use resp::Request;

pub(super) const FAMILY: Family = &[
    ("del", del),
    ("unlink", del),
    ("exists", exists),
    ("touch", touch),
    ("type", type_of),
    ("rename", rename),
    ("renamenx", renamenx),
    ("randomkey", randomkey),
    ("object|encoding", object_encoding),
    ("object|refcount", object_refcount),
    ("object|idletime", object_idletime),
    ("object|freq", object_freq),
    ("object|help", object_help),
    ("memory|usage", memory_usage),
    ("memory|help", memory_help),
];

/// DEL and UNLINK are one: what is big is always freed later.
fn del(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let mut removed = 0;
    for key in request.args().skip(1) {
        if let Some(found) = ctx.node.engine.find(key, ctx.now) {
            ctx.node.engine.remove(found);
            removed += 1;
        }
    }
    ctx.reply.integer(removed);
    Ok(())
}

fn exists(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    // Like Redis, EXISTS counts as a read but not as a use.
    let present =
        request.args().skip(1).filter(|key| ctx.node.engine.read(key, ctx.now, true).is_some()).count();
    ctx.reply.integer(present as i64);
    Ok(())
}

fn touch(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let present =
        request.args().skip(1).filter(|key| ctx.node.engine.read(key, ctx.now, false).is_some()).count();
    ctx.reply.integer(present as i64);
    Ok(())
}

fn type_of(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let entry = ctx.node.engine.read(request.arg(1), ctx.now, true);
    ctx.reply.simple(entry.map_or("none", |entry| entry.value().type_name()));
    Ok(())
}

/// Renames if the source exists and the target is free or may be replaced; true when it did.
fn move_key(ctx: &mut Context<'_>, request: &Request<'_>, replace: bool) -> Result<bool, Failure> {
    let (from, to) = (request.arg(1), request.arg(2));
    let engine = &mut ctx.node.engine;
    let found = engine.find(from, ctx.now).ok_or(Failure::NoSuchKey)?;
    if from == to {
        return Ok(replace);
    }
    if !replace && engine.find(to, ctx.now).is_some() {
        return Ok(false);
    }
    // Looking up the target may have removed it, expired as it was: look the source up again.
    let found = engine.find(from, ctx.now).unwrap_or(found);
    engine.rename(found, to, ctx.now);
    ctx.node.note_members(to, ctx.now);
    Ok(true)
}

fn rename(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    move_key(ctx, request, true)?;
    ctx.reply.simple("OK");
    Ok(())
}

fn renamenx(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let moved = move_key(ctx, request, false)?;
    ctx.reply.integer(i64::from(moved));
    Ok(())
}

fn randomkey(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    match ctx.node.engine.random_key(ctx.now) {
        Some(key) => ctx.reply.bulk(&key),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn object_encoding(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    match ctx.node.engine.find(request.arg(2), ctx.now) {
        Some(found) => ctx.reply.bulk(ctx.node.engine.entry(found).encoding().as_bytes()),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// Redis shares the objects of these integers, and reports that as a reference count of `INT_MAX`.
const SHARED_INTEGERS: std::ops::Range<i64> = 0..10_000;

fn object_refcount(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let Some(found) = ctx.node.engine.find(request.arg(2), ctx.now) else {
        ctx.reply.null();
        return Ok(());
    };
    let limits = ctx.node.config.limits;
    let sharing = limits.maxmemory == 0 || !limits.policy.is_lru();
    let shared = match ctx.node.engine.entry(found).value() {
        Value::Int(number) => sharing && SHARED_INTEGERS.contains(&number),
        Value::Bytes(_) | Value::SortedSet(_) => false,
    };
    ctx.reply.integer(if shared { i64::from(i32::MAX) } else { 1 });
    Ok(())
}

fn object_idletime(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    match ctx.node.engine.find(request.arg(2), ctx.now) {
        Some(found) => {
            let idle = idle_ms(ctx.node.engine.entry(found).accessed(), ctx.now) / 1_000;
            ctx.reply.integer(idle as i64);
        }
        None => ctx.reply.null(),
    }
    Ok(())
}

fn object_freq(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    if ctx.node.engine.find(request.arg(2), ctx.now).is_none() {
        ctx.reply.null();
        return Ok(());
    }
    Err(Failure::Fixed(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
         switching between policies at runtime LRU and LFU data will take some time to adjust.",
    ))
}

fn object_help(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    super::server::reply_help(
        ctx,
        "OBJECT",
        &[
            "ENCODING <key>",
            "    Return the kind of internal representation used in order to store the value",
            "    associated with a <key>.",
            "FREQ <key>",
            "    Return the access frequency index of the <key>. The returned integer is",
            "    proportional to the logarithm of the recent access frequency of the key.",
            "IDLETIME <key>",
            "    Return the idle time of the <key>, that is the approximated number of",
            "    seconds elapsed since the last access to the key.",
            "REFCOUNT <key>",
            "    Return the number of references of the value associated with the specified",
            "    <key>.",
        ],
    );
    Ok(())
}

fn memory_usage(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    for at in (3..request.len()).step_by(2) {
        let samples =
            request.get(at + 1).filter(|_| is(request.arg(at), "samples")).ok_or(Failure::Syntax)?;
        if integer(samples)? < 0 {
            return Err(Failure::Syntax);
        }
    }
    match ctx.node.engine.find(request.arg(2), ctx.now) {
        Some(found) => {
            let entry = ctx.node.engine.entry(found);
            // The bucket it lies in counts too.
            ctx.reply.integer((entry.heap_bytes() + size_of_val(entry)) as i64);
        }
        None => ctx.reply.null(),
    }
    Ok(())
}

fn memory_help(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    super::server::reply_help(
        ctx,
        "MEMORY",
        &[
            "USAGE <key> [SAMPLES <count>]",
            "    Return memory in bytes used by <key> and its value. Nested values are",
            "    counted in full, whatever <count> says.",
        ],
    );
    Ok(())
}
