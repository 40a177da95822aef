//! COMMAND: what this node serves, told by the command table.

use super::Family;
use crate::execute::Context;
use crate::failure::Failure;
use commands::{Catalogue, Command};
use resp::Request;

pub(super) const FAMILY: Family = &[
    ("command", answer),
    ("command|count", answer),
    ("command|docs", answer),
    ("command|info", answer),
    ("command|list", answer),
    ("command|getkeys", answer),
    ("command|help", answer),
];

fn answer(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let handlers = ctx.handlers;
    let served = |command: &Command| handlers.of(command).is_some();
    Catalogue::new(&served).answer(request, &mut ctx.reply);
    Ok(())
}
