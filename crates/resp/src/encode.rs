//! Appends replies to a buffer, in the form that the reader's protocol version asks for.
//!
//! The caller says what it means (a map, a double, nothing) and the encoder picks the bytes: a RESP2 reader
//! gets a flat array for a map, a bulk string for a double, `$-1` for null. That is the rule Redis itself
//! follows, so a command is written once for both versions.

use crate::write_double;

/// The protocol version of one connection. Every connection starts with RESP2; `HELLO 3` changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// The version of Redis before 6: strings, errors, integers, bulk strings and arrays.
    #[default]
    Resp2,
    /// The version that adds maps, sets, doubles, booleans, nulls, verbatim strings and pushes.
    Resp3,
}

/// No double prints longer than 24 bytes.
const DOUBLE_MAX: usize = 32;
/// The longest header with both line ends: a kind, 20 digits, and what comes after the text.
const HEADER_MAX: usize = 32;

/// Appends one or more replies to a buffer.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
    /// Bytes that `out` may grow to.
    limit: usize,
    exceeded: bool,
}

impl<'a> Encoder<'a> {
    /// An encoder that appends to `out` for a reader that speaks `protocol`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self::with_limit(out, protocol, usize::MAX)
    }

    /// An encoder that lets `out` grow to `limit` bytes. What does not fit is left out, and so is everything
    /// after it: once [`exceeded`](Self::exceeded) says so, `out` ends with half a reply and is of no use.
    #[inline]
    pub fn with_limit(out: &'a mut Vec<u8>, protocol: Protocol, limit: usize) -> Self {
        Self { out, protocol, limit, exceeded: false }
    }

    /// Whether something was left out because of the limit.
    #[inline]
    pub fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// The version this encoder writes for.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// `+text`. Line breaks in `text` become spaces.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text);
    }

    /// `-text`, where `text` starts with Redis' error code: `ERR no such key`. Line breaks become spaces.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', text);
    }

    /// `:value`.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// A binary-safe string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if self.fits(bytes.len()) {
            self.len_header(b'$', bytes.len());
            self.out.extend_from_slice(bytes);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// An integer as a bulk string, as `GET` of a counter gives it.
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// No value: `$-1` or `_`.
    #[inline]
    pub fn null(&mut self) {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// No aggregate: `*-1` or `_`.
    pub fn null_array(&mut self) {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The header of an array; `len` replies must follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.len_header(b'*', len);
    }

    /// The header of a map; `pairs` times a key and a value must follow.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.len_header(b'*', pairs * 2),
            Protocol::Resp3 => self.len_header(b'%', pairs),
        }
    }

    /// The header of a set; `len` replies must follow.
    pub fn set(&mut self, len: usize) {
        self.len_header(if self.protocol == Protocol::Resp3 { b'~' } else { b'*' }, len);
    }

    /// The header of an out-of-band message; `len` replies must follow.
    pub fn push(&mut self, len: usize) {
        self.len_header(if self.protocol == Protocol::Resp3 { b'>' } else { b'*' }, len);
    }

    /// A double: a bulk string or `,`.
    pub fn double(&mut self, value: f64) {
        match self.protocol {
            Protocol::Resp2 => {
                let mut digits = Vec::with_capacity(DOUBLE_MAX);
                write_double(&mut digits, value);
                self.bulk(&digits);
            }
            Protocol::Resp3 => {
                if self.fits(DOUBLE_MAX) {
                    self.out.push(b',');
                    write_double(self.out, value);
                    self.out.extend_from_slice(b"\r\n");
                }
            }
        }
    }

    /// A truth value: `:1`/`:0` or `#t`/`#f`.
    pub fn boolean(&mut self, value: bool) {
        match self.protocol {
            Protocol::Resp2 => self.integer(i64::from(value)),
            Protocol::Resp3 => self.raw(if value { b"#t\r\n" } else { b"#f\r\n" }),
        }
    }

    /// Text for a person with its three-letter format (`txt`, `mkd`): a bulk string or `=`.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                if !self.fits(format.len() + text.len()) {
                    return;
                }
                self.len_header(b'=', format.len() + 1 + text.len());
                self.out.extend_from_slice(format.as_bytes());
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// An integer of any size, given in decimal: a bulk string or `(`.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => self.line(b'(', digits),
        }
    }

    /// A whole reply that is already encoded.
    #[inline]
    pub fn raw(&mut self, reply: &[u8]) {
        if self.fits(reply.len()) {
            self.out.extend_from_slice(reply);
        }
    }

    /// The one place that knows the limit: whether `len` bytes and a header may be appended. Once something did
    /// not fit, nothing does.
    #[inline]
    fn fits(&mut self, len: usize) -> bool {
        let fits = self.out.len().saturating_add(len).saturating_add(HEADER_MAX) <= self.limit;
        self.exceeded |= !fits;
        !self.exceeded
    }

    fn line(&mut self, kind: u8, text: &str) {
        if !self.fits(text.len()) {
            return;
        }
        self.out.push(kind);
        let clean = |byte: u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte };
        self.out.extend(text.bytes().map(clean));
        self.out.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn header(&mut self, kind: u8, value: i64) {
        if !self.fits(0) {
            return;
        }
        self.out.push(kind);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn len_header(&mut self, kind: u8, len: usize) {
        if !self.fits(0) {
            return;
        }
        self.out.push(kind);
        self.out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Appends a request in multibulk form.
pub fn encode_request<'a>(out: &mut Vec<u8>, args: impl ExactSizeIterator<Item = &'a [u8]>) {
    let mut encoder = Encoder::new(out, Protocol::Resp2);
    encoder.array(args.len());
    args.for_each(|arg| encoder.bulk(arg));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(protocol: Protocol, write: impl Fn(&mut Encoder<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Encoder::new(&mut out, protocol));
        String::from_utf8(out).unwrap()
    }

    /// Checks what a RESP2 and what a RESP3 reader gets.
    fn check(write: impl Fn(&mut Encoder<'_>), resp2: &str, resp3: &str) {
        assert_eq!(encoded(Protocol::Resp2, &write), resp2);
        assert_eq!(encoded(Protocol::Resp3, &write), resp3);
    }

    #[test]
    fn each_version_gets_its_form() {
        check(|e| e.simple("OK"), "+OK\r\n", "+OK\r\n");
        check(|e| e.error("ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n");
        check(|e| e.integer(-7), ":-7\r\n", ":-7\r\n");
        check(|e| e.bulk(b"a\0b"), "$3\r\na\0b\r\n", "$3\r\na\0b\r\n");
        check(|e| e.bulk_integer(42), "$2\r\n42\r\n", "$2\r\n42\r\n");
        check(|e| e.null(), "$-1\r\n", "_\r\n");
        check(|e| e.null_array(), "*-1\r\n", "_\r\n");
        check(|e| e.array(2), "*2\r\n", "*2\r\n");
        check(|e| e.map(2), "*4\r\n", "%2\r\n");
        check(|e| e.set(2), "*2\r\n", "~2\r\n");
        check(|e| e.push(2), "*2\r\n", ">2\r\n");
        check(|e| e.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(|e| e.boolean(true), ":1\r\n", "#t\r\n");
        check(|e| e.boolean(false), ":0\r\n", "#f\r\n");
        check(|e| e.verbatim("txt", b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
        check(|e| e.big_number("123"), "$3\r\n123\r\n", "(123\r\n");
    }

    #[test]
    fn beyond_the_limit_nothing_is_appended() {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let text = [b'x'; 1_000];
            let writers: [fn(&mut Encoder<'_>, &[u8]); 6] = [
                |encoder, text| encoder.bulk(text),
                |encoder, text| encoder.verbatim("txt", text),
                |encoder, text| encoder.raw(text),
                |encoder, _| encoder.double(0.1),
                |encoder, _| encoder.array(1),
                |encoder, _| encoder.null(),
            ];
            for write in writers {
                let mut out = Vec::new();
                let mut encoder = Encoder::with_limit(&mut out, protocol, 10_000);
                (0..10_000).for_each(|_| write(&mut encoder, &text));
                assert!(encoder.exceeded());
                // What is shorter does not slip in afterwards.
                let len = encoder.out.len();
                encoder.simple("OK");
                assert!(out.len() == len && (8_000..=10_000).contains(&len), "{len} bytes");
            }
        }
    }

    #[test]
    fn a_request_is_an_array_of_bulk_strings() {
        let mut out = Vec::new();
        encode_request(&mut out, [&b"GET"[..], b"k"].into_iter());
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    }
}
