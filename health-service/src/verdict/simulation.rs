//! Random histories of a whole cluster in simulated time, against the promises of the verdict.
//!
//! Each history makes nodes crash, hang, speak garbage, restart empty or with an old file; proxies
//! report rightly and wrongly; operators drain and put back; and the service itself restarts from
//! its record. After every step the promises are checked. In the end everything is healed, and all
//! nodes must be in service again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use cluster::{MaintenanceMode, ReportKind, Status, Topology, View};

use super::schedule::CONFIRM;
use super::{
    Action, Cause, Event, Failure, MemberIndex, Outcome, Policy, ProbeId, Record, Rejoined, Success,
    Timestamp, Verdict,
};

const POLICY: Policy =
    Policy { interval: Duration::from_secs(30), timeout: Duration::from_secs(5), failures: 3, successes: 2 };
const START: Timestamp = Duration::from_secs(1_700_000_000);

/// The slowest proxy has a new view after this.
const LAG: Duration = Duration::from_millis(200);

/// A small generator: the same seed, the same history.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// How a node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Up,
    Down,
    Hung,
    Garbage,
}

/// A node as it really is.
#[derive(Debug, Clone)]
struct Node {
    mood: Mood,
    /// Which process it is.
    process: u64,
    has_data: bool,
    /// The operator took it out of service.
    drained: bool,
    /// When the view left it out last, and which process was the one to be used until then.
    left: (Timestamp, Option<String>),
    /// Holds something that others may have overwritten meanwhile.
    stale: bool,
}

/// What will be told to the verdict, and when.
enum Pending {
    Outcome(ProbeId, MemberIndex, Cause),
    Rejoin(MemberIndex, u64, Option<String>),
}

struct World {
    dice: Dice,
    now: Timestamp,
    verdict: Verdict,
    nodes: Vec<Node>,
    /// By time, then by a number that keeps the keys apart.
    pending: BTreeMap<(Timestamp, u64), Pending>,
    number: u64,
    view: Option<Arc<View>>,
    /// The last outcomes told, good or not, newest last.
    told: HashMap<MemberIndex, Vec<bool>>,
    last_confirm: HashMap<MemberIndex, Timestamp>,
    scheduled: HashMap<MemberIndex, Vec<Timestamp>>,
    born: Timestamp,
}

impl World {
    fn new(seed: u64, count: usize) -> Self {
        let verdict = Verdict::new(Topology::local(count).unwrap(), POLICY, START, None);
        let node = |process: usize| Node {
            mood: Mood::Up,
            process: process as u64,
            has_data: true,
            drained: false,
            left: (START, None),
            stale: false,
        };
        Self {
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            now: START,
            verdict,
            nodes: (0..count).map(node).collect(),
            pending: BTreeMap::new(),
            number: 1_000,
            view: None,
            told: HashMap::new(),
            last_confirm: HashMap::new(),
            scheduled: HashMap::new(),
            born: START,
        }
    }

    fn node(&mut self) -> MemberIndex {
        MemberIndex(self.dice.roll(self.nodes.len() as u64) as usize)
    }

    /// Lets time pass until `until`, with everything that falls due.
    fn pass(&mut self, until: Timestamp) {
        loop {
            let tick = self.verdict.next_tick();
            let next = self.pending.first_key_value().map(|(key, _)| *key);
            match next {
                Some(key) if key.0 <= tick && key.0 <= until => {
                    self.now = self.now.max(key.0);
                    let pending = self.pending.remove(&key).unwrap();
                    let event = self.resolve(pending);
                    self.step(event);
                }
                _ if tick <= until => {
                    self.now = self.now.max(tick);
                    self.step(Event::Tick);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    /// What a probe or rejoin finds at the moment it ends.
    fn resolve(&mut self, pending: Pending) -> Event {
        match pending {
            Pending::Outcome(id, index, cause) => {
                let outcome = self.outcome(index, cause);
                let told = self.told.entry(index).or_default();
                told.push(outcome.is_ok());
                Event::Probed(id, outcome)
            }
            Pending::Rejoin(index, attempt, known) => {
                Event::Rejoined(index, attempt, self.rejoin(index, known.as_deref()))
            }
        }
    }

    fn outcome(&mut self, index: MemberIndex, cause: Cause) -> Outcome {
        let node = &self.nodes[index.0];
        let run_id = Some(format!("process{}", node.process));
        match node.mood {
            Mood::Up => Ok(Success { response_time: Duration::from_millis(1), run_id }),
            Mood::Down => Err(Failure::Refused),
            Mood::Hung => {
                Err(Failure::Timeout(if cause == Cause::Confirm { CONFIRM } else { POLICY.timeout }))
            }
            Mood::Garbage => Err(Failure::Garbage("hello".to_owned())),
        }
    }

    fn rejoin(&mut self, index: MemberIndex, known: Option<&str>) -> Result<Rejoined, Failure> {
        let node = &mut self.nodes[index.0];
        if node.mood != Mood::Up {
            return Err(Failure::Refused);
        }
        let run_id = Some(format!("process{}", node.process));
        let flushed = run_id.as_deref() == known || node.has_data;
        if flushed {
            // A proxy that does not have the view without it yet writes on.
            let written = run_id == node.left.1 && self.now < node.left.0 + LAG;
            (node.has_data, node.stale) = (written, written);
        }
        Ok(Rejoined { run_id, flushed })
    }

    /// Something happens in the world, mostly bad.
    fn happen(&mut self) {
        let index = self.node();
        let event = match self.dice.roll(20) {
            0..=3 => return self.set_mood(index, Mood::Down),
            4 => return self.set_mood(index, Mood::Hung),
            5 => return self.set_mood(index, Mood::Garbage),
            6..=8 => return self.set_mood(index, Mood::Up),
            9..=11 => return self.restart(index),
            12 | 13 => Event::Lost(index),
            14 | 15 => {
                let by = "proxy1".parse().unwrap();
                Event::Reported { node: index, by, kind: ReportKind::Timeout }
            }
            16 => Event::CheckRequested(index),
            17 => Event::Maintenance(index, MaintenanceMode::Drain),
            18 => Event::Maintenance(index, MaintenanceMode::Ready),
            _ => return self.restart_service(),
        };
        self.step(event);
    }

    fn set_mood(&mut self, index: MemberIndex, mood: Mood) {
        let revived = self.nodes[index.0].mood == Mood::Down && mood == Mood::Up;
        self.nodes[index.0].mood = mood;
        if revived {
            self.restart(index);
        }
    }

    /// Another process behind the same address, empty or with an old file.
    fn restart(&mut self, index: MemberIndex) {
        let empty = self.dice.roll(2) == 0;
        self.number += 1;
        let process = self.number;
        let node = &mut self.nodes[index.0];
        let stale = !empty && node.has_data;
        *node = Node { mood: Mood::Up, process, has_data: stale, stale, ..node.clone() };
    }

    fn restart_service(&mut self) {
        let Some(record) = Record::of(&self.verdict) else { return };
        self.verdict =
            Verdict::new(Topology::local(self.nodes.len()).unwrap(), POLICY, self.now, Some(record));
        self.verdict.published(self.now);
        let view = self.verdict.view().cloned();
        let nodes = |view: &Option<Arc<View>>| view.as_ref().map(|view| view.nodes.clone());
        assert_eq!(nodes(&view), nodes(&self.view), "the view survives a restart");
        let epoch = |view: &Option<Arc<View>>| view.as_ref().map(|view| view.epoch);
        assert!(epoch(&view) > epoch(&self.view), "no epoch comes to mean something else");
        self.view = view;
        self.pending.clear();
        self.last_confirm.clear();
        self.scheduled.clear();
        self.told.clear();
        self.born = self.now;
    }

    fn step(&mut self, event: Event) {
        if let Event::Maintenance(index, mode) = &event {
            self.nodes[index.0].drained = *mode == MaintenanceMode::Drain;
        }
        let frozen = self.verdict.is_frozen();
        let before = self.view.clone();
        let actions = self.verdict.step(self.now, event);
        let published = actions.contains(&Action::Publish);
        for action in actions {
            self.take(action);
        }
        let view = self.verdict.view().cloned();
        assert_eq!(published, view != before, "a view is published when it is another, and only then");
        if let (Some(before), Some(after)) = (&before, &view) {
            assert_eq!(after.epoch, before.epoch + u64::from(published), "one epoch for each view");
            if published {
                self.check_change(before, after, frozen);
                self.leave(before, after);
            }
        }
        self.view = view;
        self.live_by_view();
    }

    fn take(&mut self, action: Action) {
        let key = (self.now, self.number);
        self.number += 1;
        match action {
            Action::Probe { id, member, cause, timeout } => {
                self.check_probe(member, cause);
                let takes = match self.nodes[member.0].mood {
                    Mood::Hung => timeout,
                    _ => Duration::from_millis(1 + self.dice.roll(40)),
                };
                let pending = Pending::Outcome(id, member, cause);
                self.pending.insert((self.now + takes, key.1), pending);
            }
            Action::Rejoin { node, attempt, known_run_id } => {
                let takes = Duration::from_millis(1 + self.dice.roll(300));
                self.pending.insert((self.now + takes, key.1), Pending::Rejoin(node, attempt, known_run_id));
            }
            Action::Note(transition) => {
                if (transition.from, transition.to) == (Status::Unhealthy, Status::Healthy) {
                    let told = &self.told[&transition.member];
                    assert!(told.ends_with(&[true, true]), "{transition:?} after {told:?}");
                }
            }
            Action::Publish => self.verdict.published(self.now),
            Action::Save => {}
        }
    }

    fn check_probe(&mut self, member: MemberIndex, cause: Cause) {
        if cause == Cause::Confirm
            && let Some(last) = self.last_confirm.insert(member, self.now)
        {
            assert!(self.now - last >= CONFIRM, "two confirming probes within {:?}", self.now - last);
        }
        if cause == Cause::Schedule {
            self.scheduled.entry(member).or_default().push(self.now);
        }
        let on_the_way = |pending: &&Pending| matches!(pending, Pending::Outcome(_, m, ..) if *m == member);
        assert!(self.pending.values().filter(on_the_way).count() < 5, "probes pile up");
    }

    /// While frozen, nothing goes out but by the operator's word or because it restarted.
    fn check_change(&self, before: &View, after: &View, was_frozen: bool) {
        let still_frozen = was_frozen && self.verdict.is_frozen();
        for (index, (before, after)) in before.nodes.iter().zip(&after.nodes).enumerate() {
            let went_out = before.routable && !after.routable;
            if went_out && still_frozen {
                let member = &self.verdict.members()[index];
                assert!(member.maintenance || member.must_rejoin && member.error.is_none(), "{member:?}");
            }
        }
    }

    fn leave(&mut self, before: &View, after: &View) {
        for ((before, after), node) in before.nodes.iter().zip(&after.nodes).zip(&mut self.nodes) {
            if before.routable && !after.routable {
                node.left = (self.now, before.run_id.clone());
            }
        }
    }

    /// Clients write to routable nodes only; what the others hold gets old.
    fn live_by_view(&mut self) {
        let Some(view) = &self.view else { return };
        for (published, node) in view.nodes.iter().zip(&mut self.nodes) {
            assert!(!(published.routable && node.drained), "{} is drained", published.node_id);
            let is_vetted = published.run_id == Some(format!("process{}", node.process));
            if published.routable && is_vetted {
                assert!(!node.stale, "{} is routable and may hold stale values", published.node_id);
                node.has_data |= node.mood == Mood::Up;
            } else {
                node.stale |= node.has_data;
            }
        }
    }

    /// Exactly one scheduled probe in each interval since the service started.
    fn check_schedule(&self) {
        let nodes = self.nodes.len() as u32;
        for index in 0..self.nodes.len() {
            let first = self.born + POLICY.interval * (index as u32 + 1) / nodes;
            let times = self.scheduled.get(&MemberIndex(index)).cloned().unwrap_or_default();
            let expected = match self.now.checked_sub(first) {
                Some(since) => since.as_nanos() / POLICY.interval.as_nanos() + 1,
                None => 0,
            };
            assert_eq!(times.len() as u128, expected, "scheduled probes of node {index}: {times:?}");
            for (turn, time) in (0_u32..).zip(times) {
                let due = first + POLICY.interval * turn;
                let late = time.abs_diff(due);
                // The phase is computed in floating point.
                assert!(late < Duration::from_micros(10), "turn {turn} of node {index} is {late:?} off");
            }
        }
    }
}

fn play(seed: u64, count: usize, minutes: u64) {
    let mut world = World::new(seed, count);
    let end = START + Duration::from_secs(minutes * 60);
    while world.now < end {
        // Troubles come in bursts as often as alone.
        let longest = if world.dice.roll(2) == 0 { 300 } else { 40_000 };
        let pause = Duration::from_millis(world.dice.roll(longest));
        world.pass(world.now + pause);
        world.happen();
    }
    world.check_schedule();
    for index in (0..count).map(MemberIndex) {
        world.set_mood(index, Mood::Up);
        world.step(Event::Maintenance(index, MaintenanceMode::Ready));
    }
    world.pass(world.now + POLICY.interval * 2);
    assert!(!world.verdict.is_frozen());
    let view = world.view.unwrap();
    for ((judged, published), node) in world.verdict.nodes().iter().zip(&view.nodes).zip(&world.nodes) {
        assert!(judged.status == Status::Healthy && published.routable, "{judged:?}");
        assert_eq!(published.run_id, Some(format!("process{}", node.process)), "the view names who runs");
    }
}

#[test]
fn the_promises_hold_in_random_histories() {
    for seed in 1..=10 {
        play(seed, 10, 30);
        play(seed + 100, 3, 30);
    }
    play(1_000, 1, 60);
    play(1_001, 50, 15);
}
