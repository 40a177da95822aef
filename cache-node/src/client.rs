//! What the node knows of one connected client: its name, protocol version, rights and age.
//!
//! The connection and the commands share it, and other clients see it (CLIENT LIST) or end it (CLIENT KILL). All
//! of it lives on one thread, so cells are enough. It holds no socket.

use crate::transaction::Transaction;
use resp::Protocol;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::task::Waker;

/// Number of a client; never used twice in the life of a process.
pub type ClientId = u64;

/// When a connection has to end, the strongest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Not yet.
    None,
    /// When everything it has sent so far is answered: the node is going down.
    Drained,
    /// When the replies so far are written.
    AfterReplies,
    /// At once.
    Now,
}

/// Whether a client waits for an answer that another client's command brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It does not.
    None,
    /// It does, and executes nothing until it has come.
    Waiting,
    /// It is there.
    Answered,
}

/// One connected client.
#[derive(Debug)]
pub struct Client {
    /// Its number.
    pub id: ClientId,
    /// Where it connected from.
    pub peer: SocketAddr,
    /// Where it connected to.
    pub local: SocketAddr,
    /// When it connected, Unix milliseconds.
    pub connected: u64,
    /// When its last batch of requests was read, Unix milliseconds.
    pub active: Cell<u64>,
    /// The protocol version it asked for.
    pub protocol: Cell<Protocol>,
    /// True when it may run commands.
    pub authenticated: Cell<bool>,
    /// CLIENT NO-TOUCH: its reads leave access times alone.
    pub no_touch: Cell<bool>,
    /// Between MULTI and EXEC: its commands are queued.
    pub in_multi: Cell<bool>,
    /// What it has queued and watches.
    pub transaction: RefCell<Transaction>,
    /// Whether it waits.
    pub patience: Cell<Patience>,
    /// CLIENT SETNAME; empty is none.
    pub name: RefCell<Vec<u8>>,
    /// CLIENT SETINFO LIB-NAME.
    pub library: RefCell<Vec<u8>>,
    /// CLIENT SETINFO LIB-VER.
    pub library_version: RefCell<Vec<u8>>,
    /// Its last command, for CLIENT LIST.
    pub last_command: Cell<&'static str>,
    /// Bytes read and not yet executed, for CLIENT LIST.
    pub unread: Cell<usize>,
    /// Bytes of its transaction, and of what it waits for, that its node has been told of.
    pub held: Cell<usize>,
    /// Bytes of replies it has not taken yet, for CLIENT LIST.
    pub unwritten: Cell<usize>,
    ending: Cell<Ending>,
    answer: RefCell<Vec<u8>>,
    waker: RefCell<Option<Waker>>,
}

impl Client {
    /// A client that has just connected.
    pub fn new(id: ClientId, peer: SocketAddr, local: SocketAddr, now: u64, authenticated: bool) -> Self {
        Self {
            id,
            peer,
            local,
            connected: now,
            active: Cell::new(now),
            protocol: Cell::new(Protocol::Resp2),
            authenticated: Cell::new(authenticated),
            no_touch: Cell::new(false),
            in_multi: Cell::new(false),
            transaction: RefCell::default(),
            patience: Cell::new(Patience::None),
            name: RefCell::default(),
            library: RefCell::default(),
            library_version: RefCell::default(),
            last_command: Cell::new("NULL"),
            unread: Cell::new(0),
            held: Cell::new(0),
            unwritten: Cell::new(0),
            ending: Cell::new(Ending::None),
            answer: RefCell::default(),
            waker: RefCell::new(None),
        }
    }

    /// Bytes it has sent that nothing was done with yet.
    pub fn unfinished(&self) -> usize {
        self.unread.get() + self.held.get()
    }

    /// Whether and how its connection has to end.
    pub fn ending(&self) -> Ending {
        self.ending.get()
    }

    /// Ends its connection, and wakes whoever waits for it.
    pub fn end(&self, ending: Ending) {
        self.ending.set(ending.max(self.ending.get()));
        self.wake();
    }

    /// Answers what it waits for.
    pub fn answer(&self, answer: Vec<u8>) {
        self.patience.set(Patience::Answered);
        self.answer.replace(answer);
        self.wake();
    }

    /// The answer that has come for it.
    pub fn take_answer(&self) -> Vec<u8> {
        self.patience.set(Patience::None);
        self.answer.take()
    }

    /// True while it waits for an answer.
    pub fn is_waiting(&self) -> bool {
        self.patience.get() == Patience::Waiting
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Remembers whom to wake when another client ends this one.
    pub fn wake_with(&self, waker: &Waker) {
        let mut mine = self.waker.borrow_mut();
        if !mine.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *mine = Some(waker.clone());
        }
    }

    /// RESET: as if it had just connected.
    pub fn reset(&self, authenticated: bool) {
        self.protocol.set(Protocol::Resp2);
        self.authenticated.set(authenticated);
        self.no_touch.set(false);
        self.name.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, Ending};

    #[test]
    fn the_strongest_ending_stays() {
        let address = ([127, 0, 0, 1], 1).into();
        let client = Client::new(1, address, address, 0, true);
        for (asked, kept) in [
            (Ending::Drained, Ending::Drained),
            (Ending::AfterReplies, Ending::AfterReplies),
            (Ending::Drained, Ending::AfterReplies),
            (Ending::Now, Ending::Now),
            (Ending::AfterReplies, Ending::Now),
        ] {
            client.end(asked);
            assert_eq!(client.ending(), kept);
        }
    }
}
