//! What `CLIENT` tells of clients and does to them.

use super::Bench;

fn shown(bench: &mut Bench, client: crate::target::ClientId, line: &str) -> Vec<String> {
    bench.send(client, line);
    let reply = bench.read(client);
    reply.lines().filter(|line| line.starts_with("id=")).map(str::to_owned).collect()
}

#[test]
fn a_name_that_is_none_is_told_in_redis_words() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for line in ["HELLO 3 SETNAME a\u{7f}", "CLIENT SETNAME a\u{7f}"] {
        bench.send(client, line);
        let said = bench.read(client);
        assert_eq!(
            said, "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
            "{line}"
        );
    }
    bench.send(client, "HELLO 3 SETNAME");
    assert_eq!(bench.read(client), "-ERR Syntax error in HELLO option\r\n");
}

#[test]
fn a_list_tells_who_is_there_and_can_be_narrowed() {
    let mut bench = Bench::new(1);
    let asker = bench.client();
    bench.subscriber("HELLO 3", "c");
    bench.send(asker, "CLIENT SETNAME app");
    bench.read(asker);
    let all = shown(&mut bench, asker, "CLIENT LIST");
    assert_eq!(all.len(), 2);
    assert!(
        all[0].starts_with("id=1 addr=127.0.0.1:1 name=app age=0 idle=-1 flags=N db=0 sub=0 "),
        "{all:?}"
    );
    assert!(all[1].contains(" flags=P db=0 sub=1 psub=0 ssub=0 ") && all[1].contains(" resp=3 "), "{all:?}");
    assert_eq!(shown(&mut bench, asker, "CLIENT LIST TYPE normal"), all[..1]);
    assert_eq!(shown(&mut bench, asker, "CLIENT LIST TYPE PubSub"), all[1..]);
    assert_eq!(shown(&mut bench, asker, "CLIENT LIST TYPE replica"), Vec::<String>::new());
    assert_eq!(shown(&mut bench, asker, "CLIENT LIST ID 7 2"), all[1..]);
    assert_eq!(shown(&mut bench, asker, "CLIENT INFO"), all[..1]);
    // What redis-py and valkey-py make numbers of.
    for field in [
        "id",
        "age",
        "idle",
        "db",
        "sub",
        "psub",
        "multi",
        "qbuf",
        "qbuf-free",
        "obl",
        "argv-mem",
        "oll",
        "omem",
        "tot-mem",
    ] {
        let value = all[0].split(' ').find_map(|pair| pair.strip_prefix(field)?.strip_prefix('='));
        assert!(value.is_some_and(|value| value.parse::<i64>().is_ok()), "{field}: {all:?}");
    }
    for (line, error) in [
        ("CLIENT LIST TYPE x", "-ERR Unknown client type 'x'\r\n"),
        ("CLIENT LIST ID x", "-ERR Invalid client ID\r\n"),
        ("CLIENT LIST TYPE", "-ERR syntax error\r\n"),
    ] {
        bench.send(asker, line);
        assert_eq!(bench.read(asker), error, "{line}");
    }
}

#[test]
fn a_kill_spares_whoever_asks_unless_it_says_otherwise() {
    let mut bench = Bench::new(1);
    let (asker, other) = (bench.client(), bench.client());
    for (line, reply) in [
        ("CLIENT KILL TYPE pubsub", ":0\r\n"),
        ("CLIENT KILL USER somebody", ":0\r\n"),
        ("CLIENT KILL ID 1", ":0\r\n"),
        ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0\r\n"),
        ("CLIENT KILL SKIPME maybe", "-ERR syntax error\r\n"),
        ("CLIENT KILL TYPE normal ID", "-ERR syntax error\r\n"),
        ("CLIENT KILL 127.0.0.1:2", "-ERR No such client\r\n"),
        ("CLIENT KILL TYPE normal USER default", ":1\r\n"),
    ] {
        bench.send(asker, line);
        assert_eq!(bench.read(asker), reply, "{line}");
    }
    assert!(bench.worker.client(other).unwrap().killed);
    bench.send(asker, "CLIENT KILL ID 1 SKIPME no");
    assert_eq!(bench.read(asker), ":1\r\n");
    let client = bench.worker.client(asker).unwrap();
    assert!(client.closing && !client.killed, "it is told before it is closed");
}

#[test]
fn what_libraries_ask_of_a_connection_is_answered() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for (line, reply) in [
        ("CLIENT NO-EVICT on", "+OK\r\n"),
        ("CLIENT NO-TOUCH off", "+OK\r\n"),
        ("CLIENT NO-EVICT perhaps", "-ERR syntax error\r\n"),
        ("CLIENT CAPA redirect", "+OK\r\n"),
        ("CLIENT UNPAUSE", "+OK\r\n"),
        ("CLIENT TRACKING OFF", "+OK\r\n"),
        ("CLIENT GETREDIR", ":-1\r\n"),
        (
            "CLIENT TRACKINGINFO",
            "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n",
        ),
        (
            "CLIENT MAINT_NOTIFICATIONS ON",
            "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n",
        ),
    ] {
        bench.send(client, line);
        assert_eq!(bench.read(client), reply, "{line}");
    }
    bench.send(client, "CLIENT TRACKING ON");
    assert!(bench.read(client).starts_with("-ERR client-side caching is not supported by the proxy"));
}
