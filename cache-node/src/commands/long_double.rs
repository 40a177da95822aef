//! The arithmetic of INCRBYFLOAT: Redis computes it in x87 long doubles (64 bits of mantissa), which Rust lacks.
//!
//! Doing it in 53 bits would answer 0.1 + 0.2 with 0.30000000000000004 where Redis answers 0.3. So numbers are
//! read, added and rounded here exactly, on integers as long as it takes, and rounded to 64 bits once per step.

use std::cmp::Ordering;
use std::fmt;

/// Bits of a long double's mantissa.
const MANTISSA_BITS: usize = 64;
/// Digits after the point that Redis prints.
const DECIMALS: u32 = 17;
/// Longest text Redis reads as a long double.
const TEXT_MAX: usize = 5 * 1024 - 1;
/// The largest decimal exponent of a long double.
const EXPONENT_MAX: i64 = 4_932;

/// Decimal digits that fit a limb of 32 bits, so that they are multiplied in one step.
const DIGITS_PER_STEP: usize = 9;
/// The same for powers of five: 5^13 is the largest below 2^32.
const FIVES_PER_STEP: u32 = 13;

/// A number with 64 bits of mantissa: `mantissa * 2^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LongDouble {
    negative: bool,
    mantissa: u64,
    exponent: i64,
    infinite: bool,
}

impl LongDouble {
    pub(super) const ZERO: Self = Self { negative: false, mantissa: 0, exponent: 0, infinite: false };

    /// Reads decimal text; `None` for anything else, and for what is too large or too small.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] | rest => (false, rest),
        };
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(Self { negative, infinite: true, ..Self::ZERO });
        }
        let (digits, exponent) = decimal(text)?;
        if digits.is_zero() {
            return Some(Self::ZERO);
        }
        let (mantissa, exponent) = if exponent >= 0 {
            round(&digits.times_power_of_ten(exponent as u32), 0, false)
        } else {
            divide(digits, Natural::from(1).times_power_of_ten(-exponent as u32))
        };
        Some(Self { negative, mantissa, exponent, infinite: false })
    }

    /// The rounded sum; `None` when it is not finite.
    pub(super) fn add(self, other: Self) -> Option<Self> {
        if self.infinite || other.infinite {
            return None;
        }
        let low = self.exponent.min(other.exponent);
        let aligned =
            |number: Self| Natural::from(number.mantissa).shifted_left((number.exponent - low) as usize);
        let (mine, others) = (aligned(self), aligned(other));
        let (negative, sum) = if self.negative == other.negative {
            (self.negative, mine.plus(&others))
        } else {
            match mine.compare(&others) {
                Ordering::Less => (other.negative, others.minus(&mine)),
                _ => (self.negative, mine.minus(&others)),
            }
        };
        if sum.is_zero() {
            return Some(Self::ZERO);
        }
        let (mantissa, exponent) = round(&sum, low, false);
        Some(Self { negative, mantissa, exponent, infinite: false })
    }
}

impl fmt::Display for LongDouble {
    /// As `%.17Lf` without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut scaled = Natural::from(self.mantissa).times_power_of_ten(DECIMALS);
        if self.exponent >= 0 {
            scaled = scaled.shifted_left(self.exponent as usize);
        } else {
            scaled = scaled.shifted_right_rounded(-self.exponent as usize);
        }
        let digits = format!("{:0>width$}", scaled.to_decimal(), width = DECIMALS as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - DECIMALS as usize);
        let fraction = fraction.trim_end_matches('0');
        let zero = whole == "0" && fraction.is_empty();
        let sign = if self.negative && !zero { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

/// All digits of a decimal number as one integer, and the power of ten it is to be multiplied by.
fn decimal(text: &[u8]) -> Option<(Natural, i64)> {
    let (number, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], decimal_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = match number.iter().position(|byte| *byte == b'.') {
        Some(at) => (&number[..at], &number[at + 1..]),
        None => (number, &b""[..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = Natural::from_digits(&[whole, fraction].concat())?;
    let exponent = exponent - fraction.len() as i64;
    // The number of digits says how large it is, give or take one.
    let magnitude = exponent + digits.bits() as i64 * 3 / 10;
    let in_range = digits.is_zero() || (-EXPONENT_MAX..EXPONENT_MAX).contains(&magnitude);
    in_range.then_some((digits, exponent))
}

fn decimal_exponent(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    // Far beyond the range is as good as a little beyond it.
    let exponent: i64 = text.parse().ok()?;
    Some(exponent.clamp(-3 * EXPONENT_MAX, 3 * EXPONENT_MAX))
}

/// The quotient, rounded, as mantissa and exponent.
fn divide(mut dividend: Natural, mut divisor: Natural) -> (u64, i64) {
    // Two more bits than the mantissa decide the rounding, together with the remainder.
    let shift = (MANTISSA_BITS + 2 + divisor.bits()) as i64 - dividend.bits() as i64;
    if shift >= 0 {
        dividend = dividend.shifted_left(shift as usize);
    } else {
        divisor = divisor.shifted_left(-shift as usize);
    }
    let mut quotient = Natural::default();
    let bits = MANTISSA_BITS + 4;
    let mut part = divisor.shifted_left(bits);
    for _ in 0..bits {
        part.halve();
        quotient.multiply_add(2, 0);
        if dividend.compare(&part) != Ordering::Less {
            dividend = dividend.minus(&part);
            quotient.multiply_add(1, 1);
        }
    }
    round(&quotient, -shift, !dividend.is_zero())
}

/// Rounds `number * 2^exponent` to 64 bits, half to even; `more` says that something below was cut off.
fn round(number: &Natural, exponent: i64, more: bool) -> (u64, i64) {
    let excess = number.bits().saturating_sub(MANTISSA_BITS);
    let kept = if more && excess > 0 {
        // What was cut off counts only where the rest would be exactly half.
        number.shifted_left(1).plus(&Natural::from(1)).shifted_right_rounded(excess + 1)
    } else {
        number.shifted_right_rounded(excess)
    };
    // Rounding up may carry into a 65th bit.
    let carry = kept.bits().saturating_sub(MANTISSA_BITS);
    (kept.shifted_right_rounded(carry).low_64(), exponent + (excess + carry) as i64)
}

/// A natural number of any size; the lowest 32 bits first, no zero at the end.
#[derive(Debug, Clone, Default)]
struct Natural(Vec<u32>);

impl From<u64> for Natural {
    fn from(number: u64) -> Self {
        Self(vec![number as u32, (number >> 32) as u32]).trimmed()
    }
}

impl Natural {
    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn bits(&self) -> usize {
        self.0.last().map_or(0, |top| self.0.len() * 32 - top.leading_zeros() as usize)
    }

    fn low_64(&self) -> u64 {
        let limb = |at: usize| u64::from(self.0.get(at).copied().unwrap_or(0));
        limb(0) | limb(1) << 32
    }

    fn multiply_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for limb in &mut self.0 {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    /// The number these decimal digits are; `None` if there is anything else among them.
    fn from_digits(digits: &[u8]) -> Option<Self> {
        let mut number = Self::default();
        for group in digits.chunks(DIGITS_PER_STEP) {
            let text = std::str::from_utf8(group).ok().filter(|_| group.iter().all(u8::is_ascii_digit))?;
            number.multiply_add(10u32.pow(group.len() as u32), text.parse().ok()?);
        }
        Some(number)
    }

    /// Ten is five times two: the twos are a shift.
    fn times_power_of_ten(mut self, power: u32) -> Self {
        for _ in 0..power / FIVES_PER_STEP {
            self.multiply_add(5u32.pow(FIVES_PER_STEP), 0);
        }
        self.multiply_add(5u32.pow(power % FIVES_PER_STEP), 0);
        self.shifted_left(power as usize)
    }

    fn halve(&mut self) {
        let mut carry = 0;
        for limb in self.0.iter_mut().rev() {
            (*limb, carry) = (*limb >> 1 | carry, *limb << 31);
        }
        if self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn shifted_left(&self, bits: usize) -> Self {
        let mut limbs = vec![0; bits / 32];
        let mut carry = 0u64;
        for limb in &self.0 {
            carry |= u64::from(*limb) << (bits % 32);
            limbs.push(carry as u32);
            carry >>= 32;
        }
        limbs.push(carry as u32);
        Self(limbs).trimmed()
    }

    /// Half is rounded to even.
    fn shifted_right_rounded(&self, bits: usize) -> Self {
        if bits == 0 {
            return self.clone();
        }
        let whole: Vec<u32> = self.0.iter().skip(bits / 32).copied().collect();
        let mut shifted = Vec::with_capacity(whole.len());
        for (at, limb) in whole.iter().enumerate() {
            let high = u64::from(whole.get(at + 1).copied().unwrap_or(0)) << 32;
            shifted.push(((high | u64::from(*limb)) >> (bits % 32)) as u32);
        }
        let shifted = Self(shifted).trimmed();
        let cut = self.minus(&shifted.shifted_left(bits));
        match cut.compare(&Self::from(1).shifted_left(bits - 1)) {
            Ordering::Greater => shifted.plus(&Self::from(1)),
            Ordering::Equal if shifted.low_64() & 1 == 1 => shifted.plus(&Self::from(1)),
            _ => shifted,
        }
    }

    fn plus(&self, other: &Self) -> Self {
        let mut sum = Vec::new();
        let mut carry = 0u64;
        for at in 0..self.0.len().max(other.0.len()) + 1 {
            let limb = |number: &Self| u64::from(number.0.get(at).copied().unwrap_or(0));
            carry += limb(self) + limb(other);
            sum.push(carry as u32);
            carry >>= 32;
        }
        Self(sum).trimmed()
    }

    /// `other` must not be larger.
    fn minus(&self, other: &Self) -> Self {
        let mut difference = Vec::new();
        let mut borrow = 0i64;
        for (at, limb) in self.0.iter().enumerate() {
            let mut limb = i64::from(*limb) - i64::from(other.0.get(at).copied().unwrap_or(0)) - borrow;
            borrow = i64::from(limb < 0);
            limb += borrow << 32;
            difference.push(limb as u32);
        }
        Self(difference).trimmed()
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    fn to_decimal(&self) -> String {
        let mut rest = self.clone();
        let mut groups = Vec::new();
        while !rest.is_zero() {
            let mut remainder = 0u64;
            for limb in rest.0.iter_mut().rev() {
                let part = remainder << 32 | u64::from(*limb);
                *limb = (part / 1_000_000_000) as u32;
                remainder = part % 1_000_000_000;
            }
            groups.push(format!("{remainder:09}"));
            rest = rest.trimmed();
        }
        let digits: String = groups.into_iter().rev().collect();
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() { "0".to_owned() } else { digits.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::LongDouble;

    fn sum(left: &str, right: &str) -> Option<String> {
        let parse = |text: &str| LongDouble::parse(text.as_bytes());
        Some(parse(left)?.add(parse(right)?)?.to_string())
    }

    #[test]
    fn sums_are_those_of_redis() {
        // Each line was answered by redis-server 7.0.15.
        for (left, right, expected) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "-3", "0"),
            ("1", "0.000000000000000001", "1"),
            ("0", "-1.5", "-1.5"),
            ("1e20", "1", "100000000000000000000"),
            ("1e30", "0", "1000000000000000000024696061952"),
            ("0", "3.14159265358979323846", "3.14159265358979324"),
            ("17179869184", "1.123456789", "17179869185.12345678918063641"),
            ("123456789.987654321", "12345678901234567890", "12345678901358024680"),
            ("1e-4900", "1", "1"),
        ] {
            assert_eq!(sum(left, right).as_deref(), Some(expected), "{left} + {right}");
        }
    }

    #[test]
    fn what_is_no_finite_number_is_refused() {
        for text in
            ["", "abc", "1e", "1.2.3", "nan", " 1", "1 ", "--1", ".", "1e5000", "1e-5000", "1e99999999999999"]
        {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(sum("inf", "1"), None);
        assert_eq!(sum("1e-300", "1").as_deref(), Some("1"));
    }
}
