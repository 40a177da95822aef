//! Sorted sets.

use super::row::{KEY, KEYS_TIMEOUT, TWO_KEYS, block, counted, counted_into, read, write};
use crate::{Command, CountRule};

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    write("zadd",             -4, "denyoom fast",                 KEY,                                "1.2.0", "Adds members or changes their scores"),
    write("zrem",             -3, "fast",                         KEY,                                "1.2.0", "Removes members"),
    read("zscore",             3, "fast",                         KEY,                                "1.2.0", "Score of a member"),
    read("zmscore",           -3, "fast",                         KEY,                                "6.2.0", "Scores of many members"),
    write("zincrby",           4, "denyoom fast",                 KEY,                                "1.2.0", "Adds to the score of a member"),
    read("zcard",              2, "fast",                         KEY,                                "1.2.0", "Counts the members"),
    read("zcount",             4, "fast",                         KEY,                                "2.0.0", "Counts the members within a range of scores"),
    read("zlexcount",          4, "fast",                         KEY,                                "2.8.9", "Counts the members within a range of names"),
    read("zrank",             -3, "fast",                         KEY,                                "2.0.0", "Rank of a member, lowest score first"),
    read("zrevrank",          -3, "fast",                         KEY,                                "2.0.0", "Rank of a member, highest score first"),
    read("zrange",            -4, "",                             KEY,                                "1.2.0", "Members within a range of ranks, scores or names"),
    write("zrangestore",      -5, "denyoom",                      TWO_KEYS,                           "6.2.0", "Stores the members within a range"),
    read("zrangebyscore",     -4, "",                             KEY,                                "1.0.5", "Members within a range of scores"),
    read("zrangebylex",       -4, "",                             KEY,                                "2.8.9", "Members within a range of names"),
    read("zrevrange",         -4, "",                             KEY,                                "1.2.0", "Members within a range of ranks, highest score first"),
    read("zrevrangebyscore",  -4, "",                             KEY,                                "2.2.0", "Members within a range of scores, highest first"),
    read("zrevrangebylex",    -4, "",                             KEY,                                "2.8.9", "Members within a range of names, last first"),
    write("zremrangebyrank",   4, "",                             KEY,                                "2.0.0", "Removes the members within a range of ranks"),
    write("zremrangebyscore",  4, "",                             KEY,                                "1.2.0", "Removes the members within a range of scores"),
    write("zremrangebylex",    4, "",                             KEY,                                "2.8.9", "Removes the members within a range of names"),
    write("zpopmin",          -2, "fast",                         KEY,                                "5.0.0", "Takes the members with the lowest scores"),
    write("zpopmax",          -2, "fast",                         KEY,                                "5.0.0", "Takes the members with the highest scores"),
    write("zmpop",            -4, "",                             counted(1, CountRule::Pop),         "7.0.0", "Takes members from the first sorted set that has some"),
    block("bzpopmin",         -3, "write noscript blocking fast", KEYS_TIMEOUT,                       "5.0.0", "ZPOPMIN on the first sorted set that has members, or waits"),
    block("bzpopmax",         -3, "write noscript blocking fast", KEYS_TIMEOUT,                       "5.0.0", "ZPOPMAX on the first sorted set that has members, or waits"),
    block("bzmpop",           -5, "write blocking",               counted(2, CountRule::Pop),         "7.0.0", "ZMPOP that waits for members"),
    read("zrandmember",       -2, "",                             KEY,                                "6.2.0", "Picks random members"),
    read("zunion",            -3, "",                             counted(1, CountRule::Aggregate),   "6.2.0", "Union of sorted sets"),
    write("zunionstore",      -4, "denyoom",                      counted_into(CountRule::Aggregate), "2.0.0", "Stores the union of sorted sets"),
    read("zinter",            -3, "",                             counted(1, CountRule::Aggregate),   "6.2.0", "Intersection of sorted sets"),
    read("zintercard",        -3, "",                             counted(1, CountRule::Aggregate),   "7.0.0", "Size of the intersection of sorted sets"),
    write("zinterstore",      -4, "denyoom",                      counted_into(CountRule::Aggregate), "2.0.0", "Stores the intersection of sorted sets"),
    read("zdiff",             -3, "",                             counted(1, CountRule::Aggregate),   "6.2.0", "Members of the first sorted set that no other has"),
    write("zdiffstore",       -4, "denyoom",                      counted_into(CountRule::Aggregate), "6.2.0", "Stores the members of the first sorted set that no other has"),
    read("zscan",             -3, "",                             KEY,                                "2.8.0", "Walks over members and scores in steps"),
];
