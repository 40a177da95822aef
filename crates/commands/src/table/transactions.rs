//! `MULTI` and what belongs to it.

use super::row::{KEYS, NONE, transaction};
use crate::Command;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    transaction("multi",    1, "loading stale fast allow_busy", NONE, "1.2.0", "Begins a transaction"),
    transaction("exec",     1, "loading stale skip_slowlog",    NONE, "1.2.0", "Executes the transaction"),
    transaction("discard",  1, "loading stale fast allow_busy", NONE, "2.0.0", "Drops the transaction"),
    transaction("watch",   -2, "loading stale fast allow_busy", KEYS, "2.2.0", "Makes the next transaction depend on keys being left alone").idempotent(),
    transaction("unwatch",  1, "loading stale fast allow_busy", NONE, "2.2.0", "Forgets the watched keys").idempotent(),
];
