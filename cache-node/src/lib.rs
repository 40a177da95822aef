//! One cache node: a Redis-compatible in-memory store.
