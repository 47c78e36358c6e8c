# SPDX-License-Identifier: Apache-2.0
"""The cache: how fast a hit is, how many there are, and what Redis adds. Adds rows and a sheet."""

import contextlib
import http.client
import json
import pathlib
import random
import re
import statistics
import subprocess
import sys
import threading
import time

import machine
from machine import Failed, Memcached
from postgres import Postgres
from table import LESS, MORE

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))
import redis_cluster  # noqa: E402


class Sizes:
    def __init__(self, quick):
        self.gets = 300_000 if quick else 1_000_000
        self.counted_gets = 100_000           # under callgrind: exact, however few
        self.requests = 100_000 if quick else 400_000
        self.redis_gets = 50_000 if quick else 200_000
        self.storm_gets = 10_000
        self.sweep_keys = 100_000 if quick else 1_000_000
        self.sweeps = 1
        self.crowd = 1_000 if quick else 3_000
        self.crowd_rounds = 1 if quick else 3


def program(bench, name):
    path = bench.turnout.parent / "bench" / f"bench_{name}"
    if not path.exists():
        raise Failed(f"no {path}: make build")
    return path


@contextlib.contextmanager
def redis():
    """A cluster of six on this machine, without disks."""
    cluster = redis_cluster.Cluster()
    try:
        yield cluster.start()
    finally:
        cluster.stop()


def redis_of(bench):
    """The cluster that the scenarios of a set share, empty."""
    with bench.times.preparing():
        if bench.redis is None:
            bench.redis = bench.endings.enter_context(redis())
        for primary in bench.redis.primaries():
            primary.cli("FLUSHALL")
    return bench.redis


def memcached_speed(bench, server):
    """What memcached does over one connection, 32 gets under way."""
    return json.loads(machine.run([program(bench, "memcached_speed"), server.port,
                                   Sizes(bench.quick).redis_gets]))


# L1 --------------------------------------------------------------------------------------------

def instructions(bench):
    """Of one hit, the caller's loop included; a count does not depend on the machine's mood."""
    gets = Sizes(bench.quick).counted_gets
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=get_many",
               f"--callgrind-out-file={bench.path('callgrind')}",
               str(program(bench, "l1_speed")), "count", str(gets)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        raise Failed(f"callgrind: {done.stderr[-2000:]}")
    return int(found[1]) / gets


def l1(bench):
    """A hit in L1: keys and values of 64 bytes, 1000 entries, s3fifo."""
    sizes = Sizes(bench.quick)
    seen, theirs = [], []
    memcached = Memcached(bench.path("memcached.log"))

    def measure():
        output = machine.run([program(bench, "l1_speed"), sizes.gets, "s3fifo", 1000])
        item = json.loads(output)["items"][0]
        seen.append(item)
        theirs.append(memcached_speed(bench, memcached)["per_s"] / 1e6)
        return item["l1"]["one_thread_ns"], item["limit_bare_table"]["one_thread_ns"]

    table = bench.table
    table.add_pairs("L1 hit, one thread", "ns", bench.rounds(measure),
                    "a bare table: hash, compare, copy")
    memcached.stop()
    table.add_pairs("L1 hits, one thread", "million/s",
                    [(item["l1"]["one_thread_mops"], other) for item, other in zip(seen, theirs)],
                    "memcached, one connection, 32 gets under way")
    # Ten million a second at 3 GHz.
    table.add_values("L1 hit, one thread", "cycles",
                     [item["l1"]["one_thread_ns"] * item["ghz"] for item in seen], (LESS, 300))
    table.add_values("L1 hit", "instructions", [instructions(bench)])
    doors = [(item["tiered_try"]["one_thread_ns"], item["l1"]["one_thread_ns"]) for item in seen]
    table.add_pairs("L1 hit by tiered_try, one thread", "ns", doors, "the hit alone")
    rates = [(item["l1"]["two_threads_mops"], item["l1"]["one_thread_mops"]) for item in seen]
    table.add_pairs("L1 hits, two threads", "million/s", rates, "one thread", (MORE, 1.7))
    locked = [(item["l1"]["two_threads_mops"], item["peer_one_mutex"]["two_threads_mops"])
              for item in seen]
    table.add_pairs("L1 hits, two threads", "million/s", locked, "the same behind one mutex")
    table.add_values("L1 memory beside key and value", "bytes/entry",
                     [item["overhead_bytes_per_entry"] for item in seen], (LESS, 96))


# Hit ratios ------------------------------------------------------------------------------------

SHOWN = ("optimal", "s3fifo", "promote_1", "promote_2", "lru", "sieve", "tinylfu")


def policies(bench):
    """Hit ratios on generated loads, against LRU and the optimum. Deterministic."""
    output = machine.run([program(bench, "cache_policies"), Sizes(bench.quick).requests])
    for size in json.loads(output)["sizes"]:
        entries, traces = size["entries"], size["traces"]
        worst = min(traces, key=lambda trace: trace["s3fifo_minus_lru"])
        bench.table.add_values(
            f"s3fifo above LRU, the worst of {len(traces)} loads ({worst['trace']}), "
            f"{entries} entries", "points", [worst["s3fifo_minus_lru"]], (MORE, -1.5))
        mean = [statistics.mean(trace[name] for trace in traces) for name in ("s3fifo", "optimal")]
        bench.table.add_pairs(f"mean hit ratio of s3fifo, {entries} entries", "%", [tuple(mean)],
                              "the optimum")
        bench.table.add_sheet(f"hits in percent of requests, {entries} entries",
                              ["load", *SHOWN],
                              [[trace["trace"], *(trace[name] for name in SHOWN)]
                               for trace in traces])


# L2 --------------------------------------------------------------------------------------------

# As long as those of l2_speed, prefix and envelope included.
L2_KEYS, L2_KEY_LEN, L2_VALUE_LEN = 1024, 72, 92


def redis_benchmark(cluster, gets):
    """Redis' own load on one primary: gets a second, each a hit."""
    tag = "{redis_benchmark}"
    primary = cluster.owner(int(cluster.nodes[0].cli("CLUSTER", "KEYSLOT", tag)))
    key = tag.ljust(L2_KEY_LEN - 12, ".") + "__rand_int__"  # becomes twelve digits
    load = ["redis-benchmark", "-h", "127.0.0.1", "-p", primary.port, "-c", 1, "-P", 32,
            "-r", L2_KEYS, "--csv"]

    def count(figure):
        return int(re.search(rf"^{figure}:(\d+)", primary.cli("INFO", "stats"), re.M)[1])

    # So many at random that none is left out.
    machine.run([*load, "-n", 40 * L2_KEYS, "SET", key, "v" * L2_VALUE_LEN])
    hits = count("keyspace_hits")
    output = machine.run([*load, "-n", gets, "GET", key])
    if count("keyspace_hits") - hits < gets:
        raise Failed(f"redis-benchmark: {gets} gets were no {gets} hits: {output}")
    return float(output.splitlines()[-1].split('","')[1])


def l2(bench):
    """Pipelined gets through the Redis client against plain hiredis on the same primary,
    redis-benchmark on a primary of the same cluster, and memcached."""
    gets = Sizes(bench.quick).redis_gets
    cluster = redis_of(bench)
    memcached = Memcached(bench.path("memcached.log"))
    rounds = []

    def measure():
        output = machine.run([program(bench, "l2_speed"), cluster.seeds, gets, 1])
        rounds.extend(json.loads(output)["rounds"])
        return (rounds[-1]["client_per_s"], redis_benchmark(cluster, gets),
                memcached_speed(bench, memcached)["per_s"])

    seen = bench.rounds(measure)
    memcached.stop()
    bench.table.add_pairs("L2 gets, 32 under way", "1/s",
                          [(one["client_per_s"], one["plain_per_s"]) for one in rounds],
                          "plain hiredis", (MORE, 0.6))
    for place, peer in ((1, "redis-benchmark, one client, -P 32"),
                        (2, "memcached, one connection, 32 gets under way")):
        bench.table.add_pairs("L2 gets, 32 under way", "1/s",
                              [(one[0], one[place]) for one in seen], peer)
    bench.table.add_pairs("CPU for an L2 get, 32 under way", "µs",
                          [(one["client_cpu_us"], one["plain_cpu_us"]) for one in rounds],
                          "plain hiredis")
    bench.table.add_sheet("The peers", ["program", "version"], machine.versions(
        "redis-server --version", "redis-benchmark --version", "memcached -V"))


# Three nodes ------------------------------------------------------------------------------------

def storm(bench):
    """Ten thousand gets of one key that nobody has, at once, through three nodes."""
    gets = Sizes(bench.quick).storm_gets
    output = machine.run([program(bench, "cache_nodes"), "storm", redis_of(bench).seeds, gets,
                          bench.sizes.rounds])
    rounds = json.loads(output)["rounds"]
    bench.table.add_values(f"most store loads for {gets} simultaneous misses of one key, 3 nodes",
                           "loads", [max(one["loads"] for one in rounds)], (LESS, 1))
    bench.table.add_values("until all of them were answered, the store taking 20 ms", "ms",
                           [one["all_answered_ms"] for one in rounds])


def sweep(bench):
    """A pattern over a million keys of L2, invalidated from one of three nodes."""
    keys = Sizes(bench.quick).sweep_keys
    seen = []
    for _ in range(Sizes(bench.quick).sweeps):
        cluster = redis_of(bench)
        seen.append(json.loads(machine.run(
            [program(bench, "cache_nodes"), "sweep", cluster.seeds, keys])))
        left = sum(int(primary.cli("EVAL", COUNT_KEYS, 0)) for primary in cluster.primaries())
        # What the nodes have read anew since may be there again.
        if left > 100 or seen[-1]["unlinked"] < keys - 100:
            raise Failed(f"{keys} keys were to go: {seen[-1]}, {left} are left")
    name = f"pattern over {keys} keys"
    table = bench.table
    table.add_values(f"{name}: until the last of 3 nodes answers none of them", "ms",
                     [max(one["visible_ms"]) for one in seen], (LESS, 50))
    table.add_values(f"{name}: until L2 is swept", "s", [one["sweep_s"] for one in seen])
    table.add_pairs(f"{name}: worst PING of a primary meanwhile", "ms",
                    [(one["worst_ping_during_ms"], one["worst_ping_before_ms"]) for one in seen],
                    "2 s before it")


# The demo crowd ---------------------------------------------------------------------------------

GATES = 40
EVENT = "/v1/events/demo"
CROWD_THREADS = 8
WARM_TIMEOUT_S = 120
STORE_READS = re.compile(r'^turnout_store_operation_duration_seconds_count\{[^}]*operation="'
                         r'((?:load|list|read)_[a-z_]+)"[^}]*\} (\d+)', re.M)


def arrivals(first, count, chance):
    """What `count` people cause as they come in: (node, method, path, body) in order.

    At the gate the ticket is looked up and scanned, often at two different nodes; the gate's
    display and the organisers' screens look at the event, its gates and its figures all the time;
    one in ten scans again, one in twenty is looked for by name or comes out again.
    """
    for number in range(first, first + count):
        token, gate = f"demo-{number:06d}", f"g{chance.randrange(GATES) + 1:02d}"
        scan = {"token": token, "gate": gate}
        look_up = (chance.randrange(2), "GET", f"{EVENT}/participants?token={token}", None)
        yield look_up
        yield chance.randrange(2), "POST", f"{EVENT}/checkins", scan
        for path in (EVENT, f"{EVENT}/gates", f"{EVENT}/stats"):
            yield chance.randrange(2), "GET", path, None
        if chance.random() < 0.1:
            yield look_up
            yield chance.randrange(2), "POST", f"{EVENT}/checkins", scan
        if chance.random() < 0.05:
            yield chance.randrange(2), "POST", f"{EVENT}/checkins", {**scan, "direction": "exit"}


def visit(ports, first, people):
    """Lets them all come, the first of them behind `first` others; how many requests that were, and
    how many a second."""
    errors, counts = [], []

    def door(number):
        links = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for port in ports]
        share, count = people // CROWD_THREADS, 0
        try:
            for node, method, path, body in arrivals(first + number * share + 1, share,
                                                     random.Random(first + number)):
                text = None if body is None else json.dumps(body)
                links[node].request(method, path, text, {"Content-Type": "application/json"})
                answer = links[node].getresponse()
                shown = answer.read()
                if answer.status != 200:
                    raise Failed(f"{method} {path}: {answer.status} {shown[:300]!r}")
                count += 1
        except BaseException as error:  # told below
            errors.append(error)
        counts.append(count)
    threads = [threading.Thread(target=door, args=(number,)) for number in range(CROWD_THREADS)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise Failed(f"the crowd: {errors[0]!r}")
    return sum(counts), sum(counts) / (time.monotonic() - begun)


def store_reads(ports):
    """Reads that a store worked for, by what the nodes count."""
    return sum(int(count) for port in ports
               for _, count in STORE_READS.findall(machine.ask(port, "GET", "/metrics")))


def await_idle(port):
    deadline = time.monotonic() + WARM_TIMEOUT_S
    while json.loads(machine.ask(port, "GET", "/v1/cache"))["warming"]["state"] != "idle":
        if time.monotonic() > deadline:
            raise Failed(f"still warming after {WARM_TIMEOUT_S} s")
        time.sleep(0.1)


def order(port, what):
    """POST /v1/cache:WHAT, answered with 202, and its end."""
    await_idle(port)
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    link.request("POST", f"/v1/cache:{what}")
    answer = link.getresponse()
    shown = answer.read()
    link.close()
    if answer.status not in (200, 202):
        raise Failed(f"POST /v1/cache:{what}: {answer.status} {shown[:300]!r}")
    await_idle(port)


def warm_up(ports):
    """The critical keys on every node, and then everybody, once: L2 is everybody's."""
    for port in ports:
        order(port, "preload")
    order(ports[0], "warm")


def read_counts(ports):
    """(reads that no store worked for, all of what the cache knows) of all nodes."""
    reads = [json.loads(machine.ask(port, "GET", "/v1/cache"))["reads"] for port in ports]
    hits = sum(one["hits"] for one in reads)
    return hits, hits + sum(one["misses"] for one in reads)


class Doors:
    """Two nodes, warmed if they have a cache."""

    def __init__(self, bench, url, seeds):
        env = {"TURNOUT_REDIS_NODES": seeds} if seeds else {"TURNOUT_CACHE_POLICY": "off"}
        self.has_cache = seeds is not None
        self.nodes = [bench.serve(url, env=env) for _ in range(2)]
        self.ports = [node.port for node in self.nodes]
        if seeds:
            warm_up(self.ports)

    def come(self, first, people):
        """(store reads a request, requests a second, hit rate or None)"""
        hits_before, gets_before = read_counts(self.ports) if self.has_cache else (0, 0)
        before = store_reads(self.ports)
        requests, rate = visit(self.ports, first, people)
        reads = (store_reads(self.ports) - before) / requests
        if reads == 0:
            raise Failed("the store was never read, says /metrics")
        if not self.has_cache:
            return reads, rate, None
        hits, gets = read_counts(self.ports)
        return reads, rate, (hits - hits_before) / (gets - gets_before)

    def stop(self):
        for node in self.nodes:
            node.stop()


def make_event(bench, url, people):
    """The demo event with as many people as come: a node warms a thousand a second, by design."""
    machine.run([bench.turnout, "db", "migrate", "--store", url])
    server = bench.serve(url)
    machine.ask(server.port, "POST", "/v1/events", {"code": "demo", "name": "Demo"})
    for gate in range(1, GATES + 1):
        machine.ask(server.port, "POST", f"{EVENT}/gates", {"code": f"g{gate:02d}"})
    machine.drive(bench.drive, "import", server.port, connections=1, requests=people // 1000)
    server.stop()


def crowd(bench):
    """People who come in through two nodes on PostgreSQL, with the cache and without. Each round
    has other people, of those who were read ahead together."""
    sizes = Sizes(bench.quick)
    people, rounds = sizes.crowd, sizes.crowd_rounds
    with bench.times.preparing():
        database = Postgres(bench.folder, bench.path("postgres.log"))
        database.sql("postgres", "CREATE DATABASE demo")
        make_event(bench, database.url("demo"), people * rounds)
        doors = []
        for name, seeds in (("plain", None), ("cached", redis_of(bench).seeds)):
            database.copy("demo", name)
            doors.append(Doors(bench, database.url(name), seeds))
    pairs, rates, hit_rates = [], [], []
    for number in range(rounds):
        without, cached = (each.come(number * people, people) for each in doors)
        pairs.append((cached[0], without[0]))
        rates.append((cached[1], without[1]))
        hit_rates.append(100 * cached[2])
    for each in doors:
        each.stop()
    database.stop()
    table = bench.table
    table.add_values("demo crowd: hit rate of L1 and L2 after preloading and warming", "%",
                     hit_rates, (MORE, 85))
    table.add_pairs("demo crowd: reads of the store for a request", "reads", pairs,
                    "without a cache")
    table.add_pairs("demo crowd: requests a second, the crowd on the same machine", "1/s", rates,
                    "without a cache")


COUNT_KEYS = "return #redis.call('KEYS','turnout:k:participant:sweep:*')"

SCENARIOS = {"l1": l1, "policies": policies, "l2": l2, "storm": storm, "sweep": sweep,
             "crowd": crowd}
