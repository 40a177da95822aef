//! The dispatcher without a socket.

mod aside;
mod bench;
mod blocking;
mod bounds;
mod clients;
mod counting;
mod download;
mod failover;
mod fan_out;
mod info;
mod proxy_command;
mod pubsub;
mod replies;
mod requests;
mod rerun;
mod transactions;
mod uploads;
mod watch;

pub(crate) use bench::Bench;
