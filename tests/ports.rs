//! Ports for processes whose address must be known before they start, and when they are started again.
//!
//! They come from below the range that the kernel takes for outgoing connections and for port 0, so only another test
//! could take one before it is used, or between the end of a process and its return: hence one counter for all, which
//! starts at a different place in every run, and a socket that keeps those of other runs out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use socket2::{Domain, Socket, Type};

/// Below are the well-known ports of databases and brokers, above are the kernel's.
const RANGE: std::ops::Range<u16> = 12_000..32_000;
/// Many times what the tests that run at the same time use, and few beside the open files that a process may have.
const MOST_KEPT: usize = 256;

static NEXT: AtomicU32 = AtomicU32::new(0);
static KEPT: Mutex<VecDeque<Socket>> = Mutex::new(VecDeque::new());

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
            && let Ok(sockets) = ports.map(keep).collect::<Result<Vec<_>, _>>()
        {
            let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(sockets);
            let old = kept.len().saturating_sub(MOST_KEPT);
            kept.drain(..old);
            return first;
        }
    }
    panic!("no {count} free ports in a row in {RANGE:?}");
}

/// A socket that has the port and does not listen. It lets everybody listen there who says `SO_REUSEADDR`, as all
/// servers do, but no other run's socket like this one.
fn keep(port: u16) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}

/// One port on which nobody listens.
pub(crate) fn free_port() -> u16 {
    free_ports(1)
}

#[test]
fn a_kept_port_can_be_listened_on_and_is_given_to_nobody_else() {
    let port = free_port();
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("it is free for this test");
    drop(listener);
    assert!(keep(port).is_err(), "another run would be given it");
}
