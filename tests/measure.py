#!/usr/bin/env python3
"""Measures a whole cluster on this machine and prints the figures that the README quotes.

Starts `fastcache up` (release build) on its ports, looks at it at rest, loads it, kills two nodes and the health
service under load, and stops it. Takes about two minutes; needs redis-benchmark and redis-cli.

    python3 tests/measure.py
"""

import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

BINARY = Path(__file__).resolve().parent.parent / "target/release/fastcache"
PROXY_PORTS = range(6382, 6387)
REST_SECONDS = 30
TICKS = 100  # USER_HZ: the unit of /proc/PID/stat on every Linux this runs on


class Cluster:
    """A running `fastcache up`, what its children have logged, and every process started beside it.

    As a context manager it ends all of them and removes the files, whatever happened in between.
    """

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="fastcache-measure-")
        self.lines = []
        self.beside = []
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            for process in [*self.beside, self.process]:
                stop(process)
        finally:
            self.directory.cleanup()

    def start(self):
        """Starts it and gives the line that tells it is ready."""
        self.process = subprocess.Popen(
            [BINARY, "up", "--base-dir", self.directory.name + "/base"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        collector = threading.Thread(target=self._collect, daemon=True)
        collector.start()
        ready = self.process.stdout.readline().strip()
        if not ready.startswith("ready"):
            collector.join(timeout=5)
            raise SystemExit("the cluster did not start:\n" + "".join(self.lines[-20:]))
        return ready

    def _collect(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def run_beside(self, command, **output):
        """Starts a process that ends with the cluster at the latest."""
        self.beside.append(subprocess.Popen(command, **output))
        return self.beside[-1]

    def children(self):
        """Command line by process id."""
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
                command = (stat.parent / "cmdline").read_text().replace("\0", " ")
            except (OSError, IndexError):
                continue
            if parent == self.process.pid:
                found[int(stat.parent.name)] = command
        return found

    def child(self, *words):
        return next(pid for pid, command in self.children().items() if all(word in command for word in words))

    def start_again(self, name):
        """Runs the command that `up` says starts that child again."""
        said = wait_for(lambda: [line for line in self.lines if f"{name} was ended" in line])
        command = ["sh", "-c", "exec env " + said[-1].split("(it is then yours to stop): ")[1]]
        return self.run_beside(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stop(process):
    """SIGTERM, and SIGKILL for what does not end."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def kind_of(command):
    for kind in ("cache-node", "cache-proxy", "health-service", "haproxy"):
        if re.search(rf"(guarded \d+ |/){kind}( |$)", command):
            return kind
    return "other"


def memory(pid):
    """Resident and proportional memory in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return tuple(int(re.search(rf"^{field}:\s+(\d+)", text, re.M)[1]) / 1024 for field in ("Rss", "Pss"))


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def summary():
    with urllib.request.urlopen("http://127.0.0.1:8080/health/summary", timeout=5) as answer:
        return json.load(answer)


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except OSError:
            pass
        time.sleep(0.01)
    raise SystemExit("waited too long")


def load(cluster, requests):
    """A redis-benchmark: it stops with a status other than 0 at the first error reply or lost connection."""
    command = ["redis-benchmark", "-p", "6380", "-t", "set,get", "-n", str(requests), "-r", "1000000", "-q"]
    return cluster.run_beside(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def errors_of(benchmark):
    output, _ = benchmark.communicate(timeout=300)
    return 0 if benchmark.returncode == 0 else output.strip().splitlines()[-1]


def proxy_errors():
    """Errors that the proxies made themselves, over all of them."""
    total = 0
    for port in PROXY_PORTS:
        info = subprocess.run(["redis-cli", "-p", str(port), "INFO", "stats"], capture_output=True, text=True).stdout
        total += int(re.search(r"total_error_replies:(\d+)", info)[1])
    return total


def at_rest(cluster):
    children = cluster.children()
    by_kind = {}
    for pid, command in children.items():
        by_kind.setdefault(kind_of(command), []).append(memory(pid))
    for kind, values in sorted(by_kind.items()):
        print(f"memory of {kind:<15} x{len(values):<3} largest {max(rss for rss, _ in values):6.1f} MB resident")
    everything = [*children, cluster.process.pid]
    resident = sum(memory(pid)[0] for pid in everything)
    proportional = sum(memory(pid)[1] for pid in everything)
    print(f"memory of all {len(everything)} processes: {resident:.0f} MB resident, {proportional:.0f} MB with shared pages once")
    before = cpu_seconds(everything)
    time.sleep(REST_SECONDS)
    used = cpu_seconds(everything) - before
    print(f"CPU at rest: {100 * used / REST_SECONDS:.2f} % of one core")


def node_failure(cluster):
    """Kills two nodes under load; how long until every proxy routes around them."""
    errors, benchmark = proxy_errors(), load(cluster, 1_000_000)
    time.sleep(1)
    delays = []
    for number in (7, 23):
        epoch = summary()["epoch"]
        pid = cluster.child("cache-node", f"--port {7000 + number} ")
        killed = time.time()
        subprocess.run(["kill", "-9", str(pid)], check=True)
        views = wait_for(lambda: [line for line in cluster.lines if f"new view epoch={epoch + 1} " in line][4:5])
        last = re.search(r"(\d{4}-\S+)Z", views[0])[1]
        delays.append(1000 * (seconds_of(last) - killed))
    print(f"kill -9 of a node under load: all proxies route around it after {', '.join(f'{d:.1f}' for d in delays)} ms")
    print(f"  errors seen by the clients: {errors_of(benchmark)}, made by the proxies: {proxy_errors() - errors}")
    for number in (7, 23):
        cluster.start_again(f"node{number}")
    began = time.monotonic()
    wait_for(lambda: summary()["routableNodes"] == 50, 90)
    print(f"  started again: in service after {time.monotonic() - began:.1f} s")


def seconds_of(timestamp):
    from datetime import datetime, timezone

    return datetime.fromisoformat(timestamp[:26]).replace(tzinfo=timezone.utc).timestamp()


def health_outage(cluster):
    errors, epoch = proxy_errors(), summary()["epoch"]
    benchmark = load(cluster, 300_000)
    time.sleep(0.5)
    subprocess.run(["kill", "-9", str(cluster.child("guarded", " health-service "))], check=True)
    time.sleep(2)
    cluster.start_again("health")
    after = wait_for(lambda: summary()["epoch"] >= epoch and summary())
    print(f"kill -9 of the health service: epoch {epoch} before, {after['epoch']} after")
    print(f"  errors seen by the clients: {errors_of(benchmark)}, made by the proxies: {proxy_errors() - errors}")


def throughput():
    tests = "set,get,incr,zadd,mset"
    command = ["redis-benchmark", "-p", "6380", "-t", tests, "-n", "200000", "-q"]
    done = subprocess.run(command, capture_output=True, text=True)
    rates = re.findall(r"([\d.]+) requests per second", done.stdout)
    print(f"redis-benchmark -t {tests} -n 200000: median {statistics.median(map(float, rates)):.0f} requests/s, "
          f"exit status {done.returncode}")


def main():
    if not BINARY.exists():
        raise SystemExit("build it first: cargo build --release --package fastcache")
    # Python ends at SIGTERM without a word to anybody; as an exception, everything is put away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Cluster() as cluster:
        print(cluster.start())
        at_rest(cluster)
        throughput()
        node_failure(cluster)
        health_outage(cluster)


if __name__ == "__main__":
    main()
