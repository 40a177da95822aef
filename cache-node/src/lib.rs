//! One cache node: a Redis-compatible in-memory store that speaks RESP2 and RESP3.
//!
//! A request's way: `server` accepts a client, its `connection` reads a batch, `execute` finds and checks each
//! command, `commands` hold what each does, and `engine` is the keyspace they work on: pure, with the time passed
//! in. A node knows nothing of proxies, rings or health; it persists nothing.

pub mod admin;
pub mod client;
pub mod commands;
pub mod config;
mod connection;
pub mod engine;
pub mod execute;
pub mod failure;
pub mod memory;
pub mod node;
pub mod number;
mod open_files;
pub mod pop;
mod server;
mod serving;
pub mod transaction;
pub mod types;
pub mod waiting;

pub use config::{Config, PROGRAM};
pub use server::{run, run_with};

use anyhow::Context;
use std::ffi::OsString;
use std::process::ExitCode;
use tokio::net::TcpListener;

/// The program: everything between its arguments (without its own name) and its exit code.
pub fn main(args: impl IntoIterator<Item = impl Into<OsString>>) -> ExitCode {
    daemon::run_main(&PROGRAM, args, async |settings| -> anyhow::Result<()> {
        let mut config = Config::from_settings(&settings);
        let address = format!("{}:{}", config.host, config.port);
        let listener = TcpListener::bind((config.host.as_str(), config.port))
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let admin = admin::Admin::bind(&config).await?;
        let room = open_files::make_room_for(config.maxclients);
        if room < config.maxclients {
            let wanted = config.maxclients;
            tracing::warn!(
                wanted,
                room,
                "maxclients lowered to the limit of open files: raise it (ulimit -n)"
            );
            config.maxclients = room;
        }
        memory::warn_of_a_lower_limit(config.limits.maxmemory);
        let shutdown = daemon::shutdown::signal();
        daemon::ready_line(listener.local_addr()?)?;
        run_with(listener, admin, config, shutdown).await
    })
}
