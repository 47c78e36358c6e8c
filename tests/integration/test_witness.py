# SPDX-License-Identifier: Apache-2.0
"""The witness of the fault tests notices what it is there for, and nothing else."""

import itertools
import json
import threading
import time

import pytest

import rig
import tamper
import witness


def test_a_read_may_lag_a_write_by_the_bound_and_no_more():
    register = witness.Register("r")
    assert register.begin(now=10) == 1
    assert register.judge(0, begun=10.5) is None   # not acknowledged yet
    assert register.judge(1, begun=10.5) is None   # and already to be seen
    register.acknowledge(now=11)
    assert register.judge(0, begun=11.9) is None
    assert "version 0 shown 1.100 s after 1 of 1" in register.judge(0, begun=12.1)
    assert register.judge(1, begun=99) is None


def test_age_counts_from_the_write_that_made_it_old():
    register = witness.Register("r")
    for now in (10, 20, 30):
        register.begin(now)
        register.acknowledge(now)
    assert register.judge(1, begun=20.9) is None
    assert "shown 10.500 s after 2 of 3" in register.judge(1, begun=30.5)
    assert register.age(1, begun=20.9) == pytest.approx(0.9)
    assert register.age(3, begun=99) == 0


def test_a_value_that_nobody_wrote_is_named():
    register = witness.Register("r")
    for seen in (-1, 1):
        assert "never written" in register.judge(seen, begun=1)


def test_a_count_may_lag_and_never_leads():
    count = witness.Count("c")
    count.begin()
    count.begin()
    count.acknowledge()
    then = count.acknowledged[0]
    assert count.judge(0, begun=then + 0.9) is None
    assert "0 shown" in count.judge(0, begun=then + 1.1)
    assert count.judge(1, begun=then + 99) is None
    assert count.judge(2, begun=then + 99) is None
    assert "3 shown, 2 were begun" in count.judge(3, begun=then)


@pytest.mark.parametrize("text, version", [("v0", 0), ("v17", 17), ("17", -1), ("vx", -1),
                                           ("", -1), (None, -1)])
def test_versions_are_read_from_text(text, version):
    assert witness.version_of(text) == version


@pytest.fixture
def bad(server):
    made = tamper.Proxy(server)
    yield made
    made.close()


@pytest.fixture
def load(server, bad):
    made = witness.Load([server, bad], seed=7).start(readers_per_node=1, doors=1)
    yield made
    made.stop()


def remember(life_s, matches):
    """A cache with nothing but a time to live."""
    kept, lock = {}, threading.Lock()

    def tamper(request, honest):
        if request.command != "GET" or not matches(request.path):
            return honest()
        with lock:
            until, answer = kept.get(request.path, (0, None))
        if time.monotonic() < until:
            return answer
        until = time.monotonic() + life_s  # from before it was read
        answer = honest()
        with lock:
            kept[request.path] = until, answer
        return answer
    return tamper


def noticed(load, kind, what):
    """Waits until something of the kind is noticed; all of them are told."""
    seen = rig.eventually(lambda: list(getattr(load.found, kind)), lambda list_: list_, 60)
    assert any(what in text for text in seen), seen
    with pytest.raises(AssertionError, match=r"^\d+ (failed|wrong|stale) of"):
        load.check()


def test_an_honest_node_is_not_accused(load):
    load.settle(5)
    rig.eventually(lambda: load.found.done[("scan", "admitted")], lambda count: count >= 2, 60)
    load.check()


def test_a_cache_below_the_bound_is_not_accused(load, bad):
    bad.tamper = remember(0.5, lambda path: True)
    load.settle(10)
    rig.eventually(lambda: load.found.age_max, lambda age: age > 0.1, 60)  # it did lag
    load.check()


@pytest.mark.parametrize("what, matches", [
    ("event through node 1", lambda path: path.count("/") == 3 and "?" not in path),
    ("gates through node 1", lambda path: path.endswith("/gates")),
    ("token through node 1", lambda path: "?token=" in path),
    ("search through node 1", lambda path: "?q=" in path),
    ("stats through node 1", lambda path: path.endswith("/stats")),
])
def test_a_planted_stale_answer_is_noticed(load, bad, what, matches):
    bad.tamper = remember(3.0, matches)
    noticed(load, "stale", what)


def test_a_refusal_that_outlives_its_reason_is_noticed(load, bad):
    numbers = itertools.count()

    def tamper(request, honest):
        status, kind, body = honest()
        for standing in (b'"verdict":"admitted","reason":null',
                         b'"verdict":"refused","reason":"already_used"'):
            if standing in body:
                forged = body.replace(standing, b'"verdict":"refused","reason":"unknown_token"')
                number = str(next(numbers)).encode()  # a record of its own, as a true one has
                body = forged.replace(b'"record_id":"', b'"record_id":"forged-' + number + b"-")
        return status, kind, body
    bad.tamper = tamper
    noticed(load, "stale", "refused as unknown_token")


def test_a_gate_that_stays_unknown_is_noticed(load, bad):
    unknown = json.dumps({"title": "Unknown gate", "status": 404, "code": "unknown_gate"}).encode()

    def tamper(request, honest):
        if request.sent is not None and b'"gate": "new-' in request.sent:
            return 404, rig.PROBLEM, unknown
        return honest()
    bad.tamper = tamper
    noticed(load, "stale", "after it was added")


def test_a_failed_request_is_noticed(load, bad):
    def tamper(request, honest):
        return (503, rig.PROBLEM, b"{}") if "?token=" in request.path else honest()
    bad.tamper = tamper
    noticed(load, "failed", "503")


def test_a_lost_connection_is_noticed(load, bad):
    def tamper(request, honest):
        if request.path.endswith("/stats"):
            request.close_connection = True
            raise ConnectionAbortedError
        return honest()
    bad.server.handle_error = lambda *_: None
    bad.tamper = tamper
    noticed(load, "failed", "/stats")


def test_a_second_admission_is_noticed(load, bad):
    def tamper(request, honest):
        status, kind, body = honest()
        return status, kind, body.replace(b'"verdict":"refused","reason":"already_used"',
                                          b'"verdict":"admitted","reason":null')
    bad.tamper = tamper
    noticed(load, "wrong", "not refused as already_used")


def test_an_account_in_which_nothing_happened_is_a_failure(server):
    made = witness.Load([server], seed=1)
    with pytest.raises(AssertionError, match="never happened"):
        made.check()
