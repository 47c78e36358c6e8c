# SPDX-License-Identifier: Apache-2.0
"""Reads that may lag, on a real standby: it answers while it is fresh, and never when it is not."""

import signal
import sys
import time

import pytest

import rig

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import processes  # noqa: E402
from postgres_pair import DATABASE  # noqa: E402

# Histories that a server was asked for by nodes.
CALLS = ("SELECT coalesce(sum(calls), 0) FROM pg_stat_statements"
         " WHERE query LIKE 'SELECT r.id%FROM attendance_records r%'")
BOUND_S = 1.0  # what the product promises


@pytest.fixture
def node(pair, tmp_path):
    made = rig.Server(tmp_path, store=pair.url(), env=pair.environment())
    try:
        yield made.start()
        made.stop()
    finally:
        made.kill()


@pytest.fixture
def venue(node):
    with node.client() as client:
        yield rig.Venue(client, reentry="always")


def calls(server):
    return int(server.sql(CALLS, DATABASE))


def history(venue):
    return rig.ok(venue.client.get(f"{venue.path}/attendance?limit=1000"))["items"]


def until_standby_answers(pair, venue, seconds=60):
    def answered():
        before = calls(pair.standby)
        history(venue)
        return calls(pair.standby) > before
    processes.until(answered, seconds)


def until_primary_answers(pair, venue, seconds=60):
    def answered():
        before = calls(pair.primary)
        history(venue)
        return calls(pair.primary) > before
    processes.until(answered, seconds)


def test_histories_are_read_from_the_standby_also_while_nobody_writes(pair, venue):
    venue.person("a")
    venue.admitted("a")
    until_standby_answers(pair, venue)
    primary, standby = calls(pair.primary), calls(pair.standby)
    reads, end = 0, time.monotonic() + 3 * BOUND_S  # through several limits of age
    while time.monotonic() < end or reads < 100:
        assert len(history(venue)) == 1
        reads += 1
    # An idle primary does not make the standby look late. Only what the server itself writes (a
    # checkpoint, a vacuum) can, for a moment.
    assert calls(pair.standby) - standby > reads / 2
    assert calls(pair.primary) - primary + calls(pair.standby) - standby >= reads
    text = venue.client.get(f"{venue.path}/attendance", Accept="text/csv")
    assert text.status == 200 and len(text.body.splitlines()) == 2


def test_a_standby_that_stands_still_is_passed_over(pair, venue):
    """With replaying paused, what is acknowledged is in every history that begins a second on."""
    venue.person("a")
    until_standby_answers(pair, venue)
    pair.standby.sql("SELECT pg_wal_replay_pause()")
    try:
        processes.until(lambda: pair.standby.sql("SELECT pg_get_wal_replay_pause_state()")
                        == "paused")
        for number in range(1, 6):
            venue.admitted("a")
            acknowledged = time.monotonic()
            judged = False
            while not judged:
                begun = time.monotonic()
                seen = len(history(venue))
                judged = begun - acknowledged > BOUND_S
                assert seen == number or (seen == number - 1 and not judged)
        until_primary_answers(pair, venue, 5)
    finally:
        pair.standby.sql("SELECT pg_wal_replay_resume()")
    until_standby_answers(pair, venue)
    assert len(history(venue)) == 5


def lag_suggested(venue):
    history(venue)
    items = rig.ok(venue.client.get("/v1/performance/suggestions"))["items"]
    return [one for one in items if one["type"] == "replica_lag"]


def test_a_standby_that_is_behind_is_a_suggestion_and_one_that_keeps_up_is_none(pair, venue):
    venue.person("a")
    venue.admitted("a")
    until_standby_answers(pair, venue)
    for _ in range(30):
        history(venue)
    processes.until(lambda: lag_suggested(venue) == [], 60)  # most are answered by the standby
    pair.standby.sql("SELECT pg_wal_replay_pause()")
    try:
        processes.until(lambda: pair.standby.sql("SELECT pg_get_wal_replay_pause_state()")
                        == "paused")
        venue.admitted("a")
        processes.until(lambda: lag_suggested(venue), 60)
        [one] = lag_suggested(venue)
        evidence = one["evidence"]
        assert evidence["limit_ms"] == 500 and evidence["behind_ms"] >= 500
        assert evidence["late"] >= 4 and evidence["late_percent"] > 10
        text = venue.client.get("/metrics").body.decode()
        assert 'turnout_store_replica_reads_total{outcome="late"}' in text
    finally:
        pair.standby.sql("SELECT pg_wal_replay_resume()")
    until_standby_answers(pair, venue)


def test_a_new_event_is_known_at_once_though_the_standby_does_not_know_it_yet(pair, node, venue):
    until_standby_answers(pair, venue)
    for _ in range(20):
        fresh = rig.Venue(venue.client)
        assert history(fresh) == []


def test_a_standby_that_is_cut_off_is_not_believed_though_nothing_is_written(pair, venue):
    venue.person("a")
    venue.admitted("a")
    until_standby_answers(pair, venue)
    pair.standby.configure()  # follows nobody
    pair.standby.reload()
    try:
        processes.until(lambda: pair.standby.sql("SELECT count(*) FROM pg_stat_wal_receiver")
                        == "0")
        until_primary_answers(pair, venue, 10)

        def nobody_asks_it():
            before = calls(pair.standby)
            for _ in range(50):
                assert len(history(venue)) == 1
            return calls(pair.standby) == before

        # Each reader may believe for half a second what it measured before the cut.
        processes.until(nobody_asks_it, 10)
    finally:
        pair.standby.configure(primary=pair.primary)
        pair.standby.reload()
    until_standby_answers(pair, venue)


def test_a_standby_that_is_gone_or_frozen_costs_no_answer(pair, venue):
    venue.person("a")
    venue.admitted("a")
    until_standby_answers(pair, venue)
    pids = [pair.standby.process.pid, *processes.children(pair.standby.process.pid)]
    pair.primary.configure()  # commits wait for nobody meanwhile
    pair.primary.reload()
    try:
        processes.signal_all(pids, signal.SIGSTOP)
        for _ in range(20):
            assert len(history(venue)) == 1
    finally:
        processes.signal_all(pids, signal.SIGCONT)
    until_standby_answers(pair, venue)
    pair.standby.kill()
    for _ in range(20):
        assert len(history(venue)) == 1
    pair.standby.start()
    processes.until(pair.streams, 30)
    pair.be_synchronous()
    until_standby_answers(pair, venue, 90)


def test_a_limit_of_zero_leaves_the_standby_alone(pair, tmp_path):
    made = rig.Server(tmp_path, store=pair.url(),
                      env={**pair.environment(), "TURNOUT_STORE_REPLICA_LAG": "0s"})
    try:
        with made.start().client() as client:
            venue = rig.Venue(client)
            standby = calls(pair.standby)
            for _ in range(50):
                assert history(venue) == []
            assert calls(pair.standby) == standby
        made.stop()
    finally:
        made.kill()


def test_commands_find_the_primary_and_look_at_a_standby_that_is_alone(pair):
    """After a failover the first server of the URL is the one that refuses to change anything."""
    here = [f"127.0.0.1:{server.port}" for server in (pair.standby, pair.primary)]

    def command(*words, hosts):
        return rig.run("db", *words, "--store", f"postgres://turnout@{','.join(hosts)}/{DATABASE}",
                       env=pair.environment())

    pair.primary.sql("DROP INDEX idx_participants_event", DATABASE)
    there = "SELECT to_regclass('idx_participants_event')"
    processes.until(lambda: not pair.standby.sql(there, DATABASE))
    refused = command("indexes", hosts=here[:1])
    assert refused.returncode == 1 and "read-only" in refused.stdout, refused
    for words in ("migrate",), ("indexes",), ("maintain",):
        done = command(*words, hosts=here)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    assert pair.primary.sql(there, DATABASE)
    looked = command("analyze", hosts=here[:1])
    assert looked.returncode in (0, 1) and looked.stdout and not looked.stderr, looked
