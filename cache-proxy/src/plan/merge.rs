//! Makes one reply of the replies of several nodes.
//!
//! The parts' elements are moved as encoded bytes; nothing is decoded but integers. If any part is an error,
//! the first one in order of the parts is the reply, as a client of one Redis would expect one error.
//!
//! Pure.

pub(crate) mod log;

use std::collections::HashSet;

use resp::{Elements, Encoder, Protocol, aggregate_len};

use self::log::Log;

/// How the parts of one command become its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Integers are added: `DEL`, `EXISTS`, `DBSIZE`.
    Sum,
    /// The largest of all integers: `PUBSUB NUMPAT`.
    Most,
    /// Arrays of names and integers; the largest integer of each name: `PUBSUB NUMSUB`.
    MostPairs,
    /// The first part stands for all: `MSET`, `FLUSHALL`.
    First,
    /// The same: `SCRIPT FLUSH`.
    Flush,
    /// Arrays are appended to each other: `KEYS`.
    Concat,
    /// The same, with what is equal told once: `PUBSUB CHANNELS`.
    Union,
    /// Arrays are taken apart and put in the order of the keys asked for, by the part that holds each key:
    /// `MGET`.
    ByKey(Vec<u16>),
    /// The first part that is not null, from the given one on: `RANDOMKEY`.
    NonNull(usize),
    /// All parts must say the same: `FUNCTION LOAD`.
    Agree,
    /// The same for a script, whose text this is: `SCRIPT LOAD`.
    Load(Vec<u8>),
    /// Arrays of integers: the least at each place: `SCRIPT EXISTS`.
    Least,
    /// One success is enough: `SCRIPT KILL`.
    Stop,
    /// Entries by time: `SLOWLOG GET`.
    Log(Log),
    /// One node's `SCAN` page; the cursor is replaced by the one that goes on from `node`.
    Scan {
        /// Index of the node asked.
        node: usize,
        /// Number of nodes to walk.
        nodes: usize,
    },
}

impl Merge {
    /// What a node that is no longer part of the cluster would add: nothing.
    pub(crate) fn absent(&self) -> &'static [u8] {
        match self {
            Self::Sum | Self::Most => b":0\r\n",
            Self::First | Self::Flush => b"+OK\r\n",
            Self::Concat | Self::Union | Self::ByKey(_) | Self::MostPairs | Self::Log(_) => b"*0\r\n",
            Self::NonNull(_) | Self::Agree | Self::Load(_) | Self::Least | Self::Stop => ABSENT,
            Self::Scan { .. } => b"*2\r\n$1\r\n0\r\n*0\r\n",
        }
    }

    /// Appends the merged reply of `parts` to `out`.
    pub(crate) fn write(&self, parts: &[Vec<u8>], protocol: Protocol, out: &mut Vec<u8>) {
        if *self == Self::Stop {
            return out.extend_from_slice(stopped(parts));
        }
        let first_error = parts.iter().find(|part| matches!(part.first(), Some(b'-' | b'!')));
        if let Some(error) = first_error {
            return out.extend_from_slice(error);
        }
        let start = out.len();
        let merged = match self {
            Self::Sum => sum(parts, &mut Encoder::new(out, protocol)),
            Self::Most => most(parts, &mut Encoder::new(out, protocol)),
            Self::MostPairs => most_pairs(parts, &mut Encoder::new(out, protocol)),
            Self::First | Self::Flush => parts.first().map(|part| out.extend_from_slice(part)),
            Self::Concat => concat(parts, out, protocol),
            Self::Union => union(parts, &mut Encoder::new(out, protocol)),
            Self::ByKey(order) => by_key(order, parts, &mut Encoder::new(out, protocol)),
            Self::NonNull(start) => non_null(parts, *start, out, protocol),
            Self::Agree | Self::Load(_) => agree(parts, out, protocol),
            Self::Least => least(parts, &mut Encoder::new(out, protocol)),
            Self::Log(log) => log.write(parts, &mut Encoder::new(out, protocol)),
            // Done above: an error of one node does not count there.
            Self::Stop => Some(()),
            Self::Scan { node, nodes } => scan(parts, *node, *nodes, out, protocol),
        };
        if merged.is_none() {
            out.truncate(start);
            Encoder::new(out, protocol).error("ERR a node sent a reply of an unexpected type");
        }
    }
}

/// What stands for a node that has left.
const ABSENT: &[u8] = b"$-1\r\n";

fn present(parts: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> + Clone {
    parts.iter().map(Vec::as_slice).filter(|part| *part != ABSENT)
}

fn agree(parts: &[Vec<u8>], out: &mut Vec<u8>, protocol: Protocol) -> Option<()> {
    let mut present = present(parts);
    let first = present.next()?;
    if present.all(|part| part == first) {
        out.extend_from_slice(first);
    } else {
        Encoder::new(out, protocol).error("ERR the nodes do not agree: they are of different versions");
    }
    Some(())
}

fn least(parts: &[Vec<u8>], to: &mut Encoder<'_>) -> Option<()> {
    let numbers =
        |part| Elements::of(part)?.map(|element| integer(element.ok()?)).collect::<Option<Vec<_>>>();
    let mut present = present(parts).map(numbers);
    let mut least = present.next()??;
    for numbers in present {
        for (least, number) in least.iter_mut().zip(numbers?) {
            *least = number.min(*least);
        }
    }
    to.array(least.len());
    least.into_iter().for_each(|number| to.integer(number));
    Some(())
}

/// What one node could not stop is told; then what one has stopped; and only then that there was nothing.
fn stopped(parts: &[Vec<u8>]) -> &[u8] {
    let mut parts = present(parts);
    let serious = |part: &&[u8]| part.starts_with(b"-") && !part.starts_with(b"-NOTBUSY");
    let found = parts.clone().find(serious).or_else(|| parts.clone().find(|part| !part.starts_with(b"-")));
    found.or_else(|| parts.next()).unwrap_or(ABSENT)
}

fn sum(parts: &[Vec<u8>], to: &mut Encoder<'_>) -> Option<()> {
    let total = parts.iter().try_fold(0_i64, |total, part| total.checked_add(integer(part)?))?;
    to.integer(total);
    Some(())
}

fn most(parts: &[Vec<u8>], to: &mut Encoder<'_>) -> Option<()> {
    let most = parts.iter().try_fold(0_i64, |most, part| Some(most.max(integer(part)?)))?;
    to.integer(most);
    Some(())
}

/// The names stand in the same order in all parts: that of the question. A node that has left names none.
fn most_pairs(parts: &[Vec<u8>], to: &mut Encoder<'_>) -> Option<()> {
    let mut counts: Vec<(&[u8], i64)> = Vec::new();
    for part in parts {
        let mut elements = Elements::of(part)?;
        let mut index = 0;
        while let Some(name) = elements.next() {
            let (name, count) = (name.ok()?, integer(elements.next()?.ok()?)?);
            match counts.get_mut(index) {
                Some((known, most)) if *known == name => *most = count.max(*most),
                Some(_) => return None,
                None => counts.push((name, count)),
            }
            index += 1;
        }
    }
    to.array(counts.len() * 2);
    for (name, count) in counts {
        to.raw(name);
        to.integer(count);
    }
    Some(())
}

/// The number of an integer reply.
fn integer(reply: &[u8]) -> Option<i64> {
    let digits = reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn concat(parts: &[Vec<u8>], out: &mut Vec<u8>, protocol: Protocol) -> Option<()> {
    let headers: Option<Vec<_>> = parts.iter().map(|part| aggregate_len(part)).collect();
    let headers = headers?;
    Encoder::new(out, protocol).array(headers.iter().map(|(count, _)| count).sum());
    for (part, (_, body)) in parts.iter().zip(&headers) {
        out.extend_from_slice(&part[*body..]);
    }
    Some(())
}

fn union(parts: &[Vec<u8>], to: &mut Encoder<'_>) -> Option<()> {
    let mut seen = HashSet::new();
    let mut elements = Vec::new();
    for part in parts {
        for element in Elements::of(part)? {
            let element = element.ok()?;
            if seen.insert(element) {
                elements.push(element);
            }
        }
    }
    to.array(elements.len());
    elements.into_iter().for_each(|element| to.raw(element));
    Some(())
}

fn by_key(order: &[u16], parts: &[Vec<u8>], to: &mut Encoder<'_>) -> Option<()> {
    let elements: Option<Vec<_>> = parts.iter().map(|part| Elements::of(part)).collect();
    let mut elements = elements?;
    to.array(order.len());
    for part in order {
        to.raw(elements.get_mut(usize::from(*part))?.next()?.ok()?);
    }
    Some(())
}

fn non_null(parts: &[Vec<u8>], start: usize, out: &mut Vec<u8>, protocol: Protocol) -> Option<()> {
    let (before, from) = parts.split_at(start.checked_rem(parts.len())?);
    match from.iter().chain(before).find(|part| !matches!(part.as_slice(), b"$-1\r\n" | b"_\r\n")) {
        Some(part) => out.extend_from_slice(part),
        None => Encoder::new(out, protocol).null(),
    }
    Some(())
}

fn scan(parts: &[Vec<u8>], node: usize, nodes: usize, out: &mut Vec<u8>, protocol: Protocol) -> Option<()> {
    let mut page = Elements::of(parts.first()?)?;
    let cursor = page.next()?.ok()?;
    let keys = page.next()?.ok()?;
    let mut to = Encoder::new(out, protocol);
    match Cursor::after(bulk_integer(cursor)?, node, nodes) {
        Some(next) => {
            to.array(2);
            to.bulk(next.to_string().as_bytes());
            to.raw(keys);
        }
        None => to.error("ERR the node's SCAN cursor is too large for the proxy"),
    }
    Some(())
}

/// The number in a bulk string reply.
fn bulk_integer(reply: &[u8]) -> Option<u64> {
    let body = reply.strip_prefix(b"$")?.strip_suffix(b"\r\n")?;
    let digits = &body[body.iter().position(|byte| *byte == b'\n')? + 1..];
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A place in the walk over all nodes: which node, and where in it. To the client it is one opaque number,
/// and 0 is both the start and the end, as in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Index of the node to ask.
    pub(crate) node: usize,
    /// The cursor to give that node.
    pub(crate) within: u64,
}

impl Cursor {
    /// Low bits that name the node: 4 096 nodes. The 52 bits above hold a node's own cursor: the tables of
    /// Redis, Valkey and our own nodes stay far below 2^52 buckets.
    pub(crate) const NODE_BITS: u32 = 12;

    /// Most nodes that a cursor can name.
    pub(crate) const MOST_NODES: usize = 1 << Self::NODE_BITS;

    /// Reads a client's cursor.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let number: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        let node = number & ((1 << Self::NODE_BITS) - 1);
        Some(Self { node: usize::try_from(node).ok()?, within: number >> Self::NODE_BITS })
    }

    /// The number to give the client after `node` answered with its own cursor `within`: further in the same
    /// node, at the start of the next, or 0 at the end. `None` when `within` does not fit.
    fn after(within: u64, node: usize, nodes: usize) -> Option<u64> {
        if within > u64::MAX >> Self::NODE_BITS {
            return None;
        }
        match within {
            0 if node + 1 >= nodes => Some(0),
            0 => Some(node as u64 + 1),
            within => Some(within << Self::NODE_BITS | node as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(merge: &Merge, parts: &[&str], expected: &str) {
        let parts: Vec<_> = parts.iter().map(|part| part.as_bytes().to_vec()).collect();
        let mut out = b"before".to_vec();
        merge.write(&parts, Protocol::Resp2, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("before{expected}"), "{merge:?}");
    }

    #[test]
    fn parts_become_one_reply() {
        check(&Merge::Sum, &[":1\r\n", ":0\r\n", ":41\r\n"], ":42\r\n");
        check(&Merge::First, &["+OK\r\n", "+OK\r\n"], "+OK\r\n");
        check(&Merge::Most, &[":1\r\n", ":41\r\n", ":0\r\n"], ":41\r\n");
        let pairs = |a: u8, b: u8| format!("*4\r\n$1\r\na\r\n:{a}\r\n$1\r\nb\r\n:{b}\r\n");
        check(&Merge::MostPairs, &[&pairs(0, 3), &pairs(1, 2), "*0\r\n"], &pairs(1, 3));
        check(&Merge::MostPairs, &["*0\r\n", "*0\r\n"], "*0\r\n");
        check(
            &Merge::Concat,
            &["*1\r\n$1\r\na\r\n", "*0\r\n", "*1\r\n$1\r\nb\r\n"],
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        );
        let order = Merge::ByKey(vec![1, 0, 1]);
        check(
            &order,
            &["*1\r\n$-1\r\n", "*2\r\n$1\r\na\r\n$1\r\nc\r\n"],
            "*3\r\n$1\r\na\r\n$-1\r\n$1\r\nc\r\n",
        );
        let keys = ["$1\r\na\r\n", "$-1\r\n", "$1\r\nc\r\n"];
        for (start, expected) in
            [(0, "$1\r\na\r\n"), (1, "$1\r\nc\r\n"), (2, "$1\r\nc\r\n"), (3, "$1\r\na\r\n")]
        {
            check(&Merge::NonNull(start), &keys, expected);
        }
        check(&Merge::NonNull(7), &["$-1\r\n"], "$-1\r\n");
        check(&Merge::NonNull(0), &["_\r\n", "$1\r\na\r\n"], "$1\r\na\r\n");
    }

    #[test]
    fn scripts_are_where_all_nodes_have_them() {
        let load = Merge::Load(b"return 1".to_vec());
        check(&load, &["$1\r\na\r\n", "$-1\r\n", "$1\r\na\r\n"], "$1\r\na\r\n");
        let differ = "-ERR the nodes do not agree: they are of different versions\r\n";
        check(&Merge::Agree, &["$1\r\na\r\n", "$1\r\nb\r\n"], differ);
        check(&Merge::Least, &["*2\r\n:1\r\n:0\r\n", "$-1\r\n", "*2\r\n:0\r\n:1\r\n"], "*2\r\n:0\r\n:0\r\n");
        let idle = "-NOTBUSY No scripts in execution right now.\r\n";
        check(&Merge::Stop, &[idle, "$-1\r\n", idle], idle);
        check(&Merge::Stop, &[idle, "+OK\r\n"], "+OK\r\n");
        check(&Merge::Stop, &[idle, "+OK\r\n", "-UNKILLABLE x\r\n"], "-UNKILLABLE x\r\n");
    }

    #[test]
    fn the_first_error_is_the_reply() {
        check(&Merge::Sum, &[":1\r\n", "-WRONGTYPE x\r\n", "-ERR y\r\n"], "-WRONGTYPE x\r\n");
        check(&Merge::First, &["+OK\r\n", "-OOM x\r\n"], "-OOM x\r\n");
        check(&Merge::Sum, &[":1\r\n", "!5\r\nERR x\r\n"], "!5\r\nERR x\r\n");
    }

    #[test]
    fn a_reply_of_the_wrong_type_is_an_error() {
        let error = "-ERR a node sent a reply of an unexpected type\r\n";
        check(&Merge::Sum, &["+OK\r\n"], error);
        check(&Merge::Sum, &[":9223372036854775807\r\n", ":1\r\n"], error);
        check(&Merge::Most, &["$1\r\na\r\n"], error);
        check(&Merge::MostPairs, &["*1\r\n$1\r\na\r\n"], error);
        check(&Merge::MostPairs, &["*2\r\n$1\r\na\r\n:1\r\n", "*2\r\n$1\r\nb\r\n:1\r\n"], error);
        check(&Merge::Concat, &["*1\r\n:1\r\n", ":1\r\n"], error);
        check(&Merge::ByKey(vec![0, 0]), &["*1\r\n:1\r\n"], error);
        check(&Merge::Scan { node: 0, nodes: 1 }, &["*1\r\n$1\r\n0\r\n"], error);
    }

    #[test]
    fn an_absent_node_adds_nothing() {
        for (merge, part, expected) in [
            (Merge::Sum, ":3\r\n", ":3\r\n"),
            (Merge::First, "+OK\r\n", "+OK\r\n"),
            (Merge::Concat, "*1\r\n:1\r\n", "*1\r\n:1\r\n"),
            (Merge::NonNull(0), "$1\r\nk\r\n", "$1\r\nk\r\n"),
        ] {
            let absent = String::from_utf8(merge.absent().to_vec()).unwrap();
            check(&merge, &[&absent, part], expected);
        }
    }

    #[test]
    fn a_scan_walks_from_node_to_node() {
        let page = |cursor: &str| format!("*2\r\n${}\r\n{cursor}\r\n*1\r\n$1\r\nk\r\n", cursor.len());
        let check_page = |node, nodes, theirs: &str, ours: u64| {
            check(&Merge::Scan { node, nodes }, &[&page(theirs)], &page(&ours.to_string()));
            Cursor::parse(ours.to_string().as_bytes()).unwrap()
        };
        assert_eq!(check_page(0, 3, "17", 17 << 12), Cursor { node: 0, within: 17 });
        assert_eq!(check_page(0, 3, "0", 1), Cursor { node: 1, within: 0 });
        assert_eq!(check_page(2, 3, "5", 5 << 12 | 2), Cursor { node: 2, within: 5 });
        assert_eq!(check_page(2, 3, "0", 0), Cursor { node: 0, within: 0 });
        let huge = (1_u64 << 52).to_string();
        check(
            &Merge::Scan { node: 0, nodes: 1 },
            &[&page(&huge)],
            "-ERR the node's SCAN cursor is too large for the proxy\r\n",
        );
    }
}
