//! A unit: `MULTI`, the commands, `EXEC` as one contiguous piece of bytes, and the replies it gets back.
//!
//! A node executes a unit on the connection that all clients share, because nothing of anybody else is between
//! its bytes. It is routed, held and sent again as a whole, like one request; only its replies are many. The node
//! answers `+OK`, `+QUEUED` for each command, and then what the client is waiting for.
//!
//! Pure.

use cluster::{NodeIndex, Routing};
use commands::{Command, KeyError, KeySpec};
use resp::{Limits, Request, RequestScanner};
use slab::Slab;

use crate::plan::refuse::{NO_NODE, crossslot};
use crate::pubsub::subscriptions::topic::slot_name;
use crate::target::{Receiver, Target};
use crate::transaction::touched::{Touched, may_write, pieces};

/// How a unit begins.
pub(crate) const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";

/// How it ends.
pub(crate) const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

/// A unit on its way, or held.
#[derive(Debug)]
pub(crate) struct Unit {
    /// Who gets `EXEC`'s reply.
    pub(crate) target: Target,
    /// Number of its commands, `MULTI` and `EXEC` not counted.
    commands: usize,
    /// Number of replies so far.
    replies: usize,
    /// What was said instead of `+QUEUED`, first of all.
    error: Option<String>,
    /// What was said instead of `+OK` to `MULTI`: the commands ran one by one.
    refused: Option<String>,
}

impl Unit {
    pub(crate) fn new(target: Target, commands: usize) -> Self {
        Self { target, commands, replies: 0, error: None, refused: None }
    }

    /// It is sent, perhaps again.
    pub(crate) fn begin(&mut self) {
        *self = Self::new(self.target, self.commands);
    }

    /// Takes the node's next reply. `Some`: it was `EXEC`'s, and this is what the client is told.
    pub(crate) fn take(&mut self, reply: &[u8]) -> Option<Outcome> {
        let position = self.replies;
        self.replies += 1;
        let text = || String::from_utf8_lossy(reply.strip_prefix(b"-").unwrap_or(reply)).trim().to_owned();
        match position {
            0 if reply != b"+OK\r\n" => self.refused = Some(text()),
            0 => {}
            _ if position <= self.commands => {
                if reply != b"+QUEUED\r\n" && self.error.is_none() {
                    self.error = Some(text());
                }
            }
            _ => return Some(self.outcome(reply)),
        }
        None
    }

    fn outcome(&mut self, reply: &[u8]) -> Outcome {
        match (self.refused.take(), self.error.take()) {
            (Some(why), _) => Outcome::NotAtomic(why),
            (None, Some(why)) if reply.starts_with(b"-EXECABORT") => Outcome::Aborted(why),
            _ => Outcome::Replied,
        }
    }
}

/// Who gets `EXEC`'s reply, if that is the one that the unit gets next.
pub(crate) fn awaits_exec(target: Target, units: &Slab<Unit>) -> Option<Target> {
    let Receiver::Unit(unit) = target.receiver() else { return None };
    let unit = units.get(unit as usize)?;
    // What goes wrong is told in other words than the node's.
    let is_plain = unit.error.is_none() && unit.refused.is_none();
    (is_plain && unit.replies == unit.commands + 1).then_some(unit.target)
}

/// How a unit ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// `EXEC`'s reply is the client's.
    Replied,
    /// Nothing was executed, because the node did not take a command, for this reason.
    Aborted(String),
    /// The node refused `MULTI` in these words.
    NotAtomic(String),
}

/// The row of a request's command, or of its subcommand.
pub(crate) fn row(request: &Request<'_>) -> Option<&'static Command> {
    let command = commands::lookup(request.get(0)?)?;
    let subcommand = request.get(1).and_then(|name| command.subcommand(name));
    Some(subcommand.unwrap_or(command))
}

/// What decides the node of a request: its keys or, where the subscribers of it are, a channel.
pub(crate) fn names<'a>(
    command: &Command,
    request: &Request<'a>,
) -> Result<impl ExactSizeIterator<Item = &'a [u8]> + use<'a>, KeyError> {
    let is_published = is_published(command);
    let keys = if is_published { KeySpec::Range { first: 1, last: 1, step: 1 } } else { command.keys };
    let positions = Command { keys, ..*command }.keys(request.len(), |index| request.arg(index))?;
    let request = *request;
    Ok(positions.map(move |position| {
        let name = request.arg(position);
        if is_published { slot_name(name) } else { name }
    }))
}

/// Calls `visit` with each request of a piece of bytes that holds nothing else, until it says `false`; whether it
/// never did.
pub(crate) fn all(wire: &[u8], mut visit: impl FnMut(&'static Command, &Request<'_>) -> bool) -> bool {
    let mut scanner = RequestScanner::new(Limits::default());
    let mut rest = wire;
    while !rest.is_empty() {
        // What cannot be read, or is no command, was never sent: it is nobody's.
        let Ok(Some(len)) = scanner.scan(rest) else { return false };
        let request = scanner.request(rest);
        if !row(&request).is_some_and(|command| visit(command, &request)) {
            return false;
        }
        rest = &rest[len..];
    }
    true
}

/// The node that serves every key of the requests in `wire`; any node when they name none.
///
/// # Errors
/// They live on several nodes, or nobody serves them: the text of the error reply.
pub(crate) fn locate(wire: &[u8], routing: &Routing) -> Result<NodeIndex, String> {
    let mut first: Option<Vec<u8>> = None;
    let mut apart = None;
    let serving = |key: &[u8]| routing.serving(routing.slot(key));
    all(wire, |command, request| {
        let Ok(mut names) = names(command, request) else { return true };
        names.all(|name| {
            let first = first.get_or_insert_with(|| name.to_vec());
            let together = serving(first) == serving(name);
            if !together {
                apart = Some(crossslot(first, name));
            }
            together
        })
    });
    match apart {
        Some(text) => Err(text),
        None => serving(&first.unwrap_or_default()).ok_or_else(|| NO_NODE.to_owned()),
    }
}

/// Whether `is_it` holds for a name in one of the requests in `wire` that decides its node.
pub(crate) fn any_name(wire: &[u8], is_it: impl Fn(&[u8]) -> bool) -> bool {
    let mut found = false;
    all(wire, |command, request| {
        found |= names(command, request).is_ok_and(|mut names| names.any(&is_it));
        !found
    });
    found
}

/// Whether one of the requests in `wire` tells subscribers something: what they have heard cannot be discarded.
pub(crate) fn publishes(wire: &[u8]) -> bool {
    let mut found = false;
    all(wire, |command, _| {
        found |= is_published(command);
        !found
    });
    found
}

/// Whether a command names a channel where others name a key.
pub(crate) fn is_published(command: &Command) -> bool {
    matches!(command.name, "publish" | "spublish")
}

/// Whether all requests in `wire`, executed once more in the same order on the same node, leave the same data and
/// get the same replies. Each must be repeatable for itself, and none may write what one before it has looked at or
/// written: the second run of that one would see it.
pub(crate) fn is_repeatable(wire: &[u8]) -> bool {
    let mut touched = Touched::default();
    all(wire, |command, request| {
        if matches!(command.name, "multi" | "exec") {
            return true;
        }
        let Ok(pieces) = pieces(command, request) else { return false };
        let pieces: Vec<_> = pieces.collect();
        let overwrites = may_write(command) && pieces.iter().any(|piece| touched.meets(*piece));
        pieces.into_iter().for_each(|piece| touched.add(piece));
        !overwrites && command.repeatable(request.len(), |index| request.arg(index))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(lines: &str) -> Vec<u8> {
        let mut wire = Vec::new();
        for line in lines.split("; ") {
            resp::encode_request(
                &mut wire,
                line.split(' ').map(str::as_bytes).collect::<Vec<_>>().into_iter(),
            );
        }
        wire
    }

    #[test]
    fn the_reply_is_execs_and_the_others_are_swallowed() {
        let mut unit = Unit::new(Target::HANDSHAKE, 2);
        for _ in 0..2 {
            unit.begin();
            for reply in ["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n"] {
                assert_eq!(unit.take(reply.as_bytes()), None);
            }
        }
        assert_eq!(unit.take(b"*2\r\n+OK\r\n:1\r\n"), Some(Outcome::Replied));
    }

    #[test]
    fn why_a_unit_was_aborted_is_told() {
        let mut unit = Unit::new(Target::HANDSHAKE, 2);
        unit.take(b"+OK\r\n");
        unit.take(b"-OOM command not allowed\r\n");
        unit.take(b"-ERR another reason\r\n");
        let outcome = unit.take(b"-EXECABORT Transaction discarded because of previous errors.\r\n");
        assert_eq!(outcome, Some(Outcome::Aborted("OOM command not allowed".to_owned())));
    }

    #[test]
    fn a_node_that_refuses_multi_is_not_believed() {
        let mut unit = Unit::new(Target::HANDSHAKE, 1);
        unit.take(b"-NOPERM no\r\n");
        unit.take(b"+OK\r\n");
        let outcome = unit.take(b"-ERR EXEC without MULTI\r\n");
        assert_eq!(outcome, Some(Outcome::NotAtomic("NOPERM no".to_owned())));
    }

    #[test]
    fn a_large_unit_is_looked_at_in_a_moment() {
        let lines: Vec<_> = (0..50_000).map(|number| format!("SET key:{number} 1")).collect();
        let unit = wire(&lines.join("; "));
        let start = std::time::Instant::now();
        assert!(is_repeatable(&unit));
        // Each key compared with each would take a minute.
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[test]
    fn a_unit_is_repeated_only_when_its_second_run_sees_what_the_first_saw() {
        for lines in ["GET a", "SET a 1; SET b 2", "SET a 1; GET a", "GET a; GET a", "MULTI; SET a 1; EXEC"] {
            assert!(is_repeatable(&wire(lines)), "{lines}");
        }
        for lines in [
            "INCR a",
            "GET a; SET a 1",
            "SET a 1; DEL b",
            "SET a 1; SET a 2",
            "SET a 1; BITOP AND d a; SET a 2",
            "GET a; FLUSHALL",
            "DBSIZE; SET a 1",
            "EVAL_RO x 0; SET a 1",
        ] {
            assert!(!is_repeatable(&wire(lines)), "{lines}");
        }
        assert!(!is_repeatable(b"*1\r\n$3\r\nGE"), "half a request");
    }
}
