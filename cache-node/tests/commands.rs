//! Commands that redis-server 7.0 cannot be asked to compare, and what only shows over time.

use super::peer::{Client, Node, eventually};
use cache_node::Config;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn start() -> (Node, Client<TcpStream>) {
    let node = Node::start(Config::default());
    let client = node.connect();
    (node, client)
}

/// The value of a line of INFO.
fn figure(client: &mut Client<TcpStream>, name: &str) -> u64 {
    let info = client.say("INFO everything");
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {info}"))
}

/// The bulk strings of a flat reply.
fn bulks(reply: &str) -> Vec<String> {
    let mut lines = reply.split("\r\n");
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with('$') {
            found.extend(lines.next().map(str::to_owned));
        }
    }
    found
}

#[test]
fn what_a_node_has_nothing_of_is_told_with_what_has_it() {
    let (_node, mut client) = start();
    for (request, family) in [
        ("eval x 1 k", "scripts"),
        ("SCRIPT LOAD x", "scripts"),
        ("HSET h f v", "hashes"),
        ("SUBSCRIBE c", "publish/subscribe"),
        ("SLOWLOG GET", "slow log"),
    ] {
        let name = request.split(' ').next().unwrap();
        let told = format!(
            "-ERR unknown command '{name}': FastCache's own nodes have no {family}; use stock Redis or Valkey nodes\r\n"
        );
        assert_eq!(client.say(request), told);
    }
    // No other node has it either.
    assert!(client.say("PROXY VIEW").starts_with("-ERR unknown command 'PROXY', with args beginning with: "));
}

#[test]
fn ranks_come_with_scores_when_asked_for() {
    let (_node, mut client) = start();
    client.say("ZADD z 1 a 2.5 b");
    assert_eq!(client.say("ZRANK z b WITHSCORE"), "*2\r\n:1\r\n$3\r\n2.5\r\n");
    assert_eq!(client.say("ZREVRANK z a withscore"), "*2\r\n:1\r\n$1\r\n1\r\n");
    assert_eq!(client.say("ZRANK z nobody WITHSCORE"), "*-1\r\n");
    assert_eq!(client.say("ZRANK z a OTHER"), "-ERR syntax error\r\n");
    client.say("HELLO 3");
    assert_eq!(client.say("ZRANK z b WITHSCORE"), "*2\r\n:1\r\n,2.5\r\n");
}

#[test]
fn a_scan_returns_lasting_keys_once_while_the_keyspace_grows_and_shrinks() {
    let (_node, mut client) = start();
    for n in 0..5_000 {
        client.say(&format!("SET lasting:{n} {n}"));
    }
    let (mut cursor, mut round) = ("0".to_owned(), 0);
    let mut seen = Vec::new();
    loop {
        let reply = bulks(&client.say(&format!("SCAN {cursor} COUNT 100 MATCH lasting:*")));
        cursor = reply[0].clone();
        seen.extend_from_slice(&reply[1..]);
        if cursor == "0" {
            break;
        }
        assert!(
            cursor.parse::<u64>().unwrap() < 1 << 48,
            "a proxy must be able to put a node above the cursor"
        );
        let command = if round % 2 == 0 { "SET" } else { "DEL" };
        for n in 0..500 {
            let key = format!("churn:{}", round / 2 * 500 + n);
            client.say(&if command == "SET" { format!("SET {key} 1") } else { format!("DEL {key}") });
        }
        round += 1;
    }
    assert!(round > 20, "{round} calls");
    assert_eq!(seen.len(), 5_000);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 5_000);
}

#[test]
fn keys_expire_without_being_asked_for() {
    let (_node, mut client) = start();
    for n in 0..2_000 {
        client.say(&format!("SET k:{n} v PX 30"));
    }
    client.say("SET stays v");
    eventually(|| client.say("DBSIZE") == ":1\r\n");
    assert_eq!(figure(&mut client, "expired_keys"), 2_000);
    assert!(client.say("INFO keyspace").contains("db0:keys=1,expires=0,avg_ttl=0"));
}

#[test]
fn a_key_is_gone_the_millisecond_after_its_deadline() {
    let (_node, mut client) = start();
    let written = Instant::now();
    client.say("SET k v PX 40");
    while client.say("GET k") != "$-1\r\n" {
        assert!(written.elapsed() < Duration::from_secs(20), "long expired");
    }
    assert!(written.elapsed() >= Duration::from_millis(38), "gone after {:?}", written.elapsed());
    assert_eq!(client.say("TTL k"), ":-2\r\n");
}

#[test]
fn without_eviction_a_full_node_refuses_writes_and_nothing_else() {
    let (_node, mut client) = start();
    client.say("SET k v");
    client.say("CONFIG SET maxmemory 1 maxmemory-policy noeviction");
    let refused = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    for command in ["SET a b", "APPEND k b", "ZADD z 1 a", "INCR n", "MSET a b", "SETRANGE k 0 x"] {
        assert_eq!(client.say(command), refused, "{command}");
    }
    assert_eq!((client.say("GET k"), client.say("DEL k")), ("$1\r\nv\r\n".to_owned(), ":1\r\n".to_owned()));
}

#[test]
fn eviction_keeps_memory_at_the_limit_and_the_recent_keys() {
    let (_node, mut client) = start();
    client.say("CONFIG SET maxmemory 1mb maxmemory-policy allkeys-lru");
    let value = "x".repeat(200);
    let fill = |client: &mut Client<TcpStream>, name: &str, count: u32| {
        for n in 0..count {
            assert_eq!(client.say(&format!("SET {name}:{n} {value}")), "+OK\r\n");
        }
    };
    fill(&mut client, "old", 20_000);
    let hot = (0..500).map(|n| format!(" old:{}", 19_999 - n)).collect::<String>();
    let count = |reply: String| -> u32 { reply.trim_matches([':', '\r', '\n']).parse().unwrap() };
    // Used again, and later by more than the access clock can tell apart, a few ticks of 64 ms. Sampling may
    // have taken one or another of them before: those written last are of the same tick as many others.
    let filled = Instant::now();
    let mut touched = 0;
    eventually(|| {
        touched = count(client.say(&format!("TOUCH{hot}")));
        filled.elapsed().as_millis() > 300
    });
    assert!(touched > 450, "{touched} of the 500 keys written last are left");
    fill(&mut client, "new", 2_000);
    let used = figure(&mut client, "used_memory");
    assert!((900_000..1_060_000).contains(&used), "{used} bytes");
    assert!(figure(&mut client, "evicted_keys") > 10_000);
    // Some 3 500 keys fit, and 2 000 new ones came: at random, more than a third of the hot ones would be gone.
    let left = count(client.say(&format!("EXISTS{hot}")));
    assert!(left + 20 > touched, "{left} of {touched} hot keys are left");
}

#[test]
fn replies_never_cause_eviction() {
    let (_node, mut client) = start();
    let value = vec![b'x'; 500_000];
    client.ask(&[b"SET".to_vec(), b"k".to_vec(), value]);
    client.say("CONFIG SET maxmemory 600kb maxmemory-policy allkeys-lru");
    // Ten megabytes of replies in one batch.
    client.send(&b"GET k\r\n".repeat(20));
    for _ in 0..20 {
        assert_eq!(client.reply().map(|reply| reply.len()), Some(500_011));
    }
    assert_eq!(figure(&mut client, "evicted_keys"), 0);
}

#[test]
fn flushing_a_large_keyspace_stalls_nobody() {
    let (_node, mut client) = start();
    let mut load = Vec::new();
    for n in 0..50_000 {
        load.extend_from_slice(format!("SET k:{n} v EX 1000\r\n").as_bytes());
    }
    for mode in ["", " ASYNC", " SYNC"] {
        for part in load.chunks(1_000_000) {
            client.send(part);
        }
        for _ in 0..50_000 {
            client.reply();
        }
        assert_eq!(client.say(&format!("FLUSHALL{mode}")), "+OK\r\n");
        if mode == " SYNC" {
            assert_eq!(figure(&mut client, "lazyfree_pending_objects"), 0);
        }
        assert_eq!(
            (client.say("DBSIZE"), client.say("SET a b EX 9")),
            (":0\r\n".to_owned(), "+OK\r\n".to_owned())
        );
    }
    eventually(|| figure(&mut client, "lazyfree_pending_objects") == 0);
    assert!(figure(&mut client, "used_memory") < 10_000);
}

#[test]
fn info_says_what_clients_look_for() {
    let (node, mut client) = start();
    client.say("SET k v EX 100");
    client.say("GET k");
    client.say("GET missing");
    let info = client.say("INFO");
    for line in [
        "redis_version:7.0.15",
        "redis_mode:standalone",
        "loading:0",
        "role:master",
        "cluster_enabled:0",
        "connected_clients:1",
        "maxmemory_policy:noeviction",
        "keyspace_hits:1",
        "keyspace_misses:1",
        "db0:keys=1,expires=1,avg_ttl=0",
    ] {
        assert!(info.contains(&format!("{line}\r\n")), "no {line} in {info}");
    }
    assert!(info.contains(&format!("tcp_port:{}\r\n", node.address.port())));
    let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap();
    assert!(run_id.len() == 40 && run_id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{run_id}");
    let keyspace = client.say("INFO keyspace");
    assert!(keyspace.contains("# Keyspace") && !keyspace.contains("# Server"), "{keyspace}");
    client.say("GET too many arguments");
    client.say("INCR k");
    let statistics = client.say("INFO commandstats");
    assert!(statistics.contains("cmdstat_get:calls=2,rejected_calls=1,failed_calls=0\r\n"), "{statistics}");
    assert!(statistics.contains("cmdstat_incr:calls=1,rejected_calls=0,failed_calls=1\r\n"), "{statistics}");
    assert!(client.say("INFO cpu").contains("used_cpu_user:"));
    client.say("CONFIG RESETSTAT");
    assert_eq!(figure(&mut client, "keyspace_hits"), 0);
}

#[test]
fn command_lists_what_is_served() {
    let (_node, mut client) = start();
    let count: usize = client.say("COMMAND COUNT").trim_start_matches(':').trim_end().parse().unwrap();
    let list = bulks(&client.say("COMMAND LIST"));
    assert_eq!(list.iter().filter(|name| !name.contains('|')).count(), count);
    assert!(list.contains(&"zadd".to_owned()) && !list.contains(&"lpush".to_owned()));
    assert!(client.say("COMMAND").starts_with(&format!("*{count}\r\n")));
    assert!(client.say("COMMAND DOCS").starts_with(&format!("*{}\r\n", count * 2)));
    let info = client.say("COMMAND INFO get nosuch");
    assert!(info.starts_with("*2\r\n*10\r\n$3\r\nget\r\n:2\r\n") && info.ends_with("*-1\r\n"), "{info}");
    assert!(client.say("COMMAND DOCS set").contains("summary"));
    assert_eq!(bulks(&client.say("COMMAND LIST FILTERBY PATTERN zrang*")).len(), 3);
}

#[test]
fn clients_have_names_and_libraries() {
    let (_node, mut client) = start();
    client.say("HELLO 3 SETNAME me");
    client.say("CLIENT SETINFO LIB-NAME redis-py");
    client.say("CLIENT SETINFO LIB-VER 8.0.0");
    let info = client.say("CLIENT INFO");
    assert!(info.starts_with("=") && info.contains("txt:id="), "{info}");
    for field in [" name=me ", " resp=3 ", " lib-name=redis-py ", " lib-ver=8.0.0", " cmd=client|info "] {
        assert!(info.contains(field), "no {field} in {info}");
    }
    assert!(client.say("CLIENT SETINFO LIB-FOO x").starts_with("-ERR Unrecognized option"));
}

#[test]
fn a_failed_config_set_changes_nothing() {
    let (_node, mut client) = start();
    client.say("CONFIG SET maxmemory 100mb");
    assert!(
        client.say("CONFIG SET maxmemory 5mb maxmemory-policy nosuch").starts_with("-ERR CONFIG SET failed")
    );
    assert_eq!(client.say("CONFIG GET maxmemory"), "*2\r\n$9\r\nmaxmemory\r\n$9\r\n104857600\r\n");
    assert!(client.say("CONFIG SET port 1").contains("can't set immutable config"));
    assert!(client.say("CONFIG SET maxmemory 1mb MAXMEMORY 2mb").contains("duplicate parameter"));
    let reply = client.ask(&[b"CONFIG".to_vec(), b"SET".to_vec(), b"requirepass".to_vec(), vec![0xff]]);
    assert!(String::from_utf8_lossy(&reply).contains("argument must be UTF-8"));
    assert_eq!(client.say("CONFIG SET lazyfree-lazy-user-flush YES"), "+OK\r\n");
}

#[test]
fn access_times_are_kept_unless_the_client_opts_out() {
    let (_node, mut client) = start();
    let written = Instant::now();
    client.say("SET k v");
    assert_eq!(client.say("CLIENT NO-TOUCH ON"), "+OK\r\n");
    eventually(|| {
        client.say("GET k");
        client.say("OBJECT IDLETIME k") != ":0\r\n"
    });
    assert!(written.elapsed() >= Duration::from_millis(900));
    // Asked at once, unless the machine takes a second between the two.
    eventually(|| client.say("TOUCH k") == ":1\r\n" && client.say("OBJECT IDLETIME k") == ":0\r\n");
}

/// What the admin port answers to a GET.
fn fetch(port: u64, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Those who say nothing must not take the files that clients need, nor keep checks and scrapes out.
#[test]
fn the_admin_port_takes_so_many_connections_and_who_says_nothing_gives_way() {
    const MORE: usize = 10;
    /// The time after which one that says nothing is closed though there is room is 10 s.
    const SOONER: Duration = Duration::from_secs(8);
    let began = Instant::now();
    let node = Node::start(Config { admin_port: Some(0), ..Config::default() });
    let port = figure(&mut node.connect(), "admin_port");
    let connect = |_| TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
    let mut silent: Vec<_> = (0..daemon::admin::MAX_CONNECTIONS + MORE).map(connect).collect();
    let answer = fetch(port, "/livez");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // The first to come are the first to go.
    for stream in &mut silent[..=MORE] {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    let last = silent.last_mut().unwrap();
    last.set_nonblocking(true).unwrap();
    let last = last.read(&mut [0]).map_err(|error| error.kind());
    let took = began.elapsed();
    assert!(took < SOONER && last == Err(ErrorKind::WouldBlock), "{last:?} after {took:?}");
}

#[test]
fn the_admin_port_tells_health_and_figures() {
    let node = Node::start(Config { admin_port: Some(0), ..Config::default() });
    let mut client = node.connect();
    client.say("SET k v");
    client.say("GET k");
    let port = figure(&mut client, "admin_port");
    assert!(fetch(port, "/livez").starts_with("HTTP/1.1 200"));
    assert!(fetch(port, "/readyz").starts_with("HTTP/1.1 200"));
    let metrics = fetch(port, "/metrics");
    for line in ["cache_node_keys 1\n", "cache_node_hits_total 1\n", "cache_node_clients 1\n"] {
        assert!(metrics.contains(line), "no {line:?} in {metrics}");
    }
    // Figures are those of the moment, not of the last look.
    client.say("DEL k");
    assert!(fetch(port, "/metrics").contains("cache_node_keys 0\n"));
}
