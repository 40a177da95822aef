//! Where questions about the proxy are worked on: one after the other, on a thread that serves no client.
//!
//! In the order in which they were put, so that whoever reads the slow log and then empties it has read it. Who asks
//! over HTTP may hang up; what is begun then still keeps the next one waiting.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use cluster::Routing;
use tokio::task::spawn_blocking;

use crate::explain::answer::Answer;
use crate::explain::overview::Overview;
use crate::explain::question::{Question, Unanswered};

/// Waits for its turn and for the answer, which is written there, too: that of a large cluster is long.
pub(crate) async fn ask<T: Send + 'static>(
    question: Question,
    overview: Arc<Overview>,
    routing: Option<Arc<Routing>>,
    write: impl FnOnce(&Answer) -> T + Send + 'static,
) -> Result<T, Unanswered> {
    // Nobody closes the desk.
    let turn = Arc::clone(&overview.desk).acquire_owned().await.map_err(|_| Unanswered::Failed)?;
    let work = spawn_blocking(move || {
        let _turn = turn;
        let answer = question.answer(&overview, routing.as_deref(), Instant::now(), SystemTime::now());
        answer.map(|answer| write(&answer))
    });
    work.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a question about the proxy could not be answered");
        Err(Unanswered::Failed)
    })
}
