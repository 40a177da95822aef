//! Requests of busy clients allocate nothing: what a connection needs it has after a while, and keeps.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counting;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use cache_proxy::{Config, Listeners, PROGRAM};
use counting::{allocations, look_away};
use resp::{Limits, RequestScanner};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const NODES: usize = 5;

/// Clients, and pairs of SET and GET in each one's pipeline. The last ones have 4 096 requests on their way, most of
/// which are answered before their turn.
const LOADS: [(usize, usize); 3] = [(8, 1), (8, 16), (64, 32)];

/// Rounds in which not one allocation may happen; each is a pipeline of every client.
const ROUNDS: usize = 500;

/// How often so many rounds are tried. A buffer may grow in any of them to a size it has not had before, but
/// an allocation that belongs to the requests happens in all.
const ATTEMPTS: usize = 20;

/// Far longer than a reply takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node that answers PING, SET and GET.
fn start_node() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        look_away();
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    look_away();
    let mut scanner = RequestScanner::new(Limits::default());
    let (mut received, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    while let Ok(len @ 1..) = stream.read(&mut chunk) {
        received.extend_from_slice(&chunk[..len]);
        let mut replies = Vec::new();
        while let Some(len) = scanner.scan(&received).unwrap() {
            match scanner.request(&received).arg(0) {
                b"GET" => replies.extend_from_slice(&reply_to_get()),
                b"SET" => replies.extend_from_slice(b"+OK\r\n"),
                _ => replies.extend_from_slice(b"+PONG\r\n"),
            }
            received.drain(..len);
        }
        stream.write_all(&replies).unwrap();
    }
}

fn reply_to_get() -> Vec<u8> {
    [&b"$64\r\n"[..], &[b'x'; 64], b"\r\n"].concat()
}

/// A proxy over these nodes, in threads of its own.
fn start_proxy(nodes: &[SocketAddr]) -> SocketAddr {
    let files = tempfile::tempdir().unwrap();
    let cluster = files.path().join("cluster.toml");
    let mut text = String::new();
    for (number, address) in nodes.iter().enumerate() {
        write!(text, "[[node]]\nid = \"n{number}\"\naddress = \"{address}\"\n").unwrap();
    }
    std::fs::write(&cluster, text).unwrap();
    // What a busy machine makes slow is noted, which allocates.
    let flags =
        ["--slowlog-max-len", "0", "--port", "0", "--health-service", "http://127.0.0.1:1", "--cluster"];
    let flags = [&flags[..], &[cluster.to_str().unwrap()]].concat();
    let config = Config::from_settings(&PROGRAM.from_flags(&flags).unwrap()).unwrap();
    let listeners = Listeners::bind(&config).unwrap();
    let address = listeners.address();
    thread::spawn(move || {
        // Only the workers, which it starts, touch requests.
        look_away();
        let _files = files;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(cache_proxy::run(listeners, config, std::future::pending())).unwrap();
    });
    address
}

/// A pipeline of one client and what it answers: as many SET and GET of different keys.
struct Exchange {
    stream: TcpStream,
    requests: Vec<u8>,
    replies: Vec<u8>,
    received: Vec<u8>,
}

impl Exchange {
    fn new(proxy: SocketAddr, client: usize, depth: usize) -> Self {
        let stream = TcpStream::connect(proxy).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut requests, mut replies) = (Vec::new(), Vec::new());
        for number in 0..depth {
            let key = format!("key:{client}:{number}");
            resp::encode_request(&mut requests, [&b"SET"[..], key.as_bytes(), &[b'v'; 64]].into_iter());
            resp::encode_request(&mut requests, [&b"GET"[..], key.as_bytes()].into_iter());
            replies.extend_from_slice(b"+OK\r\n");
            replies.extend_from_slice(&reply_to_get());
        }
        let received = vec![0; replies.len()];
        Self { stream, requests, replies, received }
    }

    fn ask(&mut self) {
        self.stream.write_all(&self.requests).unwrap();
    }

    fn check(&mut self) {
        self.stream.read_exact(&mut self.received).unwrap();
        assert_eq!(self.received, self.replies);
    }
}

/// Allocations of the workers while every client sends its pipeline this often.
fn allocations_of(rounds: usize, clients: &mut [Exchange]) -> u64 {
    let before = allocations();
    for _ in 0..rounds {
        clients.iter_mut().for_each(Exchange::ask);
        clients.iter_mut().for_each(Exchange::check);
    }
    allocations() - before
}

#[test]
fn get_and_set_allocate_nothing_in_steady_state() {
    look_away();
    let nodes: Vec<_> = (0..NODES).map(|_| start_node()).collect();
    let proxy = start_proxy(&nodes);
    for (clients, depth) in LOADS {
        let mut clients: Vec<_> = (0..clients).map(|client| Exchange::new(proxy, client, depth)).collect();
        assert!(allocations_of(1, &mut clients) > 0, "new connections need memory: the count works");
        let mut counts = Vec::new();
        while counts.last() != Some(&0) {
            counts.push(allocations_of(ROUNDS, &mut clients));
            assert!(counts.len() < ATTEMPTS, "allocations in {ROUNDS} rounds of depth {depth}: {counts:?}");
        }
        println!("depth {depth}: {counts:?}");
    }
}
