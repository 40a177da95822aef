//! A reply in the making: the parts that several nodes answer to one request.
//!
//! Pure.

use resp::Protocol;

use crate::merge::Merge;
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
    missing: usize,
}

impl Gather {
    pub(crate) fn new(target: Target, merge: Merge, protocol: Protocol, parts: usize) -> Self {
        Self { target, merge, protocol, parts: vec![Vec::new(); parts], missing: parts }
    }

    /// Takes one part. `true`: it was the last one.
    pub(crate) fn take(&mut self, part: u16, reply: &[u8]) -> bool {
        if let Some(empty) = self.parts.get_mut(usize::from(part)).filter(|part| part.is_empty()) {
            empty.extend_from_slice(reply);
            self.missing -= 1;
        }
        self.missing == 0
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

    /// The reply, once all parts are in.
    pub(crate) fn merged(&self) -> Vec<u8> {
        let mut reply = Vec::with_capacity(self.parts.iter().map(Vec::len).sum());
        self.merge.write(&self.parts, self.protocol, &mut reply);
        reply
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
        assert_eq!(gather.merged(), b":42\r\n");
    }
}
