//! Sorts the keys of one request by the node that serves them.
//!
//! Its tables are kept between requests, so splitting allocates only while a larger request than ever before
//! is split.
//!
//! Pure.

use cluster::{NodeIndex, Routing};
use resp::{Encoder, Protocol, Request};

/// The keys of one request, by node.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    /// The nodes that have keys, in order of their first key. A node's place here is its part.
    nodes: Vec<NodeIndex>,
    /// The part of each key, in the order of the request.
    order: Vec<u16>,
    /// The part of each node of the routing, or `NO_PART`.
    part_of: Vec<u16>,
    /// The encoded arguments of each part, and their number. Longer than `nodes`: buffers are kept.
    parts: Vec<(Vec<u8>, usize)>,
}

/// A node that has no key of this request. There are fewer nodes than this.
const NO_PART: u16 = u16::MAX;

/// Largest argument buffer kept between requests.
const KEPT_CAPACITY: usize = 16 * 1024;

impl Grouping {
    /// Groups `request`, whose keys are every `stride`-th argument. `false`: no node serves a key.
    pub(crate) fn group(&mut self, request: &Request<'_>, stride: usize, routing: &Routing) -> bool {
        self.nodes.clear();
        self.order.clear();
        self.part_of.clear();
        self.part_of.resize(routing.nodes().len(), NO_PART);
        for (arguments, key) in self.parts.iter_mut().map(|(arguments, count)| (arguments, count)) {
            arguments.clear();
            arguments.shrink_to(KEPT_CAPACITY);
            *key = 0;
        }
        (1..request.len()).step_by(stride).all(|position| self.add(request, position, stride, routing))
    }

    fn add(&mut self, request: &Request<'_>, position: usize, stride: usize, routing: &Routing) -> bool {
        let Some(node) = routing.serving(routing.slot(request.arg(position))) else { return false };
        let part = self.part(node);
        self.order.push(part);
        let (arguments, count) = &mut self.parts[usize::from(part)];
        let mut to = Encoder::new(arguments, Protocol::Resp2);
        (position..position + stride).for_each(|argument| to.bulk(request.arg(argument)));
        *count += stride;
        true
    }

    fn part(&mut self, node: NodeIndex) -> u16 {
        let part = &mut self.part_of[node.get()];
        if *part == NO_PART {
            // There are at most as many parts as nodes, and node indices are 16 bits wide.
            *part = self.nodes.len() as u16;
            self.nodes.push(node);
            if self.parts.len() < self.nodes.len() {
                self.parts.push(Default::default());
            }
        }
        *part
    }

    /// The nodes that have keys; a node's place is its part.
    pub(crate) fn nodes(&self) -> &[NodeIndex] {
        &self.nodes
    }

    /// The part of each key, in the order of the request.
    pub(crate) fn order(&self) -> &[u16] {
        &self.order
    }

    /// Appends the request of one part: the command's name and the part's arguments.
    pub(crate) fn write_part(&self, part: u16, name: &[u8], out: &mut Vec<u8>) {
        let (arguments, count) = &self.parts[usize::from(part)];
        let mut to = Encoder::new(out, Protocol::Resp2);
        to.array(count + 1);
        to.bulk(name);
        to.raw(arguments);
    }
}
