//! A cache as applications use it: ask, and store what was not there; at a fixed pace.
//!
//! The one idea: every subject sees the same keys at the same times, so only what it keeps differs. Every value
//! that comes back is compared with what was stored. What the keys are is not decided here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::load::send_all;
use crate::client::Client;
use crate::load::keys::shown;
use crate::load::schedule::Schedule;
use crate::load::{key, value};
use crate::process::let_pass;
use crate::rounds::Trouble;
use crate::workload::Keys;

/// GETs under way: keys asked for twice within a batch miss twice, so it is short against the cache.
pub(super) const BATCH: usize = 64;
/// Counted parts of a stream: as many numbers as three rounds would give.
pub(super) const WINDOWS: u64 = 3;
/// Bytes of the smallest value, and how many sizes there are from it on: 1 KB on average. One size alone would
/// favour the allocator that happens to have a class for it.
const SMALLEST: u64 = 128;
const SIZES: u64 = 1_793;
/// A prime: neighbouring numbers have sizes far apart, and no workload prefers one.
const STRIDE: u64 = 7_919;

/// How much is asked for, and how fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Requests before counting begins.
    pub(super) warm_up: u64,
    /// Requests of each of the [`WINDOWS`].
    pub(super) window: u64,
    /// Requests per second.
    pub(super) rate: f64,
    /// When the first is due, after the start: subjects take turns.
    pub(super) delay: Duration,
}

impl Pace {
    pub(super) fn requests(&self) -> u64 {
        self.warm_up + WINDOWS * self.window
    }

    /// How long it takes as planned.
    pub(super) fn planned(&self) -> Duration {
        Duration::from_secs_f64(self.requests() as f64 / self.rate)
    }
}

/// What one run gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hits {
    /// The share of requests that found their key, in percent, for each window.
    pub(super) ratios: [f64; WINDOWS as usize],
    /// How long it took.
    pub(super) took: Duration,
}

/// Bytes of the value of the key of this number.
pub(super) fn size(number: u64) -> usize {
    (SMALLEST + number % SIZES * STRIDE % SIZES) as usize
}

fn queue_set(client: &mut Client, number: u64) {
    client.queue(&[b"SET", key("key", number).as_bytes(), &value(number, size(number))]);
}

/// Stores `count` of `keys` keys, far apart: a cache that is full from the start has to choose from the start.
///
/// # Errors
/// When the connection is lost or a reply is an error.
pub(super) fn fill(client: &mut Client, keys: u64, count: u64) -> Result<(), Trouble> {
    Ok(send_all(client, count, |number, client| queue_set(client, number * STRIDE % keys))?)
}

/// Asks for `keys` at this pace.
///
/// # Errors
/// [`Trouble::Wrong`] at the first value that is not the one that was stored, [`Trouble::Failed`] when the
/// connection is lost or a SET is refused.
pub(super) fn read_through(client: Client, mut keys: Keys, pace: &Pace) -> Result<Hits, Trouble> {
    let mut reader = Reader { client, missed: VecDeque::new(), asked: Vec::new() };
    let schedule = Schedule::new(pace.rate / BATCH as f64, pace.planned());
    let (started, mut batch) = (Instant::now(), 0);
    let mut pass = |requests: u64| -> Result<f64, Trouble> {
        let (mut left, mut hits) = (requests, 0);
        while left > 0 {
            let_pass((schedule.due(batch) + pace.delay).saturating_sub(started.elapsed()));
            batch += 1;
            let count = left.min(BATCH as u64);
            hits += reader.batch(keys.by_ref().take(count as usize))?;
            left -= count;
        }
        Ok(100.0 * hits as f64 / requests.max(1) as f64)
    };
    pass(pace.warm_up)?;
    let mut ratios = [0.0; WINDOWS as usize];
    for ratio in &mut ratios {
        *ratio = pass(pace.window)?;
    }
    Ok(Hits { ratios, took: started.elapsed() })
}

struct Reader {
    client: Client,
    /// Keys to store with the next batch.
    missed: VecDeque<u64>,
    /// Keys of this batch.
    asked: Vec<u64>,
}

impl Reader {
    /// Stores what was missing the last time, and asks for `keys`; gives how many were there.
    fn batch(&mut self, keys: impl Iterator<Item = u64>) -> Result<u64, Trouble> {
        let stores = self.missed.len();
        for number in self.missed.drain(..) {
            queue_set(&mut self.client, number);
        }
        self.asked.clear();
        self.asked.extend(keys);
        for number in &self.asked {
            self.client.queue(&[b"GET", key("key", *number).as_bytes()]);
        }
        self.client.flush()?;
        for _ in 0..stores {
            let reply = self.client.receive()?;
            if reply != b"+OK\r\n" {
                return Err(Trouble::Failed(format!("SET gave {}", shown(reply))));
            }
        }
        self.take_values()
    }

    fn take_values(&mut self) -> Result<u64, Trouble> {
        let mut hits = 0;
        for number in &self.asked {
            let reply = self.client.receive()?;
            if reply == b"$-1\r\n" {
                self.missed.push_back(*number);
            } else if is_value(*number, reply) {
                hits += 1;
            } else {
                return Err(Trouble::Wrong(format!("GET of key {number} gave {}", shown(reply))));
            }
        }
        Ok(hits)
    }
}

/// Whether the reply is the value of this number.
fn is_value(number: u64, reply: &[u8]) -> bool {
    let size = size(number);
    let bytes = reply.strip_prefix(format!("${size}\r\n").as_bytes());
    bytes.and_then(|rest| rest.strip_suffix(b"\r\n")).is_some_and(|bytes| bytes == value(number, size))
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::thread;

    use resp::{Encoder, Limits, Protocol, Request, RequestScanner};

    use super::*;
    use crate::workload::Workload;

    const KEYS: u64 = 1_000;
    /// Fast: the pace is not what is tested.
    const PACE: Pace = Pace { warm_up: 2_048, window: 640, rate: 1e9, delay: Duration::ZERO };

    /// A cache without a limit, for one connection; keeps what `kept` makes of a value.
    fn cache(kept: fn(Vec<u8>) -> Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(listener.accept().unwrap().0, kept));
        address
    }

    fn serve(mut stream: TcpStream, kept: fn(Vec<u8>) -> Vec<u8>) {
        stream.set_nodelay(true).unwrap();
        let mut scanner = RequestScanner::new(Limits::default());
        let (mut values, mut bytes, mut piece) = (HashMap::new(), Vec::new(), [0; 4_096]);
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            bytes.extend_from_slice(&piece[..count]);
            let mut replies = Vec::new();
            while let Some(length) = scanner.scan(&bytes).unwrap() {
                answer(&scanner.request(&bytes), &mut values, kept, &mut replies);
                bytes.drain(..length);
            }
            stream.write_all(&replies).unwrap();
        }
    }

    fn answer(
        request: &Request<'_>,
        values: &mut HashMap<Vec<u8>, Vec<u8>>,
        kept: fn(Vec<u8>) -> Vec<u8>,
        replies: &mut Vec<u8>,
    ) {
        let mut reply = Encoder::new(replies, Protocol::Resp2);
        let name = request.arg(1).to_vec();
        match (request.arg(0), values.get(&name)) {
            (b"SET", _) => {
                values.insert(name, kept(request.arg(2).to_vec()));
                reply.simple("OK");
            }
            (_, Some(value)) => reply.bulk(value),
            (_, None) => reply.null(),
        }
    }

    fn hits_of(address: SocketAddr, workload: Workload) -> Result<Hits, Trouble> {
        read_through(Client::connect(address).unwrap(), workload.keys(KEYS, 1), &PACE)
    }

    /// What a cache without a limit must reach: a key is there from the batch after its first one on.
    fn expected(workload: Workload) -> [f64; WINDOWS as usize] {
        let mut keys = workload.keys(KEYS, 1);
        let mut seen = HashSet::new();
        let mut pass = |requests: u64| {
            let mut hits = 0;
            for _ in 0..requests / BATCH as u64 {
                let batch: Vec<u64> = keys.by_ref().take(BATCH).collect();
                hits += batch.iter().filter(|key| seen.contains(*key)).count();
                seen.extend(batch);
            }
            100.0 * hits as f64 / requests as f64
        };
        pass(PACE.warm_up);
        [(); WINDOWS as usize].map(|()| pass(PACE.window))
    }

    #[test]
    fn every_server_is_asked_for_the_same_keys_and_hits_are_counted_after_the_warm_up() {
        for workload in Workload::ALL {
            let ratios = [(); 2].map(|()| hits_of(cache(|value| value), workload).unwrap().ratios);
            assert_eq!(ratios, [expected(workload); 2], "{}", workload.name());
        }
    }

    #[test]
    fn a_wrong_value_is_no_hit() {
        let spoilt = cache(|mut value| {
            value[9] ^= 1;
            value
        });
        assert!(matches!(hits_of(spoilt, Workload::Zipf(1.0)), Err(Trouble::Wrong(_))));
    }

    #[test]
    fn sizes_are_spread_and_their_mean_is_a_kilobyte() {
        let sizes: Vec<usize> = (0..SIZES).map(size).collect();
        assert_eq!(sizes.iter().collect::<HashSet<_>>().len() as u64, SIZES, "every size once");
        assert_eq!(sizes.iter().sum::<usize>() / sizes.len(), 1_024);
        let popular = sizes[..20].iter().sum::<usize>() / 20;
        assert!((700..1_350).contains(&popular), "{popular}: the popular keys are like all");
    }
}
