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
        // And so is that of the members of a set, which also stands inside of other replies.
        b"smembers" | b"sinter" | b"sunion" | b"sdiff" | b"spop" | b"srandmember" | b"sscan" | b"exec" => {
            canonical(ours) == canonical(theirs)
        }
        // Redis 7.0 prints scores with 17 digits; Redis 7.2, Valkey and FastCache in the shortest form.
        [b'z', ..] => same_scores(ours, theirs),
        _ => false,
    }
}

/// The known differences between a cluster and one Redis.
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
        // Of an unknown function with a wrong number of keys, either may be said first.
        b"fcall" | b"fcall_ro" => ours.starts_with(b"-ERR ") && theirs.starts_with(b"-ERR "),
        _ => is_of_a_cluster(name, request, ours, theirs),
    }
}

/// What a client must know of a cluster: its keys live on several nodes, and it has one database.
fn is_of_a_cluster(name: &[u8], request: &[Vec<u8>], ours: &[u8], theirs: &[u8]) -> bool {
    match name {
        // A transaction runs on one node, so neither keys of others nor what concerns all nodes is part of it.
        _ if theirs == b"+QUEUED\r\n" => ours.starts_with(b"-"),
        _ if ours.starts_with(b"-CROSSSLOT ") => has_several_keys(request),
        b"copy" => contains(ours, b"only database 0"),
        b"sort" | b"sort_ro" => contains(ours, b"may be on other nodes"),
        _ => false,
    }
}

fn contains(reply: &[u8], text: &[u8]) -> bool {
    reply.windows(text.len()).any(|part| part == text)
}

/// Whether the cluster may have found its keys on several nodes.
fn has_several_keys(request: &[Vec<u8>]) -> bool {
    let one_key = [&b"get"[..], b"set", b"hset", b"lpush", b"rpush", b"sadd", b"zadd", b"xadd", b"incr"];
    request.len() > 2 && !one_key.iter().any(|name| request[0].eq_ignore_ascii_case(name))
}

/// The reply with the elements of every aggregate in order.
fn canonical(reply: &[u8]) -> Vec<u8> {
    let Some(elements) = elements(reply) else { return reply.to_vec() };
    let mut elements: Vec<_> = elements.into_iter().map(canonical).collect();
    elements.sort_unstable();
    let mut ordered = vec![reply[0]];
    elements.iter().for_each(|element| ordered.extend_from_slice(element));
    ordered
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
