//! Any bytes through both scanners: no panic, the same verdict however the bytes are split and however many of those
//! looked at are given away (`skip`), and the same borders as `redis-protocol` wherever that finds a frame and our
//! stricter rules accept it.
#![no_main]

#[path = "../../tests/scan/mod.rs"]
mod scan;

use libfuzzer_sys::fuzz_target;
use redis_protocol::resp2::decode::decode_range;
use resp::{Limits, ProtocolError, ReplyScanner, RequestScanner};
use scan::Scan;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = (usize::from(input.0) + 1, input.1);
    let whole = bytes.len().max(1);

    let requests = |piece| {
        let mut scanner = RequestScanner::new(Limits::default());
        borders(bytes, piece, |buf| {
            let found = scanner.scan(buf)?;
            if let Some(len) = found {
                let request = scanner.request(&buf[..len]);
                request.args().for_each(|arg| assert!(arg.len() <= request.wire().len()));
            }
            Ok(found)
        })
    };
    assert_eq!(requests(piece), requests(whole));

    let replies = |piece| {
        let mut scanner = ReplyScanner::new(Limits::default());
        borders(bytes, piece, |buf| scanner.scan(buf))
    };
    assert_eq!(replies(piece), replies(whole));
    let (fresh_requests, fresh_replies) =
        (RequestScanner::new(Limits::default()), ReplyScanner::new(Limits::default()));
    assert_eq!(in_passing(fresh_requests, bytes, piece), requests(whole));
    assert_eq!(in_passing(fresh_replies, bytes, piece), replies(whole));
    agree_with_oracle(bytes, &replies(whole).0);
});

/// The borders found, and the error that ended the stream.
fn borders(
    bytes: &[u8],
    piece: usize,
    mut scan: impl FnMut(&[u8]) -> Result<Option<usize>, ProtocolError>,
) -> (Vec<usize>, Option<ProtocolError>) {
    let (mut found, mut start, mut arrived) = (Vec::new(), 0, 0);
    while arrived < bytes.len() {
        arrived = (arrived + piece).min(bytes.len());
        while start < arrived {
            match scan(&bytes[start..arrived]) {
                Ok(Some(len)) => {
                    start += len;
                    found.push(start);
                }
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

/// The borders for a reader that gives away what the scanner is done with, more or less of it.
fn in_passing(mut scanner: impl Scan, bytes: &[u8], piece: usize) -> (Vec<usize>, Option<ProtocolError>) {
    let (mut found, mut start, mut arrived) = (Vec::new(), 0, 0);
    while arrived < bytes.len() {
        arrived = (arrived + piece).min(bytes.len());
        while start < arrived {
            match scanner.scan(&bytes[start..arrived]) {
                Ok(Some(len)) => {
                    start += len;
                    found.push(start);
                }
                Ok(None) => {
                    let done = scanner.done_with(arrived - start);
                    // As random as the input: its bytes say how much.
                    let given = done.min(usize::from(bytes[arrived - 1]));
                    scanner.skip(given);
                    start += given;
                    break;
                }
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

/// Frames of RESP2 that we accept must be as long as the oracle says.
fn agree_with_oracle(bytes: &[u8], borders: &[usize]) {
    let mut start = 0;
    for end in borders {
        // Its recursion has no limit; ours refuses what is nested deeper.
        let shallow = bytes[start..*end].iter().filter(|byte| **byte == b'*').count() < 64;
        if shallow
            && matches!(bytes[start], b'+' | b'-' | b':' | b'$' | b'*')
            && let Ok(Some((_, len))) = decode_range(&bytes[start..])
        {
            assert_eq!(len, end - start);
        }
        start = *end;
    }
}
