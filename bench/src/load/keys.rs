//! Keys and values that can be checked: what belongs to a key follows from its number.

use std::io;
use std::net::SocketAddr;

use crate::client::Client;

/// SETs sent before their replies are read: few turns, and less than any socket buffer.
const BATCH: u64 = 64;

/// The key of this number: the same twelve digits that redis-benchmark puts in place of `__rand_int__`.
#[must_use]
pub fn key(prefix: &str, number: u64) -> String {
    format!("{prefix}:{number:012}")
}

/// The value that belongs to the key of this number: bytes that look random, so no part of it is like another or like
/// that of another key, and nothing on the way could make it smaller.
#[must_use]
pub fn value(number: u64, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 8);
    let mut word = number;
    while bytes.len() < size {
        word = scramble(word);
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// The step of the generator SplitMix64.
fn scramble(state: u64) -> u64 {
    let mut word = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Stores the keys 0 to `count` with their values.
///
/// # Errors
/// When the connection is lost, or a reply is not `+OK`.
pub fn preload(address: SocketAddr, prefix: &str, count: u64, size: usize) -> io::Result<()> {
    let mut client = Client::connect(address)?;
    let mut number = 0;
    while number < count {
        let batch = number..count.min(number + BATCH);
        for number in batch.clone() {
            client.queue(&[b"SET", key(prefix, number).as_bytes(), &value(number, size)]);
        }
        client.flush()?;
        for _ in batch.clone() {
            let reply = client.receive()?;
            if reply != b"+OK\r\n" {
                return Err(io::Error::other(format!("SET gave {}", shown(reply))));
            }
        }
        number = batch.end;
    }
    Ok(())
}

/// The beginning of a reply, for messages.
#[must_use]
pub fn shown(reply: &[u8]) -> String {
    /// Enough for any error text.
    const LONGEST: usize = 120;
    let start = &reply[..reply.len().min(LONGEST)];
    let more = if reply.len() > LONGEST { format!("… ({} bytes)", reply.len()) } else { String::new() };
    format!("\"{}\"{more}", start.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_redis_benchmark() {
        assert_eq!(key("get", 42), "get:000000000042");
    }

    #[test]
    fn a_value_follows_from_its_number_and_is_unlike_its_neighbours() {
        assert_eq!(value(1, 64), value(1, 64));
        assert_ne!(value(1, 64), value(2, 64));
        assert_eq!(value(1, 5).len(), 5);
        assert_eq!(value(1, 64)[..5], value(1, 5));
        let long = value(7, 4096);
        assert!(
            (1..64).all(|shift| long[shift..] != long[..4096 - shift]),
            "a shifted value looks like itself"
        );
        // Its words do not run into those of other numbers' values.
        assert!(!value(8, 4096).windows(8).any(|word| word == &long[..8]));
    }

    #[test]
    fn a_long_reply_is_cut() {
        assert_eq!(shown(b"-ERR no\r\n"), r#""-ERR no\r\n""#);
        assert!(shown(&[b'x'; 500]).ends_with("(500 bytes)"));
    }
}
