# SPDX-License-Identifier: Apache-2.0
"""A fill against an invalidation, from outside: what is read while it is being written must not
stay in the cache as it was before.

A get that missed reads the store; before its answer lands in the cache, a write commits and
invalidates; then it lands. Without the generations that refuse it, the old value would be answered
until somebody writes again. Writers write thrice in a row, readers look at what is being written,
and then it is left alone for two seconds, long enough to be called stale.
"""

import witness


class Race(witness.Load):
    PEOPLE = 60
    HOT = 0.9
    LOOKS = ["person", "token"]


def test_no_fill_overtakes_an_invalidation(make_server):
    node = make_server(env={"TURNOUT_SERVER_LOOPS": "4"})  # who writes is seldom who reads
    load = Race([node]).start(readers_per_node=6, doors=0)
    try:
        load.look(12)
    finally:
        load.stop()
    found = load.found
    assert not found.failed + found.wrong + found.stale, \
        (load.seed, found.failed[:3], found.wrong[:3], found.stale[:3])
    assert found.done[("write", "person")] > 100 and found.done[("read", 0, "person")] > 100
