// Runs the steps of one client and prints a line for each: its name, a tab, and `ok` or why not.
//
// The steps are the same for every client and language; `reconnect` comes last, when the test has restarted the
// proxies and says so by a line on standard input. A step that fails does not stop the others.
const assert = require("node:assert/strict");
const { once } = require("node:events");
const { setTimeout: pause } = require("node:timers/promises");

// Far longer than any step takes, even when all clients run at once on two processors.
const LIMIT_MS = 20_000;
// Between two attempts after the restart: a client that is told of a lost connection tries again soon.
const BETWEEN_ATTEMPTS_MS = 50;

const PREFIX = "clients";
const MEGABYTE = Buffer.alloc(1 << 20, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));

function numbered(count, make) {
  return Array.from({ length: count }, (_, number) => make(number));
}

async function inTime(promise) {
  const limit = new AbortController();
  const tooLong = pause(LIMIT_MS, undefined, { signal: limit.signal }).then(() => {
    throw new Error(`it takes longer than ${LIMIT_MS} ms`);
  });
  tooLong.catch(() => {});
  try {
    return await Promise.race([promise, tooLong]);
  } finally {
    limit.abort();
  }
}

// Only after the restart may a request fail: the application tries again.
async function attempts(name, step) {
  const began = Date.now();
  for (;;) {
    try {
      return await step();
    } catch (error) {
      const isOver = Date.now() - began > LIMIT_MS;
      if (name !== "reconnect" || isOver || error instanceof assert.AssertionError) throw error;
      console.error(error);
      await pause(BETWEEN_ATTEMPTS_MS);
    }
  }
}

// The command line names the steps to take.
async function run(steps) {
  const wanted = process.argv.slice(4);
  for (const [name, step] of Object.entries(steps).filter(([name]) => wanted.includes(name))) {
    if (name === "reconnect") {
      console.log("ready for the restart");
      await once(process.stdin, "data");
    }
    let result = "ok";
    try {
      await inTime(attempts(name, step));
    } catch (error) {
      console.error(error);
      result = `${error.name}: ${error.message}`.replaceAll("\n", " ").slice(0, 400);
    }
    console.log(`${name}\t${result}`);
  }
  // Clients that are still connected would keep it running.
  process.exit(0);
}

module.exports = { MEGABYTE, PREFIX, assert, numbered, pause, run };
