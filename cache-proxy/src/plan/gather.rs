//! A reply in the making: the parts that several nodes answer to one request.
//!
//! Pure.

use resp::Protocol;

use crate::plan::merge::Merge;
use crate::target::Target;

/// The parts of one request's reply.
#[derive(Debug)]
pub(crate) struct Gather {
    /// Who gets the merged reply: a client, or a part of another gather when a part was split again because
    /// its node failed.
    pub(crate) target: Target,
    merge: Merge,
    protocol: Protocol,
    parts: Vec<Vec<u8>>,
    /// Parts of which not all has come.
    begun: Vec<u16>,
    missing: usize,
    /// Bytes of all parts.
    bytes: usize,
    /// They were more than a client may have; what comes is dropped.
    overflowed: bool,
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
            overflowed: false,
        }
    }

    /// Takes one part, or the rest of it. `true`: it was the last one. All parts together may have `most` bytes.
    pub(crate) fn take(&mut self, part: u16, reply: &[u8], most: usize) -> bool {
        let was_begun = self.end(part);
        if let Some(kept) = self.parts.get_mut(usize::from(part)).filter(|kept| was_begun || kept.is_empty())
        {
            // A part that is there must not be empty.
            kept.extend_from_slice(if self.overflowed { b"_" } else { reply });
            self.missing -= 1;
            self.note_growth(reply.len(), most);
        }
        self.missing == 0
    }

    /// Takes a piece of a part whose end has not come.
    pub(crate) fn extend(&mut self, part: u16, piece: &[u8], most: usize) {
        let Some(kept) = self.parts.get_mut(usize::from(part)) else { return };
        if !self.begun.contains(&part) {
            self.begun.push(part);
        }
        if !self.overflowed {
            kept.extend_from_slice(piece);
            self.note_growth(piece.len(), most);
        }
    }

    /// Forgets the pieces of a part whose end will not come; it is asked for again.
    pub(crate) fn withdraw(&mut self, part: u16) {
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

    #[inline]
    fn note_growth(&mut self, len: usize, most: usize) {
        self.bytes += len;
        if self.bytes > most && !self.overflowed {
            self.overflowed = true;
            self.parts.iter_mut().filter(|part| !part.is_empty()).for_each(|part| *part = vec![b'_']);
        }
    }

    /// What stands for a part whose node has left the cluster.
    pub(crate) fn absent(&self) -> &'static [u8] {
        self.merge.absent()
    }

    /// The script that all nodes are given with this request.
    pub(crate) fn script(&self) -> Option<&[u8]> {
        match &self.merge {
            Merge::Load(script) => Some(script),
            _ => None,
        }
    }

    /// The reply, once all parts are in; `None` when they were too large together.
    pub(crate) fn merged(&self) -> Option<Vec<u8>> {
        if self.overflowed {
            return None;
        }
        let mut reply = Vec::with_capacity(self.parts.iter().map(Vec::len).sum());
        self.merge.write(&self.parts, self.protocol, &mut reply);
        Some(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_complete_when_every_part_came_once() {
        let mut gather = Gather::new(Target::HANDSHAKE, Merge::Sum, Protocol::Resp2, 2);
        assert!(!gather.take(1, b":2\r\n", 100));
        assert!(!gather.take(1, b":9\r\n", 100));
        assert!(!gather.take(7, b":9\r\n", 100));
        assert!(gather.take(0, b":40\r\n", 100));
        assert_eq!(gather.merged().unwrap(), b":42\r\n");
    }

    #[test]
    fn a_part_may_come_in_pieces_and_again_when_its_end_did_not_come() {
        let mut gather = Gather::new(Target::HANDSHAKE, Merge::Sum, Protocol::Resp2, 2);
        gather.extend(0, b":4", 100);
        gather.withdraw(0);
        gather.extend(0, b":", 100);
        gather.extend(0, b"4", 100);
        assert!(!gather.take(1, b":2\r\n", 100));
        assert!(gather.take(0, b"0\r\n", 100));
        assert_eq!(gather.merged().unwrap(), b":42\r\n");
    }

    #[test]
    fn parts_that_are_too_large_together_are_not_kept() {
        let mut gather = Gather::new(Target::HANDSHAKE, Merge::Concat, Protocol::Resp2, 3);
        assert!(!gather.take(2, b"*0\r\n", 10));
        gather.extend(0, b"*1\r\n$3\r\n", 10);
        gather.extend(0, b"abc", 10);
        assert!(!gather.take(0, b"\r\n", 10));
        assert!(gather.take(1, b"*0\r\n", 10));
        assert_eq!(gather.merged(), None);
        assert!(gather.parts.iter().all(|part| part.len() < 10), "{:?}", gather.parts);
    }
}
