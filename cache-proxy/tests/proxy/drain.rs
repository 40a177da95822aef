//! How a proxy ends: balancers see it first, and no client loses a reply.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use cache_proxy::{Config, PROGRAM};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::cluster::{PATIENCE, Proxy, echoed, greet, nodes};

/// Tells a proxy to end, and waits until its admin port says that it does.
async fn begin_to_end(proxy: &mut Proxy) {
    let stop = std::mem::replace(&mut proxy.stop, oneshot::channel().0);
    stop.send(()).unwrap();
    let seen = async {
        while !proxy.get("/readyz").await.contains("404 Not Found") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap();
}

#[tokio::test]
async fn a_lame_duck_tells_balancers_and_serves_every_command() {
    let (_nodes, addresses) = nodes(2).await;
    let mut proxy = Proxy::over(&addresses, &["--lame-duck", "1h"]).await;
    let mut old = proxy.connect().await;
    old.send(b"PING\r\n").await;
    old.expect("+PONG\r\n").await;
    assert!(proxy.get("/metrics").await.contains("\ncache_proxy_draining 0\n"));

    begin_to_end(&mut proxy).await;
    assert!(proxy.get("/metrics").await.contains("\ncache_proxy_draining 1\n"));
    // A client may begin with a PING as well.
    let mut new = proxy.connect().await;
    new.send(b"PING\r\nGET k\r\n").await;
    new.expect(&format!("+PONG\r\n{}", echoed("GET k"))).await;
    old.send(b"PING\r\nGET k\r\n").await;
    old.expect(&format!("+PONG\r\n{}", echoed("GET k"))).await;
}

#[tokio::test]
async fn after_the_lame_duck_time_idle_clients_are_closed_and_nobody_is_let_in() {
    let (_nodes, addresses) = nodes(1).await;
    let mut proxy = Proxy::over(&addresses, &["--lame-duck", "10ms", "--workers", "2"]).await;
    let (mut idle, mut silent) = (proxy.connect().await, proxy.connect().await);
    idle.send(b"PING\r\n").await;
    idle.expect("+PONG\r\n").await;
    begin_to_end(&mut proxy).await;
    assert_eq!(idle.read_to_end().await, "");
    assert_eq!(silent.read_to_end().await, "");
    tokio::time::timeout(PATIENCE, &mut proxy.running).await.unwrap().unwrap().unwrap();
    TcpStream::connect(proxy.address).await.unwrap_err();
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
async fn a_busy_client_is_closed_right_behind_a_reply() {
    let (_nodes, addresses) = nodes(2).await;
    // Without a boundary between two requests it would be served for longer than the test waits.
    let proxy = Proxy::over(&addresses, &["--drain-timeout", "1h"]).await;
    let mut client = proxy.connect().await;
    let (served_once, has_been_served) = oneshot::channel();
    let busy = tokio::spawn(async move {
        let reply = echoed("GET k");
        client.send(b"GET k\r\n").await;
        client.expect(&reply).await;
        served_once.send(()).unwrap();
        let mut received = Vec::new();
        // A request that is on its way when the connection ends breaks it.
        while client.stream.write_all(b"GET k\r\n").await.is_ok() {
            match client.stream.read_buf(&mut received).await {
                Ok(len) if len > 0 => assert_eq!(String::from_utf8_lossy(&received), reply),
                _ => return received,
            }
            received.clear();
        }
        received
    });
    has_been_served.await.unwrap();
    proxy.stop().await;
    assert_eq!(tokio::time::timeout(PATIENCE, busy).await.unwrap().unwrap(), b"", "a reply was cut");
}

#[tokio::test]
async fn a_request_that_has_begun_is_answered() {
    let (_nodes, addresses) = nodes(1).await;
    let proxy = Proxy::over(&addresses, &["--drain-timeout", "1h"]).await;
    let (mut slow, mut idle) = (proxy.connect().await, proxy.connect().await);
    slow.send(b"PING\r\nGET lo").await;
    slow.expect("+PONG\r\n").await;
    let stopping = tokio::spawn(proxy.stop());
    assert_eq!(idle.read_to_end().await, "");
    slow.send(b"ng\r\nGET other\r\n").await;
    assert_eq!(slow.read_to_end().await, echoed("GET long") + &echoed("GET other"));
    stopping.await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flags = ["--drain-timeout", "50ms", "--node-timeout", "1h"];
    let proxy = Proxy::over(&[listener.local_addr().unwrap()], &flags).await;
    let (mut node, _) = listener.accept().await.unwrap();
    greet(&mut node).await;
    let mut client = proxy.connect().await;
    client.send(b"GET k\r\n").await;
    let mut request = [0; 20];
    node.read_exact(&mut request).await.unwrap();
    proxy.stop().await;
    assert_eq!(client.read_to_end().await, "");
}

#[test]
fn the_lame_duck_time_is_for_those_who_can_see_it() {
    let lame_duck =
        |flags: &[&str]| Config::from_settings(&PROGRAM.from_flags(flags).unwrap()).unwrap().lame_duck;
    assert_eq!(lame_duck(&["--admin-port", "0"]), Duration::from_secs(2));
    assert_eq!(lame_duck(&[]), Duration::ZERO);
    assert_eq!(lame_duck(&["--lame-duck", "1s"]), Duration::from_secs(1));
    assert_eq!(lame_duck(&["--admin-port", "0", "--lame-duck", "0s"]), Duration::ZERO);
}

/// A proxy process that serves, with its log.
struct Process {
    child: Child,
    port: u16,
    log: Lines<BufReader<ChildStderr>>,
}

impl Process {
    fn start(flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cache-proxy"));
        command.args(["--port", "0", "--health-service", "http://127.0.0.1:1"]).args(flags);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let ready = BufReader::new(stdout).lines().next().unwrap().unwrap();
        let port = ready.strip_prefix("listening on 127.0.0.1:").unwrap().parse().unwrap();
        Self { child, port, log: BufReader::new(stderr).lines() }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn until_logged(&mut self, text: &str) {
        self.log.by_ref().find(|line| line.as_ref().is_ok_and(|line| line.contains(text)));
    }

    /// Its exit status, if it ends by itself.
    fn wait(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::yield_now();
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        panic!("it does not end");
    }
}

/// How a proxy process ends that gets this many SIGTERMs, one after the other.
fn exit_code_after(signals: usize, flags: &[&str]) -> Option<i32> {
    let mut proxy = Process::start(flags);
    for _ in 0..signals {
        kill_process(proxy.pid(), Signal::TERM).unwrap();
        // Two signals of one kind become one, unless the first has been taken.
        proxy.until_logged("draining");
    }
    proxy.wait()
}

#[test]
fn a_process_drains_at_the_first_signal_and_ends_at_the_second() {
    assert_eq!(exit_code_after(1, &["--lame-duck", "0s"]), Some(0));
    assert_eq!(exit_code_after(2, &["--lame-duck", "1h"]), Some(130));
}

#[test]
fn a_process_without_a_file_descriptor_left_drains_all_the_same() {
    let mut proxy = Process::start(&["--lame-duck", "0s", "--drain-timeout", "1h"]);
    let connect = || std::net::TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
    let mut client = connect();
    client.write_all(b"ECHO x\r\n").unwrap();
    let mut reply = [0; 7];
    client.read_exact(&mut reply).unwrap();
    // Only the standard streams are below: nothing can be opened any more.
    let limit = Rlimit { current: Some(3), ..getrlimit(Resource::Nofile) };
    prlimit(Some(proxy.pid()), Resource::Nofile, limit).unwrap();
    let _at_the_door = connect();
    proxy.until_logged("cannot accept a client");
    kill_process(proxy.pid(), Signal::TERM).unwrap();
    assert_eq!(proxy.wait(), Some(0));
}
