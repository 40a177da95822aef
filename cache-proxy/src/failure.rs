//! What can go wrong with a node connection: what to tell the health service, and the client.

use std::io;

use cluster::ReportKind;

/// Why a connection to a node was given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// It was there and went away.
    #[error("connection lost: {0}")]
    Lost(String),
    /// No connection, or no reply, in time.
    #[error("no answer in time")]
    Timeout,
    /// It speaks, but not RESP, or more than it was asked.
    #[error("{0}")]
    Protocol(String),
    /// It refused the connection's handshake.
    #[error("handshake refused: {0}")]
    Handshake(String),
}

impl Failure {
    /// The failure behind an IO error.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Lost(error.to_string()),
        }
    }

    /// How it is reported.
    pub(crate) fn kind(&self) -> ReportKind {
        match self {
            Self::Refused => ReportKind::Refused,
            Self::Lost(_) => ReportKind::Reset,
            Self::Timeout => ReportKind::Timeout,
            Self::Protocol(_) => ReportKind::Protocol,
            Self::Handshake(_) => ReportKind::Error,
        }
    }
}
