//! One client's connection: a batch of requests in, a batch of replies out.
//!
//! All connections of the node read into one scratch buffer and encode into another; a connection keeps bytes of
//! its own only while a request is incomplete or a reply not yet taken. So an idle client costs a few hundred
//! bytes, and a batch costs one read and one write, however many requests it holds.
//!
//! Memory is bounded: while a client does not take its replies, nothing more is read or executed for it.

use crate::client::{Client, Ending};
use crate::execute::execute;
use crate::server::Shared;
use resp::{Encoder, Limits, Protocol, RequestScanner};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Replies that may wait before no more requests of the batch are executed. Large enough for a pipeline of a
/// thousand small values, small enough to hold for thousands of slow clients.
const REPLIES_MAX: usize = 256 * 1024;
/// A single reply may exceed that by far (KEYS, ZRANGE); one that exceeds this ends the connection, because it
/// would take the node's memory along.
const REPLY_MAX: usize = 1024 * 1024 * 1024;
/// An allocation that is kept although nothing is in it.
const KEPT_CAPACITY: usize = 4 * 1024;
/// Batches before other connections get their turn: a flooding client must not starve them.
const BATCHES_PER_TURN: usize = 16;

/// A client with its socket and what is under way on it.
pub(crate) struct Connection {
    stream: TcpStream,
    shared: Rc<Shared>,
    client: Rc<Client>,
    scanner: RequestScanner,
    /// Read, not executed yet: starts with an unfinished or postponed request.
    unread: Vec<u8>,
    /// Replies the socket did not take yet, from `written` on.
    unwritten: Vec<u8>,
    written: usize,
    /// More requests may be complete in `unread`.
    postponed: bool,
    /// Not authenticated yet, so only small requests are taken.
    restricted: bool,
}

/// What may be sent before authentication: Redis' limits, so that strangers cannot fill the memory.
fn strangers_limits() -> Limits {
    Limits { max_args: 10, max_bulk_len: 16 * 1024, max_request_len: 64 * 1024, ..Limits::default() }
}

/// What reading brought.
enum Read {
    Batch,
    Closed,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, shared: Rc<Shared>, client: Rc<Client>) -> Self {
        let restricted = !client.authenticated.get();
        let limits = if restricted { strangers_limits() } else { Limits::default() };
        Self {
            stream,
            shared,
            client,
            scanner: RequestScanner::new(limits),
            unread: Vec::new(),
            unwritten: Vec::new(),
            written: 0,
            postponed: false,
            restricted,
        }
    }

    /// Serves the client until one side ends the connection.
    pub(crate) async fn serve(mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_serve(cx)).await
    }

    fn poll_serve(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.client.wake_with(cx.waker());
        for _ in 0..BATCHES_PER_TURN {
            if self.client.ending() == Ending::Now {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_flush(cx))?;
            if self.client.ending() == Ending::AfterReplies {
                return Poll::Ready(Ok(()));
            }
            if self.postponed {
                self.resume();
                continue;
            }
            match self.poll_read(cx)? {
                Poll::Ready(Read::Batch) => {}
                Poll::Ready(Read::Closed) => return Poll::Ready(Ok(())),
                Poll::Pending if self.client.ending() == Ending::Drained => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once into the shared buffer and executes what is complete.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Read>> {
        let shared = Rc::clone(&self.shared);
        let mut scratch = shared.input.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let fresh = buffer.filled();
        if fresh.is_empty() {
            return Poll::Ready(Ok(Read::Closed));
        }
        shared.node.borrow_mut().stats.bytes_in += fresh.len() as u64;
        if self.unread.is_empty() {
            let used = self.run(fresh);
            self.keep(&fresh[used..]);
        } else {
            self.reserve(fresh.len());
            self.unread.extend_from_slice(fresh);
            self.resume();
        }
        Poll::Ready(Ok(Read::Batch))
    }

    /// Makes room for a large request at once, but never for much more than has been sent: a length is a claim.
    fn reserve(&mut self, fresh: usize) {
        let wanted = self.scanner.wanted_len().saturating_sub(self.unread.len());
        self.unread.reserve(wanted.min(self.unread.len()).max(fresh));
    }

    /// Executes what is complete in the bytes kept from before.
    fn resume(&mut self) {
        let mut bytes = std::mem::take(&mut self.unread);
        let used = self.run(&bytes);
        if used > 0 {
            bytes.drain(..used);
            if bytes.is_empty() || bytes.capacity() > 4 * bytes.len() + KEPT_CAPACITY {
                bytes = bytes.as_slice().into();
            }
        }
        self.unread = bytes;
        self.client.unread.set(self.unread.len());
    }

    fn keep(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.unread = rest.to_vec();
        }
        self.client.unread.set(rest.len());
    }

    /// Executes the complete requests at the start of `bytes`, writes their replies, and returns how many bytes
    /// they took.
    fn run(&mut self, bytes: &[u8]) -> usize {
        let shared = Rc::clone(&self.shared);
        let mut out = shared.output.borrow_mut();
        out.clear();
        let used = self.run_into(bytes, &shared, &mut out);
        self.send(&mut out);
        if out.capacity() > REPLIES_MAX {
            *out = Vec::new();
        }
        used
    }

    fn run_into(&mut self, bytes: &[u8], shared: &Shared, out: &mut Vec<u8>) -> usize {
        let now = crate::server::unix_ms();
        let mut node = shared.node.borrow_mut();
        self.client.active.set(now);
        self.postponed = false;
        let mut used = 0;
        while matches!(self.client.ending(), Ending::None | Ending::Drained) {
            if out.len() >= REPLIES_MAX {
                self.postponed = true;
                break;
            }
            match self.scanner.scan(&bytes[used..]) {
                Ok(None) => break,
                Ok(Some(len)) => {
                    let request = self.scanner.request(&bytes[used..]);
                    used += len;
                    if !request.is_empty() {
                        execute(&shared.handlers, &mut node, &self.client, &request, out, now);
                    }
                }
                Err(violation) => {
                    Encoder::new(out, Protocol::Resp2).error(&format!("ERR {violation}"));
                    self.client.end(Ending::AfterReplies);
                }
            }
            self.after_request(out);
        }
        node.stats.bytes_out += out.len() as u64;
        node.note_memory();
        shared.note_work(&node);
        used
    }

    fn after_request(&mut self, out: &mut Vec<u8>) {
        if self.restricted && self.client.authenticated.get() {
            self.restricted = false;
            self.scanner = RequestScanner::new(Limits::default());
        }
        if out.len() > REPLY_MAX {
            tracing::warn!(client = %self.client.peer, bytes = out.len(), "reply too large: closing the connection");
            out.clear();
            self.client.end(Ending::Now);
        }
    }

    /// Offers replies to the socket, which mostly takes them at once, and keeps the rest.
    fn send(&mut self, replies: &mut Vec<u8>) {
        // Nothing is read, let alone executed, while replies are waiting.
        debug_assert!(self.unwritten.is_empty());
        let taken = self.stream.try_write(replies).unwrap_or(0);
        if taken < replies.len() {
            self.unwritten = std::mem::take(replies);
            self.written = taken;
            self.client.unwritten.set(self.unwritten.len() - taken);
        }
    }

    /// Writes what is left; pending while the client does not take it.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.unwritten.len() {
            let rest = &self.unwritten[self.written..];
            let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += taken;
            self.client.unwritten.set(self.unwritten.len() - self.written);
        }
        if self.written > 0 {
            self.unwritten = Vec::new();
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.leave(self.client.id);
    }
}
