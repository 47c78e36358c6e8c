# SPDX-License-Identifier: Apache-2.0
"""The controller's hands on a real HAProxy and on real processes: who is in, who drains, who is
taken away, and how the number of nodes changes under load.

Nodes are stubs that say their name, so that a test sees who answered.
"""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

import rig
from test_haproxy import BACKENDS, Load, get, who

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import platforms  # noqa: E402
import processes  # noqa: E402
from haproxy import HAProxy, free_port  # noqa: E402

FOLDER = pathlib.Path(rig.BIN).parent / "tests"
PROBE = os.environ.get("HAPROXY_PROBE", str(FOLDER / "haproxy_probe"))
FLEET = os.environ.get("FLEET_PROBE", str(FOLDER / "fleet_probe"))


class Node:
    """A stub under the name that the fleet gives it."""

    def __init__(self, folder):
        self.port = free_port()
        self.id = f"127.0.0.1:{self.port}"
        self.name = f"127.0.0.1_{self.port}"
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.process = subprocess.Popen(
            [sys.executable, str(rig.ROOT / "tests" / "support" / "stub_node.py"), self.name,
             str(self.port), str(self.ledger)])

    def is_up(self):
        return get(self.port, "/readyz")[0] == 200

    def stop(self):
        self.process.kill()
        self.process.wait()


class Fleet:
    def __init__(self, front, drain_ms=5000, provider=()):
        self.words = [FLEET, front.socket, front.map, str(drain_ms), *map(str, provider)]
        self.front = front
        self.events, self.progress, self.detail = [], None, None
        self.begin()

    def begin(self):
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        return self

    def say(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def turn(self, nodes, best=(), scale=(0, 0)):
        """`nodes`: pairs of a node and "STATE CPU CONNECTIONS [AGENT_PORT]"."""
        self.say(*(f"node {node.id} http://{node.id} {what}" for node, what in nodes),
                 *(f"best {kind} {node.id}" for kind, node in best),
                 f"turn {scale[0]} {scale[1]}")
        for line in self.process.stdout:
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "turn":
                self.progress, _, self.detail = rest.partition(" ")
                return self
            self.events.append(rest)
        raise AssertionError("the fleet ended")

    def seen(self):
        """{name: {backend: status}} as HAProxy shows it."""
        found = {}
        for row in rows(self.front):
            if row["svname"] not in ("FRONTEND", "BACKEND"):
                found.setdefault(row["svname"], {})[row["pxname"]] = row["status"]
        return found

    def settle(self, nodes, wanted, **how):
        """Turns until HAProxy has {node: status} in every backend, and nothing else."""
        whole = {node.name: {backend: status for backend in BACKENDS}
                 for node, status in wanted.items()}
        processes.until(lambda: self.turn(nodes, **how).seen() == whole)

    def heard(self, what):
        return [event for event in self.events if event.split()[0] == what]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def rows(front):
    lines = front.ask("show stat").splitlines()
    names = lines[0].removeprefix("# ").split(",")
    return [dict(zip(names, line.split(","))) for line in lines[1:] if line]


@pytest.fixture(name="front")
def _front(tmp_path):
    haproxy = HAProxy(tmp_path, PROBE).start()
    yield haproxy
    haproxy.stop()


@pytest.fixture(name="fleet")
def _fleet(front):
    fleet = Fleet(front)
    yield fleet
    fleet.stop()


@pytest.fixture(name="nodes")
def _nodes(tmp_path):
    nodes = [Node(tmp_path) for _ in range(3)]
    for node in nodes:
        processes.until(node.is_up)
    yield nodes
    for node in nodes:
        node.stop()


def all_are(nodes, what="healthy 50 10"):
    return [(node, what) for node in nodes]


# Who is in ---------------------------------------------------------------------------------------

def test_healthy_nodes_come_in_suspect_ones_drain_and_gone_ones_leave(front, fleet, nodes):
    n1, n2, n3 = nodes
    fleet.settle(all_are(nodes), {n1: "UP", n2: "UP", n3: "UP"})
    fleet.settle([*all_are([n1, n3]), (n2, "suspect 50 10")], {n1: "UP", n2: "DRAIN", n3: "UP"})
    assert {who(front.port, "/v1/other") for _ in range(30)} == {n1.name, n3.name}
    fleet.settle(all_are(nodes), {n1: "UP", n2: "UP", n3: "UP"})
    fleet.settle([*all_are([n1, n3]), (n2, "leaving 50 10")], {n1: "UP", n2: "DRAIN", n3: "UP"})
    fleet.settle([*all_are([n1, n3]), (n2, "gone 50 10")], {n1: "UP", n3: "UP"})
    assert {event.split()[1] for event in fleet.heard("HAPROXY_ADD")} == {n.name for n in nodes}
    assert len(fleet.heard("HAPROXY_ADD")) == 3  # once for all backends
    assert [event.split()[1] for event in fleet.heard("HAPROXY_DELETE")] == [n2.name]
    evidence = json.loads(fleet.heard("HAPROXY_DELETE")[0].split(" ", 3)[3].partition("}")[0] + "}")
    assert evidence["backends"] == 4 and evidence["undo"]


def test_when_most_look_bad_nobody_is_taken_out(front, fleet, nodes):
    n1, n2, n3 = nodes
    up = {n1: "UP", n2: "UP", n3: "UP"}
    fleet.settle(all_are(nodes), up)
    for what in ([(n1, "healthy 50 1"), (n2, "suspect 50 1"), (n3, "suspect 50 1")],
                 all_are(nodes, "suspect 50 1"), all_are(nodes, "gone 50 1"), []):
        for _ in range(5):
            fleet.turn(what)
        fleet.settle(what, up)
    assert {who(front.port, "/v1/other") for _ in range(30)} == {node.name for node in nodes}


def test_a_node_keeps_its_place_in_the_ring_whoever_controls(front, fleet, nodes):
    def ids():
        return {row["svname"]: row["sid"] for row in rows(front) if "_" in row["svname"]}

    up = {node: "UP" for node in nodes}
    fleet.settle(all_are(nodes), up)
    before = ids()
    assert len(set(before.values())) == 3
    other = Fleet(front)  # one that knows nothing yet, with the nodes in another order
    other.settle(all_are(nodes[::-1]), up)
    assert ids() == before
    assert not other.heard("HAPROXY_ADD") and not other.heard("HAPROXY_DELETE")
    front.reload()  # drops them all
    other.settle(all_are(nodes), up)
    assert ids() == before
    other.stop()


def test_shares_follow_the_load_where_no_agent_says_them(front, fleet, nodes):
    n1, n2, n3 = nodes

    def weights():
        return {(row["svname"], row["pxname"]): row["weight"] for row in rows(front)
                if "_" in row["svname"]}

    what = [(n1, "healthy 70 1"), (n2, "healthy 15 1"), (n3, "healthy 100 1 1")]
    fleet.settle(what, {n1: "UP", n2: "UP", n3: "UP"})
    wanted = {n1.name: "30", n2.name: "85", n3.name: "100"}  # n3's agent does not answer
    processes.until(lambda: fleet.turn(what) and {
        key: weight for key, weight in weights().items() if key[1] == "general"} == {
        (name, "general"): weight for name, weight in wanted.items()})
    assert {weight for key, weight in weights().items() if key[1] == "cache"} == {"100"}


def test_the_map_names_the_best_node_and_never_one_that_drains(front, fleet, nodes):
    n1, n2, n3 = nodes
    stats = "/v1/events/demo/stats"
    best = [("analytics", n2)]
    fleet.settle(all_are(nodes), {n1: "UP", n2: "UP", n3: "UP"}, best=best)
    fleet.turn(all_are(nodes), best)
    assert {who(front.port, stats) for _ in range(20)} == {n2.name}
    fleet.settle([*all_are([n1, n3]), (n2, "leaving 50 1")], {n1: "UP", n2: "DRAIN", n3: "UP"},
                 best=best)
    assert {who(front.port, stats) for _ in range(20)} == {n1.name, n3.name}


def test_a_node_that_cannot_be_placed_is_told_once_and_keeps_nobody_out(front, fleet, nodes):
    class Odd:
        id = "nowhere.invalid:80"
        name = "nowhere.invalid_80"

    for _ in range(3):
        fleet.turn([*all_are(nodes), (Odd, "healthy 1 1")])
    fleet.settle([*all_are(nodes), (Odd, "healthy 1 1")], {node: "UP" for node in nodes})
    assert len(fleet.heard("NODE_NOT_PLACED")) == 1


def test_haproxy_that_is_away_and_comes_back_empty_gets_its_nodes_again(front, fleet, nodes):
    up = {node: "UP" for node in nodes}
    fleet.settle(all_are(nodes), up)
    front.stop()
    for _ in range(3):
        fleet.turn(all_are(nodes))
    front.start()
    fleet.settle(all_are(nodes), up)
    assert len(fleet.heard("HAPROXY_UNREACHABLE")) == 1
    assert len(fleet.heard("HAPROXY_BACK")) == 1
    assert len(fleet.heard("HAPROXY_RESTARTED")) == 1


# How the number changes --------------------------------------------------------------------------

PROGRAM = """#!/bin/sh
[ -e dies ] && exit 3
exec {python} {stub} "$(cat names)" 0 {ledger} announce
"""


class Stage:
    """HAProxy, a fleet with processes for nodes, and what a controller knows of them."""

    def __init__(self, folder, front):
        self.home = folder / "nodes"
        self.home.mkdir()
        (folder / "ledger").touch()
        (self.home / "names").write_text("stub")
        stub = rig.ROOT / "tests" / "support" / "stub_node.py"
        program = platforms.write_program(folder / "turnout", PROGRAM.format(
            python=sys.executable, stub=stub, ledger=folder / "ledger"))
        self.fleet = Fleet(front, provider=(program, self.home))
        self.front = front

    def slots(self):
        return {path.stem: json.loads(path.read_text())
                for path in sorted(self.home.glob("node-*.json"))}

    def known(self):
        """As a watcher knows them: those that answer are healthy; n connections on the n-th."""
        nodes = []
        for number, slot in enumerate(self.slots().values(), 1):
            if slot["url"]:
                node = type("Known", (), {"id": slot["url"].rpartition("/")[2]})
                is_alive = processes.started_at(slot["pid"]) == slot["began"]
                nodes.append((node, f"{'healthy' if is_alive else 'gone'} 50 {number}"))
        return nodes

    def turn(self, scale=(0, 0)):
        self.fleet.turn(self.known(), scale=scale)
        return self.fleet.progress

    def scale(self, current, desired):
        self.fleet.say(f"scale {current} {desired}")

    def finish(self, *outcomes):
        processes.until(lambda: self.turn() in outcomes, 60)
        return self.fleet.progress

    def up(self):
        return {name for name, backends in self.fleet.seen().items()
                if set(backends.values()) == {"UP"}}

    def stop(self):
        self.fleet.stop()
        for slot in self.slots().values():
            if slot["pid"] and processes.started_at(slot["pid"]) == slot["began"]:
                processes.end(slot["pid"], signal.SIGKILL)


@pytest.fixture(name="stage")
def _stage(tmp_path, front):
    stage = Stage(tmp_path, front)
    yield stage
    stage.stop()


def test_nodes_are_started_taken_in_and_taken_away_and_no_request_fails(front, stage):
    stage.scale(0, 2)
    assert stage.finish("done", "failed") == "done", stage.fleet.detail
    assert len(stage.up()) == 2
    with Load(front.port) as load:
        stage.scale(2, 4)
        assert stage.finish("done", "failed") == "done", stage.fleet.detail
        assert len(stage.up()) == 4
        stage.scale(4, 2)
        assert stage.finish("done", "failed") == "done", stage.fleet.detail
        processes.until(lambda: stage.turn() and len(stage.fleet.seen()) == 2)
    assert load.answered > 100 and load.failed == []
    # those with the fewest connections went
    assert set(stage.slots()) == {"node-3", "node-4"}
    drained = {event.split()[1] for event in stage.fleet.heard("HAPROXY_DRAIN")}
    assert len(drained) == 2
    asked = [event.split()[0] for event in stage.fleet.events if event.startswith("SCALE_")]
    assert asked == ["SCALE_OUT", "SCALE_OUT", "SCALE_IN"]
    # drained before it was told to stop
    order = [event.split()[0] for event in stage.fleet.events]
    assert order.index("HAPROXY_DRAIN") < order.index("SCALE_IN")


def test_nodes_that_the_provider_does_not_run_cannot_be_taken_away(front, stage):
    stage.scale(2, 1)
    assert stage.finish("done", "failed") == "failed"
    assert "runs none that could go" in stage.fleet.detail


def test_load_that_rises_while_nodes_drain_takes_them_back(front, stage):
    stage.scale(0, 3)
    assert stage.finish("done", "failed") == "done", stage.fleet.detail
    before = stage.slots()
    busy = http.client.HTTPConnection("127.0.0.1", front.port)
    busy.request("GET", "/v1/other")  # keeps a connection, not a session
    busy.getresponse().read()
    stage.scale(3, 2)
    assert stage.turn(scale=(3, 5)) == "failed"
    assert "taken back" in stage.fleet.detail
    processes.until(lambda: stage.turn() and len(stage.up()) == 3)
    assert stage.slots() == before
    busy.close()


@pytest.mark.parametrize("change", [(2, 4), (3, 1)])
def test_a_controller_killed_at_any_step_is_followed_by_one_that_goes_on(front, stage, change):
    current, desired = change
    stage.scale(0, current)
    assert stage.finish("done", "failed") == "done", stage.fleet.detail
    with Load(front.port) as load:
        for turns in (0, 1, 2, 3, 5, 8):
            current = len(stage.known())
            step = desired - change[0]
            if not 1 <= current + step <= 8:
                step = -step
            stage.scale(current, current + step)
            for _ in range(turns):
                stage.turn()
            stage.fleet.kill()
            stage.fleet.begin()
            # it knows nothing: what is wanted runs, serves and is in HAProxy, and nothing else
            wanted = processes.until(lambda: stage.turn() and is_settled(stage), 60)
            assert wanted
        assert load.failed == []
    assert load.answered > 100


def is_settled(stage):
    slots = stage.slots()
    names = {slot["url"].rpartition("/")[2].replace(":", "_") for slot in slots.values()
             if slot["stopping_us"] == 0}
    return all(slot["url"] and not slot["stopping_us"] for slot in slots.values()) and \
        stage.up() == names == set(stage.fleet.seen())
