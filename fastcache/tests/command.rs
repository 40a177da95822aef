//! Runs the command and reads what it says.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// Far longer than anything here takes, on a machine that does other things as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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

impl Up {
    /// Starts a small cluster on free ports.
    pub(crate) fn start(base_dir: &str, entry: &str) -> Self {
        let any = "0";
        let mut child =
            fastcache(&["up", "--nodes", "3", "--proxies", "2", "--entry", entry, "--base-dir", base_dir])
                .args(["--entry-port", any, "--node-port", any, "--proxy-port", any, "--admin-port", any])
                .args(["--health-port", any, "--stats-port", any])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = lines_of(child.stderr.take().unwrap());
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

/// A port that somebody listens on for as long as this lives.
pub(crate) fn taken_port() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (listener, port)
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
