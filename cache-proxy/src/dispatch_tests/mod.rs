//! The dispatcher without a socket.

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
mod transactions;
mod uploads;
mod watch;

pub(crate) use bench::Bench;
