# SPDX-License-Identifier: Apache-2.0
"""Providers on the real thing: processes, a systemd and a Docker engine, all with turnout itself.

The promises are those of tests/integration/test_providers.py. What cannot run here is skipped, and
says by its name what it lacks; `make test-slow` repeats that at the end.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import sys
import urllib.request

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
import engines  # noqa: E402
from processes import end, started_at, until  # noqa: E402
from providers import BIN, Provider  # noqa: E402

PATIENCE_S = 90


class Processes:
    """The same words for turnout's own processes; they need nothing but this machine."""

    kind = "process"

    def __init__(self, folder, binary):
        self.folder, self.program = folder, folder / "turnout"
        # a SQLite store has one node
        self.program.write_text("#!/bin/sh\n"
                                f"TURNOUT_STORE_URL=sqlite:{folder}/$$.db exec {binary} \"$@\"\n")
        self.program.chmod(0o755)

    def clear(self):
        for pid in self.pids().values():
            end(pid, signal.SIGKILL)
        shutil.rmtree(self.folder / "nodes", ignore_errors=True)
        engines.write_config(self.folder)

    def options(self):
        return {"program": self.program, "folder": self.folder / "nodes",
                "config": self.folder / "turnout.ini", "nodes_max": engines.NODES_MAX,
                "stop_ms": 4000}

    def provider_environment(self):
        return {}

    def slots(self):
        return {path.stem: json.loads(path.read_text())
                for path in (self.folder / "nodes").glob("node-*.json")}

    def pids(self):
        return {name: slot["pid"] for name, slot in self.slots().items()
                if slot["pid"] and started_at(slot["pid"]) == slot["began"]}

    def serving(self):
        found = []
        for slot in self.slots().values():
            with contextlib.suppress(OSError, ValueError):
                with urllib.request.urlopen(slot["url"] + "/readyz", timeout=2) as reply:
                    found += [slot["url"]] if reply.status == 200 else []
        return found

    def gives_up(self):
        return False

    def stop(self):
        self.clear()


ENGINES = {engine.kind: engine for engine in (Processes, engines.Systemd, engines.Swarm)}


@pytest.fixture(scope="module", name="started")
def _started(tmp_path_factory):
    """Each engine once for all tests, or why there is none."""
    made = {}

    def start(kind):
        if kind not in made:
            try:
                made[kind] = ENGINES[kind](tmp_path_factory.mktemp(kind), str(BIN))
            except engines.Cannot as why:
                made[kind] = why
        if isinstance(made[kind], engines.Cannot):
            pytest.skip(f"{kind}: {made[kind]}")
        return made[kind]

    yield start
    for engine in made.values():
        if not isinstance(engine, engines.Cannot):
            engine.stop()


class Stage:
    """An engine with two nodes that serve, and a provider that drives it."""

    def __init__(self, engine):
        self.engine, self.provider = engine, None
        engine.clear()
        self.open()
        assert self.provider.scale(0, 2) == "ok", self.provider.detail
        self.settle(2)

    def open(self, **options):
        """A provider, as the next controller has one; the one before is gone."""
        if self.provider is not None:
            self.provider.stop()
        self.provider = Provider(self.engine.kind, env=self.engine.provider_environment(),
                                 **{**self.engine.options(), **options})
        assert self.provider.opened == "ok", self.provider.detail

    def settle(self, count):
        """Until so many are wanted, exist, are ready by the provider's word, and do serve."""
        until(lambda: self.provider.look() == (count, count, count, 0), PATIENCE_S, 0.1)
        # Swarm does not count those that stop; the others count until the process is gone
        assert self.engine.kind == "swarm" or len(self.engine.pids()) == count
        until(lambda: len(self.engine.serving()) == len(self.engine.pids()) == count, PATIENCE_S,
              0.1)

    def look_until(self, what):
        return until(lambda: (seen := self.provider.look()) and what(seen) and [seen],
                     PATIENCE_S, 0.1)[0]

    def config(self):
        folder = self.engine.folder
        return (folder / "conf" if self.engine.kind == "swarm" else folder) / "turnout.ini"


@pytest.fixture(name="stage", params=list(ENGINES))
def _stage(request, started):
    stage = Stage(started(request.param))
    yield stage
    stage.provider.stop()


def only(*kinds):
    return pytest.mark.parametrize("stage", kinds, indirect=True)


# The contract -------------------------------------------------------------------------------------

def test_what_is_asked_for_is_told_at_once_and_serves_soon(stage):
    assert stage.provider.scale(2, 4) == "ok", stage.provider.detail
    assert stage.provider.look()[0] == 4
    assert stage.provider.scale(2, 4) == "conflict"
    stage.settle(4)
    assert stage.provider.scale(4, 3) == "ok", stage.provider.detail
    assert stage.provider.look()[0] == 3
    assert stage.provider.scale(4, 3) == "conflict"
    stage.settle(3)
    assert stage.provider.scale(3, 0) == "ok", stage.provider.detail
    stage.settle(0)


def test_steps_that_follow_at_once_come_to_what_was_asked_for(stage):
    count = 2
    for after in (5, 3, 6, 1, 4, 2):
        assert stage.provider.scale(count, after) == "ok", stage.provider.detail
        assert stage.provider.look()[0] == after
        count = after
    stage.settle(2)


def test_ten_serve_and_two_are_left(stage):
    assert stage.provider.scale(2, 10) == "ok", stage.provider.detail
    stage.settle(10)
    assert stage.provider.scale(10, 2) == "ok", stage.provider.detail
    stage.settle(2)


def test_the_next_controller_finds_what_there_is(stage):
    before = stage.engine.pids()
    stage.open()
    assert stage.provider.look() == (2, 2, 2, 0)
    assert stage.engine.pids() == before
    assert stage.provider.scale(2, 3) == "ok"
    stage.settle(3)
    assert set(before.values()) < set(stage.engine.pids().values())


def test_a_node_that_is_killed_comes_back(stage):
    victim = min(stage.engine.pids().values())
    os.kill(victim, signal.SIGKILL)
    until(lambda: started_at(victim) is None)
    seen = []
    until(lambda: seen.append(stage.provider.look()[0]) or
          victim not in stage.engine.pids().values() and len(stage.engine.serving()) == 2,
          PATIENCE_S, 0.1)
    assert set(seen) == {2}  # it was wanted all the time
    stage.settle(2)


def test_nodes_that_cannot_start_are_never_ready_and_can_be_taken_back(stage):
    before = set(stage.engine.pids().values())
    stage.config().write_text("[auth]\nmode = nonsense\n")
    assert stage.provider.scale(2, 4) == "ok"
    if stage.engine.gives_up():
        desired = stage.look_until(lambda seen: seen == (2, 2, 2, 0))[0]
    else:
        for _ in range(20):
            desired, _, ready, _ = stage.provider.look()
            assert desired == 4 and (ready == 2 or stage.engine.kind == "swarm")
    if desired > 2:
        assert stage.provider.scale(4, 2) == "ok"
    engines.write_config(stage.config().parent)
    stage.settle(2)
    if stage.engine.kind != "swarm":  # which chooses itself
        assert set(stage.engine.pids().values()) == before
    assert stage.provider.scale(2, 4) == "ok"
    stage.settle(4)


def test_a_frozen_node_goes_too(stage):
    assert stage.provider.scale(2, 3) == "ok"
    stage.settle(3)
    pids = stage.engine.pids()
    for pid in pids.values():  # whichever it is
        os.kill(pid, signal.SIGSTOP)
    assert stage.provider.scale(3, 0) == "ok"
    until(lambda: stage.provider.look() == (0, 0, 0, 0), PATIENCE_S, 0.1)
    until(lambda: not any(started_at(pid) for pid in pids.values()))


@only("systemd", "swarm")
def test_an_engine_that_hangs_costs_the_time_limit_and_goes_on_later(stage):
    stage.open(timeout_ms=1000)
    os.kill(stage.engine.process.pid, signal.SIGSTOP)
    try:
        assert stage.provider.look() == "deadline_exceeded"
        assert stage.provider.scale(2, 4) == "deadline_exceeded"
    finally:
        os.kill(stage.engine.process.pid, signal.SIGCONT)
    assert stage.look_until(lambda seen: isinstance(seen, tuple))[0] == 2
    stage.settle(2)


@only("systemd", "process")
def test_nodes_beyond_a_limit_that_was_lowered_are_known_and_can_go(stage):
    assert stage.provider.scale(2, 4) == "ok"
    stage.settle(4)
    stage.open(nodes_max=1)
    assert stage.provider.look() == (4, 4, 4, 0)
    assert stage.provider.scale(4, 5) == "bad_configuration"
    assert stage.provider.scale(4, 1) == "ok"
    stage.settle(1)


@only("systemd", "process")
def test_the_one_that_is_named_goes(stage):
    assert stage.provider.scale(2, 3) == "ok"
    stage.settle(3)
    pids = stage.engine.pids()
    name = sorted(pids)[0]
    assert stage.provider.scale(3, 2, name) == "ok"
    stage.settle(2)
    assert stage.engine.pids() == {other: pid for other, pid in pids.items() if other != name}


# systemd ------------------------------------------------------------------------------------------

@only("systemd")
def test_a_unit_that_hangs_is_replaced_and_is_wanted_all_the_time(stage):
    name, victim = sorted(stage.engine.pids().items())[0]
    os.kill(victim, signal.SIGSTOP)
    seen = []
    until(lambda: seen.append(stage.provider.look()[0]) or
          stage.engine.pids().get(name) not in (None, victim), PATIENCE_S, 0.1)
    assert set(seen) == {2}
    stage.settle(2)
    assert started_at(victim) is None


@only("systemd")
def test_a_unit_that_failed_does_not_stand_in_the_way(stage):
    broken = stage.engine.folder / "units/turnout@3.service.d"
    broken.mkdir()
    (broken / "broken.conf").write_text("[Service]\nEnvironment=TURNOUT_AUTH_MODE=nonsense\n")
    stage.engine.control("daemon-reload")
    try:
        assert stage.provider.scale(2, 3) == "ok"
        stage.look_until(lambda seen: seen == (2, 2, 2, 0))
        assert stage.provider.scale(2, 3) == "ok"
        stage.settle(3)
        assert set(stage.engine.pids()) == {f"turnout@{number}.service" for number in (1, 2, 4)}
    finally:
        shutil.rmtree(broken)
        stage.engine.control("daemon-reload")


@only("systemd")
def test_units_that_wait_for_another_are_wanted_already(stage):
    units = stage.engine.folder / "units"
    (units / "slow.service").write_text("[Service]\nType=notify\nExecStart=/bin/sleep 1000\n")
    waits = units / "turnout@.service.d/waits.conf"
    waits.write_text("[Unit]\nWants=slow.service\nAfter=slow.service\n")
    stage.engine.control("daemon-reload")
    try:
        assert stage.provider.scale(2, 4) == "ok"
        for _ in range(5):
            assert stage.provider.look() == (4, 4, 2, 0)
        assert stage.provider.scale(4, 3) == "ok"  # of those that wait
        stage.look_until(lambda seen: seen == (3, 3, 2, 0))
    finally:
        waits.unlink()
        stage.engine.control("kill", "--signal=KILL", "slow.service")
        stage.engine.control("stop", "slow.service")
        stage.engine.control("daemon-reload")


@only("systemd")
def test_a_template_that_is_not_there_or_is_masked_is_named(stage):
    (stage.engine.folder / "units/masked@.service").symlink_to("/dev/null")
    for name, words in (("gone", "not found"), ("masked", "masked")):
        stage.open(template=name)
        assert stage.provider.look() == (0, 0, 0, 0)
        assert stage.provider.scale(0, 2) in ("bad_configuration", "store_unavailable")
        assert words in stage.provider.detail
    stage.provider.stop()
    stage.provider = Provider("systemd", env={"XDG_RUNTIME_DIR": "/nowhere"},
                              **stage.engine.options())
    assert stage.provider.look() == "store_unavailable"


# Swarm --------------------------------------------------------------------------------------------

@only("swarm")
def test_nothing_but_the_number_of_replicas_changes(stage):
    before = stage.engine.service()["Spec"]
    assert stage.provider.scale(2, 4) == "ok"
    after = stage.engine.service()["Spec"]
    assert after.pop("Mode") == {"Replicated": {"Replicas": 4}}
    assert before.pop("Mode") == {"Replicated": {"Replicas": 2}}
    assert after == before


@only("swarm")
def test_a_rolling_update_is_waited_for(stage):
    service = stage.engine.service()
    spec = service["Spec"]
    spec["TaskTemplate"]["ForceUpdate"] = 1
    stage.engine.ask("POST", f"/services/{stage.engine.name}/update?version="
                             f"{service['Version']['Index']}", spec)
    stage.look_until(lambda seen: seen[3] == 1)
    assert stage.provider.scale(2, 4) == "conflict"
    assert "being updated" in stage.provider.detail
    stage.look_until(lambda seen: seen == (2, 2, 2, 0))
    assert stage.provider.scale(2, 4) == "ok"
    stage.settle(4)


@only("swarm")
def test_what_cannot_be_scaled_is_named(stage):
    stage.open(service="gone")
    assert stage.provider.look() == "bad_configuration"
    assert "gone" in stage.provider.detail
    stage.engine.ask("POST", "/services/create",
                     engines.service_of(stage.engine.folder, "everywhere", {"Global": {}}))
    stage.open(service="everywhere")
    assert stage.provider.scale(1, 2) == "bad_configuration"
    assert "not replicated" in stage.provider.detail


@only("swarm")
def test_an_engine_that_is_killed_and_comes_back_has_what_was_wanted(stage):
    assert stage.provider.scale(2, 3) == "ok"
    stage.settle(3)
    stage.engine.kill()
    assert stage.provider.look() == "store_unavailable"
    stage.engine.begin()
    stage.look_until(lambda seen: seen == (3, 3, 3, 0))
    stage.settle(3)
