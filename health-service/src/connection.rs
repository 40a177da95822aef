//! A connection to a node or proxy that speaks RESP: what the health service asks there, and what is a failure.
//!
//! Each question is one small write and each answer is read whole, up to a bound. It keeps no time: whoever asks
//! has the deadline.

use std::io;
use std::net::SocketAddr;

use cluster::{NodeLogin, NodeType, has_no_password, login_problem};
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::verdict::Failure;

/// Longest reply that is read: `INFO server` of Redis 7 is 500 bytes.
const MAX_REPLY_LEN: usize = 64 << 10;
/// Longest part of an unexpected answer that is shown.
const SHOWN_LEN: usize = 80;

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const INFO_SERVER: &[u8] = b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n";

/// A connection to a node or proxy that speaks RESP.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// Node or proxy: only a node is logged in to.
    kind: NodeType,
}

impl Connection {
    pub(crate) async fn to(addrs: &[SocketAddr], kind: NodeType) -> Result<Self, Failure> {
        let stream = TcpStream::connect(addrs).await.map_err(|e| connect_failure(&e))?;
        // A probe is one small write; waiting for more would only delay it.
        stream.set_nodelay(true).map_err(|e| Failure::Closed(e.to_string()))?;
        Ok(Self { stream, received: Vec::new(), kind })
    }

    /// Sends one command as it stands on the wire and reads its reply.
    pub(crate) async fn call(&mut self, command: &[u8]) -> Result<OwnedFrame, Failure> {
        self.send(command).await?;
        self.reply().await
    }

    pub(crate) async fn ping(&mut self) -> Result<(), Failure> {
        let reply = self.call(PING).await?;
        self.expect_pong(reply)
    }

    /// Logs in.
    pub(crate) async fn log_in(&mut self, login: &NodeLogin) -> Result<(), Failure> {
        let reply = self.call(login.request()).await?;
        self.expect_login(reply)
    }

    /// All that a new connection is asked, in one piece.
    pub(crate) async fn log_in_and_ping(
        &mut self,
        login: Option<&NodeLogin>,
    ) -> Result<Option<String>, Failure> {
        let auth = login.map_or(&[][..], NodeLogin::request);
        self.send(&[auth, PING, INFO_SERVER].concat()).await?;
        if login.is_some() {
            let reply = self.reply().await?;
            self.expect_login(reply)?;
        }
        let reply = self.reply().await?;
        self.expect_pong(reply)?;
        let info = self.reply().await?;
        self.run_id_in(&info)
    }

    /// Asks which process this is; `None` when it does not say.
    pub(crate) async fn run_id(&mut self) -> Result<Option<String>, Failure> {
        let info = self.call(INFO_SERVER).await?;
        self.run_id_in(&info)
    }

    fn expect_login(&self, reply: OwnedFrame) -> Result<(), Failure> {
        match reply {
            OwnedFrame::SimpleString(text) if text == b"OK" => Ok(()),
            OwnedFrame::Error(text) if has_no_password(&text) => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    fn expect_pong(&self, reply: OwnedFrame) -> Result<(), Failure> {
        match reply {
            OwnedFrame::SimpleString(text) if text == b"PONG" => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The process, if it says. One that has no INFO is used without; one that keeps it from its user is not,
    /// because its restarts would go unnoticed.
    fn run_id_in(&self, info: &OwnedFrame) -> Result<Option<String>, Failure> {
        match info {
            OwnedFrame::BulkString(text) => Ok(run_id(text)),
            other => match self.unexpected(other) {
                login @ Failure::Login(_) => Err(login),
                _ => Ok(None),
            },
        }
    }

    /// The failure that a reply other than the expected one is.
    pub(crate) fn unexpected(&self, reply: &OwnedFrame) -> Failure {
        match reply {
            OwnedFrame::Error(text) => {
                let text = shown(text.as_bytes());
                let login = login_problem(&text).filter(|_| self.kind == NodeType::Node);
                login.map_or(Failure::Error(text), Failure::Login)
            }
            OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => Failure::Garbage(shown(bytes)),
            OwnedFrame::Integer(number) => Failure::Garbage(number.to_string()),
            OwnedFrame::Array(_) | OwnedFrame::Null => Failure::Garbage("an array or null".to_owned()),
        }
    }

    async fn send(&mut self, command: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(command).await.map_err(|e| Failure::Closed(e.to_string()))
    }

    async fn reply(&mut self) -> Result<OwnedFrame, Failure> {
        loop {
            // None of the commands sent here is answered by an array, and the decoder recurses into
            // them without a limit.
            if self.received.first().is_some_and(|first| !b"+-:$".contains(first)) {
                return Err(Failure::Garbage(shown(&self.received)));
            }
            match decode(&self.received) {
                Ok(Some((frame, len))) => {
                    self.received.drain(..len);
                    return Ok(frame);
                }
                Ok(None) if self.received.len() < MAX_REPLY_LEN => self.receive().await?,
                Ok(None) | Err(_) => return Err(Failure::Garbage(shown(&self.received))),
            }
        }
    }

    async fn receive(&mut self) -> Result<(), Failure> {
        match self.stream.read_buf(&mut self.received).await {
            Ok(0) => Err(Failure::Closed("end of stream".to_owned())),
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::Closed(error.to_string())),
        }
    }

    pub(crate) async fn wait_for_end(&mut self) {
        // Bytes that nobody asked for end it as well: the next reply could not be told from them.
        let _ = self.stream.read_u8().await;
    }
}

fn connect_failure(error: &io::Error) -> Failure {
    if is_local(error) {
        return Failure::Local(error.to_string());
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::ConnectionReset => Failure::Closed(error.to_string()),
        _ => Failure::Unreachable(error.to_string()),
    }
}

/// Whether this process or its host is short of something.
pub(crate) fn is_local(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::ADDRNOTAVAIL, Errno::NOBUFS];
    Errno::from_io_error(error).is_some_and(|error| shortages.contains(&error))
}

fn run_id(info: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(info);
    let line = text.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    // Redis' own have 40 digits; more than a few more is no run id.
    let fits = !line.is_empty() && line.len() <= 64 && line.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then(|| line.to_owned())
}

/// The start of an answer, printable.
fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(SHOWN_LEN)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_of_the_checker_is_not_the_members_fault() {
        for errno in [24, 23, 12, 99, 105] {
            let failure = connect_failure(&io::Error::from_raw_os_error(errno));
            assert!(matches!(failure, Failure::Local(_)), "{errno}: {failure:?}");
        }
        // ECONNREFUSED, EHOSTUNREACH, ENETUNREACH
        for errno in [111, 113, 101] {
            let failure = connect_failure(&io::Error::from_raw_os_error(errno));
            assert!(!matches!(failure, Failure::Local(_)), "{errno}: {failure:?}");
        }
    }
}
