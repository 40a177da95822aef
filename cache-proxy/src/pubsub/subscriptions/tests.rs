//! Subscriptions between clients and nodes that exist on paper only.

mod model;

use std::time::Duration;

use super::*;
use crate::link::LinkId;

fn client(index: u32) -> ClientId {
    ClientId { index, serial: index + 1 }
}

fn wish(index: u32, place: Place, kind: Kind) -> Wish {
    Wish { client: client(index), place, protocol: Protocol::Resp2, kind, since: Instant::now() }
}

fn names<'a>(names: &'a [&'a str]) -> impl ExactSizeIterator<Item = &'a [u8]> {
    names.iter().map(|name| name.as_bytes())
}

/// The first line of a link.
fn line(link: LinkId) -> Line {
    Line { link, serial: 0 }
}

/// Everything on link 0.
fn at_home(_: Kind, _: &[u8]) -> Vec<Line> {
    vec![line(0)]
}

/// Looks at all that is in doubt, in the smallest pieces.
fn review(subscriptions: &mut Subscriptions, mut homes: impl FnMut(Kind, &[u8]) -> Vec<Line>) {
    while subscriptions.is_in_review() {
        subscriptions.review(1, &mut homes);
    }
}

/// Opens a line, and has its node told all it must know.
fn open(subscriptions: &mut Subscriptions, line: Line) {
    subscriptions.line_up(line);
    review(subscriptions, |_, _| vec![line]);
}

fn said(subscriptions: &mut Subscriptions) -> Vec<(LinkId, String, Token)> {
    let sayings = std::mem::take(&mut subscriptions.sayings);
    let text = |saying: &Saying| format!("{} {}", saying.command, String::from_utf8_lossy(&saying.name));
    sayings.iter().map(|saying| (saying.line.link, text(saying), saying.token)).collect()
}

fn answered(subscriptions: &mut Subscriptions) -> Vec<(u32, Place, String)> {
    let answers = std::mem::take(&mut subscriptions.answers);
    let text = |reply: Vec<u8>| String::from_utf8(reply).unwrap();
    answers.into_iter().map(|answer| (answer.client.index, answer.place, text(answer.reply))).collect()
}

fn confirmation(command: &str, name: &str, count: usize) -> String {
    format!("*3\r\n${}\r\n{command}\r\n${}\r\n{name}\r\n:{count}\r\n", command.len(), name.len())
}

#[test]
fn a_client_hears_when_the_node_has_confirmed_and_the_node_is_asked_once() {
    let mut subscriptions = Subscriptions::default();
    subscriptions.subscribe(&wish(1, 0, Kind::Channel), names(&["a"]), at_home);
    assert!(said(&mut subscriptions).is_empty(), "the link is not up");
    open(&mut subscriptions, line(0));
    subscriptions.subscribe(&wish(2, 7, Kind::Channel), names(&["a"]), at_home);
    assert_eq!(said(&mut subscriptions), [(0, "subscribe a".to_owned(), 1)]);
    assert!(answered(&mut subscriptions).is_empty() && subscriptions.is_waiting());
    subscriptions.confirmed(1);
    let told = confirmation("subscribe", "a", 1);
    assert_eq!(answered(&mut subscriptions), [(1, 0, told.clone()), (2, 7, told.clone())]);
    subscriptions.subscribe(&wish(3, 4, Kind::Channel), names(&["a"]), at_home);
    assert_eq!(answered(&mut subscriptions), [(3, 4, told)], "the node sends its messages already");
    assert!(!subscriptions.is_waiting() && said(&mut subscriptions).is_empty());
}

#[test]
fn the_last_one_out_ends_it() {
    let mut subscriptions = Subscriptions::default();
    open(&mut subscriptions, line(0));
    for index in [1, 2] {
        subscriptions.subscribe(&wish(index, 0, Kind::Pattern), names(&["a*"]), at_home);
    }
    assert_eq!(said(&mut subscriptions).len(), 1);
    subscriptions.forget(client(1));
    assert!(said(&mut subscriptions).is_empty());
    let told = subscriptions.unsubscribe(client(2), Protocol::Resp2, Kind::Pattern, names(&[]));
    assert_eq!(String::from_utf8(told).unwrap(), confirmation("punsubscribe", "a*", 0));
    assert_eq!(said(&mut subscriptions), [(0, "punsubscribe a*".to_owned(), 0)]);
    // One that resets its connection is still owed the answer.
    let told = confirmation("psubscribe", "a*", 1);
    assert_eq!(answered(&mut subscriptions), [(1, 0, told.clone()), (2, 0, told)]);
    assert!(
        !subscriptions.is_seated(line(0)) && subscriptions.bytes == 0 && subscriptions.subscribers.is_empty()
    );
}

#[test]
fn who_listens_to_nothing_is_told_so() {
    let mut subscriptions = Subscriptions::default();
    let mut told = |protocol| {
        String::from_utf8(subscriptions.unsubscribe(client(1), protocol, Kind::Channel, names(&[]))).unwrap()
    };
    assert_eq!(told(Protocol::Resp2), "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
    assert_eq!(told(Protocol::Resp3), ">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n");
}

#[test]
fn counts_are_the_clients_own_and_shard_channels_count_apart() {
    let mut subscriptions = Subscriptions::default();
    open(&mut subscriptions, line(0));
    for (place, (kind, name)) in
        (0..).zip([(Kind::Channel, "a"), (Kind::Pattern, "b"), (Kind::Shard, "c"), (Kind::Channel, "a")])
    {
        subscriptions.subscribe(&wish(1, place, kind), names(&[name]), at_home);
    }
    (1..=3).for_each(|token| subscriptions.confirmed(token));
    let expected =
        [("subscribe", "a", 1), ("psubscribe", "b", 2), ("ssubscribe", "c", 1), ("subscribe", "a", 2)];
    let mut told = answered(&mut subscriptions);
    told.sort();
    assert_eq!(told.len(), 4);
    for ((_, _, told), (command, name, count)) in told.iter().zip(expected) {
        assert_eq!(*told, confirmation(command, name, count));
    }
}

#[test]
fn a_lost_node_is_asked_again_and_nobody_is_told() {
    let mut subscriptions = Subscriptions::default();
    open(&mut subscriptions, line(0));
    subscriptions.subscribe(&wish(1, 0, Kind::Channel), names(&["a", "b"]), at_home);
    said(&mut subscriptions);
    subscriptions.confirmed(1);
    subscriptions.line_down(line(0));
    subscriptions.confirmed(2);
    assert!(answered(&mut subscriptions).is_empty(), "an answer of the lost connection says nothing");
    open(&mut subscriptions, Line { link: 0, serial: 1 });
    let again = said(&mut subscriptions);
    assert_eq!(again.len(), 2);
    again.iter().for_each(|(_, _, token)| subscriptions.confirmed(*token));
    assert_eq!(answered(&mut subscriptions).len(), 1);
}

#[test]
fn a_topic_that_moves_is_asked_of_its_new_node_and_ended_at_the_old_one() {
    let mut subscriptions = Subscriptions::default();
    (0..2).for_each(|link| subscriptions.line_up(line(link)));
    subscriptions.subscribe(&wish(1, 0, Kind::Channel), names(&["a"]), at_home);
    subscriptions.confirmed(1);
    said(&mut subscriptions);
    answered(&mut subscriptions);
    subscriptions.rehome(|lost| lost == line(0));
    review(&mut subscriptions, |_, _| vec![line(1)]);
    let moved = [(0, "unsubscribe a".to_owned(), 0), (1, "subscribe a".to_owned(), 2)];
    assert_eq!(said(&mut subscriptions), moved);
    assert!(answered(&mut subscriptions).is_empty() && !subscriptions.is_seated(line(0)));
    assert_eq!(subscriptions.audience(Kind::Channel, b"a").count(), 1);
}

#[test]
fn a_view_costs_nothing_for_topics_that_stay() {
    let mut subscriptions = Subscriptions::default();
    let homes = |_: Kind, name: &[u8]| vec![line(usize::from(name[0] - b'a'))];
    subscriptions.subscribe(&wish(1, 0, Kind::Channel), names(&["a", "b", "c"]), homes);
    let mut looked_at = Vec::new();
    subscriptions.rehome(|lost| lost == line(1));
    review(&mut subscriptions, |_, name| {
        looked_at.push(name.to_vec());
        vec![line(2)]
    });
    assert_eq!(looked_at, [b"b"]);
    // One without a node is looked at until it has one.
    subscriptions.rehome(|lost| lost == line(0));
    review(&mut subscriptions, |_, _| Vec::new());
    for home in [Vec::new(), vec![line(2)]] {
        let mut number = 0;
        subscriptions.rehome(|_| false);
        review(&mut subscriptions, |_, _| {
            number += 1;
            home.clone()
        });
        assert_eq!(number, 1);
    }
    subscriptions.rehome(|_| false);
    review(&mut subscriptions, |_, _| unreachable!("all are where they belong"));
    assert_eq!(subscriptions.seated[&line(2)], 3);
}

/// Else a node with very many channels would keep the worker from its other clients.
#[test]
fn a_node_is_left_in_pieces_and_who_subscribes_meanwhile_waits_for_the_new_one() {
    const TOPICS: usize = 1_000;
    let mut subscriptions = Subscriptions::default();
    (0..2).for_each(|link| subscriptions.line_up(line(link)));
    let all: Vec<_> = (0..TOPICS).map(|number| number.to_string()).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    subscriptions.subscribe(&wish(1, 0, Kind::Channel), names(&all), at_home);
    said(&mut subscriptions).into_iter().for_each(|(_, _, token)| subscriptions.confirmed(token));
    assert_eq!(answered(&mut subscriptions).len(), 1);
    subscriptions.rehome(|lost| lost == line(0));
    let last = all[TOPICS - 1];
    subscriptions.subscribe(&wish(2, 0, Kind::Channel), names(&[last]), |_, _| vec![line(1)]);
    let (mut pieces, mut told) = (0, Vec::new());
    while subscriptions.is_in_review() {
        subscriptions.review(100, |_, _| vec![line(1)]);
        pieces += 1;
        let said = said(&mut subscriptions);
        assert!(said.len() <= 200, "{} sayings in one piece", said.len());
        said.into_iter().for_each(|(_, _, token)| subscriptions.confirmed(token));
        told.extend(answered(&mut subscriptions));
        assert!(told.is_empty() || pieces >= 10, "the node that is left would tell it nothing");
    }
    assert_eq!(told, [(2, 0, confirmation("subscribe", last, 1))]);
    assert_eq!(subscriptions.seated, HashMap::from([(line(1), TOPICS)]));
}

#[test]
fn a_refusal_is_passed_on_and_takes_back_what_the_request_changed() {
    let mut subscriptions = Subscriptions::default();
    open(&mut subscriptions, line(0));
    subscriptions.subscribe(&wish(1, 0, Kind::Channel), names(&["a", "b"]), at_home);
    subscriptions.confirmed(1);
    assert!(subscriptions.refused(2, b"-NOPERM no\r\n"));
    assert_eq!(answered(&mut subscriptions), [(1, 0, "-NOPERM no\r\n".to_owned())]);
    assert!(!subscriptions.has(client(1)) && subscriptions.topics.is_empty());
    assert!(subscriptions.refused(2, b"-NOPERM no\r\n"), "nobody asks any more");
}

#[test]
fn there_is_not_room_for_everything() {
    let mut subscriptions = Subscriptions::default();
    assert!(subscriptions.has_room(800_000, 32_000_000));
    assert!(!subscriptions.has_room(1, MOST_BYTES) && !subscriptions.has_room(2_000_000, 0));
    let lines: Vec<Line> = (0..100).map(line).collect();
    subscriptions.subscribe(&wish(1, 0, Kind::Pattern), names(&["a"]), |_, _| lines.clone());
    let waiting = WAIT_COST + confirmation("psubscribe", "a", 1).len();
    assert_eq!(subscriptions.bytes, TOPIC_COST + INTEREST_COST + 100 * SEAT_COST + 1 + waiting);
    subscriptions.forget(client(1));
    assert_eq!(subscriptions.bytes, 0);
    // The same name again is no new topic, but it is kept for the answer.
    subscriptions.subscribe(&wish(1, 1, Kind::Channel), names(&["a"; 10_000]), at_home);
    assert!(subscriptions.bytes > 10_000 * WAIT_COST);
    assert!(subscriptions.waits(client(1)) && !subscriptions.waits(client(2)));
    subscriptions.expire(Instant::now() + Duration::from_secs(1), b"-late\r\n");
    assert_eq!(subscriptions.bytes, 0);
}

#[test]
fn a_wait_ends_in_an_error() {
    let mut subscriptions = Subscriptions::default();
    let start = Instant::now();
    for (place, seconds) in [(0, 0), (1, 9)] {
        let wish = Wish { since: start + Duration::from_secs(seconds), ..wish(1, place, Kind::Channel) };
        subscriptions.subscribe(&wish, names(&["a"]), at_home);
    }
    subscriptions.expire(start + Duration::from_secs(5), b"-late\r\n");
    assert_eq!(answered(&mut subscriptions), [(1, 0, "-late\r\n".to_owned())]);
    subscriptions.expire(start + Duration::from_secs(10), b"-late\r\n");
    assert_eq!(answered(&mut subscriptions), [(1, 1, "-late\r\n".to_owned())]);
    assert!(!subscriptions.is_waiting());
}

#[test]
fn who_leaves_is_taken_out_of_its_topics_in_pieces() {
    const TOPICS: usize = 1_000;
    let mut subscriptions = Subscriptions::default();
    open(&mut subscriptions, line(0));
    let all: Vec<_> = (0..TOPICS).map(|number| number.to_string()).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    subscriptions.subscribe(&wish(1, 0, Kind::Channel), names(&all), at_home);
    said(&mut subscriptions).into_iter().for_each(|(_, _, token)| subscriptions.confirmed(token));
    subscriptions.subscribe(&wish(1, 1, Kind::Channel), names(&["more"]), at_home);
    subscriptions.subscribe(&wish(2, 0, Kind::Channel), names(&["1"]), at_home);
    said(&mut subscriptions);
    answered(&mut subscriptions);
    subscriptions.depart(client(1));
    assert!(!subscriptions.is_waiting() && !subscriptions.has(client(1)) && subscriptions.clients() == 1);
    while subscriptions.is_in_review() {
        subscriptions.review(100, at_home);
        assert!(said(&mut subscriptions).len() <= 100);
    }
    assert!(answered(&mut subscriptions).is_empty(), "nobody is there any more");
    assert_eq!(
        (subscriptions.topics.len(), subscriptions.bytes),
        (1, TOPIC_COST + 1 + SEAT_COST + INTEREST_COST)
    );
}

#[test]
fn clients_that_are_there_get_their_channels_while_many_leave_and_those_are_not_kept_for_ever() {
    const TOPICS: usize = 1_000;
    const PIECE: usize = 100;
    let all: Vec<_> = (0..TOPICS).map(|number| number.to_string()).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let mut subscriptions = Subscriptions::default();
    open(&mut subscriptions, line(0));
    for (index, kind) in [(1, Kind::Channel), (2, Kind::Shard)] {
        subscriptions.subscribe(&wish(index, 0, kind), names(&all), at_home);
    }
    said(&mut subscriptions);
    subscriptions.depart(client(2));
    subscriptions.line_down(line(0));
    subscriptions.line_up(line(1));
    let mut asked_at_all = 0;
    while subscriptions.is_in_review() {
        let left = subscriptions.departing.iter().map(|(_, topics)| topics.len()).sum::<usize>();
        subscriptions.review(PIECE, |_, _| vec![line(1)]);
        let asked =
            said(&mut subscriptions).iter().filter(|(_, told, _)| told.starts_with("subscribe ")).count();
        let seen_off = left - subscriptions.departing.iter().map(|(_, topics)| topics.len()).sum::<usize>();
        assert!(asked >= (TOPICS - asked_at_all).min(PIECE / 2), "{asked} of {TOPICS} after {asked_at_all}");
        assert!(seen_off >= left.min(PIECE / 2), "{seen_off} of {left}");
        assert!(asked + seen_off <= PIECE, "a piece is a piece");
        asked_at_all += asked;
    }
    assert_eq!((asked_at_all, subscriptions.topics.len()), (TOPICS, TOPICS));
}

#[test]
fn a_refusal_that_nobody_who_is_there_hears_is_told_as_one() {
    let mut subscriptions = Subscriptions::default();
    open(&mut subscriptions, line(0));
    subscriptions.subscribe(&wish(1, 0, Kind::Channel), names(&["a"]), at_home);
    subscriptions.depart(client(1));
    assert!(!subscriptions.refused(1, b"-NOPERM no\r\n"));
    assert!(answered(&mut subscriptions).is_empty());
}

#[test]
fn what_a_node_has_refused_is_asked_again_with_a_view_and_not_because_another_line_comes() {
    let now = Line { serial: 1, ..line(0) };
    let homes = |_: Kind, name: &[u8]| vec![if name == b"a" { now } else { line(1) }];
    let mut subscriptions = Subscriptions::default();
    open(&mut subscriptions, line(0));
    for (place, name) in [(0, "a"), (1, "b")] {
        subscriptions.subscribe(&wish(1, place, Kind::Channel), names(&[name]), at_home);
        subscriptions.confirmed(place + 1);
    }
    subscriptions.line_down(line(0));
    subscriptions.line_up(now);
    review(&mut subscriptions, homes);
    let (_, told, token) = said(&mut subscriptions).pop().unwrap();
    assert_eq!(told, "subscribe a");
    assert!(!subscriptions.refused(token, b"-NOPERM no\r\n"), "nobody waits for it");
    subscriptions.line_up(line(1));
    review(&mut subscriptions, homes);
    let told = |subscriptions: &mut Subscriptions| {
        said(subscriptions).into_iter().map(|(_, told, _)| told).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut subscriptions), ["subscribe b"]);
    subscriptions.rehome(|_| false);
    review(&mut subscriptions, homes);
    assert_eq!(told(&mut subscriptions), ["subscribe a"]);
}
