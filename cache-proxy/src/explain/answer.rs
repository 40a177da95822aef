//! What `PROXY …` and the admin port answer: one tree, written as RESP or as JSON, so that both tell the same.

use resp::{Encoder, Protocol};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// An answer, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Nothing,
    /// `OK`: an order was carried out.
    Done,
    Flag(bool),
    Count(u64),
    Number(f64),
    Text(String),
    List(Vec<Self>),
    Fields(Vec<(&'static str, Self)>),
}

impl Answer {
    /// Writes it as a reply.
    pub(crate) fn write(&self, to: &mut Encoder<'_>) {
        match self {
            Self::Nothing => to.null(),
            Self::Done => to.simple("OK"),
            Self::Flag(flag) => to.boolean(*flag),
            Self::Count(count) => to.integer(i64::try_from(*count).unwrap_or(i64::MAX)),
            Self::Number(number) => to.double(*number),
            Self::Text(text) => to.bulk(text.as_bytes()),
            Self::List(items) => {
                to.array(items.len());
                items.iter().for_each(|item| item.write(to));
            }
            Self::Fields(fields) => {
                to.map(fields.len());
                for (name, value) in fields {
                    to.bulk(name.as_bytes());
                    value.write(to);
                }
            }
        }
    }

    /// The reply for a client that speaks `protocol`.
    pub(crate) fn reply(&self, protocol: Protocol) -> Vec<u8> {
        let mut reply = Vec::new();
        self.write(&mut Encoder::new(&mut reply, protocol));
        reply
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => to.serialize_unit(),
            Self::Done => to.serialize_str("OK"),
            Self::Flag(flag) => to.serialize_bool(*flag),
            Self::Count(count) => to.serialize_u64(*count),
            Self::Number(number) => to.serialize_f64(*number),
            Self::Text(text) => to.serialize_str(text),
            Self::List(items) => to.collect_seq(items),
            Self::Fields(fields) => {
                let mut map = to.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

impl From<bool> for Answer {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u64> for Answer {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Answer {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<f64> for Answer {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Self>> From<Option<T>> for Answer {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}

impl FromIterator<Self> for Answer {
    fn from_iter<I: IntoIterator<Item = Self>>(items: I) -> Self {
        Self::List(items.into_iter().collect())
    }
}

/// A number to this many digits after the point: more would only be noise.
pub(crate) fn rounded(number: f64, digits: i32) -> f64 {
    let unit = 10_f64.powi(digits);
    // The sum of no numbers is -0.
    (number * unit).round() / unit + 0.0
}

/// Bytes that a client has chosen, for a person: printable, and not longer than it takes to recognise them.
pub(crate) fn shown(bytes: &[u8]) -> String {
    /// Enough to recognise a key by.
    const SHOWN: usize = 64;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    let mut shown: String = text.chars().flat_map(escaped).collect();
    if bytes.len() > SHOWN {
        shown.push('…');
    }
    shown
}

/// Line ends and what commands a terminal are written out.
fn escaped(c: char) -> impl Iterator<Item = char> {
    let (plain, control) = if c.is_control() { (None, Some(c.escape_default())) } else { (Some(c), None) };
    plain.into_iter().chain(control.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer::Fields(vec![
            ("a", 1_u64.into()),
            ("b", Answer::from_iter([true.into(), 0.5.into(), None::<u64>.into()])),
            ("c", "x\"y".into()),
        ])
    }

    #[test]
    fn json_and_both_versions_of_resp_tell_the_same() {
        assert_eq!(
            serde_json::to_string(&answer()).unwrap(),
            r#"{"a":1,"b":[true,0.5,null],"c":"x\"y"}"#,
            "fields keep their order"
        );
        let reply = |protocol| String::from_utf8(answer().reply(protocol)).unwrap().replace("\r\n", " ");
        assert_eq!(reply(Protocol::Resp3), "%3 $1 a :1 $1 b *3 #t ,0.5 _ $1 c $3 x\"y ");
        assert_eq!(reply(Protocol::Resp2), "*6 $1 a :1 $1 b *3 :1 $3 0.5 $-1 $1 c $3 x\"y ");
    }

    #[test]
    fn what_a_client_chose_cannot_command_a_terminal() {
        assert_eq!(shown(b"a\x1b[2J\r\n\xff"), "a\\u{1b}[2J\\r\\n\u{fffd}");
        assert_eq!(shown(&[b'k'; 65]), format!("{}…", "k".repeat(64)));
        assert_eq!(shown("größe".as_bytes()), "größe");
    }
}
