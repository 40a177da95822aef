"""redis-py and valkey-py, which have one API, in their default settings: `redis_py.py redis|valkey PORT`."""

import importlib
import sys
import threading

from steps import MEGABYTE, PREFIX, run, same

name, port = sys.argv[1], sys.argv[2]
library = importlib.import_module(name)
client = library.from_url(f"{name}://127.0.0.1:{port}")


def key(text):
    return f"{PREFIX}:{name}-py:{text}"


def connect():
    same("ping", client.ping(), True)
    same("set", client.set(key("a"), "1"), True)
    same("set nx", client.set(key("a"), "2", nx=True), None)
    same("get", client.get(key("a")), b"1")
    same("a miss", client.get(key("nothing")), None)
    same("expire", client.expire(key("a"), 1000), True)
    same("ttl", 900 < client.ttl(key("a")) <= 1000, True)
    same("info", client.info("server")["redis_mode"], "standalone")
    same("client setname", client.client_setname(name), True)
    same("client info", client.client_info()["name"], name)
    same("client list", name in [each["name"] for each in client.client_list()], True)


def pipeline():
    batch = client.pipeline(transaction=False)
    for number in range(100):
        batch.set(key(f"p{number}"), number)
        batch.get(key(f"p{number}"))
    wanted = [reply for number in range(100) for reply in (True, str(number).encode())]
    same("pipeline", batch.execute(), wanted)


def mget():
    names = [key(f"m{number}") for number in range(20)]
    same("mset", client.mset({each: each for each in names}), True)
    same("mget", client.mget(key("nothing"), *names), [None, *(each.encode() for each in names)])
    same("exists", client.exists(*names), 20)
    same("delete", client.delete(*names, key("nothing")), 20)


def hash_():
    same("hset", client.hset(key("h"), mapping={"a": 1, "b": 2}), 2)
    same("hgetall", client.hgetall(key("h")), {b"a": b"1", b"b": b"2"})
    same("hincrby", client.hincrby(key("h"), "a", 41), 42)
    same("hmget", client.hmget(key("h"), "a", "nothing"), [b"42", None])
    same("hdel", client.hdel(key("h"), "a", "b"), 2)


def zset():
    same("zadd", client.zadd(key("z"), {"one": 1, "half": 0.5}), 2)
    ranked = client.zrange(key("z"), 0, -1, withscores=True)
    same("zrange", [tuple(pair) for pair in ranked], [(b"half", 0.5), (b"one", 1.0)])
    same("zscore", client.zscore(key("z"), "half"), 0.5)
    same("a miss", client.zscore(key("z"), "nothing"), None)
    same("zincrby", client.zincrby(key("z"), 2, "half"), 2.5)


def scan():
    names = {key(f"scan{number}").encode() for number in range(50)}
    client.mset({each: 1 for each in names})
    same("scan", set(client.scan_iter(key("scan*"), count=10)), names)


def pubsub():
    with client.pubsub() as subscriber:
        subscriber.subscribe(key("news"))
        subscriber.psubscribe(key("ne?s"))
        kinds = [subscriber.get_message(timeout=None)["type"] for _ in range(2)]
        same("confirmations", sorted(kinds), ["psubscribe", "subscribe"])
        client.publish(key("news"), "hello")
        messages = [subscriber.get_message(timeout=None) for _ in range(2)]
        same("messages", sorted(each["type"] for each in messages), ["message", "pmessage"])
        same("data", [each["data"] for each in messages], [b"hello"] * 2)
        subscriber.unsubscribe()
        same("unsubscribed", subscriber.get_message(timeout=None)["type"], "unsubscribe")


def script():
    script = client.register_script("return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])} --" + name)
    counter = key("script")
    same("once", script(keys=[counter], args=[5]), [counter.encode(), 5])
    same("again", script(keys=[counter], args=[5]), [counter.encode(), 10])


def transaction():
    one, two = key("{t}1"), key("{t}2")
    batch = client.pipeline()
    same("exec", batch.set(one, "1").incr(one).set(two, "x").get(two).execute(), [True, 2, True, b"x"])
    with client.pipeline() as batch:
        batch.watch(one)
        client.set(one, "by another")
        batch.multi()
        batch.set(one, "lost")
        try:
            same("a lost race", batch.execute(), "WatchError")
        except library.WatchError:
            pass
    same("get", client.get(one), b"by another")


def blocking_pop():
    same("nothing comes", client.blpop(key("queue"), timeout=0.1), None)
    # So late that the pop is waiting by then.
    threading.Timer(0.2, lambda: client.rpush(key("queue"), "job")).start()
    same("something comes", [*client.blpop(key("queue"), timeout=10)], [key("queue").encode(), b"job"])


def megabyte():
    same("set", client.set(key("big"), MEGABYTE), True)
    same("equal", client.get(key("big")) == MEGABYTE, True)
    same("strlen", client.strlen(key("big")), len(MEGABYTE))


def reconnect():
    same("set", client.set(key("after"), "1"), True)
    same("get", client.get(key("after")), b"1")


run(globals())
