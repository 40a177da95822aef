//! Finds the end and the arguments of each request in a client's byte stream.
//!
//! The scanner keeps its place between calls: the offset up to which it has looked, how many arguments are
//! still missing, and where the found ones lie. Feeding it a growing buffer therefore looks at each byte
//! once. Arguments are offsets into the caller's buffer; in the steady state nothing is allocated.
//!
//! An inline request is rare and may need unquoting, so its arguments are not slices of the input. The
//! scanner rewrites it once into multibulk form in a buffer of its own; the reader of [`Request`] sees no
//! difference.

use crate::number::{Header, header};
use crate::{Limits, ProtocolError, encode_request, inline};

/// Where an argument lies: start and end offsets. 32 bits each keep a million of them in 8 MB.
pub(crate) type Span = (u32, u32);

/// Spans kept allocated between requests; a larger request gives its memory back when the next one starts.
const KEPT_SPANS: usize = 256;

/// An incremental scanner of one client's requests.
#[derive(Debug)]
pub struct RequestScanner {
    limits: Limits,
    progress: Progress,
    args: Vec<Span>,
    /// The last inline request in multibulk form; empty when the last request was multibulk already.
    inline: Vec<u8>,
    /// Length of the last complete request in the caller's buffer.
    len: usize,
    /// Bytes of the unfinished request that the caller has dropped.
    skipped: usize,
}

/// How far the unfinished request has been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// At its first byte.
    Start,
    /// An inline request without a line end in its first `searched` bytes.
    Inline { searched: usize },
    /// At the `$` of an argument; `missing` arguments are still to come, this one included.
    Bulk { at: usize, missing: usize },
    /// Inside an argument that ends, with its CRLF, at `end`.
    Body { start: usize, end: usize, missing: usize },
}

impl RequestScanner {
    /// A scanner at the start of a stream.
    pub fn new(limits: Limits) -> Self {
        Self { limits, progress: Progress::Start, args: Vec::new(), inline: Vec::new(), len: 0, skipped: 0 }
    }

    /// Looks for the end of the request at the start of `buf`.
    ///
    /// `buf` must start at the first byte of the unfinished request and must only grow until it is complete.
    /// `Some(n)`: the request takes the first `n` bytes of `buf`; read it with [`request`](Self::request),
    /// drop those bytes, and call again. `None`: more bytes are needed.
    ///
    /// # Errors
    /// A [`ProtocolError`] when the bytes break the protocol or a limit; the stream cannot be used any more.
    #[inline]
    pub fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        loop {
            let found = match self.progress {
                Progress::Start => self.start(buf)?,
                Progress::Inline { searched } => self.inline_line(buf, searched)?,
                Progress::Bulk { at, missing } => self.bulk_header(buf, at, missing)?,
                Progress::Body { start, end, missing } => self.bulk_body(buf, start, end, missing)?,
            };
            match found {
                Step::NeedMore => return Ok(None),
                Step::Complete(len) => {
                    self.progress = Progress::Start;
                    self.len = len;
                    return Ok(Some(len));
                }
                Step::Next(progress) => self.progress = progress,
            }
        }
    }

    /// The request that [`scan`](Self::scan) has just found complete in the same `buf`.
    #[inline]
    pub fn request<'a>(&'a self, buf: &'a [u8]) -> Request<'a> {
        let wire = if self.inline.is_empty() { &buf[..self.len] } else { &self.inline[..] };
        Request { wire, args: &self.args }
    }

    /// A lower bound of the unfinished request's length: lets a reader of a large value reserve its room at
    /// once.
    pub fn wanted_len(&self) -> usize {
        match self.progress {
            Progress::Start => 0,
            Progress::Inline { searched } => searched,
            Progress::Bulk { at, .. } => at,
            Progress::Body { end, .. } => end,
        }
    }

    /// The unfinished request at the start of `buf`, when one of its arguments is on its way.
    pub fn unfinished<'a>(&'a self, buf: &'a [u8]) -> Option<Unfinished<'a>> {
        let Progress::Body { start, end, missing } = self.progress else { return None };
        let wire = buf.get(..start)?;
        let complete = Request { wire, args: &self.args };
        Some(Unfinished { complete, args: self.args.len() + missing, arriving: end - 2 - start })
    }

    /// How many of the first `len` bytes of an unfinished request need not be looked at again: the caller may drop
    /// them, see [`skip`](Self::skip).
    pub fn done_with(&self, len: usize) -> usize {
        match self.progress {
            Progress::Start | Progress::Inline { .. } => 0,
            Progress::Bulk { at, .. } => at,
            // The line end is checked when it is here.
            Progress::Body { end, .. } => len.min(end - 2),
        }
    }

    /// Notes that the caller has dropped the first `len` bytes of the unfinished request, at most
    /// [`done_with`](Self::done_with). Its arguments cannot be read any more: where it ends is all that is still found.
    pub fn skip(&mut self, len: usize) {
        self.skipped += len;
        self.args.clear();
        self.progress = match self.progress {
            Progress::Bulk { at, missing } => Progress::Bulk { at: at - len, missing },
            Progress::Body { start, end, missing } => {
                Progress::Body { start: start.saturating_sub(len), end: end - len, missing }
            }
            other => other,
        };
    }

    #[inline]
    fn start(&mut self, buf: &[u8]) -> Result<Step, ProtocolError> {
        let Some(&first) = buf.first() else { return Ok(Step::NeedMore) };
        self.args.clear();
        self.args.shrink_to(KEPT_SPANS);
        self.skipped = 0;
        if !self.inline.is_empty() {
            self.inline = Vec::new();
        }
        if first != b'*' {
            return Ok(Step::Next(Progress::Inline { searched: 0 }));
        }
        match header(buf, 1) {
            Header::Incomplete => Ok(Step::NeedMore),
            Header::Malformed => Err(ProtocolError::InvalidMultibulkLength),
            Header::Number(count, end) if count <= 0 => Ok(Step::Complete(end)),
            Header::Number(count, at) => match usize::try_from(count) {
                Ok(missing) if missing <= self.limits.max_args => {
                    Ok(Step::Next(Progress::Bulk { at, missing }))
                }
                _ => Err(ProtocolError::InvalidMultibulkLength),
            },
        }
    }

    #[inline]
    fn bulk_header(&self, buf: &[u8], at: usize, missing: usize) -> Result<Step, ProtocolError> {
        match buf.get(at) {
            None => return Ok(Step::NeedMore),
            Some(b'$') => {}
            Some(&other) => return Err(ProtocolError::ExpectedBulk(other)),
        }
        let (len, start) = match header(buf, at + 1) {
            Header::Incomplete => return Ok(Step::NeedMore),
            Header::Malformed => return Err(ProtocolError::InvalidBulkLength),
            Header::Number(len, start) => (usize::try_from(len), start),
        };
        let len = len.ok().filter(|len| *len <= self.limits.max_bulk_len);
        let end = start + len.ok_or(ProtocolError::InvalidBulkLength)? + 2;
        if self.skipped + end > self.limits.max_request_len {
            return Err(ProtocolError::RequestTooBig);
        }
        Ok(Step::Next(Progress::Body { start, end, missing }))
    }

    #[inline]
    fn bulk_body(
        &mut self,
        buf: &[u8],
        start: usize,
        end: usize,
        missing: usize,
    ) -> Result<Step, ProtocolError> {
        if buf.len() < end {
            return Ok(Step::NeedMore);
        }
        if buf[end - 2..end] != *b"\r\n" {
            return Err(ProtocolError::UnterminatedBulk);
        }
        self.args.push(span(start, end - 2)?);
        Ok(if missing == 1 {
            Step::Complete(end)
        } else {
            Step::Next(Progress::Bulk { at: end, missing: missing - 1 })
        })
    }

    /// Looks for the line end of an inline request, and rewrites the request when it is there.
    #[cold]
    fn inline_line(&mut self, buf: &[u8], searched: usize) -> Result<Step, ProtocolError> {
        let Some(found) = memchr::memchr(b'\n', &buf[searched..]) else {
            let searched = buf.len();
            if searched > self.limits.max_line_len {
                return Err(ProtocolError::InlineTooBig);
            }
            self.progress = Progress::Inline { searched };
            return Ok(Step::NeedMore);
        };
        let end = searched + found;
        if end > self.limits.max_line_len {
            return Err(ProtocolError::InlineTooBig);
        }
        let line = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]);
        self.rewrite_inline(line)?;
        Ok(Step::Complete(end + 1))
    }

    /// Puts the multibulk form of `line` into `self.inline`, with its argument offsets. An empty line leaves
    /// no arguments: a request to skip.
    fn rewrite_inline(&mut self, line: &[u8]) -> Result<(), ProtocolError> {
        let mut words = Vec::new();
        inline::split(line, &mut words)?;
        if words.is_empty() {
            return Ok(());
        }
        encode_request(&mut self.inline, words.iter().map(Vec::as_slice));
        let mut end = self.inline.len();
        for word in words.iter().rev() {
            self.args.push(span(end - 2 - word.len(), end - 2)?);
            end = end - 2 - word.len() - bulk_header_len(word.len());
        }
        self.args.reverse();
        Ok(())
    }
}

/// What one step of the scan found.
enum Step {
    /// The buffer ends here.
    NeedMore,
    /// The request ends at this offset.
    Complete(usize),
    /// Go on from here.
    Next(Progress),
}

fn span(start: usize, end: usize) -> Result<Span, ProtocolError> {
    let narrow = |offset| u32::try_from(offset).map_err(|_| ProtocolError::RequestTooBig);
    Ok((narrow(start)?, narrow(end)?))
}

/// Length of `$len\r\n`.
fn bulk_header_len(len: usize) -> usize {
    3 + itoa::Buffer::new().format(len).len()
}

/// A request whose end is not here yet.
#[derive(Debug, Clone, Copy)]
pub struct Unfinished<'a> {
    /// What is complete: the arguments before the one that is arriving.
    pub complete: Request<'a>,
    /// How many arguments it will have, its name included.
    pub args: usize,
    /// Length of the argument that is arriving.
    pub arriving: usize,
}

/// One complete request: its bytes in multibulk form and its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    wire: &'a [u8],
    args: &'a [Span],
}

impl<'a> Request<'a> {
    /// A request of these bytes whose arguments lie there.
    pub(crate) fn of(wire: &'a [u8], args: &'a [Span]) -> Self {
        Self { wire, args }
    }

    /// Where the arguments lie in [`wire`](Self::wire).
    pub(crate) fn spans(&self) -> &'a [Span] {
        self.args
    }

    /// The request as it can be sent on: always in multibulk form.
    #[inline]
    pub fn wire(&self) -> &'a [u8] {
        self.wire
    }

    /// Number of arguments, the command's name included. 0 for a blank line or `*0`, which Redis skips.
    #[inline]
    pub fn len(&self) -> usize {
        self.args.len()
    }

    /// Whether there is nothing to do.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.args.is_empty()
    }

    /// Argument `index`; 0 is the command's name.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    #[inline]
    pub fn arg(&self, index: usize) -> &'a [u8] {
        let (start, end) = self.args[index];
        &self.wire[start as usize..end as usize]
    }

    /// Argument `index`, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.args.get(index).map(|(start, end)| &self.wire[*start as usize..*end as usize])
    }

    /// All arguments in order.
    #[inline]
    pub fn args(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let wire = self.wire;
        self.args.iter().map(move |(start, end)| &wire[*start as usize..*end as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every request of `bytes`, fed in pieces of `piece` bytes.
    fn scanned(bytes: &[u8], piece: usize) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let mut scanner = RequestScanner::new(Limits::default());
        let (mut buf, mut requests) = (Vec::new(), Vec::new());
        for chunk in bytes.chunks(piece) {
            buf.extend_from_slice(chunk);
            while let Some(len) = scanner.scan(&buf)? {
                requests.push(scanner.request(&buf).args().map(<[u8]>::to_vec).collect());
                buf.drain(..len);
            }
        }
        assert!(buf.is_empty(), "left over: {buf:?}");
        Ok(requests)
    }

    fn check(bytes: &str, expected: &[&[&str]]) {
        let expected: Vec<Vec<Vec<u8>>> =
            expected.iter().map(|args| args.iter().map(|arg| arg.as_bytes().to_vec()).collect()).collect();
        for piece in 1..=bytes.len() {
            assert_eq!(scanned(bytes.as_bytes(), piece).unwrap(), expected, "{bytes:?} by {piece}");
        }
    }

    fn check_error(bytes: &str, expected: &str) {
        for piece in 1..=bytes.len() {
            let error = scanned(bytes.as_bytes(), piece).expect_err(bytes);
            assert_eq!(error.to_string(), expected, "{bytes:?} by {piece}");
        }
    }

    #[test]
    fn finds_requests_split_at_any_byte() {
        check("*1\r\n$4\r\nPING\r\n", &[&["PING"]]);
        check("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", &[&["GET", ""]]);
        check("*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n*1\r\n$4\r\nPING\r\n", &[&["GET", "a\r\nb"], &["PING"]]);
        check("PING\r\nSET k \"a b\"\n", &[&["PING"], &["SET", "k", "a b"]]);
        check("*0\r\n*-1\r\n\r\n", &[&[], &[], &[]]);
        check("ECHO hi\r\n*1\r\n$4\r\nPING\r\n", &[&["ECHO", "hi"], &["PING"]]);
    }

    #[test]
    fn an_inline_request_can_be_sent_on() {
        let mut scanner = RequestScanner::new(Limits::default());
        let bytes = b"SET key \"two words\"\r\n";
        assert_eq!(scanner.scan(bytes), Ok(Some(bytes.len())));
        let request = scanner.request(bytes);
        assert_eq!(request.wire(), b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$9\r\ntwo words\r\n");
        assert_eq!(request.arg(2), b"two words");
        assert_eq!(request.get(3), None);
    }

    #[test]
    fn refuses_with_the_words_of_redis() {
        check_error("*x\r\n", "Protocol error: invalid multibulk length");
        check_error("*1048577\r\n", "Protocol error: invalid multibulk length");
        check_error("*99999999999999999999\r\n", "Protocol error: invalid multibulk length");
        check_error("*1\r\n:4\r\n", "Protocol error: expected '$', got ':'");
        check_error("*1\r\n$-1\r\n", "Protocol error: invalid bulk length");
        check_error("*1\r\n$536870913\r\n", "Protocol error: invalid bulk length");
        check_error("*1\r\n$x\r\n", "Protocol error: invalid bulk length");
        check_error("*1\r\n$1\r\nabc", "Protocol error: expected CRLF after bulk string");
        check_error("SET k \"a\r\n", "Protocol error: unbalanced quotes in request");
    }

    #[test]
    fn an_inline_request_without_an_end_is_refused() {
        let mut scanner = RequestScanner::new(Limits::default());
        assert_eq!(scanner.scan(&vec![b'a'; 64 * 1024]), Ok(None));
        assert_eq!(scanner.scan(&vec![b'a'; 64 * 1024 + 1]), Err(ProtocolError::InlineTooBig));
    }

    /// The length of each request of `bytes`, fed in pieces, when all that the scanner is done with is dropped at once.
    fn lengths_with_skips(bytes: &[u8], piece: usize, limits: Limits) -> Result<Vec<usize>, ProtocolError> {
        let mut scanner = RequestScanner::new(limits);
        let (mut buf, mut lengths, mut dropped) = (Vec::new(), Vec::new(), 0);
        for chunk in bytes.chunks(piece) {
            buf.extend_from_slice(chunk);
            while let Some(len) = scanner.scan(&buf)? {
                lengths.push(std::mem::take(&mut dropped) + len);
                buf.drain(..len);
            }
            let done = scanner.done_with(buf.len());
            buf.drain(..done);
            scanner.skip(done);
            dropped += done;
        }
        Ok(lengths)
    }

    #[test]
    fn a_request_whose_bytes_are_dropped_ends_where_it_ends() {
        let bytes = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9\r\na\r\nb\r\nccc\r\nPING\r\n*0\r\n*2\r\n$0\r\n\r\n$2\r\nxx\r\n";
        for piece in 1..=bytes.len() {
            let lengths = lengths_with_skips(bytes, piece, Limits::default());
            assert_eq!(lengths.unwrap(), [35, 6, 4, 18], "by {piece}");
        }
        let broken = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nabc\r\n";
        for piece in 1..=broken.len() {
            let lengths = lengths_with_skips(broken, piece, Limits::default());
            assert_eq!(lengths, Err(ProtocolError::UnterminatedBulk), "by {piece}");
        }
    }

    #[test]
    fn dropped_bytes_count_towards_the_longest_request() {
        let limits = Limits { max_request_len: 50, ..Limits::default() };
        let mut bytes = b"*9\r\n".to_vec();
        (0..9).for_each(|_| bytes.extend_from_slice(b"$4\r\nabcd\r\n"));
        for piece in 1..=bytes.len() {
            let lengths = lengths_with_skips(&bytes, piece, limits);
            assert_eq!(lengths, Err(ProtocolError::RequestTooBig), "by {piece}");
        }
    }

    #[test]
    fn what_is_complete_of_an_unfinished_request_can_be_read() {
        let mut scanner = RequestScanner::new(Limits::default());
        let bytes = b"*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$9999\r\nva";
        assert_eq!(scanner.scan(bytes), Ok(None));
        let unfinished = scanner.unfinished(bytes).unwrap();
        let words: Vec<_> = unfinished.complete.args().collect();
        assert_eq!((words, unfinished.args, unfinished.arriving), (vec![&b"SET"[..], b"k"], 5, 9999));
        assert_eq!(scanner.done_with(bytes.len()), bytes.len());
        let mut scanner = RequestScanner::new(Limits::default());
        let bytes = b"*5\r\n$3\r\nSET\r\n$1";
        assert_eq!(scanner.scan(bytes), Ok(None));
        assert!(scanner.unfinished(bytes).is_none());
        assert_eq!(scanner.done_with(bytes.len()), bytes.len() - 2);
    }

    #[test]
    fn a_large_value_is_looked_at_once() {
        let mut scanner = RequestScanner::new(Limits::default());
        let mut bytes = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n".to_vec();
        assert_eq!(scanner.scan(&bytes), Ok(None));
        let end = bytes.len() + 100_000_000 + 2;
        assert_eq!(scanner.wanted_len(), end);
        bytes.resize(end - 2, b'x');
        assert_eq!(scanner.progress, Progress::Body { start: end - 100_000_002, end, missing: 1 });
        assert_eq!(scanner.scan(&bytes), Ok(None));
        bytes.extend_from_slice(b"\r\n");
        assert_eq!(scanner.scan(&bytes), Ok(Some(end)));
    }
}
