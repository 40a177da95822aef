//! `PROXY …`: what the proxy tells about itself is what it does.

use std::time::Duration;

use cluster::SlotCount;
use serde_json::Value;

use super::Bench;
use crate::explain::answer::Answer;
use crate::explain::question::{Question, Unanswered};
use crate::outbox::RareWork;
use crate::target::ClientId;

/// What the admin port would answer.
fn json(bench: &Bench, question: &Question) -> Value {
    serde_json::to_value(answer(bench, question).unwrap()).unwrap()
}

fn answer(bench: &Bench, question: &Question) -> Result<Answer, Unanswered> {
    let worker = &bench.worker;
    question.answer(&worker.overview, worker.routing.as_deref(), worker.now, std::time::SystemTime::now())
}

fn explained(bench: &Bench, key: &str) -> Value {
    json(bench, &Question::Explain(vec![key.as_bytes().to_vec()]))["keys"][0].clone()
}

fn of_node<'a>(nodes: &'a Value, id: &str) -> &'a Value {
    let list = nodes["nodes"].as_array().unwrap();
    list.iter().find(|node| node["node"] == id).unwrap_or_else(|| panic!("{id} in {nodes}"))
}

/// Sends `GET key` and has it answered after `time`.
fn get(bench: &mut Bench, client: ClientId, key: &str, time: Duration, reply: &str) {
    let node = bench.node_of(key);
    bench.send(client, &format!("GET {key}"));
    bench.sent(&node);
    bench.worker.now += time;
    bench.answer(&node, reply);
    bench.read(client);
}

#[test]
fn a_key_is_explained_as_it_is_served() {
    let mut bench = Bench::new(5);
    let key = bench.key_on("n2", 0);
    let before = explained(&bench, &key);
    assert_eq!((&before["owner"], &before["serving"]), (&"n2".into(), &"n2".into()));
    assert_eq!(before["connections"], 1);
    assert_eq!(before["why"], format!("n2 owns slot {} and is in service", before["slot"]));
    bench.set_routable("n2", false);
    let after = explained(&bench, &key);
    assert_eq!((&after["slot"], &after["owner"]), (&before["slot"], &"n2".into()));
    assert_eq!(after["serving"], before["nextInLine"], "it was foretold");
    assert_eq!(after["serving"], bench.node_of(&key));
    let why = after["why"].as_str().unwrap();
    assert!(why.contains("drained") && why.contains("stands in"), "{why}");
    ["n1", "n3", "n4", "n5"].iter().for_each(|node| bench.set_routable(node, false));
    let nobody = explained(&bench, &key);
    assert_eq!((&nobody["serving"], &nobody["nextInLine"]), (&Value::Null, &Value::Null));
    assert!(nobody["why"].as_str().unwrap().ends_with("and so are all others"), "{nobody}");
}

#[test]
fn keys_of_one_tag_are_on_the_same_node() {
    let bench = Bench::new(5);
    let keys = |keys: &[&str]| {
        let keys = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        json(&bench, &Question::Explain(keys))
    };
    let tagged = keys(&["{u1}.name", "{u1}.mail"]);
    assert_eq!((&tagged["sameNode"], &tagged["keys"][1]["hashed"]), (&true.into(), &"u1".into()));
    let (a, b) = (bench.key_on("n1", 0), bench.key_on("n3", 0));
    assert_eq!(keys(&[&a, &b])["sameNode"], false);
}

#[test]
fn the_reply_is_a_map_in_resp3_and_a_flat_array_in_resp2() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let reply = bench.inquire(client, "PROXY EXPLAIN k");
    assert!(reply.starts_with("*8\r\n$5\r\nproxy\r\n$6\r\nproxy1\r\n$5\r\nepoch\r\n:1\r\n"), "{reply}");
    bench.send(client, "HELLO 3");
    bench.read(client);
    let reply = bench.inquire(client, "proxy explain k");
    assert!(reply.starts_with("%4\r\n$5\r\nproxy\r\n"), "{reply}");
    let help = bench.inquire(client, "PROXY HELP");
    assert!(help.starts_with("*17\r\n+PROXY <subcommand>"), "{help}");
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    for (line, expected) in [
        ("PROXY", "-ERR wrong number of arguments for 'proxy' command; PROXY HELP shows its forms\r\n"),
        ("PROXY NOPE", "-ERR unknown subcommand 'NOPE'. Try PROXY HELP.\r\n"),
        (
            "PROXY EXPLAIN",
            "-ERR wrong number of arguments for 'proxy|explain' command; PROXY HELP shows its forms\r\n",
        ),
        ("PROXY SIMULATE UP n1", "-ERR syntax error; PROXY HELP shows the forms\r\n"),
        ("PROXY SIMULATE DOWN n1 n9", "-ERR no node of the view is called 'n9'; PROXY NODES lists them\r\n"),
        ("PROXY SLOWLOG GET x", "-ERR value is not an integer or out of range\r\n"),
        ("PROXY SLOWLOG GET -2", "-ERR count should be greater than or equal to -1\r\n"),
        ("PROXY SLOWLOG LEN 1", "-ERR syntax error; PROXY HELP shows the forms\r\n"),
    ] {
        assert_eq!(bench.inquire(client, line), expected, "{line}");
    }
    bench.worker.routing = None;
    let none = "-LOADING the proxy has no view of the cluster yet\r\n";
    assert_eq!(bench.inquire(client, "PROXY VIEW"), none);
    assert_eq!(bench.inquire(client, "PROXY SLOWLOG LEN"), ":0\r\n", "needs no view");
}

#[test]
fn what_is_too_much_is_refused_before_it_is_copied() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let many = " k".repeat(1_001);
    let text = "1001 names at once are more than 1000";
    let over_http =
        [Question::Explain(vec![b"k".to_vec(); 1_001]), Question::Simulate(vec!["k".into(); 1_001])];
    for question in over_http {
        assert_eq!(answer(&bench, &question), Err(Unanswered::Asked(text.to_owned())));
    }
    bench.send(client, &format!("PROXY EXPLAIN{many}"));
    bench.send(client, &format!("PROXY SIMULATE DOWN{many}"));
    bench.send_words(client, &["PROXY", "EXPLAIN", &"k".repeat(64 * 1024)]);
    let asked = |work: &RareWork| matches!(work, RareWork::Ask(_));
    assert!(!bench.worker.outbox.rare.iter().any(asked));
    let told = bench.read(client);
    let (first, rest) = told.split_once("\r\n").unwrap();
    assert_eq!(first, format!("-ERR {text}"));
    assert!(rest.starts_with("-ERR 1001 names") && rest.contains("longer than 65536 bytes"), "{rest}");
    let long = bench.inquire(client, &format!("PROXY SIMULATE DOWN {}", "n".repeat(60_000)));
    assert!(long.len() < 200, "{long}");
}

#[test]
fn a_large_value_and_a_transaction_are_among_the_samples() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for _ in 0..100 {
        ["MULTI", "SET k v", "DISCARD"].iter().for_each(|line| bench.send(client, line));
    }
    let samples = bench.worker.published.samples.load(SlotCount::new(1024).unwrap(), bench.worker.now);
    assert!(samples.samples() > 0, "none of 100 queued commands");
}

#[test]
fn nodes_tells_what_was_seen_of_each() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let key = bench.key_on("n2", 0);
    for _ in 0..1_000 {
        get(&mut bench, client, &key, Duration::from_millis(2), "$1\r\nv\r\n");
    }
    get(&mut bench, client, &key, Duration::from_millis(2), "-WRONGTYPE no\r\n");
    let nodes = json(&bench, &Question::Nodes);
    let (used, unused) = (of_node(&nodes, "n2"), of_node(&nodes, "n1"));
    assert_eq!((&used["requests"], &used["errors"]), (&1_001.into(), &1.into()), "{used}");
    assert_eq!((&unused["requests"], &unused["p50Millis"]), (&0.into(), &Value::Null));
    // 2 ms are in the bucket from 1.6 to 3.2 ms.
    let p50 = used["p50Millis"].as_f64().unwrap();
    assert!((1.6..=3.2).contains(&p50), "{p50}");
    // 1 001 requests in 2 s, of which every sixteenth was sampled.
    let rate = used["requestsPerSecond"].as_f64().unwrap();
    assert!((300.0..700.0).contains(&rate), "{rate}");
    let slots = |field: &str| {
        nodes["nodes"].as_array().unwrap().iter().map(|n| n[field].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!([slots("slotsOwned"), slots("slotsServed")], [1024_u64, 1024]);
    bench.fail("n2");
    let nodes = json(&bench, &Question::Nodes);
    assert_eq!(of_node(&nodes, "n2")["connections"], 0);
    assert_eq!(of_node(&nodes, "n2")["connectionFailures"], 1);
}

#[test]
fn the_view_tells_who_stands_in_for_whom() {
    let mut bench = Bench::new(3);
    bench.set_routable("n2", false);
    bench.worker.now += Duration::from_secs(3);
    let view = json(&bench, &Question::View);
    assert_eq!((&view["epoch"], &view["nodes"], &view["routable"]), (&2.into(), &3.into(), &2.into()));
    assert_eq!(view["ageSeconds"], 3.0);
    let out = &view["outOfService"][0];
    assert_eq!(out["node"], "n2");
    let stand_ins = out["standIns"].as_array().unwrap();
    let taken: u64 = stand_ins.iter().map(|stand_in| stand_in["slots"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((stand_ins.len(), Some(taken)), (2, out["slots"].as_u64()));
}

#[test]
fn what_is_simulated_is_what_happens() {
    let mut bench = Bench::new(5);
    let client = bench.client();
    let (hot, cold) = (bench.key_on("n2", 0), bench.key_on("n4", 0));
    for number in 0..4_000 {
        let key = if number % 4 == 0 { &cold } else { &hot };
        get(&mut bench, client, key, Duration::from_millis(1), "$1\r\nv\r\n");
    }
    let down = |ids: &[&str]| Question::Simulate(ids.iter().map(|id| (*id).to_owned()).collect());
    let told = json(&bench, &down(&["n2"]));
    assert_eq!(told["nodeShare"], 0.2);
    let moved = &told["moved"];
    let share = moved["loadShare"].as_f64().unwrap();
    assert!((0.65..0.85).contains(&share), "three in four requests were for n2: {told}");
    let owned = of_node(&json(&bench, &Question::Nodes), "n2")["slotsOwned"].clone();
    assert_eq!(moved["slots"], owned);
    let would_get = |id: &str| of_node(&told, id)["gets"]["slots"].as_u64().unwrap();
    let before = json(&bench, &Question::Nodes);
    bench.set_routable("n2", false);
    let after = json(&bench, &Question::Nodes);
    for id in ["n1", "n3", "n4", "n5"] {
        let served = |nodes: &Value| of_node(nodes, id)["slotsServed"].as_u64().unwrap();
        assert_eq!(served(&after) - served(&before), would_get(id), "{id}");
    }
    // The hot key's load goes to its stand-in as a whole.
    let stand_in = bench.node_of(&hot);
    assert_eq!(of_node(&told, &stand_in)["gets"]["loadShare"], moved["loadShare"]);
    // It is out already.
    let out = json(&bench, &down(&["n2"]));
    assert_eq!((&out["moved"]["slots"], &out["nodeShare"]), (&0.into(), &0.0.into()));
    let all = json(&bench, &down(&["n1", "n2", "n3", "n4", "n5"]));
    assert_eq!((&all["served"], &all["moved"]), (&false.into(), &Value::Null));
}

#[test]
fn the_slow_log_tells_the_nodes_time_from_the_rest() {
    let mut bench = Bench::with_flags(3, &["--slowlog-log-slower-than", "10000"]);
    let client = bench.client();
    bench.send(client, "CLIENT SETNAME shop");
    bench.read(client);
    let key = bench.key_on("n2", 0);
    get(&mut bench, client, &key, Duration::from_millis(9), "$1\r\nv\r\n");
    assert_eq!(bench.inquire(client, "PROXY SLOWLOG LEN"), ":0\r\n");
    // Held for 30 ms while its node is away, then 20 ms in the node.
    bench.fail("n2");
    bench.send(client, &format!("SET {key} secret"));
    bench.wait(Duration::from_millis(30));
    bench.connect_links();
    bench.sent("n2");
    bench.worker.now += Duration::from_millis(20);
    bench.answer("n2", "+OK\r\n");
    let told = json(&bench, &Question::SlowLog(10))[0].clone();
    assert_eq!((&told["totalMicros"], &told["nodeMicros"]), (&50_000.into(), &20_000.into()), "{told}");
    assert_eq!((&told["command"], &told["key"]), (&"set".into(), &key.clone().into()));
    assert_eq!((&told["node"], &told["epoch"]), (&"n2".into(), &1.into()));
    assert_eq!((&told["client"], &told["clientName"]), (&"127.0.0.1:1".into(), &"shop".into()));
    assert!(!told.to_string().contains("secret"));
    bench.read(client);
    assert_eq!(bench.inquire(client, "PROXY SLOWLOG RESET"), "+OK\r\n");
    assert_eq!(bench.inquire(client, "PROXY SLOWLOG GET"), "*0\r\n");
}

#[test]
fn a_request_that_is_given_up_is_slow_and_has_no_time_of_the_node() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    let key = bench.key_on("n1", 0);
    bench.fail("n1");
    bench.send(client, &format!("GET {key}"));
    bench.wait(Duration::from_secs(2));
    assert!(bench.read(client).starts_with("-UNAVAILABLE"));
    let told = json(&bench, &Question::SlowLog(10))[0].clone();
    assert_eq!((&told["totalMicros"], &told["nodeMicros"]), (&2_000_000.into(), &Value::Null));
    assert_eq!(told["resent"], false);
    bench.connect_links();
    bench.send(client, &format!("INCR {key}"));
    bench.sent("n1");
    bench.worker.now += Duration::from_secs(1);
    bench.fail("n1");
    bench.wait(Duration::from_secs(2));
    assert!(bench.read(client).contains("may have been executed"));
    assert_eq!(json(&bench, &Question::SlowLog(1))[0]["resent"], true, "it had been sent");
}

#[test]
fn a_client_that_blocks_on_purpose_is_not_slow() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, "BLPOP k 0");
    let (link, node) = bench.pinned(client);
    bench.connect_link(link);
    bench.sent_on(link);
    bench.worker.now += Duration::from_secs(60);
    bench.worker.reply(link, b"*2\r\n$1\r\nk\r\n$1\r\nv\r\n").unwrap();
    assert_eq!(bench.read(client), "*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
    assert_eq!(bench.inquire(client, "PROXY SLOWLOG LEN"), ":0\r\n");
    let nodes = json(&bench, &Question::Nodes);
    assert_eq!(of_node(&nodes, &node)["requests"], 1);
    assert_eq!(of_node(&nodes, &node)["p99Millis"], Value::Null);
}

#[test]
fn each_part_of_a_split_request_is_noted_with_its_node() {
    let mut bench = Bench::with_flags(2, &["--slowlog-max-len", "2"]);
    let client = bench.client();
    let (a, b) = (bench.key_on("n1", 0), bench.key_on("n2", 0));
    bench.send(client, &format!("MGET {a} {b}"));
    ["n1", "n2"].iter().for_each(|node| drop(bench.sent(node)));
    bench.worker.now += Duration::from_millis(5);
    bench.answer("n1", "*1\r\n$-1\r\n");
    bench.worker.now += Duration::from_millis(15);
    bench.answer("n2", "*1\r\n$-1\r\n");
    let told = json(&bench, &Question::SlowLog(10));
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!((&told[0]["node"], &told[0]["key"]), (&"n2".into(), &b.into()));
    assert_eq!(told[0]["client"], "127.0.0.1:1");
}

#[test]
fn when_everything_is_slow_the_first_are_noted() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "SMEMBERS culprit");
    (0..50).for_each(|_| bench.send(client, "GET victim"));
    bench.sent("n1");
    bench.worker.now += Duration::from_millis(50);
    bench.answer("n1", &"*0\r\n".repeat(51));
    let told = json(&bench, &Question::SlowLog(100));
    let told = told.as_array().unwrap();
    assert_eq!((told.len(), &told[15]["key"]), (16, &"culprit".into()), "{told:?}");
}

#[test]
fn a_slow_log_of_no_length_keeps_nothing() {
    let mut bench = Bench::with_flags(1, &["--slowlog-max-len", "0", "--slowlog-log-slower-than", "0"]);
    let client = bench.client();
    get(&mut bench, client, "k", Duration::from_secs(1), "$1\r\nv\r\n");
    assert_eq!(bench.inquire(client, "PROXY SLOWLOG LEN"), ":0\r\n");
}

#[test]
fn the_proxy_is_not_asked_in_a_transaction_nor_by_strangers() {
    let mut bench = Bench::with_flags(1, &["--requirepass", "secret"]);
    let client = bench.client();
    assert_eq!(bench.inquire(client, "PROXY VIEW"), "-NOAUTH Authentication required.\r\n");
    bench.send(client, "AUTH secret");
    bench.send(client, "MULTI");
    assert_eq!(bench.read(client), "+OK\r\n+OK\r\n");
    let refused = "-ERR Command not allowed inside a transaction\r\n";
    assert_eq!(bench.inquire(client, "PROXY VIEW"), refused);
}
