//! Streams and their consumer groups.

use super::row::{KEY, block, container, help, key, read, write};
use crate::{Class, Command, KeySpec};

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    write("xadd",       -5, "denyoom fast",      KEY,                             "5.0.0", "Appends an entry"),
    write("xdel",       -3, "fast",              KEY,                             "5.0.0", "Deletes entries"),
    read("xlen",         2, "fast",              KEY,                             "5.0.0", "Counts the entries"),
    read("xrange",      -4, "",                  KEY,                             "5.0.0", "Entries between two ids"),
    read("xrevrange",   -4, "",                  KEY,                             "5.0.0", "Entries between two ids, latest first"),
    write("xtrim",      -4, "",                  KEY,                             "5.0.0", "Deletes the oldest entries"),
    block("xread",      -4, "readonly blocking", KeySpec::Streams { options: 1 }, "5.0.0", "Entries after an id, or waits for some").idempotent(),
    block("xreadgroup", -7, "write blocking",    KeySpec::Streams { options: 1 }, "5.0.0", "Entries for a consumer of a group, or waits for some"),
    write("xack",       -4, "fast",              KEY,                             "5.0.0", "Marks entries as processed by a group"),
    write("xclaim",     -6, "fast",              KEY,                             "5.0.0", "Hands pending entries to another consumer"),
    write("xautoclaim", -6, "fast",              KEY,                             "6.2.0", "Hands entries that are pending for long to another consumer"),
    read("xpending",    -3, "",                  KEY,                             "5.0.0", "Entries that a group delivered and nobody acknowledged"),
    write("xsetid",     -3, "denyoom fast",      KEY,                             "5.0.0", "Sets the last id of a stream; used by replication").idempotent(),
    container("xgroup", Class::Write, "5.0.0", "Manages consumer groups", XGROUP),
    container("xinfo",  Class::Read,  "5.0.0", "Looks at streams",        XINFO),
];

#[rustfmt::skip]
const XGROUP: &[Command] = &[
    write("xgroup|create",         -5, "denyoom", key(2), "5.0.0", "Creates a group"),
    write("xgroup|createconsumer",  5, "denyoom", key(2), "6.2.0", "Creates a consumer"),
    write("xgroup|delconsumer",     5, "",        key(2), "5.0.0", "Deletes a consumer"),
    write("xgroup|destroy",         4, "",        key(2), "5.0.0", "Deletes a group"),
    write("xgroup|setid",          -5, "",        key(2), "5.0.0", "Sets the last entry that a group has seen").idempotent(),
    help("xgroup|help", "5.0.0"),
];

#[rustfmt::skip]
const XINFO: &[Command] = &[
    read("xinfo|stream",    -3, "", key(2), "5.0.0", "Describes a stream"),
    read("xinfo|groups",     3, "", key(2), "5.0.0", "Lists the groups of a stream"),
    read("xinfo|consumers",  4, "", key(2), "5.0.0", "Lists the consumers of a group"),
    help("xinfo|help", "5.0.0"),
];
