//! A service under test and the nodes it watches, all in this process on ports of their own.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cluster::{ApiToken, NodeHealth, Topology, View};
use health_service::Config;
use health_service::verdict::Policy;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// No wait of these tests is meant to end this way.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// How a fake node treats its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As Redis does.
    Serving,
    /// Accepts and says nothing.
    Silent,
    /// Answers everything with something that is no RESP.
    Garbage,
    /// Answers everything with an array in an array in an array ...
    Nested,
    /// Answers everything with `-LOADING`.
    Loading,
    /// Answers everything with `-NOAUTH`.
    Guarded,
    /// The same on connections made since; those from before stay logged in.
    Locked,
    /// Lets a user in who may ask nothing but PING.
    Strict,
}

/// A node that answers what the service asks.
pub(crate) struct FakeNode {
    pub(crate) addr: SocketAddr,
    pub(crate) flushes: Arc<AtomicU32>,
    mood: Arc<Mutex<Mood>>,
    task: JoinHandle<()>,
}

impl FakeNode {
    pub(crate) async fn start(run_id: &str, keys: u64, mood: Mood) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), run_id, keys, mood).await
    }

    pub(crate) async fn start_at(addr: SocketAddr, run_id: &str, keys: u64, mood: Mood) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let flushes = Arc::new(AtomicU32::new(0));
        let mood = Arc::new(Mutex::new(mood));
        let (run_id, counter, shared_mood) = (run_id.to_owned(), Arc::clone(&flushes), Arc::clone(&mood));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (mood, counter) = (Arc::clone(&shared_mood), Arc::clone(&counter));
                let is_locked_out = *mood.lock().unwrap() == Mood::Locked;
                connections.spawn(serve(stream, run_id.clone(), keys, mood, counter, is_locked_out));
            }
        });
        Self { addr, flushes, mood, task }
    }

    /// Ends the process: connections are closed, new ones refused.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.addr
    }

    /// Behaves like this from now on, without any connection being closed.
    pub(crate) fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(crate) fn flush_count(&self) -> u32 {
        self.flushes.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut stream: TcpStream,
    run_id: String,
    keys: u64,
    mood: Arc<Mutex<Mood>>,
    flushes: Arc<AtomicU32>,
    is_locked_out: bool,
) {
    let mut received = Vec::new();
    while stream.read_buf(&mut received).await.is_ok_and(|n| n > 0) {
        let text = String::from_utf8(std::mem::take(&mut received)).unwrap();
        let mut reply = String::new();
        let mood = *mood.lock().unwrap();
        for command in text.split('*').skip(1) {
            reply += &match mood {
                Mood::Silent => String::new(),
                Mood::Garbage => "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned(),
                Mood::Nested => "*1\r\n".repeat(10_000),
                Mood::Loading => "-LOADING Redis is loading the dataset in memory\r\n".to_owned(),
                Mood::Guarded => "-NOAUTH Authentication required.\r\n".to_owned(),
                Mood::Locked if is_locked_out => "-NOAUTH Authentication required.\r\n".to_owned(),
                Mood::Serving | Mood::Locked | Mood::Strict if command.contains("PING") => {
                    "+PONG\r\n".to_owned()
                }
                Mood::Strict => "-NOPERM this user has no permissions to run the command\r\n".to_owned(),
                Mood::Serving if command.contains("INFO") => {
                    let info = format!("# Server\r\nredis_version:7.0.15\r\nrun_id:{run_id}\r\n");
                    format!("${}\r\n{info}\r\n", info.len())
                }
                Mood::Serving if command.contains("DBSIZE") => format!(":{keys}\r\n"),
                Mood::Serving if command.contains("FLUSHALL") => {
                    flushes.fetch_add(1, Ordering::SeqCst);
                    "+OK\r\n".to_owned()
                }
                Mood::Serving | Mood::Locked => "-ERR unknown command\r\n".to_owned(),
            };
        }
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A running health service.
pub(crate) struct Service {
    pub(crate) addr: SocketAddr,
    pub(crate) http: reqwest::Client,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
    state_dir: Option<PathBuf>,
}

/// Quick enough for tests, slow enough that what is seen at once is not the schedule's work.
pub(crate) const POLICY: Policy = Policy {
    interval: Duration::from_secs(20),
    timeout: Duration::from_millis(700),
    failures: 3,
    successes: 2,
};

pub(crate) fn topology(nodes: &[SocketAddr]) -> Topology {
    let list: Vec<String> = (1..).zip(nodes).map(|(i, addr)| format!("node{i}={addr}")).collect();
    Topology::from_lists(&list.join(","), "").unwrap()
}

impl Service {
    pub(crate) async fn start(topology: Topology, state_dir: Option<PathBuf>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(listener, topology, state_dir)
    }

    pub(crate) fn start_on(listener: TcpListener, topology: Topology, state_dir: Option<PathBuf>) -> Self {
        Self::start_with(listener, topology, state_dir, None)
    }

    pub(crate) fn start_with(
        listener: TcpListener,
        topology: Topology,
        state_dir: Option<PathBuf>,
        api_token: Option<ApiToken>,
    ) -> Self {
        let addr = listener.local_addr().unwrap();
        let config = Config {
            host: String::new(),
            port: 0,
            topology,
            policy: POLICY,
            state_dir: state_dir.clone(),
            api_token,
            node_login: None,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { stopped.await.unwrap_or_default() };
        let task = tokio::spawn(health_service::run(listener, config, shutdown));
        let http = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
        Self { addr, http, stop, task, state_dir }
    }

    /// Stops it as SIGTERM does, and returns how long that took.
    pub(crate) async fn stop(self) -> Duration {
        let started = Instant::now();
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap();
        let took = started.elapsed();
        // The end of its process would wait for a write to the journal that is on its way.
        if let Some(directory) = self.state_dir {
            let journal = std::fs::File::open(directory.join("journal")).unwrap();
            while journal.try_lock().is_err() {
                assert!(started.elapsed() < DEADLINE, "the journal is still in use");
                tokio::task::yield_now().await;
            }
        }
        took
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// `None` unless the answer is 200 and has this shape.
    pub(crate) async fn try_get<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let response = self.http.get(self.url(path)).send().await.unwrap();
        (response.status() == 200).then_some(())?;
        Some(response.json().await.unwrap())
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        self.try_get(path).await.unwrap_or_else(|| panic!("{path} is not answered"))
    }

    pub(crate) async fn post(&self, path: &str, json: &serde_json::Value) -> (u16, serde_json::Value) {
        let response = self.http.post(self.url(path)).json(json).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// The first view for which `wanted` holds.
    pub(crate) async fn view_when(&self, wanted: impl Fn(&View) -> bool) -> View {
        let started = Instant::now();
        let mut since = 0;
        while started.elapsed() < DEADLINE {
            let path = format!("/health/view?since={since}&wait=1s");
            match self.try_get::<View>(&path).await {
                Some(view) if wanted(&view) => return view,
                Some(view) => since = view.epoch,
                None => {}
            }
        }
        panic!("no such view came; the last had epoch {since}");
    }

    /// The health of a node once `wanted` holds for it.
    pub(crate) async fn node_when(&self, id: &str, wanted: impl Fn(&NodeHealth) -> bool) -> NodeHealth {
        self.member_when(&format!("nodes/{id}"), wanted).await
    }

    /// The same of any member, by its path.
    pub(crate) async fn member_when(&self, path: &str, wanted: impl Fn(&NodeHealth) -> bool) -> NodeHealth {
        let started = Instant::now();
        loop {
            let member: NodeHealth = self.get(&format!("/health/{path}")).await;
            if wanted(&member) {
                return member;
            }
            assert!(started.elapsed() < DEADLINE, "{path} never becomes as wanted: {member:?}");
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn all_routable(&self) -> View {
        self.view_when(|view| view.nodes.iter().all(|node| node.routable)).await
    }
}

/// So many nodes that serve, and the service that watches them.
pub(crate) async fn running(count: usize) -> (Service, Vec<FakeNode>) {
    let mut nodes = Vec::new();
    for i in 1..=count {
        nodes.push(FakeNode::start(&format!("run{i}"), 5, Mood::Serving).await);
    }
    let addrs: Vec<SocketAddr> = nodes.iter().map(|node| node.addr).collect();
    let service = Service::start(topology(&addrs), None).await;
    service.all_routable().await;
    (service, nodes)
}
