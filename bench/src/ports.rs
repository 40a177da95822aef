//! Ports for processes whose address must be known before they start.
//!
//! They come from below the range that the kernel takes for outgoing connections, so nobody gets one by chance
//! between the moment it is chosen and the moment it is used.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::bail;

/// Below are the well-known ports of databases and FastCache's own, above are the kernel's.
const RANGE: std::ops::Range<u16> = 13_000..32_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The first of `count` ports in a row on which nobody listens.
///
/// # Errors
/// When there is no such row.
pub fn free_ports(count: u16) -> anyhow::Result<u16> {
    let size = u32::from(RANGE.end - RANGE.start);
    // Runs at the same time have process ids that are close together: this spreads them over the range.
    let start = process::id().wrapping_mul(97);
    for _ in 0..size {
        let offset = NEXT.fetch_add(count.into(), Ordering::Relaxed);
        // Smaller than the range, which are ports.
        let first = RANGE.start + (start.wrapping_add(offset) % size) as u16;
        let ports = first..first.saturating_add(count);
        if ports.end <= RANGE.end && ports.into_iter().all(is_free) {
            return Ok(first);
        }
    }
    bail!("no {count} free ports in a row between {} and {}", RANGE.start, RANGE.end)
}

/// One port on which nobody listens.
///
/// # Errors
/// When there is none.
pub fn free_port() -> anyhow::Result<u16> {
    free_ports(1)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_ports_are_not_given_and_none_is_given_twice() {
        let first = free_ports(3).unwrap();
        let taken = TcpListener::bind(("127.0.0.1", first + 1)).unwrap();
        let second = free_ports(3).unwrap();
        assert!(second >= first + 3 || second + 3 <= first, "{first} and {second} overlap");
        assert!(!is_free(taken.local_addr().unwrap().port()));
    }
}
