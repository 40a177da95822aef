//! Who a member is ([`NodeId`]) and where it listens ([`Address`]).
//!
//! Identity is the configured name, never an address or a hash of one: a container that gets a new
//! IP keeps its id, and so keeps its keys.

use std::borrow::Borrow;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest node id in bytes. Ids are hashed for every ring point, printed in every log line and
/// used as a URL segment; 64 holds any host name label.
pub const MAX_ID_LEN: usize = 64;

/// The configured name of a node or proxy, e.g. `node1`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(Arc<str>);

/// Why a text is not a node id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeIdError {
    /// The text is empty.
    #[error("an id must not be empty")]
    Empty,
    /// The text is longer than [`MAX_ID_LEN`].
    #[error("id of {0} bytes is longer than {MAX_ID_LEN}")]
    TooLong(usize),
    /// The text holds a character that would need quoting in a URL, a log field or `CLUSTER_NODES`.
    #[error("id {0:?} may only hold letters, digits, '.', '_', ':' and '-'")]
    BadCharacter(String),
    /// The text is `.` or `..`, which a URL path would lose.
    #[error("an id must not be {0:?}")]
    Dots(String),
}

impl NodeId {
    /// Checks and takes over an id.
    ///
    /// # Errors
    /// [`NodeIdError`] when it is empty, too long, `.`, `..`, or holds a character outside
    /// `[A-Za-z0-9._:-]`.
    pub fn new(id: &str) -> Result<Self, NodeIdError> {
        if id.is_empty() {
            return Err(NodeIdError::Empty);
        }
        if id.len() > MAX_ID_LEN {
            return Err(NodeIdError::TooLong(id.len()));
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
        if !id.bytes().all(allowed) {
            return Err(NodeIdError::BadCharacter(id.to_owned()));
        }
        if matches!(id, "." | "..") {
            return Err(NodeIdError::Dots(id.to_owned()));
        }
        Ok(Self(id.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeId {
    type Error = NodeIdError;

    fn try_from(id: String) -> Result<Self, NodeIdError> {
        Self::new(&id)
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(id: &str) -> Result<Self, NodeIdError> {
        Self::new(id)
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.as_str().to_owned()
    }
}

impl Borrow<str> for NodeId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A node's place in [`crate::Routing::nodes`]: its rank among the ids of one view. Valid only with
/// the routing it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u16);

impl NodeIndex {
    /// As an index into [`crate::Routing::nodes`].
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

/// Where a member listens: a host name or IP address and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address {text:?} is not HOST:PORT: {reason}")]
pub struct AddressError {
    text: String,
    reason: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `host:port` or `[ipv6]:port`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |reason| AddressError { text: text.to_owned(), reason };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| error("the port is missing"))?;
        let port: u16 = port.parse().map_err(|_| error("the port is not a number up to 65535"))?;
        if port == 0 {
            return Err(error("port 0 names no port"));
        }
        let host = parse_host(host).map_err(error)?;
        Ok(Self { host: host.to_owned(), port })
    }
}

fn parse_host(host: &str) -> Result<&str, &'static str> {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().map(|_| inner).map_err(|_| "not an IPv6 address in the brackets");
    }
    if host.is_empty() {
        return Err("the host is missing");
    }
    if host.contains(':') {
        return Err("an IPv6 address needs brackets");
    }
    // The longest name DNS can hold.
    if host.len() > 253 || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return Err("not a host name");
    }
    Ok(host)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked() {
        for good in ["node1", "a", "eu-west.cache_7", "10.0.0.1:7001"] {
            assert_eq!(NodeId::new(good).unwrap().as_str(), good);
        }
        assert_eq!(NodeId::new(""), Err(NodeIdError::Empty));
        assert_eq!(NodeId::new(&"x".repeat(65)), Err(NodeIdError::TooLong(65)));
        for bad in ["a b", "a/b", "a,b", "a=b", "naïve", "a\n"] {
            assert_eq!(NodeId::new(bad), Err(NodeIdError::BadCharacter(bad.to_owned())));
        }
        for bad in [".", ".."] {
            assert_eq!(NodeId::new(bad), Err(NodeIdError::Dots(bad.to_owned())));
        }
    }

    #[test]
    fn json_refuses_bad_ids() {
        assert!(serde_json::from_str::<NodeId>("\"node 1\"").is_err());
        assert_eq!(serde_json::to_string(&NodeId::new("n1").unwrap()).unwrap(), "\"n1\"");
    }

    #[test]
    fn addresses_survive_a_round_trip() {
        for text in ["127.0.0.1:7001", "localhost:1", "fastcache-node1:6379", "[::1]:65535"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn addresses_are_checked() {
        let check = |text: &str, reason: &str| {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        };
        check("localhost", "port is missing");
        check("localhost:", "not a number");
        check("localhost:65536", "not a number");
        check("localhost:0", "port 0");
        check(":7001", "host is missing");
        check("::1:7001", "needs brackets");
        check("[::g]:7001", "not an IPv6");
        check("a b:7001", "not a host name");
    }
}
