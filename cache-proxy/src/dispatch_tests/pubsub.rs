//! Subscribers: what they are told and when, which node is asked, and what becomes of them when nodes go.

use std::time::Duration;

use super::Bench;
use crate::link::failure::Failure;
use crate::outbox::RareWork;
use crate::pubsub::SUBSCRIBER_LIMIT;
use crate::pubsub::subscriber_link::MOVED_AT_ONCE;
use crate::target::ClientId;

fn push(words: &[&str]) -> String {
    let bulks: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!(">{}\r\n{bulks}", words.len())
}

/// `push` as a client of RESP2 gets it.
fn flat(words: &[&str]) -> String {
    push(words).replacen('>', "*", 1)
}

fn confirmed(command: &str, name: &str, count: usize) -> String {
    let mut text = push(&[command, name]).replacen(">2", ">3", 1);
    text += &format!(":{count}\r\n");
    text
}

impl Bench {
    /// Lets `node` say something over the subscriber link.
    fn say(&mut self, node: &str, push: &str) {
        let id = self.subscriber_link(node);
        self.write(id);
        self.worker.reply(id, push.as_bytes()).unwrap();
    }

    fn heard_by(&mut self, node: &str) -> Vec<String> {
        let id = self.subscriber_link(node);
        self.sent_on(id)
    }

    /// A client that listens to `channel`, and has been told so.
    pub(super) fn subscriber(&mut self, hello: &str, channel: &str) -> ClientId {
        let client = self.client();
        self.send(client, hello);
        self.read(client);
        self.send(client, &format!("SUBSCRIBE {channel}"));
        self.connect_links();
        let node = self.node_of(channel);
        if self.heard_by(&node) == [format!("subscribe {channel}")] {
            self.say(&node, &confirmed("subscribe", channel, 1));
        }
        assert!(self.read(client).contains(channel));
        client
    }
}

#[test]
fn a_channel_lives_on_the_node_of_its_slot_and_its_messages_reach_clients_in_their_protocol() {
    let mut bench = Bench::new(3);
    let channel = bench.key_on("n2", 0);
    let (old, new) = (bench.subscriber("HELLO 2", &channel), bench.subscriber("HELLO 3", &channel));
    assert_eq!(bench.worker.subscriber_links.iter().flatten().count(), 1);
    let message = ["message", &channel, "hi"];
    bench.say("n2", &push(&message));
    assert_eq!((bench.read(old), bench.read(new)), (flat(&message), push(&message)));
    let other = bench.client();
    bench.send(other, &format!("PUBLISH {channel} hi"));
    assert_eq!(bench.sent("n2"), [format!("PUBLISH {channel} hi")]);
    bench.answer("n2", ":1\r\n");
    assert_eq!(bench.read(other), ":1\r\n");
}

#[test]
fn a_client_is_told_when_every_node_has_confirmed() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, "PSUBSCRIBE a*");
    bench.connect_links();
    assert_eq!(
        (bench.heard_by("n1"), bench.heard_by("n2")),
        (vec!["psubscribe a*".to_owned()], vec!["psubscribe a*".to_owned()])
    );
    bench.say("n1", &confirmed("psubscribe", "a*", 1));
    assert_eq!(bench.read(client), "");
    bench.say("n2", &confirmed("psubscribe", "a*", 1));
    assert_eq!(bench.read(client), confirmed("psubscribe", "a*", 1).replacen('>', "*", 1));
    bench.say("n1", &push(&["pmessage", "a*", "ab", "x"]));
    assert_eq!(bench.read(client), flat(&["pmessage", "a*", "ab", "x"]));
}

/// It may publish to what it has just subscribed to; and only one of its requests is kept while a node is silent.
#[test]
fn a_client_is_read_no_further_until_it_is_told() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, "SUBSCRIBE c");
    assert!(!bench.worker.may_read(client));
    bench.connect_links();
    let node = bench.node_of("c");
    bench.heard_by(&node);
    bench.say(&node, &confirmed("subscribe", "c", 1));
    assert!(bench.worker.may_read(client));
    bench.send(client, "SUBSCRIBE c");
    assert!(bench.worker.may_read(client), "the node sends its messages already");
}

#[test]
fn a_pattern_is_asked_of_a_node_that_comes() {
    let mut bench = Bench::new(3);
    bench.set_routable("n1", false);
    let client = bench.client();
    bench.send(client, "PSUBSCRIBE a*");
    bench.connect_links();
    for node in ["n2", "n3"] {
        assert_eq!(bench.heard_by(node), ["psubscribe a*"]);
        bench.say(node, &confirmed("psubscribe", "a*", 1));
    }
    assert!(bench.read(client).contains("psubscribe"), "a node that is out is not waited for");
    bench.set_routable("n1", true);
    bench.connect_links();
    assert_eq!(bench.heard_by("n1"), ["psubscribe a*"]);
    assert!(bench.heard_by("n2").is_empty() && bench.heard_by("n3").is_empty());
}

#[test]
fn topics_survive_a_time_without_any_node() {
    let mut bench = Bench::new(1);
    bench.subscriber("HELLO 3", "c");
    bench.set_routable("n1", false);
    bench.set_routable("n1", true);
    bench.connect_links();
    assert_eq!(bench.heard_by("n1"), ["subscribe c"]);
}

/// What comes before the answer has been told would be a message of a channel that the client knows nothing of.
#[test]
fn no_message_overtakes_the_answer() {
    let mut bench = Bench::new(1);
    let first = bench.subscriber("HELLO 3", "c");
    let client = bench.client();
    bench.send(client, "HELLO 3");
    bench.read(client);
    bench.send(client, "ECHO x");
    bench.read(client);
    bench.send(client, "GET k");
    bench.send(client, "SUBSCRIBE c");
    bench.say("n1", &push(&["message", "c", "1"]));
    assert_eq!((bench.read(first), bench.read(client)), (push(&["message", "c", "1"]), String::new()));
    let shared = bench.link("n1", resp::Protocol::Resp3);
    bench.connect_links();
    bench.sent_on(shared);
    bench.worker.reply(shared, b"_\r\n").unwrap();
    bench.say("n1", &push(&["message", "c", "2"]));
    assert_eq!(
        bench.read(client),
        format!("_\r\n{}{}", confirmed("subscribe", "c", 1), push(&["message", "c", "2"]))
    );
}

#[test]
fn a_subscriber_of_resp2_may_say_little_and_one_of_resp3_anything() {
    let mut bench = Bench::new(1);
    let (old, new) = (bench.subscriber("HELLO 2", "c"), bench.subscriber("HELLO 3", "c"));
    for (line, expected) in [
        (
            "GET k",
            "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n",
        ),
        (
            "CLIENT ID",
            "-ERR Can't execute 'client|id': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n",
        ),
        ("GET", "-ERR wrong number of arguments for 'get' command\r\n"),
        ("PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
        ("PING x", "*2\r\n$4\r\npong\r\n$1\r\nx\r\n"),
        ("UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n"),
        ("PING", "+PONG\r\n"),
    ] {
        bench.send(old, line);
        assert_eq!(bench.read(old), expected, "{line}");
    }
    bench.send(new, "PING");
    assert_eq!(bench.read(new), "+PONG\r\n");
    bench.send(new, "HELLO 2");
    bench.read(new);
    bench.send(new, "GET k");
    assert!(bench.read(new).contains("allowed in this context"));
    bench.send(new, "RESET");
    assert_eq!(bench.read(new), "+RESET\r\n");
    bench.send(new, "PING");
    assert_eq!(bench.read(new), "+PONG\r\n");
    assert_eq!(bench.heard_by("n1"), ["unsubscribe c"]);
}

#[test]
fn subscriptions_follow_their_slots_to_the_stand_in_and_nobody_is_told() {
    let mut bench = Bench::new(2);
    let channel = bench.key_on("n1", 0);
    let client = bench.subscriber("HELLO 3", &channel);
    let lost = bench.subscriber_link("n1");
    bench.worker.link_failed(lost, &Failure::Refused);
    assert!(bench.worker.hold.is_empty());
    bench.set_routable("n1", false);
    bench.connect_links();
    assert_eq!(bench.heard_by("n2"), [format!("subscribe {channel}")]);
    bench.say("n2", &confirmed("subscribe", &channel, 1));
    assert_eq!(bench.read(client), "");
    bench.say("n2", &push(&["message", &channel, "x"]));
    assert_eq!(bench.read(client), push(&["message", &channel, "x"]));
    bench.set_routable("n1", true);
    bench.connect_links();
    assert_eq!(bench.heard_by("n1"), [format!("subscribe {channel}")]);
    assert_eq!(bench.heard_by("n2"), [format!("unsubscribe {channel}")]);
    bench.say("n1", &push(&["message", &channel, "y"]));
    assert_eq!(bench.read(client), push(&["message", &channel, "y"]));
}

#[test]
fn a_connection_that_breaks_is_made_again_and_everything_asked_for_again() {
    let mut bench = Bench::new(1);
    let client = bench.subscriber("HELLO 2", "c");
    let link = bench.subscriber_link("n1");
    bench.send(client, "SUBSCRIBE d");
    assert_eq!(bench.heard_by("n1"), ["subscribe d"]);
    bench.worker.link_failed(link, &Failure::Refused);
    bench.connect_link(link);
    let mut again = bench.heard_by("n1");
    again.sort();
    assert_eq!(again, ["subscribe c", "subscribe d"]);
    for channel in ["c", "d"] {
        bench.say("n1", &confirmed("subscribe", channel, 1));
    }
    assert_eq!(bench.read(client), confirmed("subscribe", "d", 2).replacen('>', "*", 1));
}

#[test]
fn a_node_without_publish_subscribe_is_passed_on_in_its_words() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "SUBSCRIBE a b");
    bench.connect_links();
    for _ in 0..2 {
        bench.say("n1", "-ERR unknown command 'subscribe'\r\n");
    }
    assert_eq!(bench.read(client), "-ERR unknown command 'subscribe'\r\n");
    bench.send(client, "PING");
    assert_eq!(bench.read(client), "+PONG\r\n");
}

#[test]
fn a_subscription_that_no_node_confirms_ends_in_an_error() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "SUBSCRIBE a");
    bench.wait(Duration::from_secs(4));
    assert_eq!(bench.read(client), "");
    bench.wait(Duration::from_secs(2));
    let text = bench.read(client);
    assert!(text.starts_with("-UNAVAILABLE ") && text.contains("did not confirm"), "{text}");
    bench.send(client, "PING");
    assert_eq!(bench.read(client), "+PONG\r\n");
}

#[test]
fn a_subscriber_that_takes_nothing_is_closed_and_others_are_not() {
    let mut bench = Bench::new(1);
    let (slow, fast) = (bench.subscriber("HELLO 3", "c"), bench.subscriber("HELLO 2", "c"));
    let large = "x".repeat(SUBSCRIBER_LIMIT / 4);
    for _ in 0..6 {
        bench.say("n1", &push(&["message", "c", &large]));
        assert!(bench.read(fast).ends_with("x\r\n"));
    }
    assert!(bench.worker.client(slow).unwrap().killed);
    assert!(!bench.worker.client(fast).unwrap().killed);
    assert!(bench.worker.client(slow).unwrap().backlog() <= SUBSCRIBER_LIMIT + 2 * large.len());
}

#[test]
fn a_link_that_carries_nothing_is_closed_after_a_while() {
    let mut bench = Bench::new(1);
    let client = bench.subscriber("HELLO 2", "c");
    let link = bench.subscriber_link("n1");
    bench.wait(Duration::from_secs(60));
    assert!(!bench.worker.is_waiting(), "nothing runs for a subscriber that is told nothing");
    bench.worker.disconnect(client);
    assert_eq!(told_in_turns(&mut bench, "n1"), [0, 1]);
    bench.say("n1", &confirmed("unsubscribe", "c", 0));
    assert!(bench.worker.is_waiting());
    bench.wait(Duration::from_secs(1));
    bench.wait(Duration::from_secs(11));
    let work = std::mem::take(&mut bench.worker.outbox.rare);
    assert!(work.iter().any(|work| matches!(work, RareWork::Close(id) if *id == link)));
    assert!(!bench.worker.links.contains(link) && !bench.worker.is_waiting());
    bench.subscriber("HELLO 2", "c");
    assert_eq!(bench.subscriber_link("n1"), link, "the place is taken again, by a link that was not up yet");
}

#[test]
fn what_is_confirmed_is_no_reply_that_a_client_may_do_without_and_nothing_comes_after_the_last() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, "CLIENT REPLY OFF");
    bench.send(client, "SUBSCRIBE c");
    assert!(bench.worker.outbox.rare.iter().any(|work| matches!(work, RareWork::Watch)), "not for ever");
    bench.connect_links();
    bench.heard_by("n1");
    bench.say("n1", &confirmed("subscribe", "c", 1));
    bench.send(client, "UNSUBSCRIBE d");
    let told = [confirmed("subscribe", "c", 1), confirmed("unsubscribe", "d", 1)];
    assert_eq!(bench.read(client), told.concat().replace('>', "*"));
    bench.say("n1", &push(&["message", "c", "1"]));
    bench.send(client, "QUIT");
    bench.say("n1", &push(&["message", "c", "2"]));
    assert_eq!(bench.read(client), flat(&["message", "c", "1"]));
    assert_eq!(bench.worker.stats.messages, 1);
}

#[test]
fn messages_count_for_the_bounds_of_one_client_and_of_all() {
    let large = "x".repeat(600_000);
    for (bound, most) in [("--client-output-buffer-limit", 3), ("--maxmemory-clients", 2)] {
        let mut bench = Bench::with_flags(1, &[bound, "1mb"]);
        let client = bench.subscriber("HELLO 2", "c");
        for number in 1..=most {
            assert!(!bench.worker.client(client).unwrap().killed, "{bound}: {number}");
            bench.say("n1", &push(&["message", "c", &large]));
        }
        assert!(bench.worker.client(client).unwrap().killed, "{bound}");
    }
}

#[test]
fn what_happens_to_a_key_is_told_where_the_key_lives() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    for number in 0..10 {
        let key = format!("key{number}");
        let publish = format!("PUBLISH __keyspace@0__:{key} set");
        bench.send(client, &publish);
        assert_eq!(bench.sent_to_all(), [(bench.node_of(&key), vec![publish.clone()])]);
        for line in ["MULTI", &format!("SET {key} v"), &publish, "EXEC"] {
            bench.send(client, line);
        }
        assert_eq!(bench.sent_to_all().len(), 1, "{key}");
    }
}

#[test]
fn without_a_node_nobody_can_listen() {
    let mut bench = Bench::new(1);
    bench.set_routable("n1", false);
    let client = bench.client();
    bench.send(client, "SUBSCRIBE c");
    assert_eq!(bench.read(client), "-UNAVAILABLE no node of the cluster is in service\r\n");
    assert!(!bench.worker.subscriptions.is_waiting());
}

#[test]
fn messages_are_in_the_version_that_the_client_reads_at_that_point() {
    let mut bench = Bench::new(1);
    let client = bench.subscriber("HELLO 3", "c");
    let message = ["message", "c", "x"];
    bench.send(client, "GET k");
    bench.connect_links();
    bench.send(client, "HELLO 2");
    bench.say("n1", &push(&message));
    assert_eq!(bench.read(client), push(&message));
    let shared = bench.link("n1", resp::Protocol::Resp3);
    bench.sent_on(shared);
    bench.worker.reply(shared, b"_\r\n").unwrap();
    assert!(bench.read(client).starts_with("_\r\n*14\r\n"));
    bench.say("n1", &push(&message));
    assert_eq!(bench.read(client), flat(&message));
}

/// Each of these is answered at once, so no window of owed replies bounds them.
#[test]
fn a_client_that_changes_its_mind_all_the_time_waits_for_the_node() {
    let mut bench = Bench::new(1);
    let client = bench.subscriber("HELLO 2", "c");
    let long = "x".repeat(32 * 1024);
    let mut asked = 0;
    while bench.worker.may_read(client) {
        asked += 1;
        assert!(asked < 1_000, "it is never stopped");
        bench.send(client, &format!("SUBSCRIBE {long}"));
        bench.send(client, &format!("UNSUBSCRIBE {long}"));
        bench.read(client);
    }
    for _ in 0..asked {
        bench.say("n1", &confirmed("subscribe", &long, 1));
        bench.say("n1", &confirmed("unsubscribe", &long, 1));
    }
    assert!(bench.worker.may_read(client));
}

#[test]
fn channels_are_counted_over_all_nodes() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    for (line, parts, expected) in [
        ("PUBSUB CHANNELS", ["*1\r\n$1\r\na\r\n", "*1\r\n$1\r\nb\r\n"], "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        // As one that tells of keys, which every worker hears from all nodes.
        (
            "PUBSUB CHANNELS",
            ["*1\r\n$1\r\na\r\n", "*2\r\n$1\r\nb\r\n$1\r\na\r\n"],
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        ),
        (
            "PUBSUB NUMSUB a",
            ["*2\r\n$1\r\na\r\n:3\r\n", "*2\r\n$1\r\na\r\n:3\r\n"],
            "*2\r\n$1\r\na\r\n:3\r\n",
        ),
        (
            "PUBSUB NUMSUB a",
            ["*2\r\n$1\r\na\r\n:0\r\n", "*2\r\n$1\r\na\r\n:3\r\n"],
            "*2\r\n$1\r\na\r\n:3\r\n",
        ),
        ("PUBSUB NUMPAT", [":2\r\n", ":2\r\n"], ":2\r\n"),
    ] {
        bench.send(client, line);
        bench.answer("n1", parts[0]);
        bench.answer("n2", parts[1]);
        assert_eq!(bench.read(client), expected, "{line}");
    }
}

/// What the node is told in this turn and, as long as there is more to move, in each of the next.
fn told_in_turns(bench: &mut Bench, node: &str) -> Vec<usize> {
    let mut turns = vec![bench.heard_by(node).len()];
    let is_more = |work: &RareWork| matches!(work, RareWork::Review);
    let mut more = std::mem::take(&mut bench.worker.outbox.rare).iter().any(is_more);
    while more {
        more = bench.worker.move_subscriptions();
        turns.push(bench.heard_by(node).len());
    }
    turns
}

/// Other clients have their turn in between.
#[test]
fn very_many_channels_are_moved_some_in_each_turn() {
    const CHANNELS: usize = 10_000;
    let in_pieces = |turns: &[usize]| turns.iter().all(|told| *told <= MOVED_AT_ONCE);
    let mut bench = Bench::new(2);
    bench.set_routable("n1", false);
    let client = bench.client();
    let channels: Vec<_> = (0..CHANNELS).map(|number| format!("c{number}")).collect();
    let words: Vec<_> = std::iter::once("SUBSCRIBE").chain(channels.iter().map(String::as_str)).collect();
    bench.send_words(client, &words);
    bench.worker.outbox.rare.clear();
    bench.connect_links();
    let turns = told_in_turns(&mut bench, "n2");
    assert!(in_pieces(&turns) && turns.iter().sum::<usize>() == CHANNELS, "the link is up: {turns:?}");
    bench.set_routable("n1", true);
    bench.connect_links();
    let came = told_in_turns(&mut bench, "n1");
    assert!(in_pieces(&came) && came.iter().sum::<usize>() > MOVED_AT_ONCE, "it is back: {came:?}");
    let stayed = CHANNELS - came.iter().sum::<usize>();
    assert_eq!(bench.heard_by("n2").len(), CHANNELS - stayed, "it is told of those that went");
    bench.worker.disconnect(client);
    let turns = told_in_turns(&mut bench, "n2");
    assert!(in_pieces(&turns) && turns.iter().sum::<usize>() == stayed, "the client has left: {turns:?}");
}

/// A program with a thousand subscribers ends, or its machine does.
#[test]
fn very_many_that_leave_together_are_seen_off_some_in_each_turn() {
    const EACH: usize = 300;
    let mut bench = Bench::new(1);
    let clients: Vec<_> = (0..10).map(|number| bench.subscriber("HELLO 2", &format!("c{number}"))).collect();
    for client in &clients {
        let channels: Vec<_> = (1..EACH).map(|number| format!("{}:{number}", client.serial)).collect();
        let words: Vec<_> = std::iter::once("SUBSCRIBE").chain(channels.iter().map(String::as_str)).collect();
        bench.send_words(*client, &words);
    }
    bench.heard_by("n1");
    bench.worker.outbox.rare.clear();
    clients.iter().for_each(|client| bench.worker.disconnect(*client));
    let turns = told_in_turns(&mut bench, "n1");
    assert!(turns.iter().all(|told| *told <= MOVED_AT_ONCE), "{turns:?}");
    assert_eq!((turns.iter().sum::<usize>(), bench.worker.stats.channels), (10 * EACH, 0));
}

#[test]
fn links_that_come_in_one_turn_move_no_more_than_one() {
    let mut bench = Bench::new(3);
    let client = bench.client();
    let channels: Vec<_> = (0..6 * MOVED_AT_ONCE).map(|number| format!("c{number}")).collect();
    let words: Vec<_> = std::iter::once("SUBSCRIBE").chain(channels.iter().map(String::as_str)).collect();
    bench.send_words(client, &words);
    bench.connect_links();
    let told: usize = ["n1", "n2", "n3"].iter().map(|node| bench.heard_by(node).len()).sum();
    assert!((1..=MOVED_AT_ONCE).contains(&told), "{told}");
}
