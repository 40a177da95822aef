//! More templates, for nodes that are stock Redis servers: every type, and what only a Redis has.
//!
//! The words are those of `requests`. What Redis answers by chance (`SPOP` of one, `RANDOMKEY`) or by the clock
//! (`XADD *`, idle times) is not here.

pub(super) const TEMPLATES: &str = "
    HSET $key $field:$value+
    HSET $key $field:$number+
    HSETNX $key $field $value
    HGET|HSTRLEN|HEXISTS $key $field
    HMGET|HDEL $key $field+
    HGETALL|HKEYS|HVALS|HLEN $key
    HINCRBY $key $field $number
    HINCRBYFLOAT $key $field $float
    HRANDFIELD $key 100
    HSCAN $key 0 ?COUNT:100
    LPUSH|RPUSH $key $value+
    LPUSH|RPUSH $twin $number+
    LPUSHX|RPUSHX $key $value+
    LPOP|RPOP $key ?$index
    LLEN $key
    LRANGE $key $index $index
    LINDEX $key $index
    LSET $key $index $value
    LINSERT $key BEFORE|AFTER $value $value
    LPOS $key $value ?RANK:$index ?COUNT:$index
    LREM $key $index $value
    LTRIM $key $index $index
    LMOVE $twin $twin LEFT|RIGHT LEFT|RIGHT
    LMPOP 2 $twin $twin LEFT|RIGHT ?COUNT:$index
    RPOPLPUSH $twin $twin
    BLPOP|BRPOP $key 0.001
    BLMOVE $twin $twin LEFT|RIGHT LEFT|RIGHT 0.001
    SADD $key $member+
    SADD $twin $number+
    SREM|SMISMEMBER $key $member+
    SISMEMBER $key $member
    SCARD|SMEMBERS $key
    SPOP|SRANDMEMBER $key 100
    SMOVE $twin $twin $member
    SINTER|SUNION|SDIFF $twin+
    SINTER|SUNION|SDIFF $key $key
    SINTERSTORE|SUNIONSTORE|SDIFFSTORE $twin $twin+
    SINTERCARD 2 $twin $twin ?LIMIT:$index
    SSCAN $key 0 COUNT 1000
    ZUNION|ZINTER|ZDIFF 2 $twin $twin ?WITHSCORES
    ZUNIONSTORE|ZINTERSTORE $twin 2 $twin $twin ?WEIGHTS:2:$number ?AGGREGATE:MIN|AGGREGATE:MAX
    ZDIFFSTORE $twin 2 $twin $twin
    ZINTERCARD 2 $twin $twin
    ZRANGESTORE $twin $twin $index $index
    ZMPOP 2 $twin $twin MIN|MAX
    ZADD $twin $score:$member+
    BZPOPMIN|BZPOPMAX $key 0.001
    XADD $key $id $field $value
    XADD $key MAXLEN 3 $id $field $value
    XDEL $key $id
    XLEN $key
    XRANGE|XREVRANGE $key $range $range ?COUNT:2
    XTRIM $key MAXLEN|MINID 2
    XREAD COUNT 2 STREAMS $twin $twin $id $id
    XREAD BLOCK 1 STREAMS $key 1000-0
    XGROUP CREATE|SETID $key $group $id
    XGROUP CREATE $key $group 0 MKSTREAM
    XGROUP CREATECONSUMER|DELCONSUMER $key $group c
    XGROUP DESTROY $key $group
    XREADGROUP GROUP $group c COUNT 2 STREAMS $key >|0
    XACK $key $group $id
    XPENDING $key $group
    XAUTOCLAIM $key $group d 0 0
    XINFO STREAM|GROUPS $key
    XSETID $key 900-0
    SETBIT $key $bit 0|1
    GETBIT $key $bit
    BITCOUNT $key ?$index:$index
    BITPOS $key 0|1 ?$index
    BITOP AND|OR|XOR|NOT $twin $twin
    BITFIELD $key SET|INCRBY u8 $bit $number
    BITFIELD_RO $key GET i5 $bit
    PFADD $key $value+
    PFCOUNT $key
    PFCOUNT $twin $twin
    PFMERGE $twin $twin+
    GEOADD $key $longitude 10 $member
    GEOADD $key $longitude 20 $member
    GEOPOS|GEOHASH $key $member+
    GEODIST $key $member $member ?km
    GEOSEARCH $key FROMLONLAT 10 10 BYRADIUS 2000 km ASC WITHDIST
    GEOSEARCHSTORE $twin $twin FROMLONLAT 10 10 BYBOX 900 900 km
    GEORADIUS $key 10 10 3000 km ASC ?COUNT:2
    SORT|SORT_RO $key ?ALPHA ?DESC ?LIMIT:$offset:$index
    SORT $twin ALPHA STORE $twin
    SORT $key BY w_*
    COPY $twin $twin ?REPLACE
    COPY $key $twin DB 1
    LCS $twin $twin ?LEN
    DUMP nothing
    OBJECT ENCODING|REFCOUNT $key
    TYPE $key
    MSETNX $key:$value+
    RENAME $key $key
    SUNIONSTORE $key $key $key
    WAIT 0 0
    PUBLISH channel $value
    PUBSUB CHANNELS
    PUBSUB NUMSUB channel
    SLOWLOG GET x
    SCRIPT EXISTS $sha nothing
    EVAL $script 1 $key $value
    EVAL $script 2 $twin $twin $member
    EVALSHA $sha 1 $key $value
    EVAL $pure 0 $value
    EVAL_RO $script 1 $key $value
    FCALL set_and_get 1 $key $value
    FCALL_RO set_and_get 1 $key $value
    FCALL nothing 1 $key
";

pub(super) const FIELDS: &[&str] = &["f", "g", "h", "", "a field"];
pub(super) const IDS: &[&str] = &["1-1", "2-1", "3-1", "3-2", "4", "0", "x", "5-*", "600-1"];
pub(super) const RANGES: &[&str] = &["-", "+", "2", "(2-1", "3-1", "x"];
pub(super) const GROUPS: &[&str] = &["g1", "g2"];
pub(super) const BITS: &[&str] = &["0", "1", "7", "8", "100", "-1", "x", "#2"];
pub(super) const LONGITUDES: &[&str] = &["10", "10.5", "11", "20", "-170", "200", "x"];
pub(super) const SCRIPTS: &[&str] = &[
    "return redis.call('GET', KEYS[1])",
    "return {KEYS[1], ARGV[1], redis.call('TYPE', KEYS[1])}",
    "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('STRLEN', KEYS[1])",
    "return redis.call('LPUSH', KEYS[#KEYS], ARGV[1], 'x')",
    "return redis.pcall('INCR', KEYS[1])",
    "return {1, 2.5, 'three', false, true, {4}}",
    "error('out of order')",
    "not lua",
];
/// The names of those that are right.
pub(super) const SHAS: &[&str] = &[
    "d3c21d0c2b9ca22f82737626a27bcaf5d288f99f",
    "5d6d5b204124a344b5043fa277ad103571987583",
    "f6c04bd90ea84dc0a419a1aa3581a6098c9f2d89",
    "1739fd09ea758bc4887434fb0e87b999f7dde7d0",
    "a89d6d897bdbddf3eb8ebdd32aefe405cbf980d6",
    "d8e6c1b928a7ad3dfb5d3037dd8780bc3bfacedd",
    "e6c498f9a7e40092b6fa19a0f8a84d4a20c9f9ed",
];
/// Scripts that touch no data.
pub(super) const PURE: &[&str] =
    &["return 1", "return ARGV[1]", "return redis.sha1hex('x')", "return {1, {2, ARGV[1]}}"];
/// A library of functions.
pub(super) const LIBRARY: &str = "#!lua name=both\n\
    redis.register_function('set_and_get', function(keys, args)\n\
    redis.call('SET', keys[1], args[1]) return redis.call('GET', keys[1]) end)";
