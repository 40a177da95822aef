//! Asks the nodes about themselves when a client says `INFO` or `CONFIG GET`, and answers when they have.
//!
//! No client waits for a node that is slow or gone: after a moment it is told what is known without that one. All
//! who ask meanwhile get the same answer, and for a second nobody is asked again.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cluster::NodeId;
use commands::Class;
use resp::{Encoder, Protocol, encode_request};

use crate::dispatch::{Dispatcher, Job};
use crate::link::pipeline::Waiter;
use crate::local::figures::Figures;
use crate::local::info::{self, Sections};
use crate::local::node_settings::{self, NodeSettings};
use crate::local::settings::{self, Patterns};
use crate::outbox::RareWork;
use crate::target::Target;

/// How long a client waits for the nodes. Client libraries send `INFO` when they connect, so a dead node must not
/// delay it noticeably; a healthy one answers within milliseconds.
const PATIENCE: Duration = Duration::from_millis(200);

/// The questions on their way, and who waits for the answers.
#[derive(Debug, Default)]
pub(crate) struct NodeInfo {
    /// At most one for each question.
    rounds: Vec<Round>,
    /// Counts the rounds: answers to an earlier one are late.
    number: u32,
}

/// What nodes are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// `INFO`.
    Figures,
    /// `CONFIG GET`: asked only when a client wants to know, because nodes may refuse it.
    Settings,
}

#[derive(Debug)]
struct Round {
    number: u32,
    question: Question,
    began: Instant,
    /// Those asked; `None` once they have answered.
    asked: Vec<Option<NodeId>>,
    missing: usize,
    waiting: Vec<Asking>,
    /// What they have said of their settings, when they were asked for them.
    settings: NodeSettings,
}

/// A client that waits for an answer.
#[derive(Debug)]
struct Asking {
    target: Target,
    protocol: Protocol,
    wants: Wants,
}

#[derive(Debug)]
enum Wants {
    Info(Sections),
    Settings(Patterns),
}

impl Wants {
    /// The questions that the nodes must have answered.
    fn questions(&self) -> impl Iterator<Item = Question> {
        let (figures, settings) = match self {
            Self::Info(sections) => (sections.concern_nodes(), false),
            Self::Settings(wanted) => (
                settings::TOLD_BY_INFO.iter().any(|name| wanted.fit(name)),
                node_settings::NAMES.iter().any(|name| wanted.fit(name)),
            ),
        };
        figures.then_some(Question::Figures).into_iter().chain(settings.then_some(Question::Settings))
    }
}

impl NodeInfo {
    /// Whether time matters.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.rounds.is_empty()
    }
}

impl Dispatcher {
    /// What the nodes have said, to any worker.
    pub(crate) fn figures(&self) -> MutexGuard<'_, Figures> {
        // Nothing under this lock can panic half-way.
        self.shared.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn node_settings(&self) -> MutexGuard<'_, NodeSettings> {
        // As above.
        self.shared.node_settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers `INFO`, now or when the nodes have been asked.
    pub(crate) fn info(&mut self, job: &Job<'_>) {
        let wants = Wants::Info(Sections::named_by(job.request));
        self.answer_when_known(Asking { target: job.target, protocol: job.protocol, wants });
    }

    /// Answers `CONFIG GET`, now or when the nodes have been asked.
    pub(crate) fn config_get(&mut self, job: &Job<'_>) {
        let wants = Wants::Settings(Patterns::named_by(job.request));
        self.answer_when_known(Asking { target: job.target, protocol: job.protocol, wants });
    }

    fn answer_when_known(&mut self, asking: Asking) {
        let open: Vec<Question> =
            asking.wants.questions().filter(|question| !self.is_answered(*question)).collect();
        for question in &open {
            if self.node_info.rounds.iter().all(|round| round.question != *question) {
                self.ask_nodes(*question);
            }
        }
        match self.node_info.rounds.iter_mut().find(|round| open.contains(&round.question)) {
            Some(round) => round.waiting.push(asking),
            // A round without a node to ask has ended at once.
            None => self.tell(&asking),
        }
    }

    fn is_answered(&self, question: Question) -> bool {
        match question {
            Question::Figures => self.figures().stand(self.now),
            Question::Settings => self.node_settings().stand(self.now),
        }
    }

    fn ask_nodes(&mut self, question: Question) {
        let (number, now) = (self.node_info.number.wrapping_add(1), self.now);
        let mut wire = self.spare.take();
        match question {
            Question::Figures => encode_request(&mut wire, [&b"INFO"[..]].into_iter()),
            Question::Settings => encode_request(&mut wire, node_settings::QUESTION.into_iter()),
        }
        let mut asked = Vec::new();
        // One that is not connected would not answer in time.
        for id in self.link_of.iter().filter_map(|links| links[Protocol::Resp2 as usize]) {
            if let Some(link) = self.links.get_mut(id).filter(|link| link.up) {
                // There are fewer nodes than 2^16.
                let target = Target::figures(number, asked.len() as u16);
                link.pipeline.push(&wire, Waiter { bound: true, ..Waiter::new(target, now, Class::Admin) });
                asked.push((id, link.node.clone()));
            }
        }
        self.spare.put(wire);
        asked.iter().for_each(|(id, _)| self.list_link(*id));
        let asked: Vec<_> = asked.into_iter().map(|(_, node)| Some(node)).collect();
        let missing = asked.len();
        let settings = NodeSettings::default();
        self.node_info.number = number;
        let waiting = Vec::new();
        self.node_info.rounds.push(Round { number, question, began: now, asked, missing, waiting, settings });
        self.outbox.rare.push(RareWork::Watch);
        if missing == 0 {
            self.end_round(number);
        }
    }

    /// Takes a node's answer.
    pub(crate) fn take_figures(&mut self, number: u32, place: u16, reply: &[u8]) {
        let now = self.now;
        let Some(round) = self.node_info.rounds.iter_mut().find(|round| round.number == number) else {
            return;
        };
        let Some(node) = round.asked.get_mut(usize::from(place)).and_then(Option::take) else { return };
        round.missing -= 1;
        let is_last = round.missing == 0;
        match (round.question, reply.strip_prefix(b"$")) {
            (Question::Settings, _) => round.settings.take(reply),
            (Question::Figures, Some(text)) => {
                self.figures().take(&node, &String::from_utf8_lossy(text), now);
            }
            // An error says nothing.
            (Question::Figures, None) => {}
        }
        if is_last {
            self.end_round(number);
        }
    }

    /// Answers those who have waited long enough.
    pub(crate) fn end_overdue_info(&mut self) {
        let overdue = self.node_info.rounds.iter().filter(|round| round.began + PATIENCE <= self.now);
        let overdue: Vec<u32> = overdue.map(|round| round.number).collect();
        overdue.into_iter().for_each(|number| self.end_round(number));
    }

    fn end_round(&mut self, number: u32) {
        let rounds = &mut self.node_info.rounds;
        let Some(place) = rounds.iter().position(|round| round.number == number) else { return };
        let Round { question, began, asked, waiting, mut settings, .. } = rounds.swap_remove(place);
        match question {
            Question::Figures => self.figures().end_round(began, self.now),
            Question::Settings => {
                settings.end_round(asked.len(), self.now);
                *self.node_settings() = settings;
            }
        }
        // Who wants to know more waits for the other round.
        waiting.into_iter().for_each(|asking| self.answer_when_known(asking));
    }

    fn tell(&mut self, asking: &Asking) {
        let mut reply = self.spare.take();
        let mut to = Encoder::new(&mut reply, asking.protocol);
        match &asking.wants {
            Wants::Info(sections) => {
                to.verbatim("txt", info::text(self, sections, &self.figures()).as_bytes());
            }
            Wants::Settings(wanted) => {
                let values = settings::values(self, wanted, &self.figures(), &self.node_settings());
                to.map(values.len());
                for (name, value) in values {
                    to.bulk(name.as_bytes());
                    to.bulk(value.as_bytes());
                }
            }
        }
        self.deliver(asking.target, &reply);
        self.spare.put(reply);
    }
}
