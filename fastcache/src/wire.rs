//! The two questions this command asks a process: PING over Redis' protocol, and GET over HTTP.
//!
//! Plain blocking sockets with a deadline for the whole exchange, and answers of bounded length: it has
//! to work in a container's health check, where starting a runtime would be most of the work.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// A view of ten thousand nodes stays below this.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Why a question got no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// The name or address leads nowhere.
    #[error("cannot resolve {address}: {problem}")]
    Address { address: String, problem: String },
    /// Nobody answers, or not in time.
    #[error("{address} does not answer: {problem}")]
    Silent { address: String, problem: std::io::Error },
    /// Somebody answers, but not as expected.
    #[error("{address} answered {answer}")]
    Unexpected { address: String, answer: String },
}

/// An answer over HTTP.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Asks for PONG.
///
/// # Errors
/// When it is not answered with `+PONG`, or that a password is wanted, within `patience`.
pub(crate) fn ping(address: &str, patience: Duration) -> Result<(), AskError> {
    /// Longer answers are errors anyway; this shows enough of them.
    const MAX_LINE_BYTES: usize = 256;
    let answer = exchange(address, b"*1\r\n$4\r\nPING\r\n", patience, |answer| {
        answer.contains(&b'\n') || answer.len() >= MAX_LINE_BYTES
    })?;
    let line = String::from_utf8_lossy(&answer);
    match line.lines().next().unwrap_or_default() {
        "+PONG" => Ok(()),
        // It serves whoever knows its password.
        line if line.starts_with("-NOAUTH ") => Ok(()),
        "" => Err(unexpected(address, "nothing")),
        other => Err(unexpected(address, &format!("\"{}\"", other.escape_debug()))),
    }
}

/// Gets a page. `url` is `http://HOST[:PORT][/PATH]`.
///
/// # Errors
/// When there is no HTTP answer within `patience`. Any status is an answer.
pub(crate) fn http_get(url: &str, patience: Duration) -> Result<HttpAnswer, AskError> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    // HTTP/1.0: the answer is not cut into chunks and ends with the connection.
    let question =
        format!("GET /{path} HTTP/1.0\r\nHost: {authority}\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    let answer = exchange(&address, question.as_bytes(), patience, |answer| answer.len() > MAX_ANSWER_BYTES)?;
    parse_answer(&answer).ok_or_else(|| unexpected(&address, "something that is not HTTP"))
}

fn parse_answer(answer: &[u8]) -> Option<HttpAnswer> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(HttpAnswer { status, body: body.to_owned() })
}

/// Sends a question and reads until `is_whole` or the end of the connection.
fn exchange(
    address: &str,
    question: &[u8],
    patience: Duration,
    is_whole: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, AskError> {
    let deadline = Instant::now() + patience;
    let silent = |problem| AskError::Silent { address: address.to_owned(), problem };
    let mut stream = connect(address, deadline)?;
    stream.set_write_timeout(Some(left(deadline).map_err(silent)?)).map_err(silent)?;
    stream.write_all(question).map_err(silent)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&answer) {
        stream.set_read_timeout(Some(left(deadline).map_err(silent)?)).map_err(silent)?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            // What a read timeout is called differs between systems.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(silent(error)),
        }
    }
    Ok(answer)
}

/// Connects to the first of the name's addresses that accepts.
fn connect(address: &str, deadline: Instant) -> Result<TcpStream, AskError> {
    let unresolved = |problem: String| AskError::Address { address: address.to_owned(), problem };
    let candidates = address.to_socket_addrs().map_err(|error| unresolved(error.to_string()))?;
    let mut last = None;
    for candidate in candidates {
        match left(deadline).and_then(|left| TcpStream::connect_timeout(&candidate, left)) {
            Ok(stream) => return Ok(stream),
            Err(problem) => last = Some(AskError::Silent { address: address.to_owned(), problem }),
        }
    }
    Err(last.unwrap_or_else(|| unresolved("the name has no address".into())))
}

/// The time left, never zero, which sockets take for "no limit".
fn left(deadline: Instant) -> std::io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn unexpected(address: &str, answer: &str) -> AskError {
    AskError::Unexpected { address: address.to_owned(), answer: answer.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A server that reads one question and gives this answer in pieces, then closes.
    fn answering(pieces: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 1024];
            let _ = stream.read(&mut question);
            for piece in pieces {
                stream.write_all(piece.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn pong_and_the_wish_for_a_password_are_good_answers_to_ping() {
        assert!(ping(&answering(&["+PO", "NG\r\n"]), PATIENCE).is_ok());
        assert!(ping(&answering(&["-NOAUTH Authentication required.\r\n"]), PATIENCE).is_ok());
        for (pieces, told) in
            [(&["-LOADING wait\r\n"][..], "answered \"-LOADING wait\""), (&[][..], "answered nothing")]
        {
            let problem = ping(&answering(pieces), PATIENCE).unwrap_err().to_string();
            assert!(problem.ends_with(told), "{problem}");
        }
    }

    #[test]
    fn silence_and_refusal_are_told_apart_from_answers() {
        // It accepts connections (the system does) and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        assert!(matches!(ping(&address, Duration::from_millis(50)), Err(AskError::Silent { .. })));
        drop(silent);
        let refused = ping(&address, PATIENCE).unwrap_err();
        assert!(matches!(refused, AskError::Silent { .. }));
        // The whole chain of causes, as the command prints it, tells the cause once.
        let told = format!("{:#}", anyhow::Error::new(refused));
        assert_eq!(told.matches("refused").count(), 1, "{told}");
        assert!(matches!(ping("nowhere.invalid:1", PATIENCE), Err(AskError::Address { .. })));
    }

    #[test]
    fn a_page_is_its_status_and_body() {
        let address = answering(&["HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r", "\n{}"]);
        let answer = http_get(&format!("http://{address}/readyz"), PATIENCE).unwrap();
        assert_eq!(answer, HttpAnswer { status: 503, body: "{}".into() });
        let garbage = http_get(&format!("http://{}/", answering(&["+PONG\r\n"])), PATIENCE);
        assert!(matches!(garbage, Err(AskError::Unexpected { .. })));
    }
}
