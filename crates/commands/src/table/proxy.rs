//! `PROXY`, FastCache's own command: the proxy tells about itself by it. No server of Redis or Valkey has it, and
//! nor do FastCache's nodes.
//!
//! It is in the table so that the proxy plans, describes (`COMMAND`) and checks it as any other.

use super::row::{admin, container, help};
use crate::{Class, Command};

/// The release of FastCache that brought it.
const SINCE: &str = "0.1.0";

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    container("proxy", Class::Admin, SINCE, "Tells how the proxy routes and what it sees of the nodes", PROXY),
];

#[rustfmt::skip]
const PROXY: &[Command] = &[
    admin("proxy|explain",  -3, "noscript loading stale no_multi", SINCE, "Tells which node serves a key, and why").idempotent(),
    admin("proxy|nodes",     2, "noscript loading stale no_multi", SINCE, "Tells what is known of each node").idempotent(),
    admin("proxy|view",      2, "noscript loading stale no_multi", SINCE, "Tells the view in force, and who stands in for whom").idempotent(),
    admin("proxy|simulate", -4, "noscript loading stale no_multi", SINCE, "Tells what would move if nodes went out of service").idempotent(),
    admin("proxy|slowlog",  -3, "noscript loading stale no_multi", SINCE, "The proxy's log of slow requests"),
    help("proxy|help", SINCE),
];
