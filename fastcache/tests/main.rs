//! The `fastcache` command as a process: what it refuses, what it starts, and that nothing is left of it.
#![expect(clippy::unwrap_used, reason = "a test fails where it meets what it does not expect")]

mod cluster;
mod command;
mod healthcheck;
mod refusal;
