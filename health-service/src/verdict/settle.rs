//! What follows from an event: who is routable now, who must rejoin, and whether that makes a new
//! view.
//!
//! All of it is derived anew from the members after each event, so that there is one place, and not
//! one for each kind of event, where a node can become routable.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Status, View, ViewNode, ViewProxy};

use super::{Action, MemberIndex, Timestamp, Touched, Verdict, freeze};

/// Nodes that return together are all seen again within this: each is looked at once a second, and
/// again 250 ms after a good answer.
const RETURN: Duration = Duration::from_secs(2);

impl Verdict {
    /// Draws the consequences: freeze, routability, rejoins, a new view, and what is to be noted and
    /// saved. `renumber` asks for a new view whatever changed.
    pub(super) fn settle(
        &mut self,
        now: Timestamp,
        touched: Option<Touched>,
        renumber: bool,
        actions: &mut Vec<Action>,
    ) {
        let turned = self.update_freeze(now);
        let is_first = self.view.is_none() && self.can_begin(now);
        let has_view = is_first || self.view.is_some();
        let mut changed = Vec::new();
        for index in (0..self.topology.nodes.len()).map(MemberIndex) {
            if self.settle_routability(index, has_view) && touched.as_ref().is_none_or(|t| t.member != index)
            {
                // Nothing but the end of a freeze changes a node that no event is about.
                let cause = "the view is no longer frozen".to_owned();
                changed.push(Touched { member: index, from: self.members[index.0].status, cause });
            }
            self.start_rejoin(now, index, actions);
        }
        changed.extend(touched);
        let publish = has_view && (is_first || renumber || self.is_view_outdated());
        if publish {
            self.epoch += 1;
            self.view = Some(Arc::new(self.build_view()));
        }
        let noted = !changed.is_empty();
        self.note(now, changed, actions);
        if publish {
            actions.push(Action::Publish);
        } else if has_view && (noted || turned) {
            actions.push(Action::Save);
        }
    }

    /// Whether a first view may be published. A service without memory does not know which view the
    /// proxies hold, and what it finds broken may be its own trouble: so every node was looked at,
    /// some node can serve, no more fail than would freeze a view, and those that return together are
    /// waited for: who is left out of a first view is flushed.
    fn can_begin(&self, now: Timestamp) -> bool {
        let nodes = || self.nodes().iter().filter(|node| !node.maintenance);
        let healthy = nodes().filter(|node| node.status == Status::Healthy).count();
        let all = nodes().count();
        self.nodes().iter().all(|node| node.last_check.is_some())
            && nodes().any(|node| node.deserves_traffic(false))
            && !freeze::is_panic(all, all - healthy)
            && (healthy == all || nodes().all(|node| node.recovered.is_none_or(|at| at + RETURN <= now)))
    }

    /// Brings routability in line with the rules; returns whether it changed.
    fn settle_routability(&mut self, index: MemberIndex, has_view: bool) -> bool {
        let frozen = self.freeze.is_active();
        let member = &mut self.members[index.0];
        let deserves = member.deserves_traffic(frozen);
        // Who is out while there is a view has stand-ins.
        member.must_rejoin |= has_view && !deserves;
        if member.routable && !deserves {
            member.out_since = None;
        }
        std::mem::replace(&mut member.routable, deserves) != deserves
    }

    /// Whether proxies must learn something: who is routable, or which process a routable node is.
    fn is_view_outdated(&self) -> bool {
        let Some(view) = &self.view else { return false };
        view.nodes.iter().zip(&self.members).any(|(published, member)| {
            published.routable != member.routable || (member.routable && published.run_id != member.run_id)
        })
    }

    pub(super) fn build_view(&self) -> View {
        let nodes = self.topology.nodes.iter().zip(&self.members).map(|(node, member)| ViewNode {
            node_id: node.id.clone(),
            host: node.address.host.clone(),
            port: node.address.port,
            zone: node.zone.clone(),
            weight: node.weight,
            status: member.status,
            routable: member.routable,
            run_id: member.run_id.clone(),
        });
        let proxies = self.topology.proxies.iter().map(|proxy| ViewProxy {
            node_id: proxy.id.clone(),
            host: proxy.address.host.clone(),
            port: proxy.address.port,
            zone: proxy.zone.clone(),
        });
        View {
            epoch: self.epoch,
            slots: self.topology.slots.get(),
            points: self.topology.points,
            nodes: nodes.collect(),
            proxies: proxies.collect(),
        }
    }

    /// Returns whether the freeze was entered or left.
    fn update_freeze(&mut self, now: Timestamp) -> bool {
        let was_active = self.freeze.is_active();
        let window = self.policy.interval + self.policy.timeout;
        let nodes = &self.members[..self.topology.nodes.len()];
        let in_service = nodes.iter().filter(|node| !node.maintenance);
        self.freeze.update(now, window, in_service.map(|node| node.failing_since));
        self.freeze.is_active() != was_active
    }

    fn start_rejoin(&mut self, now: Timestamp, index: MemberIndex, actions: &mut Vec<Action>) {
        let member = &mut self.members[index.0];
        if member.rejoin_at().is_some_and(|at| at <= now) {
            let attempt = self.next_attempt;
            self.next_attempt += 1;
            member.rejoining = Some(attempt);
            let known_run_id = member.run_id.clone();
            actions.push(Action::Rejoin { node: index, attempt, known_run_id });
        }
    }

    fn note(&mut self, now: Timestamp, changed: Vec<Touched>, actions: &mut Vec<Action>) {
        for Touched { member: index, from, cause } in changed {
            let member = &mut self.members[index.0];
            let transition = member.transition(index, now, self.epoch, from, cause);
            member.remember(transition.clone());
            actions.push(Action::Note(transition));
        }
    }
}
