//! The ports of a cluster on this host: laid out, and all of them free before anything starts.

use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::process;

use daemon::Settings;

use super::first_ports;
use crate::layout::{Layout, Place};

/// Where free ports are looked for: above the well-known ports of databases and brokers, and below those
/// that Linux gives to outgoing connections, one of which could take the port before the child has it.
const FREE_RANGE: Range<u16> = 12_000..32_000;

/// Lays out the ports that the settings ask for.
///
/// # Errors
/// One line for each thing that does not fit.
pub(super) fn lay_out(settings: &Settings, with_haproxy: bool) -> anyhow::Result<Layout> {
    ensure_is_here(settings)?;
    let host = settings.text("host");
    let counts = (settings.count("nodes"), settings.count("proxies"));
    // Each is held until all are laid out, so that none is picked twice.
    let mut held = Vec::new();
    let mut candidates = candidates(process::id());
    let free = || {
        let found = candidates.by_ref().find_map(|port| Some((port, TcpListener::bind((host, port)).ok()?)));
        let (port, listener) = found.ok_or_else(|| none_free(host))?;
        held.push(listener);
        Ok(port)
    };
    let layout = Layout::new(host, counts, first_ports(settings), with_haproxy, free);
    let mut layout = layout.map_err(|mistakes| one_per_line(&mistakes))?;
    layout.admin_host = settings.optional_text("admin-host").map(str::to_owned);
    Ok(layout)
}

/// Makes sure that the addresses are this host's: one line, instead of one for each port.
fn ensure_is_here(settings: &Settings) -> anyhow::Result<()> {
    let problem = |name: &str| {
        let host = settings.optional_text(name)?;
        let error = TcpListener::bind((host, 0)).err()?;
        Some(format!("--{name} {host}: nothing can listen there: {error}"))
    };
    let problems: Vec<String> = ["host", "admin-host"].into_iter().filter_map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(one_per_line(&problems)) }
}

/// Every port of the range once. Processes that start at the same time have ids close together and must
/// not choose the same ports, so each starts elsewhere.
fn candidates(process: u32) -> impl Iterator<Item = u16> {
    /// More ports than most clusters take; it shares no factor with the size of the range.
    const STRIDE: u32 = 97;
    let size = FREE_RANGE.end - FREE_RANGE.start;
    let start = (process.wrapping_mul(STRIDE) % u32::from(size)) as u16;
    (0..size).map(move |offset| FREE_RANGE.start + (start + offset) % size)
}

/// Why a free port is not to be had: what the system says, when even it has none.
fn none_free(host: &str) -> io::Error {
    let problem = TcpListener::bind((host, 0)).err();
    problem.unwrap_or_else(|| io::Error::other(format!("all from {FREE_RANGE:?} are taken")))
}

/// Makes sure that nobody listens on the ports.
///
/// # Errors
/// One line for each port, or run of ports of the same kind, that is taken, with who wants it.
pub(super) fn ensure_free(layout: &Layout) -> anyhow::Result<()> {
    let problem = |place: Place| {
        let error = TcpListener::bind((layout.host_of(place.port), place.port)).err()?;
        Some(Trouble::new(place, &error))
    };
    let troubles = folded(layout.places().into_iter().filter_map(problem));
    let lines: Vec<String> = troubles.iter().map(Trouble::line).collect();
    if lines.is_empty() { Ok(()) } else { Err(one_per_line(&lines)) }
}

/// Whether somebody listens on this port.
pub(super) fn is_taken(layout: &Layout, port: u16) -> bool {
    TcpListener::bind((layout.host.as_str(), port))
        .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

fn one_per_line(lines: &[String]) -> anyhow::Error {
    anyhow::anyhow!(lines.join("\n"))
}

/// A run of ports that cannot be listened on, all for the same reason.
#[derive(Debug)]
struct Trouble {
    first: Place,
    last: Place,
    /// `None`: somebody else listens there.
    error: Option<String>,
}

impl Trouble {
    fn new(place: Place, error: &io::Error) -> Self {
        let error = (error.kind() != io::ErrorKind::AddrInUse).then(|| error.to_string());
        Self { first: place.clone(), last: place, error }
    }

    /// Whether the other one belongs at the end of this run.
    fn is_followed_by(&self, other: &Self) -> bool {
        self.last.port.checked_add(1) == Some(other.first.port)
            && kind(&self.last) == kind(&other.first)
            && self.error == other.error
    }

    fn line(&self) -> String {
        let Self { first, last, error } = self;
        let is_one = first.port == last.port;
        let ports = if is_one {
            format!("port {} for {}", first.port, first.name)
        } else {
            format!("ports {}-{} ({}…{})", first.port, last.port, first.name, last.name)
        };
        match error {
            Some(error) => format!("{ports}: {error}"),
            None if is_one => format!("{ports} is taken: stop what listens there, or choose another port"),
            None => format!("{ports} are taken: stop what listens there, or choose other ports"),
        }
    }
}

/// What the numbered ones have in common.
fn kind(place: &Place) -> String {
    place.name.replace(|c: char| c.is_ascii_digit(), "")
}

/// Runs instead of single ports, each where its first one was.
fn folded(troubles: impl Iterator<Item = Trouble>) -> Vec<Trouble> {
    let mut runs: Vec<Trouble> = Vec::new();
    for trouble in troubles {
        match runs.iter_mut().find(|run| run.is_followed_by(&trouble)) {
            Some(run) => run.last = trouble.last,
            None => runs.push(trouble),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn lines(places: &[(&str, u16, io::ErrorKind)]) -> Vec<String> {
        let trouble = |(name, port, kind): &(&str, u16, io::ErrorKind)| {
            Trouble::new(place(name, *port), &(*kind).into())
        };
        folded(places.iter().map(trouble)).iter().map(Trouble::line).collect()
    }

    fn place(name: &str, port: u16) -> Place {
        Place { name: name.to_owned(), port }
    }

    #[test]
    fn runs_of_a_kind_are_one_line() {
        use io::ErrorKind::{AddrInUse, PermissionDenied};
        let taken = "are taken: stop what listens there, or choose other ports";
        let places = [
            ("the entry", 6380, AddrInUse),
            ("the health service", 6381, AddrInUse),
            ("proxy1", 6382, AddrInUse),
            ("proxy1's admin endpoints", 9382, AddrInUse),
            ("proxy2", 6383, AddrInUse),
            ("proxy2's admin endpoints", 9383, AddrInUse),
            ("node1", 7001, AddrInUse),
            ("node3", 7003, AddrInUse),
            ("node4", 7004, PermissionDenied),
        ];
        let one = "is taken: stop what listens there, or choose another port";
        assert_eq!(
            lines(&places),
            [
                format!("port 6380 for the entry {one}"),
                format!("port 6381 for the health service {one}"),
                format!("ports 6382-6383 (proxy1…proxy2) {taken}"),
                format!("ports 9382-9383 (proxy1's admin endpoints…proxy2's admin endpoints) {taken}"),
                format!("port 7001 for node1 {one}"),
                format!("port 7003 for node3 {one}"),
                "port 7004 for node4: permission denied".to_owned(),
            ]
        );
    }

    #[test]
    fn every_port_of_the_range_is_a_candidate_once() {
        for process in [1, 12_345, u32::MAX] {
            let ports: Vec<u16> = candidates(process).collect();
            let distinct: HashSet<u16> = ports.iter().copied().collect();
            assert_eq!((ports.len(), distinct.len()), (FREE_RANGE.len(), FREE_RANGE.len()));
            assert!(ports.iter().all(|port| FREE_RANGE.contains(port)));
        }
    }
}
