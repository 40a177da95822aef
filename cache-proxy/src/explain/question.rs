//! What can be asked about the proxy, over `PROXY …` and the admin port alike.
//!
//! Pure. It is worked on by a thread that serves no client (`desk`): a large cluster's answer takes milliseconds.

use std::time::{Instant, SystemTime};

use cluster::Routing;

use crate::explain::answer::Answer;
use crate::explain::overview::Overview;
use crate::{explain, explain::simulate};

/// Keys or nodes asked about at a time. Whoever asks for more has not asked for what a person reads.
const MOST_NAMES: usize = 1_000;

/// Bytes of a question: as many as the admin port takes in a URL.
pub(crate) const MOST_BYTES: usize = 64 * 1024;

/// A question, or the one order that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// Where are these keys, and why?
    Explain(Vec<Vec<u8>>),
    /// What is known of each node?
    Nodes,
    /// Which view is in force?
    View,
    /// What would happen if the nodes of these ids went out of service?
    Simulate(Vec<String>),
    /// The newest slow requests, so many at most.
    SlowLog(usize),
    /// How many slow requests are kept?
    SlowLogLen,
    /// Forget the slow requests.
    SlowLogReset,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// The question itself is at fault.
    #[error("{0}")]
    Asked(String),
    /// There is no view yet.
    #[error("the proxy has no view of the cluster yet")]
    NoView,
    /// The proxy is at fault.
    #[error("the proxy could not find the answer; its log tells why")]
    Failed,
}

impl Question {
    /// Keys or nodes that it names.
    fn names(&self) -> usize {
        match self {
            Self::Explain(keys) => keys.len(),
            Self::Simulate(ids) => ids.len(),
            _ => 0,
        }
    }

    /// Answers it. `now` and `clock` are the same moment.
    ///
    /// # Errors
    /// When it asks for what is not there.
    pub(crate) fn answer(
        &self,
        overview: &Overview,
        routing: Option<&Routing>,
        now: Instant,
        clock: SystemTime,
    ) -> Result<Answer, Unanswered> {
        let routing = || routing.ok_or(Unanswered::NoView);
        if let Some(text) = too_many(self.names()) {
            return Err(Unanswered::Asked(text));
        }
        match self {
            Self::Explain(keys) if keys.is_empty() => asked("which key? /explain?key=KEY"),
            Self::Explain(keys) => Ok(explain::keys(overview, routing()?, keys)),
            Self::Nodes => Ok(explain::nodes(overview, routing()?, now)),
            Self::View => Ok(explain::view(overview, routing()?, now)),
            Self::Simulate(ids) if ids.is_empty() => asked("which nodes? /simulate?down=NODE,NODE"),
            Self::Simulate(ids) => {
                let routing = routing()?;
                let load = overview.load(routing.ring().slots(), now);
                simulate::down(routing, ids, &load).map_err(Unanswered::Asked)
            }
            Self::SlowLog(most) => {
                let newest = overview.slow_log.newest(*most);
                Ok(newest.iter().map(|(number, request)| request.tell(*number, now, clock)).collect())
            }
            Self::SlowLogLen => Ok(overview.slow_log.len().into()),
            Self::SlowLogReset => {
                overview.slow_log.reset();
                Ok(Answer::Done)
            }
        }
    }
}

/// Why so many names are too many, if they are.
pub(crate) fn too_many(names: usize) -> Option<String> {
    (names > MOST_NAMES).then(|| format!("{names} names at once are more than {MOST_NAMES}"))
}

fn asked(text: &str) -> Result<Answer, Unanswered> {
    Err(Unanswered::Asked(text.to_owned()))
}
