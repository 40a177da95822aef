//! Makes one log of the logs of several nodes: slow requests, and latency events.
//!
//! Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use resp::{Elements, Encoder, Request};

use super::{Cursor, integer};

/// Which log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    /// `SLOWLOG GET`, `COMMANDLOG GET`: the newest so many.
    Slow(usize),
    /// `LATENCY LATEST`: one entry per event.
    Latest,
    /// `LATENCY HISTORY`: times and durations, oldest first.
    History,
}

/// How many entries a `SLOWLOG GET` asks for. What is no number is refused by the nodes.
pub(crate) fn wanted(request: &Request<'_>) -> usize {
    /// Redis' default.
    const UNASKED: usize = 10;
    let count = request.get(2).map(|text| std::str::from_utf8(text).unwrap_or_default().parse::<i64>());
    match count {
        None => UNASKED,
        // -1: all of them.
        Some(count) => usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX),
    }
}

impl Log {
    /// Appends the merged log.
    pub(super) fn write(self, parts: &[Vec<u8>], to: &mut Encoder<'_>) -> Option<()> {
        match self {
            Self::Slow(wanted) => slow_log(parts, wanted, to),
            Self::Latest => latest(parts, to),
            Self::History => history(parts, to),
        }
    }
}

/// The elements of all parts, each with the index of its part.
fn entries(parts: &[Vec<u8>]) -> Option<Vec<(usize, &[u8])>> {
    let mut all = Vec::new();
    for (node, part) in parts.iter().enumerate() {
        for entry in Elements::of(part)? {
            all.push((node, entry.ok()?));
        }
    }
    Some(all)
}

/// An entry is its number, its time, its duration, and more. Numbers of different nodes are made different.
fn slow_log(parts: &[Vec<u8>], wanted: usize, to: &mut Encoder<'_>) -> Option<()> {
    let mut found = Vec::new();
    for (node, entry) in entries(parts)? {
        let mut fields = Elements::of(entry)?.collect::<Result<Vec<_>, _>>().ok()?;
        let (number, time) = (integer(fields.first()?)?, integer(fields.get(1)?)?);
        fields.remove(0);
        found.push((time, number, node, fields));
    }
    found.sort_unstable_by_key(|(time, number, node, _)| Reverse((*time, *number, *node)));
    found.truncate(wanted);
    to.array(found.len());
    for (_, number, node, fields) in found {
        to.array(fields.len() + 1);
        // A node counts its slow requests: far below 2^51.
        to.integer(number << Cursor::NODE_BITS | node as i64);
        fields.into_iter().for_each(|field| to.raw(field));
    }
    Some(())
}

/// An entry is an event's name, the time and duration of the latest, and the longest ever.
fn latest(parts: &[Vec<u8>], to: &mut Encoder<'_>) -> Option<()> {
    let mut events = BTreeMap::<&[u8], (i64, i64, i64)>::new();
    for (_, entry) in entries(parts)? {
        let fields = Elements::of(entry)?.collect::<Result<Vec<_>, _>>().ok()?;
        let [name, time, duration, longest, ..] = fields.as_slice() else { return None };
        let (time, duration, longest) = (integer(time)?, integer(duration)?, integer(longest)?);
        let event = events.entry(name).or_insert((time, duration, longest));
        let newest = (time, duration).max((event.0, event.1));
        *event = (newest.0, newest.1, longest.max(event.2));
    }
    to.array(events.len());
    for (name, (time, duration, longest)) in events {
        to.array(4);
        to.raw(name);
        [time, duration, longest].into_iter().for_each(|number| to.integer(number));
    }
    Some(())
}

fn history(parts: &[Vec<u8>], to: &mut Encoder<'_>) -> Option<()> {
    let timed = |(_, entry)| Some((integer(Elements::of(entry)?.next()?.ok()?)?, entry));
    let mut found = entries(parts)?.into_iter().map(timed).collect::<Option<Vec<_>>>()?;
    found.sort_by_key(|(time, _)| *time);
    to.array(found.len());
    found.into_iter().for_each(|(_, entry)| to.raw(entry));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use resp::Protocol;

    fn merged(log: Log, parts: &[&str]) -> String {
        let parts: Vec<_> = parts.iter().map(|part| part.replace(' ', "\r\n").into_bytes()).collect();
        let mut out = Vec::new();
        log.write(&parts, &mut Encoder::new(&mut out, Protocol::Resp2)).unwrap();
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn slow_requests_come_newest_first_and_no_more_than_asked_for() {
        let parts = ["*2 *3 :7 :200 :5 *3 :6 :100 :5 ", "*0 ", "*1 *3 :7 :150 :9 "];
        let number = |number: i64, node: i64| number << 12 | node;
        let newest = format!("*3 :{} :200 :5 *3 :{} :150 :9 ", number(7, 0), number(7, 2));
        assert_eq!(merged(Log::Slow(2), &parts), format!("*2 {newest}"));
        let oldest = format!("*3 :{} :100 :5 ", number(6, 0));
        assert_eq!(merged(Log::Slow(usize::MAX), &parts), format!("*3 {newest}{oldest}"));
    }

    #[test]
    fn an_event_has_its_latest_and_its_longest_of_all_nodes() {
        let parts = ["*1 *4 $4 fork :10 :3 :90 ", "*2 *4 $4 fork :20 :5 :8 *4 $3 aof :1 :2 :3 "];
        assert_eq!(merged(Log::Latest, &parts), "*2 *4 $3 aof :1 :2 :3 *4 $4 fork :20 :5 :90 ");
        let parts = ["*2 *2 :10 :3 *2 :30 :4 ", "*1 *2 :20 :5 "];
        assert_eq!(merged(Log::History, &parts), "*3 *2 :10 :3 *2 :20 :5 *2 :30 :4 ");
    }

    #[test]
    fn what_is_no_log_is_not_merged() {
        let mut out = Vec::new();
        for log in [Log::Slow(1), Log::Latest, Log::History] {
            for part in [&b"+OK\r\n"[..], b"*1\r\n:1\r\n", b"*1\r\n*1\r\n$1\r\nx\r\n"] {
                assert_eq!(log.write(&[part.to_vec()], &mut Encoder::new(&mut out, Protocol::Resp2)), None);
            }
        }
    }
}
