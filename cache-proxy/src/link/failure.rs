//! What can go wrong with a node connection: what to tell the health service, and the client.

use std::io;

use cluster::ReportKind;
use resp::ProtocolError;

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
    /// It says more than it was asked.
    #[error("{0}")]
    Protocol(String),
    /// It answered something that cannot be read.
    #[error("{0}")]
    Reply(ProtocolError),
    /// It lets nobody in who logs in like this.
    #[error("{0}")]
    Login(String),
    /// It refused the connection's handshake.
    #[error("handshake refused: {0}")]
    Handshake(String),
    /// This proxy could not even try: no file descriptor or port left, or the name does not resolve.
    #[error("cannot connect from here: {0}")]
    Own(String),
}

impl Failure {
    /// The failure behind an IO error.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::AddrNotAvailable => Self::Own(error.to_string()),
            _ if is_out_of_files(error) => Self::Own(error.to_string()),
            // The system numbers its errors; what has no number never got as far as a connection.
            _ if error.raw_os_error().is_none() => Self::Own(error.to_string()),
            _ => Self::Lost(error.to_string()),
        }
    }

    /// What a node's error to the handshake means. `None`: it has no password, and is used without.
    pub(crate) fn of_handshake(error: &str) -> Option<Self> {
        if cluster::has_no_password(error) {
            return None;
        }
        Some(cluster::login_problem(error).map_or_else(|| Self::Handshake(error.to_owned()), Self::Login))
    }

    /// How it is reported. `None`: it says nothing about the node.
    pub(crate) fn kind(&self) -> Option<ReportKind> {
        match self {
            Self::Refused => Some(ReportKind::Refused),
            Self::Lost(_) => Some(ReportKind::Reset),
            Self::Timeout => Some(ReportKind::Timeout),
            Self::Protocol(_) | Self::Reply(_) => Some(ReportKind::Protocol),
            Self::Login(_) | Self::Handshake(_) => Some(ReportKind::Error),
            Self::Own(_) => None,
        }
    }
}

/// Whether the process or the system has no file descriptor left.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    /// `ENFILE` and `EMFILE` on Linux.
    const OUT_OF_FILES: [i32; 2] = [23, 24];
    error.raw_os_error().is_some_and(|number| OUT_OF_FILES.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_password_is_told_from_other_refusals() {
        let text = |error| Failure::of_handshake(error).map(|failure| failure.to_string());
        let problem = "the node does not take the password (--node-password): WRONGPASS no";
        assert_eq!(text("WRONGPASS no").as_deref(), Some(problem));
        assert_eq!(text("LOADING wait").as_deref(), Some("handshake refused: LOADING wait"));
        assert_eq!(text("ERR AUTH <password> called without any password configured for …"), None);
    }

    #[test]
    fn what_the_proxy_itself_lacks_is_no_failure_of_the_node() {
        let kind = |number| Failure::of(&io::Error::from_raw_os_error(number)).kind();
        // EMFILE, EADDRNOTAVAIL; ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ETIMEDOUT.
        assert_eq!([24, 99].map(kind), [None, None]);
        let expected = [ReportKind::Refused, ReportKind::Reset, ReportKind::Reset, ReportKind::Timeout];
        assert_eq!([111, 104, 113, 110].map(kind), expected.map(Some));
        assert_eq!(Failure::of(&io::Error::other("failed to lookup address information")).kind(), None);
    }
}
