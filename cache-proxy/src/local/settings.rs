//! `CONFIG GET`: the settings of the whole, under Redis' names, as one Redis would tell them.
//!
//! What tools ask for when they connect. The memory is that of all nodes, as in `INFO`, so the two never disagree; what
//! concerns connections is this proxy's own.

use resp::Request;

use crate::dispatch::Dispatcher;
use crate::local::figures::Figures;
use crate::local::node_settings::NodeSettings;
use crate::pubsub::SUBSCRIBER_LIMIT;

const MAXMEMORY: &str = "maxmemory";
const POLICY: &str = "maxmemory-policy";

/// The settings that the nodes tell in `INFO`.
pub(crate) const TOLD_BY_INFO: [&str; 2] = [MAXMEMORY, POLICY];

/// What a client asks for, in lower case.
#[derive(Debug)]
pub(crate) struct Patterns(Vec<Vec<u8>>);

impl Patterns {
    pub(crate) fn named_by(request: &Request<'_>) -> Self {
        Self(request.args().skip(2).map(<[u8]>::to_ascii_lowercase).collect())
    }

    pub(crate) fn fit(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| commands::glob_matches(pattern, name.as_bytes()))
    }
}

/// The settings that are asked for, with their values.
pub(crate) fn values(
    worker: &Dispatcher,
    wanted: &Patterns,
    figures: &Figures,
    of_nodes: &NodeSettings,
) -> Vec<(&'static str, String)> {
    let mut values = of_proxy(worker);
    // No limit is what a 0 would say.
    if figures.answered() > 0 {
        values.push((MAXMEMORY, figures.maxmemory().to_string()));
        values.push((POLICY, figures.policy().to_owned()));
    }
    values.extend(of_nodes.values());
    values.retain(|(name, _)| wanted.fit(name));
    values
}

fn of_proxy(worker: &Dispatcher) -> Vec<(&'static str, String)> {
    vec![
        ("appendonly", "no".to_owned()),
        ("client-output-buffer-limit", output_limits(worker.limits.close_at)),
        ("databases", "1".to_owned()),
        ("maxclients", worker.config.max_clients.to_string()),
        ("maxmemory-clients", worker.config.maxmemory_clients.to_string()),
        ("proto-max-bulk-len", worker.config.max_bulk_len.to_string()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ]
}

/// Hard and soft limit, and the soft one's time, by class of clients.
fn output_limits(normal: usize) -> String {
    format!("normal {normal} 0 0 pubsub {} 0 0", SUBSCRIBER_LIMIT.min(normal))
}
