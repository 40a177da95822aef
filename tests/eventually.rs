//! Waiting for something to become true: never for a time, always with a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// Far longer than anything here takes, on a machine that does other things as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Short against what is waited for, long against one look.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Looks until there is an answer, and panics with the last reason when there is none in [`PATIENCE`].
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(reason) if started.elapsed() > PATIENCE => {
                panic!("{what}: not within {PATIENCE:?}: {reason}")
            }
            // Nobody unparks this thread; it may wake early, and then looks early.
            Err(_) => thread::park_timeout(BETWEEN_LOOKS),
        }
    }
}
