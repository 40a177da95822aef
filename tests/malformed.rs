//! Nonsense on every listener: the process answers a clear error, or closes, and lives on.

use std::fmt::Write;

use crate::client::Client;
use crate::cluster::{Cluster, lone_node};
use crate::eventually::eventually;
use crate::http;
use crate::random::Random;
use crate::redis_server::RedisServer;

/// Bytes that break the protocol. A real redis-server is asked too: its answer is the right one.
fn broken_requests() -> Vec<Vec<u8>> {
    let mut requests: Vec<Vec<u8>> = [
        "*1\r\n$-5\r\n",
        "*1\r\n$x\r\n",
        "*1\r\n$99999999999\r\n",
        "*1\r\n:5\r\n",
        "*1\r\nPING\r\n",
        "*99999999999\r\n",
        "*x\r\n",
        "*1\r\n$\r\n",
        "SET \"a\r\n",
        "SET 'a\r\n",
        "SET \"a\"b 1\r\n",
        "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870913\r\n",
    ]
    .map(Into::into)
    .into();
    requests.push(vec![b'a'; 70_000]);
    requests
}

/// Numbers that never end. Redis waits for 64 KiB of digits before it complains; ours refuses what can no longer
/// become a valid number, so only the kind of error is the same.
fn endless_numbers() -> [Vec<u8>; 2] {
    ["*", "*1\r\n$"].map(|start| [start.as_bytes(), &[b'1'; 70_000]].concat())
}

/// Fine before the nonsense: its answer comes first.
const FIRST: &[u8] = b"PING\r\n";

/// Everything the other side answers to the nonsense, until it closes.
fn answer(mut client: Client, request: &[u8]) -> Vec<u8> {
    // It may close before it has read all of this; what it said is what counts.
    let _ = client.send_raw(&[FIRST, request].concat());
    client.receive_to_end()
}

fn refuses_like_redis(address: &str) {
    let redis = RedisServer::start();
    let mut differences = String::new();
    for request in broken_requests() {
        let shown = request[..request.len().min(40)].escape_ascii().to_string();
        let theirs = answer(redis.client(), &request).escape_ascii().to_string();
        assert!(theirs.contains("-ERR Protocol error"), "Redis does not mind {shown}: {theirs}");
        let ours =
            answer(Client::connect(address).expect("it still listens"), &request).escape_ascii().to_string();
        if ours != theirs {
            let _ = write!(differences, "{shown}\n    redis {theirs}\n    ours  {ours}\n");
        }
    }
    assert!(differences.is_empty(), "{differences}");
    for request in endless_numbers() {
        for client in [redis.client(), Client::connect(address).expect("it still listens")] {
            let said = answer(client, &request).escape_ascii().to_string();
            assert!(said.starts_with("+PONG\\r\\n-ERR Protocol error: "), "{said}");
        }
    }
}

/// Random bytes with a taste of the protocol, cut off anywhere.
fn survives_noise(address: &str) {
    const PIECES: [&[u8]; 12] = [
        b"*",
        b"$",
        b"\r\n",
        b"-1",
        b"3",
        b"GET",
        b"*3\r\n",
        b"$3\r\nSET\r\n",
        b"\"",
        b"\0\xFF",
        b"%2\r\n",
        b"99999",
    ];
    let mut random = Random::new(7);
    for _ in 0..300 {
        let mut client = Client::connect(address).expect("it still listens");
        let noise: Vec<&[u8]> = (0..random.below(40)).map(|_| PIECES[random.below(PIECES.len())]).collect();
        // The other side may have closed already, and the rest of the noise is then refused.
        let _ = client.send_raw(&noise.concat());
    }
    lives(address);
}

fn lives(address: &str) {
    let mut client = Client::connect(address).expect("it still listens");
    assert_eq!(client.ask("PING"), "+PONG\r\n");
    assert_eq!(client.ask("SET after-noise 1"), "+OK\r\n");
    assert_eq!(client.ask("GET after-noise"), "$1\r\n1\r\n");
}

#[test]
fn a_node_refuses_like_redis_and_lives_on() {
    let (mut node, address) = lone_node();
    refuses_like_redis(&address);
    survives_noise(&address);
    assert!(node.is_running());
}

#[test]
fn a_proxy_refuses_like_redis_and_lives_on() {
    let mut cluster = Cluster::start(2, 1);
    let address = cluster.proxies[0].address.clone();
    refuses_like_redis(&address);
    survives_noise(&address);
    assert!(cluster.proxies[0].process.is_running());
    assert!(cluster.nodes.iter_mut().all(|node| node.process.is_running()));
}

/// A client that asks for much and reads nothing must not cost the proxy or the node its memory.
#[test]
fn a_client_that_reads_no_replies_is_not_served_without_bound() {
    let mut cluster = Cluster::start(1, 1);
    let address = cluster.proxies[0].address.clone();
    let mut greedy = Client::connect(&address).expect("the proxy listens");
    let value = "v".repeat(100_000);
    assert_eq!(greedy.ask(&format!("SET large {value}")), "+OK\r\n");
    let before = [&cluster.proxies[0], &cluster.nodes[0]].map(|member| member.process.watch_memory());
    // 20 000 replies of 100 kB each are 2 GB.
    let requests = "GET large\r\n".repeat(20_000);
    greedy.send_raw(requests.as_bytes()).expect("requests are small: the sockets' buffers hold them");
    lives(&address);
    let members = [&cluster.proxies[0], &cluster.nodes[0]].into_iter().zip(&before);
    let grown: Vec<_> = members.map(|(member, before)| member.process.grown_by(before) >> 20).collect();
    assert!(grown.iter().all(|grown| *grown < 200), "proxy and node grew by {grown:?} MB");
    assert!(cluster.proxies[0].process.is_running());
}

#[test]
fn the_health_service_refuses_what_is_not_http_and_lives_on() {
    let mut cluster = Cluster::start(1, 0);
    let address = cluster.health.address.clone();
    for nonsense in [
        "nonsense\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\0\u{1}\u{2}\r\n\r\n",
        "*1\r\n$4\r\nPING\r\n",
    ] {
        let answer = http::exchange(&address, nonsense.as_bytes()).unwrap_or_default();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{nonsense:?}: {answer}");
    }
    let endless = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let answer = http::exchange(&address, endless.as_bytes()).unwrap_or_default();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(http::get(&address, "/health/ping").map(|(status, _)| status), Ok(200));
    assert!(cluster.health.process.is_running());
}

#[test]
fn the_health_service_answers_bad_requests_with_json() {
    let cluster = Cluster::start(1, 0);
    let address = &cluster.health.address;
    for (request, status) in [
        ("GET /nothing HTTP/1.0\r\n\r\n", 404),
        ("GET /health/nodes/node99 HTTP/1.0\r\n\r\n", 404),
        ("GET /health/nodes/%FF HTTP/1.0\r\n\r\n", 400),
        ("DELETE /health/nodes HTTP/1.0\r\n\r\n", 405),
        ("GET /health/view?since=x HTTP/1.0\r\n\r\n", 400),
        ("GET /health/view?since=0&wait=for-ever HTTP/1.0\r\n\r\n", 400),
        (
            "POST /health/reports HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{x}",
            400,
        ),
        ("POST /health/reports HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}", 415),
        ("POST /health/nodes/node99/check HTTP/1.0\r\nContent-Length: 0\r\n\r\n", 404),
    ] {
        let answer = http::exchange(address, request.as_bytes()).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.split(' ').nth(1) == Some(&status.to_string()), "{request:?}: {answer}");
        let body: serde_json::Value =
            serde_json::from_str(body).unwrap_or_else(|_| panic!("{request:?}: {answer}"));
        assert!(body["error"].is_string(), "{request:?}: {answer}");
    }
    eventually("the service lives", || http::get_json(address, "/health/summary"));
}
