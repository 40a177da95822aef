//! The server as a whole: its data as one, configuration, observation, replication, persistence.

use super::row::{KEY, NONE, admin, connection, container, help, inspect, key, read, write};
use crate::{Class, Command};

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    connection("command", -1, "loading stale @connection",                     "2.8.13", "Describes all commands").idempotent().with_subcommands(COMMAND),
    read("dbsize",           1, "fast @keyspace",                      NONE, "1.0.0", "Counts the keys"),
    write("flushall",       -1, "@dangerous @keyspace",                NONE, "1.0.0", "Deletes all keys of all databases").idempotent(),
    write("flushdb",        -1, "@dangerous @keyspace",                NONE, "1.0.0", "Deletes all keys of the database").idempotent(),
    write("swapdb",          3, "fast @dangerous @keyspace",           NONE, "4.0.0", "Swaps two databases"),
    inspect("info",       -1, "loading stale @dangerous",                      "1.0.0",  "Figures about the server").idempotent(),
    inspect("time",        1, "loading stale fast",                            "2.6.0",  "Time of day").idempotent(),
    inspect("role",        1, "noscript loading stale fast @admin @dangerous", "2.8.12", "Role in replication").idempotent(),
    inspect("lastsave",    1, "loading stale fast @admin @dangerous",          "1.0.0",  "Unix time of the last snapshot").idempotent(),
    inspect("lolwut",     -1, "readonly fast",                                 "5.0.0",  "Draws something and tells the version").idempotent(),
    admin("monitor",       1, "noscript loading stale",                        "1.0.0",  "Shows every request as it comes"),
    admin("shutdown",     -1, "noscript loading stale no_multi allow_busy",    "1.0.0",  "Stops the server"),
    admin("debug",        -2, "noscript loading stale",                        "1.0.0",  "Debugging tools"),
    admin("save",          1, "noscript no_async_loading no_multi",            "1.0.0",  "Writes a snapshot").idempotent(),
    admin("bgsave",       -1, "noscript no_async_loading",                     "1.0.0",  "Writes a snapshot in the background"),
    admin("bgrewriteaof",  1, "noscript no_async_loading",                     "1.0.0",  "Rewrites the append-only file in the background"),
    admin("replicaof",     3, "noscript stale no_async_loading",               "5.0.0",  "Makes the server a replica, or ends that").idempotent(),
    admin("slaveof",       3, "noscript stale no_async_loading",               "1.0.0",  "Makes the server a replica; the old name of REPLICAOF").idempotent(),
    admin("failover",     -1, "noscript stale",                                "6.2.0",  "Hands the primary's role to a replica"),
    admin("sync",          1, "noscript no_async_loading no_multi",            "1.0.0",  "Replication's first protocol"),
    admin("psync",        -3, "noscript no_async_loading no_multi",            "2.8.0",  "Replication's protocol"),
    admin("replconf",     -1, "noscript loading stale allow_busy",             "3.0.0",  "Replication's settings"),
    write("restore-asking", -4, "denyoom asking @dangerous @keyspace", KEY,  "3.0.0", "RESTORE during a slot migration"),
    container("config",     Class::Admin, "2.0.0",  "Manages the configuration",           CONFIG),
    container("memory",     Class::Admin, "4.0.0",  "Looks at memory",                     MEMORY),
    container("slowlog",    Class::Admin, "2.2.12", "The log of slow commands",            SLOWLOG),
    container("commandlog", Class::Admin, "8.1.0",  "The logs of slow and large commands", COMMANDLOG),
    container("latency",    Class::Admin, "2.8.13", "Looks at latency",                    LATENCY),
    container("module",     Class::Admin, "4.0.0",  "Manages modules",                     MODULE),
    container("acl",        Class::Admin, "6.0.0",  "Manages users and their rights",      ACL),
];

#[rustfmt::skip]
const COMMAND: &[Command] = &[
    connection("command|count",            2, "loading stale @connection", "2.8.13", "Counts the commands").idempotent(),
    connection("command|info",            -2, "loading stale @connection", "2.8.13", "Describes commands").idempotent(),
    connection("command|docs",            -2, "loading stale @connection", "7.0.0",  "Documents commands").idempotent(),
    connection("command|list",            -2, "loading stale @connection", "7.0.0",  "Lists command names").idempotent(),
    connection("command|getkeys",         -4, "loading stale @connection", "2.8.13", "Names the keys of a request").idempotent(),
    connection("command|getkeysandflags", -4, "loading stale @connection", "7.0.0",  "Names the keys of a request and what is done to them").idempotent(),
    help("command|help", "5.0.0"),
];

#[rustfmt::skip]
const CONFIG: &[Command] = &[
    admin("config|get",       -3, "noscript loading stale", "2.0.0", "Reads settings").idempotent(),
    admin("config|set",       -4, "noscript loading stale", "2.0.0", "Changes settings").idempotent(),
    admin("config|resetstat",  2, "noscript loading stale", "2.0.0", "Resets the figures of INFO").idempotent(),
    admin("config|rewrite",    2, "noscript loading stale", "2.8.0", "Writes the settings to the configuration file").idempotent(),
    help("config|help", "5.0.0"),
];

#[rustfmt::skip]
const MEMORY: &[Command] = &[
    read("memory|usage", -3, "", key(2), "4.0.0", "Bytes that a key takes"),
    inspect("memory|stats",        2, "", "4.0.0", "Memory figures").idempotent(),
    inspect("memory|doctor",       2, "", "4.0.0", "Diagnoses memory problems").idempotent(),
    inspect("memory|malloc-stats", 2, "", "4.0.0", "Figures of the allocator").idempotent(),
    inspect("memory|purge",        2, "", "4.0.0", "Asks the allocator to return memory").idempotent(),
    help("memory|help", "4.0.0"),
];

#[rustfmt::skip]
const SLOWLOG: &[Command] = &[
    admin("slowlog|get",   -2, "loading stale", "2.2.12", "Entries of the slow log").idempotent(),
    admin("slowlog|len",    2, "loading stale", "2.2.12", "Length of the slow log").idempotent(),
    admin("slowlog|reset",  2, "loading stale", "2.2.12", "Empties the slow log").idempotent(),
    help("slowlog|help", "6.2.0"),
];

#[rustfmt::skip]
const COMMANDLOG: &[Command] = &[
    admin("commandlog|get",   4, "loading stale", "8.1.0", "Entries of a command log").idempotent(),
    admin("commandlog|len",   3, "loading stale", "8.1.0", "Length of a command log").idempotent(),
    admin("commandlog|reset", 3, "loading stale", "8.1.0", "Empties a command log").idempotent(),
    help("commandlog|help", "8.1.0"),
];

#[rustfmt::skip]
const LATENCY: &[Command] = &[
    admin("latency|latest",     2, "noscript loading stale", "2.8.13", "Latest peak of each event").idempotent(),
    admin("latency|history",    3, "noscript loading stale", "2.8.13", "Peaks of one event").idempotent(),
    admin("latency|reset",     -2, "noscript loading stale", "2.8.13", "Forgets peaks"),
    admin("latency|graph",      3, "noscript loading stale", "2.8.13", "Draws the peaks of one event").idempotent(),
    admin("latency|histogram", -2, "noscript loading stale", "7.0.0",  "Distribution of command durations").idempotent(),
    admin("latency|doctor",     2, "noscript loading stale", "2.8.13", "Diagnoses latency problems").idempotent(),
    help("latency|help", "2.8.13"),
];

#[rustfmt::skip]
const MODULE: &[Command] = &[
    admin("module|list",    2, "noscript",                  "4.0.0", "Lists the modules").idempotent(),
    admin("module|load",   -3, "noscript no_async_loading", "4.0.0", "Loads a module"),
    admin("module|loadex", -3, "noscript no_async_loading", "7.0.0", "Loads a module with settings"),
    admin("module|unload",  3, "noscript no_async_loading", "4.0.0", "Unloads a module"),
    help("module|help", "5.0.0"),
];

#[rustfmt::skip]
const ACL: &[Command] = &[
    inspect("acl|whoami",   2, "noscript loading stale", "6.0.0", "Name of the user").idempotent(),
    admin("acl|users",      2, "noscript loading stale", "6.0.0", "Lists the users' names").idempotent(),
    admin("acl|list",       2, "noscript loading stale", "6.0.0", "Lists the users' rules").idempotent(),
    admin("acl|getuser",    3, "noscript loading stale", "6.0.0", "Rules of a user").idempotent(),
    admin("acl|setuser",   -3, "noscript loading stale", "6.0.0", "Creates or changes a user").idempotent(),
    admin("acl|deluser",   -3, "noscript loading stale", "6.0.0", "Deletes users"),
    inspect("acl|cat",     -2, "noscript loading stale", "6.0.0", "Lists categories, or the commands of one").idempotent(),
    admin("acl|dryrun",    -4, "noscript loading stale", "7.0.0", "Tells whether a user may execute a command").idempotent(),
    inspect("acl|genpass", -2, "noscript loading stale", "6.0.0", "Makes up a password").idempotent(),
    admin("acl|log",       -2, "noscript loading stale", "6.0.0", "Lists refused attempts").idempotent(),
    admin("acl|load",       2, "noscript loading stale", "6.0.0", "Reads the users from the file").idempotent(),
    admin("acl|save",       2, "noscript loading stale", "6.0.0", "Writes the users to the file").idempotent(),
    help("acl|help", "6.0.0"),
];
