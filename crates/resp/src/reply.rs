//! Finds the end of each reply in a node's byte stream, RESP2 or RESP3.
//!
//! Nesting is a stack of counts instead of recursion, so its depth is a limit and not a stack overflow, and a
//! scan can stop at any byte and go on later. What it has looked at it can do without (`skip`): a reply far larger
//! than its buffer passes through in pieces. Streamed aggregates (`*?`) and strings (`$?`) are refused: no
//! Redis or Valkey sends them.

use crate::number::{Header, header};
use crate::{Limits, ProtocolError};

/// An incremental scanner of one node's replies.
#[derive(Debug)]
pub struct ReplyScanner {
    limits: Limits,
    /// Offset of the next element's type byte, or the end of the bulk string being waited for.
    at: usize,
    /// Up to where a line without an end has been searched; 0 when none is being read.
    searched: usize,
    /// Whether `at` is the end of a bulk string that has not fully arrived.
    in_bulk: bool,
    /// Elements still missing of each open aggregate, outermost first. The reply itself is the first.
    open: Vec<u64>,
}

impl ReplyScanner {
    /// A scanner at the start of a stream.
    pub fn new(limits: Limits) -> Self {
        Self { limits, at: 0, searched: 0, in_bulk: false, open: Vec::new() }
    }

    /// Looks for the end of the reply at the start of `buf`.
    ///
    /// `buf` must start at the first byte of the unfinished reply and must only grow until it is complete.
    /// `Some(n)`: the reply takes the first `n` bytes; drop them and call again.
    ///
    /// # Errors
    /// A [`ProtocolError`] when the bytes break the protocol or a limit; the stream cannot be used any more.
    #[inline]
    pub fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        if self.open.is_empty() {
            if let Some(len) = simple_reply(buf) {
                return Ok(Some(len));
            }
            self.open.push(1);
        }
        while !self.open.is_empty() {
            if !self.element(buf)? {
                return Ok(None);
            }
            while self.open.last() == Some(&0) {
                self.open.pop();
            }
        }
        self.searched = 0;
        Ok(Some(std::mem::take(&mut self.at)))
    }

    /// A lower bound of the unfinished reply's length: lets a reader of a large value reserve its room at
    /// once.
    pub fn wanted_len(&self) -> usize {
        self.at
    }

    /// How many of the `arrived` bytes of the unfinished reply it does not need any more.
    pub fn done_with(&self, arrived: usize) -> usize {
        // The CRLF behind a bulk string is still to be seen.
        let done = if self.in_bulk { self.at - 2 } else { self.at };
        done.min(arrived)
    }

    /// Forgets the first `len` bytes of the unfinished reply, at most [`Self::done_with`]: the next scan's buffer
    /// starts behind them, and the end it finds is counted from there.
    pub fn skip(&mut self, len: usize) {
        self.at -= len;
        self.searched = self.searched.saturating_sub(len);
    }

    /// Takes one element (for an aggregate: its header). `false`: the buffer ends inside it.
    fn element(&mut self, buf: &[u8]) -> Result<bool, ProtocolError> {
        if self.in_bulk {
            return self.bulk_end(buf);
        }
        let Some(&kind) = buf.get(self.at) else { return Ok(false) };
        match kind {
            b'+' | b'-' | b':' | b',' | b'#' | b'(' | b'_' => self.line(buf),
            b'$' | b'=' | b'!' => self.bulk_header(buf),
            b'*' | b'~' | b'>' => self.aggregate(buf, 1, true),
            b'%' => self.aggregate(buf, 2, true),
            // An attribute stands before the element it describes, and is not one itself.
            b'|' => self.aggregate(buf, 2, false),
            other => Err(ProtocolError::UnknownReplyType(other)),
        }
    }

    fn line(&mut self, buf: &[u8]) -> Result<bool, ProtocolError> {
        let from = self.searched.max(self.at);
        let Some(found) = memchr::memchr(b'\n', &buf[from..]) else {
            self.searched = buf.len();
            let too_long = buf.len() - self.at > self.limits.max_line_len;
            return if too_long { Err(ProtocolError::MalformedLine) } else { Ok(false) };
        };
        let end = from + found;
        if end - self.at > self.limits.max_line_len || buf[end - 1] != b'\r' {
            return Err(ProtocolError::MalformedLine);
        }
        self.finish_element(end + 1);
        Ok(true)
    }

    fn bulk_header(&mut self, buf: &[u8]) -> Result<bool, ProtocolError> {
        match header(buf, self.at + 1) {
            Header::Incomplete => Ok(false),
            Header::Number(-1, next) => {
                self.finish_element(next);
                Ok(true)
            }
            Header::Number(len, next) => {
                let len = usize::try_from(len).ok().filter(|len| *len <= self.limits.max_bulk_len);
                self.at = next + len.ok_or(ProtocolError::InvalidBulkLength)? + 2;
                self.in_bulk = true;
                self.bulk_end(buf)
            }
            Header::Malformed => Err(ProtocolError::InvalidBulkLength),
        }
    }

    fn bulk_end(&mut self, buf: &[u8]) -> Result<bool, ProtocolError> {
        if buf.len() < self.at {
            return Ok(false);
        }
        if buf[self.at - 2..self.at] != *b"\r\n" {
            return Err(ProtocolError::UnterminatedBulk);
        }
        self.in_bulk = false;
        self.finish_element(self.at);
        Ok(true)
    }

    /// Opens an aggregate of `per_entry` elements for each entry its header counts.
    fn aggregate(&mut self, buf: &[u8], per_entry: u64, is_element: bool) -> Result<bool, ProtocolError> {
        let (count, next) = match header(buf, self.at + 1) {
            Header::Incomplete => return Ok(false),
            Header::Malformed => return Err(ProtocolError::InvalidAggregateLength),
            Header::Number(-1, next) => (0, next),
            Header::Number(count, next) => {
                let count =
                    u64::try_from(count).ok().filter(|count| *count <= self.limits.max_elements as u64);
                (count.ok_or(ProtocolError::InvalidAggregateLength)?, next)
            }
        };
        if self.open.len() > self.limits.max_depth {
            return Err(ProtocolError::NestedTooDeeply);
        }
        if is_element {
            self.finish_element(next);
        } else {
            self.at = next;
        }
        self.open.push(count * per_entry);
        Ok(true)
    }

    fn finish_element(&mut self, next: usize) {
        self.at = next;
        if let Some(missing) = self.open.last_mut() {
            *missing -= 1;
        }
    }
}

/// The length of a complete reply that is one short line or one bulk string: nearly every reply of a cache.
/// `None` leaves the decision to the full scan.
#[inline]
fn simple_reply(buf: &[u8]) -> Option<usize> {
    match buf.first()? {
        b'$' => {
            let Header::Number(len, start) = header(buf, 1) else { return None };
            // Longer ones take the full scan, which knows the limits.
            let len = usize::try_from(len).ok().filter(|len| *len <= SHORT_BULK)?;
            let end = start + len + 2;
            (buf.get(end - 2..end)? == b"\r\n").then_some(end)
        }
        b'+' | b':' | b'_' => {
            let line = &buf[..buf.len().min(SHORT_LINE)];
            let end = line.iter().position(|byte| *byte == b'\n')?;
            (line[end - 1] == b'\r').then_some(end + 1)
        }
        _ => None,
    }
}

/// `+OK`, `+QUEUED` and every integer fit; longer lines take the general way.
const SHORT_LINE: usize = 24;

/// Bulk strings up to here take the short way; it is below every sensible bulk limit.
const SHORT_BULK: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(bytes: &[u8], piece: usize, limits: Limits) -> Result<Vec<usize>, ProtocolError> {
        let mut scanner = ReplyScanner::new(limits);
        let (mut buf, mut lens) = (Vec::new(), Vec::new());
        for chunk in bytes.chunks(piece) {
            buf.extend_from_slice(chunk);
            while !buf.is_empty() {
                let Some(len) = scanner.scan(&buf)? else {
                    assert!(
                        !scanner.in_bulk || scanner.wanted_len() > buf.len(),
                        "waits for what is there: {buf:?}"
                    );
                    break;
                };
                lens.push(len);
                buf.drain(..len);
            }
        }
        assert!(buf.is_empty(), "left over: {buf:?}");
        Ok(lens)
    }

    /// `replies` one after the other must be found with exactly these borders, however they are split.
    fn check(replies: &[&str]) {
        let bytes: String = replies.concat();
        let lens: Vec<_> = replies.iter().map(|reply| reply.len()).collect();
        for piece in 1..=bytes.len() {
            assert_eq!(
                scanned(bytes.as_bytes(), piece, Limits::default()).unwrap(),
                lens,
                "{bytes:?} by {piece}"
            );
        }
    }

    #[test]
    fn finds_replies_split_at_any_byte() {
        check(&["+OK\r\n", "-ERR no\r\n", ":1\r\n", "$5\r\nhello\r\n", "$-1\r\n", "$0\r\n\r\n"]);
        check(&["*0\r\n", "*-1\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "*3\r\n*0\r\n*-1\r\n$-1\r\n"]);
        check(&["_\r\n", "#t\r\n", ",1.5\r\n", ",inf\r\n", "(12345678901234567890\r\n", "=6\r\ntxt:hi\r\n"]);
        check(&["%1\r\n+a\r\n:1\r\n", "~2\r\n+a\r\n+b\r\n", ">2\r\n+message\r\n+x\r\n", "!3\r\nERR\r\n"]);
        check(&["|1\r\n+ttl\r\n:3600\r\n*2\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2\r\n", "+OK\r\n"]);
        check(&["+a line that is longer than the short way takes\r\n", ":1\r\n"]);
    }

    #[test]
    fn refuses_what_breaks_the_protocol() {
        for (bytes, error) in [
            ("?\r\n", ProtocolError::UnknownReplyType(b'?')),
            ("$?\r\n", ProtocolError::InvalidBulkLength),
            ("$-2\r\n", ProtocolError::InvalidBulkLength),
            ("$1\r\nabc", ProtocolError::UnterminatedBulk),
            ("*?\r\n", ProtocolError::InvalidAggregateLength),
            ("*-2\r\n", ProtocolError::InvalidAggregateLength),
            ("+OK\n", ProtocolError::MalformedLine),
        ] {
            for piece in 1..=bytes.len() {
                assert_eq!(
                    scanned(bytes.as_bytes(), piece, Limits::default()),
                    Err(error.clone()),
                    "{bytes:?}"
                );
            }
        }
    }

    #[test]
    fn a_reply_that_passes_through_in_pieces_ends_where_it_would_whole() {
        let bytes = b"*3\r\n$5\r\nhello\r\n-an error\r\n%1\r\n$0\r\n\r\n:12\r\n";
        let mut scanner = ReplyScanner::new(Limits::default());
        let (mut start, mut most_kept) = (0, 0);
        for arrived in 1..bytes.len() {
            assert_eq!(scanner.scan(&bytes[start..arrived]), Ok(None), "{arrived}");
            let done = scanner.done_with(arrived - start);
            scanner.skip(done);
            start += done;
            most_kept = most_kept.max(arrived - start);
        }
        assert_eq!(scanner.scan(&bytes[start..]), Ok(Some(bytes.len() - start)));
        assert_eq!(most_kept, "-an error\r".len(), "no more than a line is kept");
        assert_eq!((scanner.wanted_len(), scanner.scan(b"+OK\r\n")), (0, Ok(Some(5))));
    }

    #[test]
    fn holds_its_limits() {
        let limits =
            Limits { max_depth: 4, max_elements: 10, max_bulk_len: 3, max_line_len: 8, ..Limits::default() };
        let scan = |bytes: &str| scanned(bytes.as_bytes(), 1, limits);
        assert!(scan("*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n").is_ok());
        assert_eq!(scan("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"), Err(ProtocolError::NestedTooDeeply));
        assert_eq!(scan("*11\r\n"), Err(ProtocolError::InvalidAggregateLength));
        assert_eq!(scan("*1\r\n$4\r\n"), Err(ProtocolError::InvalidBulkLength));
        assert_eq!(scan("-123456789\r\n"), Err(ProtocolError::MalformedLine));
        assert_eq!(scan("-123456789"), Err(ProtocolError::MalformedLine));
    }
}
