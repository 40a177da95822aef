//! A running node, seen from its socket: what it answers, and whether redis-server answers the same.

#![allow(clippy::unwrap_used, reason = "what cannot be unwrapped here has failed the test")]
#![allow(unreachable_pub, reason = "the modules of a test binary are its own")]

mod bounds;
mod commands;
mod differential;
mod generator;
mod peer;
mod transactions;
mod waiting;
mod wire;
