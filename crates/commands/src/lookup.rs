//! From a name in any case to its row: an open-addressing table that exists before the program starts.
//!
//! A name is folded into three machine words (its first, last and middle eight bytes in lower case), which
//! takes a handful of instructions whatever its length. The words are hashed with one multiplication and
//! compared whole, so a name is never read byte by byte.
//!
//! Measured with `cargo bench -p commands` on one core of a 2-core virtual machine: 4.0 ns a lookup, over 16
//! names of 3 to 16 bytes in either case in turn.

use crate::{COUNT, Command, all};

/// A name in lower case: enough of it to tell any two names of equal length apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Folded {
    length: usize,
    head: u64,
    tail: u64,
    middle: u64,
}

/// Room for four times as many names as there are: a lookup of a present name takes 1.1 probes on average.
const SLOTS: usize = 1024;
/// A slot that holds no command.
const EMPTY: u16 = u16::MAX;
/// Three overlapping words cover names of up to this many bytes; the longest has 20.
const LONGEST: usize = 24;

static KEYS: [Folded; COUNT] = folded_names();
static INDEX: [u16; SLOTS] = index();

/// The command of that name, in any mixture of upper and lower case; `None` if there is none. Subcommands
/// are found with [`Command::subcommand`]. Takes about 4 ns whatever the name's length, and allocates nothing.
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    let wanted = fold(name)?;
    let mut slot = wanted.slot();
    loop {
        let entry = usize::from(INDEX[slot]);
        // An empty slot is no position in KEYS, so the bounds check doubles as the end of the search.
        let found = KEYS.get(entry)?;
        if *found == wanted {
            return all().get(entry);
        }
        slot = (slot + 1) % SLOTS;
    }
}

impl Folded {
    const fn slot(self) -> usize {
        // Any odd constant with well-mixed bits will do; this one is 2^64 divided by the golden ratio.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let mixed = self.head ^ self.tail.rotate_left(23) ^ self.middle ^ self.length as u64;
        (mixed.wrapping_mul(SPREAD) >> (u64::BITS - SLOTS.trailing_zeros())) as usize
    }
}

/// `None` for lengths that no command has.
#[inline]
const fn fold(name: &[u8]) -> Option<Folded> {
    let length = name.len();
    let (head, tail, middle) = if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
        let middle = if length > 16 { name.split_at(8).1.first_chunk() } else { None };
        let middle = match middle {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => 0,
        };
        (u64::from_le_bytes(*head), u64::from_le_bytes(*tail), middle)
    } else if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
        (u32::from_le_bytes(*head) as u64, u32::from_le_bytes(*tail) as u64, 0)
    } else if let [first, second, third] = name {
        (u32::from_le_bytes([*first, *second, *third, 0]) as u64, 0, 0)
    } else {
        return None;
    };
    if length > LONGEST {
        return None;
    }
    Some(Folded { length, head: to_lower(head), tail: to_lower(tail), middle: to_lower(middle) })
}

/// ASCII lower case of eight bytes at once; bytes that are not `A`-`Z` stay as they are.
#[inline]
const fn to_lower(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let low_bits = word & !HIGH;
    // In each byte the high bit tells: at least `A`; above `Z`. No byte carries into its neighbour.
    let from_a = low_bits + (0x80 - b'A' as u64) * EACH;
    let above_z = low_bits + (0x80 - b'Z' as u64 - 1) * EACH;
    let upper = from_a & !above_z & !word & HIGH;
    word | (upper >> 2)
}

const fn folded_names() -> [Folded; COUNT] {
    let mut folded = [Folded { length: 0, head: 0, tail: 0, middle: 0 }; COUNT];
    let mut i = 0;
    while i < COUNT {
        match fold(all()[i].name.as_bytes()) {
            Some(name) => folded[i] = name,
            None => panic!("a command's name is too short or too long for the index"),
        }
        i += 1;
    }
    folded
}

const fn index() -> [u16; SLOTS] {
    let names = folded_names();
    let mut index = [EMPTY; SLOTS];
    let mut i = 0;
    while i < COUNT {
        let mut slot = names[i].slot();
        while index[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        index[slot] = i as u16;
        i += 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn mixed_case(name: &str) -> String {
        name.chars().enumerate().map(|(i, c)| if i % 2 == 0 { c.to_ascii_uppercase() } else { c }).collect()
    }

    #[test]
    fn names_are_unique_and_found_in_any_case() {
        let names: HashSet<_> = all().iter().map(|command| command.name).collect();
        assert_eq!(names.len(), COUNT);
        for command in all() {
            for spelling in [command.name.to_owned(), command.name.to_uppercase(), mixed_case(command.name)] {
                let found = lookup(spelling.as_bytes()).expect("a command of the table");
                assert_eq!(found.id, command.id, "{spelling}");
            }
        }
    }

    #[test]
    fn a_search_is_short() {
        let far = |i: usize| (0..SLOTS).find(|far| INDEX[(KEYS[i].slot() + far) % SLOTS] == i as u16);
        let longest = (0..COUNT).map(|i| far(i).expect("indexed")).max();
        assert!(longest <= Some(4), "{longest:?} slots beyond its own");
    }

    #[test]
    fn lower_case_is_that_of_ascii() {
        for byte in u8::MIN..=u8::MAX {
            let around = u64::from_le_bytes([byte, 0xFF, byte, 0, b'Z', byte, 0x80, byte]);
            let expected = around.to_le_bytes().map(|b| b.to_ascii_lowercase());
            assert_eq!(to_lower(around).to_le_bytes(), expected, "{byte:#x}");
        }
    }

    fn linear_search(name: &[u8]) -> Option<&'static str> {
        all().iter().map(|command| command.name).find(|known| known.as_bytes().eq_ignore_ascii_case(name))
    }

    proptest! {
        #[test]
        fn finds_what_a_linear_search_finds(name in proptest::collection::vec(any::<u8>(), 0..32)) {
            prop_assert_eq!(lookup(&name).map(|command| command.name), linear_search(&name));
        }

        /// Names that are almost a command's: random bytes alone would never come near one.
        #[test]
        fn finds_no_neighbour_of_a_name(
            command in 0..COUNT, at in 0..24_usize, byte in any::<u8>(), edit in 0..3,
        ) {
            let mut name = all()[command].name.as_bytes().to_vec();
            let at = at % name.len();
            match edit {
                0 => name[at] = byte,
                1 => name.insert(at, byte),
                _ => { name.remove(at); }
            }
            prop_assert_eq!(lookup(&name).map(|command| command.name), linear_search(&name));
        }
    }
}
