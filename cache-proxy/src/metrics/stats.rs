//! Counts of one worker: plain numbers while it works, published now and then for other threads to read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::explain::slot_samples::SlotSamples;
use crate::metrics::traffic::Traffic;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What a worker counts.
        #[derive(Debug, Clone, Copy, Default)]
        pub(crate) struct Stats {
            $($(#[$doc])* pub(crate) $name: u64,)*
        }

        /// The last published counts of a worker. One thread writes, any may read.
        #[derive(Debug)]
        pub(crate) struct Published {
            /// By node and by class of commands: counted there as it happens.
            pub(crate) traffic: Traffic,
            /// Which slots are asked for.
            pub(crate) samples: SlotSamples,
            /// Since when the worker has routed by its view.
            view_since: Mutex<Option<Instant>>,
            $($name: AtomicU64,)*
        }

        impl Published {
            /// Of a worker that starts now.
            pub(crate) fn new(now: Instant) -> Self {
                Self {
                    traffic: Traffic::default(),
                    samples: SlotSamples::new(now),
                    view_since: Mutex::default(),
                    $($name: AtomicU64::default(),)*
                }
            }

            /// Publishes `stats`: one plain store per count.
            pub(crate) fn set(&self, stats: &Stats) {
                $(self.$name.store(stats.$name, Ordering::Relaxed);)*
            }

            /// The counts published last.
            pub(crate) fn get(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl std::ops::Add for Stats {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self { $($name: self.$name + other.$name,)* }
            }
        }
    };
}

counts! {
    /// Requests of clients.
    requests,
    /// Error replies made by the proxy itself.
    errors,
    /// Requests that had to wait because their node was not connected.
    held,
    /// Requests given up after their time.
    expired,
    /// Requests sent again, to the same node or to a stand-in.
    resent,
    /// Bytes of requests that clients have sent.
    client_bytes_in,
    /// Bytes that clients have been sent.
    client_bytes_out,
    /// Replies cut off in the middle because their node was lost; their clients were closed.
    cut_replies,
    /// Clients taken in since the start.
    accepted_clients,
    /// Clients turned away because there were too many.
    rejected_clients,
    /// Clients connected now.
    connected_clients,
    /// Clients that listen to a channel or a pattern now.
    subscribed_clients,
    /// Clients blocked now.
    blocked_clients,
    /// Channels that a client listens to now.
    channels,
    /// Patterns that a client listens to now.
    patterns,
    /// Shard channels that a client listens to now.
    shard_channels,
    /// Messages passed on, counted for each client that got one.
    messages,
    /// Links connected now.
    connected_links,
    /// Requests held now.
    waiting,
    /// Epoch of the view routed by; 0 before the first.
    epoch,
}

impl Published {
    /// The worker routes by another view from now on.
    pub(crate) fn set_view(&self, now: Instant) {
        *self.view_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// How long it has routed by its view, if it has one.
    pub(crate) fn view_age(&self, now: Instant) -> Option<Duration> {
        let since = *self.view_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| now.saturating_duration_since(since))
    }
}
