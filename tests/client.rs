//! A Redis client that hides nothing: it sends bytes and gives back the bytes of the reply.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use resp::{Limits, ReplyScanner, encode_request};

use crate::eventually::PATIENCE;

/// Anything with two directions: TCP or a Unix socket.
pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One connection.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

impl Client {
    /// Connects by TCP. A reply that takes longer than [`PATIENCE`] is an error, and so is a request that nobody reads.
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::over(stream))
    }

    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), received: Vec::new() }
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub(crate) fn send(&mut self, args: &[&[u8]]) -> io::Result<()> {
        let mut request = Vec::new();
        encode_request(&mut request, args.iter().copied());
        self.send_raw(&request)
    }

    /// The bytes of the next reply; an error when the connection ends instead.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut scanner = ReplyScanner::new(Limits::default());
        loop {
            match scanner.scan(&self.received) {
                Ok(Some(length)) => return Ok(self.received.drain(..length).collect()),
                Ok(None) if self.receive_more()? == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
            }
        }
    }

    /// Everything that comes until the other side closes, or resets the connection.
    pub(crate) fn receive_to_end(&mut self) -> Vec<u8> {
        while self.receive_more().is_ok_and(|length| length > 0) {}
        std::mem::take(&mut self.received)
    }

    fn receive_more(&mut self) -> io::Result<usize> {
        let mut piece = [0; 16 * 1024];
        let length = self.stream.read(&mut piece)?;
        self.received.extend_from_slice(&piece[..length]);
        Ok(length)
    }

    /// Sends one request and gives the bytes of its reply.
    pub(crate) fn try_ask(&mut self, args: &[&[u8]]) -> io::Result<Vec<u8>> {
        self.send(args)?;
        self.receive()
    }

    /// Sends a request written with blanks between its arguments and gives the text of its reply. The
    /// connection must hold.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let reply = self.try_ask(&args).unwrap_or_else(|error| panic!("{line}: {error}"));
        String::from_utf8_lossy(&reply).into_owned()
    }
}
