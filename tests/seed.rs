//! The seed of a test: the same in every run, or another one for a soak or to repeat a failure.

use std::env;

/// `FASTCACHE_TEST_SEED`, or this one.
pub(crate) fn seed_or(usual: u64) -> u64 {
    match env::var("FASTCACHE_TEST_SEED") {
        Ok(given) => given.parse().unwrap_or_else(|_| panic!("FASTCACHE_TEST_SEED is no number: {given}")),
        Err(_) => usual,
    }
}
