//! The value types that are more than a byte string. Strings live in the engine's records themselves.

pub mod sorted_set;
