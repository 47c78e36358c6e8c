# SPDX-License-Identifier: Apache-2.0
"""Redis servers of one's own: on loopback, free ports, a temporary folder, ended by pid."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import tempfile

from processes import until


def free_ports(count):
    """Ports that nobody listened on a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Binary:
    """The protocol by hand, for keys and values of any bytes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def command(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts)
                            + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self.reply()

    def reply(self):
        """bytes, an int, None, a list of them; an error is an exception."""
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        assert kind == b"*", f"no reply: {line!r}"
        return [self.reply() for _ in range(int(rest))]


class Node:
    """One redis-server; it keeps nothing on disk, so a start is a start with nothing."""

    def __init__(self, folder, port, bus=None, notice=lambda name, pid: None):
        self.folder = pathlib.Path(folder) / str(port)
        self.port = port
        self.bus = bus
        self.notice = notice
        self.process = None

    def start(self):
        self.folder.mkdir(exist_ok=True)
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
                   "--save", "", "--appendonly", "no", "--daemonize", "no",
                   "--enable-debug-command", "local"]
        if self.bus:
            options += ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500",
                        "--cluster-port", str(self.bus), "--repl-diskless-sync-delay", "0"]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["redis-server", *options], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        self.notice(f"redis:{self.port}", self.process.pid)
        until(lambda: self.cli("PING") == "PONG")
        return self

    def cli(self, *words):
        done = subprocess.run(["redis-cli", "-p", str(self.port), *map(str, words)],
                              capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    def binary(self):
        return Binary(self.port)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        self.process = None


class Cluster:
    """Three primaries (nodes 0 to 2) and a replica of each (3 to 5)."""

    BOUNDS = ((0, 5460), (5461, 10922), (10923, 16383))

    def __init__(self, folder=None, ports=None, notice=lambda name, pid: None):
        """In a temporary folder on free ports, unless told: six ports, then six of the bus."""
        self.folder = None if folder else tempfile.TemporaryDirectory(prefix="turnout-redis-")
        ports = ports or free_ports(12)
        self.nodes = [Node(folder or self.folder.name, *pair, notice)
                      for pair in zip(ports[:6], ports[6:])]

    @property
    def seeds(self):
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self):
        for node in self.nodes:
            node.start()
        first = self.nodes[0]
        for node, bounds in zip(self.nodes, self.BOUNDS):
            node.cli("CLUSTER", "ADDSLOTSRANGE", *bounds)
        for epoch, node in enumerate(self.nodes, 1):
            node.cli("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for node in self.nodes[1:]:
            node.cli("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus)
        until(lambda: all(len(node.cli("CLUSTER", "NODES").splitlines()) == 6
                          and "handshake" not in node.cli("CLUSTER", "NODES")
                          for node in self.nodes))
        for primary, replica in zip(self.nodes, self.nodes[3:]):
            replica.cli("CLUSTER", "REPLICATE", primary.cli("CLUSTER", "MYID"))
        self.await_whole()
        return self

    def await_whole(self):
        until(lambda: all("cluster_state:ok" in node.cli("CLUSTER", "INFO")
                          for node in self.nodes))
        until(lambda: all("master_link_status:up" in info or "role:master" in info
                          for info in (node.cli("INFO", "replication") for node in self.nodes)))
        until(lambda: all(node.cli("CLUSTER", "NODES").count("slave ") == 3
                          for node in self.nodes))
        until(lambda: sum("role:master" in node.cli("INFO", "replication")
                          for node in self.nodes) == 3)

    def stop(self):
        for node in self.nodes:
            node.kill()
        if self.folder is not None:
            self.folder.cleanup()

    def primaries(self):
        return [node for node in self.nodes if node.process is not None
                and "role:master" in node.cli("INFO", "replication")]

    def replica_of(self, primary):
        """A living one; the reader of CLUSTER NODES is the primary itself."""
        own = primary.cli("CLUSTER", "MYID")
        for line in primary.cli("CLUSTER", "NODES").splitlines():
            words = line.split()
            if words[3] == own and "fail" not in words[2]:
                port = int(words[1].split("@")[0].rpartition(":")[2])
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError("it has no replica")

    def move_slot(self, slot, target, pause=lambda: None):
        """Migrates a slot key by key, as redis-cli --cluster does; `pause` runs in the middle."""
        source = self.owner(slot)
        source_id, target_id = source.cli("CLUSTER", "MYID"), target.cli("CLUSTER", "MYID")
        target.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        pause()
        while True:
            keys = source.cli("CLUSTER", "GETKEYSINSLOT", slot, 100).splitlines()
            if not keys:
                break
            source.cli("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "REPLACE", "KEYS", *keys)
            pause()
        for node in (target, source):
            node.cli("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def owner(self, slot):
        """The primary of a slot, by what the first living node says."""
        for node in self.nodes:
            if node.process is None:
                continue
            for line in node.cli("CLUSTER", "NODES").splitlines():
                words = line.split()
                for bounds in words[8:]:
                    if bounds.startswith("["):
                        continue
                    low, _, high = bounds.partition("-")
                    if int(low) <= slot <= int(high or low):
                        port = int(words[1].split("@")[0].rpartition(":")[2])
                        return next(each for each in self.nodes if each.port == port)
        raise AssertionError(f"nobody owns slot {slot}")


def environment(cluster):
    """What a command run beside the cluster is told."""
    return {**os.environ, "TURNOUT_REDIS": cluster.seeds}
