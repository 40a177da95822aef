//! Publish/subscribe. Channels are not keys, shard channels neither.

use super::row::{container, help, pubsub};
use crate::{Class, Command};

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    pubsub("publish",       3, "loading stale fast",     "2.0.0", "Sends a message to a channel"),
    pubsub("subscribe",    -2, "noscript loading stale", "2.0.0", "Listens to channels").idempotent(),
    pubsub("unsubscribe",  -1, "noscript loading stale", "2.0.0", "Stops listening to channels").idempotent(),
    pubsub("psubscribe",   -2, "noscript loading stale", "2.0.0", "Listens to the channels that match patterns").idempotent(),
    pubsub("punsubscribe", -1, "noscript loading stale", "2.0.0", "Stops listening to patterns").idempotent(),
    pubsub("spublish",      3, "loading stale fast",     "7.0.0", "Sends a message to a shard channel"),
    pubsub("ssubscribe",   -2, "noscript loading stale", "7.0.0", "Listens to shard channels").idempotent(),
    pubsub("sunsubscribe", -1, "noscript loading stale", "7.0.0", "Stops listening to shard channels").idempotent(),
    container("pubsub", Class::PubSub, "2.8.0", "Looks at channels", PUBSUB),
];

#[rustfmt::skip]
const PUBSUB: &[Command] = &[
    pubsub("pubsub|channels",      -2, "loading stale", "2.8.0", "Lists the channels with subscribers").idempotent(),
    pubsub("pubsub|numsub",        -2, "loading stale", "2.8.0", "Counts the subscribers of channels").idempotent(),
    pubsub("pubsub|numpat",         2, "loading stale", "2.8.0", "Counts the patterns that are listened to").idempotent(),
    pubsub("pubsub|shardchannels", -2, "loading stale", "7.0.0", "Lists the shard channels with subscribers").idempotent(),
    pubsub("pubsub|shardnumsub",   -2, "loading stale", "7.0.0", "Counts the subscribers of shard channels").idempotent(),
    help("pubsub|help", "6.2.0"),
];
