//! Large values on their way to clients: the proxy holds none whole, whether its reader is quick or stands still, and
//! nobody waits for a slow one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::cluster::Cluster;
use crate::eventually::{PATIENCE, eventually};
use crate::uploads::{GROWTH, LARGE, MIB, one_at_a_time};

/// Puts the large value at `key` into the node that serves it, past the proxy.
fn store(cluster: &Cluster, key: &str) {
    cluster.client(0).ask(&format!("SET {key} small"));
    let holds = |node: &usize| cluster.node_client(*node).ask(&format!("EXISTS {key}")) == ":1\r\n";
    let node = (0..cluster.nodes.len()).find(holds).expect("a node has the key");
    let last = (LARGE - 1).to_string();
    let mut client = cluster.node_client(node);
    let reply = client.try_ask(&[b"SETRANGE", key.as_bytes(), last.as_bytes(), b"x"]).expect("a reply");
    assert_eq!(reply, format!(":{LARGE}\r\n").into_bytes());
}

/// Reads the large value to its end.
fn read_large(stream: &mut TcpStream) {
    let head = format!("${LARGE}\r\n");
    let whole = head.len() + LARGE + 2;
    let (mut buffer, mut taken) = (vec![0; MIB], 0);
    let mut ends = Vec::new();
    while taken < whole {
        let len = stream.read(&mut buffer).expect("the value");
        assert!(len > 0, "closed after {taken} bytes");
        if taken == 0 {
            assert!(buffer.starts_with(head.as_bytes()));
        }
        ends.extend_from_slice(&buffer[len.saturating_sub(3)..len]);
        ends.drain(..ends.len().saturating_sub(3));
        taken += len;
    }
    assert_eq!((taken, ends.as_slice()), (whole, &b"x\r\n"[..]));
}

fn ask(cluster: &Cluster, key: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&cluster.proxies[0].address).expect("the proxy listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out that is not zero");
    stream.write_all(format!("GET {key}\r\n").as_bytes()).expect("it is connected");
    stream
}

fn until_it_begins(stream: &TcpStream) {
    assert_eq!(stream.peek(&mut [0]).expect("the value begins in time"), 1, "closed instead");
}

/// Connections and buffers that every proxy has after a while.
fn warm_up(client: &mut Client) {
    (0..200).for_each(|number| drop(client.ask(&format!("SET warm:{number} up"))));
}

#[test]
fn a_large_value_is_passed_on_and_not_held() {
    let _alone = one_at_a_time();
    let cluster = Cluster::over_redis(2, 1);
    store(&cluster, "large");
    let mut client = cluster.client(0);
    warm_up(&mut client);
    let proxy = &cluster.proxies[0].process;
    let before = proxy.watch_memory();
    read_large(&mut ask(&cluster, "large"));
    assert!(proxy.grown_by(&before) < GROWTH, "grew by {} bytes", proxy.grown_by(&before));
}

#[test]
fn a_reader_that_stands_still_costs_neither_memory_nor_time() {
    let _alone = one_at_a_time();
    let cluster = Cluster::over_redis(1, 1);
    store(&cluster, "large");
    let mut client = cluster.client(0);
    warm_up(&mut client);
    let proxy = &cluster.proxies[0].process;
    let before = proxy.watch_memory();
    let mut slow = ask(&cluster, "large");
    until_it_begins(&slow);
    let (mut waits, until) = (Vec::new(), Instant::now() + Duration::from_secs(1));
    while waits.len() < 200 || Instant::now() < until {
        let asked = Instant::now();
        assert_eq!(client.ask("GET warm:1"), "$2\r\nup\r\n");
        waits.push(asked.elapsed());
    }
    waits.sort_unstable();
    // Behind the slow one it would be 150 ms and more for each. A busy machine makes some wait, and not all; the node
    // itself takes a while to make the reply.
    assert!(waits[waits.len() / 4] < Duration::from_millis(50), "{waits:?}");
    assert!(*waits.last().expect("some") < Duration::from_secs(10), "{waits:?}");
    read_large(&mut slow);
    assert!(proxy.grown_by(&before) < GROWTH, "grew by {} bytes", proxy.grown_by(&before));
}

#[test]
fn a_client_whose_node_dies_in_the_middle_of_a_value_is_closed_and_comes_again() {
    let _alone = one_at_a_time();
    let mut cluster = Cluster::over_redis(2, 1);
    store(&cluster, "large");
    let mut slow = ask(&cluster, "large");
    until_it_begins(&slow);
    for node in &mut cluster.nodes {
        node.process.kill();
    }
    let mut taken = Vec::new();
    // An end or a reset: half a value is never taken for a whole one.
    let _ = slow.read_to_end(&mut taken);
    assert!(taken.len() < LARGE, "{} bytes", taken.len());
    (0..cluster.nodes.len()).for_each(|node| cluster.restart_node(node));
    // Both were away, which the health service may not even have seen yet.
    let mut client = cluster.client(0);
    eventually("the nodes serve again, without it", || match client.ask("GET large").as_str() {
        "$-1\r\n" => Ok(()),
        other => Err(other.to_owned()),
    });
}
