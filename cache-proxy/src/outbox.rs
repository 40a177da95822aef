//! What the dispatcher asks the tasks around it to do.

use cluster::{NodeId, ReportKind};
use resp::Protocol;

use crate::explain::question::Question;
use crate::link::LinkId;
use crate::target::{ClientId, Target};

/// Work left for the tasks; they empty it after each event.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Clients with something to write, or that may be read again, or must be closed.
    pub(crate) clients: Vec<ClientId>,
    /// Links with something to write.
    pub(crate) links: Vec<LinkId>,
    /// What is seldom asked for.
    pub(crate) rare: Vec<RareWork>,
}

/// Work that comes with failures and new views, not with requests.
#[derive(Debug)]
pub(crate) enum RareWork {
    /// Connect a link.
    Open(LinkId),
    /// Close a link's socket; the link is gone.
    Close(LinkId),
    /// Give up the connection of a link whose node took too long.
    GiveUp(LinkId),
    /// Read a link that was halted.
    Resume(LinkId),
    /// Tell the health service.
    Report(Suspicion),
    /// Find the answer to a question about the proxy.
    Ask(Inquiry),
    /// Have the client's session look whether it may read again.
    Rouse(ClientId),
    /// Go on with the review of the subscriptions in the next turn.
    Review,
    /// See to it that deadlines are looked at: something is held.
    Watch,
}

/// A question of a client about the proxy.
#[derive(Debug)]
pub(crate) struct Inquiry {
    pub(crate) question: Question,
    /// Who gets the answer.
    pub(crate) target: Target,
    pub(crate) protocol: Protocol,
}

/// A node's trouble, as this worker saw it.
#[derive(Debug, Clone)]
pub(crate) struct Suspicion {
    pub(crate) node: NodeId,
    pub(crate) kind: ReportKind,
    pub(crate) detail: String,
}
