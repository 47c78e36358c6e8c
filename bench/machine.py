# SPDX-License-Identifier: Apache-2.0
"""Processes to measure: turnout, its peers, the load; what they used; the machine they ran on."""

import http.client
import json
import os
import pathlib
import platform
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import time

READY = re.compile(r"ready url=http://([^:]+):(\d+) pid=(\d+)")
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
TICKS = os.sysconf("SC_CLK_TCK")
HAPROXY_BINARY = shutil.which("haproxy") or "/usr/sbin/haproxy"  # not on everybody's path

_servers = []


class Failed(Exception):
    """A run that is no measurement."""


def end_all():
    """After a failure: whatever of ours still runs."""
    for server in list(_servers):
        server.kill()


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(command, timeout=900, env=None):
    """A program to its end; what it printed. Anything but exit code 0 is a failure."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=timeout, preexec_fn=raise_descriptor_limit, check=False,
                          env={**os.environ, **(env or {})})
    if done.returncode != 0:
        shown = " ".join(map(str, command))
        raise Failed(f"{shown}\nended with {done.returncode}: {done.stderr[-3000:]}")
    return done.stdout


def run_measured(command):
    """The same, with its wall time and its highest memory."""
    begun = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    output = process.stdout.read()
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"{command} ended with {process.returncode}: {errors[-3000:]}")
    return output, time.monotonic() - begun, usage.ru_maxrss


class Process:
    """A server of ours, in a group of its own."""

    ends_with = 0  # after SIGTERM

    def __init__(self, command, log, env=None):
        self.log = pathlib.Path(log)
        with open(self.log, "wb") as errors:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors, start_new_session=True, preexec_fn=raise_descriptor_limit,
                env={**os.environ, **(env or {})})
        _servers.append(self)
        self.pid = self.process.pid

    def pids(self):
        """The process and its children (nginx works in them)."""
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def cpu_s(self):
        """User and system time of all its threads until now."""
        total = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory_mib(self, field):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M)[1]) / 1024

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{self.log.name}: still there {STOP_TIMEOUT_S} s after SIGTERM") from None
        _servers.remove(self)
        if code != self.ends_with:
            raise Failed(f"ended with {code}: {self.tail()}")

    def kill(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        if self in _servers:
            _servers.remove(self)

    def tail(self):
        return self.log.read_text(errors="replace")[-3000:]


class Turnout(Process):
    """`store` is the path of a SQLite file, or a URL; `under` a command that runs it."""

    def __init__(self, binary, store, log, *args, env=None, under=()):
        begun = time.monotonic()
        url = store if "://" in str(store) else f"sqlite:{store}"
        super().__init__([*under, binary, "serve", "--listen", "127.0.0.1:0", "--store", url,
                          "--auth", "off", *args], log, env)
        self.port = self._wait_ready()
        self.start_s = time.monotonic() - begun

    def _wait_ready(self):
        out = self.process.stdout
        if not select.select([out], [], [], START_TIMEOUT_S)[0]:
            raise Failed(f"turnout is not ready after {START_TIMEOUT_S} s: {self.tail()}")
        found = READY.match(out.readline().decode())
        if found is None:
            raise Failed(f"turnout did not start: {self.tail()}")
        return int(found[2])


NGINX = """
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
daemon off;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        default_type application/json;
        location / {{ return 200 '{body}'; }}
    }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Listener(Process):
    """A server that is there once its port takes connections."""

    def __init__(self, command, log, port):
        self.port = port
        super().__init__(command, log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failed(f"{command[0]} did not start: {self.tail()}")


class Nginx(Listener):
    """`return 200` with a body given: the least that a good HTTP server does."""

    def __init__(self, folder, body):
        folder = pathlib.Path(folder)
        folder.mkdir()
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port, workers=os.cpu_count(),
                                       body=body.replace("\\", "\\\\").replace("'", "\\'")))
        super().__init__(["nginx", "-p", folder, "-c", config], folder / "nginx.log", port)


HAPROXY = """
global
    maxconn 4096
defaults
    mode http
    timeout client 60s
    timeout connect 5s
    timeout server 60s
frontend alone
    bind 127.0.0.1:{port}
    http-request return status 200 content-type application/json file {body}
"""


class HAProxy(Listener):
    """It answers by itself, with a body given, and asks no server behind it. A thread a core is its
    default."""

    ends_with = -signal.SIGTERM  # it does not handle it

    def __init__(self, folder, body):
        folder = pathlib.Path(folder)
        folder.mkdir()
        port = free_port()
        (folder / "body").write_text(body)
        config = folder / "haproxy.cfg"
        config.write_text(HAPROXY.format(port=port, body=folder / "body"))
        super().__init__([HAPROXY_BINARY, "-db", "-f", config], folder / "haproxy.log", port)


class Memcached(Listener):
    """Never to give way to other connections: there is one."""

    def __init__(self, log):
        port = free_port()
        super().__init__(["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", port, "-U", "0",
                          "-R", "1000"], log, port)


VERSION = re.compile(r"\d+(?:\.\d+)+")


def versions(*commands):
    """[[program, version]] of what prints its version, each command as one text."""
    rows = []
    for command in commands:
        words = command.split()
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        found = VERSION.search(done.stdout + done.stderr)
        if found is None:
            raise Failed(f"{command} tells no version: {done.stdout}{done.stderr}")
        rows.append([pathlib.Path(words[0]).name, found[0]])
    return rows


def wrk(server, path, seconds, connections):
    """CPU time of the server for one request, in microseconds, under wrk."""
    before = server.cpu_s()
    output = run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                  f"http://127.0.0.1:{server.port}{path}"])
    used = server.cpu_s() - before
    if "Non-2xx" in output or "Socket errors" in output:
        raise Failed(f"wrk on {path}:\n{output}")
    requests = int(re.search(r"(\d+) requests in", output)[1])
    if requests < 1000:
        raise Failed(f"wrk on {path}: only {requests} requests")
    return used / requests * 1e6


def drive(binary, mode, port, **options):
    """The load driver; it fails by itself when an answer is not as expected."""
    command = [binary, mode, "--port", port]
    for name, value in options.items():
        command += [f"--{name}", value]
    return json.loads(run(command))


def ask(port, method, path, document=None):
    """One request; the body of its answer. Anything but 200 or 201 is a failure."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        body = None if document is None else json.dumps(document)
        link.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = link.getresponse()
        text = answer.read().decode()
    finally:
        link.close()
    if answer.status not in (200, 201):
        raise Failed(f"{method} {path}: {answer.status} {text[:500]}")
    return text


def git(root, *args):
    done = subprocess.run(["git", "-C", str(root), *args], capture_output=True, text=True,
                          check=False)
    return done.stdout.strip()


# Made by runs, and no part of what they measure: sets that ran before are no change.
MADE = [":!bench/results", ":!docs/performance.md", ":!docs/performance", ":!README.md"]


def facts(root):
    cpu = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    commit = git(root, "rev-parse", "--short", "HEAD") or "unknown"
    if git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *MADE):
        commit += "+changes"
    return {"commit": commit,
            "load_before": round(os.getloadavg()[0], 2),
            "machine": {"cpu": cpu[1] if cpu else platform.machine(), "cores": os.cpu_count(),
                        "kernel": platform.release()}}
