//! Latencies at a rate that every proxy can serve, and what each adds to having none. Every reply is checked.

use std::time::Duration;

use super::SUITE;
use super::backends::Backends;
use super::contestant::{Contestant, watched};
use crate::NO_PROXY;
use crate::bench::Bench;
use crate::load::keys::shown;
use crate::load::open_loop::{OpenLoop, Workload};
use crate::load::{key, value};
use crate::results::{Better, Metric, Results, Scenario, metric};
use crate::rounds::{Round, Subject, Trouble, interleaved};

const ADDED_P50: Metric = Metric { name: "p50 over no proxy", unit: "ms", better: Better::Lower };
const ADDED_P99: Metric = Metric { name: "p99 over no proxy", unit: "ms", better: Better::Lower };

/// The lowest percentiles that say something about users, not about the machine.
const LATENCIES: [(Metric, f64); 3] = [(metric::P50, 0.5), (metric::P99, 0.99), (metric::P999, 0.999)];

/// Every reply is compared with what was stored, so all of it must be at hand: 20 000 replies of 64 bytes are.
const KEYSPACE: u64 = 20_000;
const SIZE: usize = 64;
/// Of five requests one is a SET: caches are read more than written.
const ONE_SET_IN: u64 = 5;
/// From here on the generator may be late by itself.
const BUSY: f64 = 0.8;

/// One offered load.
#[derive(Debug, Clone, Copy)]
struct Case {
    /// Requests per second.
    rate: f64,
    connections: usize,
    /// Keys in a request: more than one makes it an MGET.
    keys: u64,
}

const CASES: [Case; 3] = [
    Case { rate: 10_000.0, connections: 50, keys: 1 },
    Case { rate: 10_000.0, connections: 1000, keys: 1 },
    Case { rate: 200.0, connections: 50, keys: 100 },
];

impl Case {
    /// A busy machine that only tries the harness cannot keep up with the full rate.
    fn for_run(self, bench: &Bench) -> Self {
        if bench.quick { Self { rate: self.rate / 10.0, ..self } } else { self }
    }

    fn what(self) -> String {
        let Self { rate, connections, keys } = self;
        let command = if keys > 1 { format!("MGET of {keys}") } else { "GET and SET 4:1".to_owned() };
        format!("{command}, {SIZE} B, {rate}/s, {connections} connections")
    }

    fn scenario(self) -> Scenario {
        Scenario { suite: SUITE, group: "latency at a fixed rate", name: self.what() }
    }

    fn added(self) -> Scenario {
        Scenario { suite: SUITE, group: "latency added at a fixed rate", name: self.what() }
    }

    fn declare(self, results: &mut Results, subjects: &[String]) {
        for subject in subjects {
            results.declare(&self.scenario(), subject, &LATENCIES.map(|(metric, _)| metric));
        }
        for subject in subjects.iter().filter(|subject| *subject != NO_PROXY) {
            results.declare(&self.added(), subject, &[ADDED_P50, ADDED_P99]);
        }
    }

    fn load(self, bench: &Bench, contestant: &Contestant) -> OpenLoop {
        let duration = if bench.quick { 300 } else { 2000 };
        OpenLoop {
            address: contestant.address,
            connections: self.connections,
            rate: self.rate,
            duration: Duration::from_millis(duration),
            warm_up: Duration::from_millis(duration / 8),
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

/// Runs this part.
pub(super) fn run(bench: &Bench, results: &mut Results, backends: &Backends, contestants: &mut [Contestant]) {
    let replies: Vec<Vec<u8>> = (0..KEYSPACE).map(bulk).collect();
    for case in CASES.map(|case| case.for_run(bench)) {
        let scenario = case.scenario();
        watched(results, &scenario, contestants, |results, contestants| {
            interleaved(bench, results, &scenario, contestants, bench.rounds(), |contestant, round| {
                if round == 0 {
                    contestant.preload(backends, KEYSPACE, SIZE)?;
                }
                measure(bench, contestant, case, &replies)
            });
        });
        for contestant in contestants.iter().filter(|contestant| contestant.is_proxy()) {
            compare(results, case, contestant.name());
        }
    }
}

fn measure(
    bench: &Bench,
    contestant: &Contestant,
    case: Case,
    replies: &[Vec<u8>],
) -> Result<Round, Trouble> {
    let mut workload = Checked { prefix: contestant.prefix(SIZE), keys: case.keys, replies };
    let latencies = case.load(bench, contestant).run(&mut workload)?;
    let mut round = Round::default();
    for (metric, quantile) in LATENCIES {
        round = round.with(metric, latencies.at_quantile(quantile));
    }
    if latencies.generator_share >= BUSY {
        round = round
            .note(format!("the load generator used {:.0} % of a core", latencies.generator_share * 100.0));
    }
    Ok(round)
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

fn bulk(number: u64) -> Vec<u8> {
    let value = value(number, SIZE);
    [format!("${SIZE}\r\n").as_bytes(), &value, b"\r\n"].concat()
}

/// GETs and SETs, or MGETs, of keys whose values are known.
struct Checked<'a> {
    prefix: String,
    keys: u64,
    replies: &'a [Vec<u8>],
}

impl Checked<'_> {
    /// Neighbouring requests ask for keys far apart, and all keys are asked for.
    fn key_number(&self, index: u64) -> u64 {
        /// A prime that does not divide the number of keys.
        const STRIDE: u64 = 7_919;
        index.wrapping_mul(STRIDE) % self.replies.len() as u64
    }

    fn value(&self, number: u64) -> &[u8] {
        let reply = &self.replies[number as usize];
        &reply[reply.len() - 2 - SIZE..reply.len() - 2]
    }

    fn is_set(&self, number: u64) -> bool {
        self.keys == 1 && number.is_multiple_of(ONE_SET_IN)
    }
}

impl Workload for Checked<'_> {
    fn request(&mut self, number: u64, out: &mut Vec<u8>) -> u64 {
        let keys = (0..self.keys).map(|index| key(&self.prefix, self.key_number(number * self.keys + index)));
        let keys: Vec<String> = keys.collect();
        let name: &[u8] = if self.keys > 1 { b"MGET" } else { b"GET" };
        if self.is_set(number) {
            let value = self.value(self.key_number(number));
            resp::encode_request(out, [b"SET".as_slice(), keys[0].as_bytes(), value].into_iter());
        } else {
            let words: Vec<&[u8]> = [name].into_iter().chain(keys.iter().map(String::as_bytes)).collect();
            resp::encode_request(out, words.into_iter());
        }
        number
    }

    fn accepts(&mut self, number: u64, reply: &[u8]) -> Result<(), String> {
        let mut rest = reply;
        let mut take = |expected: &[u8]| {
            let found = rest.strip_prefix(expected).map(|left| rest = left);
            found.ok_or_else(|| format!("request {number} gave {}", shown(reply)))
        };
        if self.is_set(number) {
            take(b"+OK\r\n")?;
        } else {
            if self.keys > 1 {
                take(format!("*{}\r\n", self.keys).as_bytes())?;
            }
            for index in 0..self.keys {
                take(&self.replies[self.key_number(number * self.keys + index) as usize])?;
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

    #[test]
    fn a_reply_is_right_only_with_the_value_of_its_key() {
        let replies: Vec<Vec<u8>> = (0..1000).map(bulk).collect();
        let mut workload = Checked { prefix: "a64".to_owned(), keys: 1, replies: &replies };
        let mut request = Vec::new();
        assert_eq!(workload.request(1, &mut request), 1);
        assert!(
            request.starts_with(b"*2\r\n$3\r\nGET\r\n$16\r\na64:000000000919\r\n"),
            "{}",
            shown(&request)
        );
        assert_eq!(workload.accepts(1, &bulk(919)), Ok(()));
        assert!(workload.accepts(1, &bulk(920)).is_err());
        assert!(workload.accepts(1, b"$-1\r\n").is_err());
        assert!(workload.accepts(1, &[bulk(919), b"x".to_vec()].concat()).is_err());
        assert_eq!(workload.accepts(0, b"+OK\r\n"), Ok(()));
        assert!(workload.accepts(0, b"-ERR no\r\n").is_err());
    }

    #[test]
    fn of_many_keys_each_must_be_right() {
        let replies: Vec<Vec<u8>> = (0..1000).map(bulk).collect();
        let mut workload = Checked { prefix: "a64".to_owned(), keys: 2, replies: &replies };
        let (first, second) = (workload.key_number(6), workload.key_number(7));
        let reply = |a, b| [b"*2\r\n".to_vec(), bulk(a), bulk(b)].concat();
        assert_eq!(workload.accepts(3, &reply(first, second)), Ok(()));
        assert!(workload.accepts(3, &reply(second, first)).is_err());
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
