# SPDX-License-Identifier: Apache-2.0
"""A quarter ends while a door is open: a node whose wall clock stands just before midnight, years
ahead of every partition that was made, takes scans until it is past.

libfaketime moves the clock, for the node alone; the server keeps its own.
"""

import collections
import glob
import sys

import pytest

import rig

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
from postgres_pair import DATABASE  # noqa: E402

START = "2031-03-31 23:59:56"
MIDNIGHT = "2031-04-01T00:00:00.000Z"
BEFORE, AFTER = "attendance_records_2031_q1", "attendance_records_2031_q2"
PEOPLE = 20000
PAST_MIDNIGHT = 200  # scans that are wanted of the new quarter


def moved_clock():
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    assert library, "no libfaketime: tools/setup test"
    return {"LD_PRELOAD": library[0], "FAKETIME": f"@{START}", "TZ": "UTC",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


@pytest.fixture(name="node")
def _node(pair, tmp_path):
    node = rig.Server(tmp_path, store=pair.url(), env={**pair.environment(), **moved_clock()})
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


def test_scans_across_the_end_of_a_quarter_land_in_partitions_that_nobody_had_made(pair, node):
    assert not {BEFORE, AFTER} & set(leaves(pair))
    with node.client() as client:
        venue = rig.Venue(client, gates=("g1",))
        admitted = collections.OrderedDict()  # by record: its time
        past = 0
        for token in venue.crowd(PEOPLE):
            record = venue.admitted(token, nonce=f"nonce-{token}")
            admitted[record["record_id"]] = record["scanned_at"]
            past += record["scanned_at"] >= MIDNIGHT
            if past == PAST_MIDNIGHT:
                break
        listed = {item["record_id"]: item["scanned_at"] for item in venue.attendance()}
        venue.stats_become(admitted=len(admitted))
    old = [record for record, when in admitted.items() if when < MIDNIGHT]
    new = [record for record, when in admitted.items() if when >= MIDNIGHT]
    assert old and len(new) == PAST_MIDNIGHT
    assert listed == admitted
    assert {BEFORE, AFTER} <= set(leaves(pair))
    assert records_of(pair, BEFORE) == sorted(old, key=int)
    assert records_of(pair, AFTER) == sorted(new, key=int)
