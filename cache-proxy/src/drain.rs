//! The end of a proxy, in two steps, so that no client notices more than a closed idle connection.
//!
//! *Lame duck*: whoever sends clients here is told to stop, by `/readyz` and by the answer to a balancer's
//! PING; everybody is still served. Only then *leaving*: no more clients are taken in, and each one is closed
//! when nothing of it is unread or unanswered. An idle client is one that stays quiet for a moment. A busy one
//! is closed right behind a reply, because then it hears of the end before it sends its next request.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::worker::Worker;

/// A client that sends nothing for this long is idle. Longer than a request takes from a client in the same
/// network; what is on its way when the connection is closed is lost.
pub(crate) const QUIET: Duration = Duration::from_millis(100);

/// How often the last clients are counted: not noticeable beside [`QUIET`].
const COUNT_EVERY: Duration = Duration::from_millis(5);

/// How far the proxy is on its way to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It is not.
    Serving,
    /// It serves on, and says that it will end.
    LameDuck,
    /// It closes its clients.
    Leaving,
}

/// Resolves when the phase has come. The control thread gone means the end as well.
pub(crate) async fn reached(phase: Phase, phases: &mut watch::Receiver<Phase>) {
    let _ = phases.wait_for(|now| *now >= phase).await;
}

impl Worker {
    /// Lives through both phases; returns when the last client has left, or has had its time.
    pub(crate) async fn drain(
        self: &Rc<Self>,
        mut phases: watch::Receiver<Phase>,
        accepting: Vec<JoinHandle<()>>,
    ) {
        reached(Phase::LameDuck, &mut phases).await;
        self.event(|dispatcher| dispatcher.draining_since = Some(dispatcher.now));
        reached(Phase::Leaving, &mut phases).await;
        for task in accepting {
            // It takes in who is waiting at the door, and ends.
            let _ = task.await;
        }
        self.leaving.set(true);
        self.rouse_clients();
        let emptied = async {
            while !self.dispatcher.borrow().clients.is_empty() {
                sleep(COUNT_EVERY).await;
            }
        };
        if timeout(self.config.drain_timeout, emptied).await.is_err() {
            let clients = self.dispatcher.borrow().clients.len();
            tracing::warn!(clients, "closing clients whose requests did not finish in time");
        }
    }
}
