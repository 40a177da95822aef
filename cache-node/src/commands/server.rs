//! The node as a whole: FLUSHALL, TIME, and the shape of every HELP.

use super::Family;
use super::argument::is;
use crate::execute::Context;
use crate::failure::Failure;
use resp::Request;

pub(super) const FAMILY: Family = &[("flushall", flush), ("flushdb", flush), ("time", time)];

/// Empties the node. Only SYNC waits for the memory to be free; the keys are gone at once in any case.
fn flush(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let sync = match request.get(1) {
        None => false,
        Some(word) if request.len() == 2 && is(word, "sync") => true,
        Some(word) if request.len() == 2 && is(word, "async") => false,
        Some(_) => return Err(Failure::Syntax),
    };
    ctx.node.engine.clear();
    if sync {
        ctx.node.engine.free_remains(usize::MAX);
    }
    ctx.reply.simple("OK");
    Ok(())
}

fn time(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    ctx.reply.array(2);
    let now = crate::server::since_1970();
    for part in [now.as_secs(), u64::from(now.subsec_micros())] {
        ctx.reply.bulk(itoa::Buffer::new().format(part).as_bytes());
    }
    Ok(())
}

/// Replies a help text with the lines that Redis puts around each.
pub(super) fn reply_help(ctx: &mut Context<'_>, command: &str, lines: &[&str]) {
    let first = format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    let last = ["HELP", "    Prints this help."];
    ctx.reply.array(1 + lines.len() + last.len());
    ctx.reply.simple(&first);
    lines.iter().chain(&last).for_each(|line| ctx.reply.simple(line));
}
