//! Requests that become several: split by node, sent to every node, or walking from node to node.
//!
//! Each part goes its own way, through links and hold, and its reply comes back to a [`Gather`].

use cluster::NodeIndex;
use resp::{Protocol, encode_request};

use crate::dispatch::{Dispatcher, Job};
use crate::link::pin::Pin;
use crate::plan::gather::Gather;
use crate::plan::grouping::Grouping;
use crate::plan::handling::{FanOut, Split};
use crate::plan::merge::log::{self, Log};
use crate::plan::merge::{Cursor, Merge};
use crate::plan::refuse::{NO_NODE, NO_VIEW};
use crate::plan::scripts::name_of_script;
use crate::target::Target;

impl Dispatcher {
    /// Sends a request whose keys may be on several nodes: as it is when one node has them all, else one
    /// request per node.
    pub(crate) fn split(&mut self, split: Split, job: &Job<'_>) {
        let Some(routing) = &self.routing else { return self.fail(job.target, NO_VIEW) };
        let stride = if split == Split::Pairs { 2 } else { 1 };
        let mut grouping = std::mem::take(&mut self.grouping);
        let grouped = grouping.group(job.request, stride, routing);
        match grouping.nodes() {
            _ if !grouped => self.fail(job.target, NO_NODE),
            [node] => self.send(*node, job.request.wire(), job, false),
            nodes => self.send_parts(nodes, &grouping, split, job),
        }
        self.grouping = grouping;
    }

    fn send_parts(&mut self, nodes: &[NodeIndex], grouping: &Grouping, split: Split, job: &Job<'_>) {
        let merge = match split {
            Split::Values => Merge::ByKey(grouping.order().to_vec()),
            Split::Pairs => Merge::First,
            Split::Counts => Merge::Sum,
        };
        let gather = self.gathers.insert(Gather::new(job.target, merge, job.protocol, nodes.len()));
        let mut wire = self.spare.take();
        for (part, node) in (0..).zip(nodes) {
            wire.clear();
            grouping.write_part(part, job.request.arg(0), &mut wire);
            // A gather is an entry of a slab that the hold and the links bound.
            let target = Target::part(gather as u32, part);
            self.send(*node, &wire, &Job { target, ..*job }, false);
        }
        self.spare.put(wire);
    }

    /// Sends a request to every routable node.
    pub(crate) fn send_to_every(&mut self, fan_out: FanOut, job: &Job<'_>) {
        let Some(routing) = &self.routing else { return self.fail(job.target, NO_VIEW) };
        let nodes: Vec<_> =
            (0..).map(NodeIndex).zip(routing.nodes()).filter(|(_, node)| node.routable).collect();
        let nodes: Vec<_> = nodes.into_iter().map(|(index, _)| index).collect();
        if nodes.is_empty() {
            return self.fail(job.target, NO_NODE);
        }
        let merge = match fan_out {
            FanOut::Sum => Merge::Sum,
            FanOut::First => Merge::First,
            FanOut::Concat => Merge::Concat,
            FanOut::Union => Merge::Union,
            FanOut::MostPairs => Merge::MostPairs,
            FanOut::Most => Merge::Most,
            // The count of requests is as good as a die.
            FanOut::Any => Merge::NonNull(self.stats.requests as usize),
            FanOut::Agree => Merge::Agree,
            FanOut::LoadScript => Merge::Load(job.request.arg(2).to_vec()),
            FanOut::FlushScripts => {
                // At once, so that no node is given any, and again when they have.
                self.forget_scripts();
                Merge::Flush
            }
            FanOut::Least => Merge::Least,
            FanOut::Stop => Merge::Stop,
            FanOut::SlowLog => Merge::Log(Log::Slow(log::wanted(job.request))),
            FanOut::Latest => Merge::Log(Log::Latest),
            FanOut::History => Merge::Log(Log::History),
        };
        let gather = self.gathers.insert(Gather::new(job.target, merge, job.protocol, nodes.len()));
        for (part, node) in (0..).zip(nodes) {
            let target = Target::part(gather as u32, part);
            let job = Job { target, ..*job };
            match fan_out {
                FanOut::Stop => self.send_past_others(node, &job),
                _ => self.send(node, job.request.wire(), &job, true),
            }
        }
    }

    /// Sends a request over a link of its own: on the shared one it would wait for the script that it is to stop. In
    /// RESP3, because a node that is busy with a script greets nobody but with HELLO; the answer is the same in both.
    fn send_past_others(&mut self, node: NodeIndex, job: &Job<'_>) {
        match self.pin(node, Protocol::Resp3, Pin::Urgent) {
            Some(link) => self.send_pinned(link, job, true),
            None => self.fail(job.target, NO_NODE),
        }
    }

    /// Sends a request without a key to one node: the same request to the same node, different ones to different
    /// nodes.
    pub(crate) fn send_without_key(&mut self, name: Option<&str>, job: &Job<'_>) {
        let Some(routing) = &self.routing else { return self.fail(job.target, NO_VIEW) };
        let word = name_of_script(name, job.request.get(1).unwrap_or_default());
        let Some(node) = routing.serving(routing.slot(&word)) else { return self.fail(job.target, NO_NODE) };
        let Some(name) = name else { return self.send(node, job.request.wire(), job, false) };
        let mut args: Vec<&[u8]> = job.request.args().collect();
        args[0] = name.as_bytes();
        let mut wire = self.spare.take();
        encode_request(&mut wire, args.into_iter());
        self.send(node, &wire, job, false);
        self.spare.put(wire);
    }

    /// Asks one node for the next page of the walk over all nodes.
    pub(crate) fn scan(&mut self, job: &Job<'_>) {
        let Some(routing) = &self.routing else { return self.fail(job.target, NO_VIEW) };
        let nodes = routing.nodes();
        let Some(mut cursor) = Cursor::parse(job.request.arg(1)) else {
            return self.fail(job.target, "ERR invalid cursor");
        };
        if nodes.len() > Cursor::MOST_NODES {
            return self.fail(job.target, "ERR SCAN cannot name so many nodes");
        }
        // A node that went out of service is passed over; its keys are not there to be seen.
        while nodes.get(cursor.node).is_some_and(|node| !node.routable) {
            cursor = Cursor { node: cursor.node + 1, within: 0 };
        }
        if cursor.node >= nodes.len() {
            return self.deliver(job.target, b"*2\r\n$1\r\n0\r\n*0\r\n");
        }
        let merge = Merge::Scan { node: cursor.node, nodes: nodes.len() };
        let gather = self.gathers.insert(Gather::new(job.target, merge, job.protocol, 1));
        let within = cursor.within.to_string();
        let mut args: Vec<&[u8]> = job.request.args().collect();
        args[1] = within.as_bytes();
        let mut wire = self.spare.take();
        encode_request(&mut wire, args.into_iter());
        let target = Target::part(gather as u32, 0);
        // Below `MOST_NODES`.
        self.send(NodeIndex(cursor.node as u16), &wire, &Job { target, ..*job }, true);
        self.spare.put(wire);
    }
}
