// ioredis with its default settings: what an application does first must just work.
const assert = require("node:assert/strict");
const Redis = require("ioredis");

const client = new Redis(Number(process.argv[2]), "127.0.0.1");
client.on("error", (error) => {
  console.error("connection:", error);
  process.exit(1);
});

async function main() {
  assert.equal(await client.ping(), "PONG");
  assert.equal(await client.set("js:a", "1"), "OK");
  assert.equal(await client.set("js:a", "2", "NX"), null);
  assert.equal(await client.get("js:a"), "1");
  assert.equal(await client.get("js:nothing"), null);
  assert.equal(await client.mset("js:b", "2", "js:c", "3"), "OK");
  assert.deepEqual(await client.mget("js:a", "js:b", "js:nothing", "js:c"), ["1", "2", null, "3"]);
  assert.equal(await client.expire("js:a", 1000), 1);
  assert.equal(await client.ttl("js:a"), 1000);
  assert.equal(await client.zadd("js:z", 1, "one", 0.5, "half"), 2);
  const scores = (await client.zrange("js:z", 0, -1, "WITHSCORES")).flat();
  assert.deepEqual(scores.map(String), ["half", "0.5", "one", "1"]);
  assert.deepEqual(
    await client.pipeline().set("js:p", "1").get("js:p").exec(),
    [[null, "OK"], [null, "1"]],
  );
  assert.equal(await client.del("js:a", "js:b", "js:c", "js:p", "js:z"), 5);
  assert.match(await client.info(), /redis_mode:standalone/);
  await client.quit();
  console.log("ioredis", require("ioredis/package.json").version, "works");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
