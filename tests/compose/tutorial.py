#!/usr/bin/env python3
"""Does what a page of documentation tells its reader to do, line by line, and compares what is shown with what it says.

    tutorial.py PAGE

Every `console` block counts: a line that begins with `$ ` is typed into one shell on a terminal, as a reader would, and
the lines after it must be what it prints. `…` in a line stands for any text, a line of nothing else for any number of
lines. The exit status of a command must be 0, or the reader would wonder.
"""

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

# The longest a command may take: the first `up` of all may build the image.
PATIENCE = 1800
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Shell:
    """A shell whose commands believe that a person is looking."""

    def __init__(self):
        self.terminal, other = pty.openpty()
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], stdin=subprocess.PIPE, stdout=other, stderr=other, text=True,
            env={**os.environ, "TERM": "dumb"},
        )
        os.close(other)

    def run(self, command):
        """What the command prints, and its exit status."""
        self.process.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\nstatus %d of the command\\n' $?\n")
        self.process.stdin.flush()
        printed, deadline = "", time.monotonic() + PATIENCE
        while not (end := re.search(r"\n?\nstatus (\d+) of the command\n", printed)):
            if not select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                sys.exit(f"{command}\n  did not end within {PATIENCE} s; it printed:\n{printed}")
            printed += CONTROL.sub("", os.read(self.terminal, 65536).decode(errors="replace"))
        return printed[: end.start()], int(end[1])


def steps(page):
    """Line number, command and expected output of everything typed on the page."""
    blocks = re.finditer(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for block in blocks:
        line = page.count("\n", 0, block.start(1)) + 1
        for step in re.split(r"^\$ ", block[1], flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield line, command, output
            line += step.count("\n")


def pattern(output):
    """A regular expression for what is shown; every line of what is printed ends as lines do."""
    lines = output.strip("\n").split("\n") if output.strip("\n") else []
    any_lines, any_text = r"(?:.*\n)*?", ".*"
    return re.compile("".join(
        any_lines if line == "…" else any_text.join(map(re.escape, line.split("…"))) + r"\n" for line in lines
    ))


def main():
    page = Path(sys.argv[1])
    shell, done = Shell(), 0
    for line, command, output in steps(page.read_text()):
        began = time.monotonic()
        printed, status = shell.run(command)
        print(f"{time.monotonic() - began:6.1f} s  {command}", flush=True)
        shown = printed.strip("\n")
        if status != 0 or not pattern(output).fullmatch(shown + "\n" if shown else ""):
            sys.exit(f"{page}:{line}: {command}\nprinted, with status {status}:\n{shown}\ninstead of:\n{output}")
        done += 1
    if not done:
        sys.exit(f"{page} has nothing to do in it")
    print(f"{done} commands")


main()
