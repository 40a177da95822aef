//! Clients that choose which replies they want, and that begin anew.

use super::Bench;

#[test]
fn a_client_that_wants_no_replies_gets_none_and_is_served() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for line in ["SET a 1", "CLIENT REPLY OFF", "GET b", "NOPE", "PING", "CLIENT REPLY SKIP", "GET c"] {
        bench.send(client, line);
    }
    assert_eq!(bench.sent("n1"), ["SET a 1", "GET b", "GET c"]);
    assert_eq!(bench.worker.client(client).unwrap().owed(), 7, "back-pressure counts them");
    bench.answer("n1", "+OK\r\n$1\r\nb\r\n$1\r\nc\r\n");
    bench.send(client, "CLIENT REPLY ON");
    bench.send(client, "GET d");
    bench.answer("n1", "$1\r\nd\r\n");
    assert_eq!(bench.read(client), "+OK\r\n+OK\r\n$1\r\nd\r\n");
    assert!(!bench.worker.client(client).unwrap().special);
}

#[test]
fn a_client_may_skip_the_reply_to_one_request() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for line in ["CLIENT REPLY SKIP", "SET a 1", "GET a", "CLIENT REPLY SKIP", "CLIENT REPLY ON", "PING"] {
        bench.send(client, line);
    }
    bench.answer("n1", "+OK\r\n$1\r\n1\r\n");
    assert_eq!(bench.read(client), "$1\r\n1\r\n+OK\r\n+PONG\r\n");
    bench.send(client, "CLIENT REPLY MAYBE");
    assert_eq!(bench.read(client), "-ERR syntax error\r\n");
}

#[test]
fn the_reply_to_skip_is_that_of_a_request_which_had_to_wait() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for line in ["GET a", "CLIENT REPLY SKIP", "BLPOP l 0"] {
        bench.send(client, line);
    }
    assert!(bench.worker.client(client).unwrap().given_back);
    bench.answer("n1", "$1\r\na\r\n");
    assert_eq!(bench.read(client), "$1\r\na\r\n");
    bench.send(client, "BLPOP l 0");
    let (link, _) = bench.pinned(client);
    bench.connect_link(link);
    assert_eq!(bench.sent_on(link), ["BLPOP l 0"]);
    bench.worker.reply(link, b"*2\r\n$1\r\nl\r\n$1\r\nv\r\n").unwrap();
    bench.send(client, "PING");
    assert_eq!(bench.read(client), "+PONG\r\n");
}

#[test]
fn reset_begins_anew() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for line in ["CLIENT SETNAME me", "MULTI", "SET k v"] {
        bench.send(client, line);
    }
    bench.read(client);
    for line in ["RESET", "CLIENT REPLY OFF", "PING", "RESET", "EXEC", "CLIENT GETNAME"] {
        bench.send(client, line);
    }
    assert_eq!(bench.read(client), "+RESET\r\n+RESET\r\n-ERR EXEC without MULTI\r\n$-1\r\n");
    assert!(bench.sent("n1").is_empty());
}
