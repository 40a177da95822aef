//! Clients that write and read all the time, each on keys of its own, and check every value they read.
//!
//! What holds whatever happens to nodes: *a read returns a miss, or a value not older than the last write
//! acknowledged before the read began*. A cache may forget; it must not lie.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::eventually::eventually;
use crate::random::Random;

/// Keys of each client: enough that every node owns some.
const KEYS: usize = 200;

/// Running clients.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Report>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    /// Clients that have been answered once.
    served: AtomicUsize,
    answered: AtomicU64,
}

/// What the clients saw.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) answers: u64,
    pub(crate) misses: u64,
    pub(crate) slowest: Duration,
    /// How often each error was answered.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Connections that ended; each was opened again.
    pub(crate) broken: Vec<String>,
    /// Values that break the promise above.
    pub(crate) stale: Vec<String>,
}

impl Load {
    /// `clients` clients on each of the addresses.
    pub(crate) fn start(addresses: &[&str], clients: usize) -> Self {
        /// Each load has keys of its own: it knows nothing of what another has written.
        static LOADS: AtomicU64 = AtomicU64::new(0);
        let load = LOADS.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared::default());
        let start = |number: usize| {
            let address = addresses[number % addresses.len()].to_owned();
            let shared = Arc::clone(&shared);
            thread::spawn(move || Session::new(load, number, address).run(&shared))
        };
        let clients = (0..clients * addresses.len()).map(start).collect();
        Self { shared, clients }
    }

    /// Waits until every client was answered.
    pub(crate) fn until_all_are_served(&self) {
        eventually("all clients are served", || match self.shared.served.load(Ordering::Relaxed) {
            all if all == self.clients.len() => Ok(()),
            some => Err(format!("{some} are")),
        });
    }

    /// Waits until this many more requests were answered.
    pub(crate) fn until_answered(&self, more: u64) {
        let start = self.shared.answered.load(Ordering::Relaxed);
        eventually(&format!("{more} more requests are answered"), || {
            let now = self.shared.answered.load(Ordering::Relaxed);
            if now >= start + more { Ok(()) } else { Err(format!("{} are", now - start)) }
        });
    }

    pub(crate) fn stop(self) -> Report {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let mut total = Report::default();
        for client in self.clients {
            total.add(client.join().expect("a client of the load does not panic"));
        }
        total
    }
}

impl Report {
    fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.misses += other.misses;
        self.slowest = self.slowest.max(other.slowest);
        self.broken.extend(other.broken);
        self.stale.extend(other.stale);
        for (text, count) in other.errors {
            *self.errors.entry(text).or_default() += count;
        }
    }

    /// Nobody was disconnected and nobody was lied to.
    pub(crate) fn assert_honest(&self) {
        assert!(self.broken.is_empty() && self.stale.is_empty(), "{self:#?}");
    }

    /// Nobody noticed anything.
    pub(crate) fn assert_unharmed(&self) {
        self.assert_honest();
        assert!(self.errors.is_empty(), "{self:#?}");
    }
}

/// What a client knows of one of its keys.
#[derive(Clone, Copy, Default)]
struct Known {
    /// The last write that was acknowledged.
    acknowledged: u64,
    /// The last write that was sent.
    sent: u64,
}

struct Session {
    name: String,
    address: String,
    known: Vec<Known>,
    random: Random,
    report: Report,
}

impl Session {
    fn new(load: u64, number: usize, address: String) -> Self {
        let name = format!("load{load}:client{number}");
        let known = vec![Known::default(); KEYS];
        Self { name, address, known, random: Random::new(number as u64), report: Report::default() }
    }

    fn run(mut self, shared: &Shared) -> Report {
        while !shared.stopping.load(Ordering::Relaxed) {
            if let Err(error) = self.connected(shared) {
                self.report.broken.push(format!("{}: {error}", self.address));
                // Whoever refuses connections is not asked a thousand times a second.
                thread::park_timeout(Duration::from_millis(10));
            }
        }
        self.report
    }

    fn connected(&mut self, shared: &Shared) -> io::Result<()> {
        let mut client = Client::connect(&self.address)?;
        while !shared.stopping.load(Ordering::Relaxed) {
            let key = self.random.below(KEYS);
            let started = Instant::now();
            if self.random.one_in(3) { self.write(&mut client, key) } else { self.read(&mut client, key) }?;
            self.report.slowest = self.report.slowest.max(started.elapsed());
            self.report.answers += 1;
            shared.served.fetch_add(usize::from(self.report.answers == 1), Ordering::Relaxed);
            shared.answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn key_name(&self, key: usize) -> String {
        format!("{}:key{key}", self.name)
    }

    fn write(&mut self, client: &mut Client, key: usize) -> io::Result<()> {
        let value = self.known[key].sent + 1;
        self.known[key].sent = value;
        let reply = client.try_ask(&[b"SET", self.key_name(key).as_bytes(), value.to_string().as_bytes()])?;
        match reply.as_slice() {
            b"+OK\r\n" => self.known[key].acknowledged = value,
            other => self.count_error(other),
        }
        Ok(())
    }

    fn read(&mut self, client: &mut Client, key: usize) -> io::Result<()> {
        let reply = client.try_ask(&[b"GET", self.key_name(key).as_bytes()])?;
        let reply = String::from_utf8_lossy(&reply).into_owned();
        let value = reply
            .strip_prefix('$')
            .and_then(|bulk| bulk.split_once("\r\n")?.1.trim_end().parse::<u64>().ok());
        let Known { acknowledged, sent } = self.known[key];
        match value {
            Some(value) if (acknowledged..=sent).contains(&value) => {}
            Some(value) => {
                let name = self.key_name(key);
                let line = format!("{name} is {value}, but {acknowledged} was acknowledged and {sent} sent");
                self.report.stale.push(line);
            }
            None if reply == "$-1\r\n" => self.report.misses += 1,
            None => self.count_error(reply.as_bytes()),
        }
        Ok(())
    }

    fn count_error(&mut self, reply: &[u8]) {
        *self.report.errors.entry(String::from_utf8_lossy(reply).trim_end().to_owned()).or_default() += 1;
    }
}
