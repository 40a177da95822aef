//! Numbers as commands take them: Redis' strict reading of integers and floats.

/// Reads a canonical decimal integer: no sign but `-`, no leading zero, no space, within `i64`.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        // 19 digits are the most an i64 has.
        [b'1'..=b'9', rest @ ..] if rest.len() < 19 => {}
        _ => return None,
    }
    let mut value = 0i64;
    for digit in digits {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        if !(0..=9).contains(&digit) {
            return None;
        }
        // Below zero there is one more: build the negative.
        value = value.checked_mul(10)?.checked_sub(digit)?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// Reads a float strictly, as Redis reads scores and increments: decimal, hexadecimal or infinite; no space, not
/// NaN, neither too large nor too small for a double.
pub fn parse_float(text: &[u8]) -> Option<f64> {
    if text.is_empty() || text[0].is_ascii_whitespace() {
        return None;
    }
    let value = parse_float_c(text)?;
    let named = text.iter().any(|byte| matches!(byte, b'n' | b'N'));
    let out_of_range = value.is_infinite() && !named || value == 0.0 && has_nonzero_mantissa(text);
    (!out_of_range).then_some(value)
}

/// Reads a float as C's `strtod` does when it takes the whole text: nothing at all is 0. Not NaN.
pub fn parse_float_c(text: &[u8]) -> Option<f64> {
    if text.is_empty() {
        return Some(0.0);
    }
    let text = std::str::from_utf8(text).ok()?.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let value = match hexadecimal(text) {
        Some(value) => value,
        None => text.parse::<f64>().ok()?,
    };
    (!value.is_nan()).then_some(value)
}

/// `0x1F`, `0x1.8p-3`, with a sign perhaps.
fn hexadecimal(text: &str) -> Option<f64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"))?;
    let (digits, exponent) = match digits.split_once(['p', 'P']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut mantissa = 0u64;
    let mut exponent = i64::from(exponent) - 4 * fraction.len() as i64;
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = u64::from(digit.to_digit(16)?);
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
        } else {
            // Beyond what a double holds it only matters whether there is anything.
            mantissa |= u64::from(digit != 0);
            exponent += 4;
        }
    }
    // In two steps, because a power of two alone may be out of range where the product is not.
    let exponent = exponent.clamp(-2_000, 2_000) as i32;
    let value = mantissa as f64 * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2);
    Some(if negative { -value } else { value })
}

fn has_nonzero_mantissa(text: &[u8]) -> bool {
    let mantissa = text.split(|byte| matches!(byte, b'e' | b'E' | b'p' | b'P')).next().unwrap_or_default();
    mantissa.iter().any(|byte| matches!(byte, b'1'..=b'9'))
}

#[cfg(test)]
mod tests {
    use super::{parse_float, parse_float_c, parse_integer};
    use proptest::prelude::*;

    #[test]
    fn only_canonical_integers_are_read() {
        for (text, value) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("18446744073709551616", None),
            ("01", None),
            ("-0", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("", None),
            ("-", None),
            ("1a", None),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn floats_are_read_as_in_c() {
        for (text, value) in [
            ("1", Some(1.0)),
            ("+1.5e3", Some(1_500.0)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("0x10", Some(16.0)),
            ("-0x1.8p1", Some(-3.0)),
            ("0x.8", Some(0.5)),
            ("0x1p-1074", Some(5e-324)),
            ("0x0p7", Some(0.0)),
            ("0x1p5000", None),
            ("0x1p-5000", None),
            ("0x", None),
            ("0xg", None),
            ("inf", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("0e5", Some(0.0)),
            ("nan", None),
            ("1e400", None),
            ("1e-400", None),
            ("", None),
            (" 1", None),
            ("1 ", None),
            ("abc", None),
        ] {
            assert_eq!(parse_float(text.as_bytes()), value, "{text:?}");
        }
        assert_eq!(
            (parse_float_c(b""), parse_float_c(b" 1"), parse_float_c(b"x"), parse_float_c(b"-1e500")),
            (Some(0.0), Some(1.0), None, Some(f64::NEG_INFINITY))
        );
    }

    proptest! {
        #[test]
        fn every_integer_is_read_back(number: i64) {
            prop_assert_eq!(parse_integer(number.to_string().as_bytes()), Some(number));
        }

        #[test]
        fn agrees_with_the_standard_library(text in "-?[0-9]{1,20}") {
            let canonical = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
            prop_assert_eq!(parse_integer(text.as_bytes()), canonical);
        }
    }
}
