#!/usr/bin/env python3
"""Clients that count what goes wrong while containers are killed, drained and restarted behind them.

    load.py PORT        until SIGTERM; then one line of JSON with the counts

Busy connections write and read their own keys without a pause to speak of; idle ones are used once a second, as the
connections of an application's pool are. Like such a pool, a client looks whether its connection was closed before it
uses it: that is no error, an unanswered request is.
"""

import asyncio
import json
import signal
import sys
import time
from collections import Counter

BUSY, IDLE = 20, 40
# Enough load to have requests in flight at every moment, and too little to keep a small machine from the rest.
BUSY_PAUSE, IDLE_PAUSE = 0.01, 1.0
# An unanswered request is given up after the longest time that a proxy holds one, and some more.
PATIENCE = 5.0
PORT = int(sys.argv[1])


class Refused(Exception):
    """An error reply."""


class Client:
    def __init__(self, name, pause, counts):
        self.name, self.pause, self.counts = name, pause, counts
        self.reader = self.writer = None
        self.written = None

    async def run(self, stop):
        number = 0
        while not stop.is_set():
            number += 1
            began = time.monotonic()
            try:
                await asyncio.wait_for(self.use(number), PATIENCE)
            except Refused as error:
                self.counts["errors"] += 1
                print(f"{self.name}: {error}", file=sys.stderr)
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
                self.counts["broken"] += 1
                print(f"{self.name}: {type(error).__name__} {error}", file=sys.stderr)
                self.close()
            else:
                self.counts["used"] += 1
            self.counts["slowest_ms"] = max(self.counts["slowest_ms"], round((time.monotonic() - began) * 1000))
            await asyncio.wait([stop.task], timeout=self.pause)
        self.close()

    async def use(self, number):
        """Writes a number and reads it back; a failure may have lost it, but an older one must not come back."""
        await self.reopen()
        value = b"%d" % number
        # What an unanswered SET has done is not known, so only an acknowledged one counts.
        if await self.call(b"SET", self.name.encode(), value) == b"OK":
            self.written = number
        found = await self.call(b"GET", self.name.encode())
        if found is None:
            self.counts["lost"] += 1
        elif int(found) < self.written:
            self.counts["stale"] += 1

    async def reopen(self):
        if self.reader and self.reader.exception():
            self.counts["reset"] += 1
            self.close()
        elif self.reader and self.reader.at_eof():
            self.counts["closed"] += 1
            self.close()
        if not self.reader:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", PORT)

    async def call(self, *words):
        self.writer.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        line = (await self.reader.readuntil(b"\r\n"))[:-2]
        if line[:1] == b"-":
            raise Refused(line.decode())
        if line[:1] != b"$":
            return line[1:]
        length = int(line[1:])
        return None if length < 0 else (await self.reader.readexactly(length + 2))[:-2]

    def close(self):
        if self.writer:
            self.writer.transport.abort()
        self.reader = self.writer = None


async def main():
    stop = asyncio.Event()
    stop.task = asyncio.ensure_future(stop.wait())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    counts = {}
    clients = []
    for kind, amount, pause in (("busy", BUSY, BUSY_PAUSE), ("idle", IDLE, IDLE_PAUSE)):
        counts[kind] = Counter({key: 0 for key in "used errors broken stale lost closed reset slowest_ms".split()})
        clients += [Client(f"load:{kind}:{index}", pause, counts[kind]) for index in range(amount)]
    await asyncio.gather(*(client.run(stop) for client in clients))
    print(json.dumps(counts))


asyncio.run(main())
