//! What the worker knows of one client: its protocol version, the replies it is owed, and its name.
//!
//! Pure; the socket belongs to the session.

pub(crate) mod backlog;
pub(crate) mod client_list;
pub(crate) mod deliver;
pub(crate) mod download;
mod early;
pub(crate) mod read;
pub(crate) mod replies;
pub(crate) mod session;
pub(crate) mod spare;
pub(crate) mod standing;
pub(crate) mod stream;
pub(crate) mod upload;

use std::net::SocketAddr;
use std::time::Instant;

use resp::Protocol;

use crate::client::replies::{Place, Replies};
use crate::client::spare::SpareBuffers;
use crate::client::upload::Upload;
use crate::link::LinkId;
use crate::transaction::Transaction;
use crate::transaction::watch::Watch;

/// Written bytes are dropped from the front once there are this many of them and they are the larger half: each byte
/// then moves at most once more.
const COMPACT_AFTER: usize = 64 * 1024;

/// A buffer that is not worth shrinking: 32 replies of 100 bytes.
const SMALL_OUTPUT: usize = 4 * 1024;

/// Most replies that a client may be owed: a pipeline deeper than this gains nothing.
const LARGEST_WINDOW: usize = 256;

/// How many replies a client may be owed before the size of any is known.
const FIRST_WINDOW: usize = 64;

/// Which replies a client wants: what it said with `CLIENT REPLY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// All of them.
    Replies,
    /// All but the next.
    NotTheNext,
    /// None.
    Nothing,
}

/// One client of this worker.
#[derive(Debug)]
pub(crate) struct Client {
    /// Tells it from later clients in the same slab entry; also its `CLIENT ID`.
    pub(crate) serial: u32,
    pub(crate) peer: SocketAddr,
    pub(crate) since: Instant,
    pub(crate) protocol: Protocol,
    /// The version before, and the place of the reply that tells of the change.
    former: (Protocol, Place),
    /// Set by `CLIENT SETNAME` or `HELLO … SETNAME`; empty when it never was.
    pub(crate) name: Vec<u8>,
    pub(crate) lib_name: Vec<u8>,
    pub(crate) lib_version: Vec<u8>,
    /// Whether it may send commands: it gave the password, or none is needed.
    pub(crate) authenticated: bool,
    /// Whether its requests need a look before they go their ordinary way: see `standing`.
    pub(crate) special: bool,
    /// What it has said since MULTI.
    pub(crate) transaction: Option<Box<Transaction>>,
    /// What it watches.
    pub(crate) watch: Option<Box<Watch>>,
    pub(crate) wants: Wants,
    /// It said QUIT or broke the protocol: what it is owed is written, then it is closed.
    pub(crate) closing: bool,
    /// Somebody killed it, or it takes no replies: it is closed at once.
    pub(crate) killed: bool,
    /// It is not read until it is owed nothing: its next request must not overtake those on their way, nor be
    /// overtaken. So it is when it changes its protocol version, whose requests travel over different connections,
    /// and around a request that occupies a connection.
    pub(crate) barrier: bool,
    /// Its last request was given back to the session: it must wait.
    pub(crate) given_back: bool,
    /// Its large value that is on its way.
    pub(crate) upload: Option<Box<Upload>>,
    /// The pinned link on which it is blocked.
    pub(crate) blocked_on: Option<LinkId>,
    /// Whether it is in the list of clients with output.
    pub(crate) listed: bool,
    /// Since which look at the lingering clients its complete replies have waited for those still owed.
    pub(crate) lingers_since: Option<u64>,
    /// Whether it is in the list of lingering clients.
    pub(crate) in_lingering: bool,
    /// Bytes of it that its session keeps: an unfinished request, or requests that must wait.
    pub(crate) unread: usize,
    /// A link it feeds is full; it is not read until that one has drained.
    pub(crate) choked: bool,
    /// The links that are not read because it does not take what comes over them.
    pub(crate) halts: Vec<LinkId>,
    /// Bytes of the parts of its replies that are being gathered.
    pub(crate) gathered: usize,
    /// Whether it listens to anything.
    pub(crate) subscribed: bool,
    replies: Replies,
    output: Vec<u8>,
    written: usize,
    /// Length of the largest reply of late: it forgets an eighth of it with each smaller one.
    largest: usize,
}

impl Client {
    pub(crate) fn new(serial: u32, peer: SocketAddr, since: Instant, authenticated: bool) -> Self {
        Self {
            serial,
            peer,
            since,
            protocol: Protocol::Resp2,
            former: (Protocol::Resp2, 0),
            name: Vec::new(),
            lib_name: Vec::new(),
            lib_version: Vec::new(),
            authenticated,
            special: !authenticated,
            transaction: None,
            watch: None,
            wants: Wants::Replies,
            closing: false,
            killed: false,
            barrier: false,
            given_back: false,
            blocked_on: None,
            upload: None,
            listed: false,
            lingers_since: None,
            in_lingering: false,
            unread: 0,
            choked: false,
            halts: Vec::new(),
            gathered: 0,
            subscribed: false,
            replies: Replies::default(),
            output: Vec::new(),
            written: 0,
            largest: 0,
        }
    }

    /// Notes whether it is in a special state; to be called whenever that may have changed.
    pub(crate) fn note_standing(&mut self) {
        self.special = !self.authenticated
            || (self.subscribed && self.protocol == Protocol::Resp2)
            || self.transaction.is_some()
            || self.wants != Wants::Replies;
    }

    /// Begins a transaction, or ends the one it is in; returns that.
    pub(crate) fn set_transaction(&mut self, transaction: Option<Transaction>) -> Option<Box<Transaction>> {
        let ended = std::mem::replace(&mut self.transaction, transaction.map(Box::new));
        self.note_standing();
        ended
    }

    /// Sees to it that nothing of the transaction it is in is executed.
    pub(crate) fn abort_transaction(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.abort();
        }
    }

    /// The pinned link that ends with it.
    pub(crate) fn pinned(&self) -> Option<LinkId> {
        self.blocked_on.or_else(|| self.upload.as_ref()?.link())
    }

    /// Takes the next place in line for a request.
    #[inline]
    pub(crate) fn expect(&mut self) -> Place {
        self.replies.expect()
    }

    /// Takes back its last place in line: the request comes again when the client is owed nothing.
    pub(crate) fn give_back(&mut self) {
        if self.replies.retract() && self.wants == Wants::Replies {
            self.want(Wants::NotTheNext);
        }
        self.given_back = true;
    }

    /// Chooses which replies it wants from the next request on.
    pub(crate) fn want(&mut self, wants: Wants) {
        self.wants = wants;
        self.note_standing();
    }

    /// Has the reply to the request that is being handled go nowhere, or to the client after all.
    pub(crate) fn mute(&mut self, muted: bool) {
        self.replies.mute_last(muted);
    }

    /// Mutes the reply to the request that is being handled, if it wants none.
    pub(crate) fn mute_as_wanted(&mut self) {
        match self.wants {
            Wants::Replies => {}
            Wants::NotTheNext => {
                self.mute(true);
                self.want(Wants::Replies);
            }
            Wants::Nothing => self.mute(true),
        }
    }

    /// Takes the reply for `place`.
    #[inline]
    pub(crate) fn fill(&mut self, place: Place, reply: &[u8], spare: &mut SpareBuffers) {
        self.largest = reply.len().max(self.largest - self.largest / 8);
        if self.replies.is_first(place) {
            self.with_output(spare, |replies, out, spare| replies.fill(place, reply, out, spare));
        } else {
            self.replies.fill(place, reply, &mut self.output, spare);
        }
    }

    /// Whatever goes to the output goes to a buffer that the worker lends, and has back when nothing went there.
    #[inline]
    fn with_output(
        &mut self,
        spare: &mut SpareBuffers,
        write: impl FnOnce(&mut Replies, &mut Vec<u8>, &mut SpareBuffers),
    ) {
        if self.output.capacity() == 0 {
            self.output = spare.take();
        }
        write(&mut self.replies, &mut self.output, spare);
        if self.output.is_empty() {
            spare.put(std::mem::take(&mut self.output));
        }
    }

    /// Takes a piece of the reply for `place`; its end is for [`Self::fill`].
    pub(crate) fn extend(&mut self, place: Place, piece: &[u8], spare: &mut SpareBuffers) {
        self.with_output(spare, |replies, out, _| replies.extend(place, piece, out));
    }

    /// Forgets the pieces of the reply for `place`, if they have not gone to the output: its end will not come.
    pub(crate) fn withdraw(&mut self, place: Place) -> bool {
        self.replies.withdraw(place)
    }

    /// Bytes that wait where a piece of the reply for `place` goes.
    pub(crate) fn waiting_at(&self, place: Place) -> usize {
        if self.replies.is_first(place) { self.unwritten().len() } else { self.replies.early_bytes() }
    }

    /// Notes how long a reply was that came in pieces.
    pub(crate) fn note_reply_len(&mut self, len: usize) {
        self.largest = self.largest.max(len);
    }

    /// Takes a message that answers no request. It never lands inside of a reply; the caller bounds the backlog and
    /// lists the client.
    pub(crate) fn push(&mut self, message: &[u8], spare: &mut SpareBuffers) {
        self.with_output(spare, |replies, out, _| replies.push(message, out));
    }

    /// Whether the request in this place has been answered, and everything before it.
    pub(crate) fn is_answered(&self, place: Place) -> bool {
        self.replies.is_answered(place)
    }

    /// The version in which it reads now: the old one until it has been told of the new one.
    pub(crate) fn reads(&self) -> Protocol {
        let (former, told_at) = self.former;
        if self.is_answered(told_at) { self.protocol } else { former }
    }

    /// Speaks another protocol version from the next request on.
    pub(crate) fn switch_to(&mut self, protocol: Protocol) {
        self.barrier |= self.protocol != protocol;
        self.former = (self.protocol, self.asked().saturating_sub(1));
        self.protocol = protocol;
        self.note_standing();
    }

    /// How many replies it may be owed: fewer when they are large, so that what piles up for a client that
    /// takes none stays near `bytes`.
    #[inline]
    pub(crate) fn window(&self, bytes: usize) -> usize {
        match self.largest {
            0 => FIRST_WINDOW,
            largest => (bytes / largest).clamp(1, LARGEST_WINDOW),
        }
    }

    /// Bytes of replies that it has not taken, early ones included.
    #[inline]
    pub(crate) fn backlog(&self) -> usize {
        self.unwritten().len() + self.replies.early_bytes()
    }

    /// Bytes that the proxy keeps for it.
    pub(crate) fn kept(&self) -> usize {
        let queued = self.transaction.as_ref().map_or(0, |transaction| transaction.bytes());
        let uploading = self.upload.as_ref().map_or(0, |upload| upload.held_bytes());
        let watched = self.watch.as_ref().map_or(0, |watch| watch.bytes());
        self.backlog() + self.gathered + self.unread + queued + uploading + watched
    }

    /// Replies still owed.
    #[inline]
    pub(crate) fn owed(&self) -> usize {
        self.replies.owed()
    }

    /// Requests so far, the one being answered included.
    pub(crate) fn asked(&self) -> u64 {
        self.replies.asked()
    }

    /// Bytes to write to the socket.
    #[inline]
    pub(crate) fn unwritten(&self) -> &[u8] {
        &self.output[self.written..]
    }

    /// Marks the next `len` bytes as written. Once all are, the buffer is the worker's again.
    #[inline]
    pub(crate) fn mark_written(&mut self, len: usize, spare: &mut SpareBuffers) {
        self.written += len;
        if self.written == self.output.len() {
            spare.put(std::mem::take(&mut self.output));
            self.written = 0;
        } else if self.written > COMPACT_AFTER && self.written * 2 > self.output.len() {
            self.give_back_written();
        }
    }

    /// A client that takes no more for now keeps what it needs of the buffer that it was lent: many such clients with
    /// a few bytes each must not sit on all the large ones.
    #[cold]
    pub(crate) fn give_back_room(&mut self) {
        if self.output.capacity() > SMALL_OUTPUT && self.output.capacity() / 4 > self.output.len() {
            self.output.shrink_to(self.output.len() * 2);
        }
    }

    /// A client that always has more to come never has all of it written.
    #[cold]
    fn give_back_written(&mut self) {
        self.output.drain(..self.written);
        self.output.shrink_to(self.output.len().max(COMPACT_AFTER) * 2);
        self.written = 0;
    }

    /// Whether everything it asked for has been written.
    pub(crate) fn is_settled(&self) -> bool {
        self.owed() == 0 && self.unwritten().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_client_holds_no_buffer() {
        let mut spare = SpareBuffers::default();
        let mut client = Client::new(1, ([127, 0, 0, 1], 1).into(), Instant::now(), true);
        let (first, second) = (client.expect(), client.expect());
        client.fill(second, b"early", &mut spare);
        client.fill(first, b"first ", &mut spare);
        assert_eq!(client.unwritten(), b"first early");
        client.mark_written(6, &mut spare);
        assert_eq!(client.unwritten(), b"early");
        client.mark_written(5, &mut spare);
        assert!(client.is_settled());
        assert_eq!((client.output.capacity(), client.backlog()), (0, 0));
        let given_back = [spare.take(), spare.take()];
        assert!(
            given_back.iter().all(|buffer| buffer.is_empty() && buffer.capacity() > 0),
            "both are lent again"
        );
    }

    #[test]
    fn pieces_and_messages_go_through_one_buffer() {
        let mut spare = SpareBuffers::default();
        let mut client = Client::new(1, ([127, 0, 0, 1], 1).into(), Instant::now(), true);
        client.push(b"message", &mut spare);
        client.mark_written(7, &mut spare);
        let place = client.expect();
        for _ in 0..10 {
            client.extend(place, b"piece", &mut spare);
            client.mark_written(5, &mut spare);
        }
        assert!(spare.take().capacity() > 0);
        assert_eq!(spare.take().capacity(), 0, "there is no other");
    }

    #[test]
    fn who_wants_no_replies_holds_no_buffer() {
        let mut spare = SpareBuffers::default();
        spare.put(Vec::with_capacity(64));
        let mut client = Client::new(1, ([127, 0, 0, 1], 1).into(), Instant::now(), true);
        client.want(Wants::Nothing);
        let (first, second) = (client.expect(), client.expect());
        client.mute_as_wanted();
        client.fill(second, b"+OK\r\n", &mut spare);
        assert_eq!(client.output.capacity(), 0, "an early reply goes elsewhere");
        client.extend(first, b"", &mut spare);
        client.fill(first, b"", &mut spare);
        assert!(client.is_settled());
        assert_eq!((client.output.capacity(), spare.take().capacity()), (0, 64));
    }

    #[test]
    fn who_takes_nothing_keeps_little() {
        let mut spare = SpareBuffers::default();
        spare.put(Vec::with_capacity(64 * 1024));
        let mut client = Client::new(1, ([127, 0, 0, 1], 1).into(), Instant::now(), true);
        let place = client.expect();
        client.fill(place, b"reply", &mut spare);
        assert!(client.output.capacity() >= 64 * 1024, "it is lent what there is");
        client.give_back_room();
        assert!(client.output.capacity() < SMALL_OUTPUT);
        assert_eq!(client.unwritten(), b"reply");
    }
}
