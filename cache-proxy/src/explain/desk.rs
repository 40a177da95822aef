//! Where questions about the proxy are worked on: one after the other, on a thread that serves no client.
//!
//! In the order in which they were put, so that whoever reads the slow log and then empties it has read it.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use cluster::Routing;
use tokio::task::spawn_blocking;

use crate::explain::answer::Answer;
use crate::explain::overview::Overview;
use crate::explain::question::{Question, Unanswered};

/// Waits for its turn and for the answer.
pub(crate) async fn ask(
    question: Question,
    overview: Arc<Overview>,
    routing: Option<Arc<Routing>>,
) -> Result<Answer, Unanswered> {
    // Nobody closes the desk.
    let _turn = overview.desk.acquire().await.map_err(|_| Unanswered::Failed)?;
    let working = Arc::clone(&overview);
    let work = spawn_blocking(move || {
        question.answer(&working, routing.as_deref(), Instant::now(), SystemTime::now())
    });
    work.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a question about the proxy could not be answered");
        Err(Unanswered::Failed)
    })
}
