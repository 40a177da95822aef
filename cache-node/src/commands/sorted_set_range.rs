//! Sorted sets by range: the ZRANGE family, ZCOUNT, ZLEXCOUNT and ZREMRANGEBY*.
//!
//! Whatever the range is given by (positions, scores, members), it becomes an interval of ranks first.

use super::Family;
use super::argument::{integer, is};
use super::sorted_set::read;
use crate::execute::Context;
use crate::failure::Failure;
use crate::number::parse_float_c;
use crate::types::sorted_set::SortedSet;
use resp::{Protocol, Request};
use std::ops::Range;

pub(super) const FAMILY: Family = &[
    ("zrange", |ctx, request| zrange(ctx, request, None, None)),
    ("zrevrange", |ctx, request| zrange(ctx, request, Some(By::Rank), Some(true))),
    ("zrangebyscore", |ctx, request| zrange(ctx, request, Some(By::Score), Some(false))),
    ("zrevrangebyscore", |ctx, request| zrange(ctx, request, Some(By::Score), Some(true))),
    ("zrangebylex", |ctx, request| zrange(ctx, request, Some(By::Lex), Some(false))),
    ("zrevrangebylex", |ctx, request| zrange(ctx, request, Some(By::Lex), Some(true))),
    ("zcount", |ctx, request| count(ctx, request, By::Score)),
    ("zlexcount", |ctx, request| count(ctx, request, By::Lex)),
    ("zremrangebyrank", |ctx, request| remove(ctx, request, By::Rank)),
    ("zremrangebyscore", |ctx, request| remove(ctx, request, By::Score)),
    ("zremrangebylex", |ctx, request| remove(ctx, request, By::Lex)),
];

/// What a range is given by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// One end of a range of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lex<'a> {
    /// Before all members.
    Lowest,
    /// After all members.
    Highest,
    /// At this member, or just inside of it.
    At { member: &'a [u8], exclusive: bool },
}

/// A range as it was asked for, lowest end first.
#[derive(Debug, Clone, Copy)]
enum Bounds<'a> {
    Rank(i64, i64),
    Score((f64, bool), (f64, bool)),
    Lex(Lex<'a>, Lex<'a>),
}

impl<'a> Bounds<'a> {
    fn read(by: By, low: &'a [u8], high: &'a [u8]) -> Result<Self, Failure> {
        match by {
            By::Rank => Ok(Self::Rank(integer(low)?, integer(high)?)),
            By::Score => Ok(Self::Score(score_bound(low)?, score_bound(high)?)),
            By::Lex => Ok(Self::Lex(lex_bound(low)?, lex_bound(high)?)),
        }
    }

    /// The ranks within the range; `reverse` counts positions from the highest score.
    fn ranks(self, set: &SortedSet, reverse: bool) -> Range<usize> {
        let (start, end) = match self {
            Self::Rank(start, end) => return positions(set.len(), start, end, reverse),
            Self::Score((low, after), (high, before)) => (
                set.rank_where(|score, _| if after { score <= low } else { score < low }),
                set.rank_where(|score, _| if before { score < high } else { score <= high }),
            ),
            Self::Lex(low, high) => (
                set.rank_where(|_, member| is_below(member, low)),
                set.rank_where(|_, member| !is_above(member, high)),
            ),
        };
        start..end.max(start)
    }
}

/// Positions of ZRANGE: both ends included, negative ones count from the end.
fn positions(len: usize, start: i64, end: i64, reverse: bool) -> Range<usize> {
    let len = len as i64;
    let from_start = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
    let start = from_start(start).max(0);
    let end = from_start(end).min(len - 1);
    if start > end || start >= len {
        return 0..0;
    }
    let (first, last) = if reverse { (len - 1 - end, len - 1 - start) } else { (start, end) };
    first as usize..last as usize + 1
}

fn score_bound(arg: &[u8]) -> Result<(f64, bool), Failure> {
    let (text, exclusive) = match arg {
        [b'(', rest @ ..] => (rest, true),
        rest => (rest, false),
    };
    let score = parse_float_c(text).ok_or(Failure::Fixed("ERR min or max is not a float"))?;
    Ok((score, exclusive))
}

fn lex_bound(arg: &[u8]) -> Result<Lex<'_>, Failure> {
    match arg {
        b"-" => Ok(Lex::Lowest),
        b"+" => Ok(Lex::Highest),
        [b'(', member @ ..] => Ok(Lex::At { member, exclusive: true }),
        [b'[', member @ ..] => Ok(Lex::At { member, exclusive: false }),
        _ => Err(Failure::Fixed("ERR min or max not valid string range item")),
    }
}

/// True for members before a range that starts at `low`.
fn is_below(member: &[u8], low: Lex<'_>) -> bool {
    match low {
        Lex::Lowest => false,
        Lex::Highest => true,
        Lex::At { member: bound, exclusive: true } => member <= bound,
        Lex::At { member: bound, exclusive: false } => member < bound,
    }
}

/// True for members after a range that ends at `high`.
fn is_above(member: &[u8], high: Lex<'_>) -> bool {
    match high {
        Lex::Lowest => true,
        Lex::Highest => false,
        Lex::At { member: bound, exclusive: true } => member >= bound,
        Lex::At { member: bound, exclusive: false } => member > bound,
    }
}

/// The options of the ZRANGE family.
#[derive(Debug)]
struct Options {
    by: Option<By>,
    reverse: Option<bool>,
    with_scores: bool,
    limit: Option<(i64, i64)>,
}

impl Options {
    /// Reads what follows the range. `by` and `reverse` are given where the command's name says them.
    fn read(request: &Request<'_>, by: Option<By>, reverse: Option<bool>) -> Result<Self, Failure> {
        let mut options = Self { by, reverse, with_scores: false, limit: None };
        let mut at = 4;
        while let Some(word) = request.get(at) {
            if is(word, "withscores") {
                options.with_scores = true;
            } else if is(word, "limit") && request.len() > at + 2 {
                options.limit = Some((integer(request.arg(at + 1))?, integer(request.arg(at + 2))?));
                at += 2;
            } else if options.reverse.is_none() && is(word, "rev") {
                options.reverse = Some(true);
            } else if options.by.is_none() && is(word, "bylex") {
                options.by = Some(By::Lex);
            } else if options.by.is_none() && is(word, "byscore") {
                options.by = Some(By::Score);
            } else {
                return Err(Failure::Syntax);
            }
            at += 1;
        }
        options.check()
    }

    fn check(self) -> Result<Self, Failure> {
        let by = self.by.unwrap_or(By::Rank);
        // -1 is how Redis writes "no limit", so it lets `LIMIT 0 -1` pass here.
        if by == By::Rank && self.limit.is_some_and(|(_, count)| count != -1) {
            return Err(Failure::Fixed(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if by == By::Lex && self.with_scores {
            return Err(Failure::Fixed(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        Ok(self)
    }

    /// Cuts a range to LIMIT, which counts from the end that is returned first.
    fn cut(&self, ranks: Range<usize>, reverse: bool) -> Range<usize> {
        let Some((offset, count)) = self.limit.filter(|_| self.by != Some(By::Rank) && self.by.is_some())
        else {
            return ranks;
        };
        let Ok(offset) = usize::try_from(offset) else { return 0..0 };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if offset >= ranks.len() {
            return 0..0;
        }
        if reverse {
            let end = ranks.end - offset;
            end.saturating_sub(count).max(ranks.start)..end
        } else {
            let start = ranks.start + offset;
            start..start.saturating_add(count).min(ranks.end)
        }
    }
}

fn zrange(
    ctx: &mut Context<'_>,
    request: &Request<'_>,
    by: Option<By>,
    reverse: Option<bool>,
) -> Result<(), Failure> {
    let options = Options::read(request, by, reverse)?;
    let by = options.by.unwrap_or(By::Rank);
    let reverse = options.reverse.unwrap_or(false);
    // A reversed range of scores or members is given highest end first.
    let (low, high) = if reverse && by != By::Rank { (3, 2) } else { (2, 3) };
    let bounds = Bounds::read(by, request.arg(low), request.arg(high))?;
    let Some(set) = read(ctx.node, ctx.client, request.arg(1), ctx.now)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let ranks = options.cut(bounds.ranks(set, reverse), reverse);
    let nested = options.with_scores && ctx.reply.protocol() == Protocol::Resp3;
    let flat = options.with_scores && !nested;
    ctx.reply.array(if flat { ranks.len() * 2 } else { ranks.len() });
    let mut emit = |(member, score): (&[u8], f64)| {
        if nested {
            ctx.reply.array(2);
        }
        ctx.reply.bulk(member);
        if options.with_scores {
            ctx.reply.double(score);
        }
    };
    if reverse {
        set.range(ranks).rev().for_each(&mut emit);
    } else {
        set.range(ranks).for_each(&mut emit);
    }
    Ok(())
}

fn count(ctx: &mut Context<'_>, request: &Request<'_>, by: By) -> Result<(), Failure> {
    let bounds = Bounds::read(by, request.arg(2), request.arg(3))?;
    let set = read(ctx.node, ctx.client, request.arg(1), ctx.now)?;
    ctx.reply.integer(set.map_or(0, |set| bounds.ranks(set, false).len()) as i64);
    Ok(())
}

fn remove(ctx: &mut Context<'_>, request: &Request<'_>, by: By) -> Result<(), Failure> {
    let bounds = Bounds::read(by, request.arg(2), request.arg(3))?;
    let removed = ctx.node.engine.edit_sorted_set(request.arg(1), ctx.now, false, |set, _| {
        let ranks = bounds.ranks(set, false);
        let count = ranks.len();
        set.remove_range(ranks);
        (count, count > 0)
    })?;
    ctx.reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::positions;

    #[test]
    fn positions_are_cut_to_the_set() {
        for (start, end, reverse, expected) in [
            (0, -1, false, 0..5),
            (1, 2, false, 1..3),
            (0, 0, true, 4..5),
            (-2, -1, true, 0..2),
            (3, 1, false, 0..0),
            (5, 9, false, 0..0),
            (-100, 100, false, 0..5),
            (i64::MIN, i64::MAX, true, 0..5),
            (0, i64::MIN, false, 0..0),
        ] {
            assert_eq!(positions(5, start, end, reverse), expected, "{start} {end} {reverse}");
        }
        assert_eq!(positions(0, 0, -1, false), 0..0);
    }
}
