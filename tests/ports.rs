//! Ports for processes whose address must be known before they start.
//!
//! They come from below the range that the kernel takes for outgoing connections and for port 0, so nobody
//! can get one between the moment it is chosen and the moment it is used, except another test: hence one
//! counter for all, which starts at a different place in every run.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below are the well-known ports of databases and brokers, above are the kernel's.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// The first of `count` ports in a row on which nobody listens.
pub(crate) fn free_ports(count: u16) -> u16 {
    let size = RANGE.end - RANGE.start - count;
    // Process ids of two runs at the same time differ, and by less than the range is long.
    let start = (process::id() % u32::from(size)) as u16;
    for _ in 0..size / count {
        let offset = NEXT.fetch_add(count, Ordering::Relaxed);
        let first = RANGE.start + (start.wrapping_add(offset)) % size;
        if (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
    panic!("no {count} free ports in a row in {RANGE:?}");
}

/// One port on which nobody listens.
pub(crate) fn free_port() -> u16 {
    free_ports(1)
}
