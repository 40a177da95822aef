//! Hashes, and the expiry of single fields that Valkey added.

use super::row::{KEY, read, write};
use crate::Command;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    read("hget",           3, "fast",         KEY, "2.0.0", "Reads a field"),
    write("hset",         -4, "denyoom fast", KEY, "2.0.0", "Writes fields"),
    write("hsetnx",        4, "denyoom fast", KEY, "2.0.0", "Writes a field unless it exists"),
    read("hmget",         -3, "fast",         KEY, "2.0.0", "Reads many fields"),
    write("hmset",        -4, "denyoom fast", KEY, "2.0.0", "Writes fields; the old form of HSET").idempotent(),
    read("hgetall",        2, "",             KEY, "2.0.0", "Reads all fields and values"),
    read("hkeys",          2, "",             KEY, "2.0.0", "Lists the fields"),
    read("hvals",          2, "",             KEY, "2.0.0", "Lists the values"),
    read("hlen",           2, "fast",         KEY, "2.0.0", "Counts the fields"),
    write("hdel",         -3, "fast",         KEY, "2.0.0", "Deletes fields"),
    read("hexists",        3, "fast",         KEY, "2.0.0", "Tells whether a field exists"),
    read("hstrlen",        3, "fast",         KEY, "3.2.0", "Length of a field's value in bytes"),
    write("hincrby",       4, "denyoom fast", KEY, "2.0.0", "Adds to a number in a field"),
    write("hincrbyfloat",  4, "denyoom fast", KEY, "2.6.0", "Adds to a decimal number in a field"),
    read("hrandfield",    -2, "",             KEY, "6.2.0", "Picks random fields"),
    read("hscan",         -3, "",             KEY, "2.8.0", "Walks over the fields in steps"),
    write("hgetdel",      -5, "fast",         KEY, "9.1.0", "Reads fields and deletes them"),
    write("hgetex",       -5, "fast",         KEY, "9.0.0", "Reads fields and changes their expiry").idempotent_unless(&["exat", "pxat"]),
    write("hsetex",       -6, "denyoom fast", KEY, "9.0.0", "Writes fields with an expiry").idempotent_unless(&["fnx", "fxx", "nx", "xx"]),
    write("hexpire",      -6, "fast",         KEY, "9.0.0", "Lets fields expire after some seconds"),
    write("hpexpire",     -6, "fast",         KEY, "9.0.0", "Lets fields expire after some milliseconds"),
    write("hexpireat",    -6, "fast",         KEY, "9.0.0", "Lets fields expire at a Unix time in seconds"),
    write("hpexpireat",   -6, "fast",         KEY, "9.0.0", "Lets fields expire at a Unix time in milliseconds"),
    write("hpersist",     -5, "fast",         KEY, "9.0.0", "Removes the expiry of fields"),
    read("httl",          -5, "fast",         KEY, "9.0.0", "Seconds until fields expire"),
    read("hpttl",         -5, "fast",         KEY, "9.0.0", "Milliseconds until fields expire"),
    read("hexpiretime",   -5, "fast",         KEY, "9.0.0", "Unix time in seconds at which fields expire"),
    read("hpexpiretime",  -5, "fast",         KEY, "9.0.0", "Unix time in milliseconds at which fields expire"),
];
