//! Keys whatever their type: existence, expiry, names, iteration, copies.

use super::row::{KEY, KEYS, NONE, TWO_KEYS, block, container, help, key, read, write};
use crate::{Class, Command, KeySpec};

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    write("del",        -2, "",                                             KEYS,             "1.0.0", "Deletes keys"),
    write("unlink",     -2, "fast",                                         KEYS,             "4.0.0", "Deletes keys and frees their memory in the background"),
    read("exists",      -2, "fast",                                         KEYS,             "1.0.0", "Counts the keys that exist"),
    read("touch",       -2, "fast",                                         KEYS,             "3.2.1", "Counts the keys that exist and marks them as used"),
    read("type",         2, "fast",                                         KEY,              "1.0.0", "Type of a value"),
    write("expire",     -3, "fast",                                         KEY,              "1.0.0", "Lets a key expire after some seconds"),
    write("pexpire",    -3, "fast",                                         KEY,              "2.6.0", "Lets a key expire after some milliseconds"),
    write("expireat",   -3, "fast",                                         KEY,              "1.2.0", "Lets a key expire at a Unix time in seconds"),
    write("pexpireat",  -3, "fast",                                         KEY,              "2.6.0", "Lets a key expire at a Unix time in milliseconds"),
    write("persist",     2, "fast",                                         KEY,              "2.2.0", "Removes the expiry of a key"),
    read("ttl",          2, "fast",                                         KEY,              "1.0.0", "Seconds until a key expires"),
    read("pttl",         2, "fast",                                         KEY,              "2.6.0", "Milliseconds until a key expires"),
    read("expiretime",   2, "fast",                                         KEY,              "7.0.0", "Unix time in seconds at which a key expires"),
    read("pexpiretime",  2, "fast",                                         KEY,              "7.0.0", "Unix time in milliseconds at which a key expires"),
    read("scan",        -2, "",                                             NONE,             "2.8.0", "Walks over the keys in steps"),
    read("keys",         2, "@dangerous",                                   NONE,             "1.0.0", "Lists the keys that match a pattern"),
    read("randomkey",    1, "",                                             NONE,             "1.0.0", "Names a random key"),
    write("rename",      3, "",                                             TWO_KEYS,         "1.0.0", "Renames a key, replacing what has the new name"),
    write("renamenx",    3, "fast",                                         TWO_KEYS,         "1.0.0", "Renames a key unless the new name is taken"),
    write("copy",       -3, "denyoom",                                      TWO_KEYS,         "6.2.0", "Copies a value to another key"),
    write("move",        3, "fast",                                         KEY,              "1.0.0", "Moves a key to another database"),
    read("dump",         2, "",                                             KEY,              "2.6.0", "Serializes a value"),
    write("restore",    -4, "denyoom @dangerous",                           KEY,              "2.6.0", "Creates a key from a serialized value"),
    write("migrate",    -6, "@dangerous",                                   KeySpec::Migrate, "2.6.0", "Moves keys to another server"),
    write("sort",       -2, "denyoom @dangerous @list @set @sortedset",     KeySpec::Sort,    "1.0.0", "Sorts the elements of a list, set or sorted set, and may store them").idempotent_unless(&["store"]),
    read("sort_ro",     -2, "movablekeys @dangerous @list @set @sortedset", KEY,              "7.0.0", "Sorts the elements of a list, set or sorted set"),
    container("object", Class::Read, "2.2.3", "Looks at how a value is kept", OBJECT),
    block("wait",        3, "noscript @connection",                         NONE,             "3.0.0", "Waits until replicas have received the writes of this connection").idempotent(),
    block("waitaof",     4, "blocking @connection",                         NONE,             "7.2.0", "Waits until the writes of this connection are in append-only files").idempotent(),
];

#[rustfmt::skip]
const OBJECT: &[Command] = &[
    read("object|encoding", 3, "", key(2), "2.2.3", "Internal encoding of a value"),
    read("object|freq",     3, "", key(2), "4.0.0", "Access frequency of a key under an LFU policy"),
    read("object|idletime", 3, "", key(2), "2.2.3", "Seconds since a key was last used"),
    read("object|refcount", 3, "", key(2), "2.2.3", "Reference count of a value"),
    help("object|help", "6.2.0"),
];
