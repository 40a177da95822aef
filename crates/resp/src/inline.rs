//! Splits an inline request, the form a person types into telnet, into arguments by Redis' rules.
//!
//! Words are separated by blanks; `"…"` takes the escapes `\n \r \t \b \a \xHH \\ \"`, `'…'` takes only `\'`;
//! a closing quote must be followed by a blank or the end.

use crate::ProtocolError;

/// Splits `line` (without its line end) and appends each argument to `args`.
pub(crate) fn split(line: &[u8], args: &mut Vec<Vec<u8>>) -> Result<(), ProtocolError> {
    // NUL ends a line for Redis too: it splits C strings.
    let line = line.split(|byte| *byte == b'\0').next().unwrap_or_default();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?.trim_ascii_start();
        args.push(word);
    }
    Ok(())
}

/// Takes one word from the front of `rest` into `word` and returns what is left.
fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'"' => return take_quoted(after, word, b'"'),
            b'\'' => return take_quoted(after, word, b'\''),
            b' ' | b'\n' | b'\r' | b'\t' => return Ok(after),
            _ => word.push(byte),
        }
        rest = after;
    }
    Ok(rest)
}

/// Takes up to the closing `quote`.
fn take_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>, quote: u8) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (&byte, after) = rest.split_first().ok_or(ProtocolError::UnbalancedQuotes)?;
        rest = match byte {
            b'\\' if quote == b'"' => take_escape(after, word)?,
            b'\\' if after.first() == Some(&b'\'') => {
                word.push(b'\'');
                &after[1..]
            }
            _ if byte == quote => {
                let ended = after.first().is_none_or(u8::is_ascii_whitespace);
                return if ended { Ok(after) } else { Err(ProtocolError::UnbalancedQuotes) };
            }
            _ => {
                word.push(byte);
                after
            }
        };
    }
}

/// Takes what follows a backslash inside double quotes.
fn take_escape<'a>(rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    if let [b'x', high, low, after @ ..] = rest
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        word.push(high << 4 | low);
        return Ok(after);
    }
    let (&byte, after) = rest.split_first().ok_or(ProtocolError::UnbalancedQuotes)?;
    word.push(match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    });
    Ok(after)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let mut args = Vec::new();
        split(line.as_bytes(), &mut args).unwrap();
        let args: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
        assert_eq!(args, expected, "{line:?}");
    }

    #[test]
    fn splits_like_redis() {
        check("", &[]);
        check("   ", &[]);
        check("PING", &["PING"]);
        check("  SET  key   value ", &["SET", "key", "value"]);
        check(r#"SET k "a b""#, &["SET", "k", "a b"]);
        check(r#"SET k "\x41\n\"\\""#, &["SET", "k", "A\n\"\\"]);
        check(r"SET k 'a\'b \n'", &["SET", "k", r"a'b \n"]);
        check(r#"SET k """#, &["SET", "k", ""]);
        check(r#"SET k a"b c""#, &["SET", "k", "ab c"]);
        check(r#"SET k "\xZZ""#, &["SET", "k", "xZZ"]);
        check("PING\0 more", &["PING"]);
        check("\0PING", &[]);
    }

    #[test]
    fn refuses_quotes_that_do_not_close() {
        for line in [r#"SET k "a"#, "SET k 'a", r#"SET k "a"b"#, r#"SET k "a\"#] {
            assert_eq!(
                split(line.as_bytes(), &mut Vec::new()),
                Err(ProtocolError::UnbalancedQuotes),
                "{line:?}"
            );
        }
    }
}
