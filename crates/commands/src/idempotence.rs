//! When a command may be sent to the same node a second time.
//!
//! The rule: a command is idempotent when executing it twice in a row on the same node leaves the same data
//! as executing it once **and** answers the second time with an equivalent reply. Both halves matter to who
//! repeats it: a request whose reply was lost is sent again, and its client must see what it would have seen.
//! - `DEL` leaves the same data but answers 1, then 0: not idempotent. So are `SADD`, `HSET`, `EXPIRE` (a
//!   time in the past deletes; the second answer is 0) and every other command that answers what it changed.
//! - Equivalent, not equal: a random member, the time of day, or a remaining TTL may differ between two
//!   honest executions as well. A relative expiry counts from the last execution.
//! - `ZUNIONSTORE d 2 d e` adds twice, `SDIFFSTORE d e d` undoes itself: commands that store into a key
//!   they may also read are judged by that worst case.
//! - Only data and reply count. Publishing a message twice is seen by subscribers: not idempotent.
//!
//! Repeating on *another* node is a different question, which this rule does not answer.

/// How a command behaves when it is executed twice in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotence {
    /// Never to be repeated.
    Never,
    /// May be repeated whatever its arguments are.
    Always,
    /// May be repeated unless one of these lowercase words is among its arguments. A value that happens to
    /// be such a word is taken for one: that errs on the safe side.
    Unless(&'static [&'static str]),
}

impl Idempotence {
    /// May the request with these arguments (the command's name not among them) be repeated?
    pub fn allows<'a>(self, mut args: impl Iterator<Item = &'a [u8]>) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Unless(words) => {
                !args.any(|arg| words.iter().any(|word| arg.eq_ignore_ascii_case(word.as_bytes())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::lookup;

    fn repeatable(line: &str) -> bool {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let command = lookup(args[0]).expect("a command of the table");
        command.repeatable(args.len(), |i| args[i])
    }

    #[test]
    fn what_changes_twice_or_answers_differently_is_not_repeated() {
        for line in
            ["GET a", "SET a 1", "SET a 1 EX 10", "MSET a 1 b 2", "SORT a LIMIT 0 1", "PING", "FLUSHALL"]
        {
            assert!(repeatable(line), "{line}");
        }
        for line in [
            "SET a 1 NX",
            "SET a 1 ex 10 get",
            "DEL a",
            "INCR a",
            "EXPIRE a 10",
            "SORT a STORE b",
            "ZPOPMIN a",
        ] {
            assert!(!repeatable(line), "{line}");
        }
    }

    #[test]
    fn a_value_that_looks_like_an_option_errs_on_the_safe_side() {
        assert!(!repeatable("SET a nx"));
    }
}
