//! A whole proxy on real sockets, over nodes that only repeat what they were told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cache_proxy::{Config, Listeners, PROGRAM};
use resp::{Limits, RequestScanner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Far longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node that answers each request with the request's words.
struct EchoNode {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl EchoNode {
    async fn start() -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn start_on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            // Dropped with this task, and with it every connection.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(echo(stream));
            }
        });
        Self { address, serving }
    }

    /// Ends it like a killed process: the port is closed, connections are broken.
    async fn stop(self) -> SocketAddr {
        self.serving.abort();
        let _ = self.serving.await;
        self.address
    }
}

async fn echo(mut stream: TcpStream) {
    let mut scanner = RequestScanner::new(Limits::default());
    let mut buffer = Vec::new();
    while stream.read_buf(&mut buffer).await.is_ok_and(|len| len > 0) {
        let mut replies = Vec::new();
        while let Some(len) = scanner.scan(&buffer).unwrap() {
            let words: Vec<_> = scanner.request(&buffer).args().map(<[u8]>::to_vec).collect();
            resp::Encoder::new(&mut replies, resp::Protocol::Resp2).bulk(&words.join(&b' '));
            buffer.drain(..len);
        }
        stream.write_all(&replies).await.unwrap();
    }
}

/// A running proxy.
struct Proxy {
    address: SocketAddr,
    admin: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<anyhow::Result<()>>,
    _files: tempfile::TempDir,
}

impl Proxy {
    async fn over(nodes: &[SocketAddr], flags: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let cluster: PathBuf = files.path().join("cluster.toml");
        let mut text = String::new();
        for (number, address) in nodes.iter().enumerate() {
            write!(text, "[[node]]\nid = \"n{number}\"\naddress = \"{address}\"\n").unwrap();
        }
        std::fs::write(&cluster, text).unwrap();
        // Nobody listens on port 1: this proxy never finds its health service.
        let mut all = vec!["--port", "0", "--admin-port", "0", "--health-service", "http://127.0.0.1:1"];
        all.extend(["--cluster", cluster.to_str().unwrap()]);
        all.extend(flags);
        let config = Config::from_settings(&PROGRAM.from_flags(&all).unwrap()).unwrap();
        let listeners = Listeners::bind(&config).unwrap();
        let (address, admin) = (listeners.address(), listeners.admin_address().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let running = tokio::spawn(cache_proxy::run(listeners, config, shutdown));
        let proxy = Self { address, admin, stop, running, _files: files };
        proxy.eventually_ready().await;
        proxy
    }

    async fn eventually_ready(&self) {
        let ready = async {
            while !self.get("/readyz").await.contains("200 OK") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.unwrap();
    }

    /// An HTTP answer of the admin port, head and body.
    async fn get(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(self.admin).await else { return String::new() };
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap() }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap().unwrap();
    }
}

struct Client {
    stream: TcpStream,
}

impl Client {
    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads exactly as much as is expected, and compares.
    async fn expect(&mut self, expected: &str) {
        let mut buffer = vec![0; expected.len()];
        let read = tokio::time::timeout(PATIENCE, self.stream.read_exact(&mut buffer)).await;
        let _ = read.unwrap_or_else(|_| panic!("no {expected:?} came"));
        assert_eq!(String::from_utf8_lossy(&buffer), expected);
    }

    /// Reads until the proxy closes.
    async fn read_to_end(&mut self) -> String {
        let mut text = String::new();
        tokio::time::timeout(PATIENCE, self.stream.read_to_string(&mut text)).await.unwrap().unwrap();
        text
    }
}

async fn nodes(count: usize) -> (Vec<EchoNode>, Vec<SocketAddr>) {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(EchoNode::start().await);
    }
    let addresses = nodes.iter().map(|node| node.address).collect();
    (nodes, addresses)
}

/// Answers what a new connection of the proxy says first.
async fn greet(node: &mut TcpStream) {
    let mut ping = [0; "*1\r\n$4\r\nPING\r\n".len()];
    node.read_exact(&mut ping).await.unwrap();
    node.write_all(b"+PONG\r\n").await.unwrap();
}

/// The bulk string that an echo node answers.
fn echoed(words: &str) -> String {
    format!("${}\r\n{words}\r\n", words.len())
}

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
async fn at_shutdown_what_is_in_flight_is_answered_and_idle_clients_are_closed() {
    // A node that answers only when it is told to.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::over(&[listener.local_addr().unwrap()], &[]).await;
    let (mut node, _) = listener.accept().await.unwrap();
    let (mut busy, mut idle) = (proxy.connect().await, proxy.connect().await);
    idle.send(b"PING\r\n").await;
    idle.expect("+PONG\r\n").await;
    busy.send(b"GET k\r\n").await;
    greet(&mut node).await;
    let mut request = [0; 20];
    node.read_exact(&mut request).await.unwrap();

    let stopping = tokio::spawn(proxy.stop());
    assert_eq!(idle.read_to_end().await, "");
    node.write_all(b"$4\r\nlast\r\n").await.unwrap();
    assert_eq!(busy.read_to_end().await, "$4\r\nlast\r\n");
    stopping.await.unwrap();
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
async fn a_node_that_says_what_nobody_asked_for_is_reconnected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::over(&[listener.local_addr().unwrap()], &[]).await;
    let (mut first, _) = listener.accept().await.unwrap();
    first.write_all(b"-ERR max number of clients reached\r\n").await.unwrap();
    let (second, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
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
    let metrics = proxy.get("/metrics").await;
    for line in
        ["cache_proxy_requests_total 2", "cache_proxy_errors_total 1", "cache_proxy_connected_nodes 2"]
    {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
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
