//! A random sequence of what can happen to single processes, under load. No client notices any of it.
//!
//! Each event has a load of its own, with keys of its own: what the stand-ins of one outage still hold is not
//! asked for in the next.

use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::load::Load;
use crate::random::Random;
use crate::seed::seed_or;

/// Each takes about a second.
const EVENTS: usize = 8;

#[test]
fn no_client_notices_what_happens_to_nodes_and_the_health_service() {
    let seed = seed_or(5);
    let mut random = Random::new(seed);
    let mut cluster = Cluster::start(6, 2);
    for number in 0..EVENTS {
        let addresses: Vec<_> = cluster.proxies.iter().map(|proxy| proxy.address.clone()).collect();
        let load = Load::start(&addresses.iter().map(String::as_str).collect::<Vec<_>>(), 2);
        load.until_answered(500);
        let event = Event::any(&cluster, &mut random);
        println!("event {number} of seed {seed}: {event:?}");
        event.happen(&mut cluster, &load);
        cluster.until_nodes_are("HEALTHY", |_| true);
        load.until_answered(500);
        load.stop().assert_unharmed();
    }
}

/// What happens, to which nodes.
#[derive(Debug)]
enum Event {
    TwoNodesDie(usize, usize),
    /// It is back before anybody has probed it.
    NodeRestartsAtOnce(usize),
    NodeFreezes(usize),
    /// Nobody sees the node die, and the first the health service hears of is a cluster without it.
    NodeDiesUnseen(usize),
}

impl Event {
    fn any(cluster: &Cluster, random: &mut Random) -> Self {
        let count = cluster.nodes.len();
        let node = random.below(count);
        match random.below(4) {
            0 => Self::TwoNodesDie(node, (node + 1 + random.below(count - 1)) % count),
            1 => Self::NodeRestartsAtOnce(node),
            2 => Self::NodeFreezes(node),
            _ => Self::NodeDiesUnseen(node),
        }
    }

    fn happen(self, cluster: &mut Cluster, load: &Load) {
        match self {
            Self::TwoNodesDie(first, second) => {
                cluster.nodes[first].process.kill();
                cluster.nodes[second].process.kill();
                load.until_answered(1_000);
                cluster.restart_node(first);
                cluster.restart_node(second);
            }
            Self::NodeRestartsAtOnce(node) => {
                cluster.nodes[node].process.kill();
                cluster.restart_node(node);
                load.until_answered(1_000);
            }
            Self::NodeFreezes(node) => {
                cluster.nodes[node].process.signal(Signal::STOP);
                load.until_answered(1_000);
                cluster.nodes[node].process.signal(Signal::CONT);
            }
            Self::NodeDiesUnseen(node) => {
                cluster.health.process.kill();
                load.until_answered(300);
                cluster.nodes[node].process.kill();
                cluster.restart_health();
                load.until_answered(1_000);
                cluster.restart_node(node);
            }
        }
    }
}
