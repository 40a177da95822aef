//! Sorted sets by member: ZADD, ZREM, ZSCORE, ZRANK and the like. Ranges are in `sorted_set_range`, pops in
//! `sorted_set_pop`.

use super::Family;
use super::argument::{float, is};
use crate::engine::Value;
use crate::execute::Context;
use crate::failure::Failure;
use crate::types::sorted_set::{PackedLimits, SortedSet};
use resp::{Encoder, Request};

pub(super) const FAMILY: Family = &[
    ("zadd", |ctx, request| zadd(ctx, request, false)),
    ("zincrby", |ctx, request| zadd(ctx, request, true)),
    ("zrem", zrem),
    ("zscore", zscore),
    ("zmscore", zmscore),
    ("zcard", zcard),
    ("zrank", |ctx, request| rank(ctx, request, false)),
    ("zrevrank", |ctx, request| rank(ctx, request, true)),
];

/// The sorted set under a key, to read it.
pub(super) fn read<'a>(
    node: &'a mut crate::node::Node,
    client: &crate::client::Client,
    key: &[u8],
    now: u64,
) -> Result<Option<&'a SortedSet>, Failure> {
    match node.engine.read(key, now, client.no_touch.get()).map(|entry| entry.value()) {
        None => Ok(None),
        Some(Value::SortedSet(set)) => Ok(Some(set)),
        Some(_) => Err(Failure::WrongType),
    }
}

/// The options of ZADD.
#[derive(Debug, Default, Clone, Copy)]
struct Options {
    only_new: bool,
    only_present: bool,
    greater: bool,
    less: bool,
    changed: bool,
    increment: bool,
}

impl Options {
    /// Reads the options; returns them and the position of the first score.
    fn read(request: &Request<'_>, increment: bool) -> (Self, usize) {
        let mut options = Self { increment, ..Self::default() };
        let mut at = 2;
        while let Some(word) = request.get(at) {
            let flag = match () {
                () if is(word, "nx") => &mut options.only_new,
                () if is(word, "xx") => &mut options.only_present,
                () if is(word, "ch") => &mut options.changed,
                () if is(word, "incr") => &mut options.increment,
                () if is(word, "gt") => &mut options.greater,
                () if is(word, "lt") => &mut options.less,
                () => break,
            };
            *flag = true;
            at += 1;
        }
        (options, at)
    }

    fn check(self, pairs: usize) -> Result<(), Failure> {
        let Self { only_new, only_present, greater, less, increment, .. } = self;
        if only_new && only_present {
            return Err(Failure::Fixed("ERR XX and NX options at the same time are not compatible"));
        }
        if only_new && (greater || less) || greater && less {
            return Err(Failure::Fixed("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if increment && pairs > 1 {
            return Err(Failure::Fixed("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// What becomes of a member's score; `None` leaves it as it is, or the member out.
    fn decide(self, current: Option<f64>, given: f64) -> Result<Option<f64>, Failure> {
        let Some(current) = current else { return Ok((!self.only_present).then_some(given)) };
        if self.only_new {
            return Ok(None);
        }
        let new = if self.increment { current + given } else { given };
        if new.is_nan() {
            return Err(Failure::Fixed("ERR resulting score is not a number (NaN)"));
        }
        let barred = self.less && new >= current || self.greater && new <= current;
        Ok((!barred).then_some(new))
    }
}

/// What ZADD did.
#[derive(Debug, Default)]
struct Outcome {
    added: i64,
    updated: i64,
    /// The score the last member has got; `None` when the options left it alone.
    score: Option<f64>,
}

impl Outcome {
    fn add(
        &mut self,
        set: &mut SortedSet,
        limits: PackedLimits,
        options: Options,
        (score, member): (f64, &[u8]),
    ) -> Result<(), Failure> {
        let current = set.score(member);
        self.score = options.decide(current, score)?;
        let Some(new) = self.score else { return Ok(()) };
        match current {
            None => self.added += 1,
            Some(current) if current != new => self.updated += 1,
            Some(_) => return Ok(()),
        }
        set.insert(member, new, limits);
        Ok(())
    }
}

fn zadd(ctx: &mut Context<'_>, request: &Request<'_>, increment: bool) -> Result<(), Failure> {
    let (options, first) = Options::read(request, increment);
    let rest = request.len() - first;
    if rest == 0 || rest % 2 == 1 {
        return Err(Failure::Syntax);
    }
    options.check(rest / 2)?;
    let pair = |at| Ok((float(request.arg(at))?, request.arg(at + 1)));
    let pairs = (first..request.len()).step_by(2).map(pair).collect::<Result<Vec<_>, Failure>>()?;
    let create = !options.only_present;
    let edited = ctx.node.engine.edit_sorted_set(request.arg(1), ctx.now, create, |set, limits| {
        let mut outcome = Outcome::default();
        let added = pairs.into_iter().try_for_each(|pair| outcome.add(set, limits, options, pair));
        let changed = outcome.added + outcome.updated > 0;
        (added.map(|()| outcome), changed)
    })?;
    let outcome = edited.unwrap_or_else(|| Ok(Outcome::default()))?;
    if options.increment {
        match outcome.score {
            Some(score) => ctx.reply.double(score),
            None => ctx.reply.null(),
        }
    } else {
        ctx.reply.integer(outcome.added + if options.changed { outcome.updated } else { 0 });
    }
    ctx.node.note_members(request.arg(1), ctx.now);
    Ok(())
}

fn zrem(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let removed = ctx.node.engine.edit_sorted_set(request.arg(1), ctx.now, false, |set, _| {
        let removed = request.args().skip(2).filter(|member| set.remove(member).is_some()).count();
        (removed, removed > 0)
    })?;
    ctx.reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn reply_score(reply: &mut Encoder<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zscore(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let set = read(ctx.node, ctx.client, request.arg(1), ctx.now)?;
    reply_score(&mut ctx.reply, set.and_then(|set| set.score(request.arg(2))));
    Ok(())
}

fn zmscore(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let set = read(ctx.node, ctx.client, request.arg(1), ctx.now)?;
    ctx.reply.array(request.len() - 2);
    for member in request.args().skip(2) {
        reply_score(&mut ctx.reply, set.and_then(|set| set.score(member)));
    }
    Ok(())
}

fn zcard(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let len = read(ctx.node, ctx.client, request.arg(1), ctx.now)?.map_or(0, SortedSet::len);
    ctx.reply.integer(len as i64);
    Ok(())
}

fn rank(ctx: &mut Context<'_>, request: &Request<'_>, reverse: bool) -> Result<(), Failure> {
    let with_score = match request.get(3) {
        None => false,
        Some(word) if request.len() == 4 && is(word, "withscore") => true,
        Some(_) => return Err(Failure::Syntax),
    };
    let set = read(ctx.node, ctx.client, request.arg(1), ctx.now)?;
    let found = set.and_then(|set| Some((set.rank(request.arg(2))?, set.len())));
    match found {
        None if with_score => ctx.reply.null_array(),
        None => ctx.reply.null(),
        Some(((rank, score), len)) => {
            if with_score {
                ctx.reply.array(2);
            }
            ctx.reply.integer(if reverse { len - 1 - rank } else { rank } as i64);
            if with_score {
                ctx.reply.double(score);
            }
        }
    }
    Ok(())
}
