//! The end of a proxy, in two steps, so that no client notices more than a closed idle connection.
//!
//! *Lame duck*: whoever sends clients here is told to stop, by `/readyz`; everybody is still served. Where there is
//! no admin port to ask, a balancer is told by the answer to its PING. Only then *leaving*: no more clients are taken
//! in, and each one is closed when nothing of it is unread or unanswered. An idle client is one that stays quiet for
//! a moment. A busy one is closed right behind a reply, because then it hears of the end before it sends its next
//! request.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::dispatch::Dispatcher;
use crate::worker::Worker;

/// A client that sends nothing for this long is idle. Longer than a request takes from a client in the same
/// network; what is on its way when the connection is closed is lost.
pub(crate) const QUIET: Duration = Duration::from_millis(100);

/// How often the last clients are counted: not noticeable beside [`QUIET`].
const COUNT_EVERY: Duration = Duration::from_millis(5);

/// How long the nodes may take to unblock those who are blocked. One that serves does it in a millisecond.
const UNBLOCK_WITHIN: Duration = Duration::from_millis(500);

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
        let end = Instant::now() + self.config.drain_timeout;
        // Half of the time, so that those who were let in last have some too.
        close_the_door(accepting, Instant::now() + self.config.drain_timeout / 2).await;
        self.leaving.set(true);
        // They would wait for longer than there is time.
        self.event(Dispatcher::unblock_all);
        self.rouse_clients();
        let unblocked = async {
            while self.dispatcher.borrow().stats.blocked_clients > 0 {
                sleep(COUNT_EVERY).await;
            }
        };
        if timeout(UNBLOCK_WITHIN.min(self.config.drain_timeout / 4), unblocked).await.is_err() {
            self.event(Dispatcher::unblock_rest);
        }
        let emptied = async {
            while !self.dispatcher.borrow().clients.is_empty() {
                sleep(COUNT_EVERY).await;
            }
        };
        if timeout_at(end, emptied).await.is_err() {
            let clients = self.dispatcher.borrow().clients.len();
            tracing::warn!(clients, "closing clients whose requests did not finish in time");
        }
    }
}

/// Waits until whoever stands at the door has been let in; but not for ever, because more may come all the time.
async fn close_the_door(accepting: Vec<JoinHandle<()>>, latest: Instant) {
    for mut task in accepting {
        if timeout_at(latest, &mut task).await.is_err() {
            task.abort();
        }
    }
}
