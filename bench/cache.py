# SPDX-License-Identifier: Apache-2.0
"""The cache: how fast a hit is, how many there are, and what Redis adds. Adds rows and a sheet."""

import contextlib
import json
import pathlib
import re
import statistics
import subprocess
import sys

import machine
from machine import Failed
from table import LESS, MORE

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))
import redis_cluster  # noqa: E402


class Sizes:
    def __init__(self, quick):
        self.gets = 300_000 if quick else 2_000_000
        self.counted_gets = 100_000           # under callgrind: exact, however few
        self.requests = 100_000 if quick else 400_000
        self.redis_gets = 50_000 if quick else 300_000
        self.storm_gets = 10_000
        self.sweep_keys = 200_000 if quick else 1_000_000
        self.sweeps = 1


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
    seen = []

    def measure():
        output = machine.run([program(bench, "l1_speed"), sizes.gets, "s3fifo", 1000])
        item = json.loads(output)["items"][0]
        seen.append(item)
        return item["l1"]["one_thread_ns"], item["limit_bare_table"]["one_thread_ns"]

    table = bench.table
    table.add_pairs("L1 hit, one thread", "ns", bench.rounds(measure),
                    "a bare table: hash, compare, copy")
    # Ten million a second at 3 GHz.
    table.add_values("L1 hit, one thread", "cycles",
                     [item["l1"]["one_thread_ns"] * item["ghz"] for item in seen], (LESS, 300))
    table.add_values("L1 hit", "instructions", [instructions(bench)])
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

def l2(bench):
    """Pipelined gets through the Redis client against plain hiredis, on the same primary."""
    with redis() as cluster:
        output = machine.run([program(bench, "l2_speed"), cluster.seeds,
                              Sizes(bench.quick).redis_gets, bench.sizes.rounds])
    rounds = json.loads(output)["rounds"]
    bench.table.add_pairs("L2 gets, 32 under way", "1/s",
                          [(one["client_per_s"], one["plain_per_s"]) for one in rounds],
                          "plain hiredis", (MORE, 0.6))
    bench.table.add_pairs("CPU for an L2 get, 32 under way", "µs",
                          [(one["client_cpu_us"], one["plain_cpu_us"]) for one in rounds],
                          "plain hiredis")


# Three nodes ------------------------------------------------------------------------------------

def storm(bench):
    """Ten thousand gets of one key that nobody has, at once, through three nodes."""
    gets = Sizes(bench.quick).storm_gets
    with redis() as cluster:
        output = machine.run([program(bench, "cache_nodes"), "storm", cluster.seeds, gets,
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
        with redis() as cluster:
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


COUNT_KEYS = "return #redis.call('KEYS','turnout:k:participant:sweep:*')"

SCENARIOS = {"l1": l1, "policies": policies, "l2": l2, "storm": storm, "sweep": sweep}
