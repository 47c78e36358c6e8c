# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL fails while a crowd comes in through two nodes: nothing acknowledged is lost, nobody
is admitted twice, what is not decided is a 503 with Retry-After, and it all goes on."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

import rig
from crowd import Crowd

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import processes  # noqa: E402
from postgres_pair import DATABASE  # noqa: E402

RESUME_S = 15  # from the promotion until every node decides again


@contextlib.contextmanager
def two_nodes(pair, tmp_path):
    nodes = []
    try:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            nodes.append(rig.Server(tmp_path / name, store=pair.url(), env=pair.environment()))
            nodes[-1].start()
        yield nodes
        for node in nodes:
            node.stop()
    finally:
        for node in nodes:
            node.kill()


@pytest.fixture
def nodes(pair, tmp_path):
    with two_nodes(pair, tmp_path) as made:
        yield made


def test_the_standby_takes_over_from_a_primary_that_was_killed(pair, nodes):
    with Crowd(nodes) as crowd:
        crowd.wait_more(150)
        pair.primary.kill()
        refused = crowd.statuses[503]
        rig.eventually(lambda: crowd.statuses[503], lambda now: now > refused + 10, 60)
        for node in nodes:
            with node.client() as client:
                answer = client.get("/readyz")
                assert answer.status == 503 and answer.json["reasons"], answer
        pair.promote()
        crowd.wait_more(10, RESUME_S)
        crowd.wait_more(150)
        # The former primary comes back as a standby, under load, and is waited for again.
        pair.rejoin()
        crowd.wait_more(100)
    crowd.check(pair.primary, DATABASE)
    assert pair.is_synchronous()


def test_a_restart_and_a_crash_of_the_primary_are_sat_out(pair, nodes):
    with Crowd(nodes) as crowd:
        crowd.wait_more(100)
        pair.primary.restart()
        crowd.wait_more(100)
        pair.primary.kill()
        pair.primary.start()
        crowd.wait_more(100)
    crowd.check(pair.primary, DATABASE)


def test_ending_every_session_again_and_again_loses_nothing(pair, nodes):
    with Crowd(nodes) as crowd:
        for _ in range(8):
            crowd.wait_more(30)
            pair.primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                             " pid <> pg_backend_pid() AND backend_type = 'client backend'")
        crowd.wait_more(30)
    crowd.check(pair.primary, DATABASE)


def sessions(pair, which):
    return int(pair.primary.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'turnout'"
                                f" AND {which}"))


def freeze_in_transaction(pair, node, event):
    """Stops a node while its writer is inside a transaction that holds the event's lock: the lock
    is withheld until the writer waits for it, the node is stopped, and then the writer gets it."""
    where = f"host=127.0.0.1 port={pair.primary.port} user=postgres dbname={DATABASE}"
    holder = subprocess.Popen(["psql", "-Xq", where], stdin=subprocess.PIPE, text=True,
                              stdout=subprocess.DEVNULL,
                              env={**os.environ, **pair.environment()})
    holder.stdin.write("BEGIN; SELECT FROM event_stats WHERE event_id ="
                       f" (SELECT id FROM events WHERE code = '{event}') FOR UPDATE;\n")
    holder.stdin.flush()
    processes.until(lambda: sessions(pair, "wait_event_type = 'Lock'") > 0)
    os.kill(node.pid, signal.SIGSTOP)
    holder.stdin.close()  # its transaction ends with it
    assert holder.wait(timeout=30) == 0
    processes.until(lambda: sessions(pair, "state = 'idle in transaction'") > 0)


def test_a_node_that_freezes_inside_a_transaction_holds_the_others_up_for_a_while_only(
        pair, nodes):
    with Crowd(nodes[:1]) as alone:
        alone.wait_more(50)
        try:
            freeze_in_transaction(pair, nodes[0], alone.venue.code)
            with nodes[1].client(timeout=20) as client:
                path = f"{alone.venue.path}/checkins"
                scan = {"token": alone.tokens[-1], "gate": "g1", "nonce": "other"}

                def decided():
                    answer = client.post(path, scan)
                    assert answer.status == 200 or (answer.status == 503
                                                    and answer.headers["retry-after"]), answer
                    return answer.status == 200

                processes.until(decided, 60)
                reply = rig.ok(client.post(path, scan))
                assert reply["verdict"] == "admitted"
        finally:
            os.kill(nodes[0].pid, signal.SIGCONT)
        alone.wait_more(50)
    alone.acknowledged["other"] = (reply["record_id"], reply["verdict"])
    alone.check(pair.primary, DATABASE)


def test_a_frozen_primary_is_503_and_ends_when_it_thaws(pair, nodes):
    with Crowd(nodes) as crowd:
        crowd.wait_more(50)
        pids = [pair.primary.process.pid, *processes.children(pair.primary.process.pid)]
        try:
            processes.signal_all(pids, signal.SIGSTOP)
            refused = crowd.statuses[503]
            rig.eventually(lambda: crowd.statuses[503], lambda now: now > refused + 6, 60)
        finally:
            processes.signal_all(pids, signal.SIGCONT)
        crowd.wait_more(50)
    crowd.check(pair.primary, DATABASE)


def waiting_for_standby(pair):
    return int(pair.primary.sql("SELECT count(*) FROM pg_stat_activity"
                                " WHERE wait_event = 'SyncRep' AND usename = 'turnout'"))


class Asking(threading.Thread):
    """Asks again and again until it is answered 200."""

    def __init__(self, node, path, scan):
        super().__init__()
        self.node, self.path, self.scan = node, path, scan
        self.statuses = []
        self.reply = None
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            with self.node.client(timeout=40) as client:
                answer = client.post(self.path, self.scan)
            self.statuses.append(answer.status)
            if answer.status == 200:
                self.reply = answer.json
                return
            assert answer.status == 503 and answer.headers["retry-after"]

    def end(self):
        self.over.set()
        self.join()


@pytest.mark.parametrize("how", ["pg_terminate_backend", "pg_cancel_backend"])
def test_what_the_standby_does_not_have_is_not_acknowledged_nor_when_it_is_asked_for_again(
        pair, nodes, how):
    """A commit is written, waits for a standby that is away, and the wait is broken off: the record
    stands on the primary alone. To say so would be to promise what a failover loses."""
    with nodes[0].client() as client:
        venue = rig.Venue(client)
        venue.person("t1")
    path, scan = f"{venue.path}/checkins", {"token": "t1", "gate": "g1", "nonce": "n1"}
    pair.standby.stop()
    first = Asking(nodes[0], path, scan)
    first.over.set()  # asks once
    processes.until(lambda: waiting_for_standby(pair) == 1)
    pair.primary.sql(f"SELECT {how}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    first.join()
    assert first.statuses == [503]
    assert pair.primary.sql("SELECT count(*) FROM attendance_records r JOIN events e ON e.id ="
                            f" r.event_id WHERE e.code = '{venue.code}'", DATABASE) == "1"
    again = Asking(nodes[1], path, scan)
    try:
        # Its own connection is fine and sees the record; it has to wait for the standby, too. The
        # first node's writer waits as well, with the write that tries its new connection.
        processes.until(lambda: waiting_for_standby(pair) == 2 or again.reply)
        assert again.reply is None
        pair.standby.start()
        again.join()
    finally:
        again.end()
    assert (again.reply["verdict"], again.reply["replayed"]) == ("admitted", True)
    processes.until(pair.is_synchronous)
