//! Writes a double as Redis 7.2, Redis 8 and Valkey do: the shortest digits that read back as the same
//! number, laid out by the rules of the `fpconv` algorithm they use. (Redis 7.0 and older printed 17 digits:
//! `0.10000000000000001` where this prints `0.1`.)

use std::io::Write;

/// Doubles up to this magnitude that are whole print as integers: 2^52, below which every whole number is
/// one double.
const LARGEST_PLAIN_INTEGER: f64 = 4_503_599_627_370_496.0;

/// Appends `value` to `out`: `3`, `-0`, `0.1`, `1.5e+21`, `inf`, `-inf`, `nan`.
pub fn write_double(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.abs() < LARGEST_PLAIN_INTEGER && value.fract() == 0.0 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^52")]
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        write_shortest(out, value);
    }
}

/// Splits `value` into its shortest digits and a power of ten, and lays them out.
fn write_shortest(out: &mut Vec<u8>, value: f64) {
    // `{:e}` prints the shortest round-trip digits as `d[.ddd]e[-]x`: at most 24 bytes.
    let mut scratch = [0_u8; 32];
    let mut rest = &mut scratch[..];
    let room = rest.len();
    // A write into an array large enough for every double cannot fail.
    let _ = write!(rest, "{:e}", value.abs());
    let used = room - rest.len();
    let (mantissa, exponent) = split_exponent(&scratch[..used]);

    let mut digits = [0_u8; 24];
    let mut count = 0;
    for &byte in mantissa.iter().filter(|byte| **byte != b'.') {
        digits[count] = byte;
        count += 1;
    }
    if value < 0.0 {
        out.push(b'-');
    }
    lay_out(out, &digits[..count], exponent);
}

/// `d.ddde-x` as its mantissa's bytes and its exponent.
fn split_exponent(printed: &[u8]) -> (&[u8], i32) {
    let e = printed.iter().position(|byte| *byte == b'e').unwrap_or(printed.len());
    let text = std::str::from_utf8(printed.get(e + 1..).unwrap_or_default()).unwrap_or_default();
    (&printed[..e], text.parse().unwrap_or(0))
}

/// Writes `digits` with the decimal point after the first one, times ten to the `exponent`.
fn lay_out(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = exponent + 1 - count;
    if zeros >= 0 && exponent < count + 7 {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', zeros.unsigned_abs() as usize));
    } else if zeros < 0 && (zeros > -7 || exponent.abs() < 4) {
        write_with_point(out, digits, count + zeros);
    } else {
        write_scientific(out, digits, exponent);
    }
}

/// Writes `digits` with `whole` of them before the point, and leading zeros where there are too few.
fn write_with_point(out: &mut Vec<u8>, digits: &[u8], whole: i32) {
    match usize::try_from(whole) {
        Ok(whole) if whole > 0 => {
            out.extend_from_slice(&digits[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        }
        _ => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', whole.unsigned_abs() as usize));
            out.extend_from_slice(digits);
        }
    }
}

/// Writes `d.ddde+x`.
fn write_scientific(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    out.extend_from_slice(itoa::Buffer::new().format(exponent.unsigned_abs()).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn printed(value: f64) -> String {
        let mut out = Vec::new();
        write_double(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn prints_as_valkey_does() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-17.0, "-17"),
            (0.1, "0.1"),
            (1.5, "1.5"),
            (-2.25, "-2.25"),
            (100_000_000.0, "100000000"),
            (4_503_599_627_370_495.0, "4503599627370495"),
            (1e20, "1e+20"),
            (1.5e21, "1.5e+21"),
            (1e-7, "1e-7"),
            (0.000_001, "0.000001"),
            (0.000_012_345, "1.2345e-5"),
            (1.234_567_890_123e-9, "1.234567890123e-9"),
            (0.001_234_567_890_123, "0.001234567890123"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(printed(value), expected);
        }
    }

    proptest! {
        #[test]
        fn reads_back_as_the_same_number(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(printed(value).parse::<f64>().unwrap().to_bits(), bits);
        }
    }
}
