//! The alert rules, by what they watch.
//!
//! Each names a symptom that somebody must act on, not every number that moves. `critical` only where clients
//! are hurt or soon will be.

mod entry;
mod health;
mod nodes;
mod processes;
mod proxies;

use super::rule::Group;

/// All rules.
pub(super) fn groups() -> Vec<Group> {
    vec![
        Group { name: "fastcache-nodes", rules: nodes::rules() },
        Group { name: "fastcache-health-service", rules: health::rules() },
        Group { name: "fastcache-proxies", rules: proxies::rules() },
        Group { name: "fastcache-entry", rules: entry::rules() },
        Group { name: "fastcache-processes", rules: processes::rules() },
    ]
}
