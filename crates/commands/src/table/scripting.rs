//! Scripts and functions.

use super::row::{NONE, container, counted, help, script};
use crate::{Class, Command, CountRule};

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    script("eval",       -3, "noscript stale skip_monitor no_mandatory_keys",          counted(2, CountRule::Script),   "2.6.0", "Executes a script"),
    script("evalsha",    -3, "noscript stale skip_monitor no_mandatory_keys",          counted(2, CountRule::Script),   "2.6.0", "Executes a script by its SHA1"),
    script("eval_ro",    -3, "readonly noscript stale skip_monitor no_mandatory_keys", counted(2, CountRule::Script),   "7.0.0", "Executes a script that only reads").idempotent(),
    script("evalsha_ro", -3, "readonly noscript stale skip_monitor no_mandatory_keys", counted(2, CountRule::Script),   "7.0.0", "Executes a script that only reads, by its SHA1").idempotent(),
    script("fcall",      -3, "noscript stale skip_monitor no_mandatory_keys",          counted(2, CountRule::Function), "7.0.0", "Calls a function"),
    script("fcall_ro",   -3, "readonly noscript stale skip_monitor no_mandatory_keys", counted(2, CountRule::Function), "7.0.0", "Calls a function that only reads").idempotent(),
    container("script",   Class::Scripting, "2.6.0", "Manages scripts",   SCRIPT),
    container("function", Class::Scripting, "7.0.0", "Manages functions", FUNCTION),
];

#[rustfmt::skip]
const SCRIPT: &[Command] = &[
    script("script|load",    3, "noscript stale",      NONE, "2.6.0", "Stores a script without executing it").idempotent(),
    script("script|exists", -3, "noscript",            NONE, "2.6.0", "Tells which scripts are stored").idempotent(),
    script("script|show",    3, "noscript stale",      NONE, "8.0.0", "Shows a stored script").idempotent(),
    script("script|flush",  -2, "noscript",            NONE, "2.6.0", "Forgets all scripts").idempotent(),
    script("script|kill",    2, "noscript allow_busy", NONE, "2.6.0", "Stops the script that runs"),
    script("script|debug",   3, "noscript",            NONE, "3.2.0", "Sets the debugger's mode").idempotent(),
    help("script|help", "5.0.0"),
];

#[rustfmt::skip]
const FUNCTION: &[Command] = &[
    script("function|load",    -3, "write denyoom noscript", NONE, "7.0.0", "Creates a library"),
    script("function|delete",   3, "write noscript",         NONE, "7.0.0", "Deletes a library"),
    script("function|list",    -2, "noscript",               NONE, "7.0.0", "Lists the libraries").idempotent(),
    script("function|stats",    2, "noscript allow_busy",    NONE, "7.0.0", "Tells what function runs").idempotent(),
    script("function|dump",     2, "noscript",               NONE, "7.0.0", "Serializes all libraries").idempotent(),
    script("function|restore", -3, "write denyoom noscript", NONE, "7.0.0", "Creates libraries from a serialization"),
    script("function|flush",   -2, "write noscript",         NONE, "7.0.0", "Deletes all libraries").idempotent(),
    script("function|kill",     2, "noscript allow_busy",    NONE, "7.0.0", "Stops the function that runs"),
    help("function|help", "7.0.0"),
];
