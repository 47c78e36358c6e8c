# SPDX-License-Identifier: Apache-2.0
"""What starts and stops nodes: the same promises, whatever is behind.

Kubernetes, Nomad and Docker's engine are played by tests/support/platforms.py; systemctl and the
operator's program are programs that the tests write. What is not tried here on the real thing is
said in docs/scaling.md.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

import rig

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import platforms  # noqa: E402
import processes  # noqa: E402

PROBE = os.environ.get("TURNOUT_PROVIDER_PROBE",
                       str(pathlib.Path(rig.BIN).parent / "tests" / "provider_probe"))


class Provider:
    def __init__(self, kind, /, **options):
        words = [f"{name}={value}" for name, value in options.items()]
        self.process = subprocess.Popen([PROBE, kind, *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.opened, self.detail = self.hear()

    def hear(self):
        line = self.process.stdout.readline()
        assert line, "the provider ended"
        words, _, self.detail = line.rstrip("\n").partition("|")
        return words, self.detail

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.hear()[0]

    def look(self):
        code, *numbers = self.say("look").split()
        return code if code != "ok" else tuple(int(number) for number in numbers)

    def scale(self, before, after, *victims):
        return self.say(" ".join(["scale", str(before), str(after), *victims]))

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


UNITS = """#!/usr/bin/python3
import json, pathlib, sys
home = pathlib.Path(sys.argv[0]).parent
units = json.loads((home / "units").read_text())
with open(home / "calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
scope, verb, option, *names = sys.argv[1:]
if verb == "show":
    print("\\n\\n".join("ActiveState=" + units.get(name, "inactive") for name in names))
for name in names:
    if verb in ("start", "stop"):
        units[name] = "active" if verb == "start" else "inactive"
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
                "systemd": lambda: list(self.units.values()).count("active"),
                "command": lambda: int((self.folder / "count").read_text())}[self.kind]()

    def set(self, count):
        if self.kind == "kubernetes":
            self.platform.replicas = count
        elif self.kind == "nomad":
            self.platform.count = count
        elif self.kind == "swarm":
            self.platform.spec = platforms.Docker.SPEC % count
        elif self.kind == "systemd":
            self.units = {f"turnout@{n}.service": "active" for n in range(1, count + 1)}
        else:
            (self.folder / "count").write_text(str(count))

    def stop(self):
        self.provider.stop()
        if self.platform:
            self.platform.stop()


@pytest.fixture(name="stage", params=["kubernetes", "nomad", "swarm", "systemd", "command"])
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


@only("systemd")
def test_systemd_starts_the_lowest_and_stops_victims_then_the_highest(stage):
    stage.units = {f"turnout@{n}.service": "active" for n in (1, 3, 6)}
    assert stage.provider.scale(3, 5) == "ok"
    assert {n for n in range(1, 11) if stage.units.get(f"turnout@{n}.service") == "active"} == \
        {1, 2, 3, 4, 6}
    assert stage.provider.scale(5, 3, "turnout@1.service") == "ok"
    assert {n for n in range(1, 11) if stage.units.get(f"turnout@{n}.service") == "active"} == \
        {2, 3, 4}
    calls = (stage.folder / "calls").read_text().splitlines()
    assert "--system start --no-block turnout@2.service turnout@4.service" in calls
    assert "--system stop --no-block turnout@1.service turnout@6.service" in calls
    assert stage.provider.scale(3, 11) == "bad_configuration"


@only("systemd")
def test_systemd_units_that_fail_or_start_are_told_apart(stage):
    stage.units = {"turnout@1.service": "active", "turnout@2.service": "activating",
                   "turnout@3.service": "failed", "turnout@4.service": "deactivating"}
    assert stage.provider.look() == (2, 3, 1, 0)


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
