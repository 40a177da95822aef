//! What every FastCache process does alike, so that each `main` fits one screen.
//!
//! A process declares its settings as data ([`Program`]), and [`run_main`] does the rest of its life in
//! the one shape all of them share: read the settings in layers, start logging, run until
//! [`shutdown::signal`], and say in one clear line on stderr why it could not start. [`admin`] is the
//! router with `/livez`, `/readyz` and `/metrics`, served by a [`listener`] that is bounded.
//!
//! Nothing here knows of nodes, proxies or health: what only one process needs stays in that process.

pub mod admin;
pub mod listener;
pub mod logging;
pub mod open_files;
mod process;
pub mod process_metrics;
mod secret;
pub mod settings;
pub mod shutdown;

pub use process::{print, ready_line, run_main, version};
pub use secret::Secret;
pub use settings::{Invocation, Kind, Program, Setting, Settings, SettingsError};
