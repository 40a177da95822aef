//! Runs the command and reads what it says.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// Far longer than anything here takes, on a machine that does other things as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often to look whether a process has ended.
const POLL: Duration = Duration::from_millis(10);

/// The command with a clean environment: a developer's settings must not change a test.
pub(crate) fn fastcache(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fastcache"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.args(args).env_clear().env("PATH", path).stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    fastcache(args).output().unwrap()
}

/// The lines of what it wrote on stderr.
pub(crate) fn stderr_lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect()
}

/// A running `fastcache up`, killed when dropped.
pub(crate) struct Up {
    pub(crate) child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: Receiver<String>,
}

/// `fastcache up` for a small cluster on free ports.
pub(crate) fn up_command(base_dir: &str, entry: &str) -> Command {
    let any = "0";
    let mut command = fastcache(&["up", "--nodes", "3", "--proxies", "2"]);
    command
        .args(["--entry", entry, "--base-dir", base_dir])
        .args(["--entry-port", any, "--node-port", any, "--proxy-port", any, "--admin-port", any])
        .args(["--health-port", any, "--stats-port", any])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Up {
    /// Starts a small cluster on free ports.
    pub(crate) fn start(base_dir: &str, entry: &str) -> Self {
        Self::spawn(&mut up_command(base_dir, entry))
    }

    /// Starts it as this command says. Its stderr can be read only if it is piped.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = child.stderr.take().map_or_else(|| mpsc::channel().1, lines_of);
        Self { child, stdout, stderr }
    }

    /// The line that tells it is ready.
    pub(crate) fn ready_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(
            line.starts_with("ready in "),
            "{line:?} after {:?}",
            self.stderr.try_iter().collect::<Vec<_>>()
        );
        line
    }

    /// The first line on stderr that contains this.
    pub(crate) fn stderr_line(&self, containing: &str) -> String {
        loop {
            let line = self.stderr.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no line on stderr contains {containing:?}"));
            if line.contains(containing) {
                return line;
            }
        }
    }

    /// What is left on stderr, when it has ended.
    pub(crate) fn stderr_lines(&self) -> Vec<String> {
        self.stderr.iter().collect()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            // Nobody unparks this thread; it may wake early, and then looks early.
            thread::park_timeout(POLL);
        }
    }

    /// What stdout still holds when the process has ended.
    pub(crate) fn rest_of_stdout(&mut self) -> String {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Its children end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    receiver
}

/// A pipe that takes no byte more. Who writes to it waits for as long as its reader lives.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    // Page by page, then what is left byte by byte.
    for piece in [&[b'x'; 4096][..], b"x"] {
        while writer.write(piece).is_ok() {}
    }
    fcntl_setfl(&writer, OFlags::empty()).unwrap();
    (reader, writer)
}

/// A port that somebody listens on for as long as this lives.
pub(crate) fn taken_port() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (listener, port)
}

/// A port that nobody listens on for as long as this lives.
pub(crate) fn silent_port() -> (OwnedFd, String) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
    (socket, address.port().to_string())
}

/// A connection that tells when the process at its other end has ended.
pub(crate) struct Link(TcpStream);

impl Link {
    pub(crate) fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Waits for the end.
    pub(crate) fn until_closed(mut self) {
        let mut byte = [0];
        match self.0.read(&mut byte) {
            Ok(0) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            other => panic!("{:?} still lives: {other:?}", self.0.peer_addr()),
        }
    }
}
