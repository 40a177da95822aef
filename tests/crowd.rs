//! Many clients at once: all are let in, all are answered while a few ask for far more than their share, and a node
//! that stands still keeps nobody from the others.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::client::Client;
use crate::cluster::Cluster;
use crate::eventually::eventually;

/// As many as fit below the default `maxclients` of 10 000, besides the greedy and the health service.
const CROWD: usize = 9_900;
/// Threads that connect at the same time.
const DOORS: usize = 8;
/// Clients that ask for as much as they can get.
const GREEDY: usize = 4;
/// Requests that each of those has on its way at a time.
const PIPELINE: usize = 500;
/// One client of the crowd waits no longer than this for one reply, with 9 899 others and the greedy before it. A
/// turn of the proxy's loop takes milliseconds; this leaves room for a machine that does other things as well.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

#[test]
fn a_storm_of_ten_thousand_clients_is_let_in_and_served_beside_greedy_ones() {
    raise_the_limit_of_open_files();
    let cluster = Cluster::start(3, 1);
    let address = cluster.proxies[0].address.as_str();
    assert_eq!(cluster.client(0).ask("SET small value"), "+OK\r\n");
    let (stop, pipelines) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..GREEDY {
            scope.spawn(|| take_all_there_is(address, &stop, &pipelines));
        }
        eventually("the greedy are served", || match pipelines.load(Ordering::Relaxed) {
            0 => Err("not one pipeline".to_owned()),
            _ => Ok(()),
        });
        // Ends the greedy however this ends: a scope waits for its threads.
        let _stop = OnDrop(|| stop.store(true, Ordering::Relaxed));
        let mut crowd = storm(address);
        for round in ["first", "second"] {
            let before = pipelines.load(Ordering::Relaxed);
            let waited = ask_all_at_once(&mut crowd);
            assert!(waited < LONGEST_WAIT, "{round} round: somebody waited {waited:?}");
            eventually("the greedy are still served", || match pipelines.load(Ordering::Relaxed) {
                same if same == before => Err("not one pipeline more".to_owned()),
                _ => Ok(()),
            });
        }
    });
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A socket for each of the crowd, in this process and, inherited, in the proxy's.
fn raise_the_limit_of_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = CROWD as u64 + 2_000;
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
            .expect("the hard limit of open files allows 12 000");
    }
}

/// The whole crowd, connected as fast as that goes.
fn storm(address: &str) -> Vec<Client> {
    let door = || -> Vec<Client> {
        let connect = |_| Client::connect(address).expect("the proxy lets everybody in");
        (0..CROWD / DOORS).map(connect).collect()
    };
    thread::scope(|scope| {
        let doors: Vec<_> = (0..DOORS).map(|_| scope.spawn(door)).collect();
        doors.into_iter().flat_map(|door| door.join().expect("a door does not fail")).collect()
    })
}

/// Everybody asks before anybody reads; the time from the first request to the last reply bounds every wait.
fn ask_all_at_once(crowd: &mut [Client]) -> Duration {
    let began = Instant::now();
    for client in crowd.iter_mut() {
        client.send(&[b"GET", b"small"]).expect("the connection holds");
    }
    for client in crowd.iter_mut() {
        assert_eq!(client.receive().expect("the proxy answers everybody"), b"$5\r\nvalue\r\n");
    }
    began.elapsed()
}

fn take_all_there_is(address: &str, stop: &AtomicBool, pipelines: &AtomicU64) {
    let mut client = Client::connect(address).expect("the proxy listens");
    let pipeline = b"*2\r\n$3\r\nGET\r\n$5\r\nsmall\r\n".repeat(PIPELINE);
    while !stop.load(Ordering::Relaxed) {
        client.send_raw(&pipeline).expect("the connection holds");
        for _ in 0..PIPELINE {
            assert_eq!(client.receive().expect("the proxy answers"), b"$5\r\nvalue\r\n");
        }
        pipelines.fetch_add(1, Ordering::Relaxed);
    }
}

/// Who asks a frozen node waits until the health service has found out, some 450 ms. Nobody else notices.
#[test]
fn a_frozen_node_delays_nobody_who_asks_the_others() {
    let cluster = Cluster::over_redis(3, 1);
    let key_of = |node: usize| {
        let mut client = cluster.client(0);
        (0..)
            .map(|number| format!("key{number}"))
            .find(|key| {
                client.ask(&format!("SET {key} 1"));
                cluster.node_client(node).ask(&format!("EXISTS {key}")) == ":1\r\n"
            })
            .expect("each node has keys")
    };
    let (frozen, other) = (key_of(0), key_of(1));
    cluster.nodes[0].process.signal(Signal::STOP);
    let thawed = AtomicBool::new(false);
    let (wait, mut waits) = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let began = Instant::now();
            // The stand-in does not have it.
            assert_eq!(cluster.client(0).ask(&format!("GET {frozen}")), "$-1\r\n");
            thawed.store(true, Ordering::Relaxed);
            began.elapsed()
        });
        let mut client = cluster.client(0);
        let mut waits = Vec::new();
        while !thawed.load(Ordering::Relaxed) && !waiting.is_finished() {
            let began = Instant::now();
            assert_eq!(client.ask(&format!("GET {other}")), "$1\r\n1\r\n");
            waits.push(began.elapsed());
        }
        (waiting.join().expect("the frozen node's client is answered"), waits)
    });
    cluster.nodes[0].process.signal(Signal::CONT);
    waits.sort();
    // All but one in a hundred: this machine does other things as well.
    let (most, count) = (waits[waits.len() * 99 / 100], waits.len());
    assert!(most < wait / 10, "{wait:?} on the frozen node, {most:?} on another, {count} requests");
}
