//! Load on a subject: as much as it takes (`saturated`, by redis-benchmark), or at a fixed rate with every reply
//! checked (`open_loop`, our own, because nothing there does both).

pub mod keys;
pub mod open_loop;
pub mod saturated;
pub mod schedule;

pub use keys::{key, preload, value};
