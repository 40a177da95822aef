//! One connection to a node: makes it, reads replies, makes it again when it breaks.
//!
//! The task never sees a request: those go into the link's pipeline, and the worker writes them. It knows two
//! things: how to come back (with a pause that grows and is spread, so that the proxies of a returning node
//! do not all come at once), and why the connection was lost.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::RandomState;
use std::future::poll_fn;
use std::hash::BuildHasher;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use resp::{Limits, ReplyScanner};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{sleep, timeout};

use crate::client::read::poll_read;
use crate::client::stream::STREAM_FROM;
use crate::dispatch::Dispatcher;
use crate::link::failure::Failure;
use crate::link::keepalive;
use crate::link::{Link, LinkId};
use crate::signal::Signal;
use crate::worker::Worker;

/// First pause before connecting again: a restarting node is back within some of these.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Longest pause: a returned node has its connections within this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection that lived this long starts with the first pause again when it is lost.
const STABLE: Duration = Duration::from_secs(5);

/// What a node may answer. A script may return a line that is longer than any in a request; it is kept until its end
/// is here, like any reply of up to this length.
const REPLY_LIMITS: Limits = Limits { max_line_len: STREAM_FROM, ..Limits::DEFAULT };

/// Capacity of the unfinished-reply buffer that is kept when it is empty.
const KEPT_PARTIAL: usize = 16 * 1024;

/// The writing side of a link, shared with the worker.
#[derive(Debug, Default)]
pub(crate) struct LinkSocket {
    writer: RefCell<Option<OwnedWriteHalf>>,
    attention: Signal,
    /// The socket takes no more for now.
    blocked: Cell<bool>,
    /// The node took too long.
    given_up: Cell<bool>,
}

impl LinkSocket {
    /// Writes what the socket takes now; the rest is written when it has room. A failed write is left to the
    /// reading side, which sees why.
    pub(crate) fn write(&self, link: &mut Link, now: Instant) {
        let pipeline = &mut link.pipeline;
        pipeline.note_write(now);
        let writer = self.writer.borrow();
        let Some(writer) = &*writer else { return };
        while !pipeline.unsent().is_empty() {
            match writer.try_write(pipeline.unsent()) {
                Ok(written) => {
                    pipeline.mark_sent(written);
                    link.traffic.bytes_out.add(written as u64);
                }
                Err(error) => {
                    self.blocked.set(error.kind() == io::ErrorKind::WouldBlock);
                    return self.attention.raise();
                }
            }
        }
    }

    /// Has the task look whether it may read again.
    pub(crate) fn rouse(&self) {
        self.attention.raise();
    }

    /// Ends the connection as one that timed out.
    pub(crate) fn give_up(&self) {
        self.given_up.set(true);
        self.attention.raise();
    }
}

/// Keeps the link connected for as long as the task lives.
pub(crate) async fn run(worker: Rc<Worker>, id: LinkId, socket: Rc<LinkSocket>) {
    let mut pauses = Pauses::new(random_seed());
    loop {
        let failure = match connect(&worker, id).await {
            Ok(stream) => {
                let connected = Instant::now();
                let failure = serve(&worker, id, &socket, stream).await;
                if connected.elapsed() > STABLE {
                    pauses = Pauses::new(random_seed());
                }
                failure
            }
            Err(failure) => failure,
        };
        socket.writer.take();
        report(&worker, id, &failure);
        sleep(pauses.next()).await;
    }
}

/// Tells the dispatcher, and the log when this is news.
fn report(worker: &Rc<Worker>, id: LinkId, failure: &Failure) {
    worker.event(|dispatcher| {
        if let Some(link) = dispatcher.links.get_mut(id)
            && !std::mem::replace(&mut link.failing, true)
            // The shared link says it for all.
            && link.pin.is_none()
        {
            tracing::warn!(node = %link.node, address = %link.address, error = %failure, "node connection failed");
        }
        dispatcher.link_failed(id, failure);
    });
}

async fn connect(worker: &Worker, id: LinkId) -> Result<TcpStream, Failure> {
    let address = worker.dispatcher.borrow().links.get(id).map(|link| link.address.clone());
    let Some(address) = address else { return std::future::pending().await };
    let connecting = TcpStream::connect((address.host.as_str(), address.port));
    let stream = timeout(worker.config.connect_timeout, connecting).await.map_err(|_| Failure::Timeout)?;
    let stream = stream.map_err(|error| Failure::of(&error))?;
    // Requests are written in whole turns; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    keepalive::towards_node(&stream);
    Ok(stream)
}

/// Reads replies until the connection ends; returns why it did.
async fn serve(worker: &Rc<Worker>, id: LinkId, socket: &Rc<LinkSocket>, stream: TcpStream) -> Failure {
    let (reader, writer) = stream.into_split();
    socket.blocked.set(false);
    socket.given_up.set(false);
    socket.writer.replace(Some(writer));
    worker.event(|dispatcher| dispatcher.link_connected(id));
    let mut reading = Reading {
        worker: Rc::clone(worker),
        socket: Rc::clone(socket),
        reader,
        id,
        scanner: ReplyScanner::new(REPLY_LIMITS),
        partial: Vec::new(),
        passing: false,
        halted: false,
    };
    loop {
        if let Err(failure) = reading.step().await {
            return failure;
        }
    }
}

/// The reading side of a link.
struct Reading {
    worker: Rc<Worker>,
    socket: Rc<LinkSocket>,
    reader: OwnedReadHalf,
    id: LinkId,
    scanner: ReplyScanner,
    /// The bytes of an unfinished reply.
    partial: Vec<u8>,
    /// The reply being read is passed on while it comes.
    passing: bool,
    /// Nothing is read: a client does not take what comes.
    halted: bool,
}

enum Event {
    Read(io::Result<usize>),
    Writable,
    Attention,
}

impl Reading {
    async fn step(&mut self) -> Result<(), Failure> {
        match poll_fn(|context| self.poll(context)).await {
            Event::Read(Ok(0)) => Err(Failure::Lost("closed by the node".to_owned())),
            Event::Read(Ok(len)) => {
                self.heard(len);
                self.take(len)
            }
            Event::Read(Err(error)) => Err(Failure::of(&error)),
            Event::Attention if self.socket.given_up.get() => Err(Failure::Timeout),
            Event::Attention => {
                self.halted = self.worker.dispatcher.borrow().is_halted(self.id);
                Ok(())
            }
            Event::Writable => {
                self.socket.blocked.set(false);
                self.worker.write_to_link(self.id);
                Ok(())
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if self.socket.attention.poll_taken(context) {
            return Poll::Ready(Event::Attention);
        }
        if self.socket.blocked.get()
            && let Some(writer) = &*self.socket.writer.borrow()
            && writer.as_ref().poll_write_ready(context).is_ready()
        {
            return Poll::Ready(Event::Writable);
        }
        if self.halted {
            return Poll::Pending;
        }
        let mut scratch = self.worker.scratch.borrow_mut();
        poll_read(&mut self.reader, context, &mut scratch).map(Event::Read)
    }

    /// A node in the middle of a large reply is not silent.
    fn heard(&self, len: usize) {
        if let Some(link) = self.worker.dispatcher.borrow_mut().links.get_mut(self.id) {
            link.heard = Instant::now();
            link.traffic.bytes_in.add(len as u64);
        }
    }

    /// Takes the bytes that are in the scratch buffer.
    fn take(&mut self, len: usize) -> Result<(), Failure> {
        let worker = Rc::clone(&self.worker);
        let scratch = worker.scratch.borrow();
        let fresh = &scratch[..len];
        if self.partial.is_empty() {
            let taken = self.replies(&worker, fresh)?;
            self.partial.extend_from_slice(&fresh[taken..]);
        } else {
            self.partial.extend_from_slice(fresh);
            let partial = std::mem::take(&mut self.partial);
            let taken = self.replies(&worker, &partial)?;
            self.partial = partial;
            self.partial.drain(..taken);
            if self.partial.len() < KEPT_PARTIAL {
                self.partial.shrink_to(KEPT_PARTIAL);
            }
        }
        Ok(())
    }

    /// Hands every complete reply in `bytes` to the dispatcher; returns how many bytes they took.
    fn replies(&mut self, worker: &Rc<Worker>, bytes: &[u8]) -> Result<usize, Failure> {
        let mut dispatcher = worker.dispatcher.borrow_mut();
        dispatcher.now = Instant::now();
        let mut taken = 0;
        let outcome = loop {
            match self.scanner.scan(&bytes[taken..]) {
                Ok(Some(len)) => {
                    let reply = &bytes[taken..taken + len];
                    taken += len;
                    let handed = if std::mem::take(&mut self.passing) {
                        dispatcher.end_of_reply(self.id, reply)
                    } else {
                        dispatcher.reply(self.id, reply)
                    };
                    if let Err(failure) = handed {
                        break Err(failure);
                    }
                }
                Ok(None) => {
                    break self.pass_on(&mut dispatcher, &bytes[taken..]).map(|passed| taken + passed);
                }
                Err(error) => break Err(Failure::Reply(error)),
            }
        };
        worker.settle(&mut dispatcher);
        self.halted = self.passing && dispatcher.is_halted(self.id);
        outcome
    }

    /// Passes on what has come of a reply that is too large to wait for its end; returns how many bytes that is.
    #[inline]
    fn pass_on(&mut self, dispatcher: &mut Dispatcher, rest: &[u8]) -> Result<usize, Failure> {
        if !self.passing {
            let is_large = rest.len().max(self.scanner.wanted_len()) > STREAM_FROM;
            if !is_large || !dispatcher.may_pass_on(self.id, rest.first()) {
                return Ok(0);
            }
        }
        let len = self.scanner.done_with(rest.len());
        self.scanner.skip(len);
        self.passing = true;
        dispatcher.pass_on(self.id, &rest[..len])?;
        Ok(len)
    }
}

/// A seed of its own for each call: proxies in containers have the same process and link numbers.
fn random_seed() -> u64 {
    RandomState::new().hash_one(0)
}

/// The pauses between attempts: each twice the last, spread over their upper half.
struct Pauses {
    next: Duration,
    random: u64,
}

impl Pauses {
    fn new(seed: u64) -> Self {
        // xorshift never leaves 0.
        Self { next: FIRST_PAUSE, random: seed.max(1) }
    }

    fn next(&mut self) -> Duration {
        // xorshift: spread is all that is asked of it.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let half = self.next / 2;
        let pause = half + half.mul_f64((self.random >> 11) as f64 / (1_u64 << 53) as f64);
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_spread() {
        let mut pauses = Pauses::new(7);
        let taken: Vec<_> = (0..12).map(|_| pauses.next()).collect();
        assert_ne!(random_seed(), random_seed());
        assert!(taken[0] >= FIRST_PAUSE / 2 && taken[0] <= FIRST_PAUSE);
        assert!(taken.iter().all(|pause| *pause <= LONGEST_PAUSE));
        assert!(taken[8..].iter().all(|pause| *pause >= LONGEST_PAUSE / 2));
        let other: Vec<_> = {
            let mut other = Pauses::new(8);
            (0..12).map(|_| other.next()).collect()
        };
        assert_ne!(taken, other);
    }
}
