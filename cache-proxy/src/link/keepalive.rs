//! Finds out about peers that vanished without a word: a host that lost power, a firewall that forgot the
//! connection.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// An idle client is asked after this long whether it is still there: Redis' `tcp-keepalive`. Three times a
/// third of it later without an answer it is gone.
const CLIENT_IDLE: Duration = Duration::from_secs(300);

/// An idle node connection is asked after this long. It stands between a lost path and the next request.
const NODE_IDLE: Duration = Duration::from_secs(15);

/// How long the pause between two questions to a node is.
const NODE_INTERVAL: Duration = Duration::from_secs(5);

/// Unanswered questions after which a peer is gone.
const RETRIES: u32 = 3;

/// For a client's connection.
pub(crate) fn towards_client(stream: &TcpStream) {
    set(stream, CLIENT_IDLE, CLIENT_IDLE / RETRIES);
}

/// For a connection to a node.
pub(crate) fn towards_node(stream: &TcpStream) {
    set(stream, NODE_IDLE, NODE_INTERVAL);
}

/// A system that cannot do it serves all the same.
fn set(stream: &TcpStream, idle: Duration, interval: Duration) {
    let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(RETRIES);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "no TCP keepalive");
    }
}
