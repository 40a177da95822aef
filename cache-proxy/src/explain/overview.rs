//! What the proxy as a whole knows of itself, for whoever asks: `PROXY …` on any worker, the admin port, the metrics.
//!
//! Workers write their own part; nothing here makes them wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::SlotCount;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::explain::slot_samples::Load;
use crate::explain::slow_log::SlowLog;
use crate::metrics::stats::Published;

/// Questions that are worked on at a time: each may keep a core busy for milliseconds, and clients may ask as often
/// as they like.
const AT_A_TIME: usize = 1;

/// The proxy's parts as others may see them.
#[derive(Debug)]
pub(crate) struct Overview {
    pub(crate) config: Arc<Config>,
    pub(crate) workers: Box<[Arc<Published>]>,
    pub(crate) slow_log: SlowLog,
    /// Taken by whoever works on a question.
    pub(crate) desk: Arc<Semaphore>,
}

impl Overview {
    /// Of a proxy with so many workers that starts now.
    pub(crate) fn new(config: Arc<Config>, workers: usize, now: Instant) -> Self {
        let workers = (0..workers).map(|_| Arc::new(Published::new(now))).collect();
        Self { config, workers, slow_log: SlowLog::default(), desk: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// The epoch that every worker routes by, or has passed.
    pub(crate) fn epoch(&self) -> u64 {
        self.workers.iter().map(|worker| worker.get().epoch).min().unwrap_or(0)
    }

    /// How long every worker has routed by its view; `None` before the first.
    pub(crate) fn view_age(&self, now: Instant) -> Option<Duration> {
        self.workers.iter().filter_map(|worker| worker.view_age(now)).min()
    }

    /// The present load of all workers.
    pub(crate) fn load(&self, slots: SlotCount, now: Instant) -> Load {
        Load::sum(self.workers.iter().map(|worker| worker.samples.load(slots, now)))
    }
}
