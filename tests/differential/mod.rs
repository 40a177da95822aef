//! The same random requests to a real redis-server and to FastCache: the replies must be equal byte for byte.
//!
//! Requests come in pipelines, so their order is tested too. What may differ, and why, is in `compare`; how often
//! that happens is counted, so that nothing hides behind it. After a difference both sides are emptied, so that one
//! wrong value is not reported a hundred times.

mod all_types;
mod compare;
mod requests;

use std::fmt::Write;

use crate::client::Client;
use crate::cluster::{Cluster, lone_node};
use crate::random::Random;
use crate::redis_server::RedisServer;
use crate::seed::seed_or;
use compare::{Verdict, judge};
use requests::{Requests, printed};

/// Enough to reach every option of every command many times; takes two seconds or so.
const PIPELINES: usize = 4_000;
/// Longer pipelines find no more and tell less.
const LONGEST_PIPELINE: usize = 8;
/// What may be excused of the pipelines that are no transactions: twice what is measured.
const PLAIN_EXCUSED_PERCENT: usize = 20;
/// The same of transactions, into which Redis also takes what concerns all nodes.
const TRANSACTIONS_EXCUSED_PERCENT: usize = 35;
/// At least so many commands must have been executed in transactions: half of what is measured.
const EXECUTED: usize = 240;
/// More differences than this are not read by anybody.
const SHOWN: usize = 25;

#[test]
fn a_node_answers_like_redis_in_resp2() {
    let (_node, address) = lone_node();
    compare_with_redis(1, Client::connect(&address).expect("the node listens"), "2");
}

#[test]
fn a_node_answers_like_redis_in_resp3() {
    let (_node, address) = lone_node();
    compare_with_redis(2, Client::connect(&address).expect("the node listens"), "3");
}

#[test]
fn a_proxy_over_three_nodes_answers_like_redis_in_resp2() {
    let cluster = Cluster::start(3, 1);
    compare_with_redis(3, cluster.client(0), "2");
}

#[test]
fn a_proxy_over_three_nodes_answers_like_redis_in_resp3() {
    let cluster = Cluster::start(3, 1);
    compare_with_redis(4, cluster.client(0), "3");
}

#[test]
fn a_proxy_over_five_redis_nodes_answers_like_redis_in_resp2() {
    compare_all_types(5, "2");
}

#[test]
fn a_proxy_over_five_redis_nodes_answers_like_redis_in_resp3() {
    compare_all_types(6, "3");
}

/// Everything that Redis can do, through a proxy over five Redis servers and by one.
fn compare_all_types(seed: u64, protocol: &str) {
    let cluster = Cluster::over_redis(5, 1);
    let mut comparison = Comparison::new(seed, cluster.client(0), protocol);
    // What is slow on a busy machine is not the same on both sides.
    for mut server in (0..5).map(|node| cluster.node_client(node)).chain([comparison.redis.client()]) {
        assert_eq!(server.ask("CONFIG SET slowlog-log-slower-than -1"), "+OK\r\n");
    }
    for script in all_types::SCRIPTS {
        let name = comparison.both(&[b"SCRIPT", b"LOAD", script.as_bytes()]);
        assert!(name.starts_with('-') || all_types::SHAS.iter().any(|sha| name.contains(sha)), "{name}");
    }
    assert_eq!(comparison.both(&[b"FUNCTION", b"LOAD", all_types::LIBRARY.as_bytes()]), "$4\r\nboth\r\n");
    comparison.run(&Requests::of_redis(), true);
}

fn compare_with_redis(seed: u64, ours: Client, protocol: &str) {
    Comparison::new(seed, ours, protocol).run(&Requests::of_our_nodes(), false);
}

/// A connection to each side.
struct Comparison {
    seed: u64,
    random: Random,
    ours: Client,
    theirs: Client,
    redis: RedisServer,
}

impl Comparison {
    fn new(seed: u64, mut ours: Client, protocol: &str) -> Self {
        let redis = RedisServer::start();
        let mut theirs = redis.client();
        for client in [&mut ours, &mut theirs] {
            assert!(client.ask(&format!("HELLO {protocol}")).starts_with(['%', '*']), "HELLO {protocol}");
        }
        let seed = seed_or(seed);
        Self { seed, random: Random::new(seed), ours, theirs, redis }
    }

    /// The reply to one request, which must be the same.
    fn both(&mut self, request: &[&[u8]]) -> String {
        let [ours, theirs] = [&mut self.ours, &mut self.theirs]
            .map(|side| side.try_ask(request).expect("the connection holds"));
        assert_eq!(ours.escape_ascii().to_string(), theirs.escape_ascii().to_string());
        String::from_utf8_lossy(&ours).into_owned()
    }

    /// Compares many pipelines; some are transactions, if those are to be tried.
    fn run(mut self, requests: &Requests, transactions: bool) {
        let (mut count, mut differences) = (0, Vec::new());
        let mut tally = Tally::default();
        for _ in 0..PIPELINES {
            let pipeline = self.pipeline(requests, transactions);
            count += pipeline.len();
            let outcome = compare_pipeline(&pipeline, &mut self.ours, &mut self.theirs, &mut self.random);
            tally.add(&pipeline, &outcome);
            if let Outcome::Different(line) = &outcome {
                differences.push(line.clone());
            }
            if !matches!(outcome, Outcome::Equal { .. }) {
                assert_eq!(self.both(&[b"FLUSHALL"]), "+OK\r\n");
            }
        }
        assert!(differences.is_empty(), "{}", report(self.seed, count, &differences));
        tally.check(transactions);
    }

    fn pipeline(&mut self, requests: &Requests, transactions: bool) -> Vec<Request> {
        let random = &mut self.random;
        if transactions && random.one_in(10) {
            return requests.next_unit(random);
        }
        (0..=random.below(LONGEST_PIPELINE)).map(|_| requests.next(random)).collect()
    }
}

type Request = Vec<Vec<u8>>;

/// How much was compared, and how much excused.
#[derive(Debug, Default)]
struct Tally {
    plain: usize,
    plain_excused: usize,
    transactions: usize,
    transactions_excused: usize,
    /// Replies inside of those of `EXEC`.
    executed: usize,
}

impl Tally {
    fn add(&mut self, pipeline: &[Request], outcome: &Outcome) {
        let is_transaction = pipeline[0] == [b"MULTI"];
        let excused = usize::from(matches!(outcome, Outcome::Excused));
        if is_transaction {
            self.transactions += 1;
            self.transactions_excused += excused;
        } else {
            self.plain += 1;
            self.plain_excused += excused;
        }
        if let Outcome::Equal { executed } = outcome {
            self.executed += executed;
        }
    }

    /// Excuses are the exception: a proxy that refused more than it must would be seen here.
    fn check(&self, transactions: bool) {
        assert!(self.plain_excused * 100 < self.plain * PLAIN_EXCUSED_PERCENT, "{self:?}");
        assert!(
            self.transactions_excused * 100 <= self.transactions * TRANSACTIONS_EXCUSED_PERCENT,
            "{self:?}"
        );
        assert!(!transactions || self.executed >= EXECUTED, "{self:?}");
    }
}

/// What comparing the replies to a pipeline says.
enum Outcome {
    /// So many of the replies stood inside of that of `EXEC`.
    Equal {
        executed: usize,
    },
    Excused,
    /// The request and both replies.
    Different(String),
}

/// Looks at the replies up to the first that is not equal: what follows may differ because of it.
fn compare_pipeline(
    pipeline: &[Request],
    ours: &mut Client,
    theirs: &mut Client,
    random: &mut Random,
) -> Outcome {
    let mut bytes = Vec::new();
    for request in pipeline {
        resp::encode_request(&mut bytes, request.iter().map(Vec::as_slice));
    }
    theirs.send_raw(&bytes).expect("the connection holds");
    // Cut anywhere: a request must mean the same in however many pieces it comes.
    let (first, second) = bytes.split_at(random.below(bytes.len()));
    for piece in [first, second] {
        ours.send_raw(piece).expect("the connection holds");
    }
    let ours = replies(pipeline, ours);
    let theirs = replies(pipeline, theirs);
    for (at, (request, (ours, theirs))) in pipeline.iter().zip(ours.iter().zip(&theirs)).enumerate() {
        match judge(&pipeline[..at], request, ours, theirs) {
            Verdict::Equal => {}
            Verdict::Excused => return Outcome::Excused,
            Verdict::Different => {
                let (ours, theirs) = (ours.escape_ascii(), theirs.escape_ascii());
                return Outcome::Different(format!(
                    "{}\n    redis {theirs}\n    ours  {ours}",
                    printed(request)
                ));
            }
        }
    }
    let last = theirs.last().filter(|_| pipeline.last().is_some_and(|request| *request == [b"EXEC"]));
    let executed = last.and_then(|reply| resp::aggregate_len(reply)).map_or(0, |(count, _)| count);
    Outcome::Equal { executed }
}

fn replies(pipeline: &[Request], client: &mut Client) -> Vec<Vec<u8>> {
    let reply =
        |request: &Request| client.receive().unwrap_or_else(|error| panic!("{}: {error}", printed(request)));
    pipeline.iter().map(reply).collect()
}

fn report(seed: u64, count: usize, differences: &[String]) -> String {
    let mut text = format!("{} of {count} replies differ (seed {seed}):", differences.len());
    for difference in differences.iter().take(SHOWN) {
        let _ = write!(text, "\n{difference}");
    }
    text
}
