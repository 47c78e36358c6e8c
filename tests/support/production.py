# SPDX-License-Identifier: Apache-2.0
"""Production on one machine: what cluster.py starts, and HAProxy with the configuration that
turnout writes, two controllers that stand by for each other, and nodes that the leading one starts
and stops as processes, two to ten of them. What `make cluster` starts; tests start the same."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import cluster
import haproxy
import redis_cluster
from processes import Missing, end, end_all, program, started_at, until

SBIN = ("/usr/sbin", "/usr/local/sbin")
CONTROLLERS = ("control1", "control2")
PORTS = 2 + 12 + 2 + len(CONTROLLERS)  # PostgreSQL, Redis, HAProxy and its page, controllers
NODES_MAX = 10
SOCKET_PATH_MAX = 100  # of a Unix socket, with some room
START_S = 90

# What nodes and controllers share. Everything else is as it is by default.
SETTINGS = {
    "server": {"agent": "127.0.0.1:0", "trusted_proxies": "127.0.0.1"},
    "scaler": {"provider": "process", "max": NODES_MAX},
}


class Front:
    """HAProxy, with the configuration that turnout writes."""

    name = "haproxy"

    def __init__(self, folder, port, stats_port, notice=lambda name, pid: None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.stats_port = port, stats_port
        self.socket = str(self.folder / "socket")
        self.map = str(self.folder / "best.map")
        self.log = self.folder / "log"
        self.notice = notice
        self.process = None

    @property
    def settings(self):
        return {"socket": self.socket, "map": self.map, "bind": f"127.0.0.1:{self.port}",
                "stats_bind": f"127.0.0.1:{self.stats_port}"}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def stats_url(self):
        return f"http://127.0.0.1:{self.stats_port}/"

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def write(self, text):
        pathlib.Path(self.map).touch()
        (self.folder / "haproxy.cfg").write_text(text)

    def start(self):
        """In the foreground, one process, so that it is known by its pid."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [program("haproxy", *SBIN), "-db", "-f", self.folder / "haproxy.cfg"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.notice(self.name, self.process.pid)
        until(lambda: self.answers() or not self.is_running)
        if not self.is_running:
            raise AssertionError(f"haproxy ended with {self.process.wait()}: {self.log_tail()}")
        return self

    def answers(self):
        return "Pid:" in self.ask("show info")

    def ask(self, command):
        """What its Runtime API says; for looking."""
        return haproxy.ask(self.socket, command)

    def servers(self):
        """{name: {backend: status}}"""
        lines = self.ask("show stat").splitlines()
        names = lines[0].removeprefix("# ").split(",")
        found = {}
        for line in lines[1:]:
            row = dict(zip(names, line.split(",")))
            if row.get("svname") not in (None, "", "FRONTEND", "BACKEND"):
                found.setdefault(row["svname"], {})[row["pxname"]] = row["status"]
        return found

    def serving(self):
        """Names of the servers that take traffic in every backend."""
        return {name for name, backends in self.servers().items()
                if all(status.startswith("UP") for status in backends.values())}

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        if self.process is not None:
            if self.is_running:
                end(self.process.pid)
            self.process.wait()
            self.process = None

    def log_tail(self, size=2000):
        return self.log.read_bytes()[-size:].decode(errors="replace")


class Started:
    """A node that the provider has written down in its folder."""

    def __init__(self, path):
        self.path = path
        self.name = path.stem
        written = json.loads(path.read_text())
        self.pid, self.began = written["pid"], written["began"]
        self.url = written["url"]
        self.is_leaving = written["stopping_us"] != 0

    @property
    def is_running(self):
        return self.pid > 0 and started_at(self.pid) == self.began

    @property
    def server(self):
        """As HAProxy knows it."""
        return f"{socket.gethostname()}_{self.url.rpartition(':')[2]}"


def started_nodes(folder):
    """By number; what the provider writes at this moment is read the next time."""
    found = []
    for path in pathlib.Path(folder).glob("node-*.json"):
        try:
            found.append(Started(path))
        except (FileNotFoundError, json.JSONDecodeError):
            pass
    return sorted(found, key=lambda node: int(node.name.partition("-")[2]))


class Production(cluster.Cluster):
    """In `folder`; `base` is the first of 18 ports in a row, None takes free ones. Nodes take free
    ones in any case. `settings`: {section: {key: value}} beside those above."""

    def __init__(self, folder, nodes=2, base=None, say=lambda text: None, settings=None):
        super().__init__(folder, nodes, base, say)
        self.ports = redis_cluster.free_ports(PORTS) if base is None \
            else list(range(base, base + PORTS))
        self.config = self.folder / "turnout.ini"
        self.nodes_folder = self.folder / "nodes"
        self.settings = settings or {}
        self.front = None
        self.controllers = []

    # Start and stop ----------------------------------------------------------------------------

    def check_programs(self):
        program("haproxy", *SBIN)
        if len(str(self.folder / "haproxy" / "socket")) > SOCKET_PATH_MAX:
            raise Missing(f"the path {self.folder} is too long for a socket in it: choose another"
                          " folder with --dir")
        super().check_programs()

    def end_leftovers(self):
        """Controllers first: they would start the nodes again."""
        self.ledger.end_leftovers(self.say, lambda name: name in CONTROLLERS)
        self.end_nodes()
        super().end_leftovers()

    def write_config(self, more=None):
        """`more` goes before the settings that the cluster was made with."""
        sections = {section: dict(keys) for section, keys in SETTINGS.items()}
        sections["store"] = {"url": self.store_url()}
        sections["redis"] = {"nodes": self.redis.seeds}
        sections["process"] = {"folder": self.nodes_folder}
        sections["haproxy"] = self.front.settings
        sections["scaler"] |= {"min": self.nodes_len, "max": max(NODES_MAX, self.nodes_len)}
        for settings in (self.settings, more or {}):
            for section, keys in settings.items():
                sections.setdefault(section, {}).update(keys)
        text = "".join(f"[{section}]\n" + "".join(f"{key} = {value}\n"
                                                  for key, value in keys.items()) + "\n"
                       for section, keys in sections.items())
        self.config.write_text(text)

    def run_turnout(self, *words):
        done = subprocess.run([self.binary, *words], text=True, capture_output=True, timeout=60,
                              check=False)
        if done.returncode != 0:
            raise AssertionError(f"turnout {' '.join(map(str, words))}: {done.stderr}")
        return done.stdout

    def start_nodes(self):
        """The controllers start them."""
        front, stats, *ports = self.ports[14:]
        self.front = Front(self.folder / "haproxy", front, stats, self.ledger.note)
        self.write_config()
        self.say("starting HAProxy")
        self.front.write(self.run_turnout("control", "haproxy", "--config", self.config))
        self.front.start()
        for name, port in zip(CONTROLLERS, ports):
            self.say(f"starting {name}")
            self.controllers.append(self.controller(name, port).start())
        self.say(f"waiting for {self.nodes_len} nodes, which the controller starts")
        until(lambda: len(self.front.serving()) >= self.nodes_len, START_S)

    def controller(self, name, port):
        command = [self.binary, "control", "--config", self.config,
                   "--listen", f"127.0.0.1:{port}"]
        return cluster.Node(name, self.folder / name, command, self.postgres.environment(),
                            self.ledger.note)

    def want(self, fewest, most=None, **settings):
        """Another configuration: the controllers read it at their start, and the nodes go on."""
        for controller in self.controllers:
            if controller.is_running:
                os.kill(controller.process.pid, signal.SIGTERM)
        for controller in self.controllers:
            controller.stop()
        scaler = {**settings.pop("scaler", {}), "min": fewest, "max": most or fewest}
        self.write_config({**settings, "scaler": scaler})
        for controller in self.controllers:
            controller.start()

    def reaches(self, count, seconds=START_S):
        """The nodes, once so many run, and they and nobody else take traffic."""
        def is_reached():
            names = {node.server for node in self.started()}
            return len(names) == count and set(self.front.servers()) == names == \
                self.front.serving()
        try:
            until(is_reached, seconds)
        except AssertionError:
            nodes = {node.name: (node.server, node.is_running, node.is_leaving) for node in
                     started_nodes(self.nodes_folder)}
            raise AssertionError(f"not {count}: {nodes} {self.front.servers()}") from None
        return self.started()

    def end_nodes(self):
        """Those that the provider has started; a controller would start them again."""
        nodes = [node for node in started_nodes(self.nodes_folder) if node.is_running]
        for node in nodes:
            self.say(f"stopping {node.name}")
        end_all([node.pid for node in nodes])
        for path in self.nodes_folder.glob("node-*.json"):
            path.unlink()

    def stop(self):
        """In the order that loses nothing: who starts others first, who is asked last."""
        for controller in self.controllers:
            self.say(f"stopping {controller.name}")
            controller.stop()
        if self.controllers:
            self.end_nodes()
        if self.front is not None:
            self.say("stopping HAProxy")
            self.front.stop()
        super().stop()

    def ended(self):
        """Not the nodes: who ends is started again."""
        parts = [self.front, *self.controllers]
        return super().ended() + [part.name for part in parts if not part.is_running]

    # What there is -----------------------------------------------------------------------------

    def started(self):
        return [node for node in started_nodes(self.nodes_folder)
                if node.is_running and node.url and not node.is_leaving]

    def get(self, url, path):
        """A document that an admin may read; None when there is no answer worth reading."""
        request = urllib.request.Request(
            url + path, headers={"Authorization": f"Bearer {self.admin_key().read_text().strip()}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError, json.JSONDecodeError):
            return None

    def facts(self):
        nodes = [{"name": node.name, "url": node.url, "pid": node.pid} for node in self.started()]
        return {**super().facts(), "nodes": nodes, "config": str(self.config),
                "haproxy": {"url": self.front.url, "stats": self.front.stats_url,
                            "socket": self.front.socket, "pid": self.front.process.pid},
                "controllers": [{"name": each.name, "url": each.url, "pid": each.process.pid}
                                for each in self.controllers]}


def clear(whole):
    """Only what a cluster keeps in its folder: a wrong one costs nothing else."""
    for name in ("postgres", "redis", "nodes", "admin-key"):
        path = whole.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def show(facts):
    """The same for people, to be copied line by line."""
    postgres, redis = facts["postgres"], facts["redis"]["nodes"].split(",")[0]
    psql = f"PGPASSFILE={postgres['passfile']} psql -h 127.0.0.1"
    haproxy = facts["haproxy"]
    asks = f"curl -H \"Authorization: Bearer $(cat {facts['admin_key_file']})\""
    lines = ["",
             f"  {'doors':11}{haproxy['url']}   HAProxy: what scanners ask, and the dashboard",
             f"  {'servers':11}{haproxy['stats']}   HAProxy's own page",
             *(f"  {each['name']:11}{each['url']}" for each in facts["controllers"]),
             *(f"  {each['name']:11}{each['url']}" for each in facts["nodes"]),
             f"  {'primary':11}{psql} -p {postgres['primary']['port']} -U turnout turnout",
             f"  {'standby':11}{psql} -p {postgres['standby']['port']} -U turnout turnout",
             f"  {'redis':11}redis-cli -c -p {redis.rpartition(':')[2]}",
             f"  {'store':11}{postgres['url']}   (with PGPASSFILE as above)",
             f"  {'key':11}cat {facts['admin_key_file']}   (the dashboard asks for it)",
             f"  {'events':11}{asks} {haproxy['url']}/v1/events",
             f"  {'nodes':11}{asks} {haproxy['url']}/v1/nodes",
             f"  {'journal':11}{asks} {haproxy['url']}/v1/actions",
             f"  {'settings':11}{facts['config']}",
             f"  {'logs':11}{facts['folder']}/*/log, {facts['folder']}/postgres/*/log,"
             f" {facts['folder']}/nodes/*.log", "",
             "Ctrl-C stops everything; data stays in the folder."]
    return "\n".join(lines)
