//! The two servers under test, each with a raw connection: a node in a thread of this process, and redis-server.

use cache_node::Config;
use resp::{Limits, ReplyScanner, encode_request};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node that serves on a free port until it is dropped.
pub struct Node {
    pub address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    pub fn start(config: Config) -> Self {
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                cache_node::run(listener, config, async { drop(stopped.await) }).await.unwrap();
            });
        });
        Self { address: told.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    pub fn connect(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::new(stream)
    }

    /// Asks it to drain.
    pub fn shut_down(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for its end.
    pub fn join(&mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shut_down();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A redis-server on a socket of its own: no port to collide with.
pub struct Redis {
    child: Child,
    socket: PathBuf,
    _dir: tempfile::TempDir,
}

impl Redis {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("redis.sock");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--databases", "1", "--unixsocket"])
            .arg(&socket)
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect(
                "these tests compare with redis-server: install it (Debian: apt-get install redis-server)",
            );
        let redis = Self { child, socket, _dir: dir };
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(&redis.socket).is_err() {
            assert!(Instant::now() < deadline, "redis-server did not come up");
            std::thread::yield_now();
        }
        redis
    }

    pub fn connect(&self) -> Client<UnixStream> {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::new(stream)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A raw connection: requests out, whole replies in, as bytes.
pub struct Client<S> {
    stream: S,
    pending: Vec<u8>,
}

impl<S: Read + Write> Client<S> {
    fn new(stream: S) -> Self {
        Self { stream, pending: Vec::new() }
    }

    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Like `say`; `None` when the server refuses or closes.
    pub fn try_say(&mut self, words: &str) -> Option<String> {
        self.stream.write_all(format!("{words}\r\n").as_bytes()).ok()?;
        self.reply().map(|reply| String::from_utf8_lossy(&reply).into_owned())
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next reply, byte for byte; `None` when the server has closed the connection.
    pub fn reply(&mut self) -> Option<Vec<u8>> {
        let mut scanner = ReplyScanner::new(Limits::default());
        loop {
            if let Some(len) = scanner.scan(&self.pending).expect("a well-formed reply") {
                return Some(self.pending.drain(..len).collect());
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(len) => self.pending.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// Sends a command and returns its reply.
    pub fn ask(&mut self, args: &[Vec<u8>]) -> Vec<u8> {
        let mut request = Vec::new();
        encode_request(&mut request, args.iter().map(Vec::as_slice));
        self.send(&request);
        self.reply().expect("a reply before the connection closes")
    }

    /// Sends words separated by spaces; returns the reply as text.
    pub fn say(&mut self, words: &str) -> String {
        let args: Vec<_> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        String::from_utf8_lossy(&self.ask(&args)).into_owned()
    }
}

/// Waits for a condition that another thread is about to bring about.
pub fn eventually(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "the condition never came true");
        std::thread::yield_now();
    }
}

/// A reply as text, or the word that there is none any more.
pub fn text(reply: Option<Vec<u8>>) -> String {
    reply.map_or_else(|| "closed".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}
