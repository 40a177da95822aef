//! Random commands over a small key space, right and wrong ones, from a seed.
//!
//! A template is a command with placeholders in lower case; `name*` stands for up to four options of that list.

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// Scores print alike in all versions of Redis: halves and small integers.
const SCORES: &[&str] = &[
    "0", "1", "-1", "2", "3", "0.5", "-2.5", "10", "100", "1e3", "+inf", "-inf", "nan", "abc", "", "0x10",
    " 1",
];
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "2",
    "-1",
    "-2",
    "3",
    "5",
    "10",
    "100",
    "-100",
    "007",
    "1.5",
    "abc",
    "",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "4611686018427387904",
];
const VALUES: &[&str] = &[
    "",
    "a",
    "hello",
    "10",
    "-3",
    "007",
    "3.5",
    "1e2",
    "9223372036854775807",
    "9223372036854775806",
    "a value that is longer than the forty-four bytes Redis embeds",
    "\r\n\0\x01",
    "inf",
    " 1",
    "0.1",
];
/// None so short, as milliseconds either, that it would pass during the test: the two clocks are not read at once.
const EXPIRES: &[&str] =
    &["1000000", "5000000", "100000000", "0", "-1", "abc", "9223372036854775807", "9223372036854775"];
const FUTURES: &[&str] = &["4102444800", "4102444800000", "1", "0", "-5", "99999999999999999"];
const MEMBERS: &[&str] = &[
    "a", "b", "c", "d", "e", "m1", "m2", "m3", "m4", "m5", "", "é", "m6", "m7", "m8", "m9", "n1", "n2", "n3",
];
const SCORE_BOUNDS: &[&str] = &[
    "-inf", "+inf", "0", "1", "(1", "2", "(2", "-1", "(-2.5", "10", "inf", "(inf", "abc", "(", "", "nan", "[",
];
const LEX_BOUNDS: &[&str] = &["-", "+", "[a", "(a", "[c", "(c", "[m3", "(m5", "[", "(", "a", "", "[z"];
const PATTERNS: &[&str] = &["*", "k*", "k?", "k[1-3]", "k[^1-3]", "z*", "nothing", "", "[", "*1", "\\k1"];

/// The options of a `name*` placeholder; each is a template of its own.
const OPTIONS: &[(&str, &[&str])] = &[
    (
        "set*",
        &["EX expire", "PX expire", "EXAT future", "PXAT future", "NX", "XX", "KEEPTTL", "GET", "junk", "EX"],
    ),
    ("getex*", &["EX expire", "PX expire", "EXAT future", "PXAT future", "PERSIST", "junk", "NX"]),
    ("expire*", &["NX", "XX", "GT", "LT", "junk"]),
    ("zadd*", &["NX", "XX", "GT", "LT", "CH", "INCR"]),
    ("zrange*", &["BYSCORE", "REV", "WITHSCORES", "LIMIT int int", "junk", "LIMIT 0 2", "LIMIT 1 -1"]),
    ("zrangeby*", &["WITHSCORES", "LIMIT int int", "LIMIT 0 2", "LIMIT 1 2", "junk", "REV"]),
    ("scan*", &["MATCH pattern", "TYPE zset", "TYPE string", "TYPE junk", "junk"]),
];

const TEMPLATES: &[&str] = &[
    "GET key",
    "SET key value",
    "SET key value set*",
    "SETEX key expire value",
    "PSETEX key expire value",
    "SETNX key value",
    "GETSET key value",
    "GETDEL key",
    "GETEX key getex*",
    "MGET key key zkey",
    "MSET key value key value",
    "MSETNX key value key value",
    "APPEND key value",
    "STRLEN key",
    "INCR key",
    "DECR key",
    "INCRBY key int",
    "DECRBY key int",
    "INCRBYFLOAT key float",
    "GETRANGE key int int",
    "SUBSTR key int int",
    "SETRANGE key offset value",
    "DEL key key",
    "UNLINK key",
    "EXISTS key key zkey",
    "TOUCH key zkey",
    "TYPE key",
    "EXPIRE key expire expire*",
    "PEXPIRE key expire expire*",
    "EXPIREAT key future expire*",
    "PEXPIREAT key future expire*",
    "TTL key",
    "PTTL key",
    "EXPIRETIME key",
    "PEXPIRETIME key",
    "PERSIST key",
    "RENAME key key",
    "RENAMENX key key",
    "RENAME zkey zkey",
    "OBJECT ENCODING key",
    "OBJECT REFCOUNT key",
    "OBJECT IDLETIME key",
    "OBJECT FREQ key",
    "OBJECT HELP",
    "DBSIZE",
    "KEYS pattern",
    "SCAN 0 COUNT 1000",
    "SCAN cursor COUNT 1000 scan*",
    "ZSCAN zkey 0 COUNT 1000 scan*",
    "ZADD zkey zadd* score member",
    "ZADD zkey zadd* score member score member",
    "ZADD zkey score member score member score member score member",
    "ZINCRBY zkey score member",
    "ZREM zkey member member",
    "ZSCORE zkey member",
    "ZMSCORE zkey member member",
    "ZCARD zkey",
    "ZCOUNT zkey scorebound scorebound",
    "ZLEXCOUNT lkey lexbound lexbound",
    "ZRANK zkey member",
    "ZREVRANK zkey member",
    "ZRANGE zkey int int zrange*",
    "ZRANGE zkey scorebound scorebound BYSCORE zrange*",
    "ZRANGE lkey lexbound lexbound BYLEX zrange*",
    "ZADD lkey 0 member 0 member 0 member",
    "ZRANGE zkey scorebound scorebound BYSCORE REV zrange*",
    "ZREVRANGE zkey int int",
    "ZREVRANGE zkey int int WITHSCORES",
    "ZRANGEBYSCORE zkey scorebound scorebound zrangeby*",
    "ZREVRANGEBYSCORE zkey scorebound scorebound zrangeby*",
    "ZRANGEBYLEX lkey lexbound lexbound zrangeby*",
    "ZREVRANGEBYLEX lkey lexbound lexbound zrangeby*",
    "ZREMRANGEBYRANK zkey int int",
    "ZREMRANGEBYSCORE zkey scorebound scorebound",
    "ZREMRANGEBYLEX lkey lexbound lexbound",
    "ZPOPMIN zkey",
    "ZPOPMAX zkey",
    "ZPOPMIN zkey int",
    "ZPOPMAX zkey int",
    "ZMPOP 2 zkey key MIN",
    "ZMPOP 1 zkey MAX COUNT int",
    "ZMPOP int zkey MAX",
    "GET zkey",
    "ZADD key score member",
    "ZCARD key",
    "APPEND zkey value",
    "INCR zkey",
    "SET zkey value set*",
    "GETRANGE zkey int int",
    "PING",
    "PING value",
    "ECHO value",
    "SELECT int",
    "NOSUCH value key",
    "OBJECT nosuch key",
    "CLIENT nosuch",
    "CONFIG nosuch x",
    "CLIENT GETNAME",
    "CLIENT SETNAME member",
    "CONFIG GET maxmemory-samples",
    "CONFIG GET timeout maxclients",
    "COMMAND GETKEYS MSET key value key value",
    "COMMAND GETKEYS GET key",
    "COMMAND GETKEYS PING",
    "COMMAND GETKEYS nosuch x",
    "CLIENT KILL 1.2.3.4:5",
    "CLIENT KILL ID int",
    "CLIENT NO-EVICT value",
    "CONFIG SET timeout value",
    "CONFIG SET nosuch value",
    "FLUSHALL value",
    "DEBUG nosuch",
    "AUTH value",
    "AUTH default value",
    "AUTH nosuch value",
    "HELLO int",
    "HELLO value",
    "MEMORY USAGE key SAMPLES value",
    "EXPIRE key int junk",
    "LATENCY",
    "COMMAND COUNT junk",
    "SCAN 0 COUNT junk",
    "SCAN 0 COUNT 0",
    "ZSCAN zkey 0 COUNT 0",
    "ZSCAN zkey abc COUNT 5",
];

/// The next command.
pub fn command(random: &mut Random) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let template = random.pick(TEMPLATES);
    expand(template, random, &mut words);
    // Now and then an argument is missing or too many, so that the counts are checked too.
    if random.one_in(40) {
        words.pop();
    } else if random.one_in(40) {
        words.push(random.pick(VALUES).to_owned());
    }
    if words.is_empty() {
        words.push("PING".to_owned());
    }
    if random.one_in(4) {
        words[0] = words[0].to_lowercase();
    }
    words.into_iter().map(String::into_bytes).collect()
}

fn expand(template: &str, random: &mut Random, words: &mut Vec<String>) {
    for word in template.split(' ') {
        if let Some((_, options)) = OPTIONS.iter().find(|(name, _)| *name == word) {
            while !random.one_in(2) && words.len() < 12 {
                let option = random.pick(options);
                expand(option, random, words);
            }
            continue;
        }
        let filled = match word {
            "key" => format!("k{}", random.below(6)),
            "zkey" => format!("z{}", random.below(4)),
            // Ranges of members mean something only where all scores are equal.
            "lkey" => format!("l{}", random.below(2)),
            "value" => random.pick(VALUES).to_owned(),
            "int" => random.pick(INTEGERS).to_owned(),
            "offset" => random
                .pick(&["0", "1", "5", "100", "-1", "abc", "536870912", "9223372036854775807"])
                .to_owned(),
            "float" => {
                random.pick(&["0.1", "1", "-2.5", "1e3", "abc", "", "inf", "nan", "3.0e3", "1e-5"]).to_owned()
            }
            "expire" => random.pick(EXPIRES).to_owned(),
            "future" => random.pick(FUTURES).to_owned(),
            "cursor" => {
                random.pick(&["0", "0", "0", "", "abc", "1x", "+", "99999999999999999999"]).to_owned()
            }
            "score" => random.pick(SCORES).to_owned(),
            "member" => random.pick(MEMBERS).to_owned(),
            "scorebound" => random.pick(SCORE_BOUNDS).to_owned(),
            "lexbound" => random.pick(LEX_BOUNDS).to_owned(),
            "pattern" => random.pick(PATTERNS).to_owned(),
            other => other.to_owned(),
        };
        words.push(filled);
    }
}
