//! A running proxy, its clients, and nodes that only repeat what they were told.

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
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node that answers each request with the request's words.
pub(crate) struct EchoNode {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl EchoNode {
    pub(crate) async fn start() -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn start_on(listener: TcpListener) -> Self {
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
    pub(crate) async fn stop(self) -> SocketAddr {
        self.serving.abort();
        let _ = self.serving.await;
        self.address
    }
}

pub(crate) async fn echo(mut stream: TcpStream) {
    let mut scanner = RequestScanner::new(Limits::default());
    let mut buffer = Vec::new();
    while stream.read_buf(&mut buffer).await.is_ok_and(|len| len > 0) {
        let mut replies = Vec::new();
        while let Some(len) = scanner.scan(&buffer).unwrap() {
            let words: Vec<_> = scanner.request(&buffer).args().map(<[u8]>::to_vec).collect();
            resp::Encoder::new(&mut replies, resp::Protocol::Resp2).bulk(&words.join(&b' '));
            buffer.drain(..len);
        }
        // The proxy may have ended, or given the link up.
        if stream.write_all(&replies).await.is_err() {
            return;
        }
    }
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) running: JoinHandle<anyhow::Result<()>>,
    _files: tempfile::TempDir,
}

impl Proxy {
    pub(crate) async fn over(nodes: &[SocketAddr], flags: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let cluster: PathBuf = files.path().join("cluster.toml");
        let mut text = String::new();
        for (number, address) in nodes.iter().enumerate() {
            write!(text, "[[node]]\nid = \"n{number}\"\naddress = \"{address}\"\n").unwrap();
        }
        std::fs::write(&cluster, text).unwrap();
        // Nobody listens on port 1: this proxy never finds its health service.
        let mut all = vec!["--port", "0", "--admin-port", "0", "--health-service", "http://127.0.0.1:1"];
        // Nobody balances here who should see it first.
        all.extend(["--lame-duck", "0s"]);
        all.extend(["--cluster", cluster.to_str().unwrap()]);
        // A busy machine takes its time; tests of these limits set them.
        for (flag, patient) in [("--connect-timeout", "1h"), ("--hold-timeout", "1h")] {
            if !flags.contains(&flag) {
                all.extend([flag, patient]);
            }
        }
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

    /// The metrics, once these lines are among them: a worker publishes its counts after it has written the reply.
    pub(crate) async fn metrics_with(&self, lines: &[&str]) -> String {
        let mut metrics = String::new();
        let told = async {
            while !lines.iter().all(|line| metrics.contains(&format!("\n{line}\n"))) {
                metrics = self.get("/metrics").await;
            }
        };
        if tokio::time::timeout(PATIENCE, told).await.is_err() {
            panic!("{lines:?} are not in {metrics}");
        }
        metrics
    }

    /// An HTTP answer of the admin port, head and body.
    pub(crate) async fn get(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(self.admin).await else { return String::new() };
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    pub(crate) async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap() }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap().unwrap();
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads exactly as much as is expected, and compares.
    pub(crate) async fn expect(&mut self, expected: &str) {
        let mut buffer = vec![0; expected.len()];
        let read = tokio::time::timeout(PATIENCE, self.stream.read_exact(&mut buffer)).await;
        let _ = read.unwrap_or_else(|_| panic!("no {expected:?} came"));
        assert_eq!(String::from_utf8_lossy(&buffer), expected);
    }

    /// Reads until the proxy closes.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut text = String::new();
        tokio::time::timeout(PATIENCE, self.stream.read_to_string(&mut text)).await.unwrap().unwrap();
        text
    }
}

pub(crate) async fn nodes(count: usize) -> (Vec<EchoNode>, Vec<SocketAddr>) {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(EchoNode::start().await);
    }
    let addresses = nodes.iter().map(|node| node.address).collect();
    (nodes, addresses)
}

/// Answers what a new connection of the proxy says first.
pub(crate) async fn greet(node: &mut TcpStream) {
    const SAID: &str =
        "*1\r\n$4\r\nPING\r\n*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n*1\r\n$5\r\nMULTI\r\n*1\r\n$7\r\nDISCARD\r\n";
    let mut said = [0; SAID.len()];
    node.read_exact(&mut said).await.unwrap();
    node.write_all(b"+PONG\r\n:1\r\n+OK\r\n+OK\r\n").await.unwrap();
}

/// The bulk string that an echo node answers.
pub(crate) fn echoed(words: &str) -> String {
    format!("${}\r\n{words}\r\n", words.len())
}
