# SPDX-License-Identifier: Apache-2.0
"""The whole of production under load (tests/support/production.py): PostgreSQL with its standby, a
Redis Cluster, HAProxy, two controllers, and nodes that they start and stop. Whatever is killed,
frozen or fails, no request fails that HAProxy could have sent elsewhere, the wanted state is
reached again, and the journal has every step.

One cluster for all tests, each of which brings it to what it needs. A wait is for a state.
"""

import contextlib
import http.client
import itertools
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import time

import pytest

import rig

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import processes  # noqa: E402
import production  # noqa: E402
from receivers import Hook  # noqa: E402

WAIT_S = 60
EVENT = "gala"
STREAMS = 6  # connections of the load
# The machine's load decides nothing here, since others use it as well: how many nodes there are is
# decided by `scaler.min` and `scaler.max`. A registration ends soon, and a failure is soon told.
CALM = {
    "cluster": {"life": "4s"},
    "haproxy": {"drain": "5s"},
    "provider": {"ready_within": "30s"},
    "recovery": {"budget": 64},
    "scaler": {"up_cpu": 100, "up_memory": 100, "down_cpu": 0, "down_memory": 0},
    "alert.high_response_time": {"disabled": "yes"},
    "alert.database_slow_query": {"disabled": "yes"},
    "alert.memory_usage_high": {"disabled": "yes"},
}


class Site(production.Production):
    """A cluster whose program is a copy: a test may put another in its place."""

    def __init__(self, folder):
        super().__init__(folder, settings=CALM)
        self.folder.mkdir()
        self.program = self.folder / "turnout"
        shutil.copy(rig.BIN, self.program)
        self.binary = str(self.program)

    @contextlib.contextmanager
    def client(self):
        """Through a controller that runs: it has the journal whatever the nodes do."""
        url = next(each.url for each in self.controllers if each.is_running)
        host, _, port = url.rpartition("/")[2].partition(":")
        with rig.Client(host, int(port), self.key) as client:
            yield client

    @property
    def key(self):
        return (self.folder / "admin-key").read_text().strip()

    def mark(self):
        with self.client() as client:
            items = rig.ok(client.get("/v1/actions?limit=1"))["items"]
            return int(items[0]["id"]) if items else 0

    def journal(self, mark):
        """What was written since, the oldest first."""
        with self.client() as client:
            items = rig.ok(client.get("/v1/actions?limit=1000"))["items"]
        return [item for item in reversed(items) if int(item["id"]) > mark]

    def finds(self, mark, action, **wanted):
        """The first entry since of that action with these members, once it is there."""
        return processes.until(lambda: find(self.journal(mark), action, **wanted), WAIT_S)

    @contextlib.contextmanager
    def held(self):
        """No controller acts until the end of the block, also one that is started in it."""
        with self.client() as client:
            rig.ok(client.post("/v1/actions:stop", {"reason": "a test prepares something"}))
        yield
        with self.client() as client:
            rig.ok(client.post("/v1/actions:resume", {"reason": "it is prepared"}))

    def lead(self):
        """The controller that leads, as it says itself."""
        def look():
            for each in self.controllers:
                if each.is_running:
                    seen = self.get(each.url, "/v1/nodes")
                    if seen and seen["controller"]["leads"]:
                        return each, seen["controller"]["term"]
            return None
        return processes.until(look, WAIT_S)


def find(entries, action, **wanted):
    for entry in entries:
        if entry["action"] == action and wanted.items() <= entry.items():
            return entry
    return None


def find_judged(entries, action):
    return next((entry for entry in entries if entry["action"] == action and
                 entry["outcome"] not in ("begun", "done")), None)


def told(entries):
    return {(entry["action"], entry["target"], entry["outcome"]) for entry in entries}


def came(node):
    return {("HAPROXY_ADD", node.server, "done"), ("HAPROXY_READY", node.server, "done")}


class Load:
    """Scans with nonces and reads through HAProxy, until the end of the block. Each stream has a
    person of its own, who comes and goes: what the answer must be is known. Who gets no answer, or
    another than that, is noted; while `forgives`, it is asked again with the same nonce instead."""

    runs = itertools.count(1)

    def __init__(self, site):
        self.site, self.run = site, next(self.runs)
        self.failed, self.records = [], {}
        self.answered = [0] * STREAMS
        self.forgives = False
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._stream, args=(number,))
                        for number in range(STREAMS)]

    def _stream(self, number):
        client = rig.Client("127.0.0.1", self.site.front.port, self.site.key)
        person = f"/v1/events/{EVENT}/participants?token=p{number}"
        for turn in itertools.count():
            if self.ending.is_set() and turn % 2 == 0:  # everybody has left
                break
            self._scan(client, number, turn)
            self._ask(client, "GET", person, None, lambda seen: len(seen["items"]) == 1)
            self._ask(client, "GET", f"/v1/events/{EVENT}/stats", None, lambda seen: True)
            self.answered[number] += 1
        client.close()

    def _scan(self, client, number, turn):
        direction, verdict = [("entry", "admitted"), ("exit", "exited")][turn % 2]
        nonce = f"{self.run}-{number}-{turn}"
        reply = self._ask(client, "POST", f"/v1/events/{EVENT}/checkins",
                          {"token": f"p{number}", "gate": "north", "direction": direction,
                           "nonce": nonce}, lambda seen: seen["verdict"] == verdict)
        if reply is not None:
            self.records[nonce] = (number, direction, reply["record_id"])

    def _ask(self, client, method, path, body, is_right):
        end = time.monotonic() + WAIT_S
        while True:
            seen = self._try(client, method, path, body, is_right)
            if not isinstance(seen, str):
                return seen
            if not self.forgives or time.monotonic() > end:
                self.failed.append(f"{time.strftime('%T')} {method} {path} {body}: {seen}")
                return None
            time.sleep(0.05)

    @staticmethod
    def _try(client, method, path, body, is_right):
        try:
            answer = client.request(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            client.close()
            return repr(error)
        if answer.status != 200 or not is_right(answer.json):
            return repr(answer)
        return answer.json

    def goes_on(self):
        """Every stream has had answers from now on."""
        before = list(self.answered)
        processes.until(lambda: all(now > then + 2 for now, then in zip(self.answered, before)),
                        WAIT_S)

    def is_kept(self):
        """Scans that were answered stand: asked again with their nonces they say the same."""
        assert self.records
        with rig.Client("127.0.0.1", self.site.front.port, self.site.key) as client:
            for nonce, (number, direction, record) in list(self.records.items())[-20:]:
                again = rig.ok(client.post(f"/v1/events/{EVENT}/checkins",
                                           {"token": f"p{number}", "gate": "north",
                                            "direction": direction, "nonce": nonce}))
                assert again["replayed"] and again["record_id"] == record
        assert len({record for _, _, record in self.records.values()}) == len(self.records)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.goes_on()
        return self

    def __exit__(self, kind, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        if kind is None:
            assert self.failed == []
            self.is_kept()


@pytest.fixture(scope="module", name="whole")
def _whole():
    home = pathlib.Path(tempfile.mkdtemp(prefix="turnout-production-"))
    home.chmod(0o755)
    site = Site(home / "site")
    try:
        site.start()
        with rig.Client("127.0.0.1", site.front.port, site.admin_key().read_text().strip()) as one:
            rig.ok(one.post("/v1/events", {"code": EVENT, "name": "Gala"}), 201)
            rig.ok(one.post(f"/v1/events/{EVENT}/gates", {"code": "north"}), 201)
            for number in range(STREAMS):
                rig.ok(one.post(f"/v1/events/{EVENT}/participants",
                                {"token": f"p{number}", "name": f"Person {number}"}), 201)
        yield site
    finally:
        site.stop()
        shutil.rmtree(home)


@pytest.fixture(name="site")
def _site(whole):
    """The same, with everything running again, whatever a test that failed left."""
    if not whole.front.is_running:
        whole.front.start()
    yield whole
    shutil.copy(rig.BIN, whole.folder / "fresh")
    (whole.folder / "fresh").replace(whole.program)
    for controller in whole.controllers:
        if not controller.is_running:
            controller.start()


# What dies or hangs ------------------------------------------------------------------------------

def test_a_killed_node_costs_no_request_and_another_comes(site):
    site.want(2, 4)
    before, mark = site.reaches(2), site.mark()
    with Load(site) as load:
        os.kill(before[0].pid, signal.SIGKILL)
        processes.until(lambda: not before[0].is_running)
        after = site.reaches(2)
        load.goes_on()
    [new] = [node for node in after if node.server != before[0].server and
             node.server != before[1].server]
    assert {("HAPROXY_DELETE", before[0].server, "done")} | came(new) <= told(site.journal(mark))


def test_a_frozen_node_costs_no_request_is_replaced_and_comes_back(site):
    site.want(2, 4)
    before, mark = site.reaches(2), site.mark()
    frozen = before[0]
    with Load(site) as load:
        os.kill(frozen.pid, signal.SIGSTOP)
        try:
            processes.until(lambda: len(site.front.serving() - {frozen.server}) == 2, WAIT_S)
            load.goes_on()
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        after = site.reaches(3)
        load.goes_on()
    [new] = [node for node in after if node.server not in {one.server for one in before}]
    entries = site.journal(mark)
    assert came(new) <= told(entries)
    assert find(entries, "SCALE_OUT", outcome="done")["evidence"]["to"] == 3
    site.finds(mark, "AUTO_SCALE", outcome="done")


def test_haproxy_killed_and_started_again_has_its_nodes_again(site):
    site.want(2)
    nodes, mark = site.reaches(2), site.mark()
    with Load(site) as load:
        load.forgives = True  # nobody is there to send it elsewhere
        site.front.kill()
        site.finds(mark, "HAPROXY_UNREACHABLE")
        site.front.start()
        site.reaches(2)
        load.goes_on()
        load.forgives = False
        load.goes_on()
    entries = told(site.journal(mark))
    assert ("HAPROXY_BACK", "haproxy", "done") in entries
    assert set().union(*map(came, nodes)) <= entries


# How the number changes --------------------------------------------------------------------------

def test_two_become_four_and_two_again_and_no_request_fails(site):
    site.want(2)
    site.reaches(2)
    with Load(site) as load:
        mark = site.mark()
        site.want(4)
        four = site.reaches(4)
        load.goes_on()
        grown = site.finds(mark, "AUTO_SCALE", outcome="done")
        assert "minimum" in grown["trigger"]
        entries = site.journal(mark)
        out = find(entries, "SCALE_OUT", outcome="done")
        assert (out["evidence"]["from"], out["evidence"]["to"]) == (2, 4)
        mark = site.mark()
        site.want(2)
        two = site.reaches(2)
        load.goes_on()
        site.finds(mark, "AUTO_SCALE", outcome="done")
    entries = site.journal(mark)
    gone = {node.server for node in four} - {node.server for node in two}
    names = [(entry["action"], entry["target"]) for entry in entries]
    into = names.index(("SCALE_IN", "process"))
    assert len(entries[into]["evidence"]["victims"]) == 2
    for server in gone:  # it drains first, stops then, and is deleted at the end
        assert names.index(("HAPROXY_DRAIN", server)) < into
        assert names.index(("HAPROXY_DELETE", server)) > into


def test_every_node_is_started_anew_and_no_request_through_haproxy_fails(site):
    site.want(2)
    before, mark = site.reaches(2), site.mark()
    with Load(site) as load:
        site.want(2, recovery={"verify": "0s", "restart_after": "0s"}, **{
            "alert.anew": {"metric": "healthy_nodes", "op": ">=", "threshold": 2, "for": "1s",
                           "action": "RESTART_SERVICE", "cooldown": "1h"}})
        entry = site.finds(mark, "RESTART_SERVICE", outcome="done")
        assert entry["detail"].startswith("2 started anew: "), entry
        load.goes_on()
        after = site.reaches(2)
    assert {node.server for node in after} == {node.server for node in before}
    assert not {node.pid for node in after} & {node.pid for node in before}
    assert find(site.journal(mark), "HAPROXY_DELETE") is None  # the new process has its socket


# Of a node, on the average: with two of them there are more, with three there are fewer.
CROWD = {"metric": "connections_total", "per": "healthy_nodes", "op": ">", "threshold": 60,
         "action": "AUTO_SCALE", "cooldown": "1s"}
WATCHERS = 120


@contextlib.contextmanager
def watchers(site):
    """People who keep the dashboard's stream open, each a connection to a node."""
    with contextlib.ExitStack() as stack:
        for _ in range(WATCHERS):
            link = http.client.HTTPConnection("127.0.0.1", site.front.port, timeout=WAIT_S)
            stack.callback(link.close)
            link.request("GET", "/v1/performance/stream",
                         headers={"Authorization": f"Bearer {site.key}"})
            assert link.getresponse().status == 200
        yield


def test_more_load_than_two_nodes_are_to_have_brings_another_and_that_helps(site):
    site.want(2)
    site.reaches(2)
    with Hook() as hook, Load(site) as load:
        mark = site.mark()
        site.want(2, 4, **{"alert.crowd": CROWD, "recovery": {"budget": 64, "verify": "3s"},
                           "notify.team": {"type": "webhook", "url": hook.url,
                                           "group_wait": "0s"}})
        site.reaches(2)
        assert find(site.journal(mark), "AUTO_SCALE") is None
        with watchers(site):
            [notice] = hook.documents(1)[:1]
            assert notice["alerts"][0]["rule"] == "crowd"
            row = processes.until(lambda: find_judged(site.journal(mark), "AUTO_SCALE"), WAIT_S)
            load.goes_on()
    assert row["outcome"] == "better", f"{row}"
    assert row["evidence"]["rule"] == "crowd" and row["evidence"]["value"] > 60
    out = find(site.journal(mark), "SCALE_OUT", outcome="done")
    assert (out["evidence"]["from"], out["evidence"]["to"]) == (2, 3)


@pytest.mark.parametrize("change, step", [((2, 4), "SCALE_OUT"), ((4, 2), "HAPROXY_DRAIN")])
def test_a_leader_killed_in_the_middle_is_followed_by_one_that_goes_on(site, change, step):
    site.want(change[0])
    site.reaches(change[0])
    with Load(site) as load:
        mark = site.mark()
        site.want(change[1])
        site.finds(mark, step)
        leader, term = site.lead()
        leader.kill()
        site.reaches(change[1])
        next_leader, next_term = site.lead()
        assert next_leader is not leader and next_term > term
        load.goes_on()
        leader.start()
    site.finds(mark, "AUTO_SCALE", outcome="interrupted")
    assert find(site.journal(mark), step, outcome="done")


# A provider that fails ---------------------------------------------------------------------------

# The first of two new nodes is one; the other never becomes ready.
HALF = """#!/bin/sh
mkdir "{folder}/first" 2>/dev/null && exec "{program}" "$@"
exec sleep 600
"""


def put(site, text):
    fresh = site.folder / "fresh"
    fresh.write_text(text)
    fresh.chmod(0o755)
    fresh.replace(site.program)


def test_half_of_a_change_is_kept_and_the_half_that_never_is_ready_taken_back(site):
    site.want(2)
    site.reaches(2)
    mark, whole = site.mark(), site.folder / "whole"
    shutil.copy(rig.BIN, whole)
    with Load(site) as load:
        with site.held():
            site.want(4, provider={"ready_within": "10s"})
            put(site, HALF.format(folder=site.folder, program=whole))
        undone = site.finds(mark, "SCALE_UNDO", outcome="done")
        assert (undone["evidence"]["from"], undone["evidence"]["to"]) == (4, 3)
        failed = site.finds(mark, "AUTO_SCALE", outcome="failed")
        assert "1 of 4 nodes did not serve" in failed["detail"]
        site.reaches(3)
        load.goes_on()
        whole.replace(site.program)
        site.want(4)  # a new leader does not wait for what failed before it
        site.reaches(4)
        load.goes_on()
    assert find(site.journal(mark), "SCALE_OUT", outcome="done")


def test_a_provider_that_cannot_start_any_is_told_and_asked_again(site):
    site.want(2)
    site.reaches(2)
    mark = site.mark()
    with Load(site) as load:
        with site.held():
            site.want(3)
            site.program.chmod(0o644)
        site.finds(mark, "SCALE_OUT", outcome="failed")
        failed = site.finds(mark, "AUTO_SCALE", outcome="failed")
        assert "the provider did not take it" in failed["detail"]
        site.program.chmod(0o755)
        site.want(3)
        site.reaches(3)
        load.goes_on()
    assert find(site.journal(mark), "SCALE_OUT", outcome="done")


def test_a_provider_that_hangs_keeps_nobody_from_being_taken_in_and_out(site):
    hangs = site.folder / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 600\n")
    hangs.chmod(0o755)
    site.want(2)
    nodes, mark = site.reaches(2), site.mark()
    with Load(site) as load:
        site.want(3, scaler={"provider": "command"}, command={"program": hangs},
                  provider={"timeout": "1s"})
        site.finds(mark, "PROVIDER_LOOK", outcome="failed")
        os.kill(nodes[0].pid, signal.SIGKILL)  # nobody starts another now, and it leaves HAProxy
        site.finds(mark, "HAPROXY_DELETE", target=nodes[0].server)
        load.goes_on()
        site.want(3)
        site.reaches(3)
        load.goes_on()
    assert find(site.journal(mark), "SCALE_OUT", outcome="done")
