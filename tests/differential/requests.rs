//! Random requests: well-formed ones from templates, and some of them spoiled.
//!
//! A template is a line of words. `$key` stands for a random key; `?NX` is there or not; `NX|XX` is one of
//! them; `EX:$seconds` is two arguments that go together; a word that ends with `+` is repeated a few times, one
//! that ends with `*` many times. Keys are few
//! and of all types, so that wrong types are met all the time.

use super::all_types::{self, BITS, FIELDS, GROUPS, IDS, LONGITUDES, PURE, RANGES, SCRIPTS, SHAS};
use crate::random::Random;

const TEMPLATES: &str = "
    GET $key
    GETDEL $key
    GETSET $key $value
    GETEX $key
    GETEX $key EX:$seconds|PX:$millis|EXAT:$when|PERSIST
    SET $key $value
    SET $key $value ?NX|XX ?GET ?EX:$seconds
    SET $key $value ?GET ?PX:$millis|EXAT:$future|PXAT:$future|KEEPTTL ?NX|XX
    SET $key $number
    SETEX $key $seconds $value
    PSETEX $key $millis $value
    SETNX $key $value
    MGET $key+
    MSET $key:$value+
    MSETNX $twin:$value+
    APPEND $key $value
    STRLEN $key
    GETRANGE $key $index $index
    SUBSTR $key $index $index
    SETRANGE $key $offset $value
    INCR $key
    DECR $key
    INCRBY $key $number
    DECRBY $key $number
    INCRBYFLOAT $key $float
    DEL $key+
    UNLINK $key+
    EXISTS $key+
    TOUCH $key+
    TYPE $key
    RENAME $twin $twin
    RENAMENX $twin $twin
    EXPIRE $key $seconds ?NX|XX|GT|LT
    PEXPIRE $key $millis ?NX|XX|GT|LT
    EXPIREAT $key $when ?NX|XX|GT|LT
    PEXPIREAT $key $when ?NX|XX|GT|LT
    TTL $key
    PTTL $key
    EXPIRETIME $key
    PEXPIRETIME $key
    PERSIST $key
    KEYS $pattern
    DBSIZE
    DBSIZE|FLUSHALL|FLUSHDB
    FLUSHALL|FLUSHDB ASYNC|SYNC|x|$value|$value|$value|$value|$value
    ZADD $key $score:$member+
    ZADD $key $score:$member+
    ZADD $key ?NX|XX ?GT|LT ?CH $score:$member+
    ZADD $key ?NX|XX ?GT|LT ?CH INCR $score:$member
    ZADD $lexkey 0:$member+
    ZADD $large $score:$numbered*
    ZADD $large ?GT|LT ?CH $score:$numbered*
    ZREM $large $numbered*
    ZRANK|ZREVRANK|ZSCORE $large $numbered
    ZRANGE $large $rank $rank ?REV ?WITHSCORES
    ZRANGE $large $bound $bound BYSCORE ?REV LIMIT $rank $rank ?WITHSCORES
    ZCOUNT $large $bound $bound
    ZCARD $large
    ZPOPMIN|ZPOPMAX $large $index
    ZREMRANGEBYRANK $large $rank $rank
    ZREM $key|$lexkey $member+
    ZSCORE $key $member
    ZMSCORE $key $member+
    ZINCRBY $key $score $member
    ZCARD $key
    ZCOUNT $key $bound $bound
    ZLEXCOUNT $lexkey $lex $lex
    ZRANK $key $member
    ZREVRANK $key $member
    ZRANGE $key $index $index ?REV ?WITHSCORES
    ZRANGE $key $bound $bound BYSCORE ?REV ?LIMIT:$offset:$index ?WITHSCORES
    ZRANGE $lexkey $lex $lex BYLEX ?REV ?LIMIT:$offset:$index
    ZREVRANGE $key $index $index ?WITHSCORES
    ZRANGEBYSCORE $key $bound $bound ?WITHSCORES ?LIMIT:$offset:$index
    ZREVRANGEBYSCORE $key $bound $bound ?LIMIT:$offset:$index ?WITHSCORES
    ZRANGEBYLEX $lexkey $lex $lex ?LIMIT:$offset:$index
    ZREVRANGEBYLEX $lexkey $lex $lex ?LIMIT:$offset:$index
    ZREMRANGEBYRANK $key $index $index
    ZREMRANGEBYSCORE $key $bound $bound
    ZREMRANGEBYLEX $lexkey $lex $lex
    ZPOPMIN $key ?$index
    ZPOPMAX $key ?$index
    PING ?$value
    ECHO $value
    SELECT 0|-1|x|1000|99999999999999999999
    CLIENT GETNAME
    COMMAND COUNT $value
    OBJECT ENCODING $key
    OBJECT REFCOUNT $large
    CONFIG GET no-such-setting
    NOSUCHCOMMAND $value+
    OBJECT NOSUCH $key
    CLIENT NOSUCH
";

/// Spread over the nodes of a cluster.
const KEYS: &[&str] = &["a", "b", "c", "d", "key:1", "key:2", "{t}1", "{t}2", "", "a key with blanks\r\n"];
/// For the commands that need their keys on one node.
const TWINS: &[&str] = &["{t}1", "{t}2", "{t}3"];
/// Sorted sets whose scores are all equal: ranges of names mean nothing on others.
const LEXKEYS: &[&str] = &["lex:1", "lex:2"];
/// Sorted sets that outgrow the compact encoding.
const LARGE: &[&str] = &["large:1", "large:2"];
/// How many members there may be in them.
const NUMBERED: usize = 600;
const VALUES: &[&str] =
    &["", "x", "hello!", "17", "-3", "3.5", "9223372036854775807", "a\r\nb", "nx", "\u{1}\u{ff}"];
const NUMBERS: &[&str] =
    &["0", "1", "-1", "10", "-9223372036854775808", "9223372036854775807", "x", "1.5", " 1", "01"];
const FLOATS: &[&str] = &["0", "1", "-1.5", "0.1", "1e3", "3.0e-5", "inf", "-inf", "nan", "x", "1e308"];
/// None so short that it would pass during the test.
const SECONDS: &[&str] = &["1000", "2000", "100000", "0", "-1", "x", "9223372036854775807"];
const MILLIS: &[&str] = &["1000000", "2000000", "0", "-1", "x", "9223372036854775807"];
const WHENS: &[&str] = &["4102444800", "4102444801", "4102444800000", "1", "0", "-1", "x"];
/// Redis keeps a key that was set with an expiry in the past until somebody looks at it, and counts it.
const FUTURES: &[&str] = &["4102444800000", "4102444800001", "0", "-1", "x"];
const INDEXES: &[&str] = &["0", "1", "2", "-1", "-2", "5", "-100", "100", "x"];
const OFFSETS: &[&str] = &["0", "1", "3", "-1", "20", "x", "536870912"];
const SCORES: &[&str] =
    &["0", "1", "2", "-1", "1.5", "0.1", "1e10", "1e100", "inf", "-inf", "3", "nan", "x", "17179869184"];
const MEMBERS: &[&str] = &["a", "b", "c", "d", "e", "", "a b", "\r\n"];
const BOUNDS: &[&str] = &["-inf", "+inf", "0", "1", "(1", "2", "(2", "1.5", "inf", "(-inf", "x", "nan"];
const LEXES: &[&str] = &["-", "+", "[a", "(a", "[c", "(d", "[", "x"];
const PATTERNS: &[&str] = &["*", "a*", "key:?", "[ab]", "{t}*", "nothing", "[^a]", "\\a"];

/// One request in so many is spoiled.
const SPOILED: usize = 20;

pub(super) struct Requests {
    templates: Vec<Vec<String>>,
}

impl Requests {
    /// What every node of ours can do.
    pub(super) fn of_our_nodes() -> Self {
        Self::from(TEMPLATES)
    }

    /// What Redis can do.
    pub(super) fn of_redis() -> Self {
        Self::from(&format!("{TEMPLATES}{}", all_types::TEMPLATES))
    }

    fn from(text: &str) -> Self {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        Self { templates: text.lines().map(words).filter(|words| !words.is_empty()).collect() }
    }

    /// `MULTI`, requests whose keys live together, and `EXEC` or `DISCARD`.
    pub(super) fn next_unit(&self, random: &mut Random) -> Vec<Vec<Vec<u8>>> {
        let mut unit = vec![vec![b"MULTI".to_vec()]];
        for _ in 0..random.below(6) {
            let template = &self.templates[random.below(self.templates.len())];
            if template.iter().any(|word| word.contains("$lexkey") || word.contains("$large")) {
                continue;
            }
            let near: Vec<String> = template.iter().map(|word| word.replace("$key", "$twin")).collect();
            unit.push(filled(&near, random));
        }
        unit.push(vec![if random.one_in(5) { b"DISCARD".to_vec() } else { b"EXEC".to_vec() }]);
        unit
    }

    pub(super) fn next(&self, random: &mut Random) -> Vec<Vec<u8>> {
        let template = &self.templates[random.below(self.templates.len())];
        let mut request = filled(template, random);
        // A spoiled score would make the scores of such a set unequal, a spoiled timeout longer.
        let delicate = |word: &String| word.contains("$lexkey") || word.starts_with('B') || word == "0.001";
        if random.one_in(SPOILED) && !template.iter().any(delicate) {
            spoil(&mut request, random);
        }
        request
    }
}

fn filled(template: &[String], random: &mut Random) -> Vec<Vec<u8>> {
    let mut request = Vec::new();
    template.iter().for_each(|word| fill(word, random, &mut request));
    request
}

fn fill(word: &str, random: &mut Random, request: &mut Vec<Vec<u8>>) {
    if let Some(optional) = word.strip_prefix('?') {
        if random.one_in(3) {
            fill(optional, random, request);
        }
        return;
    }
    let (word, times) = match (word.strip_suffix('+'), word.strip_suffix('*')) {
        (Some(few), _) => (few, 1 + random.below(4)),
        (_, Some(many)) => (many, 20 + random.below(100)),
        _ => (word, 1),
    };
    for _ in 0..times {
        let alternatives: Vec<&str> = word.split('|').collect();
        for part in random.pick(&alternatives).split(':') {
            request.push(argument(part, random));
        }
    }
}

fn argument(part: &str, random: &mut Random) -> Vec<u8> {
    let choices = match part {
        "$numbered" => return format!("member{}", random.below(NUMBERED)).into(),
        "$rank" => return (random.below(NUMBERED) as i64 - NUMBERED as i64 / 2).to_string().into(),
        "$large" => LARGE,
        "$key" => KEYS,
        "$twin" => TWINS,
        "$lexkey" => LEXKEYS,
        "$value" => VALUES,
        "$number" => NUMBERS,
        "$float" => FLOATS,
        "$seconds" => SECONDS,
        "$millis" => MILLIS,
        "$when" => WHENS,
        "$future" => FUTURES,
        "$index" => INDEXES,
        "$offset" => OFFSETS,
        "$score" => SCORES,
        "$member" => MEMBERS,
        "$bound" => BOUNDS,
        "$lex" => LEXES,
        "$pattern" => PATTERNS,
        "$field" => FIELDS,
        "$id" => IDS,
        "$range" => RANGES,
        "$group" => GROUPS,
        "$bit" => BITS,
        "$longitude" => LONGITUDES,
        "$script" => SCRIPTS,
        "$sha" => SHAS,
        "$pure" => PURE,
        word => {
            assert!(!word.starts_with('$'), "unknown {word}");
            return word.into();
        }
    };
    random.pick(choices).into()
}

/// Makes it wrong, or at least unusual.
fn spoil(request: &mut Vec<Vec<u8>>, random: &mut Random) {
    match random.below(5) {
        0 => drop(request.pop()),
        1 => request.push(random.pick(VALUES).into()),
        2 => request[0].make_ascii_lowercase(),
        3 => {
            let at = random.below(request.len());
            request[at] = random.pick(VALUES).into();
        }
        _ => request.truncate(1),
    }
    if request.is_empty() {
        request.push(b"PING".to_vec());
    }
}

/// The request as a line for messages.
pub(super) fn printed(request: &[Vec<u8>]) -> String {
    let args = request.iter().map(|arg| match arg.is_empty() {
        true => "''".to_owned(),
        false => arg.escape_ascii().to_string(),
    });
    args.collect::<Vec<_>>().join(" ")
}
