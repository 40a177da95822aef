"""Runs the steps of one client and prints a line for each: its name, a tab, and `ok` or why not.

The steps are the same for every client and language; `reconnect` comes last, when the test has restarted the
proxies and says so by a line on standard input. A step that fails does not stop the others.
"""

import asyncio
import signal
import sys
import time
import traceback

# Far longer than any step takes, even when all clients run at once on two processors.
LIMIT_SECONDS = 20
# Between two attempts after the restart: a client that is told of a lost connection tries again soon.
BETWEEN_ATTEMPTS_SECONDS = 0.05

PREFIX = "clients"
MEGABYTE = bytes(range(256)) * 4096


def same(what, found, wanted):
    if found != wanted:
        raise AssertionError(f"{what}: {str(found)[:300]} instead of {str(wanted)[:300]}")


class TooLong(BaseException):
    """No `Exception`: a library that retries after errors must not take it for one."""


# The name of each step and of the function that takes it.
STEPS = {
    "connect": "connect",
    "pipeline": "pipeline",
    "MGET": "mget",
    "hash": "hash_",
    "zset": "zset",
    "scan": "scan",
    "pub/sub": "pubsub",
    "script": "script",
    "transaction": "transaction",
    "blocking pop": "blocking_pop",
    "1 MB value": "megabyte",
    "reconnect": "reconnect",
}


def run(functions, loop=None):
    """`functions`: those of a program by name, asynchronous ones with the loop they run in. The command line names the
    steps to take."""

    def too_long(*_):
        raise TooLong(f"it takes longer than {LIMIT_SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    wanted = sys.argv[3:]
    for name in STEPS:
        if name not in wanted:
            continue
        step = functions[STEPS[name]]
        if name == "reconnect":
            print("ready for the restart", flush=True)
            sys.stdin.readline()
        signal.alarm(LIMIT_SECONDS)
        try:
            attempts(name, lambda: finish(step, loop))
            result = "ok"
        except (Exception, TooLong) as error:
            traceback.print_exc()
            result = f"{type(error).__name__}: {error}".replace("\n", " ")[:400]
        finally:
            signal.alarm(0)
        print(f"{name}\t{result}", flush=True)


def finish(step, loop):
    found = step()
    if asyncio.iscoroutine(found):
        loop.run_until_complete(found)


def attempts(name, attempt):
    """Only after the restart may a request fail: the application tries again."""
    while True:
        try:
            return attempt()
        except AssertionError:
            raise
        except Exception:
            if name != "reconnect":
                raise
            traceback.print_exc()
            time.sleep(BETWEEN_ATTEMPTS_SECONDS)
