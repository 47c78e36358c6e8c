# SPDX-License-Identifier: Apache-2.0
"""The cluster that chaos is made in: PostgreSQL with a synchronous standby, a Redis Cluster of six,
nodes; before every node and before each PostgreSQL a proxy that can cut, and in every node a clock
that can jump."""

import glob
import os
import signal
import subprocess

import cluster
import processes
import tcp_proxy

CALM_S = 180
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
    def __init__(self, folder, nodes, say):
        super().__init__(folder, nodes, say=say)
        self.links = {}  # to PostgreSQL, by the server's name
        self.doors = []  # to the nodes
        self.faketime = clock_library()

    def start(self, before=None):
        super().start(before)
        self.doors = [tcp_proxy.Proxy(("127.0.0.1", port)) for port in self.ports[14:]]
        return self

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
        return ",".join(f"http://127.0.0.1:{door.port}" for door in self.doors)

    def await_calm(self):
        """Everything runs, PostgreSQL is synchronous, Redis is whole, every node is ready."""
        processes.until(lambda: not self.ended(), CALM_S)
        processes.until(self.postgres.is_synchronous, CALM_S)
        self.redis.await_whole()
        processes.until(lambda: all(map(is_ready, self.nodes)), CALM_S)

    def complaints(self):
        """What a node's log must not hold."""
        return [f"{node.name}: {line[:300]}" for node in self.nodes
                for line in node.log.read_text(errors="replace").splitlines()
                if any(word in line for word in WRONG)]

    def stop(self):
        for node in self.nodes:
            if node.is_running:
                os.kill(node.process.pid, signal.SIGCONT)
        for proxy in [*self.doors, *self.links.values()]:
            proxy.close()
        super().stop()
