//! Strings: reading them whole or in part, writing many, and editing in place. SET is in `set`.

use super::Family;
use super::argument::{integer, must_be_string, with_bytes};
use crate::engine::{Text, Value};
use crate::execute::Context;
use crate::failure::Failure;
use resp::{Encoder, Request};

pub(super) const FAMILY: Family = &[
    ("get", get),
    ("getdel", getdel),
    ("mget", mget),
    ("mset", mset),
    ("msetnx", msetnx),
    ("append", append),
    ("strlen", strlen),
    ("getrange", getrange),
    ("substr", getrange),
    ("setrange", setrange),
];

/// Replies a string, or null for none.
pub(super) fn reply_value(reply: &mut Encoder<'_>, value: Option<Value<'_>>) -> Result<(), Failure> {
    match value {
        None => reply.null(),
        Some(Value::Int(number)) => reply.bulk_integer(number),
        Some(Value::Bytes(bytes)) => reply.bulk(bytes),
        Some(Value::SortedSet(_)) => return Err(Failure::WrongType),
    }
    Ok(())
}

fn get(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let entry = ctx.node.engine.read(request.arg(1), ctx.now, ctx.client.no_touch.get());
    reply_value(&mut ctx.reply, entry.map(|entry| entry.value()))
}

fn getdel(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    get(ctx, request)?;
    if let Some(found) = ctx.node.engine.find(request.arg(1), ctx.now) {
        ctx.node.engine.remove(found);
    }
    Ok(())
}

fn mget(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    ctx.reply.array(request.len() - 1);
    for key in request.args().skip(1) {
        let entry = ctx.node.engine.read(key, ctx.now, ctx.client.no_touch.get());
        // A value of another type reads as none here.
        if reply_value(&mut ctx.reply, entry.map(|entry| entry.value())).is_err() {
            ctx.reply.null();
        }
    }
    Ok(())
}

/// The keys and values of MSET and MSETNX.
fn pairs<'a>(
    ctx: &Context<'_>,
    request: &'a Request<'_>,
) -> Result<impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a>, Failure> {
    if request.len().is_multiple_of(2) {
        return Err(Failure::Arity(ctx.command.name));
    }
    Ok((1..request.len()).step_by(2).map(|at| (request.arg(at), request.arg(at + 1))))
}

fn mset(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    for (key, value) in pairs(ctx, request)? {
        ctx.node.engine.set(key, Text::compact(value), None, ctx.now);
    }
    ctx.reply.simple("OK");
    Ok(())
}

fn msetnx(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let pairs = pairs(ctx, request)?;
    if pairs.clone().any(|(key, _)| ctx.node.engine.find(key, ctx.now).is_some()) {
        ctx.reply.integer(0);
        return Ok(());
    }
    for (key, value) in pairs {
        ctx.node.engine.set(key, Text::compact(value), None, ctx.now);
    }
    ctx.reply.integer(1);
    Ok(())
}

fn append(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let (key, more) = (request.arg(1), request.arg(2));
    let Some(found) = ctx.node.engine.find(key, ctx.now) else {
        ctx.node.engine.set(key, Text::compact(more), None, ctx.now);
        ctx.reply.integer(more.len() as i64);
        return Ok(());
    };
    let len = with_bytes(ctx.node.engine.entry(found).value(), <[u8]>::len)?;
    check_len(ctx, len, more.len())?;
    ctx.node.engine.overwrite(found, len, more);
    ctx.node.engine.touch(found, ctx.now);
    ctx.reply.integer((len + more.len()) as i64);
    Ok(())
}

fn strlen(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let entry = ctx.node.engine.read(request.arg(1), ctx.now, ctx.client.no_touch.get());
    let len = entry.map_or(Ok(0), |entry| with_bytes(entry.value(), <[u8]>::len))?;
    ctx.reply.integer(len as i64);
    Ok(())
}

fn getrange(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let (start, end) = (integer(request.arg(2))?, integer(request.arg(3))?);
    match ctx.node.engine.read(request.arg(1), ctx.now, ctx.client.no_touch.get()) {
        None => ctx.reply.bulk(b""),
        Some(entry) => with_bytes(entry.value(), |bytes| ctx.reply.bulk(part(bytes, start, end)))?,
    }
    Ok(())
}

/// The bytes from `start` to `end`, both included; negative positions count from the end.
fn part(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    let len = bytes.len() as i64;
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let from_start = |at: i64| (if at < 0 { at.saturating_add(len) } else { at }).max(0);
    let (start, end) = (from_start(start), from_start(end).min(len - 1));
    if len == 0 || start > end {
        return b"";
    }
    &bytes[start as usize..=end as usize]
}

fn setrange(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let (key, piece) = (request.arg(1), request.arg(3));
    let offset = integer(request.arg(2))?;
    let offset = usize::try_from(offset).map_err(|_| Failure::Fixed("ERR offset is out of range"))?;
    let found = ctx.node.engine.find(key, ctx.now);
    let len = match found {
        None => 0,
        Some(found) => with_bytes(ctx.node.engine.entry(found).value(), <[u8]>::len)?,
    };
    if piece.is_empty() {
        ctx.reply.integer(len as i64);
        return Ok(());
    }
    check_len(ctx, offset, piece.len())?;
    if found.is_none() {
        ctx.node.engine.set(key, Text::Raw(b""), None, ctx.now);
    }
    if let Some(found) = ctx.node.engine.find(key, ctx.now) {
        must_be_string(ctx.node.engine.entry(found).value())?;
        ctx.node.engine.overwrite(found, offset, piece);
        ctx.node.engine.touch(found, ctx.now);
    }
    ctx.reply.integer(len.max(offset + piece.len()) as i64);
    Ok(())
}

/// Fails when a string would become longer than strings may be.
fn check_len(ctx: &Context<'_>, len: usize, more: usize) -> Result<(), Failure> {
    match len.checked_add(more) {
        Some(total) if total <= ctx.node.config.max_bulk_len => Ok(()),
        _ => Err(Failure::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn ranges_are_cut_to_the_string() {
        for (start, end, expected) in [
            (0, -1, "hello"),
            (1, 3, "ell"),
            (-3, -1, "llo"),
            (-100, 1, "he"),
            (3, 100, "lo"),
            (4, 2, ""),
            (-1, -3, ""),
            (5, 9, ""),
            (0, -100, "h"),
            (i64::MIN, i64::MIN, "h"),
            (i64::MIN, i64::MAX, "hello"),
        ] {
            assert_eq!(part(b"hello", start, end), expected.as_bytes(), "{start}..{end}");
        }
        assert_eq!(part(b"", 0, -1), b"");
    }
}
