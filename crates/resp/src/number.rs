//! Reads the decimal number of a header line such as `$12\r\n`, as strictly as Redis does.
//!
//! It fails at the first byte that cannot belong to a number, so that a line without an end is never
//! waited for and never looked at twice.

/// What stands at a header line's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// The line's end has not arrived yet.
    Incomplete,
    /// A number, and the offset of the first byte after its CRLF.
    Number(i64, usize),
    /// Not a number: no digits, a sign alone, a leading zero, a stray byte, or out of range.
    Malformed,
}

/// Reads `-?[0-9]+\r\n` from `buf[at..]`.
#[inline]
pub(crate) fn header(buf: &[u8], at: usize) -> Header {
    let mut next = at;
    let negative = buf.get(next) == Some(&b'-');
    next += usize::from(negative);
    let digits = next;
    let mut value: i64 = 0;
    loop {
        let Some(&byte) = buf.get(next) else { return Header::Incomplete };
        next += 1;
        match byte {
            b'0'..=b'9' => {
                let longer = value.checked_mul(10).and_then(|v| v.checked_add(i64::from(byte - b'0')));
                let leading_zero = value == 0 && next - digits > 1;
                match longer {
                    Some(longer) if !leading_zero => value = longer,
                    _ => return Header::Malformed,
                }
            }
            b'\r' if next - digits > 1 => break,
            _ => return Header::Malformed,
        }
    }
    match buf.get(next) {
        None => Header::Incomplete,
        Some(b'\n') if negative && value == 0 => Header::Malformed,
        Some(b'\n') => Header::Number(if negative { -value } else { value }, next + 1),
        Some(_) => Header::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_redis_reads() {
        for (line, expected) in [
            ("0\r\n", Header::Number(0, 3)),
            ("12\r\nrest", Header::Number(12, 4)),
            ("-1\r\n", Header::Number(-1, 4)),
            ("9223372036854775807\r\n", Header::Number(i64::MAX, 21)),
            ("9223372036854775808\r\n", Header::Malformed),
            ("", Header::Incomplete),
            ("-", Header::Incomplete),
            ("12", Header::Incomplete),
            ("12\r", Header::Incomplete),
            ("12\rx", Header::Malformed),
            ("\r\n", Header::Malformed),
            ("-\r\n", Header::Malformed),
            ("-0\r\n", Header::Malformed),
            ("007\r\n", Header::Malformed),
            ("+7\r\n", Header::Malformed),
            ("1 \r\n", Header::Malformed),
            ("abc", Header::Malformed),
        ] {
            assert_eq!(header(line.as_bytes(), 0), expected, "{line:?}");
        }
    }
}
