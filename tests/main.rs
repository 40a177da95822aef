//! End-to-end tests on the real processes: what a user sees, with nothing replaced by a stand-in.
//!
//! The harness is in `cluster` (separate processes), `up` (`fastcache up`), `process` and `eventually`; the
//! other modules are the tests, one per thing that must hold.

mod auth;
mod binaries;
mod blocking;
mod chaos;
mod client;
mod clients;
mod cluster;
mod crowd;
mod data;
mod differential;
mod entry;
mod eventually;
mod explain;
mod failover;
mod haproxy;
mod health_outage;
mod http;
mod large_replies;
mod literals;
mod load;
mod load_balancer;
mod malformed;
mod monitoring;
mod output;
mod ports;
mod process;
mod process_lifecycle;
mod pubsub;
mod random;
mod redis_cli;
mod redis_server;
mod scripts;
mod seed;
mod transactions;
mod troubleshooting;
mod up;
mod up_lifecycle;
mod uploads;
