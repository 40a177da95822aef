//! Deadlines: EXPIRE and TTL in all their forms.

use super::Family;
use super::argument::{integer, is, printable};
use crate::execute::Context;
use crate::failure::Failure;
use resp::Request;

pub(super) const FAMILY: Family = &[
    ("expire", |ctx, request| set_deadline(ctx, request, 1_000, true)),
    ("pexpire", |ctx, request| set_deadline(ctx, request, 1, true)),
    ("expireat", |ctx, request| set_deadline(ctx, request, 1_000, false)),
    ("pexpireat", |ctx, request| set_deadline(ctx, request, 1, false)),
    ("ttl", |ctx, request| reply_deadline(ctx, request, 1_000, true)),
    ("pttl", |ctx, request| reply_deadline(ctx, request, 1, true)),
    ("expiretime", |ctx, request| reply_deadline(ctx, request, 1_000, false)),
    ("pexpiretime", |ctx, request| reply_deadline(ctx, request, 1, false)),
    ("persist", persist),
];

/// When a new deadline is taken.
#[derive(Debug, Default)]
struct Condition {
    without: bool,
    with: bool,
    later: bool,
    sooner: bool,
}

impl Condition {
    fn read(request: &Request<'_>) -> Result<Self, Failure> {
        let mut condition = Self::default();
        for word in request.args().skip(3) {
            let flag = match () {
                () if is(word, "nx") => &mut condition.without,
                () if is(word, "xx") => &mut condition.with,
                () if is(word, "gt") => &mut condition.later,
                () if is(word, "lt") => &mut condition.sooner,
                () => {
                    let word = printable(word);
                    return Err(Failure::Worded(format!("ERR Unsupported option {word}")));
                }
            };
            *flag = true;
        }
        let Self { without, with, later, sooner } = condition;
        if without && (with || later || sooner) {
            return Err(Failure::Fixed(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if later && sooner {
            return Err(Failure::Fixed("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    /// No deadline counts as one infinitely late.
    fn allows(&self, current: Option<u64>, new: i64) -> bool {
        let current = current.map(|deadline| deadline as i64);
        !(self.without && current.is_some()
            || self.with && current.is_none()
            || self.later && current.is_none_or(|current| new <= current)
            || self.sooner && current.is_some_and(|current| new >= current))
    }
}

fn set_deadline(
    ctx: &mut Context<'_>,
    request: &Request<'_>,
    unit: i64,
    relative: bool,
) -> Result<(), Failure> {
    let condition = Condition::read(request)?;
    let now = ctx.now as i64;
    let deadline = integer(request.arg(2))?
        .checked_mul(unit)
        .and_then(|ms| ms.checked_add(if relative { now } else { 0 }))
        .ok_or(Failure::InvalidExpire(ctx.command.name))?;
    let engine = &mut ctx.node.engine;
    let Some(found) = engine.find(request.arg(1), ctx.now) else {
        ctx.reply.integer(0);
        return Ok(());
    };
    if !condition.allows(engine.entry(found).deadline(), deadline) {
        ctx.reply.integer(0);
        return Ok(());
    }
    if deadline <= now {
        engine.remove(found);
    } else {
        engine.set_deadline(found, Some(deadline as u64));
        engine.touch(found, ctx.now);
    }
    ctx.reply.integer(1);
    Ok(())
}

fn reply_deadline(
    ctx: &mut Context<'_>,
    request: &Request<'_>,
    unit: u64,
    relative: bool,
) -> Result<(), Failure> {
    let entry = ctx.node.engine.read(request.arg(1), ctx.now, true);
    let answer = match entry.map(|entry| entry.deadline()) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => {
            let ms = if relative { deadline.saturating_sub(ctx.now) } else { deadline };
            ((ms + unit / 2) / unit) as i64
        }
    };
    ctx.reply.integer(answer);
    Ok(())
}

fn persist(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let engine = &mut ctx.node.engine;
    let found =
        engine.find(request.arg(1), ctx.now).filter(|found| engine.entry(*found).deadline().is_some());
    if let Some(found) = found {
        engine.set_deadline(found, None);
    }
    ctx.reply.integer(i64::from(found.is_some()));
    Ok(())
}
