//! What an allocation really costs (the arithmetic behind `used_memory`), and whether the system allows what
//! `maxmemory` promises.

/// Bytes the allocator sets aside for a request of `len` bytes. glibc adds an 8-byte header, rounds up to 16 and
/// gives nothing smaller than 32; no allocation is made for nothing.
pub fn heap_size(len: usize) -> usize {
    match len {
        0 => 0,
        1..=24 => 32,
        _ => (len + 8 + 15) & !15,
    }
}

/// Says that the process may be killed before it evicts: `maxmemory` is above what its control group, such as
/// a container, may have.
pub(crate) fn warn_of_a_lower_limit(maxmemory: u64) {
    let limit = daemon::process_metrics::memory_limit().and_then(|limit| u64::try_from(limit).ok());
    if let Some(limit) = limit.filter(|limit| is_beyond(maxmemory, *limit)) {
        tracing::warn!(
            maxmemory,
            limit,
            "the container's memory limit is below maxmemory (0 is no bound): the node is killed before it evicts"
        );
    }
}

/// Whether data may grow beyond the limit; a `maxmemory` of 0 bounds nothing.
fn is_beyond(maxmemory: u64, limit: u64) -> bool {
    maxmemory == 0 || maxmemory > limit
}

#[cfg(test)]
mod tests {
    use super::{heap_size, is_beyond};

    #[test]
    fn data_must_fit_the_memory_that_the_system_allows() {
        let cases = [(0, true), (999, false), (1_000, false), (1_001, true)];
        for (maxmemory, beyond) in cases {
            assert_eq!(is_beyond(maxmemory, 1_000), beyond, "{maxmemory}");
        }
    }

    #[test]
    fn follows_the_size_classes_of_glibc() {
        for (len, size) in [(0, 0), (1, 32), (24, 32), (25, 48), (40, 48), (41, 64), (1_000, 1_008)] {
            assert_eq!(heap_size(len), size, "for {len} bytes");
        }
    }
}
