# SPDX-License-Identifier: Apache-2.0
"""What is measured. Each scenario starts its servers on fresh stores and adds its rows."""

import contextlib
import json
import shutil
import sys

import machine
from machine import Failed, HAProxy, Nginx, Turnout, drive, wrk
from table import LESS, MORE

PEOPLE = 50000  # of the demo event
GATES = 40


class Sizes:
    """How much of everything; a quick run shows the same rows with less to go by."""

    def __init__(self, quick):
        self.rounds = 1 if quick else 5
        self.get_seconds = 1                              # of a CPU: 100 ticks of it
        self.get_rounds = 1 if quick else 7
        self.scans = 20_000 if quick else 60_000
        self.scans_alone = 1_000 if quick else 4_000      # a commit per scan is slow
        self.connections = 10_000
        self.idle_requests = 40_000 if quick else 150_000
        self.people = 200_000 if quick else 1_000_000
        self.starts = 3 if quick else 7


class Bench:
    def __init__(self, build, folder, quick, table, times):
        self.turnout = build / "turnout"
        self.drive = build / "bench" / "drive"
        self.direct = build / "bench" / "sqlite_direct"
        for program in (self.turnout, self.drive, self.direct):
            if not program.exists():
                raise Failed(f"no {program}: make build")
        self.folder = folder
        self.quick = quick
        self.sizes = Sizes(quick)
        self.table = table
        self.times = times
        self.build = build
        self.database = None  # the PostgreSQL server, once somebody asked for it
        self.redis = None     # the Redis Cluster, likewise
        self.endings = contextlib.ExitStack()
        self.loose_ends = []  # what a scenario waits for beside the others, to be finished last
        self.count = 0
        self._demo = None
        self._crowd = None

    def path(self, name):
        self.count += 1
        return self.folder / f"{self.count}-{name}"

    def serve(self, store, *args, env=None):
        return Turnout(self.turnout, store, self.path("turnout.log"), *args, env=env)

    def demo_copy(self):
        """A store of its own with the demo event and no scans."""
        with self.times.preparing():
            if self._demo is None:
                self._demo = self.path("demo.db")
                self.serve(self._demo, "--demo").stop()
            copy = self.path("copy.db")
            shutil.copyfile(self._demo, copy)
        return copy

    def remove(self, store):
        for path in store.parent.glob(store.name + "*"):
            path.unlink()

    def at_end(self, act):
        """What a set started for all of its scenarios ends with it."""
        self.endings.callback(act)

    def rounds(self, measure, count=None):
        """measure() gives one pair of figures, side by side; [(ours, peer's)] of all rounds."""
        pairs = []
        for _ in range(count or self.sizes.rounds):
            pairs.append(measure())
            shown = " ".join(f"{value:.4g}" for value in pairs[-1])
            print("   ", shown, file=sys.stderr, flush=True)
        return pairs


def demo_stats(server):
    return json.loads(machine.ask(server.port, "GET", "/v1/events/demo/stats"))


# CPU per request -------------------------------------------------------------------------------

def cpu(bench):
    """CPU time of a trivial GET and of one of an event, against nginx and HAProxy alone with the
    same body."""
    ours = bench.serve(bench.demo_copy())
    for name, path in (("GET /livez", "/livez"), ("GET an event", "/v1/events/demo")):
        body = machine.ask(ours.port, "GET", path)
        peers = Nginx(bench.path("nginx"), body), HAProxy(bench.path("haproxy"), body)

        def measure():
            seconds = bench.sizes.get_seconds
            return [wrk(each, path, seconds, 64) for each in (ours, *peers)]

        measure()  # warms all
        seen = bench.rounds(measure, bench.sizes.get_rounds)
        bench.table.add_pairs(f"CPU for {name}", "µs", [(mine, nginx) for mine, nginx, _ in seen],
                              "nginx return 200", (LESS, 1.3))
        bench.table.add_pairs(f"CPU for {name}", "µs", [(mine, proxy) for mine, _, proxy in seen],
                              "HAProxy alone, http-request return")
        for each in peers:
            each.stop()
    ours.stop()
    bench.table.add_sheet("The peers", ["program", "version"], machine.versions(
        "nginx -v", f"{machine.HAPROXY_BINARY} -v", "wrk -v"))


# Durable check-ins -----------------------------------------------------------------------------

def scan_rate(bench, connections, scans, env=None):
    store = bench.demo_copy()
    server = bench.serve(store, env=env)
    result = drive(bench.drive, "scan", server.port, connections=connections, requests=scans,
                   people=PEOPLE, gates=GATES)
    stats = demo_stats(server)
    server.stop()
    bench.remove(store)
    if stats["scans"] != scans or stats["refused"] != 0:
        raise Failed(f"{scans} scans were sent, the store counts {stats}")
    return result


def direct_rate(bench, scans):
    store = bench.demo_copy()
    result = json.loads(machine.run([bench.direct, store, scans, 1000]))
    bench.remove(store)
    return result["items_per_s"]


def checkins(bench):
    """Durable check-ins through HTTP against the limit of the store, and what grouping gains: the
    check-ins of 1,000 connections have both beside them."""
    scans = bench.sizes.scans
    # A thousand scans that wait for a commit each are late by design: they may be.
    one_by_one = {"TURNOUT_STORE_GROUP_MAX": "1", "TURNOUT_STORE_DEADLINE": "10m"}
    alone = []
    for connections in (64, 1000):
        latencies = []

        def measure():
            if connections == 1000:
                alone.append(scan_rate(bench, 1000, bench.sizes.scans_alone,
                                       one_by_one)["items_per_s"])
            result = scan_rate(bench, connections, scans)
            latencies.append(result["p99_us"] / 1000)
            return result["items_per_s"], direct_rate(bench, scans)

        pairs = bench.rounds(measure)
        bench.table.add_pairs(f"check-ins, {connections} connections", "1/s", pairs,
                              "SQLite directly, 1000 a commit", (MORE, 0.4))
        bench.table.add_values(f"check-in p99, {connections} connections", "ms", latencies)
    bench.table.add_pairs("check-ins, 1000 connections", "1/s",
                          [(ours, one) for (ours, _), one in zip(pairs, alone)],
                          "a commit per scan", (MORE, 10))


# Open connections ------------------------------------------------------------------------------

def connections(bench):
    """Ten thousand open connections, 64 of them asking at any moment, each in its turn."""
    count = bench.sizes.connections
    server = bench.serve(bench.demo_copy())
    result = drive(bench.drive, "get", server.port, connections=count, active=64,
                   requests=bench.sizes.idle_requests, warmup=count, path="/v1/events/demo")
    memory = server.memory_mib("VmHWM")
    server.stop()
    bench.table.add_values(f"memory with {count} connections", "MiB", [memory], (LESS, 150))
    p99_ms = result["p99_us"] / 1000
    bench.table.add_values(f"GET an event p99, {count} connections", "ms", [p99_ms])
    bench.table.add_values(f"GET an event, {count} connections", "1/s", [result["rps"]])


# A large crowd ---------------------------------------------------------------------------------

def write_people(path, count):
    with open(path, "w", encoding="utf-8") as file:
        file.write("token,name,email\n")
        for number in range(1, count + 1):
            file.write(f"demo-{number:06d},Name {number} Family{number % 5000},"
                       f"person{number}@mail{number % 100}.example\n")


def event_without_people(bench):
    """A store with an event `demo`, the gates of the demo and nobody in it."""
    store = bench.path("crowd.db")
    server = bench.serve(store)
    machine.ask(server.port, "POST", "/v1/events", {"code": "demo", "name": "Crowd"})
    for gate in range(1, GATES + 1):
        code = f"g{gate:02d}"
        machine.ask(server.port, "POST", "/v1/events/demo/gates",
                    {"code": code, "name": code})
    server.stop()
    return store


def import_people(bench, count):
    """Rows a second and highest memory of the import command; the store it filled."""
    store, table = event_without_people(bench), bench.path("people.csv")
    write_people(table, count)
    output, seconds, memory_kib = machine.run_measured(
        [bench.turnout, "import", "participants", "--event", "demo", "--store", f"sqlite:{store}",
         "--json", table])
    table.unlink()
    answer = json.loads(output)
    if answer["created"] != count or answer["rejected"]:
        raise Failed(f"{count} rows were imported as {output[:500]}")
    return store, count / seconds, memory_kib / 1024


def crowd(bench):
    """A store with the large crowd and no scans, made once."""
    if bench._crowd is None:
        with bench.times.preparing():
            bench._crowd = import_people(bench, bench.sizes.people)
    return bench._crowd


def import_rate(bench):
    """The import command over a large file, and whether its memory grows with the file."""
    people = bench.sizes.people
    part_store, _, part_memory = import_people(bench, people // 4)
    bench.remove(part_store)
    _, rate, memory = crowd(bench)
    bench.table.add_values(f"import of {people} participants", "1/s", [rate])
    bench.table.add_pairs(f"memory for {people} participants", "MiB", [(memory, part_memory)],
                          "a quarter of them", (LESS, 1.25))


def batch(bench):
    """A large queue of scans, uploaded by four scanners, and whether memory grows with it."""
    people, lines = bench.sizes.people, 1000
    store = bench.path("batch.db")
    shutil.copyfile(crowd(bench)[0], store)
    server = bench.serve(store)
    half = people // lines // 2

    def upload(first):
        result = drive(bench.drive, "batch", server.port, connections=4, requests=half,
                       scans=lines, people=people, gates=GATES, first=first * lines)
        return result["items_per_s"], server.memory_mib("VmHWM")

    first_rate, half_memory = upload(0)
    second_rate, memory = upload(half)
    stats = demo_stats(server)
    server.stop()
    bench.remove(store)
    if stats["inside"] != people or stats["scans"] != people:
        raise Failed(f"{people} scans were uploaded, the store counts {stats}")
    bench.table.add_values(f"batch check-in of {people} scans", "1/s", [first_rate, second_rate])
    bench.table.add_pairs(f"memory after {people} scans", "MiB", [(memory, half_memory)],
                          "half of them", (LESS, 1.25))


def start(bench):
    """From starting the process to its ready line, with the large crowd in the store."""
    store, times = crowd(bench)[0], []
    for _ in range(bench.sizes.starts):
        server = bench.serve(store)
        times.append(server.start_s)
        server.stop()
    bench.table.add_values(f"start with {bench.sizes.people} participants", "s", times, (LESS, 1))


SCENARIOS = {"cpu": cpu, "checkins": checkins, "connections": connections, "import": import_rate,
             "batch": batch, "start": start}
