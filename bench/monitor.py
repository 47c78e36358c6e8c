# SPDX-License-Identifier: Apache-2.0
"""The monitor: what recording costs, how true its quantiles are, and what all of it takes away."""

import json
import pathlib
import statistics
import subprocess

import machine
from machine import Failed, Turnout, ask, drive
from table import LESS, MORE

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEOPLE, GATES = 50000, 40
SCAN = "POST /v1/events/{event}/checkins"


def cost(bench):
    """A value, a request and a tick; quantiles against an exact sort."""
    program = bench.build / "bench" / "bench_monitor_cost"
    count = 200_000 if bench.quick else 5_000_000
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


def overhead(bench):
    """Throughput with all measuring, against a build without."""
    done = subprocess.run([ROOT / "tools" / "build", "unmeasured", "turnout"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"tools/build unmeasured: {done.stderr[-2000:]}")
    without = ROOT / "build-unmeasured" / "turnout"

    def measure():
        return (scans(bench, bench.turnout)[0]["items_per_s"],
                scans(bench, without)[0]["items_per_s"])

    pairs = bench.rounds(measure)
    bench.table.add_pairs("check-ins with all measuring on", "1/s", pairs,
                          "the same, measuring compiled out", (MORE, 0.98))
    bench.table.add_values("what measuring takes away", "%", [
        100 * (1 - statistics.median(ours for ours, _ in pairs) /
               statistics.median(theirs for _, theirs in pairs))])


def dashboard(bench):
    """The dashboard in a browser that has nothing of it yet, on loopback."""
    modules = ROOT / "web" / "node_modules" / "playwright-core"
    if not modules.exists():
        raise Failed(f"no {modules}: tools/setup web")
    rounds = 3 if bench.quick else 10
    seen = json.loads(machine.run(["node", ROOT / "bench" / "first_paint.mjs", rounds],
                                  env={"TURNOUT_BIN": str(bench.turnout)}))
    bench.table.add_values("dashboard: first paint", "ms", [one["paint_ms"] for one in seen],
                           (LESS, 1000))
    bench.table.add_values("dashboard: until its figures", "ms",
                           [one["figures_ms"] for one in seen])
    bench.table.add_values("dashboard: all its files, compressed", "KB",
                           [one["bytes"] / 1000 for one in seen], (LESS, 150))


SCENARIOS = {"monitor_cost": cost, "monitor_p99": p99, "monitor_overhead": overhead,
             "monitor_dashboard": dashboard}
