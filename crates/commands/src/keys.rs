//! Which arguments of a request are keys.
//!
//! [`KeySpec`] is the rule as the table states it, [`KeyPositions`] its outcome for one request: an iterator
//! over argument positions that lives on the stack. A request that contradicts itself (a key count larger
//! than the request) is a [`KeyError`] with the words that Redis answers to it.
//!
//! Positions count every argument of the request, so 0 is the command's name. Channels of publish/subscribe
//! are not keys. Keys that a script or the patterns of `SORT … BY` compute are beyond any table.

use crate::{CountRule, KeyError};

/// Where the keys of a command are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySpec {
    /// Nowhere: the command takes no key.
    None,
    /// Every `step`-th argument from `first` to `last`; a negative `last` counts from the end, -1 is the
    /// last argument.
    Range {
        /// Position of the first key.
        first: u8,
        /// Position of the last key.
        last: i8,
        /// Distance between two keys.
        step: u8,
    },
    /// The argument at `count` says how many keys follow it.
    Counted {
        /// Argument 1 is one more key, the destination.
        destination: bool,
        /// Position of the number.
        count: u8,
        /// Distance between two keys.
        step: u8,
        /// What a wrong number is answered with.
        rule: CountRule,
    },
    /// The first half of what follows `STREAMS`; the search for that word starts at `options`.
    Streams {
        /// Position of the first option.
        options: u8,
    },
    /// Argument 1, and the one after the last `STORE`.
    Sort,
    /// Argument 1, and the one after the last `STORE` or `STOREDIST`; the options start at `options`.
    Georadius {
        /// Position of the first option.
        options: u8,
    },
    /// Argument 3 or, when that is empty, everything after `KEYS`.
    Migrate,
}

/// Positions of the keys of one request: perhaps a destination, then a range, then perhaps a key named by an
/// option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPositions {
    destination: Option<usize>,
    next: usize,
    end: usize,
    step: usize,
    stored: Option<usize>,
}

impl KeyPositions {
    const NONE: Self = Self::range(0, 0, 1);

    /// `next`, `next + step`, … below `end`.
    const fn range(next: usize, end: usize, step: usize) -> Self {
        Self { destination: None, next, end, step, stored: None }
    }
}

impl Iterator for KeyPositions {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if let Some(position) = self.destination.take() {
            return Some(position);
        }
        if self.next < self.end {
            let position = self.next;
            self.next += self.step;
            return Some(position);
        }
        self.stored.take()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let ranged = self.end.saturating_sub(self.next).div_ceil(self.step);
        let count = ranged + usize::from(self.destination.is_some()) + usize::from(self.stored.is_some());
        (count, Some(count))
    }
}

impl ExactSizeIterator for KeyPositions {}

impl KeySpec {
    /// No keys, one key at a position, or the like: first, last and step as `COMMAND` replies them. What a
    /// request decides for itself is (0, 0, 0) there.
    pub const fn legacy_range(self) -> (i64, i64, i64) {
        match self {
            Self::Range { first, last, step } => (first as i64, last as i64, step as i64),
            Self::Counted { destination: true, .. } | Self::Sort | Self::Georadius { .. } => (1, 1, 1),
            Self::Migrate => (3, 3, 1),
            Self::None | Self::Counted { .. } | Self::Streams { .. } => (0, 0, 0),
        }
    }

    /// Does the request itself say where its keys are?
    pub const fn is_movable(self) -> bool {
        !matches!(self, Self::None | Self::Range { .. })
    }

    /// The positions for one request; the caller has checked the arity.
    #[inline]
    pub(crate) fn positions<'a>(
        self,
        command: &'static str,
        argc: usize,
        arg: impl Fn(usize) -> &'a [u8],
    ) -> Result<KeyPositions, KeyError> {
        match self {
            Self::None => Ok(KeyPositions::NONE),
            Self::Range { first, last, step } => range(command, argc, first, last, step),
            Self::Counted { destination, count, step, rule } => {
                let found = counted(command, argc, count.into(), step.into(), rule, arg)?;
                Ok(KeyPositions { destination: destination.then_some(1), ..found })
            }
            Self::Streams { options } => streams(argc, options.into(), arg),
            Self::Sort => Ok(KeyPositions { stored: sort_store(argc, arg), ..KeyPositions::range(1, 2, 1) }),
            Self::Georadius { options } => {
                let stored = georadius_store(argc, options.into(), arg);
                Ok(KeyPositions { stored, ..KeyPositions::range(1, 2, 1) })
            }
            Self::Migrate => Ok(migrate(argc, arg)),
        }
    }
}

#[inline]
fn range(
    command: &'static str,
    argc: usize,
    first: u8,
    last: i8,
    step: u8,
) -> Result<KeyPositions, KeyError> {
    let (first, step) = (usize::from(first), usize::from(step));
    let end = if last < 0 {
        argc.saturating_sub(usize::from(last.unsigned_abs()) - 1)
    } else {
        usize::from(last.unsigned_abs()) + 1
    };
    let whole = end.checked_sub(first).is_some_and(|length| length.is_multiple_of(step));
    if whole && end <= argc {
        Ok(KeyPositions::range(first, end, step))
    } else {
        Err(KeyError::Arity { command })
    }
}

fn counted<'a>(
    command: &'static str,
    argc: usize,
    count: usize,
    step: usize,
    rule: CountRule,
    arg: impl Fn(usize) -> &'a [u8],
) -> Result<KeyPositions, KeyError> {
    let keys = rule.read(arg(count), command)?;
    let follow = (argc - count - 1) / step;
    if keys > follow {
        return Err(rule.too_many());
    }
    Ok(KeyPositions::range(count + 1, count + 1 + keys * step, step))
}

fn streams<'a>(
    argc: usize,
    options: usize,
    arg: impl Fn(usize) -> &'a [u8],
) -> Result<KeyPositions, KeyError> {
    let mut at = options;
    while at < argc {
        let option = arg(at);
        if option.eq_ignore_ascii_case(b"streams") {
            let listed = argc - at - 1;
            return if listed == 0 {
                Err(KeyError::Syntax)
            } else if listed.is_multiple_of(2) {
                Ok(KeyPositions::range(at + 1, at + 1 + listed / 2, 1))
            } else {
                Err(KeyError::Unbalanced)
            };
        }
        at += 1 + values_of(option, &[(b"block", 1), (b"count", 1), (b"group", 2), (b"noack", 0)])?;
    }
    Err(KeyError::Syntax)
}

/// How many values follow this option.
fn values_of(option: &[u8], known: &[(&[u8], usize)]) -> Result<usize, KeyError> {
    known
        .iter()
        .find(|(name, _)| option.eq_ignore_ascii_case(name))
        .map(|(_, values)| *values)
        .ok_or(KeyError::Syntax)
}

/// The last `STORE` wins, as it does in Redis.
fn sort_store<'a>(argc: usize, arg: impl Fn(usize) -> &'a [u8]) -> Option<usize> {
    const WITH_VALUES: [(&[u8], usize); 4] = [(b"limit", 2), (b"get", 1), (b"by", 1), (b"store", 1)];
    let (mut at, mut stored) = (2, None);
    while at < argc {
        let option = arg(at);
        if option.eq_ignore_ascii_case(b"store") && at + 1 < argc {
            stored = Some(at + 1);
        }
        at += 1 + values_of(option, &WITH_VALUES).unwrap_or(0);
    }
    stored
}

/// The last `STORE` or `STOREDIST` wins, as it does when Redis executes the command (`COMMAND GETKEYS`
/// names both).
fn georadius_store<'a>(argc: usize, options: usize, arg: impl Fn(usize) -> &'a [u8]) -> Option<usize> {
    let (mut at, mut stored) = (options, None);
    while at + 1 < argc {
        let option = arg(at);
        if option.eq_ignore_ascii_case(b"store") || option.eq_ignore_ascii_case(b"storedist") {
            at += 1;
            stored = Some(at);
        }
        at += 1;
    }
    stored
}

fn migrate<'a>(argc: usize, arg: impl Fn(usize) -> &'a [u8]) -> KeyPositions {
    const WITH_VALUES: [(&[u8], usize); 2] = [(b"auth", 1), (b"auth2", 2)];
    let mut at = 6;
    while at < argc && arg(3).is_empty() {
        let option = arg(at);
        if option.eq_ignore_ascii_case(b"keys") {
            return KeyPositions::range(at + 1, argc, 1);
        }
        at += 1 + values_of(option, &WITH_VALUES).unwrap_or(0);
    }
    KeyPositions::range(3, 4, 1)
}

#[cfg(test)]
mod tests {
    use crate::{all, lookup};
    use proptest::prelude::*;

    /// The keys of a request written as one line; `""` stands for an empty argument.
    fn keys(line: &str) -> Result<Vec<usize>, String> {
        let args: Vec<&[u8]> =
            line.split(' ').map(|arg| if arg == "\"\"" { b"" } else { arg.as_bytes() }).collect();
        let command = lookup(args[0]).expect("a command of the table");
        let command = args.get(1).and_then(|name| command.subcommand(name)).unwrap_or(command);
        command.keys(args.len(), |i| args[i]).map(Iterator::collect).map_err(|error| error.to_string())
    }

    #[test]
    fn fixed_positions() {
        assert_eq!(keys("PING").unwrap(), []);
        assert_eq!(keys("GET a").unwrap(), [1]);
        assert_eq!(keys("MGET a b c").unwrap(), [1, 2, 3]);
        assert_eq!(keys("MSET a 1 b 2").unwrap(), [1, 3]);
        assert_eq!(keys("BLPOP a b 0").unwrap(), [1, 2]);
        assert_eq!(keys("BITOP AND to a b").unwrap(), [2, 3, 4]);
        assert_eq!(keys("OBJECT ENCODING a").unwrap(), [2]);
        assert_eq!(keys("SSUBSCRIBE channel").unwrap(), []);
    }

    #[test]
    fn counted_positions() {
        assert_eq!(keys("EVAL script 2 a b c").unwrap(), [3, 4]);
        assert_eq!(keys("EVAL script 0").unwrap(), []);
        assert_eq!(keys("ZUNIONSTORE to 2 a b WEIGHTS 1 2").unwrap(), [1, 3, 4]);
        assert_eq!(keys("BLMPOP 0 1 a LEFT").unwrap(), [3]);
        assert_eq!(keys("MSETEX 2 a 1 b 2 EX 10").unwrap(), [2, 4]);
    }

    #[test]
    fn positions_named_by_words() {
        assert_eq!(keys("XREAD COUNT 1 STREAMS a b 0 0").unwrap(), [4, 5]);
        assert_eq!(keys("XREADGROUP GROUP streams me STREAMS a >").unwrap(), [5]);
        assert_eq!(keys("SORT a BY w_* STORE b STORE c").unwrap(), [1, 7]);
        assert_eq!(keys("SORT a GET store").unwrap(), [1]);
        assert_eq!(keys("GEORADIUS a 1 1 1 m STORE b STOREDIST c").unwrap(), [1, 9]);
        assert_eq!(keys("GEORADIUS a 1 1 1 m STORE").unwrap(), [1]);
        assert_eq!(keys("MIGRATE host 1 a 0 10").unwrap(), [3]);
        assert_eq!(keys("MIGRATE host 1 \"\" 0 10 AUTH keys KEYS a b").unwrap(), [9, 10]);
    }

    #[test]
    fn contradictions_are_errors() {
        for (line, text) in [
            ("GET", "wrong number of arguments for 'get' command"),
            ("MSET a 1 b", "wrong number of arguments for 'mset' command"),
            ("OBJECT ENCODING", "wrong number of arguments for 'object|encoding' command"),
            ("EVAL script x", "value is not an integer or out of range"),
            ("EVAL script 01 a", "value is not an integer or out of range"),
            ("EVAL script -1", "Number of keys can't be negative"),
            ("EVAL script 2 a", "Number of keys can't be greater than number of args"),
            ("FCALL f x", "Bad number of keys provided"),
            ("ZUNION 0 a", "at least 1 input key is needed for 'zunion' command"),
            ("ZUNION 9223372036854775807 a", "syntax error"),
            ("LMPOP 0 a LEFT", "numkeys should be greater than 0"),
            ("XREAD COUNT 1 a 0", "syntax error"),
            ("XREAD BLOCK 0 STREAMS", "syntax error"),
        ] {
            assert_eq!(keys(line).unwrap_err(), text, "{line}");
        }
        assert!(keys("XREAD STREAMS a b 0").unwrap_err().starts_with("Unbalanced XREAD list of streams"));
    }

    proptest! {
        /// Whatever the arguments are: keys lie inside the request, and are as many as announced.
        #[test]
        fn positions_are_inside_the_request(
            command in 0..crate::COUNT,
            args in proptest::collection::vec("-?[0-9]{1,2}|KEYS|STREAMS|STORE|BLOCK|GROUP|LIMIT|a|", 0..12),
        ) {
            let command = &all()[command];
            let argc = args.len() + 1;
            let arg = |i: usize| if i == 0 { command.name.as_bytes() } else { args[i - 1].as_bytes() };
            if let Ok(keys) = command.keys(argc, arg) {
                let announced = keys.len();
                let positions: Vec<_> = keys.collect();
                prop_assert_eq!(positions.len(), announced);
                prop_assert!(positions.iter().all(|position| (1..argc).contains(position)), "{positions:?}");
            }
        }
    }
}
