//! The proxy: one address for a client, many cache nodes behind it.
//!
//! ```text
//!  client ── session ──> dispatch ──> pipeline ── node_link ──> node
//!             (bytes)   │  plan: which node, split, all, here   (bytes)
//!                       │  replies: in the client's order
//!                       │  hold: while a node is away
//!  health service ── view_follower ──> routing (one table, swapped whole)
//!                 <── reporter ─────── suspicions
//! ```
//!
//! A worker is one thread with everything of its own: runtime, listeners, node connections, state. The
//! control thread follows the views, reports trouble and serves the admin port. What a worker decides is in
//! `dispatch` and the pure modules around it, which know no socket; what touches sockets is in `worker`, `turn`, `linger`,
//! `client::session` and `link::node_link`.
//!
//! | folder | what |
//! |---|---|
//! | `client` | what a client sends, is owed and may leave lying; large values on their way |
//! | `plan` | what to do with a request: one node, split, all nodes, here, refused; and how parts become one reply |
//! | `link` | connections to nodes, what is on its way over them, and what happens when they fail |
//! | `transaction` | MULTI … EXEC as one unit, WATCH |
//! | `pubsub` | who listens to what, and what the nodes must be told of it |
//! | `local` | what the proxy answers itself: handshakes, `CLIENT`, `INFO` |
//! | `explain` | `PROXY …`, the same as JSON, and the log of slow requests |
//! | `metrics` | what is counted, and how it is told |
//!
//! The proxy judges no node: it reports, and routes by the health service's view.

mod client;
mod config;
mod dispatch;
#[cfg(test)]
mod dispatch_simulation;
#[cfg(test)]
mod dispatch_tests;
mod drain;
mod explain;
mod linger;
mod link;
mod listener;
mod local;
mod metrics;
mod outbox;
mod plan;
mod pubsub;
mod pulse;
mod reporter;
mod run;
mod shared;
mod signal;
mod target;
mod transaction;
mod turn;
mod view_follower;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;

pub use config::{Config, PROGRAM};
pub use listener::Listeners;
pub use run::run;

/// Runs the proxy from its command line to its exit status.
pub fn main(args: impl IntoIterator<Item = impl Into<OsString>>) -> ExitCode {
    daemon::run_main(&PROGRAM, args, async |settings| {
        let shutdown = daemon::shutdown::signal();
        let mut config = Config::from_settings(&settings)?;
        config.fit_to_open_files();
        let listeners = Listeners::bind(&config)?;
        run(listeners, config, shutdown).await
    })
}
