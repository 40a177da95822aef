//! Approximate counts of distinct elements.

use super::row::{KEY, KEYS, admin, admin_on_key, key, read, write};
use crate::Command;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    write("pfadd",          -2, "denyoom fast",  KEY,    "2.8.9", "Adds elements to a HyperLogLog"),
    read("pfcount",         -2, "",              KEYS,   "2.8.9", "Estimates how many distinct elements were added"),
    write("pfmerge",        -2, "denyoom",       KEYS,   "2.8.9", "Merges HyperLogLogs into the first one").idempotent(),
    admin_on_key("pfdebug",  3, "write denyoom", key(2), "2.8.9", "Shows the inside of a HyperLogLog"),
    admin("pfselftest", 1, "", "2.8.9", "Tests the HyperLogLog code").idempotent(),
];
