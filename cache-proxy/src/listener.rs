//! The sockets a proxy listens on: bound before anything else starts, so that a taken port is told at once.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use anyhow::Context;
use socket2::{Domain, Socket, Type};

use crate::config::Config;

/// Connections that may wait to be accepted. A restart of the load balancer brings all clients at once; the
/// system cuts this to its own limit (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// Every listening socket of a proxy.
#[derive(Debug)]
pub struct Listeners {
    /// For each worker, the sockets it accepts from.
    pub(crate) of_worker: Vec<Vec<TcpListener>>,
    /// Where `/metrics` is served.
    pub(crate) admin: Option<TcpListener>,
    /// The address clients connect to; tells the port when it was to be picked.
    pub(crate) address: SocketAddr,
}

impl Listeners {
    /// Binds all of a proxy's ports.
    ///
    /// The port is bound for this proxy alone, so a second proxy on it is refused: `SO_REUSEPORT`, by which
    /// several workers share it, would let the second one in and take half of the clients. Only the entry
    /// port is meant to be shared with other proxies.
    ///
    /// # Errors
    /// When an address does not resolve or a port is taken.
    pub fn bind(config: &Config) -> anyhow::Result<Self> {
        let alone = bind(&config.host, config.port, false)?;
        let address = alone.local_addr()?;
        let mut of_worker = Vec::new();
        if config.workers == 1 {
            of_worker.push(vec![alone]);
        } else {
            drop(alone);
            for _ in 0..config.workers {
                of_worker.push(vec![bind(&config.host, address.port(), true)?]);
            }
        }
        if let Some(entry) = config.entry_port {
            for listeners in &mut of_worker {
                listeners.push(bind(&config.host, entry, true)?);
            }
        }
        let admin = config.admin_port.map(|port| bind(&config.admin_host, port, false)).transpose()?;
        Ok(Self { of_worker, admin, address })
    }

    /// The address clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the admin endpoints, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|listener| listener.local_addr().ok())
    }
}

fn bind(host: &str, port: u16, shared: bool) -> anyhow::Result<TcpListener> {
    let context = || format!("cannot listen on {host}:{port}");
    let address = (host, port).to_socket_addrs().with_context(context)?.next().with_context(context)?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).with_context(context)?;
    // A restarted proxy takes its port back although old connections linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into()).and_then(|()| socket.listen(BACKLOG)).with_context(context)?;
    Ok(socket.into())
}
