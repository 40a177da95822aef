//! Why the keys of a request cannot be told, in the words of Redis.

use thiserror::Error;

/// The request does not say which of its arguments are keys. `Display` gives the text of Redis' error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Too few or too many arguments, or a key without its value.
    #[error("wrong number of arguments for '{command}' command")]
    Arity {
        /// Name of the command.
        command: &'static str,
    },
    /// The key count is not a number.
    #[error("value is not an integer or out of range")]
    NotAnInteger,
    /// The key count of a function call is not a number.
    #[error("Bad number of keys provided")]
    BadNumber,
    /// The key count is below zero.
    #[error("Number of keys can't be negative")]
    Negative,
    /// The key count is not a number above zero.
    #[error("numkeys should be greater than 0")]
    NotPositive,
    /// The key count of `MSETEX` is not a number above zero.
    #[error("invalid numkeys value or out of range")]
    InvalidCount,
    /// The key count is below one.
    #[error("at least 1 input key is needed for '{command}' command")]
    NoInput {
        /// Name of the command.
        command: &'static str,
    },
    /// More keys are announced than arguments follow.
    #[error("Number of keys can't be greater than number of args")]
    TooMany,
    /// The streams and their ids are not equally many.
    #[error("Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.")]
    Unbalanced,
    /// Anything else.
    #[error("syntax error")]
    Syntax,
}
