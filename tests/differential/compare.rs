//! When two replies count as equal, and the differences that are meant to be.

use resp::Elements;

/// What comparing two replies says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Equal,
    /// Different, but known and right. Both sides may hold different data from now on.
    Excused,
    Different,
}

pub(super) fn judge(request: &[Vec<u8>], ours: &[u8], theirs: &[u8]) -> Verdict {
    let name = request.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
    if ours == theirs || means_the_same(&name, ours, theirs) {
        Verdict::Equal
    } else if is_excused(&name, request, ours, theirs) {
        Verdict::Excused
    } else {
        Verdict::Different
    }
}

fn means_the_same(name: &[u8], ours: &[u8], theirs: &[u8]) -> bool {
    match name {
        // The two clocks are read one after the other.
        b"ttl" | b"expiretime" => within(1, ours, theirs),
        b"pttl" | b"pexpiretime" => within(1_000, ours, theirs),
        // The order of keys is that of a hash table.
        b"keys" => sorted(ours).is_some_and(|keys| Some(keys) == sorted(theirs)),
        // Redis 7.0 prints scores with 17 digits; Redis 7.2, Valkey and FastCache in the shortest form.
        [b'z', ..] => same_scores(ours, theirs),
        _ => false,
    }
}

fn is_excused(name: &[u8], request: &[Vec<u8>], ours: &[u8], theirs: &[u8]) -> bool {
    match name {
        // Which commands are served is not the question here, and each connection has its own id.
        b"command" => request.len() <= 2,
        b"hello" => theirs.starts_with(b"*") || theirs.starts_with(b"%"),
        // WITHSCORE came with Redis 7.2: Redis 7.0 counts arguments where ours looks for an option.
        b"zrank" | b"zrevrank" => request.len() > 3 && ours.starts_with(b"-") && theirs.starts_with(b"-"),
        // Whether 1000 s from now is later than 1000 s from a millisecond ago depends on the clock's tick. The
        // same comparison with absolute times must agree.
        b"expire" | b"pexpire" => {
            let option = request.last().map(|option| option.to_ascii_lowercase()).unwrap_or_default();
            matches!(option.as_slice(), b"gt" | b"lt") && ours.starts_with(b":") && theirs.starts_with(b":")
        }
        // A proxy serves these where all the keys are on one node, and says so otherwise.
        b"rename" | b"renamenx" | b"msetnx" => ours.starts_with(b"-CROSSSLOT "),
        _ => false,
    }
}

fn within(tolerance: u64, ours: &[u8], theirs: &[u8]) -> bool {
    let number =
        |reply: &[u8]| std::str::from_utf8(reply.strip_prefix(b":")?).ok()?.trim_end().parse::<i64>().ok();
    // Negative numbers mean something else than a time.
    matches!((number(ours), number(theirs)), (Some(a @ 0..), Some(b @ 0..)) if a.abs_diff(b) <= tolerance)
}

fn elements(reply: &[u8]) -> Option<Vec<&[u8]>> {
    Elements::of(reply)?.collect::<Result<_, _>>().ok()
}

fn sorted(reply: &[u8]) -> Option<Vec<&[u8]>> {
    let mut elements = elements(reply)?;
    elements.sort_unstable();
    Some(elements)
}

/// Equal but for the number of digits in which the same numbers are written.
fn same_scores(ours: &[u8], theirs: &[u8]) -> bool {
    match (elements(ours), elements(theirs)) {
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_scores(a, b)),
        (None, None) => ours == theirs || number(ours).is_some_and(|score| Some(score) == number(theirs)),
        _ => false,
    }
}

/// The value of a double, or of a bulk string that holds one.
fn number(reply: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(reply).ok()?;
    match text.strip_prefix(',') {
        Some(double) => double.trim_end().parse().ok(),
        None => text.strip_prefix('$')?.split_once("\r\n")?.1.trim_end().parse().ok(),
    }
}
