//! Why the proxy does what it does: who serves a key, what is known of each node, and the view in force.
//!
//! Everything is told from the compiled view, the very one that requests are routed by, so an explanation cannot
//! differ from what happens. Pure.

pub(crate) mod admin_api;
pub(crate) mod answer;
pub(crate) mod desk;
pub(crate) mod overview;
pub(crate) mod proxy_command;
pub(crate) mod question;
pub(crate) mod simulate;
pub(crate) mod slot_samples;
pub(crate) mod slow_log;
pub(crate) mod slow_quota;

use std::collections::BTreeMap;
use std::time::Instant;

use cluster::{NodeIndex, Routing, ViewNode, hash_tag};

use crate::explain::answer::{Answer, rounded, shown};
use crate::explain::overview::Overview;
use crate::metrics::tally::{self, NodeTally};

/// Explains where each key is.
pub(crate) fn keys(overview: &Overview, routing: &Routing, keys: &[Vec<u8>]) -> Answer {
    let nodes = tally::nodes(&overview.workers);
    let connections = |node: &ViewNode| nodes.get(&node.node_id).map_or(0, |tally| tally.links_up);
    let place = |key: &Vec<u8>| {
        let slot = routing.slot(key);
        // Where nobody serves, only keys of one slot are sure to be together.
        routing.serving(slot).ok_or(slot)
    };
    let together = keys.iter().all(|key| place(key) == place(&keys[0]));
    Answer::Fields(vec![
        ("proxy", overview.config.proxy_id.as_str().into()),
        ("epoch", routing.epoch().into()),
        ("sameNode", together.into()),
        ("keys", keys.iter().map(|key| explain(routing, key, connections)).collect()),
    ])
}

fn explain(routing: &Routing, key: &[u8], connections: impl Fn(&ViewNode) -> u64) -> Answer {
    let slot = routing.slot(key);
    let owner = routing.node(routing.owner(slot));
    let serving = routing.serving(slot).map(|node| routing.node(node));
    let next = routing.next_in_line(slot).map(|node| routing.node(node).node_id.as_str());
    let tag = hash_tag(key);
    Answer::Fields(vec![
        ("key", shown(key).into()),
        ("hashed", shown(tag).into()),
        ("slot", u64::from(slot.0).into()),
        ("owner", owner.node_id.as_str().into()),
        ("serving", serving.map(|node| node.node_id.as_str()).into()),
        ("address", serving.map(address).into()),
        ("connections", serving.map(connections).into()),
        ("nextInLine", next.into()),
        ("why", why(slot.0, owner, serving).into()),
    ])
}

fn why(slot: u32, owner: &ViewNode, serving: Option<&ViewNode>) -> String {
    let id = &owner.node_id;
    match serving {
        Some(node) if node.node_id == *id => format!("{id} owns slot {slot} and is in service"),
        Some(node) => format!(
            "{id} owns slot {slot} but is {}; {} stands in: of the nodes in service it is the next on the ring",
            standing(owner),
            node.node_id
        ),
        None => format!("{id} owns slot {slot} but is {}, and so are all others", standing(owner)),
    }
}

/// Why a node is not in service, as far as the view tells.
fn standing(node: &ViewNode) -> String {
    match node.status {
        cluster::Status::Healthy => {
            "out of service though healthy (drained, or emptied before it rejoins)".to_owned()
        }
        status => format!("out of service ({status})"),
    }
}

fn address(node: &ViewNode) -> String {
    cluster::Address { host: node.host.clone(), port: node.port }.to_string()
}

/// How many slots each node owns, and how many it serves.
struct Shares {
    owned: Vec<u64>,
    served: Vec<u64>,
    /// Slots that a stand-in serves for an owner.
    stood_in: BTreeMap<(NodeIndex, NodeIndex), u64>,
}

impl Shares {
    fn of(routing: &Routing) -> Self {
        let mut shares = Self {
            owned: vec![0; routing.nodes().len()],
            served: vec![0; routing.nodes().len()],
            stood_in: BTreeMap::new(),
        };
        for slot in routing.ring().slots().slots() {
            let owner = routing.owner(slot);
            shares.owned[owner.get()] += 1;
            let Some(serving) = routing.serving(slot) else { continue };
            shares.served[serving.get()] += 1;
            if serving != owner {
                *shares.stood_in.entry((owner, serving)).or_default() += 1;
            }
        }
        shares
    }
}

/// What is known of each node.
pub(crate) fn nodes(overview: &Overview, routing: &Routing, now: Instant) -> Answer {
    let (shares, tallies) = (Shares::of(routing), tally::nodes(&overview.workers));
    let mut rates = vec![0.0; routing.nodes().len()];
    for (slot, rate) in overview.load(routing.ring().slots(), now).iter() {
        if let Some(node) = routing.serving(slot) {
            rates[node.get()] += rate;
        }
    }
    let unknown = NodeTally::default();
    let nodes = routing.nodes().iter().enumerate().map(|(index, node)| {
        let tally = tallies.get(&node.node_id).unwrap_or(&unknown);
        let mut fields = vec![
            ("node", node.node_id.as_str().into()),
            ("address", address(node).into()),
            ("zone", node.zone.clone().into()),
            ("weight", u64::from(node.weight).into()),
            ("status", node.status.as_str().into()),
            ("routable", node.routable.into()),
            ("slotsOwned", shares.owned[index].into()),
            ("slotsServed", shares.served[index].into()),
            ("requestsPerSecond", rounded(rates[index], 1).into()),
        ];
        fields.extend(seen(tally));
        Answer::Fields(fields)
    });
    Answer::Fields(vec![
        ("proxy", overview.config.proxy_id.as_str().into()),
        ("epoch", routing.epoch().into()),
        ("nodes", nodes.collect()),
    ])
}

/// What this proxy has seen of a node.
fn seen(tally: &NodeTally) -> [(&'static str, Answer); 10] {
    let millis = |share| tally.durations.quantile(share).map(|seconds| rounded(seconds * 1e3, 3));
    [
        ("connections", tally.links_up.into()),
        ("connectionFailures", tally.link_failures.into()),
        ("requests", tally.requests.into()),
        ("errors", tally.errors.values().sum::<u64>().into()),
        ("held", tally.held.into()),
        ("expired", tally.expired.into()),
        ("p50Millis", millis(0.5).into()),
        ("p99Millis", millis(0.99).into()),
        ("bytesIn", tally.bytes_in.into()),
        ("bytesOut", tally.bytes_out.into()),
    ]
}

/// The view in force, and who stands in for whom.
pub(crate) fn view(overview: &Overview, routing: &Routing, now: Instant) -> Answer {
    let shares = Shares::of(routing);
    let routable = routing.nodes().iter().filter(|node| node.routable).count();
    let out = (0..).map(NodeIndex).zip(routing.nodes()).filter(|(_, node)| !node.routable);
    let age = overview.view_age(now).map(|age| rounded(age.as_secs_f64(), 3));
    Answer::Fields(vec![
        ("proxy", overview.config.proxy_id.as_str().into()),
        ("epoch", routing.epoch().into()),
        ("oldestWorkerEpoch", overview.epoch().into()),
        ("ageSeconds", age.into()),
        ("healthService", overview.config.health_service.as_str().into()),
        ("slots", u64::from(routing.ring().slots().get()).into()),
        ("nodes", routing.nodes().len().into()),
        ("routable", routable.into()),
        ("outOfService", out.map(|(index, node)| absence(routing, &shares, index, node)).collect()),
    ])
}

fn absence(routing: &Routing, shares: &Shares, index: NodeIndex, node: &ViewNode) -> Answer {
    let mine = shares.stood_in.iter().filter(|((owner, _), _)| *owner == index);
    let stand_in = |((_, stand_in), slots): (&(NodeIndex, NodeIndex), &u64)| {
        let id = routing.node(*stand_in).node_id.as_str();
        Answer::Fields(vec![("node", id.into()), ("slots", (*slots).into())])
    };
    Answer::Fields(vec![
        ("node", node.node_id.as_str().into()),
        ("status", node.status.as_str().into()),
        ("slots", shares.owned[index.get()].into()),
        ("standIns", mine.map(stand_in).collect()),
    ])
}
