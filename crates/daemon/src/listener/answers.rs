//! Marks the place of a connection while its request is answered, from the request's end to the answer's.
//!
//! Bytes alone do not tell half a request from one that is waited with, as in a long poll; who serves the requests knows.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected, IntoMakeServiceWithConnectInfo};
use axum::middleware::{AddExtension, Next, from_fn};
use axum::response::Response;
use axum::serve::{IncomingStream, Serve};
use http_body::{Frame, SizeHint};
use tokio::net::TcpListener;

use super::Listener;
use super::places::{Debtor, Owed};

/// Serves a router on a listener to so many connections at a time, for ever.
pub fn serve(
    listener: TcpListener,
    connections: usize,
    router: Router,
) -> Serve<Listener, IntoMakeServiceWithConnectInfo<Router, Debtor>, AddExtension<Router, ConnectInfo<Debtor>>>
{
    let router = router.layer(from_fn(answer));
    let listener = Listener::new(listener, connections);
    axum::serve(listener, router.into_make_service_with_connect_info::<Debtor>())
}

impl Connected<IncomingStream<'_, Listener>> for Debtor {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.io().place.debtor()
    }
}

async fn answer(ConnectInfo(debtor): ConnectInfo<Debtor>, request: Request, next: Next) -> Response {
    if !request.body().is_end_stream() {
        // The rest may never come, and once it has the answer does not take long.
        return next.run(request).await;
    }
    let owed = debtor.owe();
    next.run(request).await.map(|body| Body::new(Answer { body, _owed: owed }))
}

/// A body of which something is owed until it is dropped.
struct Answer {
    body: Body,
    _owed: Owed,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use axum::routing::{get, post};
    use futures_util::stream::unfold;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::Notify;
    use tokio::time::{sleep, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);
    const PLACES: usize = 8;

    /// What goes on at the server.
    #[derive(Default)]
    struct Server {
        counted: AtomicU32,
        asked: Notify,
        let_go: Notify,
    }

    /// A stream that counts, and an answer that comes when it is let go.
    fn router(server: &Arc<Server>) -> Router {
        let (counting, polled) = (Arc::clone(server), Arc::clone(server));
        let count = async |server: Arc<Server>| {
            sleep(Duration::from_millis(20)).await;
            let number = server.counted.fetch_add(1, Ordering::Relaxed);
            Some((Ok::<_, Infallible>(format!("{number};")), server))
        };
        let poll = async move || {
            polled.asked.notify_one();
            polled.let_go.notified().await;
            "polled"
        };
        Router::new()
            .route("/stream", get(async move || Body::from_stream(unfold(counting, count))))
            .route("/poll", get(poll))
            .route("/echo", post(async |body: Bytes| body))
    }

    async fn ask(address: SocketAddr, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Reads until this has come.
    async fn read_until(stream: &mut TcpStream, wanted: &str) {
        let mut text = String::new();
        let read = async {
            while !text.contains(wanted) {
                let mut bytes = [0; 512];
                let len = stream.read(&mut bytes).await.unwrap();
                assert!(len > 0, "closed after {text:?}");
                text += &String::from_utf8_lossy(&bytes[..len]);
            }
        };
        timeout(PATIENCE, read).await.expect("it comes");
    }

    /// A crowd that says nothing or asks half takes no place from those who are answered.
    #[tokio::test]
    async fn a_stream_and_a_long_poll_outlive_a_crowd_of_half_requests() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Server::default());
        tokio::spawn(serve(listener, PLACES, router(&server)).into_future());
        let mut stream = ask(address, "GET /stream HTTP/1.0\r\n\r\n").await;
        read_until(&mut stream, "0;").await;
        let mut poll = ask(address, "GET /poll HTTP/1.0\r\n\r\n").await;
        server.asked.notified().await;
        let halves = ["", "GET /poll HTTP/1.1\r\nHo", "POST /echo HTTP/1.1\r\ncontent-length: 9\r\n\r\nhalf"];
        let mut crowd = Vec::new();
        for half in halves.iter().cycle().take(3 * PLACES * halves.len()) {
            crowd.push(ask(address, half).await);
        }
        for gone in &mut crowd[..2 * PLACES * halves.len()] {
            // It may be told that its request is half a one.
            let end = timeout(PATIENCE, gone.read_to_end(&mut Vec::new())).await;
            let _ = end.expect("it gives way");
        }
        let next = server.counted.load(Ordering::Relaxed) + 1;
        read_until(&mut stream, &format!(";{next};")).await;
        server.let_go.notify_one();
        read_until(&mut poll, "polled").await;
    }
}
