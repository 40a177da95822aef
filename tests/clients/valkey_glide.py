"""valkey-glide in its default settings, but for its patience: `valkey_glide.py valkey-glide PORT`."""

import asyncio
import sys

from glide import (
    Batch,
    ConditionalChange,
    ExpirySet,
    ExpiryType,
    GlideClient,
    GlideClientConfiguration,
    NodeAddress,
    RangeByIndex,
    Script,
)

from steps import LIMIT_SECONDS, MEGABYTE, PREFIX, run, same

port = int(sys.argv[2])
clients = {}


async def opened(name):
    """One that serves nobody else: what blocks, watches or subscribes holds its connection."""
    if name not in clients:
        # 250 ms is its default, too little for a machine on which all clients are tried at once.
        patience = {"request_timeout": LIMIT_SECONDS * 1000}
        address = NodeAddress("127.0.0.1", port)
        clients[name] = await GlideClient.create(GlideClientConfiguration([address], **patience))
    return clients[name]


def key(text):
    return f"{PREFIX}:glide-py:{text}"


async def connect():
    client = await opened("main")
    same("ping", await client.ping(), b"PONG")
    same("set", await client.set(key("a"), "1"), "OK")
    only_new = ConditionalChange.ONLY_IF_DOES_NOT_EXIST
    same("set nx", await client.set(key("a"), "2", conditional_set=only_new), None)
    same("get", await client.get(key("a")), b"1")
    same("a miss", await client.get(key("nothing")), None)
    same("set ex", await client.set(key("a"), "1", expiry=ExpirySet(ExpiryType.SEC, 1000)), "OK")
    same("ttl", 900 < await client.ttl(key("a")) <= 1000, True)
    same("info", b"redis_mode:standalone" in await client.info(), True)


async def pipeline():
    batch = Batch(is_atomic=False)
    for number in range(100):
        batch.set(key(f"p{number}"), str(number))
        batch.get(key(f"p{number}"))
    wanted = [reply for number in range(100) for reply in ("OK", str(number).encode())]
    same("pipeline", await (await opened("main")).exec(batch, raise_on_error=True), wanted)


async def mget():
    client = await opened("main")
    names = [key(f"m{number}") for number in range(20)]
    same("mset", await client.mset({each: each for each in names}), "OK")
    same("mget", await client.mget([key("nothing"), *names]), [None, *(each.encode() for each in names)])
    same("exists", await client.exists(names), 20)
    same("delete", await client.delete([*names, key("nothing")]), 20)


async def hash_():
    client = await opened("main")
    same("hset", await client.hset(key("h"), {"a": "1", "b": "2"}), 2)
    same("hgetall", await client.hgetall(key("h")), {b"a": b"1", b"b": b"2"})
    same("hincrby", await client.hincrby(key("h"), "a", 41), 42)
    same("hmget", await client.hmget(key("h"), ["a", "nothing"]), [b"42", None])
    same("hdel", await client.hdel(key("h"), ["a", "b"]), 2)


async def zset():
    client = await opened("main")
    same("zadd", await client.zadd(key("z"), {"one": 1, "half": 0.5}), 2)
    ranked = await client.zrange_withscores(key("z"), RangeByIndex(0, -1))
    same("zrange", list(ranked.items()), [(b"half", 0.5), (b"one", 1.0)])
    same("zscore", await client.zscore(key("z"), "half"), 0.5)
    same("a miss", await client.zscore(key("z"), "nothing"), None)
    same("zincrby", await client.zincrby(key("z"), 2, "half"), 2.5)


async def scan():
    client = await opened("main")
    names = {key(f"scan{number}") for number in range(50)}
    await client.mset({each: "1" for each in names})
    cursor, found = "0", set()
    while True:
        cursor, some = await client.scan(cursor, match=key("scan*"), count=10)
        found |= {each.decode() for each in some}
        if cursor == b"0":
            break
    same("scan", found, names)


async def pubsub():
    client, subscriber = await opened("main"), await opened("subscriber")
    await subscriber.subscribe({key("news")})
    await subscriber.psubscribe({key("ne?s")})
    await client.publish("hello", key("news"))
    messages = [await subscriber.get_pubsub_message() for _ in range(2)]
    same("messages", [each.message for each in messages], [b"hello"] * 2)
    patterns = sorted(str(each.pattern) for each in messages)
    same("patterns", patterns, sorted(["None", str(key("ne?s").encode())]))
    await subscriber.unsubscribe({key("news")})


async def script():
    client = await opened("main")
    script = Script("return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])} -- valkey_glide.py")
    counter = key("script")
    same("once", await client.invoke_script(script, [counter], ["5"]), [counter.encode(), 5])
    same("again", await client.invoke_script(script, [counter], ["5"]), [counter.encode(), 10])


async def transaction():
    client, watching = await opened("main"), await opened("watching")
    one, two = key("{t}1"), key("{t}2")
    batch = Batch(is_atomic=True).set(one, "1").incr(one).set(two, "x").get(two)
    same("exec", await client.exec(batch, raise_on_error=True), ["OK", 2, "OK", b"x"])
    same("watch", await watching.watch([one]), "OK")
    await client.set(one, "by another")
    lost = Batch(is_atomic=True).set(one, "lost")
    same("a lost race", await watching.exec(lost, raise_on_error=True), None)
    same("get", await client.get(one), b"by another")


async def blocking_pop():
    client, waiting = await opened("main"), await opened("waiting")
    same("nothing comes", await waiting.blpop([key("queue")], 0.1), None)

    async def push():
        # So late that the pop is waiting by then.
        await asyncio.sleep(0.2)
        await client.rpush(key("queue"), ["job"])

    popped, _ = await asyncio.gather(waiting.blpop([key("queue")], 10), push())
    same("something comes", popped, [key("queue").encode(), b"job"])


async def megabyte():
    client = await opened("main")
    same("set", await client.set(key("big"), MEGABYTE), "OK")
    same("equal", await client.get(key("big")) == MEGABYTE, True)
    same("strlen", await client.strlen(key("big")), len(MEGABYTE))


async def reconnect():
    client = await opened("main")
    same("set", await client.set(key("after"), "1"), "OK")
    same("get", await client.get(key("after")), b"1")


run(globals(), asyncio.new_event_loop())
