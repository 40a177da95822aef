//! Ports for processes whose address must be known before they start.
//!
//! They come from below the range that the kernel takes for outgoing connections and for port 0, so nobody
//! can get one between the moment it is chosen and the moment it is used, except another test: hence one
//! counter for all, which starts at a different place in every run.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below are the well-known ports of databases and brokers, above are the kernel's.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The first of `count` ports in a row on which nobody listens.
pub(crate) fn free_ports(count: u16) -> u16 {
    // Runs at the same time have process ids that are close together: spread them over the range.
    let start = process::id().wrapping_mul(97);
    let size = u32::from(RANGE.end - RANGE.start);
    for _ in 0..size {
        let offset = NEXT.fetch_add(count.into(), Ordering::Relaxed);
        let first = RANGE.start + (start.wrapping_add(offset) % size) as u16;
        let ports = first..first + count;
        if ports.end <= RANGE.end
            && ports.into_iter().all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        {
            return first;
        }
    }
    panic!("no {count} free ports in a row in {RANGE:?}");
}

/// One port on which nobody listens.
pub(crate) fn free_port() -> u16 {
    free_ports(1)
}
