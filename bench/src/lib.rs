//! Side-by-side measurements of FastCache and its peers, and the report of them.
//!
//! The one idea: what is compared is measured in one run, round by round in turn (A B C A B C), as CPU time of the
//! measured processes and not only as speed, and every number keeps its raw rounds.

pub mod bench;
pub mod cli;
pub mod client;
pub mod cpu;
pub mod interrupt;
pub mod load;
pub mod machine;
pub mod memory;
pub mod nodes;
pub mod peers;
pub mod ports;
pub mod process;
pub mod programs;
pub mod progress;
pub mod proxies;
pub mod record;
pub mod report;
pub mod results;
pub mod rounds;
pub mod run;
pub mod statistics;
pub mod system_calls;
pub mod workload;

/// How the reports name our own processes.
pub const FASTCACHE: &str = "FastCache";

/// How the reports name a client that is connected to a node itself: a measure, but no rival.
pub const NO_PROXY: &str = "no proxy";
