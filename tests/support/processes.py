# SPDX-License-Identifier: Apache-2.0
"""Programs that are started, watched and ended by pid, and a ledger of them that outlives a kill -9
of whoever started them."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time


class Missing(Exception):
    """A program is not installed."""


def program(name, *folders):
    """Its path; says what to do when it is not there."""
    for folder in folders:
        path = pathlib.Path(folder) / name
        if os.access(path, os.X_OK):
            return str(path)
    found = shutil.which(name)
    if found is None:
        raise Missing(f"no {name}: tools/setup test installs it")
    return found


def until(what, seconds=20, pause=0.05):
    """Asks again until `what()` holds; its last word is returned."""
    end = time.monotonic() + seconds
    while True:
        try:
            seen = what()
        except (OSError, subprocess.SubprocessError):
            seen = None
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {getattr(what, '__name__', what)}")
        time.sleep(pause)


def stat_fields(pid):
    """Of /proc/PID/stat from the state on; the name before them may hold anything."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def children(pid):
    found = [int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()]
    return [each for each in found if (stat_fields(each) or [0, 0])[1] == str(pid)]


def signal_all(pids, number):
    """Those that are still there: a server's short-lived helpers may have ended meanwhile."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def started_at(pid):
    """When a process began, in ticks since the boot: with the pid it names one process for ever.

    None when there is no such process, or only what is left of it.
    """
    fields = stat_fields(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def end(pid, how=signal.SIGTERM, seconds=30):
    """Signals a process that need not be a child, and kills it when it does not go."""
    began = started_at(pid)
    if began is None:
        return
    for number, patience in ((how, seconds), (signal.SIGKILL, 10)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)
        with contextlib.suppress(AssertionError):
            until(lambda: started_at(pid) != began, patience)
            return
    raise AssertionError(f"process {pid} does not end")


def end_all(pids, how=signal.SIGTERM, seconds=30):
    """The same for many, told all at once."""
    began = {pid: started_at(pid) for pid in pids}
    signal_all(pids, how)
    signal_all(pids, signal.SIGCONT)
    for pid in pids:
        if began[pid] is not None and started_at(pid) == began[pid]:
            with contextlib.suppress(AssertionError):
                until(lambda: started_at(pid) != began[pid], seconds)
            end(pid, signal.SIGKILL)


class Ledger:
    """Who runs, in a file: what a killed run left behind is ended by the next one.

    A pid alone may be another program's by then; together with the time of its start it is not.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.lines = {}

    def note(self, name, pid):
        self.lines[name] = {"pid": pid, "started_at": started_at(pid)}
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self.lines, indent=1) + "\n")
        fresh.replace(self.path)

    def end_leftovers(self, say=print, wanted=lambda name: True):
        """Ends what an earlier run left, the last started first; returns how many."""
        try:
            lines = json.loads(self.path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return 0
        count = 0
        for name, line in reversed(list(lines.items())):
            runs = line["started_at"] is not None and started_at(line["pid"]) == line["started_at"]
            if runs and wanted(name):
                say(f"ending {name} (pid {line['pid']}), left by an earlier run")
                # PostgreSQL's fast shutdown is SIGINT; the others take SIGTERM.
                end(line["pid"], signal.SIGINT if name.startswith("pg") else signal.SIGTERM)
                count += 1
        return count

    def forget(self):
        self.path.unlink(missing_ok=True)
        self.lines = {}
