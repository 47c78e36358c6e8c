# SPDX-License-Identifier: Apache-2.0
"""What starts and stops nodes: the same promises, whatever is behind.

Kubernetes, Nomad and Docker's engine are played by tests/support/platforms.py; systemctl and the
operator's program are programs that the tests write. Processes are real ones, mostly of a program
that is quick to start. What is not tried here on the real thing is said in docs/scaling.md.
"""

import fcntl
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys

import pytest

import rig

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import platforms  # noqa: E402
import processes  # noqa: E402
from providers import Provider  # noqa: E402

# A unit is "STATE" or "STATE JOB"; one at rest is not listed, and unknown ones are not either.
UNITS = """#!/usr/bin/python3
import fnmatch, json, pathlib, sys
home = pathlib.Path(sys.argv[0]).parent
units = json.loads((home / "units").read_text())
with open(home / "calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
scope, verb, option, *names = sys.argv[1:]
if verb == "list-units":
    assert option == "--output=json"
    print(json.dumps([{"unit": name, **dict(zip(("active", "job"), state.split()))}
                      for name, state in units.items()
                      if fnmatch.fnmatch(name, names[0]) and state != "inactive"]))
    sys.exit(0)
if (home / "exit").exists():
    print("its own words", file=sys.stderr)
    sys.exit(int((home / "exit").read_text()))
for name in names:
    units[name] = {"start": "inactive start", "stop": "active stop"}[verb]
(home / "units").write_text(json.dumps(units))
"""

PROGRAM = """#!/usr/bin/python3
import json, pathlib, sys
home = pathlib.Path(sys.argv[0]).parent
asked = json.load(sys.stdin)
count = int((home / "count").read_text())
with open(home / "asked", "a") as log:
    log.write(json.dumps(asked) + "\\n")
if asked["action"] == "look":
    print(json.dumps({"desired": count, "running": count, "ready": count - 1}))
elif asked["from"] != count:
    sys.exit(75)
else:
    (home / "count").write_text(str(asked["to"]))
"""


NODE = """#!/usr/bin/python3
import os, pathlib, signal, sys
mood = pathlib.Path("mood").read_text()
assert sys.argv[1:4] == ["serve", "--listen", "127.0.0.1:0"], sys.argv
if mood == "dies":
    sys.exit("no store")
if mood == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mood != "silent":
    print(f"ready url=http://127.0.0.1:{os.getpid() % 50000} pid={os.getpid()}", flush=True)
while True:
    signal.pause()
"""


class Stage:
    """A provider, and a way to see and change the count behind its back."""

    def __init__(self, kind, folder):
        self.kind, self.platform, self.folder = kind, None, folder
        options = getattr(self, "_" + kind)()
        self.provider = Provider(kind, **options)
        assert self.provider.opened == "ok", self.provider.detail

    def _kubernetes(self):
        self.platform = platforms.Kubernetes()
        (self.folder / "token").write_text("good\n")
        return {"url": self.platform.url, "token_file": self.folder / "token", "space": "door",
                "kind": "deployment", "name": "checkin"}

    def _nomad(self):
        self.platform = platforms.Nomad()
        (self.folder / "token").write_text("good")
        return {"url": self.platform.url, "token_file": self.folder / "token", "job": "checkin",
                "group": "web"}

    def _swarm(self):
        self.platform = platforms.Docker(self.folder / "docker.sock")
        return {"socket": self.folder / "docker.sock", "service": "checkin"}

    def _systemd(self):
        program = platforms.write_program(self.folder / "systemctl", UNITS)
        self.units = {f"turnout@{n}.service": "active" for n in (1, 2)}
        return {"template": "turnout", "nodes_max": 10, "systemctl": program}

    def _process(self):
        self.home = self.folder / "nodes"
        self.home.mkdir()
        (self.home / "mood").write_text("good")
        self.options = {"program": platforms.write_program(self.folder / "turnout", NODE),
                        "folder": self.home}
        self.set(2)
        return self.options

    def slots(self):
        return {path.stem: json.loads(path.read_text()) for path in self.home.glob("node-*.json")}

    def settle(self, count):
        """Until so many are wanted, run and serve."""
        processes.until(lambda: self.provider.look()[:3] == (count, count, count))

    def _command(self):
        program = platforms.write_program(self.folder / "program", PROGRAM)
        self.set(2)
        return {"program": program}

    @property
    def units(self):
        return json.loads((self.folder / "units").read_text())

    @units.setter
    def units(self, units):
        (self.folder / "units").write_text(json.dumps(units))

    def count(self):
        return {"kubernetes": lambda: self.platform.replicas,
                "nomad": lambda: self.platform.count,
                "swarm": lambda: self.platform.replicas(),
                "process": lambda: [slot["stopping_us"] for slot in self.slots().values()].count(0),
                "systemd": lambda: len([state for state in self.units.values()
                                        if state in ("active", "inactive start")]),
                "command": lambda: int((self.folder / "count").read_text())}[self.kind]()

    def set(self, count):
        if self.kind == "kubernetes":
            self.platform.replicas = count
        elif self.kind == "nomad":
            self.platform.count = count
        elif self.kind == "swarm":
            self.platform.spec = platforms.Docker.SPEC % count
        elif self.kind == "process":
            other = Provider("process", **self.options)
            assert other.scale(self.count(), count) == "ok", other.detail
            processes.until(lambda: other.look()[2] == count)
            other.stop()
        elif self.kind == "systemd":
            self.units = {f"turnout@{n}.service": "active" for n in range(1, count + 1)}
        else:
            (self.folder / "count").write_text(str(count))

    def stop(self):
        self.provider.stop()
        if self.platform:
            self.platform.stop()
        if self.kind == "process":
            end_nodes(self.home)


def end_nodes(home):
    """Whatever still runs there."""
    for path in home.glob("node-*.json"):
        slot = json.loads(path.read_text())
        if slot["pid"] and processes.started_at(slot["pid"]) == slot["began"]:
            processes.end(slot["pid"], signal.SIGKILL)


@pytest.fixture(name="stage", params=["kubernetes", "nomad", "swarm", "systemd", "command",
                                       "process"])
def _stage(request, tmp_path):
    stage = Stage(request.param, tmp_path)
    yield stage
    stage.stop()


def only(kind):
    return pytest.mark.parametrize("stage", [kind], indirect=True)


# The contract -----------------------------------------------------------------------------------

def test_it_tells_how_many_there_are(stage):
    desired, running, ready, busy = stage.provider.look()
    assert (desired, busy) == (2, 0)
    assert running in (1, 2) and ready in (1, 2)


def test_a_change_from_the_count_that_is_there_lands(stage):
    assert stage.provider.scale(2, 4) == "ok", stage.provider.detail
    assert stage.count() == 4
    assert stage.provider.look()[0] == 4
    assert stage.provider.scale(4, 3) == "ok", stage.provider.detail
    assert stage.count() == 3


def test_a_change_from_another_count_is_refused_and_changes_nothing(stage):
    stage.set(5)
    assert stage.provider.scale(2, 4) == "conflict"
    assert stage.count() == 5


def test_a_victims_name_that_could_be_something_else_is_refused(stage):
    for name in ("../x", "a;b", "-a", "a/b", "x" * 300):
        assert stage.provider.scale(2, 1, name) == "invalid_field"
    assert stage.count() == 2


# One by one -------------------------------------------------------------------------------------

@pytest.mark.parametrize("stage", ["kubernetes", "nomad", "swarm"], indirect=True)
def test_trouble_is_named_by_what_it_is(stage):
    for status, code in ((401, "unauthorized"), (403, "unauthorized"), (409, "conflict"),
                         (404, "bad_configuration"), (500, "store_unavailable")):
        stage.platform.fault = (status, "the words of the other side\nand more")
        assert stage.provider.look() == code
        assert "the words of the other side" in stage.provider.detail
    stage.platform.fault = (200, "no json")
    assert stage.provider.look() == "io_error"
    stage.platform.fault = None
    stage.platform.stop()
    assert stage.provider.look() == "store_unavailable"
    assert "good" not in stage.provider.detail


def test_a_server_that_says_nothing_costs_the_time_limit_and_no_more(tmp_path):
    platform = platforms.Nomad()
    platform.silent = True
    provider = Provider("nomad", url=platform.url, job="checkin", group="web", timeout_ms=200)
    assert provider.look() == "deadline_exceeded"
    provider.stop()
    platform.stop()


@only("kubernetes")
def test_kubernetes_is_left_to_an_autoscaler_that_is_there(stage):
    stage.platform.autoscalers = [{"spec": {"scaleTargetRef": {"kind": "Deployment",
                                                               "name": "checkin"}}}]
    assert stage.provider.scale(2, 4) == "bad_configuration"
    assert "HorizontalPodAutoscaler" in stage.provider.detail
    assert stage.platform.replicas == 2
    stage.platform.autoscalers[0]["spec"]["scaleTargetRef"]["name"] = "other"
    assert stage.provider.scale(2, 4) == "ok"


@only("kubernetes")
def test_kubernetes_rolls_out_first_and_victims_are_marked(stage):
    stage.platform.rolling = True
    assert stage.provider.look() == (2, 2, 1, 1)
    stage.platform.rolling = False
    assert stage.provider.scale(2, 1, "checkin-7d9-abc") == "ok"
    assert stage.platform.marked == ["checkin-7d9-abc"]


@only("kubernetes")
def test_kubernetes_gets_a_token_that_rotates(stage):
    stage.platform.token = "newer"
    assert stage.provider.look() == "unauthorized"
    (stage.folder / "token").write_text("newer")
    assert stage.provider.look()[0] == 2
    (stage.folder / "token").unlink()
    assert stage.provider.look() == "unauthorized"


@only("nomad")
def test_nomad_deploys_first(stage):
    stage.platform.deploying = True
    assert stage.provider.scale(2, 4) == "conflict"
    stage.platform.deploying = False
    stage.platform.stopped = True
    assert stage.provider.look() == "bad_configuration"


@only("swarm")
def test_swarm_gets_its_specification_back_byte_for_byte(stage):
    assert stage.provider.scale(2, 4) == "ok"
    assert stage.platform.spec == platforms.Docker.SPEC % 4


@only("swarm")
def test_swarm_is_not_resized_during_an_update_or_from_an_old_version(stage):
    stage.platform.state = "updating"
    assert stage.provider.look()[3] == 1
    assert stage.provider.scale(2, 4) == "conflict"
    stage.platform.state = "completed"
    whole = stage.platform.answer

    def changed_meanwhile(method, path, headers, body):
        if method == "POST":
            stage.platform.version += 1
        return whole(method, path, headers, body)

    stage.platform.answer = changed_meanwhile
    assert stage.provider.scale(2, 4) == "conflict"
    assert stage.count() == 2


def units_of(**states):
    return {f"turnout@{number[1:]}.service": state for number, state in states.items()}


@only("systemd")
def test_systemd_starts_the_lowest_and_stops_victims_then_the_highest(stage):
    stage.units = units_of(n1="active", n3="active", n6="active")
    assert stage.provider.scale(3, 5) == "ok"
    assert stage.provider.scale(5, 3, "turnout@1.service") == "ok"
    calls = (stage.folder / "calls").read_text().splitlines()
    assert "--system start --no-block turnout@2.service turnout@4.service" in calls
    # 2 and 4 do not serve yet: the first of them goes before 6
    assert "--system stop --no-block turnout@1.service turnout@4.service" in calls
    stage.units = units_of(n1="active", n3="active", n6="active")
    assert stage.provider.scale(3, 1) == "ok"
    assert "stop --no-block turnout@6.service turnout@3.service" in \
        (stage.folder / "calls").read_text()
    stage.units = units_of(n1="active", n3="active", n6="active")
    assert stage.provider.scale(3, 11) == "bad_configuration"


@only("systemd")
def test_systemd_units_are_told_apart_by_their_state_and_by_what_was_asked_of_them(stage):
    stage.units = units_of(n1="active", n2="activating", n3="failed", n4="deactivating stop")
    assert stage.provider.look() == (2, 3, 1, 0)
    stage.units = units_of(n1="active stop", n2="inactive start", n3="failed start",
                           n4="reloading reload")
    assert stage.provider.look() == (3, 4, 1, 0)
    # one that dies by itself, or waits for its restart, is still wanted
    stage.units = units_of(n1="deactivating", n2="activating", n3="deactivating restart")
    assert stage.provider.look() == (3, 3, 0, 0)
    stage.units = {**units_of(n01="active", n1001="active", n0="active", nx="active"),
                   "other@1.service": "active", "turnout@1.socket": "active"}
    assert stage.provider.look() == (0, 0, 0, 0)


@only("systemd")
def test_systemd_units_that_failed_are_started_when_no_other_is_left(stage):
    stage.units = units_of(n1="active", n2="failed", n3="active")
    assert stage.provider.scale(2, 3) == "ok"
    assert stage.units == units_of(n1="active", n2="failed", n3="active", n4="inactive start")
    stage.units = units_of(**{f"n{n}": "active" for n in range(3, 11)}, n2="failed")
    assert stage.provider.scale(8, 10) == "ok"
    calls = (stage.folder / "calls").read_text().splitlines()
    assert calls[-1] == "--system start --no-block turnout@1.service turnout@2.service"


@only("systemd")
def test_systemd_units_beyond_a_limit_that_was_lowered_are_known_and_can_go(stage):
    stage.units = units_of(n1="active", n2="active", n7="active", n1000="active")
    stage.provider.stop()
    stage.provider = Provider("systemd", template="turnout", nodes_max=2,
                              systemctl=stage.folder / "systemctl")
    assert stage.provider.look() == (4, 4, 4, 0)
    assert stage.provider.scale(4, 5) == "bad_configuration"
    assert stage.provider.scale(4, 2, "turnout@7.service") == "ok"
    assert stage.units == units_of(n1="active", n2="active", n7="active stop",
                                   n1000="active stop")


@only("systemd")
def test_what_systemctl_ends_with_is_told_apart(stage):
    for number, code in ((4, "unauthorized"), (5, "bad_configuration"), (1, "store_unavailable")):
        (stage.folder / "exit").write_text(str(number))
        assert stage.provider.scale(2, 3) == code
        assert "its own words" in stage.provider.detail


@only("process")
def test_processes_outlive_the_controller_and_are_adopted(stage):
    before = {slot["pid"] for slot in stage.slots().values()}
    stage.provider.stop()
    stage.provider = Provider("process", **stage.options)
    assert stage.provider.look() == (2, 2, 2, 0)
    assert {slot["pid"] for slot in stage.slots().values()} == before
    url = stage.slots()["node-2"]["url"]
    assert stage.provider.say(f"instance host:1 {url}") == "node-2"
    assert stage.provider.say("instance host:1 http://127.0.0.1:1") == "-"
    assert stage.provider.scale(2, 0) == "ok"
    stage.settle(0)
    assert not [pid for pid in before if processes.started_at(pid)]
    assert stage.slots() == {}


@only("process")
def test_processes_beyond_a_limit_that_was_lowered_are_known_and_can_go(stage):
    stage.set(3)
    for name in ("node-2.json.old", "node-.json", "node-1001.json", "node-2x.json"):
        (stage.home / name).write_text("none of a node")
    stage.provider.stop()
    stage.provider = Provider("process", **{**stage.options, "nodes_max": 1})
    assert stage.provider.look() == (3, 3, 3, 0)
    for name in ("node-.json", "node-1001.json", "node-2x.json"):
        (stage.home / name).unlink()
    assert stage.provider.scale(3, 4) == "bad_configuration"
    assert stage.provider.scale(3, 1, "node-1", "node-2") == "ok"
    stage.settle(1)
    assert set(stage.slots()) == {"node-3"}


@only("process")
def test_a_process_that_ended_by_itself_is_started_again(stage):
    victim = stage.slots()["node-1"]["pid"]
    os.kill(victim, signal.SIGKILL)
    processes.until(lambda: stage.provider.look()[2] == 1)
    stage.settle(2)
    assert stage.slots()["node-1"]["pid"] not in (0, victim)


@only("process")
def test_the_named_stop_first_then_those_that_do_not_serve_then_the_highest(stage):
    stage.set(4)
    (stage.home / "mood").write_text("silent")
    os.kill(stage.slots()["node-2"]["pid"], signal.SIGKILL)
    processes.until(lambda: stage.provider.look()[2] == 3)
    for count, victims, left in ((4, ["node-1"], "234"), (3, [], "34"), (2, [], "3")):
        assert stage.provider.scale(count, count - 1, *victims) == "ok"
        processes.until(lambda: set(stage.slots()) == {f"node-{n}" for n in left}
                        or not stage.provider.look())
    # the lowest free number comes first
    (stage.home / "mood").write_text("good")
    assert stage.provider.scale(1, 2) == "ok"
    assert set(stage.slots()) == {"node-1", "node-3"}


@only("process")
def test_a_pid_that_is_somebody_elses_by_now_is_never_touched(stage):
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        slot = stage.slots()["node-1"]
        processes.end(slot["pid"], signal.SIGKILL)
        (stage.home / "node-1.json").write_text(json.dumps({**slot, "pid": stranger.pid}))
        processes.until(lambda: stage.provider.look()[2] == 1)  # seen as ended
        (stage.home / "node-1.json").write_text(json.dumps({**slot, "pid": stranger.pid}))
        assert stage.provider.scale(2, 0) == "ok"
        stage.settle(0)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@only("process")
def test_pids_of_another_boot_are_nobodys(stage):
    for name, slot in stage.slots().items():
        processes.end(slot["pid"], signal.SIGKILL)
        later = {**slot, "pid": os.getpid(), "began": processes.started_at(os.getpid()),
                 "boot": "another", "started_us": 1 << 52, "rests_until_us": 1 << 52}
        (stage.home / f"{name}.json").write_text(json.dumps(later))
    stage.settle(2)


@only("process")
def test_a_process_that_never_serves_is_killed_and_rests(stage):
    stage.provider.stop()
    stage.provider = Provider("process", **stage.options, ready_ms=100)
    (stage.home / "mood").write_text("silent")
    assert stage.provider.scale(2, 3) == "ok"
    first = stage.slots()["node-3"]["pid"]
    processes.until(lambda: stage.provider.look() and stage.slots()["node-3"]["tries"] >= 1)
    assert processes.started_at(first) is None
    (stage.home / "mood").write_text("good")
    # it takes its own time to start: the limit is for those that do not
    stage.provider.stop()
    stage.provider = Provider("process", **stage.options)
    stage.settle(3)


@only("process")
def test_a_process_that_dies_at_once_rests_longer_each_time(stage):
    (stage.home / "mood").write_text("dies")
    assert stage.provider.scale(2, 3) == "ok"
    processes.until(lambda: stage.provider.look() and stage.slots()["node-3"]["tries"] >= 2)
    slot = stage.slots()["node-3"]
    assert slot["rests_until_us"] - slot["started_us"] >= 2_000_000
    assert (stage.home / "node-3.log").read_text().splitlines() == ["no store"] * slot["tries"]
    assert stage.provider.look() == (3, 2, 2, 0)
    assert stage.provider.scale(3, 2) == "ok"  # it goes first
    assert set(stage.slots()) == {"node-1", "node-2"}


@only("process")
@pytest.mark.parametrize("how", ["deaf", "frozen"])
def test_a_process_that_does_not_stop_is_killed(stage, how):
    stage.provider.stop()
    stage.provider = Provider("process", **stage.options, stop_ms=100)
    (stage.home / "mood").write_text(how)
    assert stage.provider.scale(2, 3) == "ok"
    stage.settle(3)
    pid = stage.slots()["node-3"]["pid"]
    if how == "frozen":
        os.kill(pid, signal.SIGSTOP)
    assert stage.provider.scale(3, 2, "node-3") == "ok"
    stage.settle(2)
    assert processes.started_at(pid) is None


@only("process")
def test_a_controller_killed_at_any_moment_leaves_no_process_that_nobody_knows(stage):
    stage.provider.stop()
    for turn in range(30):
        count = stage.count()
        controller = Provider("process", **stage.options)
        after = count + 1 if count < 4 else 1
        controller.process.stdin.write(f"scale {count} {after}\n")
        controller.process.stdin.flush()
        if turn % 3:  # else before it can have begun
            processes.until(lambda: stage.count() != count or has_answered(controller),
                            pause=0.0001 * turn)
        controller.process.kill()
        controller.process.wait()
    # one that was marked as stopping and not told before the end is killed when its time is up
    stage.provider = Provider("process", **stage.options, stop_ms=500)
    stage.settle(stage.count())
    running = {int(path.parent.name) for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
               if str(stage.options["program"]).encode() in words_of(path)[1:2]}
    assert running == {slot["pid"] for slot in stage.slots().values()}


def has_answered(provider):
    return bool(select.select([provider.process.stdout], [], [], 0)[0])


def words_of(path):
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []


@only("process")
def test_two_at_once_are_a_conflict_and_damage_is_named(stage):
    with open(stage.home / "lock", "r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        assert stage.provider.look() == "conflict"
        assert stage.provider.scale(2, 3) == "conflict"
    whole = (stage.home / "node-1.json").read_text()
    for text in ("", "{}", "[1", '{"pid":"1"}', whole.replace('"pid":', '"pid":-')):
        (stage.home / "node-1.json").write_text(text)
        assert stage.provider.look() == "io_error"
        assert "node-1.json is damaged" in stage.provider.detail
    (stage.home / "node-1.json").write_text(whole)
    assert stage.provider.look() == (2, 2, 2, 0)
    assert stage.provider.scale(2, 11) == "bad_configuration"


def test_turnout_itself_is_started_serves_and_is_stopped(tmp_path):
    config = tmp_path / "turnout.ini"
    config.write_text(f"[store]\nurl = sqlite:{tmp_path}/turnout.db\n[auth]\nmode = off\n")
    home = tmp_path / "nodes"
    provider = Provider("process", program=rig.BIN, folder=home, config=config)
    try:
        assert provider.look() == (0, 0, 0, 0)
        assert provider.scale(0, 1) == "ok", provider.detail
        processes.until(lambda: provider.look()[2] == 1)
        slot = json.loads((home / "node-1.json").read_text())
        host, _, port = slot["url"].rpartition("/")[2].partition(":")
        with rig.Client(host, int(port)) as client:
            assert client.get("/readyz").status == 200
        assert provider.scale(1, 0) == "ok"
        processes.until(lambda: provider.look() == (0, 0, 0, 0))
        assert "event=stopped" in (home / "node-1.log").read_text()
        assert processes.started_at(slot["pid"]) is None
    finally:
        provider.stop()
        end_nodes(home)


def test_a_node_that_hands_over_to_a_new_process_is_followed_and_back(tmp_path):
    config = tmp_path / "turnout.ini"
    config.write_text(f"[store]\nurl = sqlite:{tmp_path}/turnout.db\n[auth]\nmode = off\n")
    home = tmp_path / "nodes"
    provider = Provider("process", program=rig.BIN, folder=home, config=config)

    def slot():
        return json.loads((home / "node-1.json").read_text())

    def is_at(pid):
        assert provider.look()[0] == 1
        return slot()["pid"] == pid

    def take_over(pid):
        os.kill(pid, signal.SIGUSR2)
        processes.until(lambda: not is_at(pid), 60)
        return slot()["pid"]

    try:
        assert provider.scale(0, 1) == "ok", provider.detail
        processes.until(lambda: provider.look()[2] == 1)
        first, url = slot()["pid"], slot()["url"]
        second = take_over(first)
        processes.until(lambda: processes.started_at(first) is None and
                        is_at(second) and slot()["before_pid"] == 0)
        assert slot()["url"] == url and slot()["tries"] == 0
        host, _, port = url.rpartition("/")[2].partition(":")
        # a request that is not finished keeps the second there while the third serves
        with socket.create_connection((host, int(port))) as held:
            held.sendall(b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
                         b"Content-Type: application/json\r\n\r\n{")
            third = take_over(second)
            assert slot()["before_pid"] == second
            os.kill(third, signal.SIGKILL)
            processes.until(lambda: is_at(second), 60)
        assert slot()["url"] == url  # one that was started anew would be elsewhere
        with rig.Client(host, int(port)) as client:
            assert client.get("/readyz").status == 200
        assert provider.scale(1, 0) == "ok"
        processes.until(lambda: provider.look() == (0, 0, 0, 0), 60)
        assert not [pid for pid in (first, second, third) if processes.started_at(pid)]
    finally:
        provider.stop()
        end_nodes(home)


@only("command")
def test_the_program_is_told_everything_and_runs_without_a_shell(stage):
    assert stage.provider.scale(2, 1, "n1", "n2") == "ok"
    asked = json.loads((stage.folder / "asked").read_text().splitlines()[-1])
    assert asked == {"action": "scale", "from": 2, "to": 1, "victims": ["n1", "n2"],
                     "reason": "cpu 85 > 80"}


@pytest.mark.parametrize("text, code, words", [
    ("#!/bin/sh\necho 'no quota left' >&2\nexit 3\n", "store_unavailable", "no quota left"),
    ("#!/bin/sh\nkill -9 $$\n", "store_unavailable", "137"),
    ("#!/bin/sh\necho '{\"desired\":-1}'\n", "io_error", "must answer"),
    ("#!/bin/sh\necho nonsense\n", "io_error", "must answer"),
    ("#!/bin/sh\nyes\n", "too_large", "said too much"),
    ("#!/nowhere/at/all\n", "bad_configuration", "cannot run"),
])
def test_a_program_that_misbehaves_is_an_error_with_its_own_words(tmp_path, text, code, words):
    program = platforms.write_program(tmp_path / "program", text)
    provider = Provider("command", program=program)
    assert provider.look() == code
    assert words in provider.detail
    provider.stop()


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path):
    program = platforms.write_program(
        tmp_path / "program", "#!/bin/sh\nsleep 1000 &\necho $! >pid.new\nmv pid.new "
        f"{tmp_path}/pid\nwait\n".replace("pid.new", f"{tmp_path}/pid.new"))
    provider = Provider("command", program=program, timeout_ms=1500)
    assert provider.look() == "deadline_exceeded"
    child = int((tmp_path / "pid").read_text())
    processes.until(lambda: processes.started_at(child) is None)
    provider.stop()


def test_a_program_that_reads_nothing_is_no_trouble(tmp_path):
    program = platforms.write_program(
        tmp_path / "program", "#!/bin/sh\necho '{\"desired\":3,\"running\":3,\"ready\":2}'\n")
    provider = Provider("command", program=program)
    for _ in range(20):
        assert provider.look() == (3, 3, 2, 0)
    provider.stop()


@pytest.mark.parametrize("kind, options, field", [
    ("kubernetes", {"space": "a b", "kind": "deployment", "name": "x"}, "namespace"),
    ("kubernetes", {"space": "a", "kind": "pod", "name": "x"}, "kind"),
    ("nomad", {"job": "../x", "group": "g"}, "job"),
    ("swarm", {"service": ""}, "service"),
    ("systemd", {"template": "-x"}, "template"),
    ("systemd", {"template": "x", "nodes_max": 0}, "max"),
    ("command", {"program": "relative"}, "program"),
    ("process", {"program": "relative", "folder": "/tmp/x"}, "program"),
    ("process", {"program": "/bin/true", "folder": "relative"}, "folder"),
    ("process", {"program": "/bin/true", "folder": "/tmp/x", "nodes_max": 0}, "max"),
])
def test_an_option_that_cannot_be_is_refused_at_the_start(kind, options, field):
    provider = Provider(kind, **options)
    assert provider.opened == "bad_configuration"
    assert field in provider.detail


def test_none_advises(tmp_path):
    provider = Provider("none")
    assert provider.scale(2, 4) == "bad_configuration"
    assert "from 2 to 4 nodes by hand" in provider.detail
    provider.stop()
