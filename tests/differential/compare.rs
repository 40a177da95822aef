//! When two replies count as equal, and the differences that are meant to be.
//!
//! An excuse is for one text and for requests that can have it: whatever else is said instead of Redis' reply is
//! a difference.

use resp::Elements;

use super::Request;

/// What comparing two replies says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Equal,
    /// Different, but known and right. Both sides may hold different data from now on.
    Excused,
    Different,
}

/// Judges the replies to a request; `earlier` are those before it in its pipeline.
pub(super) fn judge(earlier: &[Request], request: &[Vec<u8>], ours: &[u8], theirs: &[u8]) -> Verdict {
    let name = request.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
    if ours == theirs || means_the_same(&name, ours, theirs) {
        Verdict::Equal
    } else if name == b"exec" {
        judge_each(earlier.get(1..).unwrap_or_default(), ours, theirs)
    } else if is_excused(&name, request, ours, theirs) || is_of_a_cluster(earlier, request, ours, theirs) {
        Verdict::Excused
    } else {
        Verdict::Different
    }
}

/// The replies of a transaction, each by the request that it answers: their order counts. What a node executed has
/// none of a cluster's excuses.
fn judge_each(queued: &[Request], ours: &[u8], theirs: &[u8]) -> Verdict {
    let (Some(ours), Some(theirs)) = (elements(ours), elements(theirs)) else { return Verdict::Different };
    if [ours.len(), theirs.len()] != [queued.len(); 2] {
        return Verdict::Different;
    }
    let replies = ours.into_iter().zip(theirs);
    let verdicts = queued.iter().zip(replies).map(|(request, (ours, theirs))| {
        let name = request[0].to_ascii_lowercase();
        match () {
            () if ours == theirs || means_the_same(&name, ours, theirs) => Verdict::Equal,
            () if is_excused(&name, request, ours, theirs) => Verdict::Excused,
            () => Verdict::Different,
        }
    });
    verdicts.max().unwrap_or(Verdict::Equal)
}

fn means_the_same(name: &[u8], ours: &[u8], theirs: &[u8]) -> bool {
    match name {
        // The two were asked one after the other, on a machine that may be busy.
        b"ttl" | b"expiretime" => within(20, ours, theirs),
        b"pttl" | b"pexpiretime" => within(20_000, ours, theirs),
        // The order of keys is that of a hash table.
        b"keys" => sorted(ours).is_some_and(|keys| Some(keys) == sorted(theirs)),
        // And so is that of the members of a set.
        b"smembers" | b"sinter" | b"sunion" | b"sdiff" | b"spop" | b"srandmember" | b"sscan" => {
            canonical(ours) == canonical(theirs)
        }
        // Redis 7.0 prints scores with 17 digits; Redis 7.2, Valkey and FastCache in the shortest form.
        [b'z', ..] => same_scores(ours, theirs),
        _ => false,
    }
}

/// The known differences, whatever the nodes are.
fn is_excused(name: &[u8], request: &[Vec<u8>], ours: &[u8], theirs: &[u8]) -> bool {
    let both_start = |with: &[u8]| ours.starts_with(with) && theirs.starts_with(with);
    match name {
        // Which commands are served is not the question here.
        b"command" => request.len() <= 2 && (both_start(b":") || both_start(b"*")),
        // WITHSCORE came with Redis 7.2: Redis 7.0 counts arguments where ours looks for an option.
        b"zrank" | b"zrevrank" => request.len() > 3 && both_start(b"-ERR "),
        // Whether 1000 s from now is later than 1000 s from a millisecond ago depends on the clock's tick. The
        // same comparison with absolute times must agree.
        b"expire" | b"pexpire" => {
            let option = request.last().map(|option| option.to_ascii_lowercase()).unwrap_or_default();
            matches!(option.as_slice(), b"gt" | b"lt") && both_start(b":")
        }
        // Of an unknown function with a wrong number of keys, either may be said first.
        b"fcall" | b"fcall_ro" => both_start(b"-ERR "),
        _ => false,
    }
}

/// What a client must know of a cluster: its keys live on several nodes, it has one database, and a transaction
/// runs on one node.
fn is_of_a_cluster(earlier: &[Request], request: &[Vec<u8>], ours: &[u8], theirs: &[u8]) -> bool {
    let says = |text: &[u8]| ours.starts_with(b"-ERR ") && contains(ours, text);
    let is_queued = theirs == b"+QUEUED\r\n";
    // The keys of a transaction live together; others need not live where those of the request before do.
    let together = if is_queued { earlier } else { &[] };
    let names = |name: &str| request[0].eq_ignore_ascii_case(name.as_bytes());
    let has = |word: &str| request.iter().any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    if ours.starts_with(b"-CROSSSLOT ") {
        let mut tags: Vec<_> =
            together.iter().map(Vec::as_slice).chain([request]).flat_map(keys).map(tag).collect();
        tags.sort_unstable();
        tags.dedup();
        tags.len() > 1
    } else if names("copy") {
        has("DB") && says(b"only database 0")
    } else if names("sort") || names("sort_ro") {
        has("BY") && says(b"may be on other nodes")
    } else if is_queued && keys(request).is_empty() {
        let is_script = names("eval") || names("evalsha") || names("fcall");
        says(if is_script { b"without a key cannot be routed" } else { b"cannot be part of a transaction" })
    } else {
        false
    }
}

fn contains(reply: &[u8], text: &[u8]) -> bool {
    reply.windows(text.len()).any(|part| part == text)
}

/// The keys that the request names. A channel lives where a key of its name would.
fn keys(request: &[Vec<u8>]) -> Vec<&[u8]> {
    if request[0].eq_ignore_ascii_case(b"publish") {
        return request.get(1).map(Vec::as_slice).into_iter().collect();
    }
    let row = request.first().and_then(|name| commands::lookup(name));
    let row = row.map(|row| request.get(1).and_then(|word| row.subcommand(word)).unwrap_or(row));
    let positions = row.and_then(|row| row.keys(request.len(), |at| request[at].as_slice()).ok());
    positions.into_iter().flatten().map(|at| request[at].as_slice()).collect()
}

/// What of a key tells where it lives: what is between its first braces, if there is anything.
fn tag(key: &[u8]) -> &[u8] {
    let tagged = || {
        let open = key.iter().position(|byte| *byte == b'{')? + 1;
        let len = key[open..].iter().position(|byte| *byte == b'}')?;
        (len > 0).then(|| &key[open..open + len])
    };
    tagged().unwrap_or(key)
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
