# SPDX-License-Identifier: Apache-2.0
"""A node whose processes take over from one another, and clients that forgive nothing.

Every request counts: a connection that ends without an answer, a refused connection and a 503 all
fail the test. Clients keep their connections, as scanners do, and open another when an answer says
Connection: close.
"""

import os
import pathlib
import random
import re
import signal
import subprocess
import threading

import rig
from ledger import Ledger, check
from rig import Venue, eventually, ok

PEOPLE, CAPACITY = 400, 150
PATIENCE_S = 60


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def another_build(folder):
    """The same program with another version, or what TURNOUT_OTHER_BIN names."""
    other = os.environ.get("TURNOUT_OTHER_BIN")
    if other is not None:
        return pathlib.Path(other)
    version = rig.json.loads(rig.run("version", "--json").stdout)["version"]
    program = pathlib.Path(rig.BIN).read_bytes()
    assert len(version) < 10 and program.count(version.encode() + b"\0") >= 1
    path = folder / "turnout-next"
    path.write_bytes(program.replace(version.encode() + b"\0",
                                     version[:-1].encode() + b"X\0"))
    path.chmod(0o755)
    return path


class Node:
    """Processes that serve on one address, one after the other; they share one log."""

    def __init__(self, folder, *args, store=None, binary=rig.BIN, env=None):
        self.folder = pathlib.Path(folder)
        self.log_path = self.folder / "node.log"
        self.store = store or f"sqlite:{self.folder / 'turnout.db'}"
        self.args, self.binary = list(args), str(binary)
        self.env = dict(os.environ, **(env or {}))
        self.pids, self.children = [], []
        self.listen = "127.0.0.1:0"

    # processes

    def command(self, *more):
        return [self.binary, "serve", "--listen", self.listen, "--store", self.store, "--auth",
                "off", *self.args, *more]

    def launch(self, *more, command=None):
        """A process of the test's own; its output goes to the log."""
        with open(self.log_path, "ab") as log:
            child = subprocess.Popen(command or self.command(*more), stdin=subprocess.DEVNULL,
                                     stdout=log, stderr=log, cwd=self.folder, env=self.env,
                                     start_new_session=True, preexec_fn=rig.raise_fd_limit)
        self.children.append(child)
        return child

    def start(self):
        self.launch()
        found = self.wait(r"^ready url=http://127\.0\.0\.1:(\d+) pid=(\d+)$")
        self.listen = f"127.0.0.1:{found[1]}"
        self.pids.append(int(found[2]))
        return self

    @property
    def pid(self):
        return self.pids[-1]

    @property
    def port(self):
        return int(self.listen.rsplit(":", 1)[1])

    def client(self, **options):
        return rig.Client("127.0.0.1", self.port, **options)

    # the log

    def log(self, since=0):
        return self.log_path.read_bytes()[since:].decode(errors="replace")

    def log_tail(self):
        return self.log()[-rig.LOG_TAIL:]

    def mark(self):
        return self.log_path.stat().st_size

    def wait(self, pattern, since=0):
        found = re.compile(pattern, re.M)
        return eventually(lambda: found.search(self.log(since)), bool, PATIENCE_S)

    # takeovers

    def begin(self):
        """SIGUSR2; the new process' id."""
        since = self.mark()
        os.kill(self.pid, signal.SIGUSR2)
        found = self.wait(r"event=takeover_begun new_pid=(\d+)", since)
        return int(found[1])

    def finish(self, since):
        """Waits until the new process serves and the old one is gone."""
        found = self.wait(r"^ready url=\S+ pid=(\d+)$", since)
        self.wait("event=takeover_alone", since)
        self.wait_gone(self.pid)
        self.pids.append(int(found[1]))

    def take_over(self):
        since = self.mark()
        os.kill(self.pid, signal.SIGUSR2)
        self.finish(since)

    def wait_gone(self, pid):
        """Its end is seen; a child of the test must have ended with 0."""
        for child in self.children:
            if child.pid == pid:
                assert child.wait(PATIENCE_S) == 0, self.log_tail()
                return
        eventually(lambda: is_alive(pid), lambda alive: not alive, PATIENCE_S)

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        self.wait_gone(self.pid)

    def kill_all(self):
        for pid in {int(pid) for pid in re.findall(r"pid=(\d+)", self.log())} | set(self.pids):
            command = pathlib.Path(f"/proc/{pid}/cmdline")
            try:
                if str(self.folder).encode() in command.read_bytes():
                    os.kill(pid, signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()


class Scanner(threading.Thread):
    """Entries and exits with nonces, single and in batches, until it is told to stop."""

    def __init__(self, crowd, seed, pause_s):
        super().__init__(daemon=True)
        self.crowd, self.pause_s = crowd, pause_s
        self.random = random.Random(seed)
        self.prefix = f"{seed:x}"
        self.answers = 0
        self.broken = None

    def run(self):
        try:
            with self.crowd.node.client() as client:
                while not self.crowd.ends.is_set():
                    self.step(client)
                    self.crowd.ends.wait(self.pause_s)
        except Exception as error:
            self.broken = error
            self.crowd.ends.set()

    def step(self, client):
        roll = self.random.random()
        if roll < 0.05:
            self.batch(client)
        elif roll < 0.15:
            ok(client.get(f"{self.crowd.venue.path}/stats"))
        else:
            body = self.body()
            self.crowd.ledger.sent(body)
            answer = client.post(f"{self.crowd.venue.path}/checkins", body)
            self.crowd.ledger.acknowledged(body, ok(answer))
        self.answers += 1

    def batch(self, client):
        bodies = [self.body() for _ in range(20)]
        for body in bodies:
            self.crowd.ledger.sent(body)
        text = "".join(rig.json.dumps(body) + "\n" for body in bodies)
        answer = client.post(f"{self.crowd.venue.path}/checkins:batch", text, rig.NDJSON)
        assert answer.status == 200, answer
        for body, reply in zip(bodies, answer.lines):
            assert "verdict" in reply, reply
            self.crowd.ledger.acknowledged(body, reply)

    def body(self):
        self.answers += 1
        return {"token": f"p{self.random.randrange(PEOPLE):06d}",
                "gate": self.random.choice(("g1", "g2")),
                "direction": self.random.choice(("entry", "entry", "exit")),
                "nonce": f"{self.prefix}-{self.answers}"}


class Crowd:
    """Scanners at an event of their own: busy ones, and some that idle between two scans."""

    def __init__(self, node, seed, busy=6, idle=4):
        self.node, self.ledger, self.ends = node, Ledger(), threading.Event()
        self.chooser = random.Random(seed)
        with node.client() as client:
            self.venue = Venue(client, capacity=CAPACITY)
            self.venue.crowd(PEOPLE)
        pauses = [0] * busy + [self.chooser.uniform(0.2, 2) for _ in range(idle)]
        self.scanners = [Scanner(self, self.chooser.randrange(1 << 40), pause) for pause in pauses]

    def __enter__(self):
        for scanner in self.scanners:
            scanner.start()
        self.wait_for(100)
        return self

    def wait_for(self, more):
        """Until so many further answers have come."""
        before = self.answers()
        eventually(lambda: self.ends.is_set() or self.answers() - before, lambda n: n >= more,
                   PATIENCE_S)

    def answers(self):
        return sum(scanner.answers for scanner in self.scanners)

    def __exit__(self, *_):
        self.ends.set()
        for scanner in self.scanners:
            scanner.join()
        for scanner in self.scanners:
            if scanner.broken is not None:
                raise scanner.broken

    def check(self):
        with self.node.client() as client:
            self.venue.client = client
            check(self.venue, self.ledger, self.chooser, PEOPLE, CAPACITY)
