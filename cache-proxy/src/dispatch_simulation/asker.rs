//! A client of the simulation, and the replies that it should see.

use std::collections::VecDeque;

use resp::{Limits, ReplyScanner};

use super::ledger::{Ledger, Said, WriteId};
use crate::dispatch_tests::Bench;
use crate::target::ClientId;

/// A client, and what it is owed.
pub(super) struct Asker {
    pub(super) id: ClientId,
    pub(super) owed: VecDeque<Owed>,
    /// The tag of what it watches.
    pub(super) watches: Option<String>,
    /// What it has read and not understood: the beginning of a reply.
    read: String,
}

/// The reply to one request.
#[derive(Debug)]
pub(super) struct Owed {
    reply: Expected,
    writes: Vec<WriteId>,
    /// Nothing has gone wrong since it was asked for: it is no error.
    pub(super) calm: bool,
}

#[derive(Debug)]
pub(super) enum Expected {
    Exactly(String),
    /// Any count is right: nodes come and go while it is taken.
    Count,
    /// That, or null: what was watched may have been written.
    OrNull(String),
}

impl Owed {
    pub(super) fn exactly(reply: impl Into<String>) -> Self {
        Self::of(Expected::Exactly(reply.into()), Vec::new())
    }

    pub(super) fn of(reply: Expected, writes: Vec<WriteId>) -> Self {
        Self { reply, writes, calm: false }
    }

    /// What a reply says, if it may be the reply to this.
    fn said_by(&self, reply: &str) -> Option<Said> {
        let is_null = matches!(reply, "*-1\r\n" | "_\r\n");
        let error = |text: &str| reply.starts_with(text) && !self.calm;
        match &self.reply {
            Expected::Exactly(expected) | Expected::OrNull(expected) if reply == expected => Some(Said::Done),
            Expected::Count if reply.starts_with(':') => Some(Said::Done),
            Expected::OrNull(_) if is_null => Some(Said::NotDone),
            _ if error("-EXECABORT ") => Some(Said::NotDone),
            _ if error("-UNAVAILABLE no node of the cluster is in service") => Some(Said::NotDone),
            _ if error("-UNAVAILABLE node ") => {
                let never = reply.ends_with("the command was not executed\r\n");
                let perhaps = reply.ends_with("the command may have been executed\r\n");
                assert!(never || perhaps, "{reply}");
                Some(if never { Said::NeverExecuted } else { Said::PerhapsDone })
            }
            _ => None,
        }
    }
}

impl Asker {
    pub(super) fn new(bench: &mut Bench) -> Self {
        Self { id: bench.client(), owed: VecDeque::new(), watches: None, read: String::new() }
    }

    /// Reads what there is, and compares it with what is owed.
    pub(super) fn read(&mut self, bench: &mut Bench, ledger: &mut Ledger) {
        self.read += &bench.read(self.id);
        while let Some(len) = ReplyScanner::new(Limits::default()).scan(self.read.as_bytes()).unwrap() {
            let reply: String = self.read.drain(..len).collect();
            let owed = self.owed.pop_front().expect("nobody asked for this reply");
            let said = owed.said_by(&reply);
            let said = said.unwrap_or_else(|| panic!("{reply:?} for {owed:?}"));
            owed.writes.iter().for_each(|id| ledger.answer(*id, said));
        }
    }
}
