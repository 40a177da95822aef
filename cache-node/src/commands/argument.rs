//! Reading arguments: strict numbers, as Redis reads them, and the words that are options.

use crate::engine::Value;
use crate::failure::Failure;
use crate::number::parse_integer;
use std::borrow::Cow;

/// An integer.
pub(super) fn integer(arg: &[u8]) -> Result<i64, Failure> {
    parse_integer(arg).ok_or(Failure::NotAnInteger)
}

/// A number that is not NaN.
pub(super) fn float(arg: &[u8]) -> Result<f64, Failure> {
    crate::number::parse_float(arg).ok_or(Failure::NotAFloat)
}

/// True when the argument is this word in any case.
pub(super) fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// An argument as part of an error text; like C's strings it ends at a zero byte.
pub(crate) fn printable(arg: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(arg.split(|byte| *byte == 0).next().unwrap_or_default())
}

/// The integer a stored value is.
pub(super) fn stored_integer(value: Value<'_>) -> Result<i64, Failure> {
    match value {
        Value::Int(number) => Ok(number),
        Value::Bytes(bytes) => integer(bytes),
        Value::SortedSet(_) => Err(Failure::WrongType),
    }
}

/// Fails unless the value is a string.
pub(super) fn must_be_string(value: Value<'_>) -> Result<(), Failure> {
    match value {
        Value::Int(_) | Value::Bytes(_) => Ok(()),
        Value::SortedSet(_) => Err(Failure::WrongType),
    }
}

/// Reads the bytes of a string value; an integer is printed on the way.
pub(super) fn with_bytes<R>(value: Value<'_>, read: impl FnOnce(&[u8]) -> R) -> Result<R, Failure> {
    match value {
        Value::Int(number) => Ok(read(itoa::Buffer::new().format(number).as_bytes())),
        Value::Bytes(bytes) => Ok(read(bytes)),
        Value::SortedSet(_) => Err(Failure::WrongType),
    }
}
