//! Large values on their way to the nodes: none is held whole, and whatever happens to the node, the client's
//! connection stays in step.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::client::Client;
use crate::cluster::Cluster;
use crate::eventually::eventually;

pub(crate) const MIB: usize = 1024 * 1024;
/// The size that users have asked about.
pub(crate) const LARGE: usize = 256 * MIB;
/// What the proxy's memory may grow by for it.
pub(crate) const GROWTH: usize = 4 * MIB;

/// Values of that size are in one test at a time: the machine's memory is not what is tested.
pub(crate) fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that tell when a piece is missing or in the wrong place.
fn value(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 251 + at % 251) as u8).collect()
}

fn receive(client: &mut Client) -> String {
    String::from_utf8_lossy(&client.receive().expect("a reply")).into_owned()
}

/// Waits until one of the nodes has been sent so many bytes.
fn until_a_node_has_taken(bytes: usize, cluster: &Cluster) {
    eventually(&format!("a node has taken {bytes} bytes"), || {
        let taken = (0..cluster.nodes.len()).map(|node| taken_by(cluster, node)).max();
        if taken >= Some(bytes) { Ok(()) } else { Err(format!("at most {taken:?}")) }
    });
}

fn taken_by(cluster: &Cluster, node: usize) -> usize {
    let stats = cluster.node_client(node).ask("INFO stats");
    let field = stats.lines().find_map(|line| line.strip_prefix("total_net_input_bytes:"));
    field.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no input in {stats}"))
}

#[test]
fn a_large_value_passes_through_and_is_not_held() {
    let _alone = one_at_a_time();
    let cluster = Cluster::over_redis(2, 1);
    let mut client = cluster.client(0);
    assert_eq!(client.ask("SET warm up"), "+OK\r\n");
    let proxy = &cluster.proxies[0].process;
    let before = proxy.watch_memory();
    client
        .send_raw(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${LARGE}\r\n").as_bytes())
        .expect("it is connected");
    let mut piece = value(MIB);
    for number in 0..LARGE / MIB {
        piece[..8].copy_from_slice(format!("{number:08}").as_bytes());
        client.send_raw(&piece).expect("it is connected");
    }
    client.send_raw(b"\r\n").expect("it is connected");
    assert_eq!(receive(&mut client), "+OK\r\n");
    assert!(proxy.grown_by(&before) < GROWTH, "grew by {} bytes", proxy.grown_by(&before));
    assert_eq!(client.ask("STRLEN k"), format!(":{LARGE}\r\n"));
    for number in 0..LARGE / MIB {
        let first = number * MIB;
        let reply = client.ask(&format!("GETRANGE k {first} {}", first + 7));
        assert_eq!(reply, format!("$8\r\n{number:08}\r\n"));
    }
}

#[test]
fn large_arguments_arrive_whole_and_in_their_places() {
    let cluster = Cluster::over_redis(2, 1);
    let mut client = cluster.client(0);
    assert_eq!(client.ask("SET warm up"), "+OK\r\n");
    let value = value(16 * MIB);
    client.send(&[b"GET", b"k"]).expect("it is connected");
    client.send(&[b"SET", b"k", &value, b"EX", b"1000"]).expect("it is connected");
    client.send(&[b"STRLEN", b"k"]).expect("it is connected");
    assert_eq!(receive(&mut client) + &receive(&mut client), "$-1\r\n+OK\r\n");
    assert_eq!(receive(&mut client), format!(":{}\r\n", value.len()));
    assert!(client.ask("TTL k").starts_with(":9") || client.ask("TTL k") == ":1000\r\n");
    // Several large arguments, and small ones behind them.
    let request: [&[u8]; 6] = [b"RPUSH", b"list", &value[..2 * MIB], b"small", &value[MIB..4 * MIB], b""];
    assert_eq!(client.try_ask(&request).expect("a reply"), b":4\r\n");
    for (index, expected) in request[2..].iter().enumerate() {
        let reply = client.try_ask(&[b"LINDEX", b"list", index.to_string().as_bytes()]).expect("a reply");
        let (_, body) = reply.split_at(reply.len() - 2 - expected.len());
        assert!(&body[..expected.len()] == *expected, "element {index}");
    }
    let reply = client.try_ask(&[b"GETRANGE", b"k", b"-1000", b"-1"]).expect("a reply");
    assert_eq!(&reply[7..1007], &value[value.len() - 1000..]);
    assert!(
        client.try_ask(&[b"GETSET", b"list", &value[..2 * MIB]]).expect("a reply").starts_with(b"-WRONGTYPE")
    );
    assert_eq!(client.ask("PING"), "+PONG\r\n");
}

#[test]
fn a_node_that_dies_in_the_middle_of_a_value_is_told_and_nothing_is_out_of_step() {
    let mut cluster = Cluster::over_redis(3, 1);
    let mut client = cluster.client(0);
    let value = value(8 * MIB);
    let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len());
    client.send_raw(head.as_bytes()).expect("it is connected");
    client.send_raw(&value[..4 * MIB]).expect("it is connected");
    // Whichever node serves the key. One that has taken nothing yet would be waited for, and no error be due.
    until_a_node_has_taken(MIB, &cluster);
    for node in &mut cluster.nodes {
        node.process.kill();
    }
    (0..cluster.nodes.len()).for_each(|node| cluster.restart_node(node));
    client.send_raw(&value[4 * MIB..]).expect("it is connected");
    client.send_raw(b"\r\n").expect("it is connected");
    let reply = receive(&mut client);
    assert!(reply.starts_with("-UNAVAILABLE ") && reply.contains("was not executed"), "{reply}");
    assert_eq!(client.ask("PING"), "+PONG\r\n");
    cluster.until_nodes_are("HEALTHY", |_| true);
    assert_eq!(client.try_ask(&[b"SET", b"k", &value]).expect("a reply"), b"+OK\r\n");
    assert_eq!(client.ask("STRLEN k"), format!(":{}\r\n", value.len()));
}

#[test]
fn a_value_for_a_node_that_is_away_waits_for_its_stand_in() {
    let mut cluster = Cluster::over_redis(3, 1);
    let value = value(4 * MIB);
    let mut clients: Vec<_> = (0..12).map(|_| cluster.client(0)).collect();
    cluster.nodes[0].process.kill();
    std::thread::scope(|scope| {
        for (number, client) in clients.iter_mut().enumerate() {
            let value = &value;
            scope.spawn(move || {
                let key = format!("k{number}");
                let reply = client.try_ask(&[b"SET", key.as_bytes(), value]).expect("a reply");
                assert_eq!(String::from_utf8_lossy(&reply), "+OK\r\n", "{key}");
                assert_eq!(client.ask(&format!("STRLEN {key}")), format!(":{}\r\n", value.len()));
            });
        }
    });
}

/// Stock Redis says why and closes the connection at once, so its words may be lost on the way: they are not always.
#[test]
fn a_value_too_large_for_its_node_is_refused_in_the_nodes_words() {
    const REFUSED: &str = "-ERR Protocol error: invalid bulk length\r\n";
    let cluster = Cluster::over_redis(2, 1);
    for node in 0..cluster.nodes.len() {
        assert_eq!(cluster.node_client(node).ask("CONFIG SET proto-max-bulk-len 2mb"), "+OK\r\n");
    }
    let mut client = cluster.client(0);
    let value = value(8 * MIB);
    eventually("the node's words arrive", || {
        let reply = client.try_ask(&[b"SET", b"k", &value]).expect("a reply");
        let reply = String::from_utf8_lossy(&reply).into_owned();
        assert!(reply == REFUSED || reply.contains("was lost while it was sent a large value"), "{reply}");
        if reply == REFUSED { Ok(()) } else { Err(reply) }
    });
    assert_eq!(client.try_ask(&[b"SET", b"k", &value[..MIB]]).expect("a reply"), b"+OK\r\n");
    assert_eq!(client.ask("STRLEN k"), format!(":{MIB}\r\n"));
}
