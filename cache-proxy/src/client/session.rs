//! One client's connection: reads its bytes, cuts them into requests, and waits for room to write.
//!
//! The replies are written by the worker as they come; the session only helps out when the socket is full.
//! Between requests it owns nothing but its scanner: reads land in the worker's scratch buffer, and only what
//! cannot be dispatched yet is kept.

use std::cell::Cell;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use resp::{Limits, RequestScanner};
use socket2::SockRef;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::client::read::poll_read;
use crate::client::stream::STREAM_FROM;
use crate::client::upload::Passage;
use crate::dispatch::Dispatcher;
use crate::drain::QUIET;
use crate::signal::Signal;
use crate::target::ClientId;
use crate::worker::Worker;

/// Capacity of the pending bytes that is kept when there are none.
const KEPT_PENDING: usize = 4 * 1024;

/// What is read ahead of a blocked client, only to see whether it hangs up: more than anybody pipelines behind a
/// command that may wait for ever.
const READ_WHILE_BLOCKED: usize = 64 * 1024;

/// How long a client that is being closed may take for its last replies. A node's slow reply may be among
/// them, so it is longer than the default time for one.
const LAST_REPLIES: Duration = Duration::from_secs(10);

/// What a client may send before it has given the password: Redis' limits. It needs no more to say HELLO.
const BEFORE_PASSWORD: Limits = {
    let limits = Limits::DEFAULT;
    Limits { max_args: 10, max_bulk_len: 16 * 1024, max_request_len: 64 * 1024, ..limits }
};

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
    /// The client has just got all it was owed, and the proxy is leaving.
    pub(crate) parting: Cell<bool>,
}

impl ClientSocket {
    pub(crate) fn new(writer: OwnedWriteHalf) -> Self {
        Self {
            writer,
            attention: Signal::default(),
            blocked: Cell::new(false),
            broken: Cell::new(false),
            paused: Cell::new(false),
            parting: Cell::new(false),
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
    /// Bytes that have arrived and are not dispatched: an unfinished request, or requests that must wait.
    pending: Vec<u8>,
    /// How many of them the dispatcher knows of.
    noted: usize,
    /// Whether `pending` may hold whole requests, which wait until the client has taken replies.
    stalled: bool,
    /// Whether the client may send requests of any size.
    trusted: bool,
    /// The client has sent all it will ever send; it may still read.
    ended: bool,
    /// A large argument is passed on while it comes.
    uploading: bool,
}

/// Why the session woke.
enum Event {
    /// This many bytes are in the scratch buffer; 0: no more will come.
    Read(usize),
    /// The socket has room again.
    Writable,
    /// Something about the client has changed.
    Attention,
    /// The connection is broken.
    Broken,
    /// The proxy is leaving, and now is a moment to close if nothing is open.
    Parting,
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
            scanner: RequestScanner::new(BEFORE_PASSWORD),
            trusted: false,
            pending: Vec::new(),
            noted: 0,
            stalled: false,
            ended: false,
            uploading: false,
        }
    }

    /// Serves the client until it leaves, says QUIT or breaks the protocol. What it asked for before it gets
    /// in any case, if it still reads.
    pub(crate) async fn run(mut self) {
        loop {
            let may_send = self.may_send();
            // A blocked client is read too: its hang-up must be seen at once.
            let is_blocked = !may_send && self.is_blocked();
            let reading =
                (may_send || (is_blocked && self.pending.len() < READ_WHILE_BLOCKED)) && !self.ended;
            self.socket.paused.set(!may_send || self.ended);
            if may_send && self.stalled {
                self.take_pending();
                self.note_unread();
                continue;
            }
            match self.next(reading).await {
                Event::Broken => break,
                Event::Read(0) if is_blocked || self.uploading => break,
                Event::Read(0) => self.ended = true,
                Event::Read(len) => self.take(len),
                Event::Writable => {
                    self.socket.blocked.set(false);
                    self.worker.write_to_client(&mut self.worker.dispatcher.borrow_mut(), self.id);
                }
                Event::Parting if self.is_at_rest() => break,
                Event::Attention | Event::Parting => {}
            }
            if self.is_over() {
                break;
            }
        }
        self.worker.dismiss(self.id);
    }

    /// Waits for the next event; but not for ever on a client that is only to take its last replies.
    async fn next(&mut self, reading: bool) -> Event {
        let closing = self.worker.dispatcher.borrow_mut().client(self.id).is_none_or(|client| client.closing);
        let leaving = self.worker.leaving.get();
        let event = poll_fn(|context| self.poll(context, reading));
        if closing {
            return timeout(LAST_REPLIES, event).await.unwrap_or(Event::Broken);
        }
        if leaving {
            return timeout(QUIET, event).await.unwrap_or(Event::Parting);
        }
        event.await
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
        match poll_read(&mut self.reader, context, &mut scratch) {
            Poll::Ready(read) => Poll::Ready(read.map_or(Event::Broken, Event::Read)),
            Poll::Pending if self.socket.parting.get() && self.is_at_rest() => Poll::Ready(Event::Parting),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether nothing of the client is unread or unanswered, as far as this end of the connection knows.
    fn is_at_rest(&self) -> bool {
        let settled =
            self.worker.dispatcher.borrow_mut().client(self.id).is_none_or(|client| client.is_settled());
        settled && self.pending.is_empty() && !self.has_unread()
    }

    /// Asks the kernel: the runtime hears of new bytes only with its next turn.
    fn has_unread(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        SockRef::from(self.reader.as_ref()).peek(&mut byte).is_ok_and(|len| len > 0)
    }

    /// Whether the client's next bytes may be read now.
    #[inline]
    fn may_send(&self) -> bool {
        let mut dispatcher = self.worker.dispatcher.borrow_mut();
        if self.uploading { dispatcher.may_upload(self.id) } else { dispatcher.may_read(self.id) }
    }

    /// Whether the client waits in a blocking command.
    fn is_blocked(&self) -> bool {
        let mut dispatcher = self.worker.dispatcher.borrow_mut();
        dispatcher.client(self.id).is_some_and(|client| client.blocked_on.is_some())
    }

    /// Whether the client is to be closed and has got everything it was owed.
    fn is_over(&self) -> bool {
        let mut dispatcher = self.worker.dispatcher.borrow_mut();
        let Some(client) = dispatcher.client(self.id) else { return true };
        let no_more = client.closing || (self.ended && !self.stalled);
        self.socket.broken.get() || client.killed || (no_more && client.is_settled())
    }

    /// Takes the bytes that are in the scratch buffer.
    fn take(&mut self, len: usize) {
        let worker = Rc::clone(&self.worker);
        let scratch = worker.scratch.borrow();
        let fresh = &scratch[..len];
        if self.pending.is_empty() {
            let taken = self.requests(fresh);
            self.pending.extend_from_slice(&fresh[taken..]);
        } else {
            self.pending.extend_from_slice(fresh);
            self.take_pending();
        }
        self.note_unread();
    }

    /// Tells the dispatcher how many bytes are kept here, when that has changed.
    #[inline]
    fn note_unread(&mut self) {
        let len = self.pending.len();
        if std::mem::replace(&mut self.noted, len) != len {
            let mut dispatcher = self.worker.dispatcher.borrow_mut();
            dispatcher.note_unread(self.id, len);
            self.worker.settle(&mut dispatcher);
        }
    }

    fn take_pending(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let taken = self.requests(&pending);
        self.pending = pending;
        self.pending.drain(..taken);
        if self.pending.is_empty() {
            self.pending.shrink_to(KEPT_PENDING);
        }
    }

    /// Has a large argument that is arriving passed on while it comes, if that is possible; returns how many bytes of
    /// `bytes` that took.
    #[inline]
    fn begin_upload(&mut self, dispatcher: &mut Dispatcher, bytes: &[u8]) -> usize {
        if self.scanner.wanted_len() <= STREAM_FROM {
            return 0;
        }
        let Some(unfinished) = self.scanner.unfinished(bytes) else { return 0 };
        match dispatcher.begin_upload(self.id, &unfinished) {
            Passage::Closed => 0,
            Passage::Later => {
                self.stalled = true;
                0
            }
            Passage::Open => {
                self.uploading = true;
                self.upload(dispatcher, bytes)
            }
        }
    }

    /// Passes on what has come of a large argument, to the end of its request; returns how many bytes that is.
    #[inline]
    fn upload(&mut self, dispatcher: &mut Dispatcher, bytes: &[u8]) -> usize {
        if !self.uploading {
            return 0;
        }
        match self.scanner.scan(bytes) {
            Ok(Some(len)) => {
                self.uploading = false;
                dispatcher.finish_upload(self.id, &bytes[..len]);
                len
            }
            Ok(None) => {
                let len = self.scanner.done_with(bytes.len());
                dispatcher.upload(self.id, &bytes[..len]);
                self.scanner.skip(len);
                len
            }
            Err(error) => {
                self.uploading = false;
                dispatcher.break_upload(self.id, &error);
                0
            }
        }
    }

    /// Hands the complete requests in `bytes` to the dispatcher, for as long as the client may send more;
    /// returns how many bytes they took.
    fn requests(&mut self, bytes: &[u8]) -> usize {
        let worker = Rc::clone(&self.worker);
        let mut dispatcher = worker.dispatcher.borrow_mut();
        dispatcher.now = Instant::now();
        let (mut taken, mut last) = (self.upload(&mut dispatcher, bytes), 0);
        self.stalled = !self.uploading;
        while !self.uploading && dispatcher.may_read(self.id) {
            if !self.trusted && dispatcher.client(self.id).is_some_and(|client| client.authenticated) {
                // Between two requests, or at the first byte: nothing is lost with the old scanner.
                self.trusted = true;
                let longest = self.worker.config.max_bulk_len;
                self.scanner = RequestScanner::new(Limits::with_max_bulk_len(longest));
            }
            match self.scanner.scan(&bytes[taken..]) {
                Ok(Some(len)) => {
                    let request = self.scanner.request(&bytes[taken..]);
                    if !request.is_empty() {
                        dispatcher.request(self.id, &request);
                    }
                    taken += len;
                    last = len;
                }
                Ok(None) => {
                    self.stalled = false;
                    taken += self.begin_upload(&mut dispatcher, &bytes[taken..]);
                    break;
                }
                Err(error) => {
                    tracing::debug!(%error, peer = ?self.reader.peer_addr().ok(), "client broke the protocol");
                    dispatcher.refuse_client(self.id, &error);
                }
            }
        }
        if let Some(client) = dispatcher.client(self.id) {
            if std::mem::take(&mut client.given_back) {
                taken -= last;
            }
            if self.trusted && !client.authenticated {
                self.distrust();
            }
        }
        dispatcher.stats.client_bytes_in += taken as u64;
        worker.settle(&mut dispatcher);
        taken
    }

    /// It said RESET, and must give the password again. An unfinished request is looked at from its beginning.
    #[cold]
    fn distrust(&mut self) {
        self.trusted = false;
        self.scanner = RequestScanner::new(BEFORE_PASSWORD);
    }
}
