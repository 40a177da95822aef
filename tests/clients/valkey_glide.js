// valkey-glide in its default settings, but for its patience: `valkey_glide.js @valkey/valkey-glide PORT`.
const { MEGABYTE, PREFIX, assert, numbered, pause, run } = require("./steps.js");
const { Batch, Decoder, GlideClient, Script } = require("@valkey/valkey-glide");

const key = (text) => `${PREFIX}:glide-js:${text}`;
// 250 ms is its default, too little for a machine on which all clients are tried at once.
const requestTimeout = 20_000;
const opened = () =>
  GlideClient.createClient({ addresses: [{ host: "127.0.0.1", port: Number(process.argv[3]) }], requestTimeout });
let client;

run({
  connect: async () => {
    client = await opened();
    assert.equal(await client.ping(), "PONG");
    assert.equal(await client.set(key("a"), "1"), "OK");
    assert.equal(await client.set(key("a"), "2", { conditionalSet: "onlyIfDoesNotExist" }), null);
    assert.equal(await client.get(key("a")), "1");
    assert.equal(await client.get(key("nothing")), null);
    assert.equal(await client.expire(key("a"), 1000), true);
    const left = await client.ttl(key("a"));
    assert.ok(left > 900 && left <= 1000, `${left} s`);
    assert.match(await client.info(), /redis_mode:standalone/);
  },
  pipeline: async () => {
    const batch = new Batch(false);
    numbered(100, (number) => batch.set(key(`p${number}`), String(number)).get(key(`p${number}`)));
    const wanted = numbered(100, (number) => ["OK", String(number)]).flat();
    assert.deepEqual(await client.exec(batch, true), wanted);
  },
  MGET: async () => {
    const names = numbered(20, (number) => key(`m${number}`));
    assert.equal(await client.mset(Object.fromEntries(names.map((each) => [each, each]))), "OK");
    assert.deepEqual(await client.mget([key("nothing"), ...names]), [null, ...names]);
    assert.equal(await client.exists(names), 20);
    assert.equal(await client.del([...names, key("nothing")]), 20);
  },
  hash: async () => {
    assert.equal(await client.hset(key("h"), { a: "1", b: "2" }), 2);
    const fields = (await client.hgetall(key("h"))).map(({ field, value }) => [field, value]);
    assert.deepEqual(fields, [["a", "1"], ["b", "2"]]);
    assert.equal(await client.hincrBy(key("h"), "a", 41), 42);
    assert.deepEqual(await client.hmget(key("h"), ["a", "nothing"]), ["42", null]);
    assert.equal(await client.hdel(key("h"), ["a", "b"]), 2);
  },
  zset: async () => {
    assert.equal(await client.zadd(key("z"), { one: 1, half: 0.5 }), 2);
    const ranked = await client.zrangeWithScores(key("z"), { start: 0, end: -1 });
    assert.deepEqual(ranked.map(({ element, score }) => [element, score]), [["half", 0.5], ["one", 1]]);
    assert.equal(await client.zscore(key("z"), "half"), 0.5);
    assert.equal(await client.zscore(key("z"), "nothing"), null);
    assert.equal(await client.zincrby(key("z"), 2, "half"), 2.5);
  },
  scan: async () => {
    const names = numbered(50, (number) => key(`scan${number}`));
    await client.mset(Object.fromEntries(names.map((each) => [each, "1"])));
    const found = new Set();
    let cursor = "0";
    do {
      const [next, some] = await client.scan(cursor, { match: key("scan*"), count: 10 });
      some.forEach((each) => found.add(each));
      cursor = next;
    } while (cursor !== "0");
    assert.deepEqual([...found].sort(), names.sort());
  },
  "pub/sub": async () => {
    const subscriber = await opened();
    await subscriber.subscribe([key("news")], requestTimeout);
    await subscriber.psubscribe([key("ne?s")], requestTimeout);
    await client.publish("hello", key("news"));
    const messages = [await subscriber.getPubSubMessage(), await subscriber.getPubSubMessage()];
    assert.deepEqual(messages.map(({ message }) => message), ["hello", "hello"]);
    assert.deepEqual(messages.map(({ pattern }) => pattern ?? "").sort(), ["", key("ne?s")]);
    subscriber.close();
  },
  script: async () => {
    const script = new Script("return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])} -- valkey_glide.js");
    const call = () => client.invokeScript(script, { keys: [key("script")], args: ["5"] });
    assert.deepEqual(await call(), [key("script"), 5]);
    assert.deepEqual(await call(), [key("script"), 10]);
  },
  transaction: async () => {
    const [one, two] = [key("{t}1"), key("{t}2")];
    const batch = new Batch(true).set(one, "1").incr(one).set(two, "x").get(two);
    assert.deepEqual(await client.exec(batch, true), ["OK", 2, "OK", "x"]);
    const watching = await opened();
    await watching.watch([one]);
    await client.set(one, "by another");
    assert.equal(await watching.exec(new Batch(true).set(one, "lost"), true), null);
    assert.equal(await client.get(one), "by another");
    watching.close();
  },
  "blocking pop": async () => {
    const waiting = await opened();
    assert.equal(await waiting.blpop([key("queue")], 0.1), null);
    const popped = waiting.blpop([key("queue")], 10);
    // So late that the pop is waiting by then.
    await pause(200);
    await client.rpush(key("queue"), ["job"]);
    assert.deepEqual(await popped, [key("queue"), "job"]);
    waiting.close();
  },
  "1 MB value": async () => {
    assert.equal(await client.set(key("big"), MEGABYTE), "OK");
    assert.ok((await client.get(key("big"), { decoder: Decoder.Bytes })).equals(MEGABYTE));
    assert.equal(await client.strlen(key("big")), MEGABYTE.length);
  },
  reconnect: async () => {
    assert.equal(await client.set(key("after"), "1"), "OK");
    assert.equal(await client.get(key("after")), "1");
  },
});
