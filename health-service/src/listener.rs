//! The listener: a bounded number of connections, without send delay, and none that is idle for ever.
//!
//! A view must not wait for the acknowledgement of a heartbeat (Nagle's algorithm), and clients that
//! open connections and say nothing must not keep others out.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Most connections at a time: all subscribers, and plenty of short requests. Further ones wait in
/// the system's backlog.
const MAX_CONNECTIONS: usize = 2_048;

/// A connection on which nothing moves for this long is closed. Longer than the longest poll, and
/// than clients keep an unused connection for (90 s in `reqwest`), so that it is they who close it.
const IDLE: Duration = Duration::from_secs(120);

/// A listener that accepts while there is room.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    room: Arc<Semaphore>,
    idle: Duration,
}

impl Listener {
    /// Takes a listener over.
    #[must_use]
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self::with_limits(listener, MAX_CONNECTIONS, IDLE)
    }

    fn with_limits(listener: TcpListener, connections: usize, idle: Duration) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(connections)), idle }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed; if it were, there would be no room.
        let Ok(room) = Arc::clone(&self.room).acquire_owned().await else { std::future::pending().await };
        // axum's own: logs errors and waits a second when descriptors run out.
        let (stream, peer) = axum::serve::Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot send without delay");
        }
        (Connection { stream, idle_limit: self.idle, idle: Box::pin(sleep(self.idle)), _room: room }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection, its place among the allowed ones, and when it has been idle for too long.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    idle_limit: Duration,
    idle: Pin<Box<Sleep>>,
    _room: OwnedSemaphorePermit,
}

impl Connection {
    /// Notes that bytes have moved.
    fn moved<T>(&mut self, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            let until = Instant::now() + self.idle_limit;
            self.idle.as_mut().reset(until);
        }
        moved
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() && self.idle.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.moved(read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.moved(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.moved(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::serve::Listener as _;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    const PATIENT: Duration = Duration::from_secs(30);

    async fn listener(connections: usize, idle: Duration) -> (Listener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        (Listener::with_limits(listener, connections, idle), addr)
    }

    #[tokio::test]
    async fn a_connection_without_movement_is_given_up() {
        let idle = Duration::from_millis(300);
        let (mut listener, addr) = listener(1, idle).await;
        let mut client = TcpStream::connect(addr).await.unwrap();
        let (mut served, _) = listener.accept().await;
        client.write_all(b"a").await.unwrap();
        assert_eq!(served.read_u8().await.unwrap(), b'a');
        let spoke = Instant::now();
        let error = timeout(PATIENT, served.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(spoke.elapsed() + Duration::from_millis(50) >= idle, "{:?}", spoke.elapsed());
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_connection_is_gone() {
        let (mut listener, addr) = listener(1, PATIENT).await;
        let clients = (TcpStream::connect(addr).await.unwrap(), TcpStream::connect(addr).await.unwrap());
        let first = listener.accept().await;
        assert!(
            timeout(Duration::from_millis(50), listener.accept()).await.is_err(),
            "there is no second place"
        );
        drop(first);
        timeout(PATIENT, listener.accept()).await.unwrap();
        drop(clients);
    }
}
