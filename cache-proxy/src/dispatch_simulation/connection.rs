//! A connection to a node that exists on paper: what has arrived over it, and what is answered.

use std::collections::VecDeque;

use resp::{Limits, RequestScanner};

/// The node's end of one link.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub(super) node: String,
    /// The beginning of a request.
    bytes: Vec<u8>,
    /// Requests that have arrived and are not executed.
    inbox: VecDeque<String>,
    /// The commands since MULTI.
    queued: Option<Vec<String>>,
    /// The rest of the reply that has begun.
    pub(super) begun: Option<String>,
    /// A reply that has not been given to the proxy.
    next: Option<String>,
}

impl Connection {
    pub(super) fn to(node: String) -> Self {
        Self { node, ..Self::default() }
    }

    /// Takes bytes that the proxy has written.
    pub(super) fn arrive(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let mut scanner = RequestScanner::new(Limits::default());
        while let Some(len) = scanner.scan(&self.bytes).unwrap() {
            let request = scanner.request(&self.bytes);
            let words: Vec<_> = request.args().map(String::from_utf8_lossy).collect();
            self.inbox.push_back(words.join(" "));
            self.bytes.drain(..len);
        }
    }

    /// The reply to the next request, which is executed now if it was not before.
    pub(super) fn reply(&mut self, write: &mut impl FnMut(&str) -> u32) -> Option<String> {
        self.next.take().or_else(|| self.execute(write))
    }

    /// Takes back a reply: its time has not come.
    pub(super) fn put_back(&mut self, reply: String) {
        self.next = Some(reply);
    }

    /// Executes the next request.
    pub(super) fn execute(&mut self, write: &mut impl FnMut(&str) -> u32) -> Option<String> {
        let request = self.inbox.pop_front()?;
        Some(match (request.as_str(), &mut self.queued) {
            ("MULTI", None) => {
                self.queued = Some(Vec::new());
                "+OK\r\n".to_owned()
            }
            ("EXEC", Some(queued)) => {
                let replies: Vec<_> = queued.iter().map(|request| answer(request, write)).collect();
                self.queued = None;
                format!("*{}\r\n{}", replies.len(), replies.concat())
            }
            (_, Some(queued)) => {
                queued.push(request);
                "+QUEUED\r\n".to_owned()
            }
            (_, None) => answer(&request, write),
        })
    }
}

/// What a node answers: each key's value is its name, and each write's reply its number.
fn answer(request: &str, write: &mut impl FnMut(&str) -> u32) -> String {
    let mut words = request.split(' ');
    match words.next() {
        Some("GET") => format!("+{}\r\n", words.next().unwrap()),
        Some("MGET") => {
            let values: Vec<_> = words.map(|key| format!("+{key}\r\n")).collect();
            format!("*{}\r\n{}", values.len(), values.concat())
        }
        Some("RPUSH") => format!(":{}\r\n", write(words.next().unwrap())),
        Some("BLPOP") => {
            let key = words.next().unwrap();
            format!("*2\r\n+{key}\r\n:{}\r\n", write(key))
        }
        Some("WATCH" | "UNWATCH") => "+OK\r\n".to_owned(),
        Some("DBSIZE") => ":1\r\n".to_owned(),
        other => panic!("a node was sent {other:?}"),
    }
}
