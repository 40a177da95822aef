//! The listener: a bounded number of connections, without send delay, and none that is idle for ever.
//!
//! For every HTTP port of ours. A view must not wait for the acknowledgement of a heartbeat (Nagle's algorithm), and
//! clients that open connections and say nothing must not take the files that others need, nor keep them out: when there
//! is no room, one that is owed no answer makes room, that with the oldest sign of life. What is asked, and who may ask,
//! is the router's business.

mod answers;
mod places;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep, timeout};

pub use self::answers::serve;
use self::places::{Place, Places};

/// How long a connection may stay in one phase. Bytes that only trickle in gain no time.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// From opening to the first byte.
    first: Duration,
    /// From the first byte of a request to the first byte of its answer.
    request: Duration,
    /// From the last byte that was sent to the next request.
    idle: Duration,
}

const LIMITS: Limits = Limits {
    // Who opens a connection has something to ask.
    first: Duration::from_secs(10),
    // Longer than the longest poll, which is a minute.
    request: Duration::from_secs(75),
    // Longer than clients keep an unused connection for (90 s in `reqwest`), so that they close it.
    idle: Duration::from_secs(120),
};

/// How long one that is asked to leave may take before another one is asked, too: it has nothing to do but to close.
const LEAVES_WITHIN: Duration = Duration::from_millis(100);

/// A listener that keeps so many connections. Whoever comes when there is no room takes the place of another.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    room: Arc<Semaphore>,
    places: Arc<Places>,
    limits: Limits,
}

impl Listener {
    /// Takes a listener over, for so many connections at a time. Only [`serve`] does: it marks who is owed an answer.
    fn new(listener: TcpListener, connections: usize) -> Self {
        Self::with_limits(listener, connections, LIMITS)
    }

    fn with_limits(listener: TcpListener, connections: usize, limits: Limits) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(connections)), places: Arc::default(), limits }
    }

    /// Room for one more. `None`: never.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            return Some(room);
        }
        loop {
            self.places.vacate_one();
            if let Ok(room) = timeout(LEAVES_WITHIN, Arc::clone(&self.room).acquire_owned()).await {
                return room.ok();
            }
        }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // axum's own: logs errors and waits a second when descriptors run out.
        let (stream, peer) = axum::serve::Listener::accept(&mut self.listener).await;
        // The semaphore is never closed; if it were, there would be no room.
        let Some(room) = self.room().await else { std::future::pending().await };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot send without delay");
        }
        let limits = self.limits;
        let until = Box::pin(sleep(limits.first));
        let place = Places::take(&self.places);
        (Connection { stream, limits, is_asking: false, until, place, _room: room }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection, its place among the allowed ones, and until when its phase may last.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    limits: Limits,
    /// A request has begun, its answer has not.
    is_asking: bool,
    until: Pin<Box<Sleep>>,
    place: Place,
    _room: OwnedSemaphorePermit,
}

impl Connection {
    fn received(&mut self) {
        if !std::mem::replace(&mut self.is_asking, true) {
            self.place.alive();
            self.until.as_mut().reset(Instant::now() + self.limits.request);
        }
    }

    fn sent<T>(&mut self, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.is_asking = false;
            self.place.alive();
            self.until.as_mut().reset(Instant::now() + self.limits.idle);
        }
        sent
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.place.poll_lost(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.received();
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.sent(written)
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

    use super::*;

    const PATIENT: Duration = Duration::from_secs(30);

    async fn listener(connections: usize, limits: Limits) -> (Listener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        (Listener::with_limits(listener, connections, limits), addr)
    }

    /// Reads until the connection is given up; returns after how long that was.
    async fn given_up(served: &mut Connection) -> Duration {
        let started = Instant::now();
        let end = timeout(PATIENT, async { while served.read_u8().await.is_ok() {} }).await;
        end.expect("it is given up");
        assert_eq!(served.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        started.elapsed()
    }

    #[tokio::test]
    async fn a_connection_is_given_up_in_whatever_phase_it_stays() {
        let short = Duration::from_millis(300);
        let (first, request, idle) = (short, PATIENT, PATIENT);
        let (mut silent, addr) = listener(1, Limits { first, request, idle }).await;
        let _client = TcpStream::connect(addr).await.unwrap();
        let took = given_up(&mut silent.accept().await.0).await;
        assert!(took + Duration::from_millis(50) >= short, "{took:?}");

        let (mut answered, addr) = listener(1, Limits { first: PATIENT, request, idle: short }).await;
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(b"a").await.unwrap();
        let mut served = answered.accept().await.0;
        assert_eq!(served.read_u8().await.unwrap(), b'a');
        served.write_all(b"b").await.unwrap();
        given_up(&mut served).await;
    }

    #[tokio::test]
    async fn a_request_that_trickles_gains_no_time() {
        let request = Duration::from_millis(300);
        let (mut listener, addr) = listener(1, Limits { first: PATIENT, request, idle: PATIENT }).await;
        let mut client = TcpStream::connect(addr).await.unwrap();
        let mut served = listener.accept().await.0;
        let trickle = async {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while client.write_all(b"a").await.is_ok() {
                pace.tick().await;
            }
        };
        tokio::select! {
            _ = given_up(&mut served) => {}
            () = trickle => panic!("the client gave up first"),
        }
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_connection_is_gone() {
        let (mut listener, addr) =
            listener(1, Limits { first: PATIENT, request: PATIENT, idle: PATIENT }).await;
        let clients = (TcpStream::connect(addr).await.unwrap(), TcpStream::connect(addr).await.unwrap());
        let first = listener.accept().await;
        // Nobody reads from it, so it does not notice that it is asked to leave.
        assert!(timeout(2 * LEAVES_WITHIN, listener.accept()).await.is_err(), "there is no second place");
        drop(first);
        // The second client had been let in, and lost with the call that was given up.
        let _third = TcpStream::connect(addr).await.unwrap();
        timeout(PATIENT, listener.accept()).await.unwrap();
        drop(clients);
    }

    #[tokio::test]
    async fn who_says_nothing_makes_room_for_who_comes_and_who_sends_does_not() {
        let (mut listener, addr) =
            listener(2, Limits { first: PATIENT, request: PATIENT, idle: PATIENT }).await;
        let _asking = TcpStream::connect(addr).await.unwrap();
        let mut served = listener.accept().await.0;
        let _silent = TcpStream::connect(addr).await.unwrap();
        let mut idle = listener.accept().await.0;
        served.write_all(b"a").await.unwrap();
        let _new = TcpStream::connect(addr).await.unwrap();
        let leaving = tokio::spawn(async move { idle.read_u8().await.unwrap_err().kind() });
        let _accepted = timeout(PATIENT, listener.accept()).await.expect("there is room");
        assert_eq!(leaving.await.unwrap(), io::ErrorKind::ConnectionAborted);
        assert!(timeout(LEAVES_WITHIN, served.read_u8()).await.is_err(), "it is still there");
    }
}
