//! What requests touch of a node's data: the keys that they name, or all of it.
//!
//! `FLUSHALL` names no key and writes each, `DBSIZE` names none and looks at each; so may a script that was given none.
//! A published message names a channel, which is no key.
//!
//! Pure.

use std::collections::HashSet;

use commands::{Command, Flags, KeyError, KeySpec};
use resp::Request;

use crate::transaction::unit;

/// A piece of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Key(&'a [u8]),
    /// All of it, keys that are not there yet included.
    Everything,
}

/// The pieces that one request touches.
///
/// # Errors
/// It does not say which of its arguments are keys.
pub(crate) fn pieces<'a>(
    command: &Command,
    request: &Request<'a>,
) -> Result<impl Iterator<Item = Piece<'a>> + use<'a>, KeyError> {
    let names = unit::names(command, request)?;
    let are_keys = !unit::is_published(command);
    let is_of_data = command.keys != KeySpec::None
        || command.flags.contains(Flags::WRITE)
        || command.flags.contains(Flags::READONLY);
    let everything = (names.len() == 0 && is_of_data).then_some(Piece::Everything);
    Ok(names.filter(move |_| are_keys).map(Piece::Key).chain(everything))
}

/// Calls `visit` with each piece that the requests in `wire` touch, and whether it may be written.
pub(crate) fn visit(wire: &[u8], mut visit: impl FnMut(Piece<'_>, bool)) {
    unit::all(wire, |command, request| {
        let is_written = may_write(command);
        pieces(command, request).into_iter().flatten().for_each(|piece| visit(piece, is_written));
        true
    });
}

/// Whether a command may write what it touches.
pub(crate) fn may_write(command: &Command) -> bool {
    !command.flags.contains(Flags::READONLY)
}

/// What some requests have touched.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    keys: HashSet<Vec<u8>>,
    everything: bool,
}

impl Touched {
    pub(crate) fn add(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Key(key) if !self.keys.contains(key) => {
                self.keys.insert(key.to_vec());
            }
            Piece::Key(_) => {}
            Piece::Everything => self.everything = true,
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.everything |= other.everything;
    }

    /// Whether any of this piece is among it.
    pub(crate) fn meets(&self, piece: Piece<'_>) -> bool {
        self.everything
            || match piece {
                Piece::Key(key) => self.keys.contains(key),
                Piece::Everything => !self.keys.is_empty(),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(line: &str) -> Vec<(String, bool)> {
        let (mut wire, mut touched) = (Vec::new(), Vec::new());
        resp::encode_request(&mut wire, line.split(' ').map(str::as_bytes).collect::<Vec<_>>().into_iter());
        visit(&wire, |piece, is_written| {
            let text = match piece {
                Piece::Key(key) => String::from_utf8(key.to_vec()).unwrap(),
                Piece::Everything => "everything".to_owned(),
            };
            touched.push((text, is_written));
        });
        touched
    }

    #[test]
    fn what_names_no_key_touches_all_or_none() {
        for line in ["FLUSHALL", "FLUSHDB ASYNC", "EVAL x 0", "FCALL f 0"] {
            assert_eq!(touched(line), [("everything".to_owned(), true)], "{line}");
        }
        for line in ["DBSIZE", "KEYS *", "SCAN 0", "RANDOMKEY", "EVAL_RO x 0"] {
            assert_eq!(touched(line), [("everything".to_owned(), false)], "{line}");
        }
        for line in ["PING", "ECHO k", "TIME", "PUBLISH k m", "SPUBLISH k m", "SCRIPT LOAD x", "CONFIG GET k"]
        {
            assert_eq!(touched(line), [], "{line}");
        }
        assert_eq!(touched("GET k"), [("k".to_owned(), false)]);
        assert_eq!(touched("EVAL x 1 k"), [("k".to_owned(), true)]);
    }
}
