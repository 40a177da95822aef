//! Reads the next bytes of a connection into a buffer that all connections of a worker share.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

/// Reads what is there into `buffer`, or arranges for a wake-up. `Ok(0)`: the peer has closed.
///
/// Through `AsyncRead` and not `try_read`: after a read that did not fill the buffer, tokio then knows that
/// the socket is empty and does not try again. That saves one failing system call per wake-up, half of all
/// reads.
#[inline]
pub(crate) fn poll_read(
    reader: &mut OwnedReadHalf,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(Pin::new(reader).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}
