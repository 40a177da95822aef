"""redis-py with its default settings: what an application does first must just work."""

import sys

import redis

client = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]), decode_responses=True)


def check(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")


check("protocol", client.connection_pool.get_connection().handshake_metadata.get("proto"), 3)
check("ping", client.ping(), True)
check("set", client.set("py:a", "1"), True)
check("set nx", client.set("py:a", "2", nx=True), None)
check("get", client.get("py:a"), "1")
check("miss", client.get("py:nothing"), None)
check("mset", client.mset({"py:b": "2", "py:c": "3"}), True)
check("mget", client.mget("py:a", "py:b", "py:nothing", "py:c"), ["1", "2", None, "3"])
check("expire", client.expire("py:a", 1000), True)
check("ttl", client.ttl("py:a"), 1000)
check("incr", client.incr("py:n", 5), 5)
check("zadd", client.zadd("py:z", {"one": 1, "half": 0.5}), 2)
check(
    "zrange withscores",
    [tuple(pair) for pair in client.zrange("py:z", 0, -1, withscores=True)],
    [("half", 0.5), ("one", 1.0)],
)
check("zscore miss", client.zscore("py:z", "nothing"), None)
pipeline = client.pipeline(transaction=False)
check("pipeline", pipeline.set("py:p", "1").get("py:p").get("py:nothing").execute(), [True, "1", None])
check("scan", sorted(client.scan_iter("py:*")), ["py:a", "py:b", "py:c", "py:n", "py:p", "py:z"])
check("delete", client.delete("py:a", "py:b", "py:c", "py:n", "py:p", "py:z"), 6)
print("redis-py", redis.__version__, "works")
