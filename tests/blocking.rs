//! Clients that wait for an element: each gets its own, nobody waits behind them, and none is given to somebody who
//! is gone.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::eventually::eventually;

/// Waits until so many clients are blocked on the nodes, as these tell it.
fn until_blocked(cluster: &Cluster, wanted: usize) {
    let blocked_on = |node: usize| -> usize {
        let info = cluster.node_client(node).ask("INFO clients");
        let count = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
        count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no blocked_clients in {info}"))
    };
    eventually(&format!("{wanted} clients are blocked"), || {
        let blocked: usize =
            (0..cluster.nodes.len()).filter(|node| cluster.serves(*node)).map(blocked_on).sum();
        if blocked == wanted { Ok(()) } else { Err(format!("{blocked} are")) }
    });
}

impl Cluster {
    /// Whether the node at this index takes connections.
    fn serves(&self, node: usize) -> bool {
        Client::connect(&self.nodes[node].address).is_ok()
    }
}

fn receive(client: &mut Client) -> String {
    String::from_utf8_lossy(&client.receive().expect("a reply")).into_owned()
}

fn send(client: &mut Client, line: &str) {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    client.send(&args).expect("it is connected");
}

/// Nobody gives anything: the answer comes, and not before its time.
fn assert_waits(client: &mut Client, command: &str) {
    let began = Instant::now();
    assert_eq!(client.ask(&format!("{command} nothing 0.1")), "*-1\r\n", "{command}");
    // Its clock has milliseconds.
    assert!(began.elapsed() >= Duration::from_millis(99), "{command} waited {:?}", began.elapsed());
}

#[test]
fn whoever_waits_at_our_nodes_gets_what_another_gives() {
    let cluster = Cluster::start(3, 2);
    let mut giver = cluster.client(1);
    for (wait, give, expected) in [
        ("BZPOPMIN k6 0", "ZADD k6 1 v", "*3\r\n$2\r\nk6\r\n$1\r\nv\r\n$1\r\n1\r\n"),
        ("BZMPOP 0 1 k7 MAX", "ZADD k7 1 v", "*2\r\n$2\r\nk7\r\n*1\r\n*2\r\n$1\r\nv\r\n$1\r\n1\r\n"),
    ] {
        let mut waiter = cluster.client(0);
        send(&mut waiter, wait);
        until_blocked(&cluster, 1);
        assert!(!giver.ask(give).starts_with('-'));
        assert_eq!(receive(&mut waiter), expected, "{wait}");
        assert_waits(&mut waiter, "BZPOPMAX");
    }
    // Nothing is taken for a client that is gone.
    let mut gone = cluster.client(0);
    send(&mut gone, "BZPOPMIN k8 0");
    until_blocked(&cluster, 1);
    drop(gone);
    until_blocked(&cluster, 0);
    assert_eq!(giver.ask("ZADD k8 1 v"), ":1\r\n");
    assert_eq!(giver.ask("ZCARD k8"), ":1\r\n");
}

#[test]
fn whoever_waits_gets_what_another_gives() {
    let cluster = Cluster::over_redis(3, 2);
    let mut giver = cluster.client(1);
    for (wait, give, expected) in [
        ("BLPOP k1 other{k1} 0", "RPUSH k1 v", "*2\r\n$2\r\nk1\r\n$1\r\nv\r\n"),
        ("BRPOP k2 20", "RPUSH k2 v", "*2\r\n$2\r\nk2\r\n$1\r\nv\r\n"),
        ("BLMOVE k3 to{k3} LEFT RIGHT 0", "RPUSH k3 v", "$1\r\nv\r\n"),
        ("BRPOPLPUSH k4 to{k4} 0", "RPUSH k4 v", "$1\r\nv\r\n"),
        ("BLMPOP 0 1 k5 LEFT", "RPUSH k5 v", "*2\r\n$2\r\nk5\r\n*1\r\n$1\r\nv\r\n"),
        ("BZPOPMIN k6 0", "ZADD k6 1 v", "*3\r\n$2\r\nk6\r\n$1\r\nv\r\n$1\r\n1\r\n"),
        ("BZMPOP 0 1 k7 MAX", "ZADD k7 1 v", "*2\r\n$2\r\nk7\r\n*1\r\n*2\r\n$1\r\nv\r\n$1\r\n1\r\n"),
        (
            "XREAD BLOCK 0 STREAMS k8 $",
            "XADD k8 1-1 f v",
            "*1\r\n*2\r\n$2\r\nk8\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n",
        ),
    ] {
        let mut waiter = cluster.client(0);
        send(&mut waiter, wait);
        until_blocked(&cluster, 1);
        assert!(!giver.ask(give).starts_with('-'));
        assert_eq!(receive(&mut waiter), expected, "{wait}");
        assert_eq!(waiter.ask("PING"), "+PONG\r\n");
    }
    let mut waiter = cluster.client(0);
    assert_waits(&mut waiter, "BLPOP");
    // A pipeline keeps its order, and what follows the wait is answered after it.
    waiter.send_raw(b"SET a{q} 1\r\nBLPOP q{q} 0\r\nGET a{q}\r\n").expect("it is connected");
    assert_eq!(receive(&mut waiter), "+OK\r\n");
    until_blocked(&cluster, 1);
    assert!(cluster.client(0).ask("INFO clients").contains("blocked_clients:1\r\n"));
    assert_eq!(giver.ask("RPUSH q{q} v"), ":1\r\n");
    assert_eq!(receive(&mut waiter) + &receive(&mut waiter), "*2\r\n$4\r\nq{q}\r\n$1\r\nv\r\n$1\r\n1\r\n");
}

#[test]
fn nothing_is_given_to_who_is_gone() {
    let mut cluster = Cluster::over_redis(2, 1);
    let mut waiter = cluster.client(0);
    send(&mut waiter, "BLPOP k 0");
    until_blocked(&cluster, 1);
    drop(waiter);
    until_blocked(&cluster, 0);
    // So it is for one that is killed, and for one that sent more behind the command.
    let mut waiter = cluster.client(0);
    let id = waiter.ask("CLIENT ID");
    send(&mut waiter, "BLPOP k 0");
    send(&mut waiter, "GET k");
    until_blocked(&cluster, 1);
    assert_eq!(cluster.client(0).ask(&format!("CLIENT KILL ID {}", id[1..].trim())), ":1\r\n");
    until_blocked(&cluster, 0);
    assert_eq!(cluster.client(0).ask("RPUSH k v"), ":1\r\n");
    assert_eq!(cluster.client(0).ask("LLEN k"), ":1\r\n");

    let mut waiter = cluster.client(0);
    send(&mut waiter, "BLPOP other 0");
    until_blocked(&cluster, 1);
    cluster.proxies[0].process.signal(Signal::TERM);
    assert_eq!(waiter.receive_to_end(), b"*-1\r\n");
    assert!(cluster.proxies[0].process.wait().success());
    let asked = |node| cluster.node_client(node).ask("INFO commandstats").contains("client|unblock");
    assert!((0..2).any(asked), "the node itself has ended the wait");
}

#[test]
fn who_waits_on_a_node_that_dies_gets_what_its_stand_in_is_given() {
    let mut cluster = Cluster::over_redis(3, 1);
    let mut waiters: Vec<_> = (0..30).map(|_| cluster.client(0)).collect();
    for (number, waiter) in waiters.iter_mut().enumerate() {
        send(waiter, &format!("BLPOP k{number} 0"));
    }
    until_blocked(&cluster, 30);
    cluster.nodes[0].process.kill();
    let dead = cluster.nodes[0].id.clone();
    cluster.until_nodes_are("UNHEALTHY", |id| id == dead);
    until_blocked(&cluster, 30);
    let mut giver = cluster.client(0);
    for (number, waiter) in waiters.iter_mut().enumerate() {
        assert_eq!(giver.ask(&format!("RPUSH k{number} v")), ":1\r\n");
        let key = format!("k{number}");
        assert_eq!(receive(waiter), format!("*2\r\n${}\r\n{key}\r\n$1\r\nv\r\n", key.len()));
    }
}
