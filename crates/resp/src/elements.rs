//! Looks inside one complete aggregate reply: its element count, and each element's bytes in turn.
//!
//! The proxy merges the replies of several nodes with it: it moves the elements' bytes and decodes none.

use crate::number::{Header, header};
use crate::{Limits, ProtocolError, ReplyScanner};

/// The element count of an array, set, push or map header at the start of `reply` (a map counts keys and
/// values), and the header's length. `None` when it is no aggregate or a null one.
pub fn aggregate_len(reply: &[u8]) -> Option<(usize, usize)> {
    let per_entry = match reply.first()? {
        b'*' | b'~' | b'>' => 1,
        b'%' => 2,
        _ => return None,
    };
    let Header::Number(count, next) = header(reply, 1) else { return None };
    Some((usize::try_from(count).ok()?.checked_mul(per_entry)?, next))
}

/// The elements of one complete aggregate reply, each as its encoded bytes.
#[derive(Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Elements<'a> {
    /// The elements of `reply`, or `None` when it is not an aggregate.
    pub fn of(reply: &'a [u8]) -> Option<Self> {
        let (left, next) = aggregate_len(reply)?;
        Some(Self { rest: reply.get(next..)?, left })
    }

    /// How many elements have not been taken yet.
    pub fn left(&self) -> usize {
        self.left
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], ProtocolError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match ReplyScanner::new(Limits::default()).scan(self.rest) {
            Ok(Some(len)) => {
                let (element, rest) = self.rest.split_at(len);
                self.rest = rest;
                Some(Ok(element))
            }
            Ok(None) => Some(Err(ProtocolError::InvalidAggregateLength)),
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(reply: &str) -> Vec<String> {
        let text = |element: Result<&[u8], _>| String::from_utf8(element.unwrap().to_vec()).unwrap();
        Elements::of(reply.as_bytes()).unwrap().map(text).collect()
    }

    #[test]
    fn gives_each_element_as_it_is() {
        assert_eq!(elements("*0\r\n"), Vec::<String>::new());
        assert_eq!(
            elements("*3\r\n$1\r\na\r\n$-1\r\n*1\r\n:1\r\n"),
            ["$1\r\na\r\n", "$-1\r\n", "*1\r\n:1\r\n"]
        );
        assert_eq!(elements("%1\r\n+k\r\n:1\r\n"), ["+k\r\n", ":1\r\n"]);
        assert_eq!(elements("~1\r\n+k\r\n"), ["+k\r\n"]);
    }

    #[test]
    fn what_is_no_aggregate_has_no_elements() {
        for reply in ["+OK\r\n", "*-1\r\n", "_\r\n", "$3\r\nabc\r\n", ""] {
            assert!(Elements::of(reply.as_bytes()).is_none(), "{reply:?}");
        }
    }

    #[test]
    fn a_cut_reply_is_an_error_and_not_a_panic() {
        let mut cut = Elements::of(b"*2\r\n:1\r\n:2").unwrap();
        assert_eq!(cut.next(), Some(Ok(&b":1\r\n"[..])));
        assert_eq!(cut.next(), Some(Err(ProtocolError::InvalidAggregateLength)));
    }
}
