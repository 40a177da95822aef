//! Why a request cannot be served, and in which words.
//!
//! Pure.

use commands::{Command, KeyError};
use resp::Request;

/// Why a request cannot be served. `Display` is the text of the error reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("ERR wrong number of arguments for '{}' command", .0.name)]
    Arity(Named),
    /// `EXEC` with arguments ends the transaction, or what is watched for the next.
    #[error("EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command")]
    Exec,
    /// No manual of Redis tells how it is written.
    #[error("ERR wrong number of arguments for '{}' command; PROXY HELP shows its forms", .0.name)]
    Proxy(Named),
    #[error("ERR {0}")]
    Keys(KeyError),
    #[error("ERR unknown subcommand '{given}'. Try {} HELP.", command.to_ascii_uppercase())]
    Subcommand { command: &'static str, given: String },
    #[error("ERR '{}' without a key cannot be routed: the proxy chooses the node by key", .0.name)]
    NoKey(Named),
    #[error("ERR '{}' names another database; the cluster has only database 0", .0.name)]
    Database(Named),
    #[error("ERR '{}' with a pattern reads keys that may be on other nodes; give the pattern the {{tag}} of the key", .0.name)]
    Pattern(Named),
    #[error("ERR '{}' cannot be part of a transaction: it does not concern the keys of one node", .0.name)]
    NoPart(Named),
    #[error("ERR Command not allowed inside a transaction")]
    NotInMulti,
    #[error("ERR '{}' administers one server; ask the node itself", .0.name)]
    Admin(Named),
}

/// A command by its name, for error texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: &'static str,
}

impl Refusal {
    /// Too few or too many arguments.
    pub(crate) fn arity(command: &Command) -> Self {
        match command.name {
            "exec" => Self::Exec,
            name if name.split('|').next() == Some("proxy") => Self::Proxy(Named { name }),
            name => Self::Arity(Named { name }),
        }
    }

    /// It does not say which of its arguments are keys.
    pub(crate) fn keys(command: &Command, error: KeyError) -> Self {
        match error {
            KeyError::Arity { .. } => Self::arity(command),
            error => Self::Keys(error),
        }
    }

    /// It may look at any key, and says of none that it does.
    pub(crate) fn no_key(command: &Command) -> Self {
        Self::NoKey(Named { name: command.name })
    }

    /// One node cannot execute it among others.
    pub(crate) fn no_part(command: &Command) -> Self {
        Self::NoPart(Named { name: command.name })
    }

    /// `command` has no subcommand of the given name.
    pub(crate) fn subcommand(command: &Command, given: &[u8]) -> Self {
        /// As much of it as Redis shows.
        const SHOWN: usize = 128;
        let given = String::from_utf8_lossy(&given[..given.len().min(SHOWN)]).into_owned();
        Self::Subcommand { command: command.name, given }
    }
}

/// The error reply for a command that no Redis knows, in Redis' words.
pub(crate) fn unknown_command(request: &Request<'_>) -> String {
    /// Redis shows this many bytes of the name, and of all arguments together.
    const SHOWN: usize = 128;
    let cut =
        |bytes: &[u8], most: usize| String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned();
    let mut args = String::new();
    for arg in request.args().skip(1) {
        if args.len() >= SHOWN {
            break;
        }
        args += &format!("'{}' ", cut(arg, SHOWN - args.len()));
    }
    format!("ERR unknown command '{}', with args beginning with: {args}", cut(request.arg(0), SHOWN))
}
