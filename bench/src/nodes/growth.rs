//! The worst stall while a node grows from nothing to millions of keys.
//!
//! One connection stores keys at a fixed rate, well below what any of the nodes can take; another sends
//! PINGs more often than each millisecond, whatever the replies do. How long a PING waits is what any client would have waited
//! then: for a batch of stores, and for whatever the node does to grow. The machine's own stalls are in it as
//! well.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::load::{BATCH, send_batch};
use super::server::{Node, Server};
use super::{declare as declare_rows, rounds, scenario, worst_of_rounds};
use crate::bench::Bench;
use crate::client::Client;
use crate::load::keys::shown;
use crate::load::open_loop::{OpenLoop, Workload};
use crate::load::schedule::Schedule;
use crate::load::{key, value};
use crate::process::let_pass;
use crate::results::{Better, Metric, Results, Scenario, metric};
use crate::rounds::{Round, Trouble, interleaved};

/// Of all rounds: of worst cases there is no median.
const WORST: Metric = Metric { name: "worst", unit: "ms", better: Better::Lower };
const WORST_OF_A_ROUND: Metric = Metric { name: "worst of a round", unit: "ms", better: Better::Neither };
/// Far more than the keys take.
const MAXMEMORY: u64 = 4 << 30;
/// Bytes of a value: small ones, so that growing is mostly growing of tables.
const VALUE: usize = 16;
/// Keys stored per second: about half of what one core does in batches.
const RATE: f64 = 300_000.0;
/// PINGs per second: twenty thousand in all, so twenty wait longer than p99.9.
const PINGS: f64 = 1_250.0;
/// When storing took longer than planned by more than this, the node could not take the rate.
const BEHIND: f64 = 1.1;
fn keys(bench: &Bench) -> u64 {
    if bench.quick { 200_000 } else { 5_000_000 }
}

fn scenarios(bench: &Bench) -> [Scenario; 1] {
    [scenario("stall while growing", format!("PING while it grows to {} keys", keys(bench)))]
}

pub(super) fn declare(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let metrics = [WORST, WORST_OF_A_ROUND, metric::P999, metric::P99];
    declare_rows(bench, results, nodes, &scenarios(bench), &metrics, rounds(bench));
}

pub(super) fn measure(bench: &Bench, results: &mut Results, nodes: &[Node]) {
    let mut nodes = nodes.to_vec();
    for scenario in scenarios(bench) {
        interleaved(bench, results, &scenario, &mut nodes, rounds(bench), |node, _| {
            let server = node.start(bench, MAXMEMORY)?;
            grow(&server, keys(bench)).map_err(|trouble| server.explain(trouble))
        });
        worst_of_rounds(results, &scenario, &nodes, WORST_OF_A_ROUND, WORST);
    }
}

fn grow(server: &Server, keys: u64) -> Result<Round, Trouble> {
    let planned = Duration::from_secs_f64(keys as f64 / RATE);
    let pings = OpenLoop {
        address: server.address,
        connections: 1,
        rate: PINGS,
        duration: planned,
        warm_up: Duration::ZERO,
    };
    let (latencies, took) = thread::scope(|scope| {
        let storing = scope.spawn(|| store(server.address, keys));
        let latencies = pings.run(&mut Ping);
        let took = storing.join().unwrap_or_else(|_| Err(io::Error::other("the loader panicked")));
        (latencies, took)
    });
    let (latencies, took) = (latencies?, took?);
    let held = Server::keys(&mut server.client()?)?;
    if held != keys {
        return Err(Trouble::Failed(format!("it holds {held} of {keys} keys")));
    }
    let round = Round::default()
        .with(WORST_OF_A_ROUND, latencies.at_quantile(1.0))
        .with(metric::P999, latencies.at_quantile(0.999))
        .with(metric::P99, latencies.at_quantile(0.99));
    let is_behind = took > planned.mul_f64(BEHIND);
    Ok(if is_behind { round.note("it could not take the keys at the rate they came") } else { round })
}

/// Stores the keys, batch by batch, each when it is due.
fn store(address: SocketAddr, keys: u64) -> io::Result<Duration> {
    let mut client = Client::connect(address)?;
    let batches = keys.div_ceil(BATCH);
    let schedule = Schedule::new(RATE / BATCH as f64, Duration::from_secs_f64(keys as f64 / RATE));
    let started = Instant::now();
    for batch in 0..batches {
        let_pass(schedule.due(batch).saturating_sub(started.elapsed()));
        let numbers = batch * BATCH..keys.min((batch + 1) * BATCH);
        let count = numbers.end - numbers.start;
        for number in numbers {
            client.queue(&[b"SET", key("key", number).as_bytes(), &value(number, VALUE)]);
        }
        send_batch(&mut client, count)?;
    }
    Ok(started.elapsed())
}

/// PING, answered with PONG.
struct Ping;

impl Workload for Ping {
    fn request(&mut self, number: u64, out: &mut Vec<u8>) -> u64 {
        out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
        number
    }

    fn accepts(&mut self, _: u64, reply: &[u8]) -> Result<(), String> {
        if reply == b"+PONG\r\n" { Ok(()) } else { Err(format!("PING gave {}", shown(reply))) }
    }
}
