//! The table against a real redis-server: what it says about each of its commands, which arguments it takes
//! for keys, and the words in which it refuses a request.

mod redis;

use commands::{Command, all, lookup};
use redis::{Redis, Reply};
use std::collections::BTreeSet;

/// Where the table differs from Redis 7.0 on purpose.
const DIFFERENCES: [(&str, &str, &str); 12] = [
    ("zrank", "arity", "WITHSCORE came with Redis 7.2 and Valkey 8"),
    ("zrevrank", "arity", "WITHSCORE came with Redis 7.2 and Valkey 8"),
    ("spublish", "keys", "a shard channel is not a key"),
    ("ssubscribe", "keys", "a shard channel is not a key"),
    ("sunsubscribe", "keys", "a shard channel is not a key"),
    ("sort", "categories", "only Redis does not count it as @keyspace"),
    ("sort_ro", "categories", "only Redis does not count it as @keyspace"),
    ("wait", "categories", "only Redis does not count it as @keyspace"),
    ("command|help", "categories", "the table gives all HELP rows alike"),
    ("script", "subcommands", "Valkey has more"),
    ("client", "subcommands", "Valkey has more"),
    ("cluster", "subcommands", "Valkey has more"),
];

/// Compares one element of a row and remembers what differs unexpectedly, or agrees unexpectedly.
fn compare<T: PartialEq + std::fmt::Debug>(
    found: &mut Vec<String>,
    name: &str,
    what: &str,
    ours: &T,
    theirs: &T,
) {
    let excused = DIFFERENCES.iter().any(|(command, element, _)| (*command, *element) == (name, what));
    if (ours == theirs) == excused {
        found.push(format!("{name}: {what} is {ours:?} here and {theirs:?} in Redis (listed: {excused})"));
    }
}

type Words = BTreeSet<String>;

fn words(list: &Reply) -> Words {
    list.list().iter().map(|item| item.text().to_owned()).collect()
}

fn compare_row(found: &mut Vec<String>, ours: &Command, row: &[Reply]) {
    let name = row[0].text();
    let ours_words =
        |names: &mut dyn Iterator<Item = &'static str>| names.map(str::to_owned).collect::<Words>();
    let subcommands = row[9].list().iter().map(|sub| sub.list()[0].text().to_owned()).collect();
    compare(found, name, "name", &ours.name, &name);
    compare(found, name, "arity", &i64::from(ours.arity), &row[1].integer());
    compare(found, name, "flags", &ours_words(&mut ours.flags.names()), &words(&row[2]));
    let range = (row[3].integer(), row[4].integer(), row[5].integer());
    compare(found, name, "keys", &ours.keys.legacy_range(), &range);
    compare(found, name, "categories", &ours_words(&mut ours.categories.names()), &words(&row[6]));
    let ours_subcommands = ours_words(&mut ours.subcommands.iter().map(|sub| sub.name));
    compare(found, name, "subcommands", &ours_subcommands, &subcommands);
    for sub in row[9].list() {
        let full = sub.list()[0].text();
        let (_, short) = full.split_once('|').expect("a subcommand's name has two parts");
        match ours.subcommand(short.as_bytes()) {
            Some(known) => compare_row(found, known, sub.list()),
            None => found.push(format!("{full} is not in the table")),
        }
    }
}

#[test]
fn every_command_of_redis_is_in_the_table_as_redis_has_it() {
    let mut redis = Redis::start();
    let rows = redis.ask(&["COMMAND"]);
    assert!(rows.list().len() >= 240, "Redis 7.0 has 240 commands, this one {}", rows.list().len());
    let mut found = Vec::new();
    for row in rows.list() {
        match lookup(row.list()[0].text().as_bytes()) {
            Some(ours) => compare_row(&mut found, ours, row.list()),
            None => found.push(format!("{} is not in the table", row.list()[0].text())),
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn groups_and_versions_are_those_of_the_documentation() {
    let mut redis = Redis::start();
    let docs = redis.ask(&["COMMAND", "DOCS"]);
    for command in all() {
        // What only Valkey has is not documented by Redis.
        let Some(doc) = docs.field(command.name) else { continue };
        assert_eq!(doc.field("group").map(Reply::text), Some(command.group.name()), "{}", command.name);
        assert_eq!(doc.field("since").map(Reply::text), Some(command.since), "{}", command.name);
    }
}

/// Requests that Redis can find the keys of. `''` stands for an empty argument.
const REQUESTS: &str = "
    GET a
    SET a 1 EX 10 NX
    MGET a b c
    MSET a 1 b 2
    MSETNX a 1 b 2
    DEL a b c
    UNLINK a
    EXISTS a a b
    TOUCH a b
    RENAME a b
    COPY a b REPLACE
    LCS a b LEN
    BITOP AND to a b
    BITOP NOT to a
    PFCOUNT a b
    PFMERGE a b c
    PFDEBUG ENCODING a
    OBJECT ENCODING a
    OBJECT FREQ a
    MEMORY USAGE a SAMPLES 5
    LMOVE a b LEFT RIGHT
    BLMOVE a b LEFT RIGHT 0
    BLPOP a b 0
    BRPOPLPUSH a b 0
    LMPOP 2 a b LEFT COUNT 10
    BLMPOP 0 2 a b RIGHT
    SINTERSTORE to a b
    SINTERCARD 2 a b LIMIT 10
    SMOVE a b m
    ZUNION 2 a b WITHSCORES
    ZINTER 1 a
    ZDIFF 2 a b
    ZINTERCARD 2 a b LIMIT 3
    ZUNIONSTORE to 2 a b WEIGHTS 1 2 AGGREGATE MAX
    ZINTERSTORE to 1 a
    ZDIFFSTORE to 2 a b
    ZRANGESTORE to a 0 -1
    ZMPOP 1 a MIN
    BZMPOP 1 2 a b MAX COUNT 1
    BZPOPMIN a b 0
    EVAL script 2 a b c
    EVALSHA sha 1 a
    EVAL_RO script 1 a
    FCALL f 2 a b c
    FCALL_RO f 1 a
    XADD a * f v
    XREAD COUNT 1 BLOCK 0 STREAMS a b 0 0
    XREAD streams a $
    XREADGROUP GROUP g c COUNT 1 NOACK STREAMS a b > >
    XREADGROUP GROUP streams c STREAMS a >
    XGROUP CREATE a g $ MKSTREAM
    XINFO STREAM a FULL
    SORT a
    SORT a BY nosort LIMIT 0 10 GET # STORE b
    SORT a STORE b STORE c
    SORT_RO a BY nosort
    GEORADIUS a 1 1 1 m
    GEORADIUS a 1 1 1 m STORE b
    GEORADIUS a 1 1 1 m STOREDIST c
    GEORADIUSBYMEMBER a m 1 km storedist b
    GEOSEARCHSTORE to a FROMMEMBER m BYRADIUS 1 m
    MIGRATE host 6379 a 0 1000
    MIGRATE host 6379 '' 0 1000 COPY KEYS a b c
    MIGRATE host 6379 '' 0 1000 AUTH2 user keys KEYS a b
    RESTORE a 0 payload
    WATCH a b
    HSET a f 1 g 2
    ZADD a 1 m 2 n
    EXPIRE a 10
";

/// Requests without a key, though some of their kin have keys.
const KEYLESS: &str = "
    PING hello
    SCAN 0
    FLUSHALL ASYNC
    PUBLISH channel message
    CLUSTER KEYSLOT a
    EVAL script 0 a
    FCALL f 0
";

fn requests(lines: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.split(' ').map(|arg| if arg == "''" { "" } else { arg }).collect())
}

/// The row of a request, subcommands included.
fn row_of(args: &[&str]) -> &'static Command {
    let command = lookup(args[0].as_bytes()).expect("a command of the table");
    args.get(1).and_then(|name| command.subcommand(name.as_bytes())).unwrap_or(command)
}

#[test]
fn keys_are_those_of_command_getkeys() {
    let mut redis = Redis::start();
    for args in requests(REQUESTS) {
        let keys = row_of(&args).keys(args.len(), |i| args[i].as_bytes());
        let ours: Vec<_> =
            keys.unwrap_or_else(|error| panic!("{args:?}: {error}")).map(|i| args[i]).collect();
        let theirs = redis.ask(&[&["COMMAND", "GETKEYS"], args.as_slice()].concat());
        let theirs: Vec<_> = theirs.list().iter().map(Reply::text).collect();
        assert_eq!(ours, theirs, "{args:?}");
    }
}

#[test]
fn requests_without_keys_have_none() {
    let mut redis = Redis::start();
    for args in requests(KEYLESS) {
        let ours = row_of(&args).keys(args.len(), |i| args[i].as_bytes()).map(Iterator::collect);
        assert_eq!(ours, Ok(vec![]), "{args:?}");
        let theirs = redis.ask(&[&["COMMAND", "GETKEYS"], args.as_slice()].concat());
        let none = "ERR The command has no key arguments";
        assert!(
            [Reply::List(vec![]), Reply::Error(none.to_owned())].contains(&theirs),
            "{args:?}: {theirs:?}"
        );
    }
}

/// Requests that contradict themselves.
const REFUSED: &str = "
    GET
    GET a b
    MSET a 1 b
    OBJECT ENCODING
    BLPOP a
    EVAL script x
    EVAL script 1.0 a
    EVAL script 01 a
    EVAL script -1 a
    EVAL script 3 a b
    EVAL script 99999999999999999999 a
    FCALL f x
    FCALL f -1 a
    FCALL f 2 a
    ZUNION x a
    ZUNION 0 a
    ZUNION -1 a
    ZUNION 2 a
    ZUNIONSTORE to 0 a
    ZINTERCARD 5 a b
    ZDIFFSTORE to 9223372036854775807 a
    SINTERCARD 0 a
    SINTERCARD x a
    SINTERCARD 2 a
    LMPOP 0 a LEFT
    LMPOP x a LEFT
    LMPOP 5 a LEFT
    BLMPOP 0 -1 a LEFT
    ZMPOP 0 a MIN
    BZMPOP 0 9 a MIN
    XREAD COUNT 1 a
    XREAD COUNT 1 BLOCK 1
    XREAD STREAMS a b 0
    XREADGROUP GROUP g c STREAMS a b >
";

#[test]
fn refusals_are_worded_like_redis() {
    let mut redis = Redis::start();
    assert_eq!(
        redis.ask(&["FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() end)"]).text(),
        "l"
    );
    for args in requests(REFUSED) {
        let ours = row_of(&args).keys(args.len(), |i| args[i].as_bytes()).expect_err("a contradiction");
        assert_eq!(redis.ask(&args), Reply::Error(format!("ERR {ours}")), "{args:?}");
    }
}
