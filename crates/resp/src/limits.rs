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
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
