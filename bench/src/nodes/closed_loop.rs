//! As many checked requests as are answered: each connection sends some, and the next ones when these are
//! answered.
//!
//! redis-benchmark is better at this wherever one command is enough. This is for a mix of them. One thread
//! serves all connections in turn: while it reads from one, the server works on the others.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use resp::{Limits, ReplyScanner};
use rustix::time::{ClockId, clock_gettime};

use crate::load::open_loop::Workload;
use crate::rounds::Trouble;

/// Longer than any batch takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than the replies of a batch: most are read at once.
const PIECE: usize = 64 * 1024;

/// Some connections, each with as many requests under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClosedLoop {
    /// Where the server listens.
    pub(super) address: SocketAddr,
    /// Connections at the same time.
    pub(super) connections: usize,
    /// Requests that each sends before it waits for their replies.
    pub(super) depth: usize,
}

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    /// From the first request to the last reply.
    pub(super) wall: Duration,
    /// The share of it in which this generator itself was at work.
    pub(super) generator_share: f64,
}

/// From this share on the generator may be what limits the throughput: it and the server wait for each other.
const BUSY: f64 = 0.8;

impl Took {
    /// Says so when the generator had hardly any time left.
    pub(super) fn generator_note(&self) -> Option<String> {
        let percent = 100.0 * self.generator_share;
        (self.generator_share >= BUSY)
            .then(|| format!("the load generator was busy {percent:.0} % of the time: more may be possible"))
    }
}

/// CPU time of this thread so far.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

impl ClosedLoop {
    /// Sends at least `requests` requests (whole turns of all connections).
    ///
    /// # Errors
    /// [`Trouble::Wrong`] at the first reply that is not right, [`Trouble::Failed`] when a connection is lost.
    pub(super) fn run(&self, requests: u64, workload: &mut impl Workload) -> Result<Took, Trouble> {
        let connections: io::Result<Vec<_>> =
            (0..self.connections).map(|_| Connection::open(self.address)).collect();
        let mut connections = connections?;
        let (started, cpu) = (Instant::now(), thread_cpu());
        for _ in 0..self.turns(requests) {
            for connection in &mut connections {
                connection.send(self.depth, workload)?;
            }
            for connection in &mut connections {
                connection.take_replies(workload)?;
            }
        }
        let wall = started.elapsed();
        let worked = thread_cpu().saturating_sub(cpu);
        Ok(Took { wall, generator_share: worked.as_secs_f64() / wall.as_secs_f64().max(f64::EPSILON) })
    }

    /// How many requests take about as long as `wanted`, from a few turns that also warm everything up.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) fn calibrate(&self, wanted: Duration, workload: &mut impl Workload) -> Result<u64, Trouble> {
        /// Enough turns to be past the connecting.
        const TURNS: u64 = 20;
        let few = self.per_turn() * TURNS;
        let time = self.run(few, workload)?.wall;
        let count = few as f64 * wanted.as_secs_f64() / time.as_secs_f64();
        Ok(self.turns(count as u64) * self.per_turn())
    }

    fn per_turn(&self) -> u64 {
        (self.connections * self.depth) as u64
    }

    fn turns(&self, requests: u64) -> u64 {
        requests.div_ceil(self.per_turn()).max(1)
    }
}

struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
    received: Vec<u8>,
    /// Of `received`, what has been filled.
    filled: usize,
    scanner: ReplyScanner,
    /// Of what is not answered yet, oldest first.
    tags: VecDeque<u64>,
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let scanner = ReplyScanner::new(Limits::default());
        let (unsent, received, tags) = (Vec::new(), vec![0; PIECE], VecDeque::new());
        Ok(Self { stream, unsent, received, filled: 0, scanner, tags })
    }

    fn send(&mut self, count: usize, workload: &mut impl Workload) -> io::Result<()> {
        self.unsent.clear();
        for number in 0..count {
            let tag = workload.request(number as u64, &mut self.unsent);
            self.tags.push_back(tag);
        }
        self.stream.write_all(&self.unsent)
    }

    fn take_replies(&mut self, workload: &mut impl Workload) -> Result<(), Trouble> {
        while !self.tags.is_empty() {
            if self.filled == self.received.len() {
                self.received.resize(2 * self.filled, 0);
            }
            match self.stream.read(&mut self.received[self.filled..]) {
                Ok(0) => return Err(Trouble::Failed("it closed a connection".to_owned())),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            self.check(workload)?;
        }
        Ok(())
    }

    fn check(&mut self, workload: &mut impl Workload) -> Result<(), Trouble> {
        let mut at = 0;
        while at < self.filled {
            let scanned = self.scanner.scan(&self.received[at..self.filled]);
            let scanned = scanned.map_err(|error| Trouble::Wrong(format!("not RESP: {error}")))?;
            let Some(length) = scanned else { break };
            let Some(tag) = self.tags.pop_front() else {
                return Err(Trouble::Wrong("a reply that nobody asked for".to_owned()));
            };
            workload.accepts(tag, &self.received[at..at + length]).map_err(Trouble::Wrong)?;
            at += length;
        }
        self.received.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Counts what was answered.
    struct Pings(u64);

    impl Workload for Pings {
        fn request(&mut self, number: u64, out: &mut Vec<u8>) -> u64 {
            out.extend_from_slice(b"PING\r\n");
            number
        }

        fn accepts(&mut self, _: u64, reply: &[u8]) -> Result<(), String> {
            self.0 += 1;
            if reply == b"+PONG\r\n" { Ok(()) } else { Err("not PONG".to_owned()) }
        }
    }

    /// Takes one connection, and answers every six bytes with `reply`, in two pieces.
    fn server(reply: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 6];
            while stream.read_exact(&mut request).is_ok() {
                stream.write_all(&reply[..2]).unwrap();
                stream.write_all(&reply[2..]).unwrap();
            }
        });
        address
    }

    #[test]
    fn every_reply_is_checked() {
        let load = |reply| ClosedLoop { address: server(reply), connections: 1, depth: 4 };
        let mut pings = Pings(0);
        load(b"+PONG\r\n").run(10, &mut pings).unwrap();
        assert_eq!(pings.0, 12, "whole turns");
        let took = |generator_share| Took { wall: Duration::from_secs(1), generator_share };
        assert!(took(0.7).generator_note().is_none() && took(0.9).generator_note().is_some());
        let trouble = load(b"+GONE\r\n").run(1, &mut pings).unwrap_err();
        assert!(matches!(trouble, Trouble::Wrong(_)), "{trouble}");
    }
}
