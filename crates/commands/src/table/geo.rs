//! Positions on the globe, kept in sorted sets.

use super::row::{KEY, TWO_KEYS, read, write};
use crate::{Command, KeySpec};

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    write("geoadd",              -5, "denyoom", KEY,                               "3.2.0",  "Adds positions"),
    read("geodist",              -4, "",        KEY,                               "3.2.0",  "Distance between two members"),
    read("geohash",              -2, "",        KEY,                               "3.2.0",  "Geohashes of members"),
    read("geopos",               -2, "",        KEY,                               "3.2.0",  "Positions of members"),
    read("geosearch",            -7, "",        KEY,                               "6.2.0",  "Members within a circle or a box"),
    write("geosearchstore",      -8, "denyoom", TWO_KEYS,                          "6.2.0",  "Stores the members within a circle or a box"),
    write("georadius",           -6, "denyoom", KeySpec::Georadius { options: 6 }, "3.2.0",  "Members around a position; may store them").idempotent_unless(&["store", "storedist"]),
    read("georadius_ro",         -6, "",        KEY,                               "3.2.10", "Members around a position"),
    write("georadiusbymember",   -5, "denyoom", KeySpec::Georadius { options: 5 }, "3.2.0",  "Members around a member; may store them").idempotent_unless(&["store", "storedist"]),
    read("georadiusbymember_ro", -5, "",        KEY,                               "3.2.10", "Members around a member"),
];
