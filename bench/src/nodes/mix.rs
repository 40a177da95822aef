//! A mix of requests whose replies can be checked.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use resp::{Encoder, Protocol, encode_request};

use super::dataset::{Command, SORTED_SET, VALUE};
use crate::load::keys::shown;
use crate::load::open_loop::Workload;
use crate::load::{key, value};

/// Of twenty requests, how many are of which kind: reads most, as caches see them.
const EVERYTHING: [(Command, u64); 5] =
    [(Command::Get, 14), (Command::Set, 3), (Command::Incr, 1), (Command::Zadd, 1), (Command::Zrange, 1)];
/// Members asked for at once.
const RANGE: usize = 10;
/// A tag is the number of a key with the place of the command above it.
const COMMAND_SHIFT: u32 = 56;

/// Random requests over the data every server holds.
#[derive(Debug)]
pub(super) struct Mix {
    shares: Vec<(Command, u64)>,
    keys: u64,
    random: Xoshiro256PlusPlus,
    /// The reply that is expected to a GET.
    expected: Vec<u8>,
}

impl Mix {
    /// Every kind of request, over `keys` keys of each kind.
    pub(super) fn of_everything(keys: u64, seed: u64) -> Self {
        Self::of(&EVERYTHING, keys, seed)
    }

    /// One kind of request.
    pub(super) fn of_one(command: Command, keys: u64, seed: u64) -> Self {
        Self::of(&[(command, 1)], keys, seed)
    }

    fn of(shares: &[(Command, u64)], keys: u64, seed: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self { shares: shares.to_vec(), keys, random, expected: Vec::new() }
    }

    fn draw(&mut self) -> (usize, Command) {
        let all: u64 = self.shares.iter().map(|(_, share)| share).sum();
        let mut left = self.random.random_range(0..all);
        for (place, (command, share)) in self.shares.iter().enumerate() {
            match left.checked_sub(*share) {
                Some(rest) => left = rest,
                None => return (place, *command),
            }
        }
        (0, self.shares[0].0)
    }
}

impl Workload for Mix {
    fn request(&mut self, _: u64, out: &mut Vec<u8>) -> u64 {
        let (place, command) = self.draw();
        let number = self.random.random_range(0..self.keys);
        let (score, set) = (self.random.random_range(0..self.keys).to_string(), SORTED_SET.as_bytes());
        let mut send = |args: &[&[u8]]| encode_request(out, args.iter().copied());
        match command {
            Command::Get => send(&[b"GET", key("key", number).as_bytes()]),
            Command::Set => send(&[b"SET", key("set", number).as_bytes(), &value(number, VALUE)]),
            Command::Incr => send(&[b"INCR", key("cnt", number).as_bytes()]),
            Command::Zadd => send(&[b"ZADD", set, score.as_bytes(), key("mem", number).as_bytes()]),
            Command::Zrange => {
                let count = RANGE.to_string();
                send(&[
                    b"ZRANGE",
                    set,
                    score.as_bytes(),
                    b"+inf",
                    b"BYSCORE",
                    b"LIMIT",
                    b"0",
                    count.as_bytes(),
                ]);
            }
        }
        (place as u64) << COMMAND_SHIFT | number
    }

    fn accepts(&mut self, tag: u64, reply: &[u8]) -> Result<(), String> {
        let (place, number) = (tag >> COMMAND_SHIFT, tag & ((1 << COMMAND_SHIFT) - 1));
        let (command, _) = self.shares[place as usize];
        let is_right = match command {
            Command::Get => {
                self.expected.clear();
                Encoder::new(&mut self.expected, Protocol::Resp2).bulk(&value(number, VALUE));
                reply == self.expected
            }
            Command::Set => reply == b"+OK\r\n",
            // Every counter starts at 1.
            Command::Incr => integer(reply).is_some_and(|count| count > 1),
            // All members are there from the start.
            Command::Zadd => reply == b":0\r\n",
            Command::Zrange => resp::aggregate_len(reply).is_some_and(|(members, _)| members <= RANGE),
        };
        if is_right { Ok(()) } else { Err(format!("{} of {number} gave {}", command.name(), shown(reply))) }
    }
}

fn integer(reply: &[u8]) -> Option<u64> {
    std::str::from_utf8(reply).ok()?.strip_prefix(':')?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(mix: &mut Mix, count: u64) -> Vec<(Command, u64, Vec<u8>)> {
        let request = |number| {
            let mut out = Vec::new();
            let tag = mix.request(number, &mut out);
            (mix.shares[(tag >> COMMAND_SHIFT) as usize].0, tag, out)
        };
        (0..count).map(request).collect()
    }

    #[test]
    fn the_mix_has_its_shares_and_follows_from_its_seed() {
        let requests_of = |seed| requests(&mut Mix::of_everything(1_000, seed), 20_000);
        let drawn = requests_of(1);
        for (command, share) in EVERYTHING {
            let count = drawn.iter().filter(|(drawn, ..)| *drawn == command).count() as u64;
            assert!((share * 900..=share * 1_100).contains(&count), "{}: {count}", command.name());
        }
        assert!(drawn == requests_of(1) && drawn != requests_of(2));
    }

    #[test]
    fn a_request_is_what_its_tag_says() {
        let mut mix = Mix::of_one(Command::Get, 1_000_000, 1);
        let mut out = Vec::new();
        let tag = mix.request(0, &mut out);
        assert_eq!(out, format!("*2\r\n$3\r\nGET\r\n$16\r\nkey:{tag:012}\r\n").into_bytes());
    }

    #[test]
    fn wrong_replies_are_told() {
        let check = |command, number: u64, right: &[u8], wrong: &[u8]| {
            let mut mix = Mix::of_one(command, 10, 1);
            assert_eq!(mix.accepts(number, right), Ok(()), "{}", command.name());
            assert!(mix.accepts(number, wrong).is_err(), "{}", command.name());
        };
        let bulk = |number| [b"$64\r\n".to_vec(), value(number, VALUE), b"\r\n".to_vec()].concat();
        check(Command::Get, 7, &bulk(7), &bulk(8));
        check(Command::Get, 7, &bulk(7), b"$-1\r\n");
        check(Command::Set, 7, b"+OK\r\n", b"-OOM no\r\n");
        check(Command::Incr, 7, b":2\r\n", b":1\r\n");
        check(Command::Zadd, 7, b":0\r\n", b":1\r\n");
        check(Command::Zrange, 7, b"*1\r\n$1\r\na\r\n", b"$1\r\na\r\n");
    }
}
