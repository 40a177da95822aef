//! Publish/subscribe through two proxies over stock Redis nodes: what is said in one place is heard in all others,
//! whatever the protocol version, and still is after nodes have died.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::binaries::fastcache;
use crate::client::Client;
use crate::cluster::Cluster;
use crate::eventually::{PATIENCE, eventually};
use crate::output::output;
use crate::process::Process;
use crate::redis_server::RedisServer;

fn push(words: &[&str]) -> String {
    let bulks: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!(">{}\r\n{bulks}", words.len())
}

/// `push` as a client of RESP2 gets it.
fn flat(words: &[&str]) -> String {
    push(words).replacen('>', "*", 1)
}

fn receive(client: &mut Client) -> String {
    let reply = client.receive().unwrap_or_else(|error| panic!("no reply: {error}"));
    String::from_utf8_lossy(&reply).into_owned()
}

fn send(client: &mut Client, line: &str) {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    client.send(&args).unwrap_or_else(|error| panic!("{line}: {error}"));
}

/// Enough channels that every node has some.
fn channels() -> Vec<String> {
    (0..60).map(|number| format!("channel:{number}")).collect()
}

/// A client of that protocol version which listens to all of them.
fn subscriber(cluster: &Cluster, proxy: usize, protocol: &str, channels: &[String]) -> Client {
    let mut client = cluster.client(proxy);
    assert!(client.ask(&format!("HELLO {protocol}")).starts_with(['%', '*']));
    send(&mut client, &format!("SUBSCRIBE {}", channels.join(" ")));
    for (channel, count) in channels.iter().zip(1..) {
        let told = receive(&mut client);
        assert!(told.contains("subscribe") && told.contains(channel), "{told}");
        assert!(told.ends_with(&format!(":{count}\r\n")), "{told}");
    }
    client
}

#[test]
fn what_is_published_at_one_proxy_is_heard_at_the_others_in_order() {
    let cluster = Cluster::over_redis(3, 2);
    let channels = channels();
    let mut old = subscriber(&cluster, 1, "2", &channels);
    let mut new = subscriber(&cluster, 0, "3", &channels);
    let mut pattern = cluster.client(1);
    let told = pattern.ask("PSUBSCRIBE chan*:1?");
    assert_eq!(told, "*3\r\n$10\r\npsubscribe\r\n$8\r\nchan*:1?\r\n:1\r\n");
    let mut publisher = cluster.client(0);
    for round in 0..5 {
        for channel in &channels {
            let message = format!("{channel}/{round}");
            // Two workers listen; of one of them the pattern too, when it matches.
            let heard = publisher.ask(&format!("PUBLISH {channel} {message}"));
            let matches = channel.len() == "channel:1?".len() && channel.starts_with("channel:1");
            assert_eq!(heard, if matches { ":3\r\n" } else { ":2\r\n" }, "{channel}");
            let words = ["message", channel, &message];
            assert_eq!((receive(&mut old), receive(&mut new)), (flat(&words), push(&words)));
            if matches {
                assert_eq!(receive(&mut pattern), flat(&["pmessage", "chan*:1?", channel, &message]));
            }
        }
    }
    assert_eq!(new.ask("SET k v"), "+OK\r\n", "RESP3 may do both on one connection");
    let listed = publisher.ask("PUBSUB CHANNELS channel:*");
    assert!(
        listed.starts_with("*60\r\n") && channels.iter().all(|channel| listed.contains(channel.as_str()))
    );
    assert_eq!(
        publisher.ask("PUBSUB NUMSUB channel:1 x"),
        "*4\r\n$9\r\nchannel:1\r\n:2\r\n$1\r\nx\r\n:0\r\n"
    );
    assert_eq!(publisher.ask("PUBSUB NUMPAT"), ":1\r\n");
}

/// The same words to a redis-server and to the proxies; each is answered with so many replies.
const CONVERSATION: [(&str, usize); 32] = [
    ("PING", 1),
    ("UNSUBSCRIBE", 1),
    ("UNSUBSCRIBE a b", 2),
    ("PUNSUBSCRIBE", 1),
    ("SUBSCRIBE a b a", 3),
    ("PING", 1),
    ("PING hi", 1),
    ("PING a b", 1),
    ("GET k", 1),
    ("CLIENT GETNAME", 1),
    ("NOPE", 1),
    ("PSUBSCRIBE x* y*", 2),
    ("SSUBSCRIBE s", 1),
    ("UNSUBSCRIBE b", 1),
    ("UNSUBSCRIBE", 1),
    ("PUNSUBSCRIBE x*", 1),
    ("PUNSUBSCRIBE", 1),
    ("GET", 1),
    ("SUNSUBSCRIBE", 1),
    ("GET k", 1),
    ("SUBSCRIBE", 1),
    ("SUBSCRIBE c", 1),
    ("RESET", 1),
    ("PING", 1),
    ("PUBLISH c", 1),
    ("PUBSUB NOPE", 1),
    ("CLIENT REPLY OFF", 0),
    ("SUBSCRIBE d", 1),
    ("UNSUBSCRIBE d", 1),
    ("PING", 0),
    ("CLIENT REPLY ON", 1),
    ("PING", 1),
];

#[test]
fn a_subscriber_is_answered_as_by_redis() {
    let cluster = Cluster::over_redis(3, 1);
    let redis = RedisServer::start();
    for protocol in ["2", "3"] {
        let (mut ours, mut theirs) = (cluster.client(0), redis.client());
        for client in [&mut ours, &mut theirs] {
            client.ask(&format!("HELLO {protocol}"));
        }
        for (line, replies) in CONVERSATION {
            for client in [&mut ours, &mut theirs] {
                send(client, line);
            }
            for number in 0..replies {
                let (ours, theirs) = (receive(&mut ours), receive(&mut theirs));
                assert_eq!(ours, theirs, "reply {number} to {line} in RESP{protocol}");
            }
        }
    }
}

#[test]
fn redis_cli_listens_and_speaks() {
    let cluster = Cluster::over_redis(2, 2);
    let cli = |proxy: usize, args: &[&str]| {
        let (host, port) = cluster.proxies[proxy].address.split_once(':').expect("an address has a port");
        let mut command = Command::new("redis-cli");
        command.args(["-h", host, "-p", port]).args(args);
        command
    };
    let listeners = [
        Process::spawn("redis-cli", cli(0, &["SUBSCRIBE", "news"])),
        Process::spawn("redis-cli -3", cli(1, &["-3", "PSUBSCRIBE", "n?ws"])),
    ];
    // A pattern is confirmed when every node has it; the node of the channel alone would answer 2 before.
    for listener in &listeners {
        listener.wait_for_line("subscribe");
    }
    assert_eq!(cluster.client(0).ask("PUBLISH news hello-all"), ":2\r\n");
    for listener in &listeners {
        listener.wait_for_line("hello-all");
    }
    let heard = output(cli(1, &["PUBLISH", "news", "bye"]), b"");
    assert_eq!(String::from_utf8_lossy(&heard.stdout), "2\n");
    for listener in &listeners {
        listener.wait_for_line("bye");
    }
}

#[test]
fn five_hundred_subscribers_are_one_connection_per_node() {
    let cluster = Cluster::over_redis(2, 1);
    let mut subscribers: Vec<Client> = (0..500).map(|_| cluster.client(0)).collect();
    for client in &mut subscribers {
        send(client, "SUBSCRIBE everybody");
        send(client, "PSUBSCRIBE every*");
    }
    for client in &mut subscribers {
        assert!(receive(client).ends_with(":1\r\n") && receive(client).ends_with(":2\r\n"));
    }
    for node in 0..2 {
        let listed = cluster.node_client(node).ask("CLIENT LIST TYPE pubsub");
        assert_eq!(listed.matches(" addr=").count(), 1, "{listed}");
    }
    let mut publisher = cluster.client(0);
    assert_eq!(publisher.ask("PUBLISH everybody x"), ":2\r\n");
    for client in &mut subscribers {
        let mut heard = [receive(client), receive(client)];
        heard.sort();
        let (message, pmessage) = (["message", "everybody", "x"], ["pmessage", "every*", "everybody", "x"]);
        assert_eq!(heard, [flat(&message), flat(&pmessage)]);
    }
    let info = publisher.ask("INFO");
    for field in ["pubsub_clients:500", "pubsub_channels:1", "pubsub_patterns:1"] {
        assert!(info.contains(&format!("{field}\r\n")), "{field} is not in {info}");
    }
    drop(subscribers);
    eventually("nobody listens", || match publisher.ask("PUBSUB CHANNELS").as_str() {
        "*0\r\n" => Ok(()),
        other => Err(other.to_owned()),
    });
}

/// Publishes until the subscriber has heard of each channel. What is published while nobody listens is lost; it is
/// told nothing but messages.
fn until_all_are_heard(publisher: &mut Client, subscriber: &mut Client, channels: &[String], round: &str) {
    for channel in channels {
        let message = flat(&["message", channel, round]);
        eventually(&format!("{channel} is heard {round}"), || {
            let told = publisher.ask(&format!("PUBLISH {channel} {round}"));
            send(subscriber, "PING");
            let mut heard = false;
            loop {
                match receive(subscriber) {
                    pong if pong == flat(&["pong", ""]) => break,
                    other if other == message => heard = true,
                    other => assert!(other.starts_with("*3\r\n$7\r\nmessage\r\n"), "{other}"),
                }
            }
            if heard { Ok(()) } else { Err(told) }
        });
    }
}

#[test]
fn subscriptions_outlive_their_nodes() {
    let mut cluster = Cluster::over_redis(4, 2);
    let channels = channels();
    let mut listening = subscriber(&cluster, 1, "2", &channels);
    let mut publisher = cluster.client(0);
    until_all_are_heard(&mut publisher, &mut listening, &channels, "before");
    for killed in [0, 2] {
        cluster.nodes[killed].process.kill();
    }
    cluster.until_nodes_are("UNHEALTHY", |id| ["node1", "node3"].contains(&id));
    until_all_are_heard(&mut publisher, &mut listening, &channels, "without");
    for killed in [0, 2] {
        cluster.restart_node(killed);
    }
    cluster.until_nodes_are("HEALTHY", |_| true);
    until_all_are_heard(&mut publisher, &mut listening, &channels, "again");
    send(&mut listening, "UNSUBSCRIBE nothing");
    let told = "*3\r\n$11\r\nunsubscribe\r\n$7\r\nnothing\r\n:60\r\n";
    // What was published twice may still come.
    while receive(&mut listening) != told {}
}

/// The health service hears of nothing: only the connection is gone.
#[test]
fn a_connection_that_a_node_cuts_is_made_again() {
    let cluster = Cluster::over_redis(2, 1);
    let channels = channels();
    let mut listening = subscriber(&cluster, 0, "2", &channels);
    for node in 0..2 {
        assert_eq!(cluster.node_client(node).ask("CLIENT KILL TYPE pubsub"), ":1\r\n");
    }
    until_all_are_heard(&mut cluster.client(0), &mut listening, &channels, "again");
}

#[test]
fn a_subscriber_that_reads_nothing_is_closed_and_the_others_hear_everything() {
    /// Of 1 MB each: far more than 32 MB and what the sockets hold.
    const MESSAGES: usize = 200;
    /// Those 32 MB, and as much again while a buffer is made larger.
    const MOST_GROWTH: usize = 96_000_000;
    let cluster = Cluster::over_redis(2, 1);
    let channels = ["large".to_owned()];
    let mut slow = subscriber(&cluster, 0, "2", &channels);
    let mut fast = subscriber(&cluster, 0, "3", &channels);
    let mut publisher = cluster.client(0);
    let proxy = &cluster.proxies[0].process;
    let before = proxy.watch_memory();
    let large = vec![b'x'; 1_000_000];
    for _ in 0..MESSAGES {
        assert_eq!(publisher.try_ask(&[b"PUBLISH", b"large", &large]).expect("it is answered"), b":1\r\n");
        assert!(fast.receive().expect("it is still there").len() > large.len());
    }
    assert!(slow.receive_to_end().len() < MESSAGES * large.len(), "it was not closed");
    let grown = proxy.grown_by(&before);
    assert!(grown < MOST_GROWTH, "{grown} bytes for one slow subscriber");
}

#[test]
fn subscribers_of_a_proxy_that_ends_are_closed_in_time() {
    let cluster = Cluster::over_redis(2, 1);
    let mut quiet = subscriber(&cluster, 0, "2", &["quiet".to_owned()]);
    let mut busy = subscriber(&cluster, 0, "2", &["busy".to_owned()]);
    cluster.proxies[0].process.signal(Signal::TERM);
    // Messages that keep coming keep nobody open.
    let mut node = (0..2).map(|node| cluster.node_client(node)).collect::<Vec<_>>();
    let ends = |client: &mut Client, node: &mut [Client]| -> io::Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            node.iter_mut().for_each(|node| drop(node.ask("PUBLISH busy x")));
            if let Err(error) = client.receive() {
                return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) };
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    };
    ends(&mut busy, &mut node).expect("a busy subscriber is closed");
    assert!(quiet.receive_to_end().is_empty());
}

#[test]
fn what_happens_to_keys_is_heard_wherever_they_live() {
    let cluster = Cluster::over_redis(3, 1);
    for node in 0..3 {
        let set = cluster.node_client(node).ask("CONFIG SET notify-keyspace-events KEA");
        assert_eq!(set, "+OK\r\n");
    }
    let mut listening = cluster.client(0);
    assert!(listening.ask("SUBSCRIBE __keyevent@0__:set").contains("__keyevent@0__:set"));
    let mut one = cluster.client(0);
    assert!(one.ask("SUBSCRIBE __keyspace@0__:k7").contains("__keyspace@0__:k7"));
    let mut client = cluster.client(0);
    for number in 0..20 {
        client.ask(&format!("SET k{number} v"));
        let key = format!("k{number}");
        assert_eq!(receive(&mut listening), flat(&["message", "__keyevent@0__:set", &key]));
    }
    assert_eq!(receive(&mut one), flat(&["message", "__keyspace@0__:k7", "set"]));
}

/// A channel that is named like its keys lives with them, so whoever publishes from inside of the node is heard.
#[test]
fn transactions_and_scripts_may_publish() {
    let cluster = Cluster::over_redis(3, 2);
    let mut listening = subscriber(&cluster, 1, "2", &["{order}:news".to_owned()]);
    let mut client = cluster.client(0);
    let script = "EVAL return(redis.call('PUBLISH',KEYS[1],ARGV[1])) 1 {order}:news from-script";
    assert_eq!(client.ask(script), ":1\r\n");
    assert_eq!(receive(&mut listening), flat(&["message", "{order}:news", "from-script"]));
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    for line in ["SET {order}:state paid", "PUBLISH {order}:news paid"] {
        assert_eq!(client.ask(line), "+QUEUED\r\n");
    }
    assert_eq!(client.ask("EXEC"), "*2\r\n+OK\r\n:1\r\n");
    assert_eq!(receive(&mut listening), flat(&["message", "{order}:news", "paid"]));
    // What cannot be part of a transaction here spoils it, as anything that Redis refuses to queue.
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert!(client.ask("SUBSCRIBE x").starts_with("-ERR "));
    assert!(client.ask("EXEC").starts_with("-EXECABORT "));
}

#[test]
fn the_workers_of_one_proxy_each_hear_for_their_own_clients() {
    let cluster = Cluster::over_redis(2, 1);
    let health = format!("http://{}", cluster.health.address);
    let flags =
        ["cache-proxy", "--port", "0", "--proxy-id", "wide", "--workers", "3", "--health-service", &health];
    let wide = Process::spawn("wide", fastcache(&flags));
    let address = wide.address();
    let connect = || Client::connect(&address).expect("it listens");
    let mut subscribers: Vec<_> = (0..30).map(|_| connect()).collect();
    for client in &mut subscribers {
        // Each worker of it for itself.
        eventually("it routes", || match client.ask("PING").as_str() {
            "+PONG\r\n" => Ok(()),
            other => Err(other.to_owned()),
        });
        assert!(client.ask("SUBSCRIBE all").ends_with(":1\r\n"));
    }
    let heard = cluster.client(0).ask("PUBLISH all x");
    assert!([":1\r\n", ":2\r\n", ":3\r\n"].contains(&heard.as_str()), "{heard} workers listen");
    for client in &mut subscribers {
        assert_eq!(receive(client), flat(&["message", "all", "x"]));
    }
}

/// Our own nodes are a cache and nothing else.
#[test]
fn nodes_without_publish_subscribe_say_so() {
    let cluster = Cluster::start(2, 1);
    let mut client = cluster.client(0);
    for line in ["SUBSCRIBE c", "PSUBSCRIBE c*", "PUBLISH c x", "PUBSUB CHANNELS"] {
        let told = client.ask(line);
        assert!(told.to_lowercase().starts_with("-err unknown command"), "{line}: {told}");
    }
    assert_eq!(client.ask("PING"), "+PONG\r\n");
}

/// How many subscriptions a node has.
fn subscriptions(node: &mut Client) -> usize {
    let list = node.ask("CLIENT LIST TYPE pubsub");
    let counts = list.split(' ').filter_map(|word| word.strip_prefix("sub=")?.parse::<usize>().ok());
    counts.sum()
}

/// They move some in each turn of the worker's loop, and others are served in between.
#[test]
fn a_subscriber_of_very_many_channels_leaves_and_nobody_waits_for_all_of_them() {
    const CHANNELS: usize = 20_000;
    let cluster = Cluster::over_redis(2, 1);
    let mut nodes = [0, 1].map(|node| cluster.node_client(node));
    let mut other = cluster.client(0);
    let channels: Vec<_> = (0..CHANNELS).map(|number| format!("channel:{number}")).collect();
    eventually("nobody waits for long", || {
        let mut leaving = cluster.client(0);
        for some in channels.chunks(500) {
            send(&mut leaving, &format!("SUBSCRIBE {}", some.join(" ")));
            some.iter().for_each(|_| drop(receive(&mut leaving)));
        }
        drop(leaving);
        let (started, mut longest) = (Instant::now(), Duration::ZERO);
        while nodes.iter_mut().map(subscriptions).sum::<usize>() > 0 {
            let asked = Instant::now();
            assert_eq!(other.ask("PING"), "+PONG\r\n");
            longest = longest.max(asked.elapsed());
        }
        let took = started.elapsed();
        if longest < took / 4 { Ok(()) } else { Err(format!("{longest:?} of {took:?}")) }
    });
}
