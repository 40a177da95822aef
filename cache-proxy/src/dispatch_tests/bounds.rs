//! What a client may and may not do: passwords, windows, limits.

use std::time::Duration;

use resp::Protocol;

use super::Bench;
use crate::target::ClientId;

#[test]
fn a_client_that_changes_its_version_waits_for_the_replies_of_the_old_one() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "SET k v");
    bench.send(client, "HELLO 3");
    assert!(!bench.worker.may_read(client), "a GET would overtake the SET on a connection of its own");
    bench.answer("n1", "+OK\r\n");
    assert!(bench.worker.may_read(client));
}

#[test]
fn the_window_of_a_client_shrinks_with_the_size_of_its_replies() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let large = format!("$4194304\r\n{}\r\n", "x".repeat(4 * 1024 * 1024));
    bench.send(client, "GET k");
    bench.answer("n1", &large);
    (0..7).for_each(|_| bench.send(client, "GET k"));
    assert!(!bench.worker.may_read(client), "seven replies of 4 MiB are enough");
    bench.answer("n1", &"$-1\r\n".repeat(7));
    bench.read(client);
    for _ in 0..100 {
        bench.send(client, "GET k");
        bench.answer("n1", "$-1\r\n");
    }
    bench.read(client);
    (0..64).for_each(|_| bench.send(client, "GET k"));
    assert!(bench.worker.may_read(client), "one that was large is forgotten");
}

#[test]
fn a_client_that_takes_no_replies_is_closed_in_the_end() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let large = format!("$33554432\r\n{}\r\n", "x".repeat(32 * 1024 * 1024));
    for _ in 0..12 {
        bench.send(client, "GET k");
        bench.answer("n1", &large);
    }
    let client = bench.worker.client(client).unwrap();
    assert!(client.killed && client.backlog() < 300 * 1024 * 1024, "{}", client.backlog());
}

#[test]
fn the_operator_says_how_much_may_pile_up_for_one_client() {
    let mut bench = Bench::with_flags(1, &["--client-output-buffer-limit", "1mb"]);
    let client = bench.client();
    let reply = format!("$100000\r\n{}\r\n", "x".repeat(100_000));
    for number in 1..=11 {
        bench.send(client, "GET k");
        bench.answer("n1", &reply);
        assert_eq!(bench.worker.may_read(client), number < 3, "{number}: a quarter, then no further");
        assert!(!bench.worker.client(client).unwrap().killed);
    }
    bench.send(client, "GET k");
    bench.answer("n1", &reply);
    assert!(bench.worker.client(client).unwrap().killed);
}

#[test]
fn of_all_clients_the_one_with_the_most_is_closed_first() {
    let mut bench = Bench::with_flags(1, &["--maxmemory-clients", "1mb"]);
    let clients = [bench.client(), bench.client(), bench.client()];
    let mut pile_up = |client: usize, len: usize| {
        bench.send(clients[client], "GET k");
        bench.answer("n1", &format!("${len}\r\n{}\r\n", "x".repeat(len)));
        clients.map(|id| {
            let client = bench.worker.client(id).unwrap();
            assert!(!client.killed || client.listed, "nobody would close it");
            client.killed
        })
    };
    assert_eq!(pile_up(0, 500_000), [false; 3]);
    assert_eq!(pile_up(1, 400_000), [false; 3]);
    assert_eq!(pile_up(2, 200_000), [true, false, false]);
    assert_eq!(pile_up(2, 200_000), [true, false, false], "the others have no more than the limit");
    assert_eq!(pile_up(2, 600_000), [true, false, true]);
    let [_, second, _] = clients;
    bench.worker.note_unread(second, 700_000);
    assert!(bench.worker.client(second).unwrap().killed, "what it has not finished counts as well");
}

#[test]
fn each_worker_has_its_share_of_what_all_clients_may_have() {
    let mut bench = Bench::with_flags(1, &["--maxmemory-clients", "2mb", "--workers", "2"]);
    let client = bench.client();
    bench.send(client, "GET k");
    bench.answer("n1", &format!("$1200000\r\n{}\r\n", "x".repeat(1_200_000)));
    assert!(bench.worker.client(client).unwrap().killed);
}

/// Sends the client's `MGET`s of one key on each of two nodes, the first of which answers with this much each.
fn gather(bench: &mut Bench, client: ClientId, requests: usize, len: usize) {
    let keys = [bench.key_on("n1", 0), bench.key_on("n2", 0)];
    (0..requests).for_each(|_| bench.send(client, &format!("MGET {}", keys.join(" "))));
    let part = format!("*1\r\n${len}\r\n{}\r\n", "x".repeat(len));
    (0..requests).for_each(|_| bench.answer("n1", &part));
}

fn gathered(bench: &mut Bench, client: ClientId) -> usize {
    bench.worker.client(client).unwrap().gathered
}

#[test]
fn all_that_is_gathered_for_one_client_is_bounded_and_keeps_it_from_being_read() {
    let mut bench = Bench::with_flags(2, &["--client-output-buffer-limit", "1mb"]);
    let client = bench.client();
    gather(&mut bench, client, 1, 200_000);
    assert!(bench.worker.may_read(client));
    gather(&mut bench, client, 63, 200_000);
    assert!(!bench.worker.may_read(client));
    let len = gathered(&mut bench, client);
    assert!((1_000_000..1_048_577).contains(&len), "{len}");
    bench.answer("n2", &"*1\r\n$-1\r\n".repeat(64));
    let replies = bench.read(client);
    let refused = replies.matches("-ERR the replies of the nodes together are larger").count();
    assert_eq!((replies.matches("*2\r\n$200000\r\n").count(), refused), (5, 59));
    assert_eq!((gathered(&mut bench, client), bench.worker.gathers.len()), (0, 0));
    assert!(bench.worker.may_read(client));
}

#[test]
fn what_is_gathered_for_a_client_that_leaves_is_dropped_at_once() {
    let mut bench = Bench::new(2);
    let clients = [bench.client(), bench.client()];
    clients.iter().for_each(|client| gather(&mut bench, *client, 2, 100_000));
    bench.worker.disconnect(clients[0]);
    let kept: Vec<_> = bench.worker.gathers.iter().map(|(_, gather)| gather.bytes() > 0).collect();
    assert_eq!(kept, [false, false, true, true]);
    bench.answer("n2", &"*1\r\n$-1\r\n".repeat(4));
    assert!(bench.worker.gathers.is_empty());
    assert_eq!(bench.read(clients[1]).matches("*2\r\n$100000\r\n").count(), 2);
}

#[test]
fn what_is_gathered_counts_among_what_all_clients_may_have() {
    let mut bench = Bench::with_flags(2, &["--maxmemory-clients", "1mb"]);
    let clients = [bench.client(), bench.client()];
    gather(&mut bench, clients[0], 3, 300_000);
    gather(&mut bench, clients[1], 1, 300_000);
    assert_eq!(clients.map(|id| bench.worker.client(id).unwrap().killed), [true, false]);
}

#[test]
fn a_client_that_feeds_a_full_link_is_not_read_until_it_drains() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let link = bench.link("n1", Protocol::Resp2);
    bench.send_value(client, "k", &"x".repeat(3 * 1024 * 1024));
    assert!(bench.worker.may_read(client));
    bench.send_value(client, "k", &"x".repeat(2 * 1024 * 1024));
    assert!(!bench.worker.may_read(client));
    assert_eq!(bench.worker.links[link].traffic.choked.get(), 1);
    bench.sent("n1");
    bench.answer("n1", "+OK\r\n");
    assert!(!bench.worker.may_read(client), "2 MiB are more than it goes on at");
    bench.answer("n1", "+OK\r\n");
    assert!(bench.worker.may_read(client));
}

#[test]
fn what_is_queued_counts_among_what_all_clients_may_have_until_the_transaction_is_aborted() {
    let mut bench = Bench::with_flags(1, &["--maxmemory-clients", "1mb"]);
    let clients = [bench.client(), bench.client()];
    let value = "x".repeat(600_000);
    for (client, line) in clients.into_iter().zip(["PING", "NOPE"]) {
        bench.send(client, "MULTI");
        bench.send_value(client, "k", &value);
        bench.send(client, line);
        bench.send_value(client, "k", &value);
    }
    assert_eq!(clients.map(|id| bench.worker.client(id).unwrap().killed), [true, false]);
    assert!(bench.worker.client(clients[1]).unwrap().kept() < 1_000, "nothing of it will be executed");
}

#[test]
fn a_transaction_feeds_a_link_too() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let value = "x".repeat(3 * 1024 * 1024);
    bench.send(client, "MULTI");
    (0..2).for_each(|_| bench.send_value(client, "k", &value));
    bench.send(client, "EXEC");
    assert!(!bench.worker.may_read(client));
    bench.sent("n1");
    bench.answer("n1", "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    assert!(!bench.worker.may_read(client));
    bench.answer("n1", "*2\r\n+OK\r\n+OK\r\n");
    assert!(bench.worker.may_read(client));
}

#[test]
fn a_client_with_many_open_requests_is_read_no_further() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    (0..64).for_each(|_| bench.send(client, "GET k"));
    assert!(!bench.worker.may_read(client), "the size of its replies is not known yet");
    bench.answer("n1", "$-1\r\n");
    (0..192).for_each(|_| bench.send(client, "GET k"));
    assert!(bench.worker.may_read(client));
    bench.send(client, "GET k");
    assert!(!bench.worker.may_read(client));
}

#[test]
fn a_password_is_asked_for_before_anything_else() {
    let mut bench = Bench::with_flags(1, &["--requirepass", "secret"]);
    let client = bench.client();
    bench.send(client, "PING");
    bench.send(client, "GET k");
    bench.send(client, "AUTH wrong");
    bench.send(client, "AUTH secret");
    bench.send(client, "GET k");
    assert_eq!(bench.sent("n1"), ["GET k"]);
    bench.answer("n1", "$-1\r\n");
    let expected = [
        "+PONG\r\n",
        "-NOAUTH Authentication required.\r\n",
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        "+OK\r\n",
        "$-1\r\n",
    ];
    assert_eq!(bench.read(client), expected.concat());
    bench.send(client, "HELLO 3");
    bench.read(client);
    for line in ["RESET", "GET k", "AUTH secret", "GET k"] {
        bench.send(client, line);
    }
    let expected = ["+RESET\r\n", "-NOAUTH Authentication required.\r\n", "+OK\r\n"];
    assert_eq!(bench.read(client), expected.concat(), "a client that begins anew gives it again");
    assert_eq!(bench.sent("n1"), ["GET k"], "in the version of a new client");
}

#[test]
fn a_client_that_has_said_its_last_word_is_read_no_further() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "QUIT");
    assert_eq!(bench.read(client), "+OK\r\n");
    assert!(!bench.worker.may_read(client));
}

#[test]
fn a_lame_duck_says_so_to_a_ping_only_where_nothing_else_can_be_asked() {
    for (flags, first) in [
        (&["--admin-port", "0"][..], "+PONG\r\n"),
        (&[], "-LOADING the proxy is draining, connect again\r\n"),
    ] {
        let mut bench = Bench::with_flags(1, flags);
        let old = bench.client();
        bench.wait(Duration::from_millis(1));
        bench.worker.draining_since = Some(bench.worker.now);
        let (check, client) = (bench.client(), bench.client());
        bench.send(old, "PING");
        assert_eq!(bench.read(old), "+PONG\r\n");
        bench.send(check, "PING");
        bench.send(check, "PING");
        assert_eq!(bench.read(check), format!("{first}+PONG\r\n"));
        bench.send(client, "PING hello");
        assert_eq!(bench.read(client), "$5\r\nhello\r\n");
    }
}

#[test]
fn too_many_clients_are_turned_away() {
    let mut bench = Bench::with_flags(1, &["--maxclients", "2"]);
    let first = bench.client();
    bench.client();
    assert_eq!(bench.worker.connect("127.0.0.1:1".parse().unwrap()), None);
    bench.worker.disconnect(first);
    bench.client();
}

#[test]
fn without_a_view_or_a_node_the_answer_says_so() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.set_routable("n1", false);
    for line in ["GET k", "MGET a b", "DBSIZE", "RANDOMKEY"] {
        bench.send(client, line);
        assert_eq!(bench.read(client), "-UNAVAILABLE no node of the cluster is in service\r\n", "{line}");
    }
    bench.worker.routing = None;
    for line in ["GET k", "MGET a b", "DBSIZE", "SCAN 0", "PING"] {
        bench.send(client, line);
        assert!(bench.read(client).starts_with("-LOADING "), "{line}");
    }
}
