//! The fastcache command: runs and inspects a whole cluster.

fn main() {}
