//! The ports of a cluster on this host: laid out, and all of them free before anything starts.

use std::collections::HashSet;
use std::io;
use std::net::TcpListener;

use daemon::Settings;

use super::first_ports;
use crate::layout::{Layout, Place};

/// Lays out the ports that the settings ask for and makes sure that nobody listens on them.
///
/// # Errors
/// One line for each port that does not fit or is taken, with who wants it.
pub(super) fn lay_out(settings: &Settings, with_haproxy: bool) -> anyhow::Result<Layout> {
    let host = settings.text("host");
    let counts = (settings.count("nodes"), settings.count("proxies"));
    let mut picked = HashSet::new();
    let mut held = Vec::new();
    let free = || pick_free(host, &mut picked, &mut held);
    let layout = Layout::new(host, counts, first_ports(settings), with_haproxy, free);
    let layout = layout.map_err(|mistakes| anyhow::anyhow!(mistakes.join("\nfastcache up: ")))?;
    // Until here they were held, so that none was picked twice.
    drop(held);
    let taken = taken(&layout);
    anyhow::ensure!(taken.is_empty(), taken.join("\nfastcache up: "));
    Ok(layout)
}

fn pick_free(host: &str, picked: &mut HashSet<u16>, held: &mut Vec<TcpListener>) -> io::Result<u16> {
    let listener = TcpListener::bind((host, 0))?;
    let port = listener.local_addr()?.port();
    picked.insert(port);
    held.push(listener);
    Ok(port)
}

/// A line for each port that cannot be listened on.
fn taken(layout: &Layout) -> Vec<String> {
    let problem = |place: &Place| match TcpListener::bind((layout.host.as_str(), place.port)) {
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Some(format!(
            "port {} for {} is taken: stop what listens there, or choose another port",
            place.port, place.name
        )),
        Err(error) => Some(format!("port {} for {}: {error}", place.port, place.name)),
    };
    layout.places().iter().filter_map(problem).collect()
}
