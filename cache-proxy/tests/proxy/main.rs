//! A whole proxy on real sockets.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod drain;
mod explain;
mod serving;
mod streaming;
