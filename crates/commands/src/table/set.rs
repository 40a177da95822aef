//! Sets.

use super::row::{KEY, KEYS, TWO_KEYS, counted, read, write};
use crate::{Command, CountRule};

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    write("sadd",        -3, "denyoom fast", KEY,                                "1.0.0", "Adds members to a set"),
    write("srem",        -3, "fast",         KEY,                                "1.0.0", "Removes members from a set"),
    read("scard",         2, "fast",         KEY,                                "1.0.0", "Counts the members of a set"),
    read("smembers",      2, "",             KEY,                                "1.0.0", "Lists the members of a set"),
    read("sismember",     3, "fast",         KEY,                                "1.0.0", "Tells whether a set has a member"),
    read("smismember",   -3, "fast",         KEY,                                "6.2.0", "Tells which of some members a set has"),
    write("spop",        -2, "fast",         KEY,                                "1.0.0", "Takes random members out of a set"),
    read("srandmember",  -2, "",             KEY,                                "1.0.0", "Picks random members of a set"),
    write("smove",        4, "fast",         TWO_KEYS,                           "1.0.0", "Moves a member to another set"),
    read("sinter",       -2, "",             KEYS,                               "1.0.0", "Intersection of sets"),
    read("sintercard",   -3, "",             counted(1, CountRule::Cardinality), "7.0.0", "Size of the intersection of sets"),
    write("sinterstore", -3, "denyoom",      KEYS,                               "1.0.0", "Stores the intersection of sets").idempotent(),
    read("sunion",       -2, "",             KEYS,                               "1.0.0", "Union of sets"),
    write("sunionstore", -3, "denyoom",      KEYS,                               "1.0.0", "Stores the union of sets").idempotent(),
    read("sdiff",        -2, "",             KEYS,                               "1.0.0", "Members of the first set that no other set has"),
    write("sdiffstore",  -3, "denyoom",      KEYS,                               "1.0.0", "Stores the members of the first set that no other set has"),
    read("sscan",        -3, "",             KEY,                                "2.8.0", "Walks over the members in steps"),
];
