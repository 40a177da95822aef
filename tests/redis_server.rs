//! A real redis-server, the judge of what is right. It listens on a socket file: no port to collide on.

use std::os::unix::net::UnixStream;
use std::process::Command;

use tempfile::TempDir;

use crate::client::Client;
use crate::eventually::PATIENCE;
use crate::process::Process;

/// On the line that it prints when it listens; the word before differs between versions.
pub(crate) const READY: &str = "eady to accept connections";

/// Fails with what to install when there is no redis-server.
pub(crate) fn assert_installed() {
    assert!(
        Command::new("redis-server").arg("--version").output().is_ok(),
        "this test needs redis-server, redis-cli and redis-benchmark 7.0 on PATH: apt-get install redis"
    );
}

pub(crate) struct RedisServer {
    _process: Process,
    files: TempDir,
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        let files = TempDir::new().expect("a temporary directory");
        assert_installed();
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--unixsocket", "redis.sock"]).current_dir(files.path());
        let process = Process::spawn("redis-server", command);
        process.wait_for_line(READY);
        Self { _process: process, files }
    }

    pub(crate) fn client(&self) -> Client {
        let stream = UnixStream::connect(self.files.path().join("redis.sock")).expect("redis-server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Client::over(stream)
    }
}
