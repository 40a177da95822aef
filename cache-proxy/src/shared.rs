//! What the workers of a process share. None of it is touched by a request that is passed on.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use crate::local::figures::Figures;
use crate::local::node_settings::NodeSettings;
use crate::plan::scripts::Scripts;

/// What the workers of a process share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Clients of all workers together.
    pub(crate) clients: AtomicUsize,
    /// The scripts that clients of any worker have loaded.
    pub(crate) scripts: Mutex<Scripts>,
    /// What the nodes have said of themselves, to any worker.
    pub(crate) figures: Mutex<Figures>,
    /// What they have said of their settings.
    pub(crate) node_settings: Mutex<NodeSettings>,
}
