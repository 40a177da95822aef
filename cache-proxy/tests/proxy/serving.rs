//! What clients get from a proxy that runs.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cache_proxy::{Config, Listeners, PROGRAM};
use resp::{Limits, RequestScanner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::cluster::{EchoNode, PATIENCE, Proxy, echo, echoed, greet, nodes};

#[tokio::test]
async fn a_pipeline_cut_at_every_byte_is_answered_in_order() {
    let (_nodes, addresses) = nodes(5).await;
    let proxy = Proxy::over(&addresses, &[]).await;
    let mut client = proxy.connect().await;
    let (mut wire, mut expected) = (Vec::new(), String::new());
    for number in 0..40 {
        write!(expected, "{}", echoed(&format!("GET key:{number}"))).unwrap();
        let key = format!("key:{number}");
        resp::encode_request(&mut wire, [&b"GET"[..], key.as_bytes()].into_iter());
    }
    wire.extend_from_slice(b"ping\r\n");
    expected += "+PONG\r\n";
    client.stream.set_nodelay(true).unwrap();
    for byte in &wire {
        client.send(std::slice::from_ref(byte)).await;
    }
    client.expect(&expected).await;
    proxy.stop().await;
}

#[tokio::test]
async fn clients_on_several_workers_are_served() {
    let (_nodes, addresses) = nodes(3).await;
    let proxy = Proxy::over(&addresses, &["--workers", "3"]).await;
    for number in 0..30 {
        let mut client = proxy.connect().await;
        client.send(format!("GET key:{number}\r\n").as_bytes()).await;
        client.expect(&echoed(&format!("GET key:{number}"))).await;
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_gets_what_it_is_owed_and_the_reason() {
    let (_nodes, addresses) = nodes(3).await;
    let proxy = Proxy::over(&addresses, &[]).await;
    let mut other = proxy.connect().await;
    for (bytes, error) in [
        (&b"*1\r\n:1\r\n"[..], "-ERR Protocol error: expected '$', got ':'\r\n"),
        (b"*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"SET k \"open\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
    ] {
        let mut client = proxy.connect().await;
        client.send(b"GET k\r\n").await;
        client.send(bytes).await;
        assert_eq!(client.read_to_end().await, echoed("GET k") + error);
    }
    other.send(b"GET k\r\n").await;
    other.expect(&echoed("GET k")).await;
    proxy.stop().await;
}

#[tokio::test]
async fn quit_is_answered_after_everything_before_it_and_nothing_after_it_runs() {
    let (_nodes, addresses) = nodes(3).await;
    let proxy = Proxy::over(&addresses, &[]).await;
    let mut client = proxy.connect().await;
    client.send(b"GET a\r\nQUIT\r\nGET b\r\n").await;
    assert_eq!(client.read_to_end().await, echoed("GET a") + "+OK\r\n");
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_only_reads_on_gets_everything_it_asked_for() {
    let (_nodes, addresses) = nodes(3).await;
    let proxy = Proxy::over(&addresses, &[]).await;
    let mut client = proxy.connect().await;
    let keys: Vec<_> = (0..1_000).map(|number| format!("GET key:{number}")).collect();
    client.send((keys.join("\r\n") + "\r\n").as_bytes()).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.read_to_end().await, keys.iter().map(|words| echoed(words)).collect::<String>());
    proxy.stop().await;
}

#[tokio::test]
async fn one_client_too_many_is_told_so() {
    let (_nodes, addresses) = nodes(1).await;
    let proxy = Proxy::over(&addresses, &["--maxclients", "1"]).await;
    let mut first = proxy.connect().await;
    first.send(b"PING\r\n").await;
    first.expect("+PONG\r\n").await;
    let mut second = proxy.connect().await;
    assert_eq!(second.read_to_end().await, "-ERR max number of clients reached\r\n");
    first.send(b"PING\r\n").await;
    first.expect("+PONG\r\n").await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_value_of_many_megabytes_passes_both_ways() {
    let (_nodes, addresses) = nodes(2).await;
    let proxy = Proxy::over(&addresses, &[]).await;
    let mut client = proxy.connect().await;
    let value = "0123456789abcdef".repeat(1024 * 1024);
    let mut wire = Vec::new();
    resp::encode_request(&mut wire, [&b"SET"[..], b"k", value.as_bytes()].into_iter());
    client.send(&wire).await;
    client.expect(&echoed(&format!("SET k {value}"))).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_pipeline_far_deeper_than_the_window_is_answered_whole() {
    let (_nodes, addresses) = nodes(3).await;
    let proxy = Proxy::over(&addresses, &[]).await;
    let mut client = proxy.connect().await;
    let keys: Vec<_> = (0..20_000).map(|number| format!("GET key:{number}")).collect();
    client.send((keys.join("\r\n") + "\r\n").as_bytes()).await;
    client.expect(&keys.iter().map(|words| echoed(words)).collect::<String>()).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_request_waits_for_its_node_to_come_back() {
    let (mut nodes, addresses) = nodes(1).await;
    let proxy = Proxy::over(&addresses, &["--hold-timeout", "15s"]).await;
    let mut client = proxy.connect().await;
    client.send(b"GET a\r\n").await;
    client.expect(&echoed("GET a")).await;
    let address = nodes.remove(0).stop().await;
    client.send(b"GET b\r\nINCR c\r\n").await;
    let _node = EchoNode::start_on(TcpListener::bind(address).await.unwrap());
    client.expect(&(echoed("GET b") + &echoed("INCR c"))).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_request_whose_node_stays_away_is_answered_with_an_error_and_the_client_stays() {
    let (mut nodes, addresses) = nodes(1).await;
    let proxy = Proxy::over(&addresses, &["--hold-timeout", "50ms"]).await;
    nodes.remove(0).stop().await;
    let mut client = proxy.connect().await;
    client.send(b"GET a\r\n").await;
    client.expect("-UNAVAILABLE node n0 gave no answer within ").await;
    let mut rest = [0; 200];
    let _ = client.stream.read(&mut rest).await.unwrap();
    client.send(b"PING\r\n").await;
    client.expect("+PONG\r\n").await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_is_killed_or_speaks_http_is_cut_off() {
    let (_nodes, addresses) = nodes(1).await;
    let proxy = Proxy::over(&addresses, &[]).await;
    let mut killed = proxy.connect().await;
    killed.send(b"CLIENT ID\r\n").await;
    killed.expect(":1\r\n").await;
    let mut killer = proxy.connect().await;
    killer.send(b"CLIENT KILL ID 1\r\n").await;
    killer.expect(":1\r\n").await;
    assert_eq!(killed.read_to_end().await, "");

    let mut browser = proxy.connect().await;
    browser.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET k evil\r\n").await;
    let answer = browser.read_to_end().await;
    assert!(answer.starts_with("-ERR unknown command 'POST'") && !answer.contains("SET"), "{answer}");
    proxy.stop().await;
}

#[tokio::test]
async fn without_the_password_nothing_large_is_taken() {
    let (_nodes, addresses) = nodes(1).await;
    let proxy = Proxy::over(&addresses, &["--requirepass", "secret"]).await;
    let mut client = proxy.connect().await;
    client.send(b"*2\r\n$4\r\nAUTH\r\n$20000\r\n").await;
    assert_eq!(client.read_to_end().await, "-ERR Protocol error: invalid bulk length\r\n");
    let mut client = proxy.connect().await;
    client.send(b"AUTH secret\r\n").await;
    client.expect("+OK\r\n").await;
    let value = "x".repeat(20_000);
    client.send(format!("GET {value}\r\n").as_bytes()).await;
    client.expect(&echoed(&format!("GET {value}"))).await;
    proxy.stop().await;
}

#[tokio::test]
async fn no_value_is_longer_than_the_operator_allows() {
    let (_nodes, addresses) = nodes(1).await;
    let proxy = Proxy::over(&addresses, &["--proto-max-bulk-len", "1mb"]).await;
    let mut client = proxy.connect().await;
    client.send(b"CONFIG GET proto-max-bulk-len\r\n").await;
    client.expect("*2\r\n$18\r\nproto-max-bulk-len\r\n$7\r\n1048576\r\n").await;
    let value = "x".repeat(1 << 20);
    client.send(format!("*2\r\n$3\r\nGET\r\n$1048576\r\n{value}\r\n").as_bytes()).await;
    client.expect(&echoed(&format!("GET {value}"))).await;
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n").await;
    assert_eq!(client.read_to_end().await, "-ERR Protocol error: invalid bulk length\r\n");
    proxy.stop().await;
}

#[tokio::test]
async fn unfinished_requests_of_all_clients_are_bounded() {
    let (_nodes, addresses) = nodes(1).await;
    let proxy = Proxy::over(&addresses, &["--maxmemory-clients", "4mb"]).await;
    let (mut small, mut large) = (proxy.connect().await, proxy.connect().await);
    let half = "x".repeat(1 << 20);
    small.send(format!("*2\r\n$3\r\nGET\r\n$2097152\r\n{half}").as_bytes()).await;
    let much = format!("*2\r\n$3\r\nGET\r\n$99999999\r\n{}", "x".repeat(8 << 20));
    // It may be closed before all of it is sent.
    let _ = large.stream.write_all(much.as_bytes()).await;
    let read = timeout(PATIENCE, large.stream.read(&mut [0])).await.unwrap();
    assert!(read.is_err() || read.is_ok_and(|len| len == 0), "it is not closed");
    small.send(format!("{half}\r\n").as_bytes()).await;
    small.expect(&echoed(&format!("GET {half}{half}"))).await;
    proxy.stop().await;
}

/// A health service that refuses all that is posted to it.
async fn refusing_health_service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"}") && stream.read_buf(&mut head).await.is_ok_and(|len| len > 0) {}
                let refused = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(refused).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_wrong_token_is_told_before_a_node_fails() {
    let (_nodes, addresses) = nodes(1).await;
    let health = format!("http://{}", refusing_health_service().await);
    let proxy = Proxy::over(&addresses, &["--health-service", &health, "--api-token", "old"]).await;
    let told = async {
        let is_refused = |line: &str| {
            line.strip_prefix("cache_proxy_reports_refused_total ").is_some_and(|count| count != "0")
        };
        while !proxy.get("/metrics").await.lines().any(is_refused) {}
    };
    timeout(PATIENCE, told).await.unwrap();
    proxy.stop().await;
}

#[tokio::test]
async fn a_node_that_says_what_nobody_asked_for_is_reconnected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::over(&[listener.local_addr().unwrap()], &[]).await;
    let (mut first, _) = listener.accept().await.unwrap();
    first.write_all(b"-ERR max number of clients reached\r\n").await.unwrap();
    let (second, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    tokio::spawn(echo(second));
    let mut client = proxy.connect().await;
    client.send(b"GET k\r\n").await;
    client.expect(&echoed("GET k")).await;
    proxy.stop().await;
}

#[tokio::test]
async fn the_admin_port_tells_what_happened() {
    let (_nodes, addresses) = nodes(2).await;
    let proxy = Proxy::over(&addresses, &[]).await;
    let mut client = proxy.connect().await;
    client.send(b"GET k\r\nNOPE\r\n").await;
    client.expect(&(echoed("GET k") + "-ERR unknown command 'NOPE', with args beginning with: \r\n")).await;
    assert!(proxy.get("/livez").await.contains("200 OK"));
    let lines = [
        "cache_proxy_requests_total 2",
        "cache_proxy_errors_total{kind=\"ERR\"} 1",
        "cache_proxy_node_connections{node=\"n0\"} 1",
    ];
    proxy.metrics_with(&lines).await;
    proxy.stop().await;
}

/// Those who say nothing must not take the files that clients need, nor keep checks and scrapes out.
#[tokio::test]
async fn the_admin_port_takes_so_many_connections_and_who_says_nothing_gives_way() {
    const MORE: usize = 10;
    /// The time after which one that says nothing is closed though there is room is 10 s.
    const SOONER: Duration = Duration::from_secs(8);
    let began = Instant::now();
    let (_nodes, addresses) = nodes(1).await;
    let proxy = Proxy::over(&addresses, &[]).await;
    let mut silent = Vec::new();
    for _ in 0..daemon::admin::MAX_CONNECTIONS + MORE {
        silent.push(TcpStream::connect(proxy.admin).await.unwrap());
    }
    let answer = timeout(Duration::from_secs(5), proxy.get("/livez")).await.expect("there is a place");
    assert!(answer.contains("200 OK"), "{answer}");
    // The first to come are the first to go.
    for stream in &mut silent[..=MORE] {
        assert_eq!(timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap(), 0);
    }
    let last = silent.last_mut().unwrap().try_read(&mut [0]).map_err(|error| error.kind());
    let took = began.elapsed();
    assert!(took < SOONER && last == Err(ErrorKind::WouldBlock), "{last:?} after {took:?}");
    proxy.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_refused_and_a_shared_entry_port_is_not() {
    let config = |flags: &[&str]| Config::from_settings(&PROGRAM.from_flags(flags).unwrap()).unwrap();
    let first = Listeners::bind(&config(&["--port", "0"])).unwrap();
    let port = first.address().port().to_string();
    for workers in ["1", "2"] {
        let error = Listeners::bind(&config(&["--port", &port, "--workers", workers])).unwrap_err();
        assert!(format!("{error:#}").contains(&format!("cannot listen on 127.0.0.1:{port}")), "{error:#}");
    }
    let several = Listeners::bind(&config(&["--port", "0", "--workers", "2"])).unwrap();
    let port = several.address().port().to_string();
    Listeners::bind(&config(&["--port", &port, "--workers", "2"])).unwrap_err();

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port().to_string();
    let shared = Listeners::bind(&config(&["--port", "0", "--entry-port", &free])).unwrap();
    let sharing = Listeners::bind(&config(&["--port", "0", "--entry-port", &free])).unwrap();
    assert_ne!(shared.address(), sharing.address());
}

#[tokio::test]
async fn nothing_of_a_transaction_reaches_a_node_that_does_not_know_multi() {
    // It repeats what it is told, and knows no more.
    let (_nodes, addresses) = nodes(1).await;
    let proxy = Proxy::over(&addresses, &[]).await;
    let mut client = proxy.connect().await;
    client.send(b"MULTI\r\nINCR k\r\nEXEC\r\nGET k\r\n").await;
    let aborted = "-EXECABORT Transaction discarded because of: node n0 does not know MULTI\r\n";
    client.expect(&format!("+OK\r\n+QUEUED\r\n{aborted}{}", echoed("GET k"))).await;
    proxy.stop().await;
}

/// Answers each request only when ten more have come, but for the greeting.
async fn answer_ten_behind(mut stream: TcpStream, seen: mpsc::UnboundedSender<u32>) {
    let mut scanner = RequestScanner::new(Limits::default());
    let (mut buffer, mut requests, mut answered) = (Vec::new(), 0, 0);
    greet(&mut stream).await;
    while stream.read_buf(&mut buffer).await.is_ok_and(|len| len > 0) {
        while let Some(len) = scanner.scan(&buffer).unwrap() {
            buffer.drain(..len);
            requests += 1;
        }
        seen.send(requests).unwrap();
        while answered + 10 < requests {
            stream.write_all(b"+OK\r\n").await.unwrap();
            answered += 1;
        }
    }
}

#[tokio::test]
async fn a_client_that_wants_no_replies_is_read_on_as_they_come() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, mut requests) = mpsc::unbounded_channel();
    let node = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        answer_ten_behind(stream, seen).await;
    });
    let proxy = Proxy::over(&[address], &[]).await;
    let mut client = proxy.connect().await;
    client.send(b"CLIENT REPLY OFF\r\n").await;
    client.send("SET k v\r\n".repeat(1_000).as_bytes()).await;
    let all = async { while requests.recv().await != Some(1_000) {} };
    tokio::time::timeout(PATIENCE, all).await.expect("it waits for the last ten replies");
    node.abort();
}

#[tokio::test]
async fn who_gives_up_its_password_may_send_no_more_than_a_stranger() {
    let (_nodes, addresses) = nodes(1).await;
    let proxy = Proxy::over(&addresses, &["--requirepass", "secret"]).await;
    let mut client = proxy.connect().await;
    client.send(b"AUTH secret\r\n").await;
    client.expect("+OK\r\n").await;
    client.send(b"RESET\r\n").await;
    client.expect("+RESET\r\n").await;
    client.send(b"*2\r\n$3\r\nGET\r\n$100000\r\n").await;
    assert_eq!(client.read_to_end().await, "-ERR Protocol error: invalid bulk length\r\n");
    proxy.stop().await;
}
