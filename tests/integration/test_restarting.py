# SPDX-License-Identifier: Apache-2.0
"""RESTART_SERVICE on the real program: processes are replaced one at a time, no request is lost,
and the journal tells the truth whatever dies in the middle."""

import contextlib
import os
import pathlib
import re
import signal
import sys
import threading

import pytest

import rig
from rig import Venue, eventually
from takeovers import Crowd, Node, is_alive

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
from postgres_pair import DATABASE  # noqa: E402

WAIT_S = 60
CROWDED = """[alert.crowded]
metric = connections_total
threshold = 3
action = RESTART_SERVICE
cooldown = 1h
[recovery]
verify = 2s
restart_after = 0s
restart_within = {within}
"""


@pytest.fixture
def make_node(tmp_path, request):
    made = []

    def make(within="1m", **options):
        path = tmp_path / "turnout.ini"
        path.write_text(CROWDED.format(within=within))
        made.append(Node(tmp_path, "--config", str(path), **options))
        return made[-1].start()

    yield make
    for node in made:
        if request.session.testsfailed:
            print(node.log_tail())
        node.kill_all()


def restarts(client):
    answer = client.get("/v1/actions?limit=1000")
    assert answer.status == 200, answer
    return [one for one in answer.json["items"] if one["action"] == "RESTART_SERVICE"]


def row_becomes(node, *outcomes):
    def look():
        with node.client() as client:
            return restarts(client)
    return eventually(look, lambda rows: rows and rows[-1]["outcome"] in outcomes, WAIT_S)[-1]


@contextlib.contextmanager
def program_that_ends(folder, text):
    """A program whose next process is a script."""
    current, other = folder / "turnout", folder / "other"
    current.symlink_to(rig.BIN)
    other.write_text(f"#!/bin/sh\n{text}\n")
    other.chmod(0o755)

    def replace(by):
        current.unlink()
        current.symlink_to(by)

    yield current, lambda: replace(other), lambda: replace(rig.BIN)


# One process -------------------------------------------------------------------------------------

def test_a_node_by_itself_is_started_anew_under_load_and_judged(make_node):
    node = make_node()
    since = node.mark()
    with Crowd(node, 7) as crowd:  # every scanner checks every answer
        node.finish(since)
        crowd.wait_for(200)
        row = row_becomes(node, "no effect", "better", "worse")  # by the new process
    assert row["detail"].endswith("serves") and row["trigger"].startswith("crowded: ")
    assert row["after"] != {} and row["plan"]
    assert "event=restart_ordered by=" in node.log()
    with node.client() as client:  # the new process keeps the cooldown of the old one
        assert {one["outcome"] for one in restarts(client)[:-1]} <= {"held"}
    assert len(re.findall("event=takeover_begun", node.log())) == 1
    crowd.check()
    node.stop()


def test_a_new_process_that_fails_is_told_and_the_old_one_serves_on(make_node, tmp_path):
    with program_that_ends(tmp_path, "exit 3") as (binary, break_it, _):
        node = make_node(within="5s", binary=binary)
        break_it()
        with Crowd(node, 8) as crowd:
            row = row_becomes(node, "failed")
            crowd.wait_for(20)
            with node.client() as client:  # the ladder ends here
                eventually(lambda: client.get("/v1/actions").json["items"], lambda rows: any(
                    one["action"] == "CALL_PERSON" and one["outcome"] == "called"
                    for one in rows), WAIT_S)
    assert "did not come back in time" in row["detail"]
    assert is_alive(node.pid) and len(re.findall("event=takeover_begun", node.log())) == 1
    crowd.check()
    node.stop()


def test_a_controller_that_is_killed_in_the_middle_left_it_interrupted(make_node, tmp_path):
    with program_that_ends(tmp_path, "exec sleep 1000") as (binary, break_it, mend):
        node = make_node(binary=binary)
        break_it()
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(node.client()).get("/livez")
            child = int(node.wait(r"event=takeover_begun new_pid=(\d+)")[1])
            assert row_becomes(node, "begun")["detail"] == ""
            os.kill(node.pid, signal.SIGKILL)
        node.children[0].wait()
        os.kill(child, signal.SIGKILL)
        mend()
        since = node.mark()
        node.launch()
        node.pids.append(int(node.wait(r"^ready url=\S+ pid=(\d+)$", since)[1]))
        row = row_becomes(node, "interrupted")
        assert "its controller ended" in row["detail"]
        node.stop()


# Many nodes --------------------------------------------------------------------------------------

def test_nodes_of_a_provider_go_one_after_the_other_and_it_keeps_them(pair, tmp_path):
    """A controller that is no node, and two processes that it started."""
    pair.primary.sql("DELETE FROM action_journal; DELETE FROM leases; DELETE FROM nodes; "
                     "DELETE FROM control_orders", DATABASE)
    home = tmp_path / "nodes"
    path = tmp_path / "turnout.ini"
    path.write_text(f"""[scaler]
provider = process
min = 2
up_cpu = 100
up_memory = 100
down_cpu = 0
down_memory = 0
[process]
folder = {home}
listen = 127.0.0.1:0
[recovery]
verify = 0s
restart_after = 0s
[alert.ordered]
metric = healthy_nodes
op = >=
threshold = 2
for = 2s
action = RESTART_SERVICE
cooldown = 1h
""")
    controller = rig.Server(tmp_path, "--config", str(path), command="control", store=pair.url(),
                            env={**pair.environment(), "TURNOUT_AUTH_MODE": "off"})
    ends, broken, seen = threading.Event(), [], []

    def ask(url, path):
        try:
            with rig.Client(*url.removeprefix("http://").split(":")) as client:
                while not ends.is_set():
                    assert client.get(path).status == 200
        except Exception as error:
            broken.append(error)

    try:
        controller.start()
        with controller.client() as client:
            def nodes():
                answer = client.get("/v1/nodes")
                items = answer.json["items"] if answer.status == 200 else []
                return {one["url"]: (one["healthy"], one["started_at"]) for one in items
                        if one["state"] != "gone"}
            first = eventually(nodes, lambda all_: len(all_) == 2 and
                               all(healthy for healthy, _ in all_.values()), WAIT_S)
            url = next(iter(first))
            with rig.Client(*url.removeprefix("http://").split(":")) as link:
                venue = Venue(link)
            load = [threading.Thread(target=ask, args=(url, f"{venue.path}/stats"))
                    for url in first]
            for each in load:
                each.start()

            def look():
                seen.append(nodes())
                return restarts(client)
            row = eventually(look, lambda rows: rows and rows[0]["outcome"] not in ("begun",),
                             WAIT_S)[0]
            assert row["outcome"] == "done", row
            assert row["detail"].startswith("2 started anew: "), row
            last = eventually(nodes, lambda all_: len(all_) == 2, WAIT_S)
            assert last.keys() == first.keys()
            assert all(last[url][1] != first[url][1] for url in first)
            changed = [sum(now.get(url, (0, 0))[1] != first[url][1] for url in first)
                       for now in seen]
            assert sorted(changed) == changed and 1 in changed  # one after the other
            ends.set()
            for each in load:
                each.join()
            assert broken == []
            slots = sorted(home.glob("node-*.json"))
            assert len(slots) == 2
            for slot in slots:
                kept = rig.json.loads(slot.read_text())
                ready = re.findall(r"pid=(\d+)", slot.with_suffix(".out").read_text())
                assert len(ready) == 2 and kept["pid"] == int(ready[-1]) and kept["tries"] == 0
                eventually(lambda pid=int(ready[0]): is_alive(pid), lambda alive: not alive,
                           WAIT_S)
    finally:
        ends.set()
        controller.kill()
        for slot in home.glob("node-*.json"):
            pid = rig.json.loads(slot.read_text())["pid"]
            command = pathlib.Path(f"/proc/{pid}/cmdline")
            if pid and command.exists() and b"turnout" in command.read_bytes():
                os.kill(pid, signal.SIGKILL)
