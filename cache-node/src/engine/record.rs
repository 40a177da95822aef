//! One key with its value, deadline and last access.
//!
//! A string's key and value share one allocation, so reading it touches the table and that allocation only, and
//! overwriting a value with one of the same length allocates nothing. Integers are kept as 8 bytes behind the key.

use crate::memory::heap_size;
use crate::types::sorted_set::SortedSet;
use std::mem::size_of;

/// Set in `tag` when the text behind the key is an integer.
const INT: u32 = 1 << 31;
/// Set in `tag` when a string was edited in place: Redis calls such a value `raw` whatever its length.
const RAW: u32 = 1 << 30;
/// The rest of `tag`: a key is at most 512 MB long.
const KEY_LEN: u32 = RAW - 1;

/// Longest string that Redis embeds beside its header; it decides the name OBJECT ENCODING gives.
const EMBEDDED_MAX: usize = 44;

/// One key of the keyspace: 32 bytes in the table.
#[derive(Debug)]
pub struct Entry {
    body: Body,
    /// Unix milliseconds; 0 is none.
    deadline: u64,
    tag: u32,
    accessed: u32,
}

#[derive(Debug)]
enum Body {
    /// The key, directly followed by the value.
    Text(Box<[u8]>),
    Object(Box<Object>),
}

#[derive(Debug)]
struct Object {
    key: Box<[u8]>,
    value: SortedSet,
}

/// A string value on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text<'a> {
    /// An integer in its canonical form.
    Int(i64),
    /// Anything else.
    Bytes(&'a [u8]),
    /// Bytes that an in-place edit made.
    Raw(&'a [u8]),
}

impl<'a> Text<'a> {
    /// The most compact form of `bytes`: an integer if that prints as exactly these bytes.
    pub fn compact(bytes: &'a [u8]) -> Self {
        crate::number::parse_integer(bytes).map_or(Self::Bytes(bytes), Self::Int)
    }

    fn stored_len(self) -> usize {
        match self {
            Self::Int(_) => size_of::<i64>(),
            Self::Bytes(bytes) | Self::Raw(bytes) => bytes.len(),
        }
    }

    fn flags(self) -> u32 {
        match self {
            Self::Int(_) => INT,
            Self::Bytes(_) => 0,
            Self::Raw(_) => RAW,
        }
    }

    fn with_stored<R>(self, read: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Int(number) => read(&number.to_ne_bytes()),
            Self::Bytes(bytes) | Self::Raw(bytes) => read(bytes),
        }
    }
}

/// A value as commands see it.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// A string that is an integer.
    Int(i64),
    /// Any other string.
    Bytes(&'a [u8]),
    /// A sorted set.
    SortedSet(&'a SortedSet),
}

impl Value<'_> {
    /// The name TYPE gives.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Int(_) | Self::Bytes(_) => "string",
            Self::SortedSet(_) => "zset",
        }
    }
}

impl Entry {
    /// A string.
    pub(super) fn text(key: &[u8], value: Text<'_>, accessed: u32) -> Self {
        Self { body: Body::Text(join(key, value)), deadline: 0, tag: tag(key, value), accessed }
    }

    /// A sorted set.
    pub(super) fn sorted_set(key: &[u8], value: SortedSet, accessed: u32) -> Self {
        let body = Body::Object(Box::new(Object { key: key.into(), value }));
        Self { body, deadline: 0, tag: key.len() as u32 & KEY_LEN, accessed }
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        match &self.body {
            Body::Text(text) => &text[..self.key_len()],
            Body::Object(object) => &object.key,
        }
    }

    /// The value.
    pub fn value(&self) -> Value<'_> {
        match &self.body {
            Body::Text(text) => {
                let value = &text[self.key_len()..];
                match value.try_into() {
                    Ok(number) if self.tag & INT != 0 => Value::Int(i64::from_ne_bytes(number)),
                    _ => Value::Bytes(value),
                }
            }
            Body::Object(object) => Value::SortedSet(&object.value),
        }
    }

    /// When the key dies, in Unix milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        (self.deadline != 0).then_some(self.deadline)
    }

    /// When the key was last used, on the access clock (`engine::access_clock`).
    pub fn accessed(&self) -> u32 {
        self.accessed
    }

    /// The name OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        match self.value() {
            Value::Int(_) => "int",
            Value::Bytes(bytes) if bytes.len() <= EMBEDDED_MAX && self.tag & RAW == 0 => "embstr",
            Value::Bytes(_) => "raw",
            Value::SortedSet(set) => set.encoding(),
        }
    }

    /// Bytes this entry holds outside the table.
    pub fn heap_bytes(&self) -> usize {
        match &self.body {
            Body::Text(text) => heap_size(text.len()),
            Body::Object(object) => {
                heap_size(size_of::<Object>()) + heap_size(object.key.len()) + object.value.heap_bytes()
            }
        }
    }

    /// True once `now` is past the deadline: at the deadline itself the key still lives, as in Redis.
    pub fn is_expired(&self, now: u64) -> bool {
        self.deadline != 0 && now > self.deadline
    }

    pub(super) fn set_deadline(&mut self, deadline: Option<u64>) {
        self.deadline = deadline.unwrap_or(0);
    }

    pub(super) fn touch(&mut self, accessed: u32) {
        self.accessed = accessed;
    }

    /// Replaces the value; returns a replaced sorted set, which may be too big to drop here.
    pub(super) fn set_text(&mut self, value: Text<'_>) -> Option<SortedSet> {
        let key_len = self.key_len();
        self.tag = self.tag & KEY_LEN | value.flags();
        match &mut self.body {
            Body::Text(text) if text.len() == key_len + value.stored_len() => {
                value.with_stored(|stored| text[key_len..].copy_from_slice(stored));
                None
            }
            Body::Text(text) => {
                *text = join(&text[..key_len], value);
                None
            }
            Body::Object(object) => {
                let joined = Body::Text(join(&object.key, value));
                match std::mem::replace(&mut self.body, joined) {
                    Body::Object(object) => Some(object.value),
                    Body::Text(_) => None,
                }
            }
        }
    }

    /// Lengthens a string to at least `offset` plus the length of `bytes` (zeros in between) and puts them there.
    pub(super) fn overwrite(&mut self, offset: usize, bytes: &[u8]) {
        if let Value::Int(number) = self.value() {
            self.set_text(Text::Raw(itoa::Buffer::new().format(number).as_bytes()));
        }
        self.tag |= RAW;
        let start = self.key_len() + offset;
        if let Body::Text(text) = &mut self.body {
            let end = start + bytes.len();
            if end > text.len() {
                let mut longer = std::mem::take(text).into_vec();
                longer.reserve_exact(end - longer.len());
                longer.resize(end, 0);
                *text = longer.into_boxed_slice();
            }
            text[start..end].copy_from_slice(bytes);
        }
    }

    pub(super) fn sorted_set_mut(&mut self) -> Option<&mut SortedSet> {
        match &mut self.body {
            Body::Object(object) => Some(&mut object.value),
            Body::Text(_) => None,
        }
    }

    /// Takes out a sorted set, for a caller that drops it bit by bit.
    pub(super) fn into_sorted_set(self) -> Option<SortedSet> {
        match self.body {
            Body::Object(object) => Some(object.value),
            Body::Text(_) => None,
        }
    }

    /// The same value, deadline and access time under another key.
    pub(super) fn renamed(mut self, key: &[u8]) -> Self {
        let flags = self.tag & !KEY_LEN;
        self.body = match self.body {
            Body::Text(text) => {
                let value = &text[(self.tag & KEY_LEN) as usize..];
                Body::Text([key, value].concat().into_boxed_slice())
            }
            Body::Object(mut object) => {
                object.key = key.into();
                Body::Object(object)
            }
        };
        self.tag = flags | key.len() as u32 & KEY_LEN;
        self
    }

    fn key_len(&self) -> usize {
        (self.tag & KEY_LEN) as usize
    }
}

fn tag(key: &[u8], value: Text<'_>) -> u32 {
    key.len() as u32 & KEY_LEN | value.flags()
}

fn join(key: &[u8], value: Text<'_>) -> Box<[u8]> {
    let mut text = Vec::with_capacity(key.len() + value.stored_len());
    text.extend_from_slice(key);
    value.with_stored(|stored| text.extend_from_slice(stored));
    text.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::{Entry, Text, Value};

    fn bytes(entry: &Entry) -> Vec<u8> {
        match entry.value() {
            Value::Bytes(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_entry_takes_32_bytes() {
        assert_eq!(size_of::<Entry>(), 32);
    }

    #[test]
    fn text_is_compacted_only_when_it_prints_the_same() {
        for (text, int) in
            [("0", true), ("-5", true), ("007", false), ("+1", false), ("-0", false), ("", false)]
        {
            assert_eq!(matches!(Text::compact(text.as_bytes()), Text::Int(_)), int, "{text}");
        }
    }

    #[test]
    fn values_change_their_form_in_place() {
        let mut entry = Entry::text(b"key", Text::Bytes(b"abc"), 0);
        assert_eq!((entry.encoding(), bytes(&entry)), ("embstr", b"abc".to_vec()));
        entry.set_text(Text::Int(-7));
        assert!(matches!(entry.value(), Value::Int(-7)));
        entry.overwrite(4, b"x");
        assert_eq!((entry.encoding(), bytes(&entry)), ("raw", b"-7\0\0x".to_vec()));
        entry.set_text(Text::Bytes(&[b'v'; 45]));
        assert_eq!((entry.encoding(), entry.key()), ("raw", b"key".as_slice()));
        let renamed = entry.renamed(b"other");
        assert_eq!((renamed.key(), bytes(&renamed)), (b"other".as_slice(), vec![b'v'; 45]));
    }

    #[test]
    fn an_eight_byte_string_is_not_an_integer() {
        assert_eq!(bytes(&Entry::text(b"", Text::Bytes(b"12345678"), 0)), b"12345678");
    }

    #[test]
    fn a_key_lives_at_its_deadline_and_not_after() {
        let mut entry = Entry::text(b"k", Text::Int(1), 0);
        assert!(!entry.is_expired(u64::MAX));
        entry.set_deadline(Some(1_000));
        assert!(!entry.is_expired(1_000));
        assert!(entry.is_expired(1_001));
    }
}
