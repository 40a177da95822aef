//! Lists.

use super::row::{KEY, KEYS_TIMEOUT, TWO_KEYS, block, counted, read, write};
use crate::{Command, CountRule};

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    write("lpush",      -3, "denyoom fast",                    KEY,                        "1.0.0", "Puts elements in front of a list"),
    write("rpush",      -3, "denyoom fast",                    KEY,                        "1.0.0", "Puts elements at the end of a list"),
    write("lpushx",     -3, "denyoom fast",                    KEY,                        "2.2.0", "Puts elements in front of a list that exists"),
    write("rpushx",     -3, "denyoom fast",                    KEY,                        "2.2.0", "Puts elements at the end of a list that exists"),
    write("lpop",       -2, "fast",                            KEY,                        "1.0.0", "Takes elements from the front of a list"),
    write("rpop",       -2, "fast",                            KEY,                        "1.0.0", "Takes elements from the end of a list"),
    write("lmpop",      -4, "",                                counted(1, CountRule::Pop), "7.0.0", "Takes elements from the first list that has some"),
    read("llen",         2, "fast",                            KEY,                        "1.0.0", "Length of a list"),
    read("lrange",       4, "",                                KEY,                        "1.0.0", "Reads a part of a list"),
    read("lindex",       3, "",                                KEY,                        "1.0.0", "Reads one element of a list"),
    write("lset",        4, "denyoom",                         KEY,                        "1.0.0", "Overwrites one element of a list").idempotent(),
    write("linsert",     5, "denyoom",                         KEY,                        "2.2.0", "Inserts an element before or after another"),
    read("lpos",        -3, "",                                KEY,                        "6.0.6", "Finds an element in a list"),
    write("lrem",        4, "",                                KEY,                        "1.0.0", "Removes elements that equal the given one"),
    write("ltrim",       4, "",                                KEY,                        "1.0.0", "Keeps a part of a list and drops the rest"),
    write("lmove",       5, "denyoom",                         TWO_KEYS,                   "6.2.0", "Moves an element from an end of a list to an end of another"),
    write("rpoplpush",   3, "denyoom",                         TWO_KEYS,                   "1.2.0", "Moves the last element of a list to the front of another"),
    block("blpop",      -3, "write noscript blocking",         KEYS_TIMEOUT,               "2.0.0", "Takes the first element of the first list that has one, or waits"),
    block("brpop",      -3, "write noscript blocking",         KEYS_TIMEOUT,               "2.0.0", "Takes the last element of the first list that has one, or waits"),
    block("blmove",      6, "write denyoom noscript blocking", TWO_KEYS,                   "6.2.0", "LMOVE that waits for an element"),
    block("brpoplpush",  4, "write denyoom noscript blocking", TWO_KEYS,                   "2.2.0", "RPOPLPUSH that waits for an element"),
    block("blmpop",     -5, "write blocking",                  counted(2, CountRule::Pop), "7.0.0", "LMPOP that waits for an element"),
];
