# SPDX-License-Identifier: Apache-2.0
"""The Redis client against real servers: a cluster of six that loses slots, nodes and all its data.

Every test drives `redis_probe` (tests/support) beside the servers. A wait is for an event, never
for a time; bounds on how long something may take are wide and only where the client promises one.
"""

import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time

import pytest

import rig

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import redis_cluster  # noqa: E402

PROBE = os.environ.get("REDIS_PROBE",
                       str(pathlib.Path(rig.BIN).parent / "tests" / "redis_probe"))
PREFIX = "t:"


def slot_of(node, key):
    return int(node.cli("CLUSTER", "KEYSLOT", f"{PREFIX}k:{key}"))


class Probe:
    """One client on one loop."""

    def __init__(self, seeds, timeout_ms=250, reads="primary"):
        assert os.access(PROBE, os.X_OK), f"no program at {PROBE}: build it"
        self.process = subprocess.Popen([PROBE, seeds, PREFIX, str(timeout_ms), reads], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.news = []
        self.answers = {}
        self.changed = threading.Condition()
        self.last = 0
        self.first = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            head, _, rest = line.rstrip("\n").partition(" ")
            with self.changed:
                if head == "news":
                    self.news.append(rest.strip())
                elif head.isdigit():
                    self.answers[int(head)] = rest
                else:
                    self.first.put(line.strip())
                self.changed.notify_all()

    def send(self, *words):
        self.last += 1
        self.process.stdin.write(" ".join(map(str, (self.last, *words))) + "\n")
        self.process.stdin.flush()
        return self.last

    def answer(self, number, seconds=20):
        with self.changed:
            assert self.changed.wait_for(lambda: number in self.answers, seconds), "no answer"
            return self.answers.pop(number)

    def ask(self, *words):
        return self.answer(self.send(*words))

    def hear(self, what, since=0, seconds=20):
        with self.changed:
            assert self.changed.wait_for(lambda: what in self.news[since:], seconds), \
                f"{what!r} not heard, but {self.news[since:][-20:]}"
            return len(self.news)

    def get(self, key):
        """(outcome, fields); the value may not hold a space."""
        outcome, *rest = self.ask("get", key).split(" ")
        return outcome, dict(part.split("=", 1) for part in rest if "=" in part)

    def counters(self):
        return dict(part.split("=") for part in self.ask("counters").split(" ")[1:])

    def count(self, name):
        return int(self.counters()[name])

    def close(self):
        """The client must end by itself, with nothing to complain of."""
        try:
            self.process.stdin.close()
            assert self.process.wait(10) == 0, self.process.stderr.read()
            self.reader.join(10)
        finally:
            self.process.kill()
            self.process.stdout.close()
            self.process.stderr.close()


@pytest.fixture(scope="module")
def cluster():
    made = redis_cluster.Cluster()
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def whole(cluster):
    """The cluster, mended after whatever the last test did."""
    cluster.await_whole()
    return cluster


@pytest.fixture
def probe(whole):
    made = Probe(whole.seeds)
    made.hear("heard")
    yield made
    made.close()


@pytest.fixture
def single(tmp_path):
    node = redis_cluster.Node(tmp_path, redis_cluster.free_ports(1)[0]).start()
    yield node
    node.kill()


def test_what_is_set_is_got_with_its_version(probe):
    assert probe.get("absent")[0] == "miss"
    assert probe.ask("set", "a", "hello", 60000, 7).startswith("done")
    outcome, fields = probe.get("a")
    assert (outcome, fields["value"], fields["version"]) == ("hit", "hello", "7")
    assert probe.ask("unlink", "a").startswith("done")
    assert probe.get("a")[0] == "miss"


def test_a_thousand_requests_go_out_at_once(probe):
    assert probe.ask("burst", "set", 1000) == "burst hits=1000 misses=0 failed=0"
    assert probe.ask("burst", "get", 1000) == "burst hits=1000 misses=0 failed=0"


def test_more_than_the_limit_is_refused_at_once_and_the_rest_served(probe):
    words = probe.ask("burst", "set", 5000).split()
    done, failed = (int(words[i].split("=")[1]) for i in (1, 3))
    assert done + failed == 5000 and failed == probe.count("refused_full") > 0
    assert probe.count("requests") == 0


def test_a_fill_lands_only_when_nothing_was_invalidated_since(probe):
    ticket = probe.get("f")[1]["generation"]
    assert ticket == "0"
    assert probe.ask("invalidate", "f").startswith("done")
    assert probe.ask("fill", "f", "stale", 60000, 1, ticket).startswith("refused")
    outcome, fields = probe.get("f")
    assert outcome == "miss" and fields["generation"] != "0"
    assert probe.ask("fill", "f", "fresh", 60000, 2, fields["generation"]).startswith("done")
    assert probe.get("f")[1]["value"] == "fresh"
    assert probe.ask("fill", "f", "late", 60000, 3, fields["generation"]).startswith("refused")
    assert probe.get("f")[1]["value"] == "fresh"


def test_one_of_two_gets_the_lease_and_only_it_can_release(probe):
    assert probe.ask("lease", "l", 1, 60000).startswith("done")
    assert probe.ask("lease", "l", 2, 60000).startswith("refused")
    assert probe.ask("release", "l", 2).startswith("refused")
    assert probe.ask("release", "l", 1).startswith("done")
    assert probe.ask("lease", "l", 2, 60000).startswith("done")


def epoch_of(answer):
    return int(answer.split("epoch=")[1].split()[0])


def test_an_epoch_only_rises_and_every_client_hears_of_it(probe, whole):
    other = Probe(whole.seeds)
    other.hear("heard")
    before = epoch_of(probe.ask("epoch_read", "stats"))
    raised = epoch_of(probe.ask("epoch_raise", "stats"))
    assert raised > before
    other.hear("epoch stats")
    assert epoch_of(other.ask("epoch_read", "stats")) == raised
    other.close()


def test_an_epoch_that_was_lost_does_not_come_to_its_old_numbers(probe, whole):
    before = epoch_of(probe.ask("epoch_raise", "lost"))
    for node in whole.nodes[:6]:
        if "role:master" in node.cli("INFO", "replication"):
            node.cli("FLUSHALL")
    assert epoch_of(probe.ask("epoch_read", "lost")) == 0
    assert epoch_of(probe.ask("epoch_raise", "lost")) not in (0, 1, before)


def test_a_sweep_unlinks_what_matches_on_every_primary_and_nothing_else(probe):
    probe.ask("sweep", "*")
    assert "failed=0" in probe.ask("burst", "set", 2500)
    probe.ask("set", "keep", "me", 60000, 0)
    assert probe.ask("sweep", "burst:*") == "ok count=2500"
    assert "hits=0 misses=2500" in probe.ask("burst", "get", 2500)
    assert probe.get("keep")[0] == "hit"


@pytest.mark.parametrize("bad", ["garbage", "", "tc1v" + "x" * 40])
def test_a_damaged_value_is_a_miss_and_dropped(probe, whole, bad):
    owner = whole.owner(slot_of(whole.nodes[0], "bad"))
    owner.cli("SET", f"{PREFIX}k:bad", bad)
    before = probe.count("corrupt")
    assert probe.get("bad")[0] == "miss"
    assert probe.count("corrupt") == before + 1
    assert probe.get("bad")[0] == "miss"
    assert owner.cli("EXISTS", f"{PREFIX}k:bad") == "0"


def test_what_came_after_a_damaged_value_is_not_dropped_with_it(probe, whole):
    """It may be the tombstone of a change: without it an older fill would land."""
    key = f"{PREFIX}k:turns"
    probe.ask("invalidate", "turns")
    with whole.owner(slot_of(whole.nodes[0], "turns")).binary() as redis:
        tombstone = redis.command("GET", key)
        before = probe.count("corrupt")
        for _ in range(200):
            asked = []
            for _ in range(5):
                redis.command("SET", key, b"garbage")
                asked.append(probe.send("get", "turns"))
                redis.command("SET", key, tombstone)
            for number in asked:
                assert probe.answer(number).startswith("miss")
            # what it drops goes out on the connection of its gets, so this one comes behind
            assert "generation=0 " not in probe.ask("get", "turns")
        assert probe.count("corrupt") > before
        redis.command("DEL", key)


def test_an_oversized_value_is_a_miss_and_dropped(probe, whole):
    owner = whole.owner(slot_of(whole.nodes[0], "big"))
    owner.cli("SETRANGE", f"{PREFIX}k:big", 3 << 20, "x")
    assert probe.get("big")[0] == "miss"
    assert probe.count("oversized") == 1
    redis_cluster.until(lambda: owner.cli("EXISTS", f"{PREFIX}k:big") == "0")


def test_a_key_of_another_type_is_an_error_and_counted(probe, whole):
    owner = whole.owner(slot_of(whole.nodes[0], "list"))
    owner.cli("RPUSH", f"{PREFIX}k:list", "x")
    assert probe.ask("get", "list") == "error store_unavailable"
    assert probe.count("replies_bad") == 1
    owner.cli("DEL", f"{PREFIX}k:list")


def test_a_slot_that_moves_is_followed_through_ask_and_moved(probe, whole):
    key = "{moving}"
    slot = slot_of(whole.nodes[0], key)
    source = whole.owner(slot)
    target = next(node for node in whole.nodes[:6]
                  if node is not source and "role:master" in node.cli("INFO", "replication"))
    source_id, target_id = source.cli("CLUSTER", "MYID"), target.cli("CLUSTER", "MYID")
    probe.ask("set", key + "1", "old", 60000, 0)
    target.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    source.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    assert probe.get(key + "1")[1]["value"] == "old"
    assert probe.ask("set", key + "2", "new", 60000, 0).startswith("done")  # by ASK
    assert probe.count("asked") > 0 and probe.count("moved") == 0
    source.cli("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", f"{PREFIX}k:{key}1")
    assert probe.get(key + "1")[1]["value"] == "old"
    for node in (target, source):
        node.cli("CLUSTER", "SETSLOT", slot, "NODE", target_id)
    assert probe.get(key + "2")[1]["value"] == "new"
    moved = probe.count("moved")
    assert moved == 1
    assert probe.get(key + "2")[0] == "hit" and probe.count("moved") == moved  # patched
    redis_cluster.until(lambda: all(node.cli("CLUSTER", "SLOTS") for node in whole.nodes))


def test_others_hear_what_one_invalidates_once_and_nothing_of_fills(probe, whole):
    other = Probe(whole.seeds)
    other.hear("heard")
    for i in range(20):
        probe.ask("set", f"told:{i}", "x", 60000, 0)
        assert probe.ask("invalidate", f"told:{i}").startswith("done")
        ticket = probe.get(f"told:{i}")[1]["generation"]
        assert probe.ask("fill", f"told:{i}", "y", 60000, 0, ticket).startswith("done")
    probe.ask("epoch_raise", "told")
    for i in range(20):
        other.hear(f"key told:{i}")
    other.hear("epoch told")
    told = [line for line in other.news if line.startswith("key told:")]
    assert sorted(told) == sorted(f"key told:{i}" for i in range(20))
    other.close()


def test_a_flush_is_heard_as_all(probe, whole):
    since = len(probe.news)
    whole.owner(0).cli("FLUSHALL")
    probe.hear("all", since)


def test_reads_go_to_replicas_when_asked_to(whole):
    probe = Probe(whole.seeds, reads="spread")
    probe.hear("heard")
    redis_cluster.until(lambda: probe.count("nodes") == 6)
    owner = whole.owner(slot_of(whole.nodes[0], "r"))
    probe.ask("set", "r", "x", 60000, 0)
    owner.cli("WAIT", 1, 5000)
    before = owner.cli("INFO", "commandstats")
    assert all(probe.get("r")[0] == "hit" for _ in range(40))
    calls = [int(text.split("cmdstat_get:calls=")[1].split(",")[0]) if "cmdstat_get:" in text else 0
             for text in (before, owner.cli("INFO", "commandstats"))]
    assert 0 < calls[1] - calls[0] < 40
    assert probe.count("moved") == 0
    probe.close()


def test_a_stopped_node_costs_its_deadline_then_nothing_and_comes_back(probe, whole):
    node = whole.owner(slot_of(whole.nodes[0], "s"))
    other_key = next(f"o{i}" for i in range(100)
                     if whole.owner(slot_of(whole.nodes[0], f"o{i}")) is not node)
    probe.ask("set", other_key, "x", 60000, 0)
    since = len(probe.news)
    node.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert probe.ask("get", "s") == "error deadline_exceeded"
        redis_cluster.until(lambda: probe.count("breaker_opened") > 0)
        assert time.monotonic() - began < 3  # promised: 1
        assert probe.ask("get", "s") == "error store_unavailable"
        assert probe.get(other_key)[0] == "hit"  # the others serve on
        probe.hear("silent", since)
    finally:
        node.signal(signal.SIGCONT)
    redis_cluster.until(lambda: probe.get("s")[0] == "miss")
    probe.hear("heard", since)
    redis_cluster.until(lambda: probe.counters()["nodes_open"] == "0")


def test_a_killed_primary_is_replaced_by_its_replica(probe, whole):
    probe.ask("set", "p", "x", 60000, 0)
    slot = slot_of(whole.nodes[0], "p")
    victim = whole.owner(slot)
    victim.cli("WAIT", 1, 5000)
    since = len(probe.news)
    victim.kill()
    try:
        redis_cluster.until(lambda: probe.get("p")[0] == "hit")
        redis_cluster.until(lambda: whole.owner(slot) is not victim)  # gossip takes a moment
        probe.hear("silent", since)
        probe.hear("heard", since)
    finally:
        victim.start()


def test_all_nodes_gone_opens_and_all_back_closes(whole):
    probe = Probe(whole.seeds)
    probe.hear("heard")
    since = len(probe.news)
    for node in whole.nodes:
        node.signal(signal.SIGSTOP)
    try:
        redis_cluster.until(lambda: probe.ask("get", "x") and probe.counters()["state"] != "closed"
                            and "burst hits=0" in probe.ask("burst", "get", 200))
        began = time.monotonic()
        for _ in range(100):
            assert probe.ask("get", "x").startswith("error")
        assert time.monotonic() - began < 5  # refused at once, not after 100 deadlines
        probe.hear("silent", since)
    finally:
        for node in whole.nodes:
            node.signal(signal.SIGCONT)
    redis_cluster.until(lambda: probe.counters()["state"] == "closed"
                        and not probe.get("x")[0].startswith("error"))
    probe.hear("heard", since)
    probe.close()


def test_one_redis_without_cluster_mode_works_too(single):
    probe = Probe(f"127.0.0.1:{single.port}")
    probe.hear("heard")
    assert "failed=0" in probe.ask("burst", "set", 500)
    assert probe.ask("sweep", "burst:1*") == "ok count=111"
    ticket = probe.get("f")[1]["generation"]
    assert probe.ask("fill", "f", "x", 60000, 0, ticket).startswith("done")
    single.cli("FLUSHALL")
    probe.hear("all")
    probe.close()


def test_a_restart_with_nothing_is_a_miss_and_heard_again(single):
    probe = Probe(f"127.0.0.1:{single.port}")
    probe.hear("heard")
    probe.ask("set", "a", "x", 60000, 0)
    since = len(probe.news)
    single.kill()
    probe.hear("silent", since)
    redis_cluster.until(lambda: probe.counters()["state"] == "open")
    assert probe.ask("get", "a") == "error store_unavailable"
    single.start()
    redis_cluster.until(lambda: probe.get("a")[0] == "miss")
    assert probe.ask("set", "a", "y", 60000, 0).startswith("done")
    probe.hear("heard", since)
    probe.close()


def test_a_password_is_given_on_both_connections_and_a_wrong_one_opens(single, monkeypatch):
    single.cli("CONFIG", "SET", "requirepass", "right")
    monkeypatch.setenv("REDIS_PASSWORD", "right")
    probe = Probe(f"127.0.0.1:{single.port}")
    probe.hear("heard")
    assert probe.ask("set", "a", "x", 60000, 0).startswith("done")
    probe.close()
    monkeypatch.setenv("REDIS_PASSWORD", "wrong")
    probe = Probe(f"127.0.0.1:{single.port}")
    redis_cluster.until(lambda: probe.counters()["state"] == "open")
    assert probe.ask("get", "a") == "error store_unavailable"
    probe.close()


def test_nobody_at_the_address_is_refused_at_once_after_a_moment():
    probe = Probe(f"127.0.0.1:{redis_cluster.free_ports(1)[0]}")
    redis_cluster.until(lambda: probe.counters()["state"] == "open")
    assert probe.ask("get", "a") == "error store_unavailable"
    assert probe.count("unreachable") >= 3
    probe.close()


@pytest.mark.parametrize("seeds", ["localhost:6379", "127.0.0.1", "", "127.0.0.1:6379,x"])
def test_an_address_that_is_not_numeric_is_named(seeds):
    probe = Probe(seeds)
    assert probe.first.get(timeout=10).startswith("refused redis:")
    probe.close()


def test_one_wrong_address_among_right_ones_does_no_harm(whole):
    wrong = redis_cluster.free_ports(1)[0]
    probe = Probe(f"127.0.0.1:{wrong},{whole.seeds}")
    probe.hear("heard")
    assert probe.ask("set", "w", "x", 60000, 0).startswith("done")
    probe.close()


def test_closing_answers_what_is_under_way(whole):
    probe = Probe(whole.seeds)
    number = probe.send("burst", "get", 1000)
    probe.close()
    assert "hits=" in probe.answers[number]
