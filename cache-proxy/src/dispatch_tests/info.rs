//! `INFO` and `CONFIG GET`: whom they ask, how long they wait, and what they say.

use std::time::Duration;

use super::Bench;
use crate::target::ClientId;

fn node_says(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// The lines of an `INFO` that the client has read.
fn fields(bench: &mut Bench, client: ClientId) -> Vec<String> {
    bench.read(client).lines().map(str::to_owned).collect()
}

fn has(lines: &[String], line: &str) -> bool {
    lines.iter().any(|known| known == line)
}

#[test]
fn it_adds_up_what_the_nodes_say() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, "INFO");
    for (node, keys) in [("n1", 3), ("n2", 4)] {
        assert_eq!(bench.sent(node), ["INFO"]);
        assert_eq!(bench.read(client), "");
        bench
            .answer(node, &node_says(&format!("used_memory:512\r\ndb0:keys={keys},expires=0,avg_ttl=0\r\n")));
    }
    let lines = fields(&mut bench, client);
    for line in
        ["used_memory_human:1.00K", "db0:keys=7,expires=0,avg_ttl=0", "nodes_in_info:2", "role:master"]
    {
        assert!(has(&lines, line), "{line}: {lines:#?}");
    }
}

#[test]
fn nodes_are_asked_once_a_second_and_by_all_clients_together() {
    let mut bench = Bench::new(1);
    let clients = [bench.client(), bench.client()];
    clients.iter().for_each(|client| bench.send(*client, "INFO memory"));
    assert_eq!(bench.sent("n1"), ["INFO"]);
    bench.answer("n1", &node_says("used_memory:7\r\n"));
    for client in clients {
        assert!(has(&fields(&mut bench, client), "used_memory:7"));
    }
    bench.send(clients[0], "INFO");
    assert!(bench.sent("n1").is_empty() && has(&fields(&mut bench, clients[0]), "used_memory:7"));
    bench.wait(Duration::from_secs(1));
    bench.send(clients[0], "INFO");
    assert_eq!(bench.sent("n1"), ["INFO"]);
}

#[test]
fn what_concerns_the_proxy_alone_needs_no_node() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "INFO server Clients fastcache");
    assert!(has(&fields(&mut bench, client), "redis_mode:standalone") && bench.sent("n1").is_empty());
}

#[test]
fn nobody_waits_for_a_node_that_is_slow_or_gone() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    bench.send(client, "INFO");
    bench.send(client, "PING");
    bench.answer("n1", &node_says("used_memory:7\r\n"));
    bench.fail("n2");
    bench.wait(Duration::from_millis(150));
    assert_eq!(bench.read(client), "");
    bench.wait(Duration::from_millis(50));
    let lines = fields(&mut bench, client);
    assert!(
        has(&lines, "used_memory:7") && has(&lines, "nodes_in_info:1") && has(&lines, "+PONG"),
        "{lines:#?}"
    );
    // The late answer is nobody's, not even to the next question.
    bench.wait(Duration::from_secs(1));
    bench.send(client, "INFO");
    bench.answer("n3", &node_says("used_memory:1000\r\n"));
    bench.answer("n1", &node_says("used_memory:8\r\n"));
    assert_eq!(bench.read(client), "");
    bench.answer("n3", &node_says("used_memory:2\r\n"));
    assert!(has(&fields(&mut bench, client), "used_memory:10"));
}

#[test]
fn without_any_node_there_is_an_answer_all_the_same() {
    let mut bench = Bench::new(1);
    bench.set_routable("n1", false);
    let client = bench.client();
    bench.send(client, "INFO");
    let lines = fields(&mut bench, client);
    assert!(has(&lines, "used_memory:0") && has(&lines, "nodes_in_info:0"), "{lines:#?}");
}

fn array(words: &[&str]) -> String {
    let words: String = words.iter().map(|word| node_says(word)).collect();
    format!("*{}\r\n{words}", words.matches('$').count())
}

#[test]
fn config_get_tells_the_memory_of_all_nodes_as_info_does() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, "CONFIG GET maxmemory MAXMEMORY-policy");
    for (node, policy) in [("n1", "allkeys-lru"), ("n2", "noeviction")] {
        assert_eq!(bench.sent(node), ["INFO"]);
        assert_eq!(bench.read(client), "");
        bench.answer(node, &node_says(&format!("maxmemory:512\r\nmaxmemory_policy:{policy}\r\n")));
    }
    assert_eq!(bench.read(client), array(&["maxmemory", "1024", "maxmemory-policy", "mixed"]));
    bench.send(client, "INFO memory");
    let lines = fields(&mut bench, client);
    assert!(has(&lines, "maxmemory:1024") && has(&lines, "maxmemory_policy:mixed"), "{lines:?}");
    bench.send(client, "HELLO 3");
    bench.read(client);
    bench.send(client, "CONFIG GET maxmemory");
    assert_eq!(bench.read(client), array(&["maxmemory", "1024"]).replace("*2", "%1"));
}

#[test]
fn config_get_asks_the_nodes_for_what_info_does_not_tell_and_for_no_more() {
    let mut bench = Bench::new(2);
    let (client, other) = (bench.client(), bench.client());
    bench.send(client, "CONFIG GET save maxclients");
    assert_eq!(bench.read(client), array(&["maxclients", "10000", "save", ""]));
    assert!(bench.sent_to_all().is_empty(), "no node is asked");
    // All there is: both questions, and at once.
    bench.send(client, "CONFIG GET *");
    bench.send(other, "CONFIG GET slowlog*");
    let settings = array(&["slowlog-log-slower-than", "10000", "slowlog-max-len", "128"]);
    for node in ["n1", "n2"] {
        assert_eq!(bench.sent(node), ["INFO", "CONFIG GET [ns][lo]*"]);
        bench.answer(node, &format!("{}{settings}", node_says("maxmemory:7\r\n")));
    }
    let both = array(&["slowlog-log-slower-than", "10000", "slowlog-max-len", "256"]);
    assert_eq!(bench.read(other), both);
    let all = bench.read(client);
    assert!(
        all.contains("maxmemory\r\n$2\r\n14\r\n") && all.ends_with(&both[both.find('$').unwrap()..]),
        "{all}"
    );
    bench.send(client, "CONFIG GET slowlog-max-len notify-keyspace-events");
    assert_eq!(bench.read(client), array(&["notify-keyspace-events", "", "slowlog-max-len", "256"]));
}

#[test]
fn config_get_leaves_out_what_no_node_says() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, "CONFIG GET max* slowlog-max-len");
    bench.answer("n1", "-NOPERM no\r\n-ERR unknown command 'CONFIG'\r\n");
    assert_eq!(bench.read(client), "", "it waits for the other node");
    bench.wait(Duration::from_millis(200));
    assert_eq!(bench.read(client), array(&["maxclients", "10000", "maxmemory-clients", "0"]));
}

#[test]
fn config_get_tells_no_setting_that_one_of_the_nodes_has_not_told() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let settings = array(&["notify-keyspace-events", "KEA", "slowlog-max-len", "128"]);
    let answer = node_says("maxmemory:7\r\n") + &settings;
    bench.send(client, "CONFIG GET maxmemory slowlog-max-len notify*");
    bench.answer("n1", &answer);
    bench.wait(Duration::from_millis(150));
    assert_eq!(bench.read(client), "");
    // Both questions were asked at once, so it waits once.
    bench.wait(Duration::from_millis(50));
    assert_eq!(bench.read(client), array(&["maxmemory", "7"]));
    bench.answer("n2", &answer);
    bench.wait(Duration::from_secs(1));
    bench.send(client, "CONFIG GET slowlog-max-len notify*");
    bench.answer("n1", &settings);
    assert_eq!(bench.read(client), "");
    bench.answer("n2", &settings);
    assert_eq!(bench.read(client), array(&["notify-keyspace-events", "KEA", "slowlog-max-len", "256"]));
}
