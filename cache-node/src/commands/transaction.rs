//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH. Between MULTI and EXEC `execute` queues the other commands.

use super::Family;
use crate::execute::{Context, run_queued};
use crate::failure::Failure;
use resp::Request;

pub(super) const FAMILY: Family =
    &[("multi", multi), ("exec", exec), ("discard", discard), ("watch", watch), ("unwatch", unwatch)];

fn multi(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    if ctx.client.in_multi.replace(true) {
        return Err(Failure::Fixed("ERR MULTI calls can not be nested"));
    }
    ctx.reply.simple("OK");
    Ok(())
}

/// Executes what was queued. Nobody else's command comes between, and none is left out because another failed.
fn exec(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    if !ctx.client.in_multi.get() {
        return Err(Failure::Fixed("ERR EXEC without MULTI"));
    }
    let changed = ctx.node.watches_changed(ctx.client, ctx.now);
    let transaction = ctx.node.end_transaction(ctx.client);
    if transaction.is_broken() {
        return Err(Failure::Fixed("EXECABORT Transaction discarded because of previous errors."));
    }
    if changed {
        ctx.reply.null_array();
        return Ok(());
    }
    ctx.reply.array(transaction.queued().len());
    ctx.node.begin_transaction();
    let mut reply = Vec::new();
    for request in transaction.queued().iter() {
        reply.clear();
        run_queued(ctx, &request, &mut reply);
        ctx.reply.raw(&reply);
    }
    ctx.node.serve_after_transaction(ctx.now);
    Ok(())
}

fn discard(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    if !ctx.client.in_multi.get() {
        return Err(Failure::Fixed("ERR DISCARD without MULTI"));
    }
    ctx.node.end_transaction(ctx.client);
    ctx.reply.simple("OK");
    Ok(())
}

fn watch(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    if ctx.client.in_multi.get() {
        return Err(Failure::Fixed("ERR WATCH inside MULTI is not allowed"));
    }
    ctx.node.watch(ctx.client, request.args().skip(1), ctx.now)?;
    ctx.reply.simple("OK");
    Ok(())
}

fn unwatch(ctx: &mut Context<'_>, _: &Request<'_>) -> Result<(), Failure> {
    ctx.node.unwatch(ctx.client);
    ctx.reply.simple("OK");
    Ok(())
}
