//! A real redis-server for the length of one test, and the few lines of protocol needed to question it.
//!
//! It listens on a socket file in a directory of its own, so there is no port to collide on.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The process with a connection to it; killed on drop.
pub(crate) struct Redis {
    server: Child,
    connection: BufReader<UnixStream>,
    _files: TempDir,
}

/// What the server answers, of either protocol version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Text(String),
    Error(String),
    Integer(i64),
    List(Vec<Self>),
    Null,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let files = TempDir::new().expect("a temporary directory");
        let socket = files.path().join("redis.sock");
        let mut server = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--loglevel", "notice", "--unixsocket"])
            .arg(&socket)
            .current_dir(files.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "this test needs a real redis-server 7.0 on PATH ({error}): apt-get install redis-server"
                )
            });
        let log = BufReader::new(server.stdout.take().expect("stdout is piped"));
        // The log ends with the process, so this loop does too.
        let ready = log.lines().map_while(Result::ok).any(|line| line.contains("eady to accept connections"));
        if !ready {
            panic!("redis-server ended before it was ready: {:?}", server.wait());
        }
        let connection = BufReader::new(UnixStream::connect(&socket).expect("redis-server listens"));
        Self { server, connection, _files: files }
    }

    pub(crate) fn ask(&mut self, args: &[&str]) -> Reply {
        let mut request = format!("*{}\r\n", args.len());
        for arg in args {
            request += &format!("${}\r\n{arg}\r\n", arg.len());
        }
        self.connection.get_mut().write_all(request.as_bytes()).expect("redis-server reads");
        self.read_reply()
    }

    fn read_reply(&mut self) -> Reply {
        let mut line = String::new();
        self.connection.read_line(&mut line).expect("redis-server answers");
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "+" => Reply::Text(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(rest.parse().expect("an integer")),
            "$" if rest != "-1" => {
                let mut text = vec![0; rest.parse::<usize>().expect("a length") + 2];
                self.connection.read_exact(&mut text).expect("a whole reply");
                text.truncate(text.len() - 2);
                Reply::Text(String::from_utf8_lossy(&text).into_owned())
            }
            "*" if rest != "-1" => {
                let length = rest.parse().expect("a length");
                Reply::List((0..length).map(|_| self.read_reply()).collect())
            }
            _ => Reply::Null,
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Error(text) => text,
            other => panic!("a text expected, got {other:?}"),
        }
    }

    pub(crate) fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("an integer expected, got {other:?}"),
        }
    }

    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            other => panic!("a list expected, got {other:?}"),
        }
    }

    /// The value after `name` in a flattened map.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        self.list().chunks_exact(2).find(|pair| pair[0].text() == name).map(|pair| &pair[1])
    }
}
