// ioredis and iovalkey, which have one API, in their default settings: `ioredis.js ioredis|iovalkey PORT`.
const { once } = require("node:events");
const { MEGABYTE, PREFIX, assert, numbered, pause, run } = require("./steps.js");

const [name, port] = process.argv.slice(2);
const Library = require(name);
const key = (text) => `${PREFIX}:${name}:${text}`;
const opened = () => {
  const client = new Library(Number(port), "127.0.0.1");
  client.on("error", (error) => console.error("connection:", error));
  return client;
};
const client = opened();

// A miss and the pairs of `WITHSCORES` look different in RESP2 and RESP3.
const scores = (reply) => reply.flat().map(String);

run({
  connect: async () => {
    assert.equal(await client.ping(), "PONG");
    assert.equal(await client.set(key("a"), "1"), "OK");
    assert.equal(await client.set(key("a"), "2", "NX"), null);
    assert.equal(await client.get(key("a")), "1");
    assert.equal(await client.get(key("nothing")), null);
    assert.equal(await client.expire(key("a"), 1000), 1);
    const left = await client.ttl(key("a"));
    assert.ok(left > 900 && left <= 1000, `${left} s`);
    assert.match(await client.info(), /redis_mode:standalone/);
    assert.equal(await client.client("SETNAME", name), "OK");
    assert.ok((await client.client("LIST")).includes(` name=${name} `));
  },
  pipeline: async () => {
    const batch = client.pipeline();
    numbered(100, (number) => batch.set(key(`p${number}`), number).get(key(`p${number}`)));
    const wanted = numbered(100, (number) => [[null, "OK"], [null, String(number)]]).flat();
    assert.deepEqual(await batch.exec(), wanted);
  },
  MGET: async () => {
    const names = numbered(20, (number) => key(`m${number}`));
    assert.equal(await client.mset(...names.flatMap((each) => [each, each])), "OK");
    assert.deepEqual(await client.mget(key("nothing"), ...names), [null, ...names]);
    assert.equal(await client.exists(...names), 20);
    assert.equal(await client.del(...names, key("nothing")), 20);
  },
  hash: async () => {
    assert.equal(await client.hset(key("h"), { a: 1, b: 2 }), 2);
    assert.deepEqual({ ...(await client.hgetall(key("h"))) }, { a: "1", b: "2" });
    assert.equal(await client.hincrby(key("h"), "a", 41), 42);
    assert.deepEqual(await client.hmget(key("h"), "a", "nothing"), ["42", null]);
    assert.equal(await client.hdel(key("h"), "a", "b"), 2);
  },
  zset: async () => {
    assert.equal(await client.zadd(key("z"), 1, "one", 0.5, "half"), 2);
    assert.deepEqual(scores(await client.zrange(key("z"), 0, -1, "WITHSCORES")), ["half", "0.5", "one", "1"]);
    assert.equal(Number(await client.zscore(key("z"), "half")), 0.5);
    assert.equal(await client.zscore(key("z"), "nothing"), null);
    assert.equal(Number(await client.zincrby(key("z"), 2, "half")), 2.5);
  },
  scan: async () => {
    const names = numbered(50, (number) => key(`scan${number}`));
    await client.mset(...names.flatMap((each) => [each, "1"]));
    const found = new Set();
    for await (const some of client.scanStream({ match: key("scan*"), count: 10 })) {
      some.forEach((each) => found.add(each));
    }
    assert.deepEqual([...found].sort(), names.sort());
  },
  "pub/sub": async () => {
    const subscriber = opened();
    assert.equal(await subscriber.subscribe(key("news")), 1);
    assert.equal(await subscriber.psubscribe(key("ne?s")), 2);
    const messages = [once(subscriber, "message"), once(subscriber, "pmessage")];
    await client.publish(key("news"), "hello");
    assert.deepEqual(await Promise.all(messages), [
      [key("news"), "hello"],
      [key("ne?s"), key("news"), "hello"],
    ]);
    assert.equal(await subscriber.unsubscribe(key("news")), 1);
    subscriber.disconnect();
  },
  script: async () => {
    const lua = `return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])} -- ${name}`;
    client.defineCommand("add", { numberOfKeys: 1, lua });
    assert.deepEqual(await client.add(key("script"), 5), [key("script"), 5]);
    assert.deepEqual(await client.add(key("script"), 5), [key("script"), 10]);
    assert.equal(await client.eval("return redis.call('GET', KEYS[1])", 1, key("script")), "10");
  },
  transaction: async () => {
    const [one, two] = [key("{t}1"), key("{t}2")];
    const batch = client.multi().set(one, "1").incr(one).set(two, "x").get(two);
    assert.deepEqual(await batch.exec(), [[null, "OK"], [null, 2], [null, "OK"], [null, "x"]]);
    const watching = opened();
    assert.equal(await watching.watch(one), "OK");
    await client.set(one, "by another");
    assert.equal(await watching.multi().set(one, "lost").exec(), null);
    assert.equal(await client.get(one), "by another");
    watching.disconnect();
  },
  "blocking pop": async () => {
    const waiting = opened();
    assert.equal(await waiting.blpop(key("queue"), 0.1), null);
    const popped = waiting.blpop(key("queue"), 10);
    // So late that the pop is waiting by then.
    await pause(200);
    await client.rpush(key("queue"), "job");
    assert.deepEqual(await popped, [key("queue"), "job"]);
    waiting.disconnect();
  },
  "1 MB value": async () => {
    assert.equal(await client.set(key("big"), MEGABYTE), "OK");
    assert.ok((await client.getBuffer(key("big"))).equals(MEGABYTE));
    assert.equal(await client.strlen(key("big")), MEGABYTE.length);
  },
  reconnect: async () => {
    assert.equal(await client.set(key("after"), "1"), "OK");
    assert.equal(await client.get(key("after")), "1");
  },
});
