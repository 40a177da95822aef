//! Server-sent events, the reading half: bytes in, events out.
//!
//! A push parser for `text/event-stream` as far as the health service uses it: `id`, `event`, `data`
//! (joined by newlines when repeated), comments (a heartbeat is one), LF and CRLF, input split
//! anywhere. It does no IO and bounds what it holds: a stream with an endless event is an error.

/// One event, or the sign of life that a comment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SseEvent {
    /// A comment line.
    Heartbeat,
    /// An event with its data; `kind` is empty when the stream names none.
    Message { kind: String, data: Vec<u8> },
}

/// The stream holds more than the allowed bytes without completing an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {0} bytes")]
pub(crate) struct EventTooLong(usize);

/// Parser state between two chunks.
#[derive(Debug)]
pub(crate) struct SseParser {
    limit: usize,
    line: Vec<u8>,
    kind: String,
    data: Option<Vec<u8>>,
}

impl SseParser {
    /// A parser that holds at most about `limit` bytes of an unfinished event.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), kind: String::new(), data: None }
    }

    /// Takes the next bytes of the stream and appends the events they complete.
    pub(crate) fn push(&mut self, mut bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), EventTooLong> {
        while let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            self.extend_line(&bytes[..end])?;
            bytes = &bytes[end + 1..];
            let mut line = std::mem::take(&mut self.line);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            events.extend(self.end_line(&line));
            // Keeps the allocation for the next line.
            line.clear();
            self.line = line;
        }
        self.extend_line(bytes)
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), EventTooLong> {
        let held = self.line.len() + self.data.as_ref().map_or(0, Vec::len);
        if held + bytes.len() > self.limit {
            return Err(EventTooLong(self.limit));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, line: &[u8]) -> Option<SseEvent> {
        if line.is_empty() {
            let kind = std::mem::take(&mut self.kind);
            return self.data.take().map(|data| SseEvent::Message { kind, data });
        }
        let colon = line.iter().position(|&b| b == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"" => return Some(SseEvent::Heartbeat),
            b"event" => self.kind = String::from_utf8_lossy(value).into_owned(),
            b"data" => self.add_data(value),
            // `id` repeats the epoch that the data holds; `retry` and others are not ours to use.
            _ => {}
        }
        None
    }

    fn add_data(&mut self, value: &[u8]) {
        match &mut self.data {
            None => self.data = Some(value.to_vec()),
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: &str, data: &str) -> SseEvent {
        SseEvent::Message { kind: kind.to_owned(), data: data.as_bytes().to_vec() }
    }

    fn parse(chunks: &[&[u8]]) -> Vec<SseEvent> {
        let mut parser = SseParser::new(1_000);
        let mut events = Vec::new();
        for chunk in chunks {
            parser.push(chunk, &mut events).unwrap();
        }
        events
    }

    const STREAM: &str = "id: 7\nevent: view\ndata: {\"epoch\":7}\n\n: heartbeat\n\r\nretry: 10\r\ndata:a\r\ndata: b\r\n\r\nevent: lost\n\ndata\n\n";

    fn stream_events() -> Vec<SseEvent> {
        vec![message("view", "{\"epoch\":7}"), SseEvent::Heartbeat, message("", "a\nb"), message("", "")]
    }

    #[test]
    fn reads_events_comments_and_both_line_ends() {
        assert_eq!(parse(&[STREAM.as_bytes()]), stream_events());
    }

    #[test]
    fn an_unfinished_event_is_no_event() {
        assert_eq!(parse(&[b"data: half\n"]), []);
    }

    #[test]
    fn an_endless_event_is_an_error() {
        let mut parser = SseParser::new(10);
        let mut events = Vec::new();
        assert_eq!(parser.push(b"data: 0123456789", &mut events), Err(EventTooLong(10)));
        let mut parser = SseParser::new(10);
        let lines = b"data:12\n".repeat(6);
        assert_eq!(parser.push(&lines, &mut events), Err(EventTooLong(10)));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(cuts in prop::collection::vec(0..STREAM.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            cuts.push(STREAM.len());
            let mut from = 0;
            let chunks: Vec<&[u8]> = cuts.iter().map(|&to| {
                let chunk = &STREAM.as_bytes()[from..to];
                from = to;
                chunk
            }).collect();
            prop_assert_eq!(parse(&chunks), stream_events());
        }
    }
}
