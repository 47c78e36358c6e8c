# SPDX-License-Identifier: Apache-2.0
"""The monitor: what recording costs, how true its quantiles are, and what all of it takes away."""

import itertools
import json
import pathlib
import re
import subprocess
import time

import machine
from machine import Failed, Turnout, ask, drive
from table import LESS

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEOPLE, GATES = 50000, 40
SCAN = "POST /v1/events/{event}/checkins"


def cost(bench):
    """A value, a request and a tick; quantiles against an exact sort."""
    program = bench.build / "bench" / "bench_monitor_cost"
    count = 200_000 if bench.quick else 2_000_000
    runs = [json.loads(machine.run([program, count])) for _ in range(bench.sizes.rounds)]

    def values(name):
        return [run[name] for run in runs]

    bench.table.add_values("recording a value, one thread", "ns", values("value_ns"), (LESS, 10))
    bench.table.add_values("recording a value, two threads", "ns",
                           values("value_of_two_threads_ns"), (LESS, 10))
    bench.table.add_values("a request with an operation", "ns",
                           values("request_with_operation_ns"))
    bench.table.add_values("the time stamp that is taken anyway", "ns", values("time_stamp_ns"))
    bench.table.add_values("the tick of a second, 8 threads, 32 routes", "ms",
                           [us / 1000 for us in values("collection_us")], (LESS, 1))
    for name in runs[0]["quantile_error_percent"]:
        bench.table.add_values(f"quantile error, {name}", "%",
                               [run["quantile_error_percent"][name] for run in runs], (LESS, 1))


def scans(bench, program):
    """Check-ins on a fresh store; (what the load driver saw, /v1/performance)."""
    store = bench.demo_copy()
    server = Turnout(program, store, bench.path("turnout.log"))
    seen = drive(bench.drive, "scan", server.port, connections=64, requests=bench.sizes.scans,
                 people=PEOPLE, gates=GATES)
    document = json.loads(ask(server.port, "GET", "/v1/performance"))
    server.stop()
    bench.remove(store)
    return seen, document


def p99(bench):
    """The p99 that the dashboard shows against the load driver's, of the very same requests, less
    the transport: the mean of what the driver waits beyond the node's own time. Means of the same
    requests can be subtracted, quantiles cannot."""
    transports = []

    def measure():
        seen, document = scans(bench, bench.turnout)
        [route] = [one for one in document["api"]["endpoints"] if one["route"] == SCAN]
        if route["count"] != bench.sizes.scans:
            raise Failed(f"{bench.sizes.scans} scans were sent, the monitor counts {route}")
        transports.append(seen["mean_us"] / 1000 - route["avg_ms"])
        return route["p99_ms"], seen["p99_us"] / 1000 - transports[-1]

    pairs = bench.rounds(measure)
    bench.table.add_pairs("check-in p99 on the dashboard", "ms", pairs,
                          "the load driver's, less the mean transport")
    bench.table.add_values("how far the two are apart", "%",
                           [100 * abs(ours / theirs - 1) for ours, theirs in pairs], (LESS, 2))
    bench.table.add_values("transport, on average", "ms", transports)


def unmeasured(bench):
    """The program without its measuring."""
    with bench.times.preparing():
        done = subprocess.run([ROOT / "tools" / "build", "unmeasured", "turnout"],
                              capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"tools/build unmeasured: {done.stderr[-2000:]}")
    return ROOT / "build-unmeasured" / "turnout"


def overhead(bench):
    """All measuring on, against a build without: each round runs both, and the next one the other
    way round. On a machine that others share these ratios spread by far more than 2 %, so none of
    them carries a goal: `profile` does."""
    programs = bench.turnout, unmeasured(bench)
    servers = [Turnout(program, bench.demo_copy(), bench.path("turnout.log"))
               for program in programs]
    seconds, count = 1, 1 if bench.quick else 8
    costs, turns = [], itertools.count()

    def in_turn(measure):
        pair = [0, 0]
        first = next(turns) % 2
        for one in (first, 1 - first):
            pair[one] = measure(one)
        return tuple(pair)

    def read(one):
        before = servers[one].cpu_s()
        per_request = machine.wrk(servers[one], "/v1/events/demo", seconds, 64)
        requests = (servers[one].cpu_s() - before) / per_request * 1e6
        costs.append((one, per_request))
        return requests / seconds

    for one in (0, 1):
        read(one)  # warms both
    costs.clear()
    bench.table.add_pairs("reads with all measuring on", "1/s",
                          bench.rounds(lambda: in_turn(read), count),
                          "the same, measuring compiled out")
    on, off = ([cost for one, cost in costs if one == which] for which in (0, 1))
    bench.table.add_pairs("CPU for a read with all measuring on", "µs", list(zip(on, off)),
                          "the same, measuring compiled out")
    for server in servers:
        server.stop()

    rates, scans_a_round = [], bench.sizes.scans // 2

    def scan_cost(one):
        store = bench.demo_copy()
        server = Turnout(programs[one], store, bench.path("turnout.log"))
        before = server.cpu_s()
        seen = drive(bench.drive, "scan", server.port, connections=64, requests=scans_a_round,
                     people=PEOPLE, gates=GATES)
        used = server.cpu_s() - before
        server.stop()
        bench.remove(store)
        rates.append((one, seen["items_per_s"]))
        return used / scans_a_round * 1e6

    bench.table.add_pairs("CPU for a check-in with all measuring on", "µs",
                          bench.rounds(lambda: in_turn(scan_cost), 1 if bench.quick else 4),
                          "the same, measuring compiled out")
    on, off = ([rate for one, rate in rates if one == which] for which in (0, 1))
    bench.table.add_pairs("check-ins with all measuring on", "1/s", list(zip(on, off)),
                          "the same, measuring compiled out")


def functions_of_measuring(bench):
    """What a measured request runs beyond the others: the monitor itself, and reading the clock
    (all of it, though a part is read anyway)."""
    names = machine.run(["nm", "--defined-only", bench.build / "libturnout_monitor.a"])
    found = set(re.findall(r"^[0-9a-f]+ [tT] (\w+)", names, re.M))
    if "cells_end" not in found:
        raise Failed(f"no functions of the monitor in {names[:500]}")
    return found | {"api_store_seen", "loop_now_us", "clock_gettime", "__vdso_clock_gettime",
                    "clock_gettime@@GLIBC_2.17"}


def profile(bench):
    """The share of the processor's time that measuring takes, as samples of a profile: of a read
    from memory, which costs the least there is, so that measuring takes the largest share of it."""
    server = bench.serve(bench.demo_copy())
    names = functions_of_measuring(bench)
    seconds, shares = 2, []  # 8,000 samples
    for _ in range(bench.sizes.rounds):
        data = bench.path("perf.data")
        with subprocess.Popen(
                ["wrk", "-t1", "-c64", f"-d{seconds + 2}s",
                 f"http://127.0.0.1:{server.port}/v1/events/demo"], stdout=subprocess.PIPE,
                text=True) as load:
            time.sleep(1)
            machine.run(["perf", "record", "--quiet", "-e", "cpu-clock", "-F", "4000", "-p",
                         server.pid, "-o", data, "--", "sleep", seconds])
            output = load.communicate()[0]
        if load.returncode != 0 or "Non-2xx" in output:
            raise Failed(f"wrk: {output}")
        report = machine.run(["perf", "report", "-i", data, "--no-children", "--sort", "symbol",
                              "-F", "sample,symbol", "--stdio", "-g", "none"])
        samples = [(int(count), name) for count, name in
                   re.findall(r"^\s*(\d+)\s+\[[.k]\] (\S+)", report, re.M)]
        total = sum(count for count, _ in samples)
        if total < 1000 * seconds:
            raise Failed(f"only {total} samples: {report[:500]}")
        shares.append(100 * sum(count for count, name in samples if name in names) / total)
    server.stop()
    bench.table.add_values("measuring, of the CPU time of a read", "%", shares, (LESS, 2))


def dashboard(bench):
    """The dashboard in a browser that has nothing of it yet, on loopback."""
    modules = ROOT / "web" / "node_modules" / "playwright-core"
    if not modules.exists():
        raise Failed(f"no {modules}: tools/setup web")
    rounds = 2 if bench.quick else 5
    seen = json.loads(machine.run(["node", ROOT / "bench" / "first_paint.mjs", rounds],
                                  env={"TURNOUT_BIN": str(bench.turnout)}))
    bench.table.add_values("dashboard: first paint", "ms", [one["paint_ms"] for one in seen],
                           (LESS, 1000))
    bench.table.add_values("dashboard: until its figures", "ms",
                           [one["figures_ms"] for one in seen])
    bench.table.add_values("dashboard: all its files, compressed", "KB",
                           [one["bytes"] / 1000 for one in seen], (LESS, 150))


SCENARIOS = {"monitor_cost": cost, "monitor_p99": p99, "monitor_overhead": overhead,
             "monitor_profile": profile, "monitor_dashboard": dashboard}
