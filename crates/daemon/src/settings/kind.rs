//! The kinds of values a setting takes, and how each is read from text.
//!
//! One function per kind from the text to a [`Value`]; what it returns on failure is the end of the
//! sentence "expected …", so that every message says what would have been right.

use std::time::Duration;

/// A hundred years of 365.25 days. A deadline that far away still fits every clock; `u64::MAX` seconds do not.
const MAX_DURATION: Duration = Duration::from_secs(36_525 * 24 * 60 * 60);

/// What kind of value a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A host name or an IP address.
    Host,
    /// A TCP port; 0 lets the system pick a free one.
    Port,
    /// `HOST:PORT`, an IPv6 host in brackets.
    Address,
    /// `http://HOST[:PORT][/PATH]`; inside the cluster there is no TLS.
    Url,
    /// A span of time with its unit: `30s`, `500ms`, `1m30s`.
    Duration,
    /// Bytes in Redis' units: `k` = 1000, `kb` = 1024, likewise `m`, `mb`, `g`, `gb`.
    Size,
    /// A size within bounds, both in bytes and included.
    SizeWithin {
        /// The smallest size accepted.
        min: u64,
        /// The largest size accepted.
        max: u64,
    },
    /// A whole number within bounds, both included.
    Count {
        /// The smallest value accepted.
        min: u64,
        /// The largest value accepted.
        max: u64,
    },
    /// Any text, but not empty.
    Text,
    /// A file or directory; existence is not checked here.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// On or off; as a flag, `--name` alone means on.
    Switch,
    /// What [`crate::logging`] filters by.
    LogFilter,
    /// Text that is never shown. A file may hold it instead, which `--name-file`, the variable `NAME_FILE` or the
    /// key `name-file` names: flags and variables of a process can be read by others.
    Secret,
}

/// A value, checked and in its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Port(u16),
    /// A count, or a size in bytes.
    Number(u64),
    Duration(Duration),
    Switch(bool),
}

impl Kind {
    /// Reads a value; the error says what was expected.
    pub(super) fn parse(self, raw: &str) -> Result<Value, String> {
        let expected = || self.expected();
        let text = || Value::Text(raw.to_owned());
        match self {
            Self::Host => is_host(raw).then(text).ok_or_else(expected),
            Self::Port => raw.parse().map(Value::Port).map_err(|_| expected()),
            Self::Address => is_address(raw).then(text).ok_or_else(expected),
            Self::Url => is_url(raw).then(text).ok_or_else(expected),
            Self::Duration => match humantime::parse_duration(raw) {
                Ok(duration) if duration <= MAX_DURATION => Ok(Value::Duration(duration)),
                Ok(_) => Err("a duration of at most 100 years".into()),
                Err(_) => Err(expected()),
            },
            Self::Size => parse_size(raw).map(Value::Number).ok_or_else(expected),
            Self::SizeWithin { min, max } => {
                let size = parse_size(raw).filter(|size| (min..=max).contains(size));
                size.map(Value::Number).ok_or_else(expected)
            }
            Self::Count { min, max } => {
                let number = raw.parse().ok().filter(|number| (min..=max).contains(number));
                number.map(Value::Number).ok_or_else(expected)
            }
            Self::Text | Self::Path | Self::Secret => (!raw.is_empty()).then(text).ok_or_else(expected),
            Self::Choice(words) => words.contains(&raw).then(text).ok_or_else(expected),
            Self::Switch => parse_switch(raw).map(Value::Switch).ok_or_else(expected),
            Self::LogFilter => crate::logging::is_filter(raw).then(text).ok_or_else(expected),
        }
    }

    /// The end of the sentence "expected …".
    pub(super) fn expected(self) -> String {
        match self {
            Self::Host => "a host name or an IP address".into(),
            Self::Port => "a port from 1 to 65535, or 0 for any free one".into(),
            Self::Address => "HOST:PORT, such as 127.0.0.1:7001".into(),
            Self::Url => "a URL such as http://127.0.0.1:8080".into(),
            Self::Duration => "a duration with its unit, such as 30s, 500ms or 1m30s".into(),
            Self::Size => "a size in bytes or with a unit, such as 1000000, 512kb, 256mb or 1gb".into(),
            Self::SizeWithin { min, max } => {
                format!(
                    "a size from {} to {}, such as 1000000, 512kb or 256mb",
                    shown_size(min),
                    shown_size(max)
                )
            }
            Self::Count { min, max: u64::MAX } => format!("a whole number of at least {min}"),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Text | Self::Secret => "a text that is not empty".into(),
            Self::Path => "a path".into(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Switch => "true or false (also yes/no, on/off, 1/0)".into(),
            Self::LogFilter => {
                "a level (error, warn, info, debug, trace, off), or some of TARGET=LEVEL, separated by commas"
                    .into()
            }
        }
    }

    /// The placeholder of the value in `--help`: it names the unit.
    pub(super) const fn placeholder(self) -> &'static str {
        match self {
            Self::Host => "HOST",
            Self::Port => "PORT",
            Self::Address => "HOST:PORT",
            Self::Url => "URL",
            Self::Duration => "DURATION",
            Self::Size | Self::SizeWithin { .. } => "SIZE",
            Self::Count { .. } => "N",
            Self::Text => "TEXT",
            Self::Path => "PATH",
            Self::Choice(_) => "WORD",
            Self::Switch => "BOOL",
            Self::LogFilter => "LEVEL",
            Self::Secret => "SECRET",
        }
    }
}

/// Reads a size in Redis' units, case-insensitive: `b`, `k` = 1000, `kb` = 1024, `m`, `mb`, `g`, `gb`.
/// `None` when it is malformed or does not fit 64 bits.
#[must_use]
pub fn parse_size(raw: &str) -> Option<u64> {
    let digits = raw.find(|c: char| !c.is_ascii_digit()).unwrap_or(raw.len());
    let (number, unit) = raw.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A size as a user would write it, in the largest unit that tells it exactly.
fn shown_size(bytes: u64) -> String {
    let units = [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)];
    let unit = units.iter().find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor));
    unit.map_or_else(|| bytes.to_string(), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

fn parse_switch(raw: &str) -> Option<bool> {
    match raw.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn is_host(raw: &str) -> bool {
    !raw.is_empty()
        && raw.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%'))
}

fn is_address(raw: &str) -> bool {
    let Some((host, port)) = raw.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    // Without brackets, a colon in the host could not be told from the one before the port.
    let host_fits = bare.map_or_else(|| is_host(host) && !host.contains(':'), is_host);
    host_fits && port.parse::<u16>().is_ok()
}

fn is_url(raw: &str) -> bool {
    let Some(rest) = raw.strip_prefix("http://") else { return false };
    let authority = rest.split('/').next().unwrap_or(rest);
    let has_port = authority.ends_with(']') || !authority.contains(':');
    let host_fits =
        if has_port { is_host(authority.trim_matches(['[', ']'])) } else { is_address(authority) };
    host_fits && !raw.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_redis_units() {
        let cases = [
            ("0", Some(0)),
            ("1000000", Some(1_000_000)),
            ("5b", Some(5)),
            ("1k", Some(1_000)),
            ("1kb", Some(1_024)),
            ("3m", Some(3_000_000)),
            ("256mb", Some(268_435_456)),
            ("2G", Some(2_000_000_000)),
            ("1GB", Some(1_073_741_824)),
            ("", None),
            ("mb", None),
            ("1.5gb", None),
            ("-1", None),
            ("1 mb", None),
            ("1tb", None),
            ("99999999999gb", None),
        ];
        for (raw, bytes) in cases {
            assert_eq!(parse_size(raw), bytes, "{raw:?}");
        }
    }

    #[test]
    fn a_size_within_bounds_says_them() {
        let kind = Kind::SizeWithin { min: 1 << 20, max: 512 << 20 };
        for (raw, bytes) in [("1mb", 1 << 20), ("1048577", 1_048_577), ("512mb", 512 << 20)] {
            assert_eq!(kind.parse(raw), Ok(Value::Number(bytes)), "{raw}");
        }
        for raw in ["0", "1023kb", "1gb", "much"] {
            let expected = "a size from 1mb to 512mb, such as 1000000, 512kb or 256mb";
            assert_eq!(kind.parse(raw), Err(expected.to_owned()), "{raw}");
        }
        assert_eq!([0, 1_000, 3 << 30].map(shown_size), ["0", "1000", "3gb"]);
    }

    #[test]
    fn each_kind_takes_what_it_says_and_nothing_else() {
        let count = Kind::Count { min: 1, max: 50 };
        let choice = Kind::Choice(&["text", "json"]);
        let taken = [
            (Kind::Host, "127.0.0.1"),
            (Kind::Host, "fastcache-node1"),
            (Kind::Host, "::1"),
            (Kind::Port, "0"),
            (Kind::Port, "65535"),
            (Kind::Address, "node1:7001"),
            (Kind::Address, "[::1]:7001"),
            (Kind::Url, "http://health-checker:8080"),
            (Kind::Url, "http://127.0.0.1/prefix"),
            (Kind::Url, "http://[::1]:8080/"),
            (Kind::Duration, "1m30s"),
            (Kind::Duration, "100years"),
            (count, "50"),
            (choice, "json"),
            (Kind::Switch, "on"),
            (Kind::LogFilter, "info,cache_proxy=debug"),
        ];
        for (kind, raw) in taken {
            assert!(kind.parse(raw).is_ok(), "{kind:?} {raw:?}");
        }
        let refused = [
            (Kind::Host, ""),
            (Kind::Host, "a b"),
            (Kind::Host, "http://a"),
            (Kind::Port, "65536"),
            (Kind::Port, "-1"),
            (Kind::Address, "node1"),
            (Kind::Address, "::1:7001"),
            (Kind::Address, "node1:http"),
            (Kind::Url, "health:8080"),
            (Kind::Url, "https://health:8080"),
            (Kind::Url, "http://"),
            (Kind::Url, "http://health:none"),
            (Kind::Duration, "30"),
            (Kind::Duration, "soon"),
            (Kind::Duration, "101years"),
            (Kind::Duration, "18446744073709551615s"),
            (count, "0"),
            (count, "51"),
            (choice, "xml"),
            (Kind::Switch, "perhaps"),
            (Kind::Text, ""),
            (Kind::LogFilter, "loud"),
        ];
        for (kind, raw) in refused {
            assert!(kind.parse(raw).is_err(), "{kind:?} {raw:?}");
        }
    }
}
