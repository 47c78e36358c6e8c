#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Chaos: the whole cluster under the load `doors-open` while a seeded schedule kills, freezes,
cuts, fills, scales, fails over and wipes. The load generator's ledger must hold whatever happens:
nothing acknowledged is lost, doubled or changed, and every scan finds its verdict in the end.

The seed decides which faults come in which order, to whom, and how long each holds; it is printed
first, and --seed plays the same schedule again. How far the load was when a fault came depends on
the machine.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(pathlib.Path(__file__).parent)]
sys.dont_write_bytecode = True

import faults  # noqa: E402
from cluster import Busy  # noqa: E402
from processes import Missing  # noqa: E402
from stage import Site  # noqa: E402

DONE, FAILED = 0, 1
PAUSE_S = (0.3, 2.5)  # between two faults of a lane
PATIENCE_S = 120      # for what is not decided when everything is whole again
TIMEOUT_S = 3         # of a request
SCANS_PER_S = 36      # the area of doors-open is 18 a second
PHONES_SCALE = 0.15
CONNECTIONS = "doors=80,phones=120"


def say(text):
    print(f"chaos: {text}", file=sys.stderr, flush=True)


def known_faults(text):
    names = text.split(",")
    unknown = [name for name in names if name not in faults.FAULTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are "
                                         + ", ".join(faults.FAULTS))
    return names


def positive(text):
    number = float(text)
    if not 0 < number <= 24 * 60:
        raise argparse.ArgumentTypeError("above 0, at most a day")
    return number


def arguments():
    parser = argparse.ArgumentParser(prog="tests/chaos/chaos.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=positive, default=3, help="of chaos (3)")
    parser.add_argument("--seed", type=int, help="of the schedule (made up)")
    parser.add_argument("--nodes", type=int, default=3, choices=range(1, 9), help="how many (3)")
    parser.add_argument("--only", type=known_faults, default=list(faults.FAULTS), metavar="FAULT,…",
                        help="some of: " + ", ".join(faults.FAULTS))
    parser.add_argument("--dir", type=pathlib.Path, metavar="FOLDER",
                        help="keep everything there (a folder that is removed)")
    return parser.parse_args()


# The load ---------------------------------------------------------------------------------------

class Load:
    """The load generator, beside everything."""

    def __init__(self, site, options):
        seconds = options.minutes * 60
        self.log = site.folder / "loadgen.log"
        binary = os.environ.get("TURNOUT_LOADGEN", str(ROOT / "build" / "bench" / "loadgen"))
        if not os.access(binary, os.X_OK):
            raise Missing(f"no program at {binary}: make build")
        words = [binary, ROOT / "bench" / "loads" / "doors-open.ini", "--url", site.urls,
                 "--key-file", site.admin_key(), "--seconds", seconds,
                 "--people", max(2000, int(seconds * SCANS_PER_S)),
                 "--connections", CONNECTIONS, "--timeout", TIMEOUT_S,
                 "--patience", PATIENCE_S, "--seed", options.seed % 2**32, "--scale",
                 f"doors={SCANS_PER_S / 18},phones={PHONES_SCALE}",
                 "--database", site.postgres.url()]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in words], stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, **site.postgres.environment()})
        self.began = None

    def await_start(self):
        """Until its event is set up and scans come: chaos is for what runs."""
        while self.process.poll() is None and "under way" not in self.log.read_text():
            time.sleep(0.1)
        self.began = time.monotonic()

    def is_playing(self, seconds):
        return self.process.poll() is None and time.monotonic() - self.began < seconds

    def result(self):
        """Its report, or None; what it said is passed on."""
        output, _ = self.process.communicate(timeout=PATIENCE_S * 4)
        for line in self.log.read_text().splitlines():
            if "under way" not in line:
                say(f"loadgen: {line}")
        return json.loads(output) if output.strip() else None

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


# The schedule -----------------------------------------------------------------------------------

class Schedule:
    """Each lane deals its faults like a pack of cards: all of them before one comes again."""

    def __init__(self, site, options):
        self.over = threading.Event()
        self.done = collections.Counter()
        self.broken = []
        self.begun = time.monotonic()
        self.threads = []
        cannot = site.cannot()
        for name in cannot.keys() & set(options.only):
            say(f"{name} is left out: {cannot[name]}")
        for name, all_of_lane in faults.LANES.items():
            chosen = [fault for fault in all_of_lane
                      if fault.__name__ in options.only and fault.__name__ not in cannot]
            if chosen:
                lane = faults.Lane(site, name, random.Random(f"{options.seed}/{name}"), self.over)
                self.threads.append(threading.Thread(target=self._run, args=(lane, chosen)))
        for thread in self.threads:
            thread.start()

    def _run(self, lane, chosen):
        while not self.over.is_set():
            pack = list(chosen)
            lane.chance.shuffle(pack)
            for fault in pack:
                lane.hold(PAUSE_S)
                if self.over.is_set() or self.broken:
                    return
                self._play(lane, fault)

    def _play(self, lane, fault):
        say(f"{time.monotonic() - self.begun:7.2f} s  {lane.name}: {fault.__name__}")
        try:
            fault(lane)
            self.done[fault.__name__] += 1
        except Exception as error:  # what mends must not fail: then the rest means nothing
            self.broken.append(f"{fault.__name__}: {error!r}")

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


# Judging ----------------------------------------------------------------------------------------

def problems(schedule, report, site, options):
    """Why the run is no success; nothing of it may be passed over."""
    found = [f"the chaos itself failed: {text}" for text in schedule.broken]
    found += site.complaints()
    idle = [name for name in options.only if not schedule.done[name]]
    if len(idle) == len(options.only):
        found.append("no fault happened")
    if report is None:
        found.append("the load generator gave no account")
        return found
    ledger = report["ledger"]
    found += [f"{count} {name}" for name, count in ledger["faults"].items() if count]
    if not ledger["holds"]:
        found.append("the ledger does not hold")
    return found


def summary(schedule, report, options, found):
    ledger = (report or {}).get("ledger", {})
    return {"seed": options.seed, "minutes": options.minutes, "faults": dict(schedule.done),
            "sent": ledger.get("sent", 0), "acknowledged": ledger.get("acknowledged", 0),
            "retries": (report or {}).get("retries", 0),
            "statuses": (report or {}).get("statuses", {}),
            "connections": (report or {}).get("connections", {}),
            "ledger": ledger.get("faults", {}), "problems": found, "holds": not found}


def play(site, options):
    load = Load(site, options)
    schedule = None
    try:
        load.await_start()
        schedule = Schedule(site, options)
        while load.is_playing(options.minutes * 60) and not schedule.broken:
            time.sleep(0.1)
        schedule.end()
        say("everything is mended; waiting until it is calm")
        site.await_calm()
        report = load.result()
    finally:
        if schedule is not None:
            schedule.end()
        load.stop()
    found = problems(schedule, report, site, options)
    print(json.dumps(summary(schedule, report, options, found)), flush=True)
    for problem in found:
        say(problem)
    say(f"{'holds' if not found else 'does not hold'}; again with --seed {options.seed}")
    return DONE if not found else FAILED


def make_folder(options):
    if options.dir is not None:
        return options.dir
    folder = pathlib.Path(tempfile.mkdtemp(prefix="turnout-chaos-", dir="/var/tmp"))
    folder.chmod(0o755)  # PostgreSQL's user must reach it
    return folder


def run(options):
    folder = make_folder(options)
    site = Site(folder, options.nodes, say, options.only)
    code = FAILED
    try:
        site.start()
        code = play(site, options)
    except (Missing, Busy, AssertionError, OSError, subprocess.SubprocessError) as problem:
        say(problem)
    except KeyboardInterrupt:
        say("interrupted")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        site.stop()
        if options.dir is None and code == DONE:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"logs are in {folder}")
    return code


def stop_at(*_):
    raise KeyboardInterrupt


def main():
    options = arguments()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10**9)
    say(f"seed {options.seed}, {options.minutes:g} minutes")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_at)
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
