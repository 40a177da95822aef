//! SET and its relatives, and GETEX: everything that reads the options EX PX EXAT PXAT NX XX KEEPTTL GET PERSIST.

use super::Family;
use super::argument::{integer, is, must_be_string};
use super::string::reply_value;
use crate::engine::Text;
use crate::execute::Context;
use crate::failure::Failure;
use resp::Request;

pub(super) const FAMILY: Family = &[
    ("set", set),
    ("setex", setex),
    ("psetex", psetex),
    ("setnx", setnx),
    ("getset", getset),
    ("getex", getex),
];

/// How an expire time is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
    UnixSeconds,
    UnixMilliseconds,
}

/// The options of SET and GETEX.
#[derive(Debug, Default)]
struct Options<'a> {
    expire: Option<(Unit, &'a [u8])>,
    only_new: bool,
    only_present: bool,
    keep_ttl: bool,
    persist: bool,
    get: bool,
}

impl<'a> Options<'a> {
    /// Reads the arguments from `first` on. SET and GETEX share some options and not others.
    fn read(request: &Request<'a>, first: usize, of_set: bool) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut at = first;
        while at < request.len() {
            let word = request.arg(at);
            if let Some(unit) = expire_unit(word) {
                let amount = request.get(at + 1).ok_or(Failure::Syntax)?;
                options.set_expire(unit, amount)?;
                at += 1;
            } else {
                options.set_flag(word, of_set)?;
            }
            at += 1;
        }
        Ok(options)
    }

    fn set_expire(&mut self, unit: Unit, amount: &'a [u8]) -> Result<(), Failure> {
        let other = self.expire.is_some_and(|(earlier, _)| earlier != unit);
        if other || self.keep_ttl || self.persist {
            return Err(Failure::Syntax);
        }
        self.expire = Some((unit, amount));
        Ok(())
    }

    fn set_flag(&mut self, word: &[u8], of_set: bool) -> Result<(), Failure> {
        if of_set && is(word, "nx") && !self.only_present {
            self.only_new = true;
        } else if of_set && is(word, "xx") && !self.only_new {
            self.only_present = true;
        } else if of_set && is(word, "get") {
            self.get = true;
        } else if of_set && is(word, "keepttl") && self.expire.is_none() {
            self.keep_ttl = true;
        } else if !of_set && is(word, "persist") && self.expire.is_none() {
            self.persist = true;
        } else {
            return Err(Failure::Syntax);
        }
        Ok(())
    }

    /// The deadline the options ask for, if any.
    fn deadline(&self, command: &'static str, now: u64) -> Result<Option<u64>, Failure> {
        self.expire.map(|(unit, amount)| absolute(unit, amount, command, now)).transpose()
    }
}

fn expire_unit(word: &[u8]) -> Option<Unit> {
    const UNITS: [(&str, Unit); 4] = [
        ("ex", Unit::Seconds),
        ("px", Unit::Milliseconds),
        ("exat", Unit::UnixSeconds),
        ("pxat", Unit::UnixMilliseconds),
    ];
    UNITS.iter().find(|(name, _)| is(word, name)).map(|(_, unit)| *unit)
}

/// The deadline in Unix milliseconds.
fn absolute(unit: Unit, amount: &[u8], command: &'static str, now: u64) -> Result<u64, Failure> {
    let invalid = Failure::InvalidExpire(command);
    let amount = u64::try_from(integer(amount)?).map_err(|_| invalid.clone())?;
    let in_seconds = matches!(unit, Unit::Seconds | Unit::UnixSeconds);
    let relative = matches!(unit, Unit::Seconds | Unit::Milliseconds);
    amount
        .checked_mul(if in_seconds { 1_000 } else { 1 })
        .and_then(|ms| ms.checked_add(if relative { now } else { 0 }))
        .filter(|deadline| amount > 0 && i64::try_from(*deadline).is_ok())
        .ok_or(invalid)
}

fn set(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let (key, value) = (request.arg(1), Text::compact(request.arg(2)));
    if request.len() == 3 {
        ctx.node.engine.set(key, value, None, ctx.now);
        ctx.reply.simple("OK");
        return Ok(());
    }
    let options = Options::read(request, 3, true)?;
    let mut deadline = options.deadline(ctx.command.name, ctx.now)?;
    let found = ctx.node.engine.find(key, ctx.now);
    if options.get {
        let entry = ctx.node.engine.read(key, ctx.now, ctx.client.no_touch.get());
        reply_value(&mut ctx.reply, entry.map(|entry| entry.value()))?;
    }
    let refused = if found.is_some() { options.only_new } else { options.only_present };
    if refused {
        if !options.get {
            ctx.reply.null();
        }
        return Ok(());
    }
    if let Some(found) = found.filter(|_| options.keep_ttl) {
        deadline = ctx.node.engine.entry(found).deadline();
    }
    ctx.node.engine.set(key, value, deadline, ctx.now);
    if !options.get {
        ctx.reply.simple("OK");
    }
    Ok(())
}

fn set_with_expiry(ctx: &mut Context<'_>, request: &Request<'_>, unit: Unit) -> Result<(), Failure> {
    let deadline = absolute(unit, request.arg(2), ctx.command.name, ctx.now)?;
    ctx.node.engine.set(request.arg(1), Text::compact(request.arg(3)), Some(deadline), ctx.now);
    ctx.reply.simple("OK");
    Ok(())
}

fn setex(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    set_with_expiry(ctx, request, Unit::Seconds)
}

fn psetex(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    set_with_expiry(ctx, request, Unit::Milliseconds)
}

fn setnx(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let new = ctx.node.engine.find(request.arg(1), ctx.now).is_none();
    if new {
        ctx.node.engine.set(request.arg(1), Text::compact(request.arg(2)), None, ctx.now);
    }
    ctx.reply.integer(i64::from(new));
    Ok(())
}

fn getset(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let entry = ctx.node.engine.read(request.arg(1), ctx.now, ctx.client.no_touch.get());
    reply_value(&mut ctx.reply, entry.map(|entry| entry.value()))?;
    ctx.node.engine.set(request.arg(1), Text::compact(request.arg(2)), None, ctx.now);
    Ok(())
}

fn getex(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let options = Options::read(request, 2, false)?;
    let Some(entry) = ctx.node.engine.read(request.arg(1), ctx.now, ctx.client.no_touch.get()) else {
        ctx.reply.null();
        return Ok(());
    };
    must_be_string(entry.value())?;
    let deadline = options.deadline(ctx.command.name, ctx.now)?;
    reply_value(&mut ctx.reply, Some(entry.value()))?;
    if deadline.is_none() && !options.persist {
        return Ok(());
    }
    if let Some(found) = ctx.node.engine.find(request.arg(1), ctx.now) {
        match deadline {
            Some(deadline) if deadline <= ctx.now => ctx.node.engine.remove(found),
            _ => ctx.node.engine.set_deadline(found, deadline),
        }
    }
    Ok(())
}
