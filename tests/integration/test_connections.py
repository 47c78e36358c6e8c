# SPDX-License-Identifier: Apache-2.0
"""How a node comes back to a PostgreSQL that was away: a few connections at a time, however many it
will need."""

import sys
import time

import pytest

import rig

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import processes  # noqa: E402
from postgres_pair import DATABASE  # noqa: E402
from tcp_proxy import Proxy  # noqa: E402

WRITERS, READERS, LOOPS = 4, 16, 2
DOORS = 2            # the writers', and that of readers and loops: one thread connects at a time
# The shortest waits of a door, in seconds: half of 0.1 doubling to 2, the other half is random.
WAITS = [0.05, 0.1, 0.2, 0.4, 0.8]
WAIT_MOST = 1.0
LEASE = 1            # the session by which it may lead
OTHERS = 2           # sessions that are none of these: the node looks after its database
TRIES = 2            # connections of one attempt: a reader without a primary asks for any server


def most_attempts(seconds):
    """How often two doors can have let somebody try within this time."""
    attempts, waited = 1, 0.0
    for wait in [*WAITS, *[WAIT_MOST] * int(seconds / WAIT_MOST + 1)]:
        waited += wait
        attempts += waited <= seconds
    return DOORS * TRIES * attempts + OTHERS


@pytest.fixture
def proxy(pair):
    made = Proxy(("127.0.0.1", pair.primary.port))
    yield made
    made.close()


@pytest.fixture
def node(pair, proxy, tmp_path):
    environment = {**pair.environment(), "TURNOUT_STORE_WRITERS": str(WRITERS),
                   "TURNOUT_STORE_READERS": str(READERS), "TURNOUT_SERVER_LOOPS": str(LOOPS)}
    made = rig.Server(tmp_path, store=f"postgres://turnout@127.0.0.1:{proxy.port}/{DATABASE}",
                      env=environment)
    try:
        yield made.start()
        made.stop()
    finally:
        made.kill()


def is_ready(client):
    return client.get("/readyz").status == 200


def sessions(pair):
    return int(pair.primary.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'turnout'"
                                " AND backend_type = 'client backend'"))


def is_whole_again(client, pair):
    """Threads come back by themselves, a loop's own session with the next read that needs it."""
    least = WRITERS + READERS
    return is_ready(client) and least <= sessions(pair) <= least + LOOPS + LEASE


def test_a_server_that_refuses_is_not_stormed(pair, proxy, node):
    with node.client() as client:
        assert is_ready(client) and proxy.accepted >= WRITERS + READERS
        before, began = proxy.accepted, time.monotonic()
        proxy.become("refuse")
        processes.until(lambda: not is_ready(client))
        processes.until(lambda: proxy.accepted - before >= 8, 60)
        attempts, seconds = proxy.accepted - before, time.monotonic() - began
        # What came between the last look at the count and at the clock only lowers the bound.
        assert attempts <= most_attempts(seconds), (attempts, seconds)
        proxy.become("pass")
        processes.until(lambda: is_whole_again(client, pair), 60)


def test_a_server_that_is_slow_to_answer_has_one_connection_a_door_to_answer(pair, proxy, node):
    with node.client() as client:
        before = proxy.accepted
        proxy.become("silent")
        # Each waits for seconds until it gives up: threads without a door would all be in by then.
        processes.until(lambda: proxy.accepted - before >= 6, 120)
        # One a door, and at the proxy perhaps still the one that it gave up before.
        assert 1 <= proxy.silent_most <= DOORS * TRIES + OTHERS < WRITERS + READERS
        proxy.become("pass")
        processes.until(lambda: is_whole_again(client, pair), 60)


def test_ending_every_session_costs_no_scan_and_one_new_session_each(pair, proxy, node):
    with node.client() as client:
        venue = rig.Venue(client, reentry="always")
        venue.person("a")
        for number in range(5):
            before = proxy.accepted
            pair.primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                             " usename = 'turnout' AND backend_type = 'client backend'")
            answer = venue.try_scan("a", nonce=f"n{number}")
            assert answer.status in (200, 503) and (answer.status == 200
                                                    or answer.headers["retry-after"])
            processes.until(lambda: is_whole_again(client, pair), 60)
            assert proxy.accepted - before <= TRIES * (WRITERS + READERS + LOOPS + LEASE) + OTHERS
            assert rig.ok(venue.try_scan("a", nonce=f"n{number}"))["verdict"] == "admitted"
        assert venue.stats()["scans"] == 5
