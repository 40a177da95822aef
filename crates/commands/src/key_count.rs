//! The number with which some commands announce how many keys follow, and how each family of commands words
//! its complaint about a wrong one.

use crate::KeyError;

/// How a command words its complaint about a key count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountRule {
    /// `EVAL` and its kin: 0 is a fine number.
    Script,
    /// `FCALL` and its kin: 0 is a fine number.
    Function,
    /// `ZUNION` and its kin.
    Aggregate,
    /// `LMPOP` and its kin.
    Pop,
    /// `SINTERCARD`.
    Cardinality,
    /// `MSETEX`, where each key is followed by its value.
    Pairs,
}

impl CountRule {
    /// The number of keys that `text` announces, if it is one that the command allows.
    pub(crate) fn read(self, text: &[u8], command: &'static str) -> Result<usize, KeyError> {
        let announced = parse_integer(text).ok_or(self.not_an_integer())?;
        self.accept(announced, command)
    }

    const fn not_an_integer(self) -> KeyError {
        match self {
            Self::Script | Self::Aggregate => KeyError::NotAnInteger,
            Self::Function => KeyError::BadNumber,
            Self::Pop | Self::Cardinality => KeyError::NotPositive,
            Self::Pairs => KeyError::InvalidCount,
        }
    }

    fn accept(self, announced: i64, command: &'static str) -> Result<usize, KeyError> {
        let least = match self {
            Self::Script | Self::Function => 0,
            Self::Aggregate | Self::Pop | Self::Cardinality | Self::Pairs => 1,
        };
        if announced >= least {
            // A 32-bit machine has no request of more arguments either.
            return Ok(usize::try_from(announced).unwrap_or(usize::MAX));
        }
        Err(match self {
            Self::Script | Self::Function => KeyError::Negative,
            Self::Aggregate => KeyError::NoInput { command },
            Self::Pop | Self::Cardinality => KeyError::NotPositive,
            Self::Pairs => KeyError::InvalidCount,
        })
    }

    pub(crate) const fn too_many(self) -> KeyError {
        match self {
            Self::Script | Self::Function | Self::Cardinality => KeyError::TooMany,
            Self::Aggregate | Self::Pop | Self::Pairs => KeyError::Syntax,
        }
    }
}

/// Redis' notion of an integer: no sign but `-`, no leading zero, no blank, 64 bits.
fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [] => false,
        [b'0'] => text.len() == 1,
        [lead, ..] => *lead != b'0' && digits.iter().all(u8::is_ascii_digit),
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_redis_reads_them() {
        for (text, value) in [("0", Some(0)), ("-1", Some(-1)), ("9223372036854775807", Some(i64::MAX))] {
            assert_eq!(parse_integer(text.as_bytes()), value);
        }
        for text in ["", "-", "-0", "+1", "01", " 1", "1 ", "1.0", "9223372036854775808"] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
    }
}
