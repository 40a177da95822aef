//! From which size on a value is passed on while it comes, in both directions, and how much of it is in the proxy
//! at a time. Smaller ones are gathered whole: they can be sent again when a node fails.

/// A longer argument or reply is streamed. Nearly every value of a cache is shorter, and a hundred of this size on their
/// way at once are no burden to a proxy.
pub(crate) const STREAM_FROM: usize = 1024 * 1024;

/// How much of a streamed value may wait for its receiver before its sender is read no further: four reads, so that
/// neither side waits for the other while both work. What the kernel buffers comes on top.
pub(crate) const STREAM_AHEAD: usize = 256 * 1024;
