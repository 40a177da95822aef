//! The one judge of node health: probes, verdicts, and the numbered view.

fn main() {}
