//! Filling a server quickly: requests in pipelined batches over one connection, none of which may fail.

use std::io;

use crate::client::Client;
use crate::load::keys::shown;

/// Requests sent before their replies are read: few turns, and no reply has to wait for room in a socket.
pub(super) const BATCH: u64 = 64;

/// Sends the requests 0 to `count` as `queue` writes them.
///
/// # Errors
/// When the connection is lost or a reply is an error.
pub(super) fn send_all(
    client: &mut Client,
    count: u64,
    mut queue: impl FnMut(u64, &mut Client),
) -> io::Result<()> {
    let mut next = 0;
    while next < count {
        let end = count.min(next + BATCH);
        (next..end).for_each(|number| queue(number, client));
        send_batch(client, end - next)?;
        next = end;
    }
    Ok(())
}

/// Sends what is queued, and takes the `replies` to it.
///
/// # Errors
/// When the connection is lost or a reply is an error.
pub(super) fn send_batch(client: &mut Client, replies: u64) -> io::Result<()> {
    client.flush()?;
    for _ in 0..replies {
        let reply = client.receive()?;
        if reply.first() == Some(&b'-') {
            return Err(io::Error::other(shown(reply)));
        }
    }
    Ok(())
}
