//! The hasher for the `hashring` crate beside which we are measured.

use std::hash::Hasher;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// xxh3 of each piece in one go: `hashring` at its best. The crate's own hasher for pieces costs more than the
/// search.
#[derive(Debug, Default)]
pub(crate) struct Xxh3(u64);

impl Hasher for Xxh3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
