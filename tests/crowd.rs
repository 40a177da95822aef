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
/// What everybody is told of a key that nobody has set, whichever node serves it in such a storm.
const NOTHING: &[u8] = b"$-1\r\n";
/// The crowd with the greedy takes at most this many times as long as the crowd alone: the greedy have a share of the
/// proxy, and the test's own threads for them another of the machine. Whom nobody serves waits for ever.
const SHARES: u32 = 10;

#[test]
fn a_storm_of_ten_thousand_clients_is_let_in_and_served_beside_greedy_ones() {
    raise_the_limit_of_open_files();
    let cluster = Cluster::start(3, 1);
    let address = cluster.proxies[0].address.as_str();
    let alone = ask_all_at_once(&mut storm(address));
    until_they_have_left(&cluster);
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
            assert!(waited < SHARES * alone, "{round} round: {waited:?}, and {alone:?} without the greedy");
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
            .expect("the hard limit of open files is 12 000 or more");
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

/// The places of the crowd are free again, for the next one.
fn until_they_have_left(cluster: &Cluster) {
    eventually("the crowd has left", || {
        let info = cluster.client(0).ask("INFO clients");
        let count = info.lines().find_map(|line| line.strip_prefix("connected_clients:")?.parse().ok());
        if count.is_some_and(|count: usize| count < 10) { Ok(()) } else { Err(info) }
    });
}

/// Everybody asks before anybody reads; the time from the first request to the last reply bounds every wait.
fn ask_all_at_once(crowd: &mut [Client]) -> Duration {
    let began = Instant::now();
    for client in crowd.iter_mut() {
        client.send(&[b"GET", b"nothing"]).expect("the connection holds");
    }
    for client in crowd.iter_mut() {
        assert_eq!(client.receive().expect("the proxy answers everybody"), NOTHING);
    }
    began.elapsed()
}

fn take_all_there_is(address: &str, stop: &AtomicBool, pipelines: &AtomicU64) {
    let mut client = Client::connect(address).expect("the proxy listens");
    let pipeline = b"*2\r\n$3\r\nGET\r\n$7\r\nnothing\r\n".repeat(PIPELINE);
    while !stop.load(Ordering::Relaxed) {
        client.send_raw(&pipeline).expect("the connection holds");
        for _ in 0..PIPELINE {
            assert_eq!(client.receive().expect("the proxy answers"), NOTHING);
        }
        pipelines.fetch_add(1, Ordering::Relaxed);
    }
}

/// Who asks a frozen node waits until the health service has found out, more than three seconds. Nobody else notices.
#[test]
fn a_frozen_node_delays_nobody_who_asks_the_others() {
    let cluster = Cluster::over_redis(3, 1);
    let key_of = |node: usize| {
        let mut client = cluster.client(0);
        (0..1_000)
            .map(|number| format!("key{number}"))
            .find(|key| {
                client.ask(&format!("SET {key} 1"));
                cluster.node_client(node).ask(&format!("EXISTS {key}")) == ":1\r\n"
            })
            .expect("each node has keys")
    };
    let (frozen, other) = (key_of(0), key_of(1));
    let (on_frozen, longest) = waits_while_frozen(&cluster, &frozen, &other);
    assert!(longest < on_frozen / 2, "{on_frozen:?} on the frozen node, up to {longest:?} on another");
}

/// Freezes the first node: how long a request for its key waits, and the longest wait for the other one meanwhile.
fn waits_while_frozen(cluster: &Cluster, frozen: &str, other: &str) -> (Duration, Duration) {
    cluster.nodes[0].process.signal(Signal::STOP);
    let waits = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let began = Instant::now();
            // The stand-in does not have it.
            assert_eq!(cluster.client(0).ask(&format!("GET {frozen}")), "$-1\r\n");
            began.elapsed()
        });
        let mut client = cluster.client(0);
        let mut longest = Duration::ZERO;
        while !waiting.is_finished() {
            let began = Instant::now();
            assert_eq!(client.ask(&format!("GET {other}")), "$1\r\n1\r\n");
            longest = longest.max(began.elapsed());
        }
        (waiting.join().expect("the frozen node's client is answered"), longest)
    });
    cluster.nodes[0].process.signal(Signal::CONT);
    waits
}
