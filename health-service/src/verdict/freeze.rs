//! The panic rule: when a large part of the cluster seems to fail at once, the likelier culprit is
//! the observer, or a network between, or a load that fewer nodes would bear even worse.
//!
//! Then routability is frozen: no node is taken out for failing probes until most of them answer
//! again. Nodes that come back, restart or are drained by the operator are treated as ever. Entering
//! and leaving have different marks, so the rule does not flap.

use std::time::Duration;

use super::event::Timestamp;

/// Enter when more than this share of the nodes in service began to fail within the window.
const ENTER_PERCENT: usize = 30;
/// Leave when less than this share of them still fails.
const LEAVE_PERCENT: usize = 20;
/// Fewer failing nodes than this never freeze a view: in a cluster of 3 or 5, one or two dead nodes
/// are a common fault and not a sick observer.
const ENTER_AT_LEAST: usize = 3;

/// Whether routability is frozen.
#[derive(Debug, Clone, Default)]
pub(super) struct Freeze {
    since: Option<Timestamp>,
}

impl Freeze {
    /// As it was before a restart of the service.
    pub(super) fn restored(since: Option<Timestamp>) -> Self {
        Self { since }
    }

    /// Whether it is.
    pub(super) fn is_active(&self) -> bool {
        self.since.is_some()
    }

    /// Looks at the nodes in service, each as the time since when it fails, and enters or leaves.
    pub(super) fn update(
        &mut self,
        now: Timestamp,
        window: Duration,
        failing_since: impl Iterator<Item = Option<Timestamp>>,
    ) {
        // While frozen, the nodes that were failing then still count: that they fail for long now
        // does not make the observer trustworthy again.
        let looking_back_from = self.since.unwrap_or(now);
        let (mut all, mut lately) = (0, 0);
        for since in failing_since {
            all += 1;
            lately += usize::from(since.is_some_and(|since| since + window >= looking_back_from));
        }
        match self.since {
            None if is_panic(all, lately) => {
                self.since = Some(now);
            }
            Some(_) if lately * 100 < all.max(1) * LEAVE_PERCENT => {
                self.since = None;
            }
            _ => {}
        }
    }
}

/// Whether so many failing of `all` nodes in service are too many to be believed.
pub(super) fn is_panic(all: usize, failing: usize) -> bool {
    failing >= ENTER_AT_LEAST && failing * 100 > all * ENTER_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(35);
    const NOW: Timestamp = Duration::from_secs(1_000);

    /// Of `all` nodes, `fresh` fail since a second and `old` since an hour.
    fn update(freeze: &mut Freeze, all: usize, fresh: usize, old: usize) -> bool {
        let since = |i: usize| match i {
            i if i < fresh => Some(NOW - Duration::from_secs(1)),
            i if i < fresh + old => Some(NOW - Duration::from_secs(900)),
            _ => None,
        };
        freeze.update(NOW, WINDOW, (0..all).map(since));
        freeze.is_active()
    }

    #[test]
    fn marks_for_entering_and_leaving_differ() {
        let mut freeze = Freeze::default();
        // (fresh, old) of 50 -> frozen
        let steps = [(15, 30, false), (16, 30, true), (10, 30, true), (9, 30, false), (15, 0, false)];
        for (fresh, old, frozen) in steps {
            assert_eq!(update(&mut freeze, 50, fresh, old), frozen, "{fresh} fresh, {old} old");
        }
    }

    #[test]
    fn nodes_that_died_one_by_one_never_freeze() {
        let mut freeze = Freeze::default();
        assert!(!update(&mut freeze, 50, 15, 30));
    }

    #[test]
    fn a_small_cluster_freezes_at_three() {
        let frozen = |all, fresh| update(&mut Freeze::default(), all, fresh, 0);
        assert!(!frozen(1, 1) && !frozen(3, 2) && !frozen(5, 2));
        assert!(frozen(3, 3) && frozen(5, 3) && frozen(9, 3));
        assert!(!frozen(10, 3));
    }

    #[test]
    fn a_cluster_without_nodes_in_service_is_not_frozen() {
        let mut freeze = Freeze { since: Some(NOW) };
        assert!(!update(&mut freeze, 0, 0, 0));
    }
}
