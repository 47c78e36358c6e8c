# SPDX-License-Identifier: Apache-2.0
"""Restarts and upgrades by takeover, under load: what fails, and how long nobody is answered."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import machine
from machine import Failed, Turnout
from scenarios import GATES, PEOPLE
from table import LESS, MORE

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOAD = ROOT / "bench" / "loads" / "upgrade.ini"
TAKEOVER_S = 120
LOOK_S = 0.005
SETTLE_S = 1  # of load before the first takeover and behind the last
LOAD_S = 600  # more than upgrades take: the load is told to end


def is_there(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rsplit(")", 1)[1].split()[0] != "Z"


class Chain(Turnout):
    """Processes that take over from one another; `pid` is the one that serves."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.group = self.pid

    def wait_log(self, pattern, since):
        deadline = time.monotonic() + TAKEOVER_S
        while True:
            text = self.log.read_bytes()[since:].decode(errors="replace")
            found = re.search(pattern, text)
            if found is not None:
                return found
            if "takeover_failed" in text or time.monotonic() > deadline:
                raise Failed(f"no takeover: {text[-2000:]}")
            time.sleep(LOOK_S)

    def take_over(self):
        """Milliseconds until the new process serves, and until the old one is gone."""
        since, begun, old = self.log.stat().st_size, time.monotonic(), self.pid
        os.kill(old, signal.SIGUSR2)
        given = self.wait_log(r"event=takeover_given new_pid=(\d+) after_ms=(\d+)", since)
        self.wait_log(r"event=takeover_alone", since)
        self.pid = int(given[1])
        while is_there(old):
            time.sleep(LOOK_S)
        return int(given[2]), (time.monotonic() - begun) * 1000

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + machine.STOP_TIMEOUT_S
        while is_there(self.pid):
            if time.monotonic() > deadline:
                self.kill()
                raise Failed("still there after SIGTERM")
            time.sleep(LOOK_S)
        self.kill()  # reaps the first of them

    def kill(self):
        self.pid = self.group
        super().kill()


# Restarts ----------------------------------------------------------------------------------------

class Load:
    """Readers and scanners in a closed loop until they are told to end."""

    def __init__(self, bench, port):
        get = ["get", "--path", "/v1/events/demo", "--connections", 64]
        scan = ["scan", "--people", PEOPLE, "--gates", GATES, "--connections", 16]
        self.drivers = [
            subprocess.Popen([str(word) for word in (bench.drive, *mode, "--port", port,
                                                     "--reopen", 1, "--seconds", 86400)],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for mode in (get, scan)]
        time.sleep(SETTLE_S)

    def end(self):
        time.sleep(SETTLE_S)
        for driver in self.drivers:
            driver.terminate()
        reports = []
        for driver in self.drivers:
            out, errors = driver.communicate(timeout=60)
            if not out:
                raise Failed(f"drive: {errors[-2000:]}")
            reports.append(json.loads(out))
            sys.stderr.write(errors)
        return reports


def loaded(bench, act):
    """What `act` gave, and the drivers' reports of the time that it took."""
    store = bench.demo_copy()
    chain = Chain(bench.turnout, store, bench.path("turnout.log"))
    load = Load(bench, chain.port)
    given = act(chain)
    reports = load.end()
    chain.stop()
    bench.remove(store)
    return given, reports


def failures(reports):
    return sum(one["failed"] + one["unexpected"] for one in reports)


def gap_ms(reports):
    """Nobody was answered for so long: of those who ask most."""
    return reports[0]["gap_max_us"] / 1000


def restarts(bench):
    """100 restarts under load, and the same load without."""
    count = 5 if bench.quick else 100
    took = []

    def restart(chain):
        begun = time.monotonic()
        for _ in range(count):
            took.append(chain.take_over())
        return time.monotonic() - begun

    seconds, reports = loaded(bench, restart)
    _, calm = loaded(bench, lambda chain: time.sleep(seconds))
    if failures(calm) > 0:
        raise Failed(f"requests fail without a restart: {calm}")
    add = bench.table.add_values
    add("restarts by takeover under load", "", [count])
    add("restarts: requests that failed", "", [failures(reports)], (LESS, 0))
    add("restarts: requests answered meanwhile", "1/s", [sum(one["rps"] for one in reports)],
        (MORE, 5000))
    bench.table.add_pairs("restarts: longest gap between two answers", "ms",
                          [(gap_ms(reports), gap_ms(calm))], "the same load without restarts")
    add("restarts: from the signal until the new process serves", "ms", [one for one, _ in took])
    add("restarts: until the old process is gone", "ms", [one for _, one in took])


# Upgrades ----------------------------------------------------------------------------------------

def renamed(bench):
    """The same program under another version: as good for a quick run."""
    version = json.loads(machine.run([bench.turnout, "version", "--json"]))["version"].encode()
    path = bench.path("turnout-other")
    path.write_bytes(bench.turnout.read_bytes().replace(version + b"\0", version[:-1] + b"X\0"))
    path.chmod(0o755)
    return path, "the same source under another version"


def built_before(bench):
    """A build of the sources before the last change of src/."""
    commits = machine.git(ROOT, "log", "-2", "--format=%h", "--", "src").split()
    if len(commits) < 2:
        raise Failed("no commit to upgrade from: name a program in TURNOUT_PREVIOUS")
    folder = bench.path("previous")
    with bench.times.preparing():
        machine.run(["git", "-C", ROOT, "worktree", "add", "--detach", folder, commits[1]])
        bench.at_end(lambda: machine.git(ROOT, "worktree", "remove", "--force", folder))
        machine.run([folder / "tools" / "build", "release", "turnout"], timeout=3600)
    return folder / "build" / "turnout", commits[1]


def previous(bench):
    if "TURNOUT_PREVIOUS" in os.environ:
        return pathlib.Path(os.environ["TURNOUT_PREVIOUS"]), "named in TURNOUT_PREVIOUS"
    return renamed(bench) if bench.quick else built_before(bench)


def refusals(report):
    """Requests that were answered otherwise than with 200, or not at all."""
    connections = report["connections"]
    return sum(count for status, count in report["statuses"].items() if status != "200") + \
        connections["refused"] + connections["lost"] + connections["late"]


def upgrades(bench):
    """50 upgrades from one build to the other and back, under check-ins with a ledger."""
    count = 4 if bench.quick else 50
    other, label = previous(bench)
    current, store = bench.path("turnout-current"), bench.path("upgrades.db")
    builds = [bench.turnout, other]
    current.symlink_to(other)
    chain = Chain(current, store, bench.path("turnout.log"))
    load = subprocess.Popen(
        [str(word) for word in (
            bench.build / "bench" / "loadgen", LOAD, "--quiet", "--url",
            f"http://127.0.0.1:{chain.port}", "--database", f"sqlite:{store}", "--seconds",
            LOAD_S)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(SETTLE_S)
    took = []
    for upgrade in range(count):
        current.unlink()
        current.symlink_to(builds[upgrade % 2])
        took.append(chain.take_over()[0])
        if load.poll() is not None:
            raise Failed(f"the load ended before {count} upgrades: {load.communicate()[1][-2000:]}")
    time.sleep(SETTLE_S)
    load.terminate()
    out, errors = load.communicate(timeout=900)
    if not out:
        raise Failed(f"loadgen: {errors[-2000:]}")
    sys.stderr.write(errors)
    chain.stop()
    bench.remove(store)
    report = json.loads(out)
    faults, add = report["ledger"]["faults"], bench.table.add_values
    add("upgrades by takeover under check-ins", "", [count])
    for name, key in (("lost", "lost"), ("doubled", "doubled")):
        add(f"upgrades: check-ins {name}", "", [faults[key]], (LESS, 0))
    add("upgrades: any other fault in the ledger", "",
        [sum(faults.values()) - faults["lost"] - faults["doubled"]], (LESS, 0))
    add("upgrades: requests that failed", "", [refusals(report)], (LESS, 0))
    add("upgrades: check-ins acknowledged meanwhile", "1/s",
        [report["ledger"]["acknowledged"] / report["seconds"]])
    add("upgrades: from the signal until the other build serves", "ms", took)
    bench.table.add_sheet("The builds of the upgrades", ["build", "of"], [
        ["to", machine.git(ROOT, "rev-parse", "--short", "HEAD")], ["from", label]])


SCENARIOS = {"restarts_under_load": restarts, "upgrades_under_load": upgrades}
