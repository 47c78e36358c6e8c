# SPDX-License-Identifier: Apache-2.0
"""The cluster that chaos is made in: PostgreSQL with a synchronous standby, a Redis Cluster of six,
nodes and one to spare; before every node and before each PostgreSQL a proxy that can cut, in every
node a clock that can jump, and below both PostgreSQL a disk that can be full."""

import glob
import os
import shutil
import signal
import subprocess

import cluster
import processes
import redis_cluster
import tcp_proxy
from disk import Disk

CALM_S = 180
DISK_MIB = 8192  # at most: two servers with their logs, and a copy of one
WRONG = ("level=fatal", "Sanitizer")  # never in a node's log


def clock_library():
    """libfaketime, or None: then no clock jumps."""
    found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    return found[0] if found else None


def is_ready(node):
    done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "2",
                           node.url + "/readyz"], capture_output=True, text=True, check=False)
    return done.stdout == "200"


class Site(cluster.Cluster):
    def __init__(self, folder, nodes, say, faults):
        """Below it is only what the faults ask for: nodes under libfaketime take half a core each,
        since it ends their waits early."""
        super().__init__(folder, nodes, say=say)
        self.faults = faults
        self.links = {}  # to PostgreSQL, by the server's name
        self.doors = []  # to the nodes
        self.faketime = clock_library() if "jump_clock" in faults else None
        self.disk = None
        self.spare, self.spare_port = None, None  # a node that is started when it is wanted

    def start(self, before=None):
        super().start(self.make_disk if "fill_disk" in self.faults else None)
        self.doors = [tcp_proxy.Proxy(("127.0.0.1", port)) for port in self.ports[14:]]
        [self.spare_port] = redis_cluster.free_ports(1)
        self.spare = self.make_node("spare", self.spare_port)
        return self

    def make_disk(self, _):
        """Of memory: what chaos kills are processes, and on a loop device a sync takes a hundred
        times as long as on the disk below it."""
        self.disk = Disk(self.folder / "postgres", DISK_MIB, ("tmpfs",))

    def cannot(self):
        """{fault: why it cannot be played here}."""
        found = {}
        if self.faketime is None:
            found["jump_clock"] = "there is no libfaketime"
        if self.disk is None or self.disk.kind is None:
            found["fill_disk"] = "no file system may be mounted"
        return found

    def store_url(self):
        if not self.links:
            self.links = {server.name: tcp_proxy.Proxy(("127.0.0.1", server.port))
                          for server in self.postgres.servers}
        hosts = ",".join(f"127.0.0.1:{link.port}" for link in self.links.values())
        return f"postgres://turnout@{hosts}/turnout"

    def node_environment(self, name):
        environment = self.postgres.environment()
        if self.faketime:
            self.set_clock(name, "+0")
            environment |= {"LD_PRELOAD": self.faketime, "FAKETIME_CACHE_DURATION": "1",
                            "FAKETIME_TIMESTAMP_FILE": str(self.clock_file(name)),
                            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        return environment

    def clock_file(self, name):
        return self.folder / name / "clock"

    def set_clock(self, name, offset):
        """In one piece: the node reads it when it likes."""
        path = self.clock_file(name)
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(f"{offset}\n")
        fresh.replace(path)

    @property
    def urls(self):
        """The spare one's own: nobody listens there while it does not run."""
        doors = [f"http://127.0.0.1:{door.port}" for door in self.doors]
        return ",".join([*doors, f"http://127.0.0.1:{self.spare_port}"])

    def await_calm(self):
        """Everything runs, PostgreSQL is synchronous, Redis is whole, every node is ready."""
        processes.until(lambda: not self.ended(), CALM_S)
        processes.until(self.postgres.is_synchronous, CALM_S)
        self.redis.await_whole()
        processes.until(lambda: all(map(is_ready, self.nodes)), CALM_S)

    def complaints(self):
        """What a node's log must not hold."""
        return [f"{node.name}: {line[:300]}" for node in [*self.nodes, self.spare]
                if node.log.exists() for line in node.log.read_text(errors="replace").splitlines()
                if any(word in line for word in WRONG)]

    def stop(self):
        for node in self.nodes:
            if node.is_running:
                os.kill(node.process.pid, signal.SIGCONT)
        for proxy in [*self.doors, *self.links.values()]:
            proxy.close()
        if self.spare is not None:
            self.spare.stop()
        super().stop()
        if self.disk is not None:
            self.keep_logs()
            self.disk.close()

    def keep_logs(self):
        """What PostgreSQL said, before its disk is gone."""
        for server in self.postgres.servers if self.postgres is not None else ():
            if server.log.exists():
                shutil.copyfile(server.log, self.folder / f"{server.name}.log")
