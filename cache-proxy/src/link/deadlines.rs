//! What happens as time passes: links whose nodes are slow are reported, and then given up; so is what has been held
//! for too long.
//!
//! A request whose time is up is answered with what is known of it: whether its node may have executed it.
//!
//! Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{NodeId, ReportKind};

use crate::dispatch::Dispatcher;
use crate::link::hold::{Held, Sent, Via};
use crate::outbox::{RareWork, Suspicion};

/// A slow link is reported at most this often. The health service confirms within 250 ms, so once a second
/// keeps it informed.
const SUSPECT_EVERY: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Whether anything waits, so that time matters.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.hold.is_empty()
            || self.links.iter().any(|(_, link)| link.is_timed() || link.delays_others())
            || self.subscriptions_wait()
            || self.node_info.is_waiting()
    }

    /// Gives up what has waited too long, and suspects links that are slow.
    pub(crate) fn tick(&mut self) {
        self.expire_held();
        self.end_overdue_info();
        self.drop_idle_pins();
        self.tend_downloads();
        self.tick_subscriptions();
        self.rouse_uploads();
        let (now, config) = (self.now, Arc::clone(&self.config));
        for (id, link) in &mut self.links {
            let Some(since) = link.waits_since() else { continue };
            let waited = now.saturating_duration_since(since);
            // Until the handshake is answered the node is still being connected to.
            let patience = if link.up { config.node_timeout } else { config.connect_timeout };
            if waited > patience {
                self.outbox.rare.push(RareWork::GiveUp(id));
            } else if waited > config.suspect_after
                && link.suspected.is_none_or(|at| at + SUSPECT_EVERY <= now)
            {
                link.suspected = Some(now);
                let detail = format!("no reply for {} ms", waited.as_millis());
                let suspicion = Suspicion { node: link.node.clone(), kind: ReportKind::Timeout, detail };
                self.outbox.rare.push(RareWork::Report(suspicion));
            }
        }
    }

    fn expire_held(&mut self) {
        for held in self.hold.take_overdue(self.now) {
            self.expire(&held);
        }
    }

    /// The error of a request whose time is up.
    pub(crate) fn unanswered(&self, node: &NodeId, since: Instant, executed: &str) -> String {
        let waited = self.now.saturating_duration_since(since).as_millis();
        let epoch = self.stats.epoch;
        format!(
            "UNAVAILABLE node {node} gave no answer within {waited} ms (epoch {epoch}); the command {executed}"
        )
    }

    /// Counts a request that is given up.
    pub(crate) fn note_expired(&mut self, held: &Held) {
        self.count_expired(&held.node);
        self.note_given_up(held);
    }

    pub(crate) fn count_expired(&mut self, node: &NodeId) {
        self.stats.expired += 1;
        if let Some(traffic) = self.published.traffic.known(node) {
            traffic.expired.add(1);
        }
    }

    /// Gives up a request: says what is known of it.
    pub(crate) fn expire(&mut self, held: &Held) {
        self.note_expired(held);
        let executed = match held.sent {
            Sent::Nowhere => "was not executed",
            Sent::Elsewhere | Sent::Here => "may have been executed",
        };
        let text = self.unanswered(&held.node, held.since, executed);
        self.fail(held.target, &text);
        if let Via::Pinned(link) = held.via {
            self.drop_pinned(link);
        }
    }
}
