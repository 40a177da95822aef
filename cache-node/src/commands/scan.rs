//! Walking the keyspace and sorted sets: SCAN, ZSCAN, KEYS, DBSIZE.

use super::Family;
use super::argument::{integer, is};
use crate::engine::{Entry, Value};
use crate::execute::Context;
use crate::failure::Failure;
use commands::glob_matches;
use resp::{Encoder, Request};

pub(super) const FAMILY: Family = &[("scan", scan), ("zscan", zscan), ("keys", keys), ("dbsize", dbsize)];

/// What a scan is to return, and how much at a time.
#[derive(Debug)]
struct Options<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
    type_name: Option<&'a [u8]>,
}

/// Redis' own.
const DEFAULT_COUNT: usize = 10;

impl<'a> Options<'a> {
    fn read(request: &Request<'a>, first: usize, with_type: bool) -> Result<Self, Failure> {
        let mut options = Self { count: DEFAULT_COUNT, pattern: None, type_name: None };
        for at in (first..request.len()).step_by(2) {
            let (word, value) = (request.arg(at), request.get(at + 1).ok_or(Failure::Syntax)?);
            if is(word, "count") {
                let count = integer(value)?;
                if count < 1 {
                    return Err(Failure::Syntax);
                }
                options.count = count as usize;
            } else if is(word, "match") {
                options.pattern = (value != b"*").then_some(value);
            } else if with_type && is(word, "type") {
                options.type_name = Some(value);
            } else {
                return Err(Failure::Syntax);
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob_matches(pattern, name))
    }

    fn wants_entry(&self, entry: &Entry) -> bool {
        let type_name = entry.value().type_name();
        self.type_name.is_none_or(|wanted| is(wanted, type_name)) && self.wants(entry.key())
    }
}

/// Reads a cursor as Redis does, which is C's `strtoul`: nothing is 0, and negative ones wrap around.
fn cursor(arg: &[u8]) -> Result<u64, Failure> {
    let (negative, digits) = match arg {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    // No second sign, which `parse` would take.
    let digits =
        digits.first().filter(|byte| byte.is_ascii_digit()).and_then(|_| std::str::from_utf8(digits).ok());
    let cursor: u64 =
        digits.and_then(|digits| digits.parse().ok()).ok_or(Failure::Fixed("ERR invalid cursor"))?;
    Ok(if negative { cursor.wrapping_neg() } else { cursor })
}

fn reply_cursor(reply: &mut Encoder<'_>, cursor: u64) {
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
}

fn scan(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let from = cursor(request.arg(1))?;
    let options = Options::read(request, 2, true)?;
    let mut found = Vec::new();
    let next = ctx.node.engine.scan(from, options.count, ctx.now, |entry| {
        if options.wants_entry(entry) {
            found.push(entry.key());
        }
    });
    reply_cursor(&mut ctx.reply, next);
    ctx.reply.array(found.len());
    found.iter().for_each(|key| ctx.reply.bulk(key));
    Ok(())
}

fn zscan(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let from = cursor(request.arg(2))?;
    let quiet = ctx.client.no_touch.get();
    let set = match ctx.node.engine.read(request.arg(1), ctx.now, quiet).map(Entry::value) {
        None => None,
        Some(Value::SortedSet(set)) => Some(set),
        Some(_) => return Err(Failure::WrongType),
    };
    let Some(set) = set else {
        reply_cursor(&mut ctx.reply, 0);
        ctx.reply.array(0);
        return Ok(());
    };
    let options = Options::read(request, 3, false)?;
    let mut found = Vec::new();
    let next = set.scan(from, options.count, |member, score| {
        if options.wants(member) {
            found.push((member, score));
        }
    });
    reply_cursor(&mut ctx.reply, next);
    ctx.reply.array(found.len() * 2);
    // Scores are plain strings here in either protocol version.
    let mut digits = Vec::new();
    for (member, score) in found {
        ctx.reply.bulk(member);
        digits.clear();
        resp::write_double(&mut digits, score);
        ctx.reply.bulk(&digits);
    }
    Ok(())
}

fn keys(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let wanted = request.arg(1);
    let all = wanted == b"*";
    let mut found = Vec::new();
    ctx.node.engine.scan(0, usize::MAX, ctx.now, |entry| {
        if all || glob_matches(wanted, entry.key()) {
            found.push(entry.key());
        }
    });
    ctx.reply.array(found.len());
    found.iter().for_each(|key| ctx.reply.bulk(key));
    Ok(())
}

fn dbsize(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    ctx.reply.integer(ctx.node.engine.len() as i64);
    Ok(())
}
