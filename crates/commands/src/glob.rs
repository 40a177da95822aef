//! Redis' patterns: `*`, `?`, `[a-z]`, `[^a]`, and `\` before a byte that means itself. `KEYS`, `SCAN MATCH`,
//! `CONFIG GET` and `COMMAND LIST` use them.
//!
//! A pattern with many stars could make a naive matcher take exponential time; this one goes back to the last
//! star only, so its time is at most the product of the two lengths.

/// Does the whole of `text` match `pattern`? Bytes are compared as they are, with case.
pub fn glob_matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where to go on when the rest does not match: after the last star, with it taking one byte more.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            retry = Some((at, read));
            continue;
        }
        let stepped = match text.get(read) {
            None if at == pattern.len() => return true,
            None => return false,
            Some(byte) => step(pattern, at, *byte),
        };
        match (stepped, retry) {
            (Some(next), _) => (at, read) = (next, read + 1),
            (None, Some((after_star, from))) => {
                (at, read) = (after_star, from + 1);
                retry = Some((after_star, from + 1));
            }
            (None, None) => return false,
        }
    }
}

/// Matches one byte with the pattern's element at `at`; the position after that element if it does.
fn step(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => class(pattern, at + 1, byte),
        b'\\' if at + 1 < pattern.len() => (pattern[at + 1] == byte).then_some(at + 2),
        literal => (literal == byte).then_some(at + 1),
    }
}

/// Matches one byte with the class whose first byte after `[` is at `at`. A class that is never closed ends
/// with the pattern.
fn class(pattern: &[u8], mut at: usize, byte: u8) -> Option<usize> {
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    loop {
        match pattern[at.min(pattern.len())..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', literal, ..] => {
                found |= literal == byte;
                at += 2;
            }
            [low, b'-', high, ..] => {
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= literal == byte;
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_what_redis_matches() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h*llo", "hllo", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hallo", true),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            (r"h\*llo", "h*llo", true),
            (r"h\*llo", "hello", false),
            (r"[\]]", "]", true),
            ("user:*:name", "user:1:2:name", true),
            ("user:*:name", "user:1:2:names", false),
            ("**a**", "bab", true),
            ("[abc", "b", true),
            ("a\\", "a\\", true),
            ("*?", "", false),
        ] {
            assert_eq!(glob_matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let pattern = "a*".repeat(2_000) + "b";
        assert!(!glob_matches(pattern.as_bytes(), "a".repeat(4_000).as_bytes()));
    }
}
