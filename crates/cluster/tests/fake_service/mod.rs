//! A health service that answers exactly what a test tells it to, over real sockets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::{ApiToken, ClientSettings, HealthClient, NodeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What to do with one request.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "each test binary uses a part")]
pub(crate) enum Reply {
    /// A complete response of this status and body.
    Json(u16, String),
    /// These bytes as they are, then the connection is closed.
    Raw(Vec<u8>),
    /// An event stream: these chunks, then open for ever.
    Stream(Vec<String>),
    /// An event stream that ends after these chunks.
    ShortStream(Vec<String>),
    /// Nothing, ever.
    Silence,
}

/// The service; it answers the queued replies in order, then the last one for ever.
pub(crate) struct FakeService {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    /// Heads of all requests so far.
    requests: watch::Sender<Vec<String>>,
}

#[allow(dead_code, reason = "each test binary uses a part")]
impl FakeService {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener, replies)
    }

    /// At a given address, as a service that returns does.
    pub(crate) async fn start_at(addr: SocketAddr, replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::serve(TcpListener::bind(addr).await.unwrap(), replies)
    }

    fn serve(listener: TcpListener, replies: impl IntoIterator<Item = Reply>) -> Self {
        let shared = Arc::new(Shared {
            replies: Mutex::new(replies.into_iter().collect()),
            requests: watch::Sender::new(Vec::new()),
        });
        let addr = listener.local_addr().unwrap();
        let state = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve_one(stream, Arc::clone(&state)));
            }
        });
        Self { addr, shared, task }
    }

    pub(crate) fn set(&self, reply: Reply) {
        *self.shared.replies.lock().unwrap() = VecDeque::from([reply]);
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.borrow().clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn requested(&self, count: usize) {
        let mut requests = self.shared.requests.subscribe();
        let wait = requests.wait_for(|requests| requests.len() >= count);
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("requests come").unwrap();
    }

    /// Stops listening and drops all connections: from now on connections are refused.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.addr
    }

    pub(crate) fn client(&self, timeout: Duration, ttl: Duration) -> HealthClient {
        client_of(self.addr, timeout, ttl)
    }
}

pub(crate) fn client_of(addr: SocketAddr, timeout: Duration, ttl: Duration) -> HealthClient {
    let proxy_id = Some(NodeId::new("proxy1").unwrap());
    HealthClient::new(&ClientSettings {
        url: format!("http://{addr}"),
        proxy_id,
        api_token: Some(ApiToken::new("s3cret").unwrap()),
        timeout,
        ttl,
    })
    .unwrap()
}

async fn serve_one(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Some(request) = read_request(&mut stream).await {
        let reply = {
            let mut replies = shared.replies.lock().unwrap();
            if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
        };
        shared.requests.send_modify(|requests| requests.push(request));
        let Some(()) = answer(&mut stream, reply.expect("a reply is set")).await else { return };
    }
}

/// Head and body of the next request.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |n| n.parse().unwrap()) {
            return Some(text.into_owned());
        }
    }
}

/// `None` when the connection is over.
async fn answer(stream: &mut TcpStream, reply: Reply) -> Option<()> {
    match reply {
        Reply::Json(status, body) => {
            let head = format!("HTTP/1.1 {status} Some Reason\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.ok()
        }
        Reply::Raw(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            None
        }
        Reply::Stream(chunks) => {
            write_stream(stream, &chunks).await?;
            std::future::pending().await
        }
        Reply::ShortStream(chunks) => {
            write_stream(stream, &chunks).await?;
            None
        }
        Reply::Silence => std::future::pending().await,
    }
}

async fn write_stream(stream: &mut TcpStream, chunks: &[String]) -> Option<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await.ok()?;
    for chunk in chunks {
        stream.write_all(chunk.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
    }
    Some(())
}
