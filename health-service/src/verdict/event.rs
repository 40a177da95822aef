//! What happens to a verdict ([`Event`]) and what it wants done ([`Action`]).
//!
//! Both are plain data, so a test can play any history and read what would have been done.

use std::fmt;
use std::time::Duration;

use cluster::{MaintenanceMode, NodeId, ReportKind, Status};

/// Time since 1970. The shell derives it from a clock that never goes back.
pub type Timestamp = Duration;

/// A member's place among all members: the nodes in the topology's order, then the proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberIndex(pub usize);

/// One probe, from the action that asks for it to the event that brings its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// Why a probe is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The first look after the service started.
    Start,
    /// Its turn in the interval.
    Schedule,
    /// It is not healthy, and may be back.
    Recheck,
    /// A proxy reported it, or its kept connection broke: one look that decides at once.
    Confirm,
    /// An operator asked.
    Request,
}

impl Cause {
    /// Every cause there is.
    pub const ALL: [Self; 5] = [Self::Start, Self::Schedule, Self::Recheck, Self::Confirm, Self::Request];

    /// The word used in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Schedule => "schedule",
            Self::Recheck => "recheck",
            Self::Confirm => "confirm",
            Self::Request => "request",
        }
    }
}

/// What a probe found.
pub type Outcome = Result<Success, Failure>;

/// An answered probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success {
    /// From the start of the probe to the answer.
    pub response_time: Duration,
    /// The process behind the address, when the probe asked (it does on every new connection).
    pub run_id: Option<String>,
}

/// A probe that was not answered as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nothing listens.
    Refused,
    /// Silence for this long.
    Timeout(Duration),
    /// The connection broke.
    Closed(String),
    /// The host cannot be reached, or its name is said not to exist.
    Unreachable(String),
    /// The checker itself is short of something (descriptors, memory, ports, a name server): this says
    /// nothing about the member and counts neither for nor against it.
    Local(String),
    /// It lets nobody in who logs in like this, in words. That may be the checker's mistake: a node in use fails by
    /// it only if there is another witness.
    Login(String),
    /// It answered an error: `-LOADING`, ...
    Error(String),
    /// It answered something that is not the protocol, or not the answer to what was asked.
    Garbage(String),
}

impl Failure {
    /// Every word that [`Failure::reason`] gives.
    pub const REASONS: [&'static str; 8] =
        ["refused", "timeout", "closed", "unreachable", "local", "login", "error", "garbage"];

    /// The word used in metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Timeout(_) => "timeout",
            Self::Closed(_) => "closed",
            Self::Unreachable(_) => "unreachable",
            Self::Local(_) => "local",
            Self::Login(_) => "login",
            Self::Error(_) => "error",
            Self::Garbage(_) => "garbage",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Timeout(limit) => write!(f, "no answer within {} ms", limit.as_millis()),
            Self::Closed(text) => write!(f, "connection broke: {text}"),
            Self::Unreachable(text) => write!(f, "not reachable: {text}"),
            Self::Local(text) => write!(f, "not checked, the checker itself fails: {text}"),
            Self::Login(text) => f.write_str(text),
            Self::Error(text) => write!(f, "answered an error: {text}"),
            Self::Garbage(text) => write!(f, "answered garbage: {text}"),
        }
    }
}

/// A node that was made fit to be routable again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejoined {
    /// The process that was found or made empty.
    pub run_id: Option<String>,
    /// Whether it had to be flushed; a freshly started empty one need not be.
    pub flushed: bool,
}

/// Something happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time passed.
    Tick,
    /// A probe ended.
    Probed(ProbeId, Outcome),
    /// The kept connection to a member was closed by the other side.
    Lost(MemberIndex),
    /// A proxy could not use a node.
    Reported {
        /// The node.
        node: MemberIndex,
        /// The proxy.
        by: NodeId,
        /// What it saw.
        kind: ReportKind,
    },
    /// An operator wants a member probed now.
    CheckRequested(MemberIndex),
    /// An operator takes a node out of service or puts it back.
    Maintenance(MemberIndex, MaintenanceMode),
    /// A rejoin ended: the number is that of [`Action::Rejoin`].
    Rejoined(MemberIndex, u64, Result<Rejoined, Failure>),
    /// A proxy holds a view with this epoch.
    EpochSeen(u64),
}

/// Something is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Probe a member and bring the outcome as [`Event::Probed`].
    Probe {
        /// To be named in the event.
        id: ProbeId,
        /// Whom to probe.
        member: MemberIndex,
        /// Why.
        cause: Cause,
        /// From connecting to the last byte of the answer.
        timeout: Duration,
    },
    /// Make sure the node holds nothing stale and bring the result as [`Event::Rejoined`].
    Rejoin {
        /// The node.
        node: MemberIndex,
        /// To be named in the event.
        attempt: u64,
        /// The process that last served; another one that is empty need not be flushed.
        known_run_id: Option<String>,
    },
    /// A member's status or routability changed: for the log and the journal.
    Note(Transition),
    /// What must survive a restart changed: save it.
    Save,
    /// The view changed and has a new epoch: save it, then publish it.
    Publish,
}

/// One change of a member's status or routability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Who.
    pub member: MemberIndex,
    /// When.
    pub at: Timestamp,
    /// The epoch after it.
    pub epoch: u64,
    /// The status before.
    pub from: Status,
    /// The status after.
    pub to: Status,
    /// Routable after it.
    pub routable: bool,
    /// In words.
    pub cause: String,
}
