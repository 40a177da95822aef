//! Just enough of HTTP to ask the health service: one request per connection.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::eventually::PATIENCE;

/// Status and body of a `GET`, or why there is none.
pub(crate) fn get(address: &str, path: &str) -> Result<(u16, String), String> {
    // HTTP/1.0: the body ends with the connection, so there are no chunks to put together.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    let text = exchange(address, request.as_bytes()).map_err(|error| format!("{address}{path}: {error}"))?;
    let (head, body) =
        text.split_once("\r\n\r\n").ok_or_else(|| format!("{address}{path}: no head: {text}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| format!("{address}{path}: no status: {head}"))?, body.to_owned()))
}

/// The JSON that a path answers with status 200.
pub(crate) fn get_json(address: &str, path: &str) -> Result<Value, String> {
    match get(address, path)? {
        (200, body) => serde_json::from_str(&body).map_err(|error| format!("{path}: {error}: {body}")),
        (status, body) => Err(format!("{path} answered {status}: {body}")),
    }
}

/// Sends bytes and gives everything that comes back until the other side closes.
pub(crate) fn exchange(address: &str, bytes: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
