//! The scanners against an independent implementation, the `redis-protocol` crate: on every well-formed
//! stream both must find the same frames at the same borders, however the stream is split.
//!
//! Known differences, left out of the generated streams: `redis-protocol` knows no inline requests, does not
//! check the CRLF after a bulk string, takes streamed aggregates that no server sends, refuses aggregates as
//! set members and map keys, and bounds nothing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scan;

use proptest::prelude::*;
use redis_protocol::resp2;
use redis_protocol::resp2::types::Resp2Frame as _;
use redis_protocol::resp3;
use resp::{Encoder, Limits, Protocol, ProtocolError, ReplyScanner, RequestScanner, encode_request};
use scan::Scan;

/// A reply as a tree, to be encoded by our encoder.
#[derive(Debug, Clone)]
enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
    NullArray,
    Array(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Set(Vec<Self>),
    Double(f64),
    Boolean(bool),
    Verbatim(Vec<u8>),
    BigNumber(String),
}

impl Reply {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Self::Simple(text) => to.simple(text),
            Self::Error(text) => to.error(text),
            Self::Integer(value) => to.integer(*value),
            Self::Bulk(bytes) => to.bulk(bytes),
            Self::Null => to.null(),
            Self::NullArray => to.null_array(),
            Self::Array(items) => {
                to.array(items.len());
                items.iter().for_each(|item| item.encode(to));
            }
            Self::Set(items) => {
                to.set(items.len());
                items.iter().for_each(|item| item.encode(to));
            }
            Self::Map(pairs) => {
                to.map(pairs.len());
                pairs.iter().for_each(|(key, value)| {
                    key.encode(to);
                    value.encode(to);
                });
            }
            Self::Double(value) => to.double(*value),
            Self::Boolean(value) => to.boolean(*value),
            Self::Verbatim(text) => to.verbatim("txt", text),
            Self::BigNumber(digits) => to.big_number(digits),
        }
    }
}

fn leaf() -> impl Strategy<Value = Reply> {
    prop_oneof![
        "[ -~]{0,40}".prop_map(Reply::Simple),
        "ERR [ -~]{0,40}".prop_map(Reply::Error),
        any::<i64>().prop_map(Reply::Integer),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Reply::Bulk),
        Just(Reply::Null),
        Just(Reply::NullArray),
        (-1e12..1e12).prop_map(Reply::Double),
        any::<bool>().prop_map(Reply::Boolean),
        "[ -~]{0,40}".prop_map(|text| Reply::Verbatim(text.into_bytes())),
        "[1-9][0-9]{20,40}".prop_map(Reply::BigNumber),
    ]
}

/// What the oracle takes as a set member or a map key.
fn hashable() -> impl Strategy<Value = Reply> {
    prop_oneof![
        any::<i64>().prop_map(Reply::Integer),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Reply::Bulk)
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    leaf().prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Reply::Array),
            prop::collection::vec(hashable(), 0..6).prop_map(Reply::Set),
            prop::collection::vec((hashable(), inner), 0..4).prop_map(Reply::Map),
        ]
    })
}

/// The borders our scanner finds when the stream arrives in the given pieces.
fn reply_borders(bytes: &[u8], pieces: &[usize]) -> Vec<usize> {
    let mut scanner = ReplyScanner::new(Limits::default());
    let (mut borders, mut start, mut arrived) = (Vec::new(), 0, 0);
    for piece in pieces.iter().cycle() {
        arrived = (arrived + piece).min(bytes.len());
        while let Some(len) = scanner.scan(&bytes[start..arrived]).unwrap() {
            start += len;
            borders.push(start);
            if start == arrived {
                break;
            }
        }
        if arrived == bytes.len() {
            return borders;
        }
    }
    borders
}

/// The same, by a reader that gives away what the scanner is done with: `gifts` says how much of it each time.
fn borders_in_passing(mut scanner: impl Scan, bytes: &[u8], pieces: &[usize], gifts: &[usize]) -> Vec<usize> {
    let mut gifts = gifts.iter().cycle();
    let (mut borders, mut start, mut arrived) = (Vec::new(), 0, 0);
    for piece in pieces.iter().cycle() {
        arrived = (arrived + piece).min(bytes.len());
        while start < arrived {
            if let Some(len) = scanner.scan(&bytes[start..arrived]).unwrap() {
                start += len;
                borders.push(start);
                continue;
            }
            let gift = scanner.done_with(arrived - start).min(*gifts.next().unwrap());
            scanner.skip(gift);
            start += gift;
            break;
        }
        if arrived == bytes.len() {
            return borders;
        }
    }
    borders
}

fn resp2_borders(bytes: &[u8]) -> Vec<usize> {
    let (mut borders, mut start) = (Vec::new(), 0);
    while start < bytes.len() {
        let (_, len) = resp2::decode::decode_range(&bytes[start..]).unwrap().unwrap();
        start += len;
        borders.push(start);
    }
    borders
}

fn resp3_borders(bytes: &[u8]) -> Vec<usize> {
    let (mut borders, mut start) = (Vec::new(), 0);
    while start < bytes.len() {
        let (_, len) = resp3::decode::complete::decode_range(&bytes[start..]).unwrap().unwrap();
        start += len;
        borders.push(start);
    }
    borders
}

fn encoded(replies: &[Reply], protocol: Protocol) -> Vec<u8> {
    let mut bytes = Vec::new();
    replies.iter().for_each(|reply| reply.encode(&mut Encoder::new(&mut bytes, protocol)));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn replies_end_where_the_oracle_says(
        replies in prop::collection::vec(reply(), 1..6),
        pieces in prop::collection::vec(1_usize..64, 1..8),
        gifts in prop::collection::vec(0_usize..100, 1..8),
    ) {
        let resp2 = encoded(&replies, Protocol::Resp2);
        prop_assert_eq!(reply_borders(&resp2, &pieces), resp2_borders(&resp2));
        let scanner = || ReplyScanner::new(Limits::default());
        prop_assert_eq!(borders_in_passing(scanner(), &resp2, &pieces, &gifts), resp2_borders(&resp2));
        let resp3 = encoded(&replies, Protocol::Resp3);
        prop_assert_eq!(reply_borders(&resp3, &pieces), resp3_borders(&resp3));
        prop_assert_eq!(borders_in_passing(scanner(), &resp3, &pieces, &gifts), resp3_borders(&resp3));
    }

    #[test]
    fn requests_have_the_arguments_the_oracle_says(
        requests in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..8), 1..6),
        pieces in prop::collection::vec(1_usize..64, 1..8),
        gifts in prop::collection::vec(0_usize..100, 1..8),
    ) {
        let mut bytes = Vec::new();
        requests.iter().for_each(|args| encode_request(&mut bytes, args.iter().map(Vec::as_slice)));
        let mut scanner = RequestScanner::new(Limits::default());
        let (mut start, mut arrived, mut found) = (0, 0, Vec::new());
        for piece in pieces.iter().cycle() {
            arrived = (arrived + piece).min(bytes.len());
            while let Some(len) = scanner.scan(&bytes[start..arrived]).unwrap() {
                let rest = &bytes[start..arrived];
                let (frame, oracle_len) = resp2::decode::decode(rest).unwrap().unwrap();
                let resp2::types::OwnedFrame::Array(oracle) = frame else { panic!("no array: {frame:?}") };
                let oracle: Vec<_> = oracle.iter().map(|arg| arg.as_bytes().unwrap().to_vec()).collect();
                let args: Vec<_> = scanner.request(rest).args().map(<[u8]>::to_vec).collect();
                prop_assert_eq!(len, oracle_len);
                prop_assert_eq!(&args, &oracle);
                prop_assert_eq!(scanner.request(rest).wire(), &rest[..len]);
                found.push(args);
                start += len;
            }
            if arrived == bytes.len() {
                break;
            }
        }
        prop_assert_eq!(found, requests);
        let scanner = RequestScanner::new(Limits::default());
        prop_assert_eq!(borders_in_passing(scanner, &bytes, &pieces, &gifts), resp2_borders(&bytes));
    }

    /// Any bytes at all: no panic, and the verdict does not depend on how they are split.
    #[test]
    fn garbage_gets_one_verdict_however_it_is_split(
        bytes in prop::collection::vec(prop_oneof![
            prop::sample::select(&b"*$+-:,#(_=!~>%|?\r\n0123456789 \"'\\x"[..]), any::<u8>()
        ], 0..120),
        piece in 1_usize..16,
    ) {
        prop_assert_eq!(request_verdict(&bytes, piece), request_verdict(&bytes, bytes.len().max(1)));
        prop_assert_eq!(reply_verdict(&bytes, piece), reply_verdict(&bytes, bytes.len().max(1)));
        let whole = bytes.len().max(1);
        let (requests, replies) = (RequestScanner::new(Limits::default()), ReplyScanner::new(Limits::default()));
        prop_assert_eq!(verdict_in_passing(requests, &bytes, piece), request_verdict(&bytes, whole));
        prop_assert_eq!(verdict_in_passing(replies, &bytes, piece), reply_verdict(&bytes, whole));
    }
}

/// The verdict of a reader that gives away all that the scanner is done with.
fn verdict_in_passing(mut scanner: impl Scan, bytes: &[u8], piece: usize) -> (Vec<usize>, Option<String>) {
    let (mut lens, mut given, mut start, mut arrived) = (Vec::new(), 0, 0, 0);
    while arrived < bytes.len() {
        arrived = (arrived + piece).min(bytes.len());
        while start < arrived {
            match scanner.scan(&bytes[start..arrived]) {
                Ok(Some(len)) => {
                    lens.push(std::mem::take(&mut given) + len);
                    start += len;
                }
                Ok(None) => {
                    let done = scanner.done_with(arrived - start);
                    scanner.skip(done);
                    (given, start) = (given + done, start + done);
                    break;
                }
                Err(error) => return (lens, Some(error.to_string())),
            }
        }
    }
    (lens, None)
}

/// The requests found, and the error that ended the stream, if one did.
fn request_verdict(bytes: &[u8], piece: usize) -> (Vec<usize>, Option<String>) {
    let mut scanner = RequestScanner::new(Limits::default());
    verdict(bytes, piece, |buf| scanner.scan(buf))
}

fn reply_verdict(bytes: &[u8], piece: usize) -> (Vec<usize>, Option<String>) {
    let mut scanner = ReplyScanner::new(Limits::default());
    verdict(bytes, piece, |buf| scanner.scan(buf))
}

fn verdict(
    bytes: &[u8],
    piece: usize,
    mut scan: impl FnMut(&[u8]) -> Result<Option<usize>, ProtocolError>,
) -> (Vec<usize>, Option<String>) {
    let (mut lens, mut start, mut arrived) = (Vec::new(), 0, 0);
    while arrived < bytes.len() {
        arrived = (arrived + piece).min(bytes.len());
        while start < arrived {
            match scan(&bytes[start..arrived]) {
                Ok(Some(len)) => {
                    lens.push(len);
                    start += len;
                }
                Ok(None) => break,
                Err(error) => return (lens, Some(error.to_string())),
            }
        }
    }
    (lens, None)
}
