//! One client's connection: reads its bytes, cuts them into requests, and waits for room to write.
//!
//! The replies are written by the worker as they come; the session only helps out when the socket is full.
//! Between requests it owns nothing but its scanner: reads land in the worker's scratch buffer, and only an
//! unfinished request is kept.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use resp::{Limits, ProtocolError, RequestScanner};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::read::poll_read;
use crate::signal::Signal;
use crate::target::ClientId;
use crate::worker::Worker;

/// Capacity of the unfinished-request buffer that is kept when it is empty.
const KEPT_PARTIAL: usize = 4 * 1024;

/// A client's socket and what its session should know.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    pub(crate) writer: OwnedWriteHalf,
    /// The session should look at its client.
    pub(crate) attention: Signal,
    /// The socket takes no more for now.
    pub(crate) blocked: Cell<bool>,
    /// A write failed.
    pub(crate) broken: Cell<bool>,
    /// The session does not read: back-pressure.
    pub(crate) paused: Cell<bool>,
}

impl ClientSocket {
    pub(crate) fn new(writer: OwnedWriteHalf) -> Self {
        Self {
            writer,
            attention: Signal::default(),
            blocked: Cell::new(false),
            broken: Cell::new(false),
            paused: Cell::new(false),
        }
    }
}

/// The task of one client.
#[derive(Debug)]
pub(crate) struct Session {
    worker: Rc<Worker>,
    socket: Rc<ClientSocket>,
    reader: OwnedReadHalf,
    id: ClientId,
    scanner: RequestScanner,
    /// The bytes of an unfinished request.
    partial: Vec<u8>,
}

/// Why the session woke.
enum Event {
    /// This many bytes are in the scratch buffer; 0: the client has left.
    Read(usize),
    /// The socket has room again.
    Writable,
    /// Something about the client has changed.
    Attention,
    /// The connection is broken.
    Broken,
}

impl Session {
    pub(crate) fn new(
        worker: Rc<Worker>,
        socket: Rc<ClientSocket>,
        reader: OwnedReadHalf,
        id: ClientId,
    ) -> Self {
        Self {
            worker,
            socket,
            reader,
            id,
            scanner: RequestScanner::new(Limits::default()),
            partial: Vec::new(),
        }
    }

    /// Serves the client until it leaves, says QUIT or breaks the protocol.
    pub(crate) async fn run(mut self) {
        loop {
            let reading = self.worker.dispatcher.borrow_mut().may_read(self.id);
            self.socket.paused.set(!reading);
            match poll_fn(|context| self.poll(context, reading)).await {
                Event::Read(0) | Event::Broken => break,
                Event::Read(len) => self.take(len),
                Event::Writable => {
                    self.socket.blocked.set(false);
                    self.worker.write_to_client(&mut self.worker.dispatcher.borrow_mut(), self.id);
                }
                Event::Attention => {}
            }
            if self.is_over() {
                break;
            }
        }
        self.worker.dismiss(self.id);
    }

    fn poll(&mut self, context: &mut Context<'_>, reading: bool) -> Poll<Event> {
        if self.socket.attention.poll_taken(context) {
            return Poll::Ready(Event::Attention);
        }
        if self.socket.blocked.get() && self.socket.writer.as_ref().poll_write_ready(context).is_ready() {
            return Poll::Ready(Event::Writable);
        }
        if !reading {
            return Poll::Pending;
        }
        let mut scratch = self.worker.scratch.borrow_mut();
        poll_read(&mut self.reader, context, &mut scratch).map(|read| read.map_or(Event::Broken, Event::Read))
    }

    /// Whether the client is to be closed and has got everything it was owed.
    fn is_over(&self) -> bool {
        let mut dispatcher = self.worker.dispatcher.borrow_mut();
        self.socket.broken.get()
            || dispatcher.client(self.id).is_none_or(|client| client.closing && client.is_settled())
    }

    /// Takes the bytes that are in the scratch buffer.
    fn take(&mut self, len: usize) {
        let worker = Rc::clone(&self.worker);
        let scratch = worker.scratch.borrow();
        let fresh = &scratch[..len];
        let taken = if self.partial.is_empty() {
            let taken = self.requests(fresh);
            self.partial.extend_from_slice(&fresh[taken.clone().unwrap_or(len)..]);
            taken
        } else {
            self.partial.extend_from_slice(fresh);
            let partial = std::mem::take(&mut self.partial);
            let taken = self.requests(&partial);
            self.partial = partial;
            self.partial.drain(..taken.clone().unwrap_or(self.partial.len()));
            self.partial.shrink_to(KEPT_PARTIAL.max(self.partial.len()));
            taken
        };
        let mut dispatcher = worker.dispatcher.borrow_mut();
        if let Err(error) = taken {
            tracing::debug!(%error, peer = ?self.reader.peer_addr().ok(), "client broke the protocol");
            dispatcher.refuse_client(self.id, &error);
        }
        worker.settle(&mut dispatcher);
    }

    /// Hands every complete request in `bytes` to the dispatcher; returns how many bytes they took.
    fn requests(&mut self, bytes: &[u8]) -> Result<usize, ProtocolError> {
        let mut dispatcher = self.worker.dispatcher.borrow_mut();
        dispatcher.now = Instant::now();
        let mut taken = 0;
        while let Some(len) = self.scanner.scan(&bytes[taken..])? {
            let request = self.scanner.request(&bytes[taken..]);
            if !request.is_empty() {
                dispatcher.request(self.id, request);
            }
            taken += len;
            if dispatcher.client(self.id).is_none_or(|client| client.closing) {
                // Whatever follows a QUIT is not read.
                return Ok(bytes.len());
            }
        }
        Ok(taken)
    }
}
