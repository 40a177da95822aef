//! Transactions over stock Redis nodes and over ours: as one or not at all, for every observer, also while a node dies.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::eventually::eventually;
use crate::random::Random;
use crate::redis_server::RedisServer;
use crate::seed::seed_or;

/// Sends the lines as one pipeline; the replies.
fn pipeline(client: &mut Client, lines: &[&str]) -> Vec<String> {
    let mut wire = Vec::new();
    for line in lines {
        resp::encode_request(&mut wire, line.split(' ').map(str::as_bytes).collect::<Vec<_>>().into_iter());
    }
    client.send_raw(&wire).expect("the connection holds");
    let receive = |_| String::from_utf8_lossy(&client.receive().expect("a reply")).into_owned();
    lines.iter().map(receive).collect()
}

#[test]
fn a_transaction_answers_as_redis_does() {
    let cluster = Cluster::over_redis(3, 1);
    let mut client = cluster.client(0);
    let replies = pipeline(
        &mut client,
        &[
            "MULTI",
            "SET {t}a 1",
            "LPUSH {t}a x",
            "INCR {t}a",
            "PING",
            "ECHO hi",
            "SELECT 0",
            "BLPOP {t}l 0",
            "EXEC",
        ],
    );
    assert_eq!(replies[0], "+OK\r\n");
    assert!(replies[1..8].iter().all(|reply| reply == "+QUEUED\r\n"), "{replies:?}");
    let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    assert_eq!(replies[8], format!("*7\r\n+OK\r\n{wrong_type}:2\r\n+PONG\r\n$2\r\nhi\r\n+OK\r\n*-1\r\n"));
    let replies = pipeline(&mut client, &["MULTI", "SET {t}a 5", "NOPE", "EXEC", "GET {t}a"]);
    assert!(replies[3].starts_with("-EXECABORT ") && replies[4] == "$1\r\n2\r\n", "{replies:?}");
    let replies = pipeline(&mut client, &["MULTI", "SET {t}a 5", "DISCARD", "GET {t}a"]);
    assert_eq!(replies[2..], ["+OK\r\n", "$1\r\n2\r\n"]);
    client.ask("HELLO 3");
    let replies = pipeline(&mut client, &["MULTI", "HSET {t}h f v", "HGETALL {t}h", "GET {t}none", "EXEC"]);
    assert_eq!(replies[4], "*3\r\n:1\r\n%1\r\n$1\r\nf\r\n$1\r\nv\r\n_\r\n");
}

#[test]
fn a_node_that_loses_the_right_to_multi_is_loud_about_it() {
    let cluster = Cluster::over_redis(1, 1);
    let mut client = cluster.client(0);
    assert_eq!(pipeline(&mut client, &["MULTI", "INCR a", "EXEC"])[2], "*1\r\n:1\r\n");
    assert_eq!(cluster.node_client(0).ask("ACL SETUSER default -multi"), "+OK\r\n");
    let loud = pipeline(&mut client, &["MULTI", "INCR a", "EXEC"]).remove(2);
    assert!(loud.contains("refused MULTI (NOPERM") && loud.contains("executed one by one"), "{loud}");
    let next = pipeline(&mut client, &["MULTI", "INCR a", "EXEC", "GET a"]);
    assert!(next[2].ends_with("does not know MULTI\r\n"), "{next:?}");
    assert_eq!(next[3], "$1\r\n2\r\n", "nothing of it was executed");
}

#[test]
fn a_watched_key_that_another_client_writes_fails_the_transaction() {
    for cluster in [Cluster::over_redis(3, 2), Cluster::start(3, 2)] {
        let (mut one, mut other) = (cluster.client(0), cluster.client(1));
        for line in ["SET {t}a 1", "WATCH {t}a"] {
            assert_eq!(one.ask(line), "+OK\r\n");
        }
        assert_eq!(other.ask("SET {t}a 2"), "+OK\r\n");
        assert_eq!(
            pipeline(&mut one, &["MULTI", "SET {t}a 3", "EXEC", "GET {t}a"])[2..],
            ["*-1\r\n", "$1\r\n2\r\n"]
        );
        let retried = ["WATCH {t}a {t}b", "GET {t}a", "MULTI", "SET {t}a 3", "EXEC", "GET {t}a"];
        assert_eq!(pipeline(&mut one, &retried)[4..], ["*1\r\n+OK\r\n", "$1\r\n3\r\n"]);
        for end in ["UNWATCH", "RESET"] {
            one.ask("WATCH {t}a");
            one.ask(end);
            other.ask("INCR {t}a");
            assert_eq!(pipeline(&mut one, &["MULTI", "PING", "EXEC"])[2], "*1\r\n+PONG\r\n", "{end}");
        }
        one.ask("HELLO 3");
        one.ask("WATCH {t}a");
        other.ask("INCR {t}a");
        assert_eq!(pipeline(&mut one, &["MULTI", "PING", "EXEC"])[2], "_\r\n");
    }
}

#[test]
fn no_count_is_lost_between_clients_that_watch() {
    /// Enough that they meet many times.
    const EACH: u64 = 100;
    let cluster = Cluster::over_redis(3, 2);
    let nulls = AtomicU64::new(0);
    let mut counted = 0;
    // Whether they meet depends on the machine.
    eventually("they meet", || {
        thread::scope(|scope| {
            for number in 0..4 {
                let mut client = cluster.client(number % 2);
                let nulls = &nulls;
                scope.spawn(move || (0..EACH).for_each(|_| count_up(&mut client, nulls)));
            }
        });
        counted += 4 * EACH;
        let total = cluster.client(0).ask("INCRBY counter 0");
        assert_eq!(total, format!(":{counted}\r\n"));
        if nulls.load(Ordering::Relaxed) > 0 { Ok(()) } else { Err("they never met".to_owned()) }
    });
}

/// Reads, adds one and writes, until nobody wrote in between.
fn count_up(client: &mut Client, nulls: &AtomicU64) {
    loop {
        let replies = pipeline(client, &["WATCH counter", "GET counter"]);
        let seen = replies[1].lines().nth(1).and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(0);
        let set = format!("SET counter {}", seen + 1);
        match pipeline(client, &["MULTI", &set, "EXEC"])[2].as_str() {
            "*1\r\n+OK\r\n" => return,
            "*-1\r\n" => drop(nulls.fetch_add(1, Ordering::Relaxed)),
            other => panic!("EXEC answered {other:?}"),
        }
    }
}

#[test]
fn who_watches_while_the_node_dies_tries_again_and_sees_no_error() {
    let cluster = &mut Cluster::over_redis(3, 1);
    let mut client = cluster.client(0);
    let index = (0..3).find(|index| {
        client.ask("SET counter 0");
        cluster.node_client(*index).ask("EXISTS counter") == ":1\r\n"
    });
    assert_eq!(client.ask("WATCH counter"), "+OK\r\n");
    let node = index.expect("a node has the key");
    cluster.nodes[node].process.kill();
    assert_eq!(pipeline(&mut client, &["MULTI", "SET counter 1", "EXEC"])[2], "*-1\r\n");
    count_up(&mut client, &AtomicU64::new(0));
    assert_eq!(client.ask("GET counter"), "$1\r\n1\r\n", "the stand-in began without it");
}

/// What two clients say in turn, in any order. All of it concerns one node; a node of ours has no lists or scripts.
const SAID: &[&str] = &[
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH {t}a",
    "WATCH {t}a {t}h",
    "UNWATCH",
    "SET {t}a 1",
    "INCR {t}a",
    "INCR {t}h",
    "GET {t}a",
    "MGET {t}a {t}b",
    "MSET {t}a 5 {t}b 6",
    "MSET {t}a 5 {t}b",
    "DEL {t}a {t}b {t}h",
    "DEL {t}a {t}l",
    "LPUSH {t}l x y",
    "LRANGE {t}l 0 -1",
    "ZADD {t}h 1 m",
    "ZRANGE {t}h 0 -1",
    "EVAL return{KEYS[1]} 1 {t}a",
    "PEXPIRE {t}a 0",
    "PING",
    "ECHO hi",
    "SELECT 0",
    "NOPE x",
    "GET",
    "MULTI x",
    "EXEC x",
    "DISCARD x",
    "WATCH",
];

#[test]
fn random_transactions_of_two_clients_answer_as_redis_does() {
    let over_redis = Cluster::over_redis(5, 2);
    let over_ours = Cluster::start(5, 2);
    for (cluster, is_ours, protocol) in [
        (&over_redis, false, "2"),
        (&over_redis, false, "3"),
        (&over_ours, true, "2"),
        (&over_ours, true, "3"),
    ] {
        let redis = RedisServer::start();
        let mut clients = [0, 1].map(|number| (cluster.client(number), redis.client()));
        for (ours, theirs) in &mut clients {
            for client in [ours, theirs] {
                client.ask(&format!("HELLO {protocol}"));
            }
        }
        let seed = seed_or(11);
        let mut random = Random::new(seed);
        let is_said = |line: &&&str| !is_ours || !(line.contains("{t}l") || line.starts_with("EVAL"));
        let said: Vec<&str> = SAID.iter().filter(is_said).copied().collect();
        for round in 0..1_000 {
            let (ours, theirs) = &mut clients[random.below(2)];
            let lines: Vec<&str> = (0..=random.below(5)).map(|_| random.pick(&said)).collect();
            let (ours, theirs) = (pipeline(ours, &lines), pipeline(theirs, &lines));
            assert_eq!(ours, theirs, "{lines:?}, RESP{protocol}, round {round}, seed {seed}");
        }
        assert_eq!(cluster.client(0).ask("FLUSHALL"), "+OK\r\n");
    }
}

/// Clients that write, of six.
const WRITERS: usize = 3;
/// Of keys, for each writer: together enough that every node has some.
const PAIRS: usize = 7;

/// Numbers of an array of two.
fn pair(reply: &str) -> (u64, u64) {
    let lines = reply.lines().filter(|line| !line.starts_with(['*', '$']));
    let numbers: Option<Vec<u64>> = lines.map(|line| line.trim_start_matches(':').parse().ok()).collect();
    match numbers.as_deref() {
        Some([first, second]) => (*first, *second),
        _ => panic!("no two numbers: {reply:?}"),
    }
}

#[test]
fn both_keys_of_a_transaction_are_always_equal_while_nodes_die_and_come_back() {
    stay_equal_while_nodes_die_and_come_back(Cluster::over_redis(5, 2));
}

#[test]
fn both_keys_of_a_transaction_are_always_equal_on_our_nodes_too() {
    stay_equal_while_nodes_die_and_come_back(Cluster::start(5, 2));
}

fn stay_equal_while_nodes_die_and_come_back(mut cluster: Cluster) {
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let client_of = |cluster: &Cluster, number: usize| cluster.client(number % 2);
    let clients: Vec<_> = (0..6).map(|number| client_of(&cluster, number)).collect();
    thread::scope(|scope| {
        for (number, client) in clients.into_iter().enumerate() {
            let (stop, done) = (&stop, &done);
            scope.spawn(move || run_pairs(client, number, stop, done));
        }
        let until_more = |what: &str| {
            let goal = done.load(Ordering::Relaxed) + 1_500;
            eventually(what, || match done.load(Ordering::Relaxed) {
                enough if enough >= goal || stop.load(Ordering::Relaxed) => Ok(()),
                few => Err(format!("{few} of {goal}")),
            });
        };
        until_more("transactions before");
        cluster.nodes[0].process.kill();
        cluster.nodes[3].process.kill();
        cluster.until_nodes_are("UNHEALTHY", |id| ["node1", "node4"].contains(&id));
        until_more("transactions without two nodes");
        cluster.restart_node(0);
        cluster.restart_node(3);
        cluster.until_nodes_are("HEALTHY", |_| true);
        until_more("transactions after");
        stop.store(true, Ordering::Relaxed);
    });
}

/// Each writer counts pairs of its own up together; readers read all of them. Nobody ever sees the two apart, nobody gets
/// an error, and a number is that before plus one, or one on a node that began without it: nothing is executed twice.
fn run_pairs(mut client: Client, number: usize, stop: &AtomicBool, done: &AtomicU64) {
    // A failure must end the others too.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let _stop = Stop(stop);
    let is_writer = number < WRITERS;
    let mut last = [0; WRITERS * PAIRS];
    for round in 0.. {
        let tag = if is_writer { number * PAIRS + round % PAIRS } else { round % last.len() };
        let name = if is_writer { "INCR" } else { "GET" };
        let [a, b] = ["a", "b"].map(|key| format!("{name} {{p{tag}}}{key}"));
        let replies = pipeline(&mut client, &["MULTI", &a, &b, "EXEC"]);
        if replies[3] != "*2\r\n$-1\r\n$-1\r\n" {
            let (first, second) = pair(&replies[3]);
            assert_eq!(first, second, "{a}: {replies:?}");
            let is_next = first == last[tag] + 1 || first == 1;
            assert!(is_next || !is_writer, "{a}: {first} after {}", last[tag]);
            last[tag] = first;
        }
        done.fetch_add(1, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}
