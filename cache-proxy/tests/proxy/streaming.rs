//! Large replies and slow readers on real sockets.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use resp::{Limits, RequestScanner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::cluster::{Client, PATIENCE, Proxy, echoed};

/// Far more than all socket buffers on the way hold, so that whoever does not read stops whoever writes.
const LARGE: usize = 64 * 1024 * 1024;

/// A node whose every value is its request's words, but for `GET large`: LARGE bytes of them. `GET cut` is answered
/// with half of that and the end of the connection.
async fn start_node() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(answer(stream));
        }
    });
    (address, serving)
}

async fn answer(mut stream: TcpStream) {
    let mut scanner = RequestScanner::new(Limits::default());
    let mut buffer = Vec::new();
    while stream.read_buf(&mut buffer).await.is_ok_and(|len| len > 0) {
        while let Some(len) = scanner.scan(&buffer).unwrap() {
            let words: Vec<_> = scanner.request(&buffer).args().map(<[u8]>::to_vec).collect();
            buffer.drain(..len);
            let words = String::from_utf8(words.join(&b' ')).unwrap();
            let reply = match words.as_str() {
                "GET large" | "GET cut" => large(),
                _ => &echoed(&words).into_bytes(),
            };
            let is_cut = words == "GET cut";
            let sent = if is_cut { &reply[..LARGE / 2] } else { reply };
            // A proxy that is gone, or has closed the link, takes no more.
            if stream.write_all(sent).await.is_err() || is_cut {
                return;
            }
        }
    }
}

/// Made once: in a debug build it takes its time.
fn large() -> &'static [u8] {
    static REPLY: LazyLock<Vec<u8>> = LazyLock::new(|| {
        // A length that divides no buffer's: bytes that change places are noticed.
        let value = b"abcdefghijklmnopqrstuvw".repeat(LARGE / 23 + 1);
        [format!("${LARGE}\r\n").as_bytes(), &value[..LARGE], b"\r\n"].concat()
    });
    &REPLY
}

impl Client {
    async fn expect_large(&mut self) {
        let mut reply = vec![0; large().len()];
        timeout(PATIENCE, self.stream.read_exact(&mut reply)).await.unwrap().unwrap();
        assert!(reply == large(), "the value has changed on its way");
    }

    /// Asks for the large value and reads none of it, until it has begun to come.
    async fn ask_and_not_read(&mut self) {
        self.send(b"GET large\r\n").await;
        let mut begin = [0; 16];
        let begun = async { while self.stream.peek(&mut begin).await.unwrap() < begin.len() {} };
        timeout(PATIENCE, begun).await.unwrap();
    }
}

#[tokio::test]
async fn a_value_larger_than_the_output_limit_arrives_whole() {
    let (node, _serving) = start_node().await;
    let proxy = Proxy::over(&[node], &["--client-output-buffer-limit", "1mb"]).await;
    let mut client = proxy.connect().await;
    client.send(b"GET a\r\nGET large\r\nGET b\r\n").await;
    client.expect(&echoed("GET a")).await;
    client.expect_large().await;
    client.expect(&echoed("GET b")).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_delays_nobody_for_long() {
    let (node, _serving) = start_node().await;
    let proxy = Proxy::over(&[node], &[]).await;
    let [mut slow, mut other] = [proxy.connect().await, proxy.connect().await];
    slow.ask_and_not_read().await;
    for number in 0..200 {
        let asked = Instant::now();
        other.send(format!("GET {number}\r\n").as_bytes()).await;
        other.expect(&echoed(&format!("GET {number}"))).await;
        // 150 ms by design; the rest is for a busy machine.
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
    slow.expect_large().await;
    slow.send(b"GET on\r\n").await;
    slow.expect(&echoed("GET on")).await;
    proxy.stop().await;
}

#[tokio::test]
async fn who_waits_behind_a_reply_that_is_never_taken_is_answered_and_its_reader_closed() {
    let (node, _serving) = start_node().await;
    let proxy = Proxy::over(&[node], &["--client-output-buffer-limit", "1mb"]).await;
    let [mut slow, mut behind] = [proxy.connect().await, proxy.connect().await];
    // In one turn of the proxy's loop or not: whichever way the second goes, it is answered.
    slow.send(b"GET large\r\n").await;
    behind.send(b"GET behind\r\n").await;
    behind.expect(&echoed("GET behind")).await;
    drop(slow);
    behind.send(b"GET more\r\n").await;
    behind.expect(&echoed("GET more")).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_reply_harms_nobody() {
    let (node, _serving) = start_node().await;
    let proxy = Proxy::over(&[node], &[]).await;
    let mut other = proxy.connect().await;
    for number in 0..5 {
        let mut slow = proxy.connect().await;
        slow.ask_and_not_read().await;
        drop(slow);
        other.send(format!("GET {number}\r\n").as_bytes()).await;
        other.expect(&echoed(&format!("GET {number}"))).await;
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_whose_node_dies_in_the_middle_of_its_reply_is_closed_and_counted() {
    let (node, _serving) = start_node().await;
    let proxy = Proxy::over(&[node], &[]).await;
    let [mut client, mut other] = [proxy.connect().await, proxy.connect().await];
    client.send(b"GET cut\r\nGET after\r\n").await;
    let mut read = Vec::new();
    // An end or a reset: either way it is told that this is not all.
    let _ = timeout(PATIENCE, client.stream.read_to_end(&mut read)).await.unwrap();
    assert!(read.len() <= LARGE / 2 && large().starts_with(&read), "{} bytes", read.len());
    other.send(b"GET on\r\n").await;
    other.expect(&echoed("GET on")).await;
    proxy.metrics_with(&["cache_proxy_replies_cut_total 1"]).await;
    proxy.stop().await;
}
