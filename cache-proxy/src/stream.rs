//! From which size on a value is passed on while it comes, in both directions, and how much of it is in the proxy
//! at a time. Smaller ones are gathered whole: they can be sent again when a node fails.

/// A longer argument or reply is streamed. Below it lies nearly every value of a cache; up to 64 of them on their
/// way at once are no burden.
pub(crate) const STREAM_FROM: usize = 1024 * 1024;

/// How much of a streamed value may wait for its receiver before its sender is read no further. Two reads ahead on
/// either side keep a stream flowing; it is what a Linux socket of a fast network buffers by itself.
pub(crate) const STREAM_AHEAD: usize = 256 * 1024;
