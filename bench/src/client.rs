//! A blocking Redis client that hides nothing: it sends requests and gives the bytes of the replies.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use resp::{Limits, ReplyScanner, encode_request};

/// Longer than any single reply takes on a busy machine; a subject that hangs must not hang the run.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes asked for at a time, when it is not known how many will come.
const PIECE: usize = 16 * 1024;
/// The most asked for at a time: few calls for large values.
const LARGE_PIECE: usize = 1024 * 1024;

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    unsent: Vec<u8>,
    received: Vec<u8>,
    /// Up to where `received` has been given away.
    taken: usize,
    scanner: ReplyScanner,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let scanner = ReplyScanner::new(Limits::default());
        Ok(Self { stream, unsent: Vec::new(), received: Vec::new(), taken: 0, scanner })
    }

    /// Puts a request behind those not yet sent.
    pub fn queue(&mut self, args: &[&[u8]]) {
        encode_request(&mut self.unsent, args.iter().copied());
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// When the connection is lost, or nothing is taken for a minute.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.unsent)?;
        self.unsent.clear();
        Ok(())
    }

    /// The bytes of the next reply, line ends included.
    ///
    /// # Errors
    /// When the connection is lost, nothing comes for a minute, or it is not RESP.
    pub fn receive(&mut self) -> io::Result<&[u8]> {
        loop {
            let scanned = self.scanner.scan(&self.received[self.taken..]);
            let scanned =
                scanned.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            if let Some(length) = scanned {
                let start = self.taken;
                self.taken += length;
                return Ok(&self.received[start..self.taken]);
            }
            self.receive_more()?;
        }
    }

    fn receive_more(&mut self) -> io::Result<()> {
        self.received.drain(..self.taken);
        self.taken = 0;
        let filled = self.received.len();
        let missing = self.scanner.wanted_len().saturating_sub(filled);
        self.received.resize(filled + missing.clamp(PIECE, LARGE_PIECE), 0);
        let result = self.stream.read(&mut self.received[filled..]);
        self.received.truncate(filled + *result.as_ref().unwrap_or(&0));
        match result? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection")),
            _ => Ok(()),
        }
    }

    /// Sends one request and gives the bytes of its reply.
    ///
    /// # Errors
    /// As [`flush`](Self::flush) and [`receive`](Self::receive).
    pub fn ask(&mut self, args: &[&[u8]]) -> io::Result<&[u8]> {
        self.queue(args);
        self.flush()?;
        self.receive()
    }

    /// The bare connection: it stays open, and takes no memory here.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Sends a request written with blanks between its arguments and gives the text of its reply; an error reply is
    /// an error.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), and when the reply is an error.
    pub fn ask_line(&mut self, line: &str) -> io::Result<String> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let reply = self.ask(&args)?;
        let text = String::from_utf8_lossy(reply).into_owned();
        if reply.first() == Some(&b'-') {
            Err(io::Error::other(format!("{line}: {}", text.trim_end())))
        } else {
            Ok(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn replies_come_in_order_however_they_are_split() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 28];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(&request, b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n");
            stream.write_all(b"+PO").unwrap();
            stream.write_all(b"NG\r\n-ERR no\r\n").unwrap();
        });
        let mut client = Client::connect(address).unwrap();
        client.queue(&[b"PING"]);
        client.queue(&[b"PING"]);
        client.flush().unwrap();
        assert_eq!(client.receive().unwrap(), b"+PONG\r\n");
        assert_eq!(client.receive().unwrap(), b"-ERR no\r\n");
        server.join().unwrap();
        assert!(client.receive().is_err(), "the connection is closed");
    }
}
