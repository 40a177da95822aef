//! Memory of each proxy with all its processes: fresh, with many idle clients, and while a large value passes through.
//! FastCache's health service is one of its processes.

use std::io;
use std::net::TcpStream;

use super::SUITE;
use super::contestant::Contestant;
use crate::NO_PROXY;
use crate::bench::Bench;
use crate::client::Client;
use crate::load::keys::shown;
use crate::load::value;
use crate::memory::{peak, reset_peak, resident};
use crate::results::{Better, Metric, Results, Scenario, metric};
use crate::rounds::{Round, Trouble, interleaved};

const GROWTH: Metric = Metric { name: "growth of memory", unit: "MB", better: Better::Lower };

const GROUP: &str = "memory";
const MEGABYTE: f64 = 1024.0 * 1024.0;

fn fresh() -> Scenario {
    Scenario { suite: SUITE, group: GROUP, name: "fresh process".to_owned() }
}

/// As many as fit where the default is at most 10 000 clients, as FastCache's and Redis' is: its health service is one
/// of them.
const IDLE_CLIENTS: usize = 9_900;

fn idle(bench: &Bench) -> (Scenario, usize) {
    let clients = if bench.quick { 500 } else { IDLE_CLIENTS };
    (Scenario { suite: SUITE, group: GROUP, name: format!("{clients} idle clients") }, clients)
}

fn large(bench: &Bench) -> (Scenario, usize) {
    let megabytes = if bench.quick { 16 } else { 256 };
    let name = format!("a value of {megabytes} MB, stored and read");
    (Scenario { suite: SUITE, group: GROUP, name }, megabytes << 20)
}

/// The rows of this part.
pub(super) fn declare(bench: &Bench, results: &mut Results, subjects: &[String]) -> usize {
    for subject in subjects.iter().filter(|subject| *subject != NO_PROXY) {
        results.declare(&fresh(), subject, &[metric::MEMORY]);
        results.declare(&idle(bench).0, subject, &[metric::MEMORY]);
        results.declare(&large(bench).0, subject, &[GROWTH]);
    }
    3 * subjects.len()
}

/// Memory before any load, then with clients that have asked for something once and stay.
pub(super) fn idle_clients(bench: &Bench, results: &mut Results, contestants: &mut [Contestant]) {
    interleaved(bench, results, &fresh(), contestants, 1, |contestant, _| of_proxy(contestant));
    let (scenario, clients) = idle(bench);
    interleaved(bench, results, &scenario, contestants, 1, |contestant, _| {
        let connected = if contestant.is_proxy() { connect(contestant, clients)? } else { Vec::new() };
        let round = of_proxy(contestant);
        drop(connected);
        round
    });
}

fn of_proxy(contestant: &Contestant) -> Result<Round, Trouble> {
    if !contestant.is_proxy() {
        return Ok(Round::default());
    }
    contestant.proxy()?;
    let bytes = sum_of(contestant, resident)?;
    Ok(Round::default().with(metric::MEMORY, bytes as f64 / MEGABYTE))
}

/// Over all its processes.
fn sum_of(contestant: &Contestant, bytes: fn(u32) -> io::Result<u64>) -> io::Result<u64> {
    contestant.processes.iter().map(|process| bytes(process.id())).sum()
}

/// Each asks for something: a connection that was only accepted holds nothing.
fn connect(contestant: &Contestant, clients: usize) -> Result<Vec<TcpStream>, Trouble> {
    /// Waiting for each one alone would be most of the time; this many fit any queue of connections.
    const AT_A_TIME: usize = 100;
    contestant.has_room_for(clients).map_err(Trouble::Failed)?;
    let mut connected = Vec::with_capacity(clients);
    while connected.len() < clients {
        let at_a_time = AT_A_TIME.min(clients - connected.len());
        let asking: Result<Vec<Client>, _> = (0..at_a_time).map(|_| ask(contestant)).collect();
        let failed = |error| Trouble::Failed(format!("after {} clients: {error}", connected.len()));
        let asking = asking.map_err(failed)?;
        let answered: Result<Vec<TcpStream>, _> = asking.into_iter().map(answered).collect();
        connected.extend(answered.map_err(failed)?);
    }
    Ok(connected)
}

fn ask(contestant: &Contestant) -> io::Result<Client> {
    let mut client = Client::connect(contestant.address)?;
    client.queue(&[b"GET", b"nothing"]);
    client.flush()?;
    Ok(client)
}

fn answered(mut client: Client) -> io::Result<TcpStream> {
    match client.receive()? {
        b"$-1\r\n" => Ok(client.into_stream()),
        other => Err(io::Error::other(format!("GET gave {}", shown(other)))),
    }
}

/// How much a proxy grows when it passes a large value in both directions.
pub(super) fn large_value(bench: &Bench, results: &mut Results, contestants: &mut [Contestant]) {
    let (scenario, size) = large(bench);
    let stored = value(1, size);
    interleaved(bench, results, &scenario, contestants, 1, |contestant, _| {
        if contestant.is_proxy() { pass(contestant, &stored) } else { Ok(Round::default()) }
    });
}

fn pass(contestant: &Contestant, stored: &[u8]) -> Result<Round, Trouble> {
    let key = format!("{}:large", contestant.letter);
    contestant.proxy()?;
    let before = sum_of(contestant, resident)?;
    contestant.processes.iter().try_for_each(|process| reset_peak(process.id()))?;
    let mut client = Client::connect(contestant.address)?;
    let reply = client.ask(&[b"SET", key.as_bytes(), stored])?;
    if reply != b"+OK\r\n" {
        return Err(Trouble::Failed(format!("SET gave {}", shown(reply))));
    }
    let reply = client.ask(&[b"GET", key.as_bytes()])?;
    let expected = [format!("${}\r\n", stored.len()).as_bytes(), stored, b"\r\n"].concat();
    if reply.first() == Some(&b'-') {
        return Err(Trouble::Failed(format!("GET gave {}", shown(reply))));
    }
    if reply != expected {
        return Err(Trouble::Wrong(format!("GET of {} bytes gave {}", stored.len(), shown(reply))));
    }
    let growth = sum_of(contestant, peak)?.saturating_sub(before);
    client.ask(&[b"DEL", key.as_bytes()])?;
    Ok(Round::default().with(GROWTH, growth as f64 / MEGABYTE))
}
