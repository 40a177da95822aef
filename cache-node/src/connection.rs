//! One client's connection: a batch of requests in, a batch of replies out.
//!
//! All connections of the node read into one scratch buffer and encode into another; a connection keeps bytes of
//! its own only while a request is incomplete or a reply not yet taken. So an idle client costs less than two
//! kilobytes, and a batch costs one read and one write, however many requests it holds.
//!
//! Memory is bounded: while a client does not take its replies, nothing more is read or executed for it.

use crate::client::{Client, Ending, Patience};
use crate::execute::{After, execute};
use crate::node::Node;
use crate::server::Shared;
use resp::{Encoder, Limits, Protocol, RequestScanner};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Replies that may wait before no more requests of the batch are executed. Large enough for a pipeline of a
/// thousand small values, small enough to hold for thousands of slow clients.
const REPLIES_MAX: usize = 256 * 1024;
/// An allocation that is kept although nothing is in it.
const KEPT_CAPACITY: usize = 4 * 1024;
/// How long a connection is served before others get their turn: a flooding client must not starve them.
const TURN_MAX: Duration = Duration::from_millis(2);
/// Fast requests between two looks at the clock: enough that the look costs nothing beside them.
const REQUESTS_PER_LOOK: usize = 16;
/// For how many fast requests one counts whose time depends on the data: SET is one of them, so not every one is
/// worth a look, but so is KEYS.
const SLOW_WEIGHT: usize = 8;

/// Most that a client may send while it waits. Redis has a limit of a gigabyte for this; all of it is moved each time
/// a part of it was executed, so here it is what that costs nothing for.
const UNREAD_WHILE_WAITING: usize = 1024 * 1024;

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
    /// What the scanner was made for.
    limits: Limits,
    /// When its turn began.
    turn: Instant,
}

/// What may be sent before authentication: Redis' limits, so that strangers cannot fill the memory.
fn strangers_limits() -> Limits {
    Limits { max_args: 10, max_bulk_len: 16 * 1024, max_request_len: 64 * 1024, ..Limits::default() }
}

/// How a turn came to its end.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// Its time was up: there may be more to do.
    Over,
    /// The connection is to be closed.
    Last,
}

/// What reading brought.
enum Read {
    Batch,
    Closed,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, shared: Rc<Shared>, client: Rc<Client>) -> Self {
        let limits = Limits::default();
        Self {
            stream,
            shared,
            client,
            scanner: RequestScanner::new(limits),
            unread: Vec::new(),
            unwritten: Vec::new(),
            written: 0,
            postponed: false,
            limits,
            turn: Instant::now(),
        }
    }

    /// Serves the client until one side ends the connection.
    pub(crate) async fn serve(mut self) -> io::Result<()> {
        while poll_fn(|cx| self.poll_turn(cx)).await? == Turn::Over {
            // Not a mere wake-up: this lets the runtime look at all sockets before the next turn.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        self.client.wake_with(cx.waker());
        self.turn = Instant::now();
        loop {
            if self.client.ending() == Ending::Now {
                return Poll::Ready(Ok(Turn::Last));
            }
            ready!(self.poll_flush(cx))?;
            if self.client.ending() == Ending::AfterReplies {
                return Poll::Ready(Ok(Turn::Last));
            }
            if self.turn.elapsed() >= TURN_MAX {
                return Poll::Ready(Ok(Turn::Over));
            }
            match self.client.patience.get() {
                Patience::None => {}
                Patience::Waiting => return self.poll_wait(cx),
                Patience::Answered => {
                    self.send_answer();
                    continue;
                }
            }
            if self.postponed {
                self.resume();
                continue;
            }
            match self.poll_read(cx)? {
                Poll::Ready(Read::Batch) => {}
                Poll::Ready(Read::Closed) => return Poll::Ready(Ok(Turn::Last)),
                Poll::Pending if self.client.ending() == Ending::Drained => {
                    return Poll::Ready(Ok(Turn::Last));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Writes the answer that the client has waited for, and goes on behind it.
    #[cold]
    fn send_answer(&mut self) {
        // It was not silent, it waited.
        self.client.active.set(crate::server::unix_ms());
        self.unwritten = self.client.take_answer();
        self.client.unwritten.set(self.unwritten.len());
        self.postponed = true;
    }

    /// Reads without executing while the client waits, to notice when it goes: what it waits for must not be taken
    /// out for nobody. What it sends meanwhile is kept; too much of it ends the client, because one that is not read
    /// is not seen to go.
    #[cold]
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        while self.client.ending() != Ending::Now {
            let shared = Rc::clone(&self.shared);
            let mut scratch = shared.input.borrow_mut();
            let mut buffer = ReadBuf::new(&mut scratch);
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut buffer) else { break };
            read?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(Turn::Last));
            }
            shared.node.borrow_mut().stats.bytes_in += buffer.filled().len() as u64;
            self.unread.extend_from_slice(buffer.filled());
            self.note_unread();
            if self.unread.len() > UNREAD_WHILE_WAITING {
                let (client, bytes) = (self.client.peer, self.unread.len());
                tracing::warn!(%client, bytes, "too much sent while it waits: closing the connection");
                return Poll::Ready(Ok(Turn::Last));
            }
        }
        if self.client.ending() >= Ending::Drained {
            return Poll::Ready(Ok(Turn::Last));
        }
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
        self.note_unread();
    }

    fn keep(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.unread = rest.to_vec();
        }
        self.note_unread();
    }

    fn note_unread(&self) {
        let len = self.unread.len();
        if len != self.client.unread.get() {
            self.shared.node.borrow_mut().note_unread(&self.client, len);
        }
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
        let mut now = crate::server::unix_ms();
        let mut node = shared.node.borrow_mut();
        self.client.active.set(now);
        self.postponed = false;
        let (mut used, mut executed) = (0, 0);
        while self.client.ending() <= Ending::Drained {
            if executed >= REQUESTS_PER_LOOK {
                executed = 0;
                now = crate::server::unix_ms();
                self.postponed = self.turn.elapsed() >= TURN_MAX;
            }
            self.postponed |= out.len() >= REPLIES_MAX;
            if self.postponed {
                break;
            }
            self.follow_limits(&node);
            match self.scanner.scan(&bytes[used..]) {
                Ok(None) => break,
                Ok(Some(len)) => {
                    let request = self.scanner.request(&bytes[used..]);
                    used += len;
                    if request.is_empty() {
                        executed += 1;
                        continue;
                    }
                    match execute(&shared.handlers, &mut node, &self.client, &request, out, now) {
                        After::Fast => executed += 1,
                        After::Slow => executed += SLOW_WEIGHT,
                        After::Waiting => break,
                    }
                }
                Err(violation) => {
                    Encoder::new(out, Protocol::Resp2).error(&format!("ERR {violation}"));
                    self.client.end(Ending::AfterReplies);
                }
            }
        }
        if self.client.ending() == Ending::Now {
            // What is there may be half a reply.
            out.clear();
        }
        node.stats.bytes_out += out.len() as u64;
        node.note_memory();
        shared.note_work(&node);
        used
    }

    /// Takes over the limits that hold now: CONFIG SET and AUTH change them. A request that is under way is looked
    /// at once more from its start.
    fn follow_limits(&mut self, node: &Node) {
        let limits = if node.must_authenticate(&self.client) {
            strangers_limits()
        } else {
            Limits::with_max_bulk_len(node.config.max_bulk_len)
        };
        if limits != self.limits {
            self.limits = limits;
            self.scanner = RequestScanner::new(limits);
        }
    }

    /// Offers replies to the socket, which mostly takes them at once, and keeps the rest.
    fn send(&mut self, replies: &mut Vec<u8>) {
        // Nothing is read, let alone executed, while replies are waiting.
        debug_assert!(self.unwritten.is_empty());
        if replies.is_empty() {
            return;
        }
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
