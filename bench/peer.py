# SPDX-License-Identifier: Apache-2.0
"""The same service as a good team would write it in Node (bench/peers/node), on the same PostgreSQL
and the same Redis Cluster: check-ins a second, memory, and the time they take at the peer's own
highest rate."""

import json
import pathlib
import re
import subprocess

import machine
from cache import redis_of
from machine import Failed, Process, Turnout, drive
from postgres import Postgres
from table import LESS, MORE

BENCH = pathlib.Path(__file__).resolve().parent
PEER = BENCH / "peers" / "node"
PEOPLE, GATES = 50_000, 40
START_TIMEOUT_S = 60


class Sizes:
    def __init__(self, quick):
        self.rounds = 1 if quick else 2
        self.seconds = 2 if quick else 3
        self.warmup = 2_000 if quick else 10_000  # so that what compiles as it runs has done so
        self.probe_s, self.settle_s, self.step = (1, 1, 0.5) if quick else (4, 1, 0.05)
        self.steady_s = 3 if quick else 4


class Node(Process):
    """The peer: its first process and its workers."""

    def __init__(self, url, seeds, log):
        if not (PEER / "node_modules").exists():
            raise Failed(f"no {PEER}/node_modules: tools/setup bench")
        self.port = machine.free_port()
        super().__init__(["node", PEER / "main.mjs"], log,
                         env={"DATABASE_URL": url, "REDIS": seeds, "PORT": str(self.port),
                              "NODE_ENV": "production"})
        line = self.process.stdout.readline().decode()
        if "ready url=" not in line:
            raise Failed(f"the peer did not start: {self.tail()}")


def memory_mib(server):
    """What all its processes hold, shared pages counted once."""
    total = 0
    for pid in server.pids():
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1])
    return total / 1024


LABEL = "the same in Node"


def add_versions(table):
    lock = json.loads((PEER / "package-lock.json").read_text())["packages"]
    rows = [["node", machine.run(["node", "--version"]).strip().removeprefix("v")]]
    rows += [[name, lock["node_modules/" + name]["version"]]
             for name in ("fastify", "pg", "ioredis", "lru-cache")]
    table.add_sheet("What the peer is made of", ["package", "version"], rows)


class Site:
    """PostgreSQL with a database for each, Redis for both, and the two servers in turn."""

    def __init__(self, bench, cluster):
        self.bench, self.cluster, self.seeds = bench, cluster, cluster.seeds
        self.sizes = Sizes(bench.quick)
        self.closed = {}  # whose: check-ins a second in a closed loop
        self.database = Postgres(bench.folder, bench.path("postgres.log"))
        bench.at_end(self.database.kill)
        self.database.sql("postgres", "CREATE DATABASE ours_demo")
        self.database.sql("postgres", "CREATE DATABASE theirs_demo")
        self._make_ours()
        self._make_theirs()

    def _make_ours(self):
        url = self.database.url("ours_demo")
        machine.run([self.bench.turnout, "db", "migrate", "--store", url])
        Turnout(self.bench.turnout, url, self.bench.path("turnout.log"), "--demo").stop()

    def _make_theirs(self):
        """The same event, gates and people, through its own API."""
        server = Node(self.database.url("theirs_demo"), self.seeds, self.bench.path("node.log"))
        machine.ask(server.port, "POST", "/v1/events", {"code": "demo", "name": "Demo"})
        for gate in range(1, GATES + 1):
            machine.ask(server.port, "POST", "/v1/events/demo/gates",
                        {"code": f"g{gate:02d}", "name": f"Gate {gate}"})
        drive(self.bench.drive, "import", server.port, connections=1, requests=PEOPLE // 1000)
        server.stop()

    def start(self, whose):
        """A server on a database with the demo event and no scans."""
        with self.bench.times.preparing():
            return self._start(whose)

    def _start(self, whose):
        self.database.copy(f"{whose}_demo", whose)
        for primary in self.cluster.primaries():
            primary.cli("FLUSHALL")
        url = self.database.url(whose)
        if whose == "ours":
            return Turnout(self.bench.turnout, url, self.bench.path("turnout.log"),
                           "--redis", self.seeds)
        return Node(url, self.seeds, self.bench.path("node.log"))

    def stop(self, whose, server):
        server.stop()
        self.database.drop(whose)


def loads(site, server, text):
    """A load of its own text against a server; its report. A fault in the ledger is a failure."""
    path = site.bench.path("load.ini")
    path.write_text(text)
    command = [site.bench.build / "bench" / "loadgen", path, "--quiet", "--url",
               f"http://127.0.0.1:{server.port}"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          preexec_fn=machine.raise_descriptor_limit, timeout=1800, check=False)
    if done.returncode != 0:
        raise Failed(f"loadgen ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


# Scenarios -------------------------------------------------------------------------------------

def site_of(bench):
    if getattr(bench, "peer_site", None) is None:
        cluster = redis_of(bench)
        with bench.times.preparing():
            bench.peer_site = Site(bench, cluster)
        add_versions(bench.table)
    return bench.peer_site


def scan_rate(site, whose, connections):
    """(check-ins a second, memory behind them, p99 in ms) of a closed loop."""
    server = site.start(whose)
    result = drive(site.bench.drive, "scan", server.port, connections=connections,
                   seconds=site.sizes.seconds, warmup=site.sizes.warmup, people=PEOPLE,
                   gates=GATES)
    memory = memory_mib(server)
    site.stop(whose, server)
    site.closed[whose] = result["items_per_s"]
    return result["items_per_s"], memory, result["p99_us"] / 1000


def checkins(bench):
    """Durable check-ins through HTTP, a closed loop, and the memory that they leave behind."""
    site = site_of(bench)
    for connections in (64, 1000):
        pairs = []
        for _ in range(site.sizes.rounds):
            pairs.append((scan_rate(site, "ours", connections),
                          scan_rate(site, "theirs", connections)))
        name = f"{connections} connections, PostgreSQL and Redis"
        bench.table.add_pairs(f"check-ins, {name}", "1/s",
                              [(ours[0], theirs[0]) for ours, theirs in pairs], LABEL, (MORE, 5))
        bench.table.add_pairs(f"memory, {name}", "MiB",
                              [(ours[1], theirs[1]) for ours, theirs in pairs], LABEL,
                              (LESS, 0.2))
        bench.table.add_pairs(f"check-in p99, {name}, each at its own pace", "ms",
                              [(ours[2], theirs[2]) for ours, theirs in pairs], LABEL)


STREAM = """
[stream.doors]
connections = 256
entry = 50
exit = 47
duplicate = 3
"""
EVENT = f"""
[event]
people = {PEOPLE}
gates = {GATES}
"""


def start_warm(site, whose):
    """What compiles as it runs has done so, and caches and pools are filled."""
    server = site.start(whose)
    drive(site.bench.drive, "scan", server.port, connections=64, requests=site.sizes.warmup,
          people=PEOPLE, gates=GATES)
    return server


def highest_rate(site, whose):
    """Searched from half of its closed loop on, and further down if that does not hold."""
    sizes, first = site.sizes, max(50, site.closed.get(whose, 0) / 2)
    server = start_warm(site, whose)
    report = loads(site, server, f"[load]\ntitle = Search\n{EVENT}[search]\nfrom = {first:.0f}\n"
                   f"limit_ms = 100\nprobe_s = {sizes.probe_s}\nsettle_s = {sizes.settle_s}\n"
                   f"step = {sizes.step}\n{STREAM}curve = 0:1\n")
    site.stop(whose, server)
    if report["search"]["rate"] == 0:
        raise Failed(f"{whose}: not even {first / 8:.0f} scans a second with p99 below 100 ms")
    return report["search"]["rate"]


def steady_p99(site, whose, rate):
    server = start_warm(site, whose)
    report = loads(site, server, f"[load]\ntitle = Steady\nseconds = {site.sizes.steady_s}\n"
                   f"{EVENT}{STREAM}curve = 0:{rate:.1f}\n")
    site.stop(whose, server)
    return report["scans"]["p99_ms"]


def p99(bench):
    """The highest rate of each with p99 below 100 ms, open loop; and p99 at the peer's."""
    site = site_of(bench)
    theirs = highest_rate(site, "theirs")
    pairs = [(steady_p99(site, "ours", theirs), steady_p99(site, "theirs", theirs))
             for _ in range(site.sizes.rounds)]
    bench.table.add_pairs("highest rate with p99 below 100 ms, open loop", "1/s",
                          [(highest_rate(site, "ours"), theirs)], LABEL, (MORE, 5))
    bench.table.add_pairs(f"check-in p99 at the peer's highest rate ({theirs:.0f}/s)", "ms", pairs,
                          LABEL, (LESS, 1))


SCENARIOS = {"peer_checkins": checkins, "peer_p99": p99}
