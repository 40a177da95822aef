//! The connection: handshake, identity, settings.

use super::row::{connection, container, help};
use crate::{Class, Command};

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    connection("ping",   -1, "fast",                                           "1.0.0", "Answers PONG or the argument").idempotent(),
    connection("echo",    2, "loading stale fast",                             "1.0.0", "Answers the argument").idempotent(),
    connection("hello",  -1, "noscript loading stale fast no_auth allow_busy", "6.0.0", "Chooses the protocol version and introduces the client").idempotent(),
    connection("auth",   -2, "noscript loading stale fast no_auth allow_busy", "1.0.0", "Authenticates the client").idempotent(),
    connection("select",  2, "loading stale fast",                             "1.0.0", "Chooses the database").idempotent(),
    connection("quit",   -1, "noscript loading stale fast no_auth allow_busy", "1.0.0", "Closes the connection").idempotent(),
    connection("reset",   1, "noscript loading stale fast no_auth allow_busy", "6.2.0", "Returns the connection to its first state").idempotent(),
    container("client", Class::Connection, "2.4.0", "Manages connections", CLIENT),
];

#[rustfmt::skip]
const CLIENT: &[Command] = &[
    connection("client|id",             2, "noscript loading stale",            "5.0.0", "Number of this connection").idempotent(),
    connection("client|info",           2, "noscript loading stale",            "6.2.0", "Describes this connection").idempotent(),
    connection("client|list",          -2, "admin noscript loading stale",      "2.4.0", "Describes the connections").idempotent(),
    connection("client|getname",        2, "noscript loading stale",            "2.6.9", "Name of this connection").idempotent(),
    connection("client|setname",        3, "noscript loading stale",            "2.6.9", "Names this connection").idempotent(),
    connection("client|setinfo",        4, "noscript loading stale allow_busy", "7.2.0", "Tells the client library's name and version").idempotent(),
    connection("client|kill",          -3, "admin noscript loading stale",      "2.4.0", "Closes connections"),
    connection("client|pause",         -3, "admin noscript loading stale",      "3.0.0", "Suspends the commands of all clients").idempotent(),
    connection("client|unpause",        2, "admin noscript loading stale",      "6.2.0", "Ends the suspension").idempotent(),
    connection("client|reply",          3, "noscript loading stale",            "3.2.0", "Chooses whether there are replies"),
    connection("client|no-evict",       3, "admin noscript loading stale",      "7.0.0", "Exempts this connection from client eviction").idempotent(),
    connection("client|no-touch",       3, "noscript loading stale allow_busy", "7.2.0", "Keeps this connection's reads from counting as use").idempotent(),
    connection("client|unblock",       -3, "admin noscript loading stale",      "5.0.0", "Wakes a client that waits"),
    connection("client|tracking",      -3, "noscript loading stale",            "6.0.0", "Switches the help for client-side caching").idempotent(),
    connection("client|trackinginfo",   2, "noscript loading stale",            "6.2.0", "Describes the help for client-side caching").idempotent(),
    connection("client|caching",        3, "noscript loading stale",            "6.0.0", "Tracks the keys of the next command or not").idempotent(),
    connection("client|getredir",       2, "noscript loading stale",            "6.0.0", "Where invalidation messages are sent").idempotent(),
    connection("client|capa",          -3, "noscript loading stale allow_busy", "8.0.0", "Tells what the client is able to do").idempotent(),
    connection("client|import-source",  3, "noscript loading stale",            "8.1.0", "Marks a client that imports data").idempotent(),
    help("client|help", "5.0.0"),
];
