//! Large values on their way to the nodes: none is held whole, and whatever happens to the node, the client's
//! connection stays in step.

use crate::client::Client;
use crate::cluster::Cluster;

const MIB: usize = 1024 * 1024;

/// Bytes that tell when a piece is missing or in the wrong place.
fn value(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 251 + at % 251) as u8).collect()
}

fn receive(client: &mut Client) -> String {
    String::from_utf8_lossy(&client.receive().expect("a reply")).into_owned()
}

#[test]
fn a_large_value_passes_through_and_is_not_held() {
    let cluster = Cluster::over_redis(2, 1);
    let mut client = cluster.client(0);
    assert_eq!(client.ask("SET warm up"), "+OK\r\n");
    let value = value(64 * MIB);
    let before = cluster.proxies[0].process.resident_bytes();
    client.send(&[b"GET", b"k"]).expect("it is connected");
    client.send(&[b"SET", b"k", &value, b"EX", b"1000"]).expect("it is connected");
    client.send(&[b"STRLEN", b"k"]).expect("it is connected");
    assert_eq!(receive(&mut client) + &receive(&mut client), "$-1\r\n+OK\r\n");
    assert_eq!(receive(&mut client), format!(":{}\r\n", value.len()));
    let grown = cluster.proxies[0].process.resident_bytes().saturating_sub(before);
    assert!(grown < 16 * MIB, "grew by {grown} bytes");
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
    // Whichever node serves the key: it holds half of a value.
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
