//! What an allocation really costs: the arithmetic behind `used_memory`.

/// Bytes the allocator sets aside for a request of `len` bytes. glibc adds an 8-byte header, rounds up to 16 and
/// gives nothing smaller than 32; no allocation is made for nothing.
pub fn heap_size(len: usize) -> usize {
    match len {
        0 => 0,
        1..=24 => 32,
        _ => (len + 8 + 15) & !15,
    }
}

#[cfg(test)]
mod tests {
    use super::heap_size;

    #[test]
    fn follows_the_size_classes_of_glibc() {
        for (len, size) in [(0, 0), (1, 32), (24, 32), (25, 48), (40, 48), (41, 64), (1_000, 1_008)] {
            assert_eq!(heap_size(len), size, "for {len} bytes");
        }
    }
}
