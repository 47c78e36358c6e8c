# SPDX-License-Identifier: Apache-2.0
"""An hour of everything on one node: what grows shows. Not part of a run of all sets."""

import statistics

import crowds
from table import LESS, rounded

MINUTES = 10  # at the beginning, and at the end
MINUTE_S = 60


def watched(sample):
    [process] = sample["watched"]
    return process


def soak(bench):
    """Memory and descriptors after the first ten minutes against the highest of the last ten; p99
    of scans in each minute, the median of the first ten minutes against that of the last."""
    [stage, _] = crowds.stages(bench)
    books = crowds.Books(bench)
    report = crowds.play(bench, stage, "soak", ("--seconds", 2 * MINUTES))
    books.add("soak", stage, report)
    samples = [one for one in report["samples"] if one["at_s"] <= report["seconds"]]
    early, late = samples[:MINUTES], samples[-MINUTES:]
    for name, key, limit in (("memory", "rss_kib", 1.05), ("descriptors", "descriptors", 1.01)):
        bench.table.add_values(
            f"{name} of the last ten minutes, at most, against those after ten minutes", "ratio",
            [max(watched(one)[key] for one in late) / watched(early[-1])[key]], (LESS, limit))
    p99 = [statistics.median(one["p99_ms"] for one in part) for part in (early, late)]
    bench.table.add_values("p99 of scans, the last ten minutes against the first", "ratio",
                           [p99[1] / p99[0]], (LESS, 1.2))
    bench.table.add_values("p99 of scans in a minute", "ms", [one["p99_ms"] for one in samples])
    bench.table.add_sheet("The hour", [
        "after s", "scans", "p50 ms", "p99 ms", "longest ms", "memory MB", "descriptors"], [
            [rounded(one["at_s"]), one["done"], one["p50_ms"], one["p99_ms"], one["max_ms"],
             rounded(watched(one)["rss_kib"] / 1024), watched(one)["descriptors"]]
            for one in samples])
    books.close("the hour")


SCENARIOS = {"soak": soak}
