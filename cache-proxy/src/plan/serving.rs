//! Which node serves all keys of a request, or why none does.
//!
//! Pure.

use cluster::{NodeIndex, Routing};
use commands::KeyPositions;
use resp::Request;

use crate::plan::refuse::{NO_NODE, NO_VIEW, crossslot};

/// Why a request cannot be sent to one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// There is no view yet.
    NoView,
    /// No node is in service.
    NoNode,
    /// It names no key.
    NoKey,
    /// The keys at these positions are on different nodes.
    Apart(usize, usize),
}

/// The node that serves every key at `keys`.
///
/// # Errors
/// There is no such node.
#[inline]
pub(crate) fn node_of_all(
    routing: Option<&Routing>,
    keys: &mut KeyPositions,
    request: &Request<'_>,
) -> Result<NodeIndex, Unserved> {
    let routing = routing.ok_or(Unserved::NoView)?;
    let serving = |position| routing.serving(routing.slot(request.arg(position)));
    let first = keys.next().ok_or(Unserved::NoKey)?;
    let node = serving(first).ok_or(Unserved::NoNode)?;
    match keys.find(|position| serving(*position) != Some(node)) {
        None => Ok(node),
        Some(other) => Err(Unserved::Apart(first, other)),
    }
}

impl Unserved {
    /// The error that the client gets.
    #[cold]
    pub(crate) fn text(self, request: &Request<'_>) -> String {
        match self {
            Self::NoView => NO_VIEW.to_owned(),
            Self::NoNode => NO_NODE.to_owned(),
            Self::NoKey => "ERR syntax error".to_owned(),
            Self::Apart(a, b) => crossslot(request.arg(a), request.arg(b)),
        }
    }
}
