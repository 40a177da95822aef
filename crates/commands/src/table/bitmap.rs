//! Bits and integers inside strings.

use super::row::{KEY, range, read, write};
use crate::Command;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    read("getbit",       3, "fast",    KEY,             "2.2.0", "Reads one bit"),
    write("setbit",      4, "denyoom", KEY,             "2.2.0", "Writes one bit and returns the one before"),
    read("bitcount",    -2, "",        KEY,             "2.6.0", "Counts the bits that are 1"),
    read("bitpos",      -3, "",        KEY,             "2.8.7", "Finds the first bit that is 0 or 1"),
    write("bitop",      -4, "denyoom", range(2, -1, 1), "2.6.0", "Combines strings bit by bit and stores the result"),
    write("bitfield",   -2, "denyoom", KEY,             "3.2.0", "Reads and changes integers of any width inside a string").idempotent_unless(&["set", "incrby"]),
    read("bitfield_ro", -2, "fast",    KEY,             "6.0.0", "Reads integers of any width inside a string"),
];
