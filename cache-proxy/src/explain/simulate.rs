//! What would happen if nodes went out of service: which share of the slots and of the present load would move, and
//! to whom.
//!
//! The ring decides who stands in, so the answer is exact for the slots. The load is told from sampled requests
//! (`slot_samples`), and only from those of this proxy.
//!
//! Pure.

use cluster::{NodeIndex, Routing};

use crate::explain::answer::{Answer, rounded, shown};
use crate::explain::slot_samples::Load;

/// Slots and requests a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Part {
    slots: u64,
    rate: f64,
}

/// What each node has, and what it would get.
struct Outcome {
    now: Vec<Part>,
    gets: Vec<Part>,
    moved: Part,
}

/// Tells what would happen if the nodes of these ids went out of service too.
///
/// # Errors
/// The id that no node has.
pub(crate) fn down(routing: &Routing, ids: &[String], load: &Load) -> Result<Answer, String> {
    let index = |id: &String| {
        let unknown =
            || format!("no node of the view is called '{}'; PROXY NODES lists them", shown(id.as_bytes()));
        routing.index_of(id).ok_or_else(unknown)
    };
    let out = ids.iter().map(index).collect::<Result<Vec<_>, _>>()?;
    let slots = u64::from(routing.ring().slots().get());
    let mut fields = vec![
        ("epoch", routing.epoch().into()),
        ("down", ids.iter().map(|id| id.as_str().into()).collect()),
        ("nodeShare", share(routing, &out).into()),
        ("samples", load.samples().into()),
        ("requestsPerSecond", rounded(load.total(), 1).into()),
    ];
    let Some(outcome) = outcome(routing, &out, load) else {
        fields.push(("served", false.into()));
        return Ok(Answer::Fields(fields));
    };
    fields.push(("served", true.into()));
    fields.push(("moved", part(&outcome.moved, slots, load.total())));
    fields.push(("nodes", receivers(routing, &outcome, slots, load.total())));
    Ok(Answer::Fields(fields))
}

/// How many of the nodes in service would go. When many fail at once the health service freezes the routing.
fn share(routing: &Routing, out: &[NodeIndex]) -> f64 {
    let in_service = || (0..).map(NodeIndex).zip(routing.nodes()).filter(|(_, node)| node.routable);
    let going = in_service().filter(|(index, _)| out.contains(index)).count();
    rounded(going as f64 / in_service().count().max(1) as f64, 4)
}

/// `None`: nobody would be left.
fn outcome(routing: &Routing, out: &[NodeIndex], load: &Load) -> Option<Outcome> {
    let then = routing.serving_without(out)?;
    let none = vec![Part::default(); routing.nodes().len()];
    let mut outcome = Outcome { now: none.clone(), gets: none, moved: Part::default() };
    let slots = routing.ring().slots().slots().map(|slot| (slot, Part { slots: 1, rate: 0.0 }));
    let load = load.iter().map(|(slot, rate)| (slot, Part { slots: 0, rate }));
    for (slot, part) in slots.chain(load) {
        let (now, then) = (routing.serving(slot)?, then[slot.get()]);
        outcome.now[now.get()] += part;
        if now != then {
            outcome.gets[then.get()] += part;
            outcome.moved += part;
        }
    }
    Some(outcome)
}

/// The nodes that would get something, the one that gets most first.
fn receivers(routing: &Routing, outcome: &Outcome, slots: u64, rate: f64) -> Answer {
    let each = routing.nodes().iter().zip(outcome.now.iter().zip(&outcome.gets));
    let mut each: Vec<_> = each.filter(|(_, (_, gets))| gets.slots > 0).collect();
    each.sort_by_key(|(_, (_, gets))| std::cmp::Reverse(gets.slots));
    let row = |(node, (now, gets)): (&cluster::ViewNode, (&Part, &Part))| {
        Answer::Fields(vec![
            ("node", node.node_id.as_str().into()),
            ("gets", part(gets, slots, rate)),
            ("serves", part(now, slots, rate)),
            ("growth", growth(now.slots, gets.slots).into()),
        ])
    };
    each.into_iter().map(row).collect()
}

/// What a node would serve over what it serves; `None` when that is nothing.
fn growth(now: u64, gets: u64) -> Option<f64> {
    (now > 0).then(|| rounded((now + gets) as f64 / now as f64, 3))
}

fn part(part: &Part, slots: u64, rate: f64) -> Answer {
    let load_share = (rate > 0.0).then(|| rounded(part.rate / rate, 4));
    Answer::Fields(vec![
        ("slots", part.slots.into()),
        ("slotShare", rounded(part.slots as f64 / slots as f64, 5).into()),
        ("requestsPerSecond", rounded(part.rate, 1).into()),
        ("loadShare", load_share.into()),
    ])
}

impl std::ops::AddAssign for Part {
    fn add_assign(&mut self, other: Self) {
        self.slots += other.slots;
        self.rate += other.rate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_at_nothing_grows_by_no_factor() {
        assert_eq!((growth(0, 1_311), growth(100, 50)), (None, Some(1.5)));
    }
}
