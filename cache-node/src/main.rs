//! One cache node: a Redis-compatible in-memory store.

fn main() {}
