//! The one judge of node health: probes every node and proxy, decides who is healthy and who may be
//! sent traffic, and publishes that as a numbered view which all proxies route by.
//!
//! ```text
//!               reports                       view (SSE, long poll)
//!  proxies ----------------> api  board  publish ----------------> proxies
//!                             |     |       ^
//!                             v     v       |
//!  nodes <--- probe, rejoin <-- monitor --> journal
//!                                 |
//!                              verdict (pure: step(now, event) -> actions)
//! ```
//!
//! Read [`verdict`] first: it is the whole policy, without IO or a clock. [`monitor`] drives it;
//! [`probe`] and [`rejoin`] speak to the nodes; [`journal`] is what survives a restart; [`publish`]
//! and [`api`] are what others see. The service does not route and never sees a client's request;
//! when it is away, proxies go on with the last view.

pub mod answers;
pub mod api;
pub mod board;
pub mod clock;
mod config;
mod connection;
pub mod journal;
mod member_gauges;
pub mod metrics;
pub mod monitor;
pub mod probe;
pub mod publish;
pub mod rejoin;
mod saver;
mod service;
pub mod verdict;

pub use config::{Config, ConfigError, PROGRAM};
pub use service::{main, run};
