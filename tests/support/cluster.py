# SPDX-License-Identifier: Apache-2.0
"""The whole product on one machine: PostgreSQL with a synchronous standby, a Redis Cluster of six,
and nodes that serve. What `make cluster` starts; tests start the same, or parts of it."""

import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import redis_cluster
from postgres_pair import Pair
from processes import Ledger, Missing, end, program, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
READY = re.compile(r"ready url=(\S+) pid=(\d+)")
KEY_NAME = "cluster"
BAD_CONFIG = 78


class Busy(Exception):
    """Another run has the folder."""


class Node:
    """One `turnout serve`."""

    def __init__(self, name, folder, command, environment, notice=lambda name, pid: None):
        self.name = name
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "log"
        self.out = self.folder / "stdout"
        self.command = command
        self.environment = {**os.environ, **environment}
        self.notice = notice
        self.process = None
        self.url = None

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def start(self, seconds=60):
        with open(self.log, "ab") as log, open(self.out, "wb") as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=log, cwd=self.folder, env=self.environment,
                                            start_new_session=True)
        self.notice(self.name, self.process.pid)
        until(lambda: self.ready_line() or not self.is_running, seconds)
        found = self.ready_line()
        if found is None:
            raise AssertionError(f"{self.name} ended with {self.process.wait()}: {self.log_tail()}")
        self.url = found[1]
        return self

    def ready_line(self):
        return READY.search(self.out.read_text())

    def log_tail(self, size=2000):
        return self.log.read_bytes()[-size:].decode(errors="replace")

    def stop(self):
        if self.process is not None:
            if self.is_running:
                end(self.process.pid, signal.SIGTERM)
            self.process.wait()
            self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None


class Cluster:
    """In `folder`; `base` is the first of 16 ports in a row, None takes free ones."""

    def __init__(self, folder, nodes=2, base=None, say=lambda text: None):
        self.folder = pathlib.Path(folder).resolve()
        self.say = say
        self.nodes_len = nodes
        # A wish, not a promise: who else takes a free port in the same moment is told by the server
        # that cannot listen.
        count = 2 + 12 + nodes
        self.ports = redis_cluster.free_ports(count) if base is None \
            else list(range(base, base + count))
        self.binary = os.environ.get("TURNOUT_BIN", str(ROOT / "build" / "turnout"))
        self.lock = None
        self.ledger = Ledger(self.folder / "processes.json")
        self.postgres = None
        self.redis = None
        self.nodes = []

    # Start and stop ----------------------------------------------------------------------------

    def start(self, before=None):
        """`before(self)` is called when the folder is this run's alone and nothing runs in it."""
        self.check_programs()
        self.take_folder()
        self.end_leftovers()
        self.ledger.forget()
        if before is not None:
            before(self)
        self.postgres = Pair(self.folder / "postgres", self.ports[:2], self.ledger.note, self.say)
        self.postgres.start()
        self.start_redis()
        self.migrate()
        self.start_nodes()
        return self

    def end_leftovers(self):
        """What an earlier run that was killed left."""
        self.ledger.end_leftovers(self.say)

    def check_programs(self):
        for name in ("redis-server", "redis-cli", "psql"):
            program(name)
        if not os.access(self.binary, os.X_OK):
            raise Missing(f"no program at {self.binary}: make build")

    def take_folder(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.folder / "lock", "a+", encoding="ascii")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.lock.seek(0)
            holder = self.lock.read().strip() or "unknown"
            self.lock.close()
            raise Busy(f"a cluster runs in {self.folder} already (pid {holder}): stop it with"
                       " Ctrl-C, or choose another folder with --dir") from None
        self.lock.truncate(0)
        self.lock.write(f"{os.getpid()}\n")
        self.lock.flush()

    def start_redis(self):
        """It holds no truth: it begins with nothing each time."""
        self.say("starting Redis Cluster: three primaries, three replicas")
        folder = self.folder / "redis"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.redis = redis_cluster.Cluster(folder, self.ports[2:14], self.ledger.note)
        self.redis.start()

    def store_url(self):
        """Where nodes find PostgreSQL."""
        return self.postgres.url()

    def node_environment(self, name):
        return self.postgres.environment()

    def start_nodes(self):
        for number, port in enumerate(self.ports[14:], 1):
            name = f"node{number}"
            self.say(f"starting {name} on port {port}")
            self.nodes.append(self.make_node(name, port).start())

    def make_node(self, name, port):
        command = [self.binary, "serve", "--listen", f"127.0.0.1:{port}",
                   "--store", self.store_url(), "--redis", self.redis.seeds]
        return Node(name, self.folder / name, command, self.node_environment(name),
                    self.ledger.note)

    def stop(self):
        """In the order that loses nothing: who asks first, who is asked last."""
        for node in reversed(self.nodes):
            self.say(f"stopping {node.name}")
            node.stop()
        if self.redis is not None:
            self.say("stopping Redis Cluster")
            self.redis.stop()
        if self.postgres is not None:
            self.say("stopping PostgreSQL")
            self.postgres.stop()
        if self.lock is not None and not self.lock.closed:
            self.ledger.forget()
            self.lock.close()

    def ended(self):
        """Names of what runs no more without being told to."""
        parts = [*self.postgres.servers, *self.nodes]
        names = [part.name for part in parts if not part.is_running]
        return names + [f"redis:{node.port}" for node in self.redis.nodes
                        if node.process is None or node.process.poll() is not None]

    # The program beside it ---------------------------------------------------------------------

    def turnout(self, *words):
        done = subprocess.run([self.binary, *words, "--store", self.postgres.url()],
                              env={**os.environ, **self.postgres.environment()}, text=True,
                              capture_output=True, timeout=120, check=False)
        if done.returncode != 0:
            raise AssertionError(f"turnout {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout

    def migrate(self):
        self.say("turnout db migrate")
        self.turnout("db", "migrate")

    def admin_key(self):
        """Path of a file with an admin key of this cluster, made when there is none."""
        path = self.folder / "admin-key"
        known = self.turnout("key", "list", "--json")
        if not path.exists() or path.read_text().partition(".")[0].strip()[3:] not in known:
            key = self.turnout("key", "create", "--name", KEY_NAME, "--scope", "admin").strip()
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(key + "\n")
        return path

    # What there is -----------------------------------------------------------------------------

    def facts(self):
        servers = {role: {"name": server.name, "port": server.port, "pid": server.process.pid}
                   for role, server in (("primary", self.postgres.primary),
                                        ("standby", self.postgres.standby))}
        return {
            "folder": str(self.folder),
            "postgres": {"url": self.postgres.url(), "passfile": str(self.postgres.passwords.path),
                         **servers},
            "redis": {"nodes": self.redis.seeds, "pids": [n.process.pid for n in self.redis.nodes]},
            "nodes": [{"name": node.name, "url": node.url, "pid": node.process.pid}
                      for node in self.nodes],
            "admin_key_file": str(self.admin_key()),
        }


def as_json(facts):
    return json.dumps(facts)
