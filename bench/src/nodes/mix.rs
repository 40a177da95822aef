//! A mix of requests whose replies are all known, and a look at what the writes have left behind.
//!
//! Reads ask for what is never written, so their replies are exact. A SET stores what nobody has stored before
//! (the generation is in it), and an INCR counts on from wherever a counter is; both are read back after the
//! load, so a server that only says OK is found out.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use resp::{Encoder, Protocol, encode_request};

use super::dataset::{Command, MOVED_SET, READ_SET, VALUE};
use crate::client::Client;
use crate::load::keys::shown;
use crate::load::open_loop::Workload;
use crate::load::{key, value};
use crate::rounds::Trouble;

/// Of twenty requests, how many are of which kind: reads most, as caches see them.
const EVERYTHING: [(Command, u64); 5] =
    [(Command::Get, 14), (Command::Set, 3), (Command::Incr, 1), (Command::Zadd, 1), (Command::Zrange, 1)];
/// Members asked for at once.
const RANGE: u64 = 10;
/// A tag is the number of a key (or the score a ZRANGE begins at) with the place of the command above it.
const COMMAND_SHIFT: u32 = 56;
/// A generation stands above the numbers of all keys.
const GENERATION_SHIFT: u32 = 40;
/// Writes that are read back: enough to notice when one in a hundred is lost.
const READ_BACK: usize = 1_000;

/// The replies to the INCRs of one counter.
#[derive(Debug, Clone, Copy)]
struct Counted {
    replies: u64,
    least: u64,
    most: u64,
}

/// Random requests over the data every server holds.
#[derive(Debug)]
pub(super) struct Mix {
    shares: Vec<(Command, u64)>,
    keys: u64,
    random: Xoshiro256PlusPlus,
    generation: u64,
    /// The reply that is expected.
    expected: Vec<u8>,
    /// The last keys whose SET was answered.
    stored: VecDeque<u64>,
    counted: BTreeMap<u64, Counted>,
}

impl Mix {
    /// Every kind of request, over `keys` keys of each kind. No other mix may have stored values of this
    /// `generation` on the same server, and 0 is the one of the filling.
    pub(super) fn of_everything(keys: u64, seed: u64, generation: u64) -> Self {
        Self::of(&EVERYTHING, keys, seed, generation)
    }

    /// One kind of request.
    pub(super) fn of_one(command: Command, keys: u64, seed: u64, generation: u64) -> Self {
        Self::of(&[(command, 1)], keys, seed, generation)
    }

    fn of(shares: &[(Command, u64)], keys: u64, seed: u64, generation: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (expected, stored, counted) = (Vec::new(), VecDeque::new(), BTreeMap::new());
        Self { shares: shares.to_vec(), keys, random, generation, expected, stored, counted }
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

    fn stored_value(&self, number: u64) -> Vec<u8> {
        value(self.generation << GENERATION_SHIFT | number, VALUE)
    }

    fn expect_bulk(&mut self, bytes: &[u8]) {
        self.expected.clear();
        Encoder::new(&mut self.expected, Protocol::Resp2).bulk(bytes);
    }

    /// The members from this score on, as many as there are up to [`RANGE`].
    fn expect_members(&mut self, score: u64) {
        self.expected.clear();
        let members = score..self.keys.min(score + RANGE);
        let mut reply = Encoder::new(&mut self.expected, Protocol::Resp2);
        reply.array(members.clone().count());
        members.for_each(|number| reply.bulk(key("mem", number).as_bytes()));
    }

    /// Takes note of a counter's reply: each INCR gives another number, above the 1 all of them began at.
    fn count(&mut self, number: u64, reply: &[u8]) -> bool {
        let Some(count) = integer(reply).filter(|count| *count > 1) else { return false };
        let fresh = Counted { replies: 0, least: count, most: count };
        let counted = self.counted.entry(number).or_insert(fresh);
        let is_repeated = counted.replies > 0 && count == counted.most;
        counted.replies += 1;
        counted.least = counted.least.min(count);
        counted.most = counted.most.max(count);
        !is_repeated
    }

    /// Reads back what was written, when all replies are there and nobody else writes.
    ///
    /// # Errors
    /// [`Trouble::Wrong`] where something is not what was written.
    pub(super) fn read_back(&mut self, client: &mut Client) -> Result<(), Trouble> {
        for number in std::mem::take(&mut self.stored) {
            let value = self.stored_value(number);
            self.expect_bulk(&value);
            let reply = client.ask(&[b"GET", key("set", number).as_bytes()])?;
            if reply != self.expected {
                return Err(Trouble::Wrong(format!("after SET of {number} GET gave {}", shown(reply))));
            }
        }
        for (number, counted) in std::mem::take(&mut self.counted).into_iter().take(READ_BACK) {
            self.expect_bulk(counted.most.to_string().as_bytes());
            let reply = client.ask(&[b"GET", key("cnt", number).as_bytes()])?;
            if reply != self.expected || counted.most - counted.least + 1 != counted.replies {
                return Err(Trouble::Wrong(format!(
                    "{counted:?} of {number}, and GET gave {}",
                    shown(reply)
                )));
            }
        }
        Ok(())
    }
}

impl Workload for Mix {
    fn request(&mut self, _: u64, out: &mut Vec<u8>) -> u64 {
        let (place, command) = self.draw();
        let number = self.random.random_range(0..self.keys);
        let score = self.random.random_range(0..self.keys).to_string();
        let mut send = |args: &[&[u8]]| encode_request(out, args.iter().copied());
        match command {
            Command::Get => send(&[b"GET", key("key", number).as_bytes()]),
            Command::Set => send(&[b"SET", key("set", number).as_bytes(), &self.stored_value(number)]),
            Command::Incr => send(&[b"INCR", key("cnt", number).as_bytes()]),
            Command::Zadd => {
                send(&[b"ZADD", MOVED_SET.as_bytes(), score.as_bytes(), key("mem", number).as_bytes()]);
            }
            Command::Zrange => {
                let (from, count) = (number.to_string(), RANGE.to_string());
                let (set, from, count) = (READ_SET.as_bytes(), from.as_bytes(), count.as_bytes());
                send(&[b"ZRANGE", set, from, b"+inf", b"BYSCORE", b"LIMIT", b"0", count]);
            }
        }
        (place as u64) << COMMAND_SHIFT | number
    }

    fn accepts(&mut self, tag: u64, reply: &[u8]) -> Result<(), String> {
        let (place, number) = (tag >> COMMAND_SHIFT, tag & ((1 << COMMAND_SHIFT) - 1));
        let (command, _) = self.shares[place as usize];
        let is_right = match command {
            Command::Get => {
                self.expect_bulk(&value(number, VALUE));
                reply == self.expected
            }
            Command::Set => {
                self.stored.push_back(number);
                if self.stored.len() > READ_BACK {
                    self.stored.pop_front();
                }
                reply == b"+OK\r\n"
            }
            Command::Incr => self.count(number, reply),
            // All members are there from the start.
            Command::Zadd => reply == b":0\r\n",
            Command::Zrange => {
                self.expect_members(number);
                reply == self.expected
            }
        };
        if is_right { Ok(()) } else { Err(format!("{} of {number} gave {}", command.name(), shown(reply))) }
    }
}

fn integer(reply: &[u8]) -> Option<u64> {
    std::str::from_utf8(reply).ok()?.strip_prefix(':')?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

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
        let requests_of = |seed| requests(&mut Mix::of_everything(1_000, seed, 1), 20_000);
        let drawn = requests_of(1);
        for (command, share) in EVERYTHING {
            let count = drawn.iter().filter(|(drawn, ..)| *drawn == command).count() as u64;
            assert!((share * 900..=share * 1_100).contains(&count), "{}: {count}", command.name());
        }
        assert!(drawn == requests_of(1) && drawn != requests_of(2));
    }

    #[test]
    fn a_request_is_what_its_tag_says() {
        let mut mix = Mix::of_one(Command::Get, 1_000_000, 1, 1);
        let mut out = Vec::new();
        let tag = mix.request(0, &mut out);
        assert_eq!(out, format!("*2\r\n$3\r\nGET\r\n$16\r\nkey:{tag:012}\r\n").into_bytes());
    }

    #[test]
    fn wrong_replies_are_told() {
        let check = |command, number: u64, right: &[u8], wrong: &[u8]| {
            let mut mix = Mix::of_one(command, 10, 1, 1);
            assert_eq!(mix.accepts(number, right), Ok(()), "{}", command.name());
            assert!(mix.accepts(number, wrong).is_err(), "{}", command.name());
        };
        let bulk = |number| [b"$64\r\n".to_vec(), value(number, VALUE), b"\r\n".to_vec()].concat();
        check(Command::Get, 7, &bulk(7), &bulk(8));
        check(Command::Get, 7, &bulk(7), b"$-1\r\n");
        check(Command::Set, 7, b"+OK\r\n", b"-OOM no\r\n");
        check(Command::Incr, 7, b":2\r\n", b":1\r\n");
        check(Command::Zadd, 7, b":0\r\n", b":1\r\n");
        // Of ten members the eighth and those after it.
        let members = |numbers: [u64; 3]| {
            let members = numbers.map(|number| format!("$16\r\n{}\r\n", key("mem", number)));
            format!("*3\r\n{}", members.concat()).into_bytes()
        };
        for wrong in [members([7, 9, 8]), members([6, 7, 8]), b"*0\r\n".to_vec()] {
            check(Command::Zrange, 7, &members([7, 8, 9]), &wrong);
        }
    }

    /// A client of a server that answers every request with `reply`.
    fn client_of(reply: Vec<u8>) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_024];
            while let Ok(1..) = stream.read(&mut request) {
                stream.write_all(&reply).unwrap();
            }
        });
        Client::connect(address).unwrap()
    }

    #[test]
    fn writes_that_left_nothing_behind_are_found_out() {
        let bulk = |bytes: &[u8]| [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        let set = |found: &[u8]| {
            let mut mix = Mix::of_one(Command::Set, 10, 1, 3);
            mix.accepts(7, b"+OK\r\n").unwrap();
            mix.read_back(&mut client_of(bulk(found)))
        };
        assert!(set(&Mix::of_one(Command::Set, 10, 1, 3).stored_value(7)).is_ok());
        assert!(matches!(set(&value(7, VALUE)), Err(Trouble::Wrong(_))), "what was there before");
        let count = |replies: &[&[u8]], found: &[u8]| {
            let mut mix = Mix::of_one(Command::Incr, 10, 1, 3);
            replies.iter().try_for_each(|reply| mix.accepts(7, reply)).map_err(Trouble::Wrong)?;
            mix.read_back(&mut client_of(bulk(found)))
        };
        assert!(count(&[b":6\r\n", b":5\r\n"], b"6").is_ok(), "connections are not in turn");
        assert!(count(&[b":5\r\n", b":5\r\n"], b"5").is_err(), "one was lost");
        assert!(count(&[b":5\r\n", b":7\r\n"], b"7").is_err(), "one is too many");
        assert!(count(&[b":5\r\n"], b"4").is_err(), "it was not kept");
    }
}
