//! Latencies at a rate that every proxy can serve, beside those without a proxy. Every reply is checked: a GET of a key
//! stored beforehand, and one GET after each SET on the same connection, which must find what that SET stored.

use std::time::Duration;

use super::contestant::{Contestant, watched};
use super::{SUITE, keyspace, rounds};
use crate::NO_PROXY;
use crate::bench::Bench;
use crate::load::keys::shown;
use crate::load::open_loop::{OpenLoop, Workload};
use crate::load::{key, value};
use crate::results::{Better, Metric, Results, Scenario, metric};
use crate::rounds::{Round, Subject, Trouble, interleaved};

/// Differences of two distributions, taken one after the other: no single request was delayed by that much.
const ADDED_P50: Metric = Metric { name: "p50 minus no proxy's p50", unit: "ms", better: Better::Lower };
const ADDED_P99: Metric = Metric { name: "p99 minus no proxy's p99", unit: "ms", better: Better::Lower };
/// How late the generator itself sent requests: part of all latencies here, and nobody's merit.
const LATENESS: Metric = Metric { name: "generator's lateness, p99", unit: "ms", better: Better::Neither };

/// The lowest percentiles that say something about users, not about the machine.
const LATENCIES: [(Metric, f64); 3] = [(metric::P50, 0.5), (metric::P99, 0.99), (metric::P999, 0.999)];

/// Of five requests one is a SET: caches are read more than written.
const ONE_SET_IN: u64 = 5;
/// One offered load.
#[derive(Debug, Clone, Copy)]
struct Case {
    /// Requests per second.
    rate: f64,
    connections: usize,
    /// Keys in a request: more than one makes it an MGET.
    keys: u64,
    /// Of a value, in bytes.
    size: usize,
    /// Seconds that are counted: twenty replies must take longer than the highest percentile that is told.
    seconds: f64,
}

const CASES: [Case; 4] = [
    Case { rate: 10_000.0, connections: 50, keys: 1, size: 64, seconds: 2.0 },
    Case { rate: 10_000.0, connections: 1000, keys: 1, size: 64, seconds: 2.0 },
    Case { rate: 10_000.0, connections: 50, keys: 1, size: 4096, seconds: 2.0 },
    Case { rate: 1_000.0, connections: 50, keys: 100, size: 64, seconds: 2.0 },
];

impl Case {
    /// A busy machine that only tries the harness cannot keep up with the full rate.
    fn for_run(self, bench: &Bench) -> Self {
        if bench.quick { Self { rate: self.rate / 10.0, seconds: 0.3, ..self } } else { self }
    }

    fn what(self) -> String {
        let Self { rate, connections, keys, size, .. } = self;
        let command = if keys > 1 { format!("MGET of {keys}") } else { "GET and SET 4:1".to_owned() };
        format!("{command}, {size} B, {rate}/s, {connections} connections")
    }

    fn scenario(self) -> Scenario {
        Scenario { suite: SUITE, group: "latency at a fixed rate", name: self.what() }
    }

    /// The percentiles that enough replies tell.
    fn latencies(self) -> &'static [(Metric, f64)] {
        if self.keys == 1 { &LATENCIES } else { &LATENCIES[..2] }
    }

    fn added(self) -> Scenario {
        Scenario { suite: SUITE, group: "latency beside no proxy", name: self.what() }
    }

    fn declare(self, results: &mut Results, subjects: &[String]) {
        for subject in subjects {
            let metrics = self.latencies().iter().map(|(metric, _)| *metric).chain([LATENESS]);
            results.declare(&self.scenario(), subject, &metrics.collect::<Vec<_>>());
        }
        for subject in subjects.iter().filter(|subject| *subject != NO_PROXY) {
            results.declare(&self.added(), subject, &[ADDED_P50, ADDED_P99]);
        }
    }

    fn counted(self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn load(self, contestant: &Contestant) -> OpenLoop {
        OpenLoop {
            address: contestant.address,
            connections: self.connections,
            rate: self.rate,
            duration: self.counted(),
            warm_up: self.counted() / 8,
        }
    }
}

/// The rows of this part.
pub(super) fn declare(bench: &Bench, results: &mut Results, subjects: &[String]) -> usize {
    for case in CASES.map(|case| case.for_run(bench)) {
        case.declare(results, subjects);
    }
    CASES.len() * subjects.len()
}

/// How long this part will take.
pub(super) fn plan(bench: &Bench, subjects: usize, rounds: usize) -> Duration {
    let cases = CASES.map(|case| case.for_run(bench));
    let counted: f64 = cases.iter().map(|case| case.seconds).sum();
    // An eighth is warm-up; connecting takes a moment.
    let each = Duration::from_secs_f64(counted / cases.len() as f64 * 1.125 + 0.1);
    bench.progress.plan("proxies: fixed rates", cases.len(), subjects, rounds, each)
}

/// Runs this part.
pub(super) fn run(bench: &Bench, results: &mut Results, contestants: &mut [Contestant]) {
    for (case, salt) in CASES.map(|case| case.for_run(bench)).into_iter().zip(1..) {
        let scenario = case.scenario();
        let replies: Vec<Vec<u8>> =
            (0..keyspace(case.size)).map(|number| bulk(&value(number, case.size))).collect();
        watched(results, &scenario, contestants, |results, contestants| {
            interleaved(bench, results, &scenario, contestants, rounds(bench), |contestant, round| {
                if round == 0 {
                    // The saturated SETs stored other values.
                    contestant.preload(keyspace(case.size), case.size)?;
                }
                // Other values in each round: one left over from before must not pass for one just stored.
                let salt = (salt * 100 + round as u64) << 32;
                measure(contestant, case, &replies, salt)
            });
        });
        for contestant in contestants.iter().filter(|contestant| contestant.is_proxy()) {
            compare(results, case, contestant.name());
        }
    }
}

fn measure(contestant: &Contestant, case: Case, replies: &[Vec<u8>], salt: u64) -> Result<Round, Trouble> {
    let prefix = contestant.prefix(case.size);
    let connections = case.connections as u64;
    let mut workload = Checked { prefix, keys: case.keys, size: case.size, connections, salt, replies };
    let latencies = case.load(contestant).run(&mut workload)?;
    let mut round = Round::default().with(LATENESS, latencies.lateness_at_quantile(0.99));
    for (metric, quantile) in case.latencies() {
        round = round.with(*metric, latencies.at_quantile(*quantile));
    }
    if case.latencies().len() < LATENCIES.len() {
        round = round.note("no p99.9: too few replies for one");
    }
    Ok(latencies.generator_notes().into_iter().fold(round, Round::note))
}

/// Round by round, because the machine is not the same in each.
fn compare(results: &mut Results, case: Case, subject: &str) {
    for (added, of) in [(ADDED_P50, metric::P50), (ADDED_P99, metric::P99)] {
        let samples = |subject: &str| {
            let row = results.row(&case.scenario(), subject, of.name);
            row.map(|row| (row.samples.clone(), row.lack.clone())).unwrap_or_default()
        };
        let ((mine, lack), (direct, _)) = (samples(subject), samples(NO_PROXY));
        for (mine, direct) in mine.iter().zip(&direct) {
            results.add(&case.added(), subject, added, mine - direct);
        }
        if let Some(lack) = lack {
            results.lack(&case.added(), subject, &lack);
        } else if direct.is_empty() {
            results.fail(&case.added(), subject, "there is nothing to compare with");
        }
    }
}

fn bulk(value: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}

/// GETs and SETs, or MGETs, of keys whose values are known.
struct Checked<'a> {
    prefix: String,
    keys: u64,
    size: usize,
    /// Requests go over them in turn.
    connections: u64,
    /// What tells the values of this run's SETs from those of all others.
    salt: u64,
    replies: &'a [Vec<u8>],
}

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A GET or MGET of what was stored beforehand.
    Read,
    /// A SET of a value that only this request has.
    Write,
    /// The GET that follows on the same connection, of the same key: of the SET with this number.
    ReadBack(u64),
}

impl Checked<'_> {
    /// Neighbouring requests ask for keys far apart, and all keys are asked for.
    fn key_number(&self, index: u64) -> u64 {
        /// A prime that does not divide the number of keys.
        const STRIDE: u64 = 7_919;
        index.wrapping_mul(STRIDE) % self.replies.len() as u64
    }

    fn kind(&self, number: u64) -> Kind {
        let turn = number / self.connections;
        // Connections do not write all at once.
        match (turn + number % self.connections) % ONE_SET_IN {
            0 if self.keys == 1 => Kind::Write,
            1 if self.keys == 1 && turn > 0 => Kind::ReadBack(number - self.connections),
            _ => Kind::Read,
        }
    }

    fn version(&self, number: u64) -> Vec<u8> {
        value(self.salt + number, self.size)
    }

    /// A key that no other request of this run writes.
    fn versioned_key(&self, number: u64) -> String {
        key(&format!("{}v", self.prefix), number)
    }
}

impl Workload for Checked<'_> {
    fn request(&mut self, number: u64, out: &mut Vec<u8>) -> u64 {
        let keys = |index| key(&self.prefix, self.key_number(number * self.keys + index));
        let words: Vec<Vec<u8>> = match self.kind(number) {
            Kind::Write => vec![b"SET".to_vec(), self.versioned_key(number).into(), self.version(number)],
            Kind::ReadBack(of) => vec![b"GET".to_vec(), self.versioned_key(of).into()],
            Kind::Read => {
                let name = if self.keys > 1 { b"MGET".to_vec() } else { b"GET".to_vec() };
                [name].into_iter().chain((0..self.keys).map(|index| keys(index).into())).collect()
            }
        };
        resp::encode_request(out, words.iter().map(Vec::as_slice));
        number
    }

    fn accepts(&mut self, number: u64, reply: &[u8]) -> Result<(), String> {
        let mut rest = reply;
        let mut take = |expected: &[u8]| {
            let found = rest.strip_prefix(expected).map(|left| rest = left);
            found.ok_or_else(|| format!("request {number} gave {}", shown(reply)))
        };
        match self.kind(number) {
            Kind::Write => take(b"+OK\r\n")?,
            Kind::ReadBack(of) => take(&bulk(&self.version(of)))?,
            Kind::Read => {
                if self.keys > 1 {
                    take(format!("*{}\r\n", self.keys).as_bytes())?;
                }
                for index in 0..self.keys {
                    take(&self.replies[self.key_number(number * self.keys + index) as usize])?;
                }
            }
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(format!("request {number} gave too much: {}", shown(reply)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Lack;

    fn replies() -> Vec<Vec<u8>> {
        (0..1000).map(stored).collect()
    }

    fn stored(number: u64) -> Vec<u8> {
        bulk(&value(number, 64))
    }

    fn checked(keys: u64, replies: &[Vec<u8>]) -> Checked<'_> {
        Checked { prefix: "a64".to_owned(), keys, size: 64, connections: 10, salt: 1 << 40, replies }
    }

    #[test]
    fn a_reply_is_right_only_with_the_value_of_its_key() {
        let replies = replies();
        let mut workload = checked(1, &replies);
        let mut request = Vec::new();
        assert_eq!(workload.request(3, &mut request), 3);
        assert!(
            request.starts_with(b"*2\r\n$3\r\nGET\r\n$16\r\na64:000000000757\r\n"),
            "{}",
            shown(&request)
        );
        assert_eq!(workload.accepts(3, &stored(757)), Ok(()));
        assert!(workload.accepts(3, &stored(758)).is_err());
        assert!(workload.accepts(3, b"$-1\r\n").is_err());
        assert!(workload.accepts(3, &[stored(757), b"x".to_vec()].concat()).is_err());
    }

    #[test]
    fn what_is_set_must_be_found_by_the_next_get_of_the_connection() {
        let replies = replies();
        let mut workload = checked(1, &replies);
        // Of ten connections the sixth writes in its first turn and reads that back in its second.
        assert_eq!(
            (workload.kind(5), workload.kind(15), workload.kind(25)),
            (Kind::Write, Kind::ReadBack(5), Kind::Read)
        );
        assert_eq!(workload.accepts(5, b"+OK\r\n"), Ok(()));
        assert!(workload.accepts(5, b"-ERR no\r\n").is_err());
        let version = bulk(&workload.version(5));
        assert_eq!(workload.accepts(15, &version), Ok(()));
        assert!(workload.accepts(15, b"$-1\r\n").is_err(), "the SET was dropped");
        workload.salt += 1 << 32;
        assert!(workload.accepts(15, &version).is_err(), "it is left over from the round before");
        let writes = (0..1000).filter(|number| workload.kind(*number) == Kind::Write).count();
        assert_eq!(writes, 200, "one in five");
    }

    #[test]
    fn of_many_keys_each_must_be_right() {
        let replies = replies();
        let mut workload = checked(2, &replies);
        let (first, second) = (workload.key_number(6), workload.key_number(7));
        let reply = |a, b| [b"*2\r\n".to_vec(), stored(a), stored(b)].concat();
        assert_eq!(workload.accepts(3, &reply(first, second)), Ok(()));
        assert!(workload.accepts(3, &reply(second, first)).is_err());
    }

    #[test]
    fn a_percentile_is_told_only_where_enough_replies_are_above_it() {
        /// Twenty requests take longer than p99.9.
        const ENOUGH_FOR_P999: f64 = 20_000.0;
        for case in CASES {
            let replies = case.rate * case.seconds;
            assert_eq!(case.latencies().len() == 3, replies >= ENOUGH_FOR_P999, "{}", case.what());
            assert!(replies * 0.01 >= 20.0, "{}", case.what());
        }
    }

    #[test]
    fn what_is_added_is_counted_round_by_round() {
        let mut results = Results::default();
        CASES[0].declare(&mut results, &["a".to_owned(), "b".to_owned(), NO_PROXY.to_owned()]);
        for (mine, direct) in [(3.0, 1.0), (5.0, 2.0)] {
            results.add(&CASES[0].scenario(), "a", metric::P50, mine);
            results.add(&CASES[0].scenario(), NO_PROXY, metric::P50, direct);
        }
        results.fail(&CASES[0].scenario(), "b", "closed");
        compare(&mut results, CASES[0], "a");
        compare(&mut results, CASES[0], "b");
        let added = |subject| results.row(&CASES[0].added(), subject, ADDED_P50.name).unwrap();
        assert_eq!(added("a").samples, [2.0, 3.0]);
        assert_eq!(added("b").lack, Some(Lack::Failed("closed".to_owned())));
    }
}
