//! What a peer can do wrong on the wire. The texts are those Redis sends after `-ERR `, so that a client
//! library's own handling of them keeps working.

/// A violation of the protocol. The connection cannot go on after it: where the next message starts is
/// unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The count after `*` is no number, or above [`Limits::max_args`](crate::Limits::max_args).
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// The length after `$` is no number, negative, or above [`Limits::max_bulk_len`](crate::Limits::max_bulk_len).
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// An argument does not start with `$`.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0).escape_default())]
    ExpectedBulk(u8),
    /// A bulk string is not followed by CRLF: its length was wrong.
    #[error("Protocol error: expected CRLF after bulk string")]
    UnterminatedBulk,
    /// A quote of an inline request is never closed.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// An inline request is longer than [`Limits::max_line_len`](crate::Limits::max_line_len).
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    /// A request is longer than [`Limits::max_request_len`](crate::Limits::max_request_len).
    #[error("Protocol error: too big request")]
    RequestTooBig,
    /// A reply starts with a byte that is no type of RESP2 or RESP3.
    #[error("Protocol error: unknown reply type '{}'", char::from(*.0).escape_default())]
    UnknownReplyType(u8),
    /// A line of a reply is longer than [`Limits::max_line_len`](crate::Limits::max_line_len) or not ended by CRLF.
    #[error("Protocol error: malformed line in reply")]
    MalformedLine,
    /// The element count of an aggregate reply is no number, or above
    /// [`Limits::max_elements`](crate::Limits::max_elements).
    #[error("Protocol error: invalid aggregate length in reply")]
    InvalidAggregateLength,
    /// Aggregates are nested deeper than [`Limits::max_depth`](crate::Limits::max_depth).
    #[error("Protocol error: reply is nested too deeply")]
    NestedTooDeeply,
}
