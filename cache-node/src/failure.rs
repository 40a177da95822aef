//! What a command can answer instead of a result, with Redis' own words.

/// An error reply: `Display` is the whole text, code included.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The key holds a value of another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// An option is unknown, misplaced or contradicts another.
    #[error("ERR syntax error")]
    Syntax,
    /// An argument or a stored value should be an integer.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// An argument or a stored value should be a number.
    #[error("ERR value is not a valid float")]
    NotAFloat,
    /// The command needs an existing key.
    #[error("ERR no such key")]
    NoSuchKey,
    /// Not as many arguments as the command takes.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    /// An expire time of 0, below, or beyond what a clock can show.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    /// A string would become longer than `proto-max-bulk-len`.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    TooLong,
    /// Over `maxmemory`, and nothing may be evicted.
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    OutOfMemory,
    /// A password is required and was not given.
    #[error("NOAUTH Authentication required.")]
    NotAuthenticated,
    /// More is queued or watched than a client may have.
    #[error("ERR Transaction too large: more is queued or watched than one request may hold")]
    TransactionTooLarge,
    /// Anything else, as Redis says it.
    #[error("{0}")]
    Fixed(&'static str),
    /// Anything else that names what was wrong.
    #[error("{0}")]
    Worded(String),
}

impl From<crate::engine::WrongType> for Failure {
    fn from(_: crate::engine::WrongType) -> Self {
        Self::WrongType
    }
}
