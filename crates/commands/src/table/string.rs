//! Strings and counters.

use super::row::{COUNTED_PAIRS, KEY, KEYS, PAIRS, TWO_KEYS, read, write};
use crate::Command;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    read("get",           2, "fast",         KEY,           "1.0.0", "Reads a string"),
    write("set",         -3, "denyoom",      KEY,           "1.0.0", "Writes a string, whatever was there before").idempotent_unless(&["nx", "xx", "get", "ifeq"]),
    write("setex",        4, "denyoom",      KEY,           "2.0.0", "Writes a string that expires after some seconds").idempotent(),
    write("psetex",       4, "denyoom",      KEY,           "2.6.0", "Writes a string that expires after some milliseconds").idempotent(),
    write("setnx",        3, "denyoom fast", KEY,           "1.0.0", "Writes a string unless the key exists"),
    write("getset",       3, "denyoom fast", KEY,           "1.0.0", "Writes a string and returns the one before"),
    write("getdel",       2, "fast",         KEY,           "6.2.0", "Reads a string and deletes it"),
    write("getex",       -2, "fast",         KEY,           "6.2.0", "Reads a string and changes its expiry").idempotent_unless(&["exat", "pxat"]),
    write("delifeq",      3, "fast",         KEY,           "9.0.0", "Deletes a string that equals the given one"),
    read("mget",         -2, "fast",         KEYS,          "1.0.0", "Reads many strings"),
    write("mset",        -3, "denyoom",      PAIRS,         "1.0.1", "Writes many strings").idempotent(),
    write("msetnx",      -3, "denyoom",      PAIRS,         "1.0.1", "Writes many strings unless one of the keys exists"),
    write("msetex",      -4, "denyoom",      COUNTED_PAIRS, "9.1.0", "Writes many strings with an expiry").idempotent_unless(&["nx", "xx"]),
    write("append",       3, "denyoom fast", KEY,           "2.0.0", "Appends to a string"),
    read("strlen",        2, "fast",         KEY,           "2.2.0", "Length of a string in bytes"),
    read("getrange",      4, "",             KEY,           "2.4.0", "Reads a part of a string"),
    read("substr",        4, "",             KEY,           "1.0.0", "Reads a part of a string; the old name of GETRANGE"),
    write("setrange",     4, "denyoom",      KEY,           "2.2.0", "Overwrites a part of a string").idempotent(),
    read("lcs",          -3, "",             TWO_KEYS,      "7.0.0", "Longest common subsequence of two strings"),
    write("incr",         2, "denyoom fast", KEY,           "1.0.0", "Adds one to a number"),
    write("incrby",       3, "denyoom fast", KEY,           "1.0.0", "Adds to a number"),
    write("incrbyfloat",  3, "denyoom fast", KEY,           "2.6.0", "Adds to a decimal number"),
    write("decr",         2, "denyoom fast", KEY,           "1.0.0", "Takes one from a number"),
    write("decrby",       3, "denyoom fast", KEY,           "1.0.0", "Takes from a number"),
];
