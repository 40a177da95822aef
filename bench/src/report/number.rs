//! How numbers are written: three digits that mean something, and blanks between thousands.

use crate::statistics::Summary;

/// `13.5`, `0.464`, `47 300`.
#[must_use]
pub fn short(number: f64) -> String {
    let size = number.abs();
    let decimals = match size {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    let text = format!("{number:.decimals$}");
    if size < 1000.0 { text } else { with_blanks(&text) }
}

/// The median, and the range when there is one: `13.5 (12.1–14.0)`.
#[must_use]
pub fn median_and_range(summary: Summary, rounds: usize) -> String {
    let median = short(summary.median);
    if rounds < 2 { median } else { format!("{median} ({}–{})", short(summary.min), short(summary.max)) }
}

fn with_blanks(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut text = sign.to_owned();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            // A blank at which no line breaks.
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_shown() {
        let cases = [
            (0.0, "0.000"),
            (0.4644, "0.464"),
            (1.2345, "1.23"),
            (13.52, "13.5"),
            (99.96, "100"),
            (457.3, "457"),
            (47_312.0, "47\u{a0}312"),
            (1_234_567.0, "1\u{a0}234\u{a0}567"),
            (-6.41, "-6.41"),
            (-1234.0, "-1\u{a0}234"),
        ];
        for (number, text) in cases {
            assert_eq!(short(number), text, "{number}");
        }
    }

    #[test]
    fn one_round_has_no_range() {
        let summary = Summary { median: 2.0, min: 1.0, max: 3.0 };
        assert_eq!(median_and_range(summary, 1), "2.00");
        assert_eq!(median_and_range(summary, 3), "2.00 (1.00–3.00)");
    }
}
