//! The probes on their way: which are due, and what the outcome of each means for its member.
//!
//! Pure, as the rest.

use cluster::Status;

use super::{
    Action, CONFIRM, Cause, Failure, Member, MemberIndex, Outcome, ProbeId, Timestamp, Touched, Verdict,
};

#[derive(Debug)]
pub(super) struct InFlight {
    member: MemberIndex,
    cause: Cause,
    started: Timestamp,
}

impl Verdict {
    pub(super) fn start_probes(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let mut due = Vec::new();
        for (index, member) in self.members.iter_mut().enumerate() {
            member.schedule.take_due(now, self.policy.interval, &mut due);
            let index = MemberIndex(index);
            for cause in due.drain(..) {
                let rate = if member.is_node() { &mut self.node_checks } else { &mut self.proxy_checks };
                rate.add(now);
                let id = ProbeId(self.next_probe);
                self.next_probe += 1;
                self.in_flight.insert(id, InFlight { member: index, cause, started: now });
                let timeout = match cause {
                    Cause::Confirm => CONFIRM.min(self.policy.timeout),
                    _ => self.policy.timeout,
                };
                actions.push(Action::Probe { id, member: index, cause, timeout });
            }
        }
    }

    /// The member that a probe on its way is about; `None` when it is over.
    #[must_use]
    pub fn member_of(&self, probe: ProbeId) -> Option<&Member> {
        self.members.get(self.in_flight.get(&probe)?.member.0)
    }

    pub(super) fn take_outcome(&mut self, now: Timestamp, id: ProbeId, outcome: Outcome) -> Option<Touched> {
        let InFlight { member: index, cause, started } = self.in_flight.remove(&id)?;
        let member = self.members.get_mut(index.0)?;
        member.schedule.ended(now, cause);
        // A probe from before the last change of status has nothing to say about what is now.
        if started < member.since {
            if member.status != Status::Healthy {
                member.schedule.recheck(now, false);
            }
            return None;
        }
        if let Err(failure @ Failure::Login(_)) = &outcome
            && self.may_be_our_login(index)
        {
            self.members[index.0].cannot_tell(now, cause, failure);
            return None;
        }
        let member = &mut self.members[index.0];
        let from = member.status;
        let cause = member.observe(now, cause, outcome, &self.policy)?;
        Some(Touched { member: index, from, cause })
    }

    /// Whether a node that does not let the checker in may serve the proxies all the same: their connections stay
    /// logged in when it is given another password, and the checker's own may be the wrong one. Then it is told, but
    /// a node in use stays in use. A second witness makes it a failure, unless no other node could stand in: then it
    /// is the checker that no node lets in.
    fn may_be_our_login(&self, index: MemberIndex) -> bool {
        let is_other = |(place, node): (usize, &Member)| {
            place != index.0 && node.status == Status::Healthy && node.deserves_traffic(false)
        };
        let member = &self.members[index.0];
        member.routable && !(member.turned_away && self.nodes().iter().enumerate().any(is_other))
    }
}
