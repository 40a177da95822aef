//! Requests at a fixed rate, whatever the replies do, and every reply checked.
//!
//! One thread and `epoll`: it sleeps until a request is due or a reply is there, and takes the time of a reply when it
//! has read it. Latencies are counted from the time a request was due (see `schedule`).

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use resp::{Limits, ReplyScanner};
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::schedule::Schedule;
use crate::rounds::Trouble;

/// How long replies may come after the last request was due.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest latency told apart; longer ones count as this long.
const LONGEST: Duration = Duration::from_secs(60);
/// Latencies are kept to a thousandth.
const DIGITS: u8 = 3;
/// Of a core: from here on the generator may be late by itself.
const BUSY: f64 = 0.8;
/// Of the latency: less than this part of it changes no comparison.
const LATE: f64 = 0.1;
/// Bytes read at a time: a reply to MGET of 100 values of 64 bytes in one call.
const PIECE: usize = 64 * 1024;

/// What is sent, and what must come back.
pub trait Workload {
    /// Appends the request of this number; what it returns is given to [`accepts`](Self::accepts) with the reply.
    fn request(&mut self, number: u64, out: &mut Vec<u8>) -> u64;
    /// Whether the reply is right.
    ///
    /// # Errors
    /// What is wrong with it.
    fn accepts(&mut self, tag: u64, reply: &[u8]) -> Result<(), String>;
}

/// A fixed rate of requests over some connections.
#[derive(Debug, Clone, Copy)]
pub struct OpenLoop {
    /// Where the subject listens.
    pub address: SocketAddr,
    /// Connections, used in turn.
    pub connections: usize,
    /// Requests per second.
    pub rate: f64,
    /// For as long as this, after the warm-up.
    pub duration: Duration,
    /// Before it: requests at the same rate that are checked but not counted.
    pub warm_up: Duration,
}

/// What was seen.
#[derive(Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    /// How late requests were sent by the generator itself.
    lateness: Histogram<u64>,
    /// Requests answered, without those of the warm-up.
    pub requests: u64,
    /// The share of a core that the generator used.
    pub generator_share: f64,
}

impl Latencies {
    /// The latency, in milliseconds, that this share of the requests did not exceed.
    #[must_use]
    pub fn at_quantile(&self, quantile: f64) -> f64 {
        self.histogram.value_at_quantile(quantile) as f64 / 1e6
    }

    /// The time, in milliseconds, by which this share of the requests was sent late at most. It is part of the latencies:
    /// what the machine does to the generator is booked on the subject.
    #[must_use]
    pub fn lateness_at_quantile(&self, quantile: f64) -> f64 {
        self.lateness.value_at_quantile(quantile) as f64 / 1e6
    }

    /// Whether so many were answered that a latency at this quantile is not just one of the longest: at least twenty
    /// requests took longer.
    #[must_use]
    pub fn tells(&self, quantile: f64) -> bool {
        /// The twentieth from above moves little from run to run, the first a lot.
        const ABOVE: f64 = 20.0;
        // Half a request is what rounding may cost.
        self.requests as f64 * (1.0 - quantile) >= ABOVE - 0.5
    }

    /// What a reader must know of the generator's own part in these latencies.
    #[must_use]
    pub fn generator_notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.generator_share >= BUSY {
            notes.push(format!("the load generator used {:.0} % of a core", self.generator_share * 100.0));
        }
        let (late, latency) = (self.lateness_at_quantile(0.99), self.at_quantile(0.99));
        if late > latency * LATE {
            notes.push("the generator's own lateness is more than a tenth of p99".to_owned());
        }
        notes
    }
}

impl OpenLoop {
    /// Runs it.
    ///
    /// # Errors
    /// [`Trouble::Wrong`] at the first reply that is not right, [`Trouble::Failed`] when a connection is lost or replies
    /// are missing.
    pub fn run(&self, workload: &mut impl Workload) -> Result<Latencies, Trouble> {
        // Else the kernel may wake this thread 50 µs late, which would be most of what is measured. Where it is refused,
        // it is late for all subjects alike.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut run = Run::connect(self, workload)?;
        let cpu_before = thread_cpu();
        run.started = Instant::now();
        run.drive()?;
        let busy = thread_cpu().saturating_sub(cpu_before);
        let generator_share = busy.as_secs_f64() / run.started.elapsed().as_secs_f64();
        let Run { histogram, lateness, .. } = run;
        Ok(Latencies { requests: histogram.len(), histogram, lateness, generator_share })
    }
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

struct Run<'a, W> {
    workload: &'a mut W,
    schedule: Schedule,
    /// Requests before this are the warm-up.
    counted_from: u64,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    started: Instant,
    sent: u64,
    answered: u64,
    histogram: Histogram<u64>,
    lateness: Histogram<u64>,
    /// What is read goes through here.
    piece: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
    received: Vec<u8>,
    scanner: ReplyScanner,
    /// Number and tag of what is not answered yet, oldest first.
    pending: VecDeque<(u64, u64)>,
}

impl<'a, W: Workload> Run<'a, W> {
    fn connect(load: &OpenLoop, workload: &'a mut W) -> Result<Self, Trouble> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io::Error::from)?;
        let mut connections = Vec::with_capacity(load.connections);
        for index in 0..load.connections {
            let connection = Connection::open(load.address)?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &connection.stream, data, epoll::EventFlags::IN).map_err(io::Error::from)?;
            connections.push(connection);
        }
        let histogram = || {
            let new = Histogram::new_with_bounds(1, LONGEST.as_nanos() as u64, DIGITS);
            new.map_err(|error| Trouble::Failed(error.to_string()))
        };
        Ok(Self {
            workload,
            schedule: Schedule::new(load.rate, load.warm_up + load.duration),
            counted_from: Schedule::new(load.rate, load.warm_up).total(),
            epoll,
            connections,
            started: Instant::now(),
            sent: 0,
            answered: 0,
            piece: vec![0; PIECE],
            histogram: histogram()?,
            lateness: histogram()?,
        })
    }

    fn drive(&mut self) -> Result<(), Trouble> {
        let total = self.schedule.total();
        let deadline = self.schedule.due(total) + PATIENCE;
        let mut ready = Vec::with_capacity(self.connections.len());
        while self.answered < total {
            let now = self.started.elapsed();
            if now > deadline {
                let missing = total - self.answered;
                return Err(Trouble::Failed(format!("{missing} of {total} requests were not answered")));
            }
            self.send_due(now)?;
            let wake = if self.sent < total { self.schedule.due(self.sent) } else { deadline };
            self.wait(wake.saturating_sub(self.started.elapsed()), &mut ready)?;
            for index in ready.drain(..) {
                self.read(index)?;
            }
        }
        Ok(())
    }

    fn send_due(&mut self, now: Duration) -> Result<(), Trouble> {
        let due = self.schedule.due_by(now);
        for number in self.sent..due {
            let index = (number % self.connections.len() as u64) as usize;
            let connection = &mut self.connections[index];
            if number >= self.counted_from {
                let late = self.started.elapsed().saturating_sub(self.schedule.due(number));
                self.lateness.saturating_record(late.as_nanos() as u64);
            }
            let tag = self.workload.request(number, &mut connection.unsent);
            connection.pending.push_back((number, tag));
            connection.flush()?;
        }
        self.sent = due;
        Ok(())
    }

    fn wait(&self, time: Duration, ready: &mut Vec<usize>) -> Result<(), Trouble> {
        let timeout = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
        let mut events = [const {
            epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }
        }; 64];
        match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok(count) => ready.extend(events[..count].iter().map(|event| event.data.u64() as usize)),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        Ok(())
    }

    fn read(&mut self, index: usize) -> Result<(), Trouble> {
        let connection = &mut self.connections[index];
        connection.flush()?;
        connection.receive(&mut self.piece)?;
        let now = self.started.elapsed();
        let mut at = 0;
        while let Some(length) = connection.next_reply(at)? {
            let Some((number, tag)) = connection.pending.pop_front() else {
                return Err(Trouble::Wrong("a reply that nobody asked for".to_owned()));
            };
            self.workload.accepts(tag, &connection.received[at..at + length]).map_err(Trouble::Wrong)?;
            at += length;
            self.answered += 1;
            if number >= self.counted_from {
                let latency = now.saturating_sub(self.schedule.due(number));
                self.histogram.saturating_record(latency.as_nanos() as u64);
            }
        }
        connection.received.drain(..at);
        Ok(())
    }
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let scanner = ReplyScanner::new(Limits::default());
        Ok(Self { stream, unsent: Vec::new(), received: Vec::new(), scanner, pending: VecDeque::new() })
    }

    /// What the socket does not take now is tried again with the next request or reply.
    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, piece: &mut [u8]) -> io::Result<()> {
        match self.stream.read(piece) {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "it closed a connection")),
            Ok(count) => {
                self.received.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn next_reply(&mut self, at: usize) -> Result<Option<usize>, Trouble> {
        if at == self.received.len() {
            return Ok(None);
        }
        self.scanner.scan(&self.received[at..]).map_err(|error| Trouble::Wrong(format!("not RESP: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::process::let_pass;

    /// PING, and nothing but `+PONG`.
    struct Pings;

    impl Workload for Pings {
        fn request(&mut self, number: u64, out: &mut Vec<u8>) -> u64 {
            out.extend_from_slice(b"PING\r\n");
            number
        }
        fn accepts(&mut self, _: u64, reply: &[u8]) -> Result<(), String> {
            if reply == b"+PONG\r\n" { Ok(()) } else { Err(format!("PING gave {reply:?}")) }
        }
    }

    /// Answers every request of one connection with `reply`, the one of number `stalls_at` after a stall.
    fn server(reply: &'static [u8], stalls_at: usize, stall: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut number) = ([0; 6], 0);
            while stream.read_exact(&mut request).is_ok() {
                if number == stalls_at {
                    let_pass(stall);
                }
                number += 1;
                // The load may be over.
                let _ = stream.write_all(reply);
            }
        });
        address
    }

    fn load(address: SocketAddr) -> OpenLoop {
        let (warm_up, duration) = (Duration::from_millis(50), Duration::from_millis(250));
        OpenLoop { address, connections: 1, rate: 1000.0, duration, warm_up }
    }

    #[test]
    fn all_requests_are_sent_and_those_of_the_warm_up_not_counted() {
        let latencies = load(server(b"+PONG\r\n", usize::MAX, Duration::ZERO)).run(&mut Pings).unwrap();
        assert_eq!(latencies.requests, 250);
        assert_eq!(latencies.lateness.len(), 250, "as many were sent");
        assert!(latencies.tells(0.9) && !latencies.tells(0.99), "2.5 of 250 took longer than p99");
        assert!(latencies.at_quantile(0.5) > 0.0);
    }

    #[test]
    fn a_stall_is_felt_by_all_who_came_during_it() {
        let stall = Duration::from_millis(200);
        let latencies = load(server(b"+PONG\r\n", 75, stall)).run(&mut Pings).unwrap();
        // A hundred of 250 came in the first half of the stall and waited at least for the other half.
        assert!(latencies.at_quantile(0.65) >= 100.0, "{} ms", latencies.at_quantile(0.65));
        // The stall is the subject's: requests are sent all the same.
        let (late, latency) = (latencies.lateness_at_quantile(0.65), latencies.at_quantile(0.65));
        assert!(late < latency, "{late} ms of {latency} ms");
    }

    #[test]
    fn a_wrong_reply_ends_the_run() {
        let run = load(server(b"+PANG\r\n", usize::MAX, Duration::ZERO)).run(&mut Pings);
        assert!(matches!(run, Err(Trouble::Wrong(_))), "{run:?}");
        let run = load(server(b"?", usize::MAX, Duration::ZERO)).run(&mut Pings);
        assert!(matches!(run, Err(Trouble::Wrong(_))), "{run:?}");
    }
}
