//! The limits of what a peer may send. Each default is Redis' own, so that whatever a client may send to
//! Redis it may send here.

/// Bounds that a scanner holds its input to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most arguments in one request. Redis: 1 048 576.
    pub max_args: usize,
    /// Most bytes in one bulk string. Redis' `proto-max-bulk-len`: 512 MiB.
    pub max_bulk_len: usize,
    /// Most bytes in an inline request or a line of a reply. Redis' inline limit: 64 KiB.
    pub max_line_len: usize,
    /// Most bytes in one whole request. Redis' `client-query-buffer-limit`: 1 GiB. Offsets are 32 bits wide,
    /// so no more than 4 GiB.
    pub max_request_len: usize,
    /// Deepest nesting of aggregates in a reply. Redis' own replies nest less than ten deep; 128 leaves room
    /// for modules and scripts.
    pub max_depth: usize,
    /// Most elements in one aggregate of a reply: a `KEYS *` of a large node is legal, a count that no memory
    /// can hold is not.
    pub max_elements: usize,
}

impl Limits {
    /// Redis' own limits.
    pub const DEFAULT: Self = Self {
        max_args: 1024 * 1024,
        max_bulk_len: 512 * 1024 * 1024,
        max_line_len: 64 * 1024,
        max_request_len: 1024 * 1024 * 1024,
        max_depth: 128,
        max_elements: 1 << 30,
    };

    /// Redis' limits with another longest bulk string. A request may be twice as long, as it may with Redis' own
    /// limits, but at least 64 MiB: many small values are no large one.
    #[must_use]
    #[inline]
    pub fn with_max_bulk_len(max_bulk_len: usize) -> Self {
        const LEAST_REQUEST: usize = 64 * 1024 * 1024;
        let longest = max_bulk_len.saturating_mul(2).clamp(LEAST_REQUEST, Self::DEFAULT.max_request_len);
        Self { max_bulk_len, max_request_len: longest, ..Self::DEFAULT }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_request_follows_the_longest_bulk() {
        const MIB: usize = 1024 * 1024;
        let longest = |bulk| Limits::with_max_bulk_len(bulk).max_request_len;
        assert_eq!([1, 48, 512].map(|bulk| longest(bulk * MIB)), [64, 96, 1024].map(|len| len * MIB));
        assert_eq!(Limits::with_max_bulk_len(512 * MIB), Limits::DEFAULT);
    }
}
