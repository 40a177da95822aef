//! Whatever happens, in whatever order: clients that come, ask and leave, lines and views that change, nodes that answer
//! late or refuse. A model says what each client must have been told, and each node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

const LINKS: usize = 3;
const CLIENTS: usize = 3;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What may happen.
#[derive(Debug, Clone)]
enum Step {
    Subscribe(u32, Kind, Vec<&'static str>),
    /// No names: all.
    Unsubscribe(u32, Kind, Vec<&'static str>),
    Forget(u32),
    /// Another client comes in its place.
    Depart(u32),
    Up(LinkId),
    Down(LinkId),
    /// The node answers its oldest request; `false`: with a refusal.
    Answer(LinkId, bool),
    /// Another view.
    Rehome(usize),
    /// A piece of the review.
    Review,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let clients = || 0..CLIENTS as u32;
    let kinds = || prop::sample::select(Kind::ALL.to_vec());
    let links = || 0..LINKS;
    let step = prop_oneof![
        4 => (clients(), kinds(), subsequence(NAMES.to_vec(), 1..=4))
            .prop_map(|(client, kind, names)| Step::Subscribe(client, kind, names)),
        3 => (clients(), kinds(), subsequence(NAMES.to_vec(), 0..=4))
            .prop_map(|(client, kind, names)| Step::Unsubscribe(client, kind, names)),
        1 => clients().prop_map(Step::Forget),
        1 => clients().prop_map(Step::Depart),
        2 => links().prop_map(Step::Up),
        1 => links().prop_map(Step::Down),
        6 => (links(), prop::bool::weighted(0.9)).prop_map(|(link, agrees)| Step::Answer(link, agrees)),
        1 => (0_usize..4).prop_map(Step::Rehome),
        6 => Just(Step::Review),
    ];
    prop::collection::vec(step, 1..60)
}

type Name = (usize, String);

/// Nodes that do as they are told, and what the clients should have been told.
#[derive(Default)]
struct Model {
    subscriptions: Subscriptions,
    up: [bool; LINKS],
    /// How often each client has left.
    departed: [u32; CLIENTS],
    /// How often each link was lost.
    lost: [u64; LINKS],
    said: [VecDeque<Saying>; LINKS],
    /// What each node listens to.
    known: [BTreeSet<Name>; LINKS],
    /// What each client listens to, and by which requests.
    listens: BTreeMap<u32, BTreeMap<Name, Vec<Place>>>,
    /// Requests without an answer: the names, and the answer that is due.
    due: BTreeMap<(u32, Place), (Vec<Name>, String)>,
    places: Place,
    salt: usize,
    /// Requests before this one may have been confirmed by nodes that were lost, or left, before the answer.
    calm_since: Place,
}

/// Patterns live on all links but one, channels on one; which, changes with the view.
fn homes(salt: usize, kind: usize, name: &str) -> Vec<LinkId> {
    match kind {
        pattern if pattern == Kind::Pattern as usize => (0..LINKS).filter(|link| *link != salt).collect(),
        _ => vec![(name.as_bytes()[0] as usize + salt) % LINKS],
    }
}

/// Whether a topic of the link lives elsewhere with another view.
fn has_lost(link: LinkId, before: usize, now: usize) -> bool {
    let mut all = Kind::ALL.into_iter().flat_map(|kind| NAMES.map(|name| (kind as usize, name)));
    all.any(|(kind, name)| {
        let were = homes(before, kind, name);
        were.contains(&link) && were != homes(now, kind, name)
    })
}

impl Model {
    fn count(&self, client: u32, kind: Kind) -> usize {
        let is_shard = |kind: usize| kind == Kind::Shard as usize;
        let counts = |(of, _): &&Name| is_shard(*of) == is_shard(kind as usize);
        self.listens.get(&client).map_or(0, |names| names.keys().filter(counts).count())
    }

    fn client(&self, index: u32) -> ClientId {
        ClientId { serial: self.departed[index as usize], ..client(index) }
    }

    fn line(&self, link: LinkId) -> Line {
        Line { link, serial: self.lost[link] }
    }

    fn find(&self) -> impl FnMut(Kind, &[u8]) -> Vec<Line> + use<> {
        let (salt, lines): (_, Vec<_>) = (self.salt, (0..LINKS).map(|link| self.line(link)).collect());
        move |kind, name| {
            let homes = homes(salt, kind as usize, std::str::from_utf8(name).unwrap());
            homes.into_iter().map(|link| lines[link]).collect()
        }
    }

    fn step(&mut self, step: &Step) {
        let before = self.salt;
        let find = self.find();
        match step {
            Step::Subscribe(client, kind, asked) => {
                let place = self.places;
                self.places += 1;
                let mut due = String::new();
                for name in asked {
                    let name = (*kind as usize, (*name).to_owned());
                    self.listens.entry(*client).or_default().entry(name.clone()).or_default().push(place);
                    due += &confirmation(kind.subscribe(), &name.1, self.count(*client, *kind));
                }
                let names_asked = asked.iter().map(|name| (*kind as usize, (*name).to_owned())).collect();
                self.due.insert((*client, place), (names_asked, due));
                let wish = Wish { client: self.client(*client), ..wish(*client, place, *kind) };
                self.subscriptions.subscribe(&wish, names(asked), find);
            }
            Step::Unsubscribe(index, kind, asked) => self.unsubscribe(*index, *kind, asked),
            Step::Forget(index) => {
                self.subscriptions.forget(self.client(*index));
                self.listens.remove(index);
            }
            Step::Depart(index) => {
                self.subscriptions.depart(self.client(*index));
                self.departed[*index as usize] += 1;
                self.listens.remove(index);
                self.due.retain(|(client, _), _| client != index);
            }
            Step::Up(link) if !self.up[*link] => {
                self.up[*link] = true;
                self.subscriptions.line_up(self.line(*link));
            }
            Step::Down(link) => {
                self.calm_since = self.places;
                self.up[*link] = false;
                self.said[*link].clear();
                self.known[*link].clear();
                self.subscriptions.line_down(self.line(*link));
                self.lost[*link] += 1;
            }
            Step::Up(_) => {}
            Step::Answer(link, agrees) => self.answer(*link, *agrees),
            Step::Rehome(salt) => {
                self.calm_since = self.places;
                self.salt = *salt;
                self.subscriptions.rehome(|line| has_lost(line.link, before, *salt));
            }
            Step::Review => self.subscriptions.review(1, find),
        }
        self.settle();
    }

    fn unsubscribe(&mut self, index: u32, kind: Kind, asked: &[&'static str]) {
        let told = self.subscriptions.unsubscribe(self.client(index), Protocol::Resp2, kind, names(asked));
        let told = String::from_utf8(told).unwrap();
        let mut expected = String::new();
        for name in asked {
            self.listens.entry(index).or_default().remove(&(kind as usize, (*name).to_owned()));
            expected += &confirmation(kind.unsubscribe(), name, self.count(index, kind));
        }
        if asked.is_empty() {
            let mine = self.listens.entry(index).or_default();
            let before = mine.len();
            mine.retain(|(of, _), _| *of != kind as usize);
            let ended = (before - mine.len()).max(1);
            assert_eq!(told.matches(kind.unsubscribe()).count(), ended);
        } else {
            assert_eq!(told, expected);
        }
    }

    fn answer(&mut self, link: LinkId, agrees: bool) {
        let Some(saying) = self.said[link].pop_front() else { return };
        let kind = Kind::ALL.into_iter().find(|kind| saying.command == kind.subscribe());
        let name = String::from_utf8(saying.name.to_vec()).unwrap();
        match kind {
            Some(kind) if agrees => {
                self.known[link].insert((kind as usize, name));
                self.subscriptions.confirmed(saying.token);
            }
            Some(_) => {
                self.subscriptions.refused(saying.token, b"-no\r\n");
            }
            None => {
                let kind = Kind::ALL.into_iter().find(|kind| saying.command == kind.unsubscribe()).unwrap();
                self.known[link].remove(&(kind as usize, name));
            }
        }
    }

    /// Carries the words to the nodes and holds the answers to what is due.
    fn settle(&mut self) {
        for saying in std::mem::take(&mut self.subscriptions.sayings) {
            let link = saying.line.link;
            assert!(self.up[link] && saying.line == self.line(link), "{saying:?} to a line that is not up");
            self.said[link].push_back(saying);
        }
        for (index, place, told) in answered(&mut self.subscriptions) {
            let (asked, due) = self.due.remove(&(index, place)).expect("one answer per request");
            let mine = self.listens.entry(index).or_default();
            if told == "-no\r\n" {
                mine.iter_mut().for_each(|(_, since)| since.retain(|named| *named != place));
                mine.retain(|_, since| !since.is_empty());
                continue;
            }
            assert_eq!(told, due);
            let is_meant = |name: &&Name| mine.get(*name).is_some_and(|named| named[0] <= place);
            for name in asked.iter().filter(is_meant).filter(|_| place >= self.calm_since) {
                for link in homes(self.salt, name.0, &name.1) {
                    assert!(
                        self.known[link].contains(name),
                        "{name:?} is confirmed, link {link} knows nothing"
                    );
                }
            }
        }
    }

    /// Every node is there and agrees with everything.
    fn calm_down(&mut self) {
        (0..LINKS).for_each(|link| self.step(&Step::Up(link)));
        // What was refused is asked for again with the next view or the next connection.
        self.step(&Step::Rehome(self.salt));
        while self.subscriptions.is_in_review() || (0..LINKS).any(|link| !self.said[link].is_empty()) {
            self.step(&Step::Review);
            (0..LINKS).for_each(|link| self.step(&Step::Answer(link, true)));
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_every_request_is_answered_once_and_the_nodes_know_what_is_wanted(steps in steps()) {
        let mut model = Model::default();
        steps.iter().for_each(|step| model.step(step));
        model.calm_down();
        prop_assert!(model.due.is_empty() && !model.subscriptions.is_waiting(), "{:?}", model.due);
        let mut wanted: [BTreeSet<Name>; LINKS] = Default::default();
        for name in model.listens.values().flat_map(BTreeMap::keys) {
            homes(model.salt, name.0, &name.1).into_iter().for_each(|link| { wanted[link].insert(name.clone()); });
        }
        prop_assert_eq!(&model.known, &wanted);
        for (index, names) in &model.listens {
            for ((kind, name), named) in names {
                let mut audience = model.subscriptions.audience(Kind::ALL[*kind], name.as_bytes());
                prop_assert!(audience.any(|heard| heard == (model.client(*index), named[0])));
            }
        }
        for (link, wanted) in wanted.iter().enumerate() {
            prop_assert_eq!(model.subscriptions.is_seated(model.line(link)), !wanted.is_empty());
        }
        (0..CLIENTS as u32).for_each(|index| model.step(&Step::Depart(index)));
        model.calm_down();
        let Subscriptions { topics, subscribers, bytes, seated, asked, .. } = &model.subscriptions;
        prop_assert!(topics.is_empty() && subscribers.is_empty() && seated.is_empty() && asked.is_empty());
        prop_assert_eq!(*bytes, 0);
    }
}
