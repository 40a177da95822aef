#!/usr/bin/env python3
"""Clients that count what goes wrong while containers are killed, drained and restarted behind them.

    load.py PORT        until SIGTERM; then one line of JSON with the counts

Busy clients write and read keys of their own; idle ones rest between a first use and a last one, as connections in an
application's pool do. Like such a pool, a client looks before each request whether its connection was closed: that is
no error (`closed`, `reset`), a request that was sent and not answered is one (`broken`).
"""

import asyncio
import json
import signal
import sys
import time
from collections import Counter

BUSY, IDLE = 20, 40
# Between two requests of a busy client. Together a thousand requests a second, so that some are always on their way;
# and each client has the time to see that its connection was closed behind its last reply.
BUSY_PAUSE = 0.02
# An unanswered request is given up after the longest time that a proxy holds one, and some more.
PATIENCE = 5.0
PORT = int(sys.argv[1])


class Refused(Exception):
    """An error reply."""


class Client:
    def __init__(self, name, pause, counts):
        self.name, self.pause, self.counts = name, pause, counts
        self.reader = self.writer = None
        self.written = 0

    async def run(self, stop):
        """Without a pause to make, rests until it is stopped."""
        number, last = 0, False
        while not last:
            last = stop.is_set()
            number += 1
            for request in (self.write(number), self.read()):
                await self.attempt(request)
                await asyncio.wait([stop.task], timeout=self.pause)
        self.close()

    async def attempt(self, request):
        began = time.monotonic()
        try:
            await asyncio.wait_for(request, PATIENCE)
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

    async def write(self, number):
        # What an unanswered SET has done is not known, so only an acknowledged one counts.
        if await self.call(b"SET", self.name.encode(), b"%d" % number) == b"OK":
            self.written = number

    async def read(self):
        """A failure may have lost what was written, but an older value must not come back."""
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
        await self.reopen()
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
    for kind, amount, pause in (("busy", BUSY, BUSY_PAUSE), ("idle", IDLE, None)):
        counts[kind] = Counter({key: 0 for key in "used errors broken stale lost closed reset slowest_ms".split()})
        clients += [Client(f"load:{kind}:{index}", pause, counts[kind]) for index in range(amount)]
    await asyncio.gather(*(client.run(stop) for client in clients))
    print(json.dumps(counts))


asyncio.run(main())
