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
//! `dispatch` and the pure modules around it, which know no socket; what touches sockets is in `worker`,
//! `session` and `node_link`.
//!
//! The proxy judges no node: it reports, and routes by the health service's view.

mod admin_api;
mod answer;
mod aside;
mod backlog;
mod blocking;
mod choke;
mod client;
mod client_list;
#[cfg(test)]
mod command_table;
mod config;
mod count;
mod deliver;
mod desk;
mod dispatch;
#[cfg(test)]
mod dispatch_simulation;
#[cfg(test)]
mod dispatch_tests;
mod download;
mod drain;
mod error_kind;
mod exec;
mod explain;
mod failover;
mod failure;
mod fan_out;
mod figures;
mod gather;
mod grouping;
mod handling;
mod handshake;
mod histogram;
mod hold;
mod info;
mod keepalive;
mod link;
mod listener;
mod local;
mod local_client;
mod merge;
mod metrics;
mod node_info;
mod node_link;
mod outbox;
mod overview;
mod pin;
mod pipeline;
mod plan;
mod proxy_command;
mod pubsub;
mod pulse;
mod question;
mod read;
mod refusal;
mod refuse;
mod replies;
mod reporter;
mod run;
mod scripts;
mod serving;
mod session;
mod shared;
mod signal;
mod simulate;
mod slot_samples;
mod slow_log;
mod standing;
mod stats;
mod stream;
mod subscriber_link;
mod subscriptions;
mod tally;
mod target;
mod traffic;
mod traffic_metrics;
mod transaction;
mod turn;
mod unit;
mod upload;
mod view_follower;
mod watch;
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
