//! What the workers of a process share. None of it is touched by a request that is passed on.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use crate::figures::Figures;
use crate::scripts::Scripts;
use crate::stats::Published;

/// What the workers of a process share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Clients of all workers together.
    pub(crate) clients: AtomicUsize,
    /// The scripts that clients of any worker have loaded.
    pub(crate) scripts: Mutex<Scripts>,
    /// What the nodes have said of themselves, to any worker.
    pub(crate) figures: Mutex<Figures>,
    /// The counts of all workers.
    pub(crate) published: Mutex<Vec<Arc<Published>>>,
}

impl Shared {
    /// Adds a worker's counts to those of all.
    pub(crate) fn register(&self, published: Arc<Published>) -> Arc<Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&published));
        published
    }
}
