//! A reply in the making: the parts that several nodes answer to one request.
//!
//! What is gathered for a client counts as its own: it is read no further while there is much of it, and all its
//! gathers together keep no more than it may have in replies not taken.
//!
//! Pure.

use resp::Protocol;

use crate::dispatch::Dispatcher;
use crate::plan::merge::Merge;
use crate::plan::refuse::GATHERED_TOO_LARGE;
use crate::target::{ClientId, GatherId, Target};

/// What stands for a part that is there and not kept. It must not be empty: that is a part which has not come.
const IS_THERE: &[u8] = b"_";

/// A client that leaves with less than this gathered is not worth a look at all gathers: it goes when the last node
/// has answered, or has been given up.
pub(crate) const WORTH_A_LOOK: usize = 64 * 1024;

/// The parts of one request's reply.
#[derive(Debug)]
pub(crate) struct Gather {
    /// Who gets the merged reply: a client, or a part of another gather when a part was split again because
    /// its node failed.
    pub(crate) target: Target,
    pub(crate) merge: Merge,
    protocol: Protocol,
    parts: Vec<Vec<u8>>,
    /// Parts of which not all has come.
    begun: Vec<u16>,
    missing: usize,
    /// Bytes of all parts.
    bytes: usize,
    /// Nobody gets it, or it was more than its client may have: what comes is dropped.
    is_void: bool,
    /// An error that the proxy made is among the parts, or comes of putting them together.
    pub(crate) failed_here: bool,
}

impl Gather {
    pub(crate) fn new(target: Target, merge: Merge, protocol: Protocol, parts: usize) -> Self {
        Self {
            target,
            merge,
            protocol,
            parts: vec![Vec::new(); parts],
            begun: Vec::new(),
            missing: parts,
            bytes: 0,
            is_void: false,
            failed_here: false,
        }
    }

    /// Takes one part, or the rest of it. `true`: it was the last one.
    fn take(&mut self, part: u16, reply: &[u8]) -> bool {
        let was_begun = self.end(part);
        if let Some(kept) = self.parts.get_mut(usize::from(part)).filter(|kept| was_begun || kept.is_empty())
        {
            if self.is_void {
                kept.extend_from_slice(IS_THERE);
            } else {
                kept.extend_from_slice(reply);
                self.bytes += reply.len();
            }
            self.missing -= 1;
        }
        self.missing == 0
    }

    /// Takes a piece of a part whose end has not come.
    fn extend(&mut self, part: u16, piece: &[u8]) {
        let Some(kept) = self.parts.get_mut(usize::from(part)) else { return };
        if !self.begun.contains(&part) {
            self.begun.push(part);
        }
        if !self.is_void {
            kept.extend_from_slice(piece);
            self.bytes += piece.len();
        }
    }

    /// Forgets the pieces of a part whose end will not come; it is asked for again.
    fn withdraw(&mut self, part: u16) {
        if self.end(part) {
            let kept = std::mem::take(&mut self.parts[usize::from(part)]);
            self.bytes = self.bytes.saturating_sub(kept.len());
        }
    }

    /// Whether pieces of the part have come; no more will.
    #[inline]
    fn end(&mut self, part: u16) -> bool {
        let place = self.begun.iter().position(|begun| *begun == part);
        place.map(|place| self.begun.swap_remove(place)).is_some()
    }

    /// Drops what has come, and what will: there will be no merged reply.
    #[cold]
    fn make_void(&mut self) {
        self.is_void = true;
        self.bytes = 0;
        self.parts.iter_mut().filter(|part| !part.is_empty()).for_each(|part| *part = IS_THERE.to_vec());
    }

    /// Bytes that it keeps.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What stands for a part whose node has left the cluster.
    pub(crate) fn absent(&self) -> &'static [u8] {
        self.merge.absent()
    }

    /// The reply, once all parts are in, which are then gone; `None` when they were not kept.
    fn merged(&mut self) -> Option<Vec<u8>> {
        if self.is_void {
            return None;
        }
        let parts = std::mem::take(&mut self.parts);
        let mut reply = Vec::with_capacity(parts.iter().map(Vec::len).sum());
        self.merge.write(&parts, self.protocol, &mut reply);
        self.failed_here |= !parts.iter().any(|part| is_error(part));
        Some(reply)
    }
}

fn is_error(reply: &[u8]) -> bool {
    matches!(reply.first(), Some(b'-' | b'!'))
}

impl Dispatcher {
    /// Gives a gather one part, or the rest of it. With the last one whoever asked gets the merged reply.
    pub(crate) fn deliver_part(&mut self, id: GatherId, part: u16, reply: &[u8]) {
        if !self.change_gather(id, |gather| gather.take(part, reply)).unwrap_or(false) {
            return;
        }
        let mut gather = self.gathers.remove(id as usize);
        if let Some(client) = self.client_behind(gather.target).and_then(|id| self.client(id)) {
            client.gathered = client.gathered.saturating_sub(gather.bytes());
        }
        let Some(reply) = gather.merged() else { return self.fail(gather.target, GATHERED_TOO_LARGE) };
        if gather.failed_here && is_error(&reply) {
            self.note_error(gather.target, &reply);
        }
        self.note_scripts(&gather, &reply);
        self.deliver(gather.target, &reply);
    }

    /// Gives a gather a piece of a part whose end has not come.
    pub(crate) fn extend_part(&mut self, id: GatherId, part: u16, piece: &[u8]) {
        self.change_gather(id, |gather| gather.extend(part, piece));
    }

    /// Has a gather forget the pieces of a part whose end will not come.
    pub(crate) fn withdraw_part(&mut self, id: GatherId, part: u16) {
        self.change_gather(id, |gather| gather.withdraw(part));
    }

    /// Changes a gather, and has what it keeps count for its client. It keeps nothing when that one is gone, or has
    /// more than it may have.
    #[inline]
    fn change_gather<T>(&mut self, id: GatherId, change: impl FnOnce(&mut Gather) -> T) -> Option<T> {
        let gather = self.gathers.get_mut(id as usize)?;
        let (before, target) = (gather.bytes, gather.target);
        let outcome = change(gather);
        let after = gather.bytes;
        let most = self.limits.close_at;
        let client = self.client_behind(target).and_then(|id| self.client(id));
        let may_keep = client.is_some_and(|client| {
            client.gathered = (client.gathered + after).saturating_sub(before);
            !client.killed && client.gathered <= most
        });
        if may_keep {
            self.note_growth(after.saturating_sub(before));
        } else {
            self.void_gather(id);
        }
        Some(outcome)
    }

    #[cold]
    fn void_gather(&mut self, id: GatherId) {
        let Some(gather) = self.gathers.get_mut(id as usize) else { return };
        let (bytes, target) = (gather.bytes, gather.target);
        gather.make_void();
        if let Some(client) = self.client_behind(target).and_then(|id| self.client(id)) {
            client.gathered = client.gathered.saturating_sub(bytes);
        }
    }

    /// Drops what was gathered for a client that has left.
    #[cold]
    pub(crate) fn void_gathers_of(&mut self, client: ClientId) {
        let is_its_own = |gather: &Gather| self.client_behind(gather.target) == Some(client);
        let its_own = self.gathers.iter().filter(|(_, gather)| is_its_own(gather));
        let its_own: Vec<_> = its_own.map(|(id, _)| id).collect();
        // Indexes of a slab whose ids are that small.
        its_own.into_iter().for_each(|id| self.void_gather(id as GatherId));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_complete_when_every_part_came_once() {
        let mut gather = Gather::new(Target::HANDSHAKE, Merge::Sum, Protocol::Resp2, 2);
        assert!(!gather.take(1, b":2\r\n"));
        assert!(!gather.take(1, b":9\r\n"));
        assert!(!gather.take(7, b":9\r\n"));
        assert!(gather.take(0, b":40\r\n"));
        assert_eq!(gather.merged().unwrap(), b":42\r\n");
    }

    #[test]
    fn a_part_may_come_in_pieces_and_again_when_its_end_did_not_come() {
        let mut gather = Gather::new(Target::HANDSHAKE, Merge::Sum, Protocol::Resp2, 2);
        gather.extend(0, b":4");
        gather.withdraw(0);
        gather.extend(0, b":");
        gather.extend(0, b"4");
        assert!(!gather.take(1, b":2\r\n"));
        assert!(gather.take(0, b"0\r\n"));
        assert_eq!(gather.bytes, 9);
        assert_eq!(gather.merged().unwrap(), b":42\r\n");
    }

    #[test]
    fn what_nobody_gets_is_not_kept() {
        let mut gather = Gather::new(Target::HANDSHAKE, Merge::Concat, Protocol::Resp2, 4);
        assert!(!gather.take(2, b"*0\r\n"));
        gather.extend(0, b"*1\r\n$3\r\n");
        gather.extend(3, b"*1\r\n$3\r\n");
        gather.make_void();
        gather.extend(0, b"abc");
        gather.withdraw(3);
        assert!(!gather.take(0, b"\r\n"));
        assert!(!gather.take(1, b"*0\r\n"));
        assert!(gather.take(3, b"*0\r\n"));
        assert!(gather.parts.iter().all(|part| part.len() < 3), "{:?}", gather.parts);
        assert_eq!((gather.bytes, gather.merged()), (0, None));
    }
}
