//! Asks the nodes for their figures when a client says `INFO`, and answers when they have.
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
use crate::outbox::RareWork;
use crate::target::Target;

/// How long an `INFO` waits for the nodes. Client libraries send it when they connect, so a dead node must not
/// delay it noticeably; a healthy one answers within milliseconds.
const PATIENCE: Duration = Duration::from_millis(200);

/// The questions on their way, and who waits for the answers.
#[derive(Debug, Default)]
pub(crate) struct NodeInfo {
    round: Option<Round>,
    /// Counts the rounds: answers to an earlier one are late.
    number: u32,
}

#[derive(Debug)]
struct Round {
    began: Instant,
    /// Those asked; `None` once they have answered.
    asked: Vec<Option<NodeId>>,
    missing: usize,
    waiting: Vec<Asking>,
}

/// A client that said `INFO`.
#[derive(Debug)]
struct Asking {
    target: Target,
    protocol: Protocol,
    sections: Sections,
}

impl NodeInfo {
    /// Whether time matters.
    pub(crate) fn is_waiting(&self) -> bool {
        self.round.is_some()
    }
}

impl Dispatcher {
    /// What the nodes have said, to any worker.
    pub(crate) fn figures(&self) -> MutexGuard<'_, Figures> {
        // Nothing under this lock can panic half-way.
        self.shared.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers `INFO`, now or when the nodes have been asked.
    pub(crate) fn info(&mut self, job: &Job<'_>) {
        let sections = Sections::named_by(job.request);
        let asking = Asking { target: job.target, protocol: job.protocol, sections };
        if !asking.sections.concern_nodes() || self.figures().stand(self.now) {
            return self.tell(&asking);
        }
        match &mut self.node_info.round {
            Some(round) => round.waiting.push(asking),
            None => self.ask_nodes(asking),
        }
    }

    fn ask_nodes(&mut self, asking: Asking) {
        let (number, now) = (self.node_info.number.wrapping_add(1), self.now);
        let mut wire = self.spare.take();
        encode_request(&mut wire, [&b"INFO"[..]].into_iter());
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
        self.node_info.number = number;
        self.node_info.round = Some(Round { began: now, missing: asked.len(), asked, waiting: vec![asking] });
        self.outbox.rare.push(RareWork::Watch);
        if self.node_info.round.as_ref().is_some_and(|round| round.missing == 0) {
            self.end_round();
        }
    }

    /// Takes a node's answer.
    pub(crate) fn take_figures(&mut self, number: u32, place: u16, reply: &[u8]) {
        let now = self.now;
        let Some(round) = self.node_info.round.as_mut().filter(|_| number == self.node_info.number) else {
            return;
        };
        let Some(node) = round.asked.get_mut(usize::from(place)).and_then(Option::take) else { return };
        round.missing -= 1;
        let is_last = round.missing == 0;
        // An error says nothing.
        if let Some(text) = reply.strip_prefix(b"$") {
            self.figures().take(&node, &String::from_utf8_lossy(text), now);
        }
        if is_last {
            self.end_round();
        }
    }

    /// Answers those who have waited long enough.
    pub(crate) fn end_overdue_info(&mut self) {
        if self.node_info.round.as_ref().is_some_and(|round| round.began + PATIENCE <= self.now) {
            self.end_round();
        }
    }

    fn end_round(&mut self) {
        let Some(round) = self.node_info.round.take() else { return };
        self.figures().end_round(round.began, self.now);
        round.waiting.iter().for_each(|asking| self.tell(asking));
    }

    fn tell(&mut self, asking: &Asking) {
        let text = info::text(self, &asking.sections, &self.figures());
        let mut reply = self.spare.take();
        Encoder::new(&mut reply, asking.protocol).verbatim("txt", text.as_bytes());
        self.deliver(asking.target, &reply);
        self.spare.put(reply);
    }
}
