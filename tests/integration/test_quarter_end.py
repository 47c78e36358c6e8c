# SPDX-License-Identifier: Apache-2.0
"""A quarter ends while a door is open: a node whose wall clock stands just before midnight, years
ahead of every partition that was made, takes scans until it is past.

libfaketime moves the clock, for the node alone; the server keeps its own. The clock is a file: it
stands a minute before midnight for as long as that takes, and is then put a minute behind it.
"""

import datetime
import glob
import sys
import time

import pytest

import rig

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
from postgres_pair import DATABASE  # noqa: E402

MIDNIGHT_S = datetime.datetime(2031, 4, 1, tzinfo=datetime.timezone.utc).timestamp()
MIDNIGHT = "2031-04-01T00:00:00.000Z"
BEFORE, AFTER = "attendance_records_2031_q1", "attendance_records_2031_q2"
PEOPLE = 20000
EACH = 200  # scans that are wanted of each quarter


class Clock:
    """Wall time of whoever runs with `environment`, as an offset in a file."""

    def __init__(self, folder):
        library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
        assert library, "no libfaketime: tools/setup test"
        self.file = folder / "clock"
        self.environment = {"LD_PRELOAD": library[0], "FAKETIME_TIMESTAMP_FILE": str(self.file),
                            "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                            "DONT_FAKE_MONOTONIC": "1"}

    def put(self, seconds):
        """The file is replaced at once: nobody reads half of it."""
        new = self.file.with_suffix(".new")
        new.write_text(f"+{int(seconds - time.time())}\n")
        new.rename(self.file)


@pytest.fixture(name="clock")
def _clock(tmp_path):
    clock = Clock(tmp_path)
    clock.put(MIDNIGHT_S - 60)
    return clock


@pytest.fixture(name="node")
def _node(pair, clock, tmp_path):
    node = rig.Server(tmp_path, store=pair.url(),
                      env={**pair.environment(), **clock.environment})
    try:
        yield node.start()
        node.stop()
    finally:
        node.kill()


def rows(pair, text):
    return pair.primary.sql(text, DATABASE).split()


def leaves(pair):
    return rows(pair, "SELECT relid::regclass FROM pg_partition_tree('attendance_records')"
                      " WHERE isleaf")


def records_of(pair, leaf):
    return rows(pair, f"SELECT id FROM {leaf} ORDER BY id")


def scan_until(venue, tokens, admitted, wanted):
    """Admits one person after another, until EACH of them came at a time that is `wanted`."""
    count = 0
    while count < EACH:
        token = next(tokens)
        record = venue.admitted(token, nonce=f"nonce-{token}")
        admitted[record["record_id"]] = record["scanned_at"]
        count += wanted(record["scanned_at"])


def test_scans_across_the_end_of_a_quarter_land_in_partitions_that_nobody_had_made(pair, clock,
                                                                                   node):
    assert not {BEFORE, AFTER} & set(leaves(pair))
    with node.client() as client:
        venue = rig.Venue(client, gates=("g1",))
        tokens = iter(venue.crowd(PEOPLE))
        admitted = {}  # by record: its time
        scan_until(venue, tokens, admitted, lambda when: when < MIDNIGHT)
        clock.put(MIDNIGHT_S + 60)
        scan_until(venue, tokens, admitted, lambda when: when >= MIDNIGHT)
        listed = {item["record_id"]: item["scanned_at"] for item in venue.attendance()}
        venue.stats_become(admitted=len(admitted))
    assert listed == admitted
    assert {BEFORE, AFTER} <= set(leaves(pair))
    for leaf, wanted in ((BEFORE, lambda when: when < MIDNIGHT),
                         (AFTER, lambda when: when >= MIDNIGHT)):
        ids = [record for record, when in admitted.items() if wanted(when)]
        assert len(ids) >= EACH and records_of(pair, leaf) == sorted(ids, key=int)
