//! The Redis wire protocol, RESP2 and RESP3, as pure functions over bytes.
//!
//! The one idea: a *scanner* finds where a request or a reply ends and where its arguments lie, and builds
//! nothing. It remembers how far it has looked, so bytes that arrive in pieces are looked at once: a 100 MB
//! value in 64 KiB reads costs one pass. Whoever holds the buffer then forwards, executes or merges slices
//! of it.
//!
//! - [`RequestScanner`]: what clients send: multibulk requests and inline commands.
//! - [`RequestQueue`]: requests kept to be executed later.
//! - [`ReplyScanner`] and [`Elements`]: what nodes answer, and a look inside one aggregate reply.
//! - [`Encoder`]: appends a reply in the form the protocol version of the reader asks for.
//!
//! Every limit is in [`Limits`]; every violation is a [`ProtocolError`] with Redis' own text. This crate does
//! no IO, reads no clock, and knows nothing of commands, clusters or caches.
//!
//! ```
//! use resp::{Limits, RequestScanner};
//!
//! let mut scanner = RequestScanner::new(Limits::default());
//! let bytes = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\nPING\r\n";
//! assert_eq!(scanner.scan(&bytes[..9]), Ok(None));
//! assert_eq!(scanner.scan(bytes), Ok(Some(22)));
//! assert_eq!(scanner.request(bytes).arg(1), b"key");
//! ```

mod double;
mod elements;
mod encode;
mod error;
mod inline;
mod limits;
mod number;
mod queue;
mod reply;
mod request;

pub use double::write_double;
pub use elements::{Elements, aggregate_len};
pub use encode::{Encoder, Protocol, encode_request};
pub use error::ProtocolError;
pub use limits::Limits;
pub use queue::RequestQueue;
pub use reply::ReplyScanner;
pub use request::{Request, RequestScanner, Unfinished};
