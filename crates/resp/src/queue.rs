//! Requests that are kept to be executed later, in their order.
//!
//! The one idea: the bytes of all lie one after the other, and what the scanner found in them is kept beside, so
//! they are read without being scanned again. It does not bound itself: whoever adds looks at `bytes`.

use crate::Request;
use crate::request::Span;

/// Where a request ends, in the list of bytes and in the list of arguments.
type End = (usize, usize);

/// Requests one after the other.
#[derive(Debug, Default)]
pub struct RequestQueue {
    wire: Vec<u8>,
    /// Of all requests; each counts from the start of its own request.
    args: Vec<Span>,
    ends: Vec<End>,
}

impl RequestQueue {
    /// Adds a request at the end.
    pub fn push(&mut self, request: &Request<'_>) {
        self.wire.extend_from_slice(request.wire());
        self.args.extend_from_slice(request.spans());
        self.ends.push((self.wire.len(), self.args.len()));
    }

    /// Number of requests.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes that all of them take.
    pub fn bytes(&self) -> usize {
        self.wire.len() + size_of_val(self.args.as_slice()) + size_of_val(self.ends.as_slice())
    }

    /// Bytes that `request` would add.
    pub fn bytes_of(request: &Request<'_>) -> usize {
        request.wire().len() + size_of_val(request.spans()) + size_of::<End>()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Request<'_>> {
        let mut start = (0, 0);
        self.ends.iter().map(move |end| {
            let request = Request::of(&self.wire[start.0..end.0], &self.args[start.1..end.1]);
            start = *end;
            request
        })
    }
}

#[cfg(test)]
mod tests {
    use super::RequestQueue;
    use crate::{Limits, RequestScanner};

    #[test]
    fn requests_come_back_as_they_were() {
        let mut scanner = RequestScanner::new(Limits::default());
        let mut queue = RequestQueue::default();
        for bytes in ["*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\r\n\r\n", "  GET   'a b'\r\n", "PING\r\n"] {
            scanner.scan(bytes.as_bytes()).unwrap().unwrap();
            let request = scanner.request(bytes.as_bytes());
            let before = queue.bytes();
            queue.push(&request);
            assert_eq!(queue.bytes() - before, RequestQueue::bytes_of(&request));
        }
        let words = |args: &[&str]| args.iter().map(|arg| arg.as_bytes().to_vec()).collect::<Vec<_>>();
        let back: Vec<Vec<_>> =
            queue.iter().map(|request| request.args().map(<[u8]>::to_vec).collect()).collect();
        assert_eq!(back, [words(&["SET", "k", "\r\n"]), words(&["GET", "a b"]), words(&["PING"])]);
        assert_eq!((queue.len(), queue.iter().len()), (3, 3));
    }
}
