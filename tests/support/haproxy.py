# SPDX-License-Identifier: Apache-2.0
"""A real HAProxy with turnout's configuration, and the driver that commands it."""

import os
import pathlib
import signal
import socket
import subprocess

import processes

SBIN = ("/usr/sbin", "/usr/local/sbin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(path, command):
    """What the Runtime API at this socket says."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(5)
        link.connect(str(path))
        link.sendall(command.encode() + b"\n")
        pieces = []
        while piece := link.recv(65536):
            pieces.append(piece)
    return b"".join(pieces).decode()


class HAProxy:
    """Master and worker in the foreground, so that it can be reloaded and ended by pid."""

    def __init__(self, folder, probe, nodes=(), certificate=None):
        self.folder = pathlib.Path(folder)
        self.probe = probe
        self.socket = str(self.folder / "haproxy.sock")
        self.map = str(self.folder / "best.map")
        self.config = self.folder / "haproxy.cfg"
        self.port = free_port()
        self.tls_port = free_port() if certificate else None
        self.certificate = certificate
        self.process = None
        pathlib.Path(self.map).write_text("")
        self.write_config(nodes)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def write_config(self, nodes):
        words = [self.probe, "config", f"127.0.0.1:{self.port}", self.socket, self.map]
        if self.certificate:
            words += [f"127.0.0.1:{self.tls_port}", str(self.certificate)]
        text = subprocess.run(words, input="".join(f"{node}\n" for node in nodes), text=True,
                              check=True, capture_output=True).stdout
        self.config.write_text(text)
        binary = processes.program("haproxy", *SBIN)
        checked = subprocess.run([binary, "-c", "-f", str(self.config)], text=True,
                                 capture_output=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        self.warnings = checked.stderr

    def start(self):
        binary = processes.program("haproxy", *SBIN)
        log = open(self.folder / "haproxy.log", "ab")  # pylint: disable=consider-using-with
        with log:
            self.process = subprocess.Popen([binary, "-W", "-f", str(self.config)], stdout=log,
                                            stderr=log)
        processes.until(lambda: "Pid:" in self.ask("show info"))
        return self

    def ask(self, command):
        """What the Runtime API says; for looking, and for doing what somebody does by hand."""
        return ask(self.socket, command)

    def pid(self):
        for line in self.ask("show info").splitlines():
            if line.startswith("Pid:"):
                return int(line.split()[1])
        raise AssertionError("no Pid")

    def reload(self):
        before = self.pid()
        self.process.send_signal(signal.SIGUSR2)
        processes.until(lambda: self.pid() != before)

    def freeze(self):
        os.kill(self.pid(), signal.SIGSTOP)

    def stop(self):
        if self.process is None:
            return
        for child in processes.children(self.process.pid):
            processes.end(child, signal.SIGKILL)
        processes.end(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


class Driver:
    """Rounds of the driver, each with its wish."""

    def __init__(self, probe, haproxy, drain_ms=5000):
        self.process = subprocess.Popen([probe, "rounds", haproxy.socket, haproxy.map,
                                         str(drain_ms)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events = []   # of all rounds: "WHAT BACKEND/SERVER CODE DETAIL"
        self.servers = {}  # of the last one: (backend, name) -> status
        self.err = None
        self.settled = False

    def round(self, nodes, best=()):
        lines = [f"node {node}\n" for node in nodes]
        lines += [f"best {key} {name}\n" for key, name in best]
        self.process.stdin.write("".join(lines) + "round\n")
        self.process.stdin.flush()
        self.servers = {}
        for line in self.process.stdout:
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "event":
                self.events.append(rest)
            elif kind == "server":
                backend, name, status, _, _ = rest.split()
                self.servers[backend, name] = status
            else:
                self.err, orders, refused, settled, _ = rest.split()
                self.settled = settled == "1"
                self.orders, self.refused = int(orders), int(refused)
                return self
        raise AssertionError("the driver ended")

    def settle(self, nodes, best=(), seconds=30):
        processes.until(lambda: self.round(nodes, best).settled, seconds)
        return self

    def heard(self, what):
        return [event for event in self.events if event.split()[0] == what]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)
