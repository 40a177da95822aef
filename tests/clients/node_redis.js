// node-redis in its default settings: `node_redis.js redis PORT`.
const { MEGABYTE, PREFIX, assert, numbered, pause, run } = require("./steps.js");
const { RESP_TYPES, WatchError, createClient, defineScript } = require("redis");

const key = (text) => `${PREFIX}:node-redis:${text}`;
const add = defineScript({
  NUMBER_OF_KEYS: 1,
  SCRIPT: "return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])} -- node-redis",
  parseCommand: (parser, counter, amount) => {
    parser.pushKey(counter);
    parser.push(String(amount));
  },
  transformReply: (reply) => reply,
});
const client = createClient({ url: `redis://127.0.0.1:${process.argv[3]}`, scripts: { add } });
client.on("error", (error) => console.error("connection:", error));

const opened = () => client.duplicate().on("error", (error) => console.error("connection:", error)).connect();

run({
  connect: async () => {
    await client.connect();
    assert.equal(await client.ping(), "PONG");
    assert.equal(await client.set(key("a"), "1"), "OK");
    assert.equal(await client.set(key("a"), "2", { condition: "NX" }), null);
    assert.equal(await client.get(key("a")), "1");
    assert.equal(await client.get(key("nothing")), null);
    assert.equal(await client.expire(key("a"), 1000), 1);
    const left = await client.ttl(key("a"));
    assert.ok(left > 900 && left <= 1000, `${left} s`);
    assert.match(await client.info(), /redis_mode:standalone/);
    assert.equal(await client.clientSetName("node-redis"), "OK");
    assert.equal((await client.clientInfo()).name, "node-redis");
    assert.ok((await client.clientList()).some(({ name }) => name === "node-redis"));
  },
  pipeline: async () => {
    // Requests of one turn of the event loop go out together.
    const replies = numbered(100, (number) => [
      client.set(key(`p${number}`), String(number)),
      client.get(key(`p${number}`)),
    ]);
    const wanted = numbered(100, (number) => ["OK", String(number)]).flat();
    assert.deepEqual(await Promise.all(replies.flat()), wanted);
    const batch = client.multi().set(key("p"), "1").get(key("p"));
    assert.deepEqual(await batch.execAsPipeline(), ["OK", "1"]);
  },
  MGET: async () => {
    const names = numbered(20, (number) => key(`m${number}`));
    assert.equal(await client.mSet(names.map((each) => [each, each])), "OK");
    assert.deepEqual(await client.mGet([key("nothing"), ...names]), [null, ...names]);
    assert.equal(await client.exists(names), 20);
    assert.equal(await client.del([...names, key("nothing")]), 20);
  },
  hash: async () => {
    assert.equal(await client.hSet(key("h"), { a: 1, b: 2 }), 2);
    assert.deepEqual({ ...(await client.hGetAll(key("h"))) }, { a: "1", b: "2" });
    assert.equal(await client.hIncrBy(key("h"), "a", 41), 42);
    assert.deepEqual(await client.hmGet(key("h"), ["a", "nothing"]), ["42", null]);
    assert.equal(await client.hDel(key("h"), ["a", "b"]), 2);
  },
  zset: async () => {
    const [one, half] = [{ value: "one", score: 1 }, { value: "half", score: 0.5 }];
    assert.equal(await client.zAdd(key("z"), [one, half]), 2);
    const ranked = await client.zRangeWithScores(key("z"), 0, -1);
    assert.deepEqual(ranked.map((each) => ({ ...each })), [half, one]);
    assert.equal(await client.zScore(key("z"), "half"), 0.5);
    assert.equal(await client.zScore(key("z"), "nothing"), null);
    assert.equal(await client.zIncrBy(key("z"), 2, "half"), 2.5);
  },
  scan: async () => {
    const names = numbered(50, (number) => key(`scan${number}`));
    await client.mSet(names.map((each) => [each, "1"]));
    const found = new Set();
    for await (const some of client.scanIterator({ MATCH: key("scan*"), COUNT: 10 })) {
      some.forEach((each) => found.add(each));
    }
    assert.deepEqual([...found].sort(), names.sort());
  },
  "pub/sub": async () => {
    const subscriber = await opened();
    const messages = [];
    await new Promise((resolve, reject) => {
      const received = (message, channel) => {
        if (messages.push([message, channel]) === 2) resolve();
      };
      subscriber
        .subscribe(key("news"), received)
        .then(() => subscriber.pSubscribe(key("ne?s"), received))
        .then(() => client.publish(key("news"), "hello"))
        .catch(reject);
    });
    assert.deepEqual(messages, [["hello", key("news")], ["hello", key("news")]]);
    await subscriber.unsubscribe();
    await subscriber.pUnsubscribe();
    subscriber.destroy();
  },
  script: async () => {
    assert.deepEqual(await client.add(key("script"), 5), [key("script"), 5]);
    assert.deepEqual(await client.add(key("script"), 5), [key("script"), 10]);
    const get = { keys: [key("script")] };
    assert.equal(await client.eval("return redis.call('GET', KEYS[1])", get), "10");
  },
  transaction: async () => {
    const [one, two] = [key("{t}1"), key("{t}2")];
    const batch = client.multi().set(one, "1").incr(one).set(two, "x").get(two);
    assert.deepEqual(await batch.exec(), ["OK", 2, "OK", "x"]);
    const watching = await opened();
    await watching.watch(one);
    await client.set(one, "by another");
    await assert.rejects(watching.multi().set(one, "lost").exec(), WatchError);
    assert.equal(await client.get(one), "by another");
    watching.destroy();
  },
  "blocking pop": async () => {
    const waiting = await opened();
    assert.equal(await waiting.blPop(key("queue"), 0.1), null);
    const popped = waiting.blPop(key("queue"), 10);
    // So late that the pop is waiting by then.
    await pause(200);
    await client.rPush(key("queue"), "job");
    assert.deepEqual({ ...(await popped) }, { key: key("queue"), element: "job" });
    waiting.destroy();
  },
  "1 MB value": async () => {
    assert.equal(await client.set(key("big"), MEGABYTE), "OK");
    const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    assert.ok((await binary.get(key("big"))).equals(MEGABYTE));
    assert.equal(await client.strLen(key("big")), MEGABYTE.length);
  },
  reconnect: async () => {
    assert.equal(await client.set(key("after"), "1"), "OK");
    assert.equal(await client.get(key("after")), "1");
  },
});
