//! Bytes on the wire: pipelines, pieces, protocol errors, limits, ends of connections.

use super::peer::{Client, Node, eventually, text};
use cache_node::Config;
use std::io::{Read, Write};
use std::net::TcpStream;

fn node() -> Node {
    Node::start(Config::default())
}

/// Sends bytes on a fresh connection and expects exactly these replies; `closed` is the end of the connection.
fn check(node: &Node, sent: &[u8], expected: &[&str]) {
    let mut client = node.connect();
    client.send(sent);
    for reply in expected {
        assert_eq!(text(client.reply()), *reply, "to {:?}", String::from_utf8_lossy(sent));
    }
}

#[test]
fn a_pipeline_is_answered_in_order_however_it_is_cut() {
    let node = node();
    let mut pipeline = Vec::new();
    let mut expected = String::new();
    for n in 0..200 {
        pipeline.extend_from_slice(
            format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\nv{n:03}\r\nGET k\r\n\r\n").as_bytes(),
        );
        expected.push_str(&format!("+OK\r\n$4\r\nv{n:03}\r\n"));
    }
    for piece in [1, 7, 100, pipeline.len()] {
        let mut client = node.connect();
        for part in pipeline.chunks(piece) {
            client.send(part);
        }
        let replies: String = (0..400).map(|_| text(client.reply())).collect();
        assert_eq!(replies, expected, "in pieces of {piece}");
    }
}

#[test]
fn inline_commands_are_understood() {
    check(&node(), b"PING\r\nset a \"b c\"\nGET a\r\n", &["+PONG\r\n", "+OK\r\n", "$3\r\nb c\r\n"]);
}

#[test]
fn protocol_errors_are_answered_and_close_the_connection() {
    let node = node();
    for (sent, error) in [
        ("*3\r\nSET\r\n", "-ERR Protocol error: expected '$', got 'S'\r\n"),
        ("*abc\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        ("*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        ("*1\r\n$999999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        ("SET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
    ] {
        check(&node, sent.as_bytes(), &[error, "closed"]);
        // What came before the error is answered.
        check(&node, format!("PING\r\n{sent}").as_bytes(), &["+PONG\r\n", error, "closed"]);
    }
}

#[test]
fn quit_answers_and_closes() {
    check(&node(), b"PING\r\nQUIT\r\nPING\r\n", &["+PONG\r\n", "+OK\r\n", "closed"]);
}

#[test]
fn large_values_come_and_go_whole() {
    let node = node();
    let mut client = node.connect();
    let value: Vec<u8> = (0..20_000_000u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(client.ask(&[b"SET".to_vec(), b"big".to_vec(), value.clone()]), b"+OK\r\n");
    assert_eq!(client.say("STRLEN big"), ":20000000\r\n");
    let reply = client.ask(&[b"GET".to_vec(), b"big".to_vec()]);
    assert!(reply.ends_with(b"\r\n") && reply[11..reply.len() - 2] == value[..], "the value has changed");
}

#[test]
fn a_password_is_asked_for() {
    let node = Node::start(Config { requirepass: "secret".into(), ..Config::default() });
    let mut client = node.connect();
    assert_eq!(client.say("GET k"), "-NOAUTH Authentication required.\r\n");
    assert!(client.say("HELLO 3").starts_with("-NOAUTH HELLO must be called"));
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    assert_eq!(
        (client.say("AUTH nope"), client.say("AUTH other secret")),
        (wrong.to_owned(), wrong.to_owned())
    );
    assert_eq!(
        (client.say("AUTH secret"), client.say("GET k")),
        ("+OK\r\n".to_owned(), "$-1\r\n".to_owned())
    );
    let mut hello = node.connect();
    assert!(hello.say("HELLO 3 AUTH default secret SETNAME me").starts_with("%7\r\n"));
    assert_eq!(hello.say("CLIENT GETNAME"), "$2\r\nme\r\n");
    assert_eq!(hello.say("RESET"), "+RESET\r\n");
    assert_eq!(hello.say("GET k"), "-NOAUTH Authentication required.\r\n");
    let mut stranger = node.connect();
    stranger.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000\r\n");
    assert_eq!(text(stranger.reply()), "-ERR Protocol error: invalid bulk length\r\n");
    assert_eq!(stranger.reply(), None);
    // Once let in, a client may send large values.
    let reply = client.ask(&[b"SET".to_vec(), b"k".to_vec(), vec![0; 500_000]]);
    assert_eq!(reply, b"+OK\r\n");
}

#[test]
fn without_a_password_nobody_is_asked_for_it() {
    let node = node();
    let mut early = node.connect();
    assert_eq!(early.say("CONFIG SET requirepass p"), "+OK\r\n");
    let mut late = node.connect();
    assert_eq!(late.say("GET k"), "-NOAUTH Authentication required.\r\n");
    assert_eq!(early.say("CONFIG SET requirepass "), "+OK\r\n");
    assert_eq!(late.say("GET k"), "$-1\r\n");
    assert!(late.say("HELLO 3").starts_with("%7\r\n"));
    // The narrow limits for strangers are gone too.
    assert_eq!(late.ask(&[b"SET".to_vec(), b"k".to_vec(), vec![0; 500_000]]), b"+OK\r\n");
    // Who was in stays in.
    early.say("CONFIG SET requirepass p");
    assert_eq!(early.say("EXISTS k"), ":1\r\n");
}

#[test]
fn a_client_that_was_ended_is_not_there_any_more() {
    let node = node();
    let (mut one, mut other) = (node.connect(), node.connect());
    let id = other.say("CLIENT ID").trim_start_matches(':').trim_end().to_owned();
    one.send(format!("CLIENT KILL ID {id}\r\nCLIENT KILL ID {id}\r\nCLIENT LIST\r\n").as_bytes());
    assert_eq!((text(one.reply()), text(one.reply())), (":1\r\n".to_owned(), ":0\r\n".to_owned()));
    assert_eq!(text(one.reply()).matches("id=").count(), 1);
    assert_eq!(one.say("CLIENT KILL TYPE junk"), "-ERR Unknown client type 'junk'\r\n");
}

#[test]
fn a_client_can_end_another() {
    let node = node();
    let (mut one, mut other) = (node.connect(), node.connect());
    let id = other.say("CLIENT ID").trim_start_matches(':').trim_end().to_owned();
    assert_eq!(one.say(&format!("CLIENT KILL ID {id}")), ":1\r\n");
    assert_eq!(other.reply(), None);
    assert_eq!(one.say(&format!("CLIENT KILL ID {id}")), ":0\r\n");
    let list = one.say("CLIENT LIST");
    assert!(list.contains("cmd=client|list") && !list.contains(&format!("id={id} ")), "{list}");
}

#[test]
fn silent_clients_are_ended_when_asked_for() {
    let node = node();
    let mut silent = node.connect();
    assert_eq!(silent.say("CONFIG SET timeout 1"), "+OK\r\n");
    // Whoever asks counts too.
    let alone = |info: String| info.contains("connected_clients:1\r\n");
    eventually(|| node.connect().try_say("INFO").is_some_and(alone));
    assert_eq!(silent.reply(), None);
}

#[test]
fn draining_answers_what_was_sent_and_accepts_nobody() {
    let mut node = node();
    let mut client = node.connect();
    client.say("PING");
    client.send(&b"INCR n\r\n".repeat(1_000));
    node.shut_down();
    for n in 1..=1_000 {
        assert_eq!(text(client.reply()), format!(":{n}\r\n"));
    }
    assert_eq!(client.reply(), None);
    node.join();
    assert!(TcpStream::connect(node.address).is_err());
}

#[test]
fn a_wrong_or_half_request_never_harms_others() {
    let node = node();
    let mut half = node.connect();
    half.send(b"*2\r\n$3\r\nGET\r\n$100\r\nabc");
    let mut other: Client<TcpStream> = node.connect();
    assert_eq!(other.say("SET a 1"), "+OK\r\n");
    drop(half);
    assert_eq!(other.say("GET a"), "$1\r\n1\r\n");
    // A peer that half-closes after its requests still gets the replies.
    let closing = node.connect();
    let mut stream = closing.stream().try_clone().unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all, "+PONG\r\n");
}

#[test]
fn random_bytes_never_end_the_node() {
    let node = node();
    let mut random = super::generator::Random::new(20);
    // Pieces of the protocol in random order go deeper than bytes that are merely random.
    let pieces: [&[u8]; 14] = [
        b"*1\r\n",
        b"*3\r\n",
        b"$3\r\n",
        b"SET\r\n",
        b"GET",
        b"\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"\0",
        b"\"",
        b" ",
        b"PING\r\n",
        b"$4\r\nPING\r\n",
        b"ZADD z nan \xff\r\n",
    ];
    for _ in 0..300 {
        let mut client = node.connect();
        let mut stream = client.stream().try_clone().unwrap();
        for _ in 0..random.below(40) {
            // The node may have closed the connection already: that is its right.
            if stream.write_all(pieces[random.below(pieces.len())]).is_err() {
                break;
            }
        }
        let _ = stream.shutdown(std::net::Shutdown::Write);
        while client.reply().is_some() {}
    }
    assert_eq!(node.connect().say("PING"), "+PONG\r\n");
}
