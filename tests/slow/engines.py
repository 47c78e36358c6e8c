# SPDX-License-Identifier: Apache-2.0
"""A systemd and a Docker engine that are real, and the test's own.

Each runs in namespaces of mounts and network (enter.py), so that it finds neither this machine's
/run and /tmp nor its ports, and in control groups made for it. The latter is no nicety: a manager
that starts in a group moves every process of that group into one of its own. `Cannot` says what is
missing, and ends nothing.
"""

import contextlib
import http.client
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile

from processes import end, until

HERE = pathlib.Path(__file__).resolve().parent
UNITS = HERE.parents[1] / "packaging" / "systemd"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
NODES_MAX = 10


class Cannot(Exception):
    """What this machine lacks."""


def need_program(name, package):
    path = shutil.which(name)
    if path is None:
        raise Cannot(f"no {name}: tools/setup slow installs {package}")
    return path


def need_root():
    if os.geteuid() != 0:
        raise Cannot("only root may make namespaces and control groups of its own")
    need_program("unshare", "util-linux")
    done = subprocess.run(["unshare", "--mount", "--net", "mount", "-t", "tmpfs", "tmpfs", "/run"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise Cannot(f"no namespace of mounts and network here: {done.stderr.strip()}")


def own_groups():
    """{hierarchy: this process's group} of those that a manager moves processes in.

    cgroup v2 at the top, or beside v1 at unified, and the named one of v1.
    """
    found = {}
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        number, names, path = line.split(":", 2)
        places = {"0": ("unified", ""), "name=systemd": ("systemd",)}
        for place in places.get(number if number == "0" else names, ()):
            if (CGROUPS / place / "cgroup.procs").exists():
                found[CGROUPS / place] = path.lstrip("/")
                break
    return found


class Groups:
    """Control groups below this process's own, one in each hierarchy, and what grows below them."""

    def __init__(self, name):
        self.name, self.made = f"turnout-{name}-{os.getpid()}", []
        before = own_groups()
        if not before:
            raise Cannot(f"no control groups at {CGROUPS}")
        try:
            for place, path in before.items():
                self.made.append(place / path / self.name)
                self.made[-1].mkdir()
        except OSError as error:
            self.remove()
            raise Cannot(f"no control group may be made (a delegated subtree is needed): "
                         f"{error}") from error

    def everywhere(self):
        """Controllers of v1 have groups of the same name in their own hierarchies."""
        return [path for place in [CGROUPS, *CGROUPS.glob("*")]
                for path in place.glob(f"**/{self.name}") if path.is_dir()]

    def processes(self):
        found = set()
        for path in [path for top in self.everywhere() for path in top.glob("**/")]:
            with contextlib.suppress(FileNotFoundError):
                found |= {int(pid) for pid in (path / "cgroup.procs").read_text().split()}
        return found

    def remove(self):
        for top in self.everywhere():
            for path in sorted(top.glob("**/"), key=lambda each: -len(each.parts)):
                with contextlib.suppress(OSError):
                    path.rmdir()


class Engine:
    """Started in its namespaces; ends with all that runs in its control groups."""

    def __init__(self, name, folder, program):
        need_root()
        self.folder, self.program, self.process = pathlib.Path(folder), program, None
        self.groups = Groups(name)
        (self.folder / "console").touch()
        self.begin()

    def begin(self):
        before = own_groups()
        groups = ",".join(str(path) for path in self.groups.made)
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--net", "--propagation", "private", sys.executable,
                 HERE / "enter.py", self.folder, groups, *self.program],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self.environment()})
        try:
            until(self.is_up, 60)
            assert own_groups() == before, "it moved processes that are none of its own"
        except AssertionError as error:
            self.stop()
            raise Cannot(f"{self.program[0]} does not start: {self.last_words()}") from error

    def environment(self):
        return {}

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError("it ended")
        return self.answers()

    def last_words(self):
        lines = [line for name in ("console", "log")
                 for line in (self.folder / name).read_text(errors="replace").splitlines()[-3:]]
        return " / ".join(lines) or "it says nothing"

    def inside(self, *command, **options):
        """A program in the engine's network."""
        return subprocess.run(["nsenter", f"--net=/proc/{self.process.pid}/ns/net", *command],
                              capture_output=True, text=True, **options)

    def serving(self):
        """Ports of the nodes that answer /readyz."""
        ports = [f"1{number}80" for number in range(1, NODES_MAX + 1)]
        code = ("import http.client, sys\nfor port in sys.argv[1:]:\n"
                "    try:\n"
                "        link = http.client.HTTPConnection('127.0.0.1', int(port), timeout=2)\n"
                "        link.request('GET', '/readyz')\n"
                "        print(port if link.getresponse().status == 200 else '')\n"
                "    except OSError:\n        pass\n")
        done = self.inside(sys.executable, "-c", code, *ports)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def kill(self):
        """At once, with all that runs below it."""
        self.process.kill()
        self.process.wait()
        for pid in self.groups.processes():
            end(pid, signal.SIGKILL)

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.kill()
        self.groups.remove()


# systemd ------------------------------------------------------------------------------------------

DROP_IN = """[Service]
# there is no such user in a manager of a user, and the programs and files are the test's
User=
Group=
ExecStart=
ExecStart=/run/turnout/turnout serve --config /run/turnout/turnout.ini
Environment=TURNOUT_STORE_URL=sqlite:/run/turnout/data/%i.db
ReadWritePaths=/run/turnout/data
WatchdogSec=4s
TimeoutStopSec=4s
StandardOutput=append:/run/turnout/nodes.log
StandardError=append:/run/turnout/nodes.log
"""

TARGETS = {
    "basic": "", "sysinit": "", "default": "", "shutdown": "",
    "exit": "Requires=end.service\nAfter=end.service\n",
}
END = """[Unit]
DefaultDependencies=no
Requires=shutdown.target
After=shutdown.target
SuccessAction=exit-force
[Service]
Type=oneshot
Slice=-.slice
ExecStart=/bin/true
"""


def write_config(folder):
    (folder / "turnout.ini").write_text("[auth]\nmode = off\n")


class Systemd(Engine):
    """`systemd --user` with no unit but the shipped template, and targets to start and end.

    It never is a manager of a system: that one cleans /tmp and the like.
    """

    kind = "systemd"

    def __init__(self, folder, binary):
        program = need_program("systemd", "systemd")
        need_program("systemctl", "systemd")
        folder = pathlib.Path(folder)
        for name in ("run", "home/.config/systemd", "units/turnout@.service.d", "none", "data"):
            (folder / name).mkdir(parents=True)
        (folder / "run").chmod(0o700)
        for name, lines in TARGETS.items():
            (folder / "units" / f"{name}.target").write_text(
                f"[Unit]\nDefaultDependencies=no\n{lines}")
        (folder / "units/end.service").write_text(END)
        # its own controllers are none of the test's business
        (folder / "home/.config/systemd/user.conf").write_text(
            "[Manager]\nDefaultMemoryAccounting=no\nDefaultTasksAccounting=no\n")
        shutil.copy(UNITS / "turnout@.service", folder / "units")
        (folder / "units/turnout@.service.d/test.conf").write_text(DROP_IN)
        shutil.copy(binary, folder / "turnout")
        write_config(folder)
        self.folder = folder
        super().__init__("systemd", folder, [program, "--user", "--unit=basic.target",
                                                      "--log-level=warning"])

    def environment(self):
        folder = self.folder
        return {"HOME": f"{folder}/home", "XDG_CONFIG_HOME": f"{folder}/home/.config",
                "XDG_DATA_HOME": f"{folder}/home/.data",
                # where units see it that have a /tmp of their own
                "XDG_RUNTIME_DIR": "/run/turnout/run",
                "SYSTEMD_UNIT_PATH": f"{folder}/units", "SYSTEMD_LOG_TARGET": "console",
                "SYSTEMD_GENERATOR_PATH": f"{folder}/none",
                "SYSTEMD_ENVIRONMENT_GENERATOR_PATH": f"{folder}/none"}

    def control(self, *words):
        return subprocess.run(["systemctl", "--user", *words], capture_output=True, text=True,
                              env=dict(os.environ, XDG_RUNTIME_DIR=f"{self.folder}/run"))

    def answers(self):
        return self.control("is-active", "basic.target").stdout.strip() == "active"

    def clear(self):
        """As if nothing had ever run."""
        self.control("kill", "--signal=KILL", "turnout@*.service")
        self.control("stop", "turnout@*.service")
        self.control("reset-failed")
        write_config(self.folder)
        until(lambda: self.pids() == {})

    def options(self):
        return {"template": "turnout", "of_user": 1, "nodes_max": NODES_MAX}

    def provider_environment(self):
        return {"XDG_RUNTIME_DIR": f"{self.folder}/run"}

    def pids(self):
        """{name: pid} of the nodes."""
        shown = self.control("show", "--property=Id,MainPID", "turnout@*.service").stdout
        found = re.findall(r"^MainPID=(\d+)\nId=(\S+)$|^Id=(\S+)\nMainPID=(\d+)$", shown, re.M)
        pids = {unit or other: int(pid or again) for pid, unit, other, again in found}
        return {unit: pid for unit, pid in pids.items() if pid}

    def gives_up(self):
        return True  # exit 78 is not tried again


# Docker Swarm -------------------------------------------------------------------------------------

class Link(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("docker", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def image_of(binary):
    """A tar of the program and the libraries it is linked with; nothing is fetched."""
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listed, re.M)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as tar:
        tar.add(binary, "turnout")
        for path in libraries:
            tar.add(path, path.lstrip("/"))
        for name in ("tmp", "data"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(folder)
    return packed.getvalue()


def service_of(folder, name, mode, **more):
    """Replicas on the namespace's network, each on a port of its own by its slot."""
    return {
        "Name": name, "Labels": {"door": "\"Replicas\": 9"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "turnout-test:1",
                "Command": ["/turnout", "serve", "--config", "/conf/turnout.ini"],
                "Env": ["TURNOUT_SERVER_LISTEN=127.0.0.1:1{{.Task.Slot}}80",
                        "TURNOUT_STORE_URL=sqlite:/data/{{.Task.Slot}}.db"],
                "Mounts": [{"Type": "bind", "Source": f"{folder}/conf", "Target": "/conf",
                            "ReadOnly": True}],
                "StopGracePeriod": 3_000_000_000},
            "RestartPolicy": {"Condition": "any", "Delay": 500_000_000},
            "Networks": [{"Target": "host"}]},
        "UpdateConfig": {"Parallelism": 1, "Delay": 5_000_000_000, "Order": "stop-first"},
        "Mode": mode, **more}


class Swarm(Engine):
    """`dockerd`, a swarm of itself, and a service of turnout."""

    kind = "swarm"

    def __init__(self, folder, binary):
        need_program("dockerd", "docker.io")
        self.folder = folder = pathlib.Path(folder)
        (folder / "conf").mkdir()
        (folder / "none.json").write_text("{}")
        write_config(folder / "conf")
        self.name = None
        # nothing is routed, so no bridge and no packet filter are needed
        super().__init__("swarm", folder, [
            "dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none",
            f"--data-root={folder}/data", "--exec-root=/run/docker", "--pidfile=/run/docker.pid",
            f"--host=unix://{folder}/socket", f"--config-file={folder}/none.json",
            f"--cgroup-parent=/turnout-swarm-{os.getpid()}"])
        try:
            self.ask("POST", "/swarm/init", {"ListenAddr": "127.0.0.1:2377",
                                             "AdvertiseAddr": "127.0.0.1"})
            self.ask("POST", "/images/create?fromSrc=-&repo=turnout-test&tag=1", image_of(binary))
        except BaseException:
            self.stop()
            raise

    def ask(self, method, path, body=None):
        link = Link(self.folder / "socket")
        text = body if isinstance(body, bytes) or body is None else json.dumps(body)
        link.request(method, "/v1.41" + path, text, {
            "Content-Type": "application/x-tar" if isinstance(body, bytes) else "application/json"})
        reply = link.getresponse()
        said = reply.read().decode()
        link.close()
        assert reply.status < 300, (method, path, reply.status, said)
        with contextlib.suppress(ValueError):
            return json.loads(said)
        return said

    def answers(self):
        return self.ask("GET", "/info")

    def clear(self):
        """A service of another name: an engine may take a while with the tasks of an old one."""
        number = 1 if self.name is None else int(self.name.rpartition("-")[2]) + 1
        self.remove_services()
        write_config(self.folder / "conf")
        self.name = f"checkin-{number}"
        self.ask("POST", "/services/create",
                 service_of(self.folder, self.name, {"Replicated": {"Replicas": 0}}))

    def remove_services(self):
        for service in self.ask("GET", "/services"):
            self.ask("DELETE", f"/services/{service['ID']}")
        until(lambda: not self.ask("GET", "/containers/json"), 60)

    def options(self):
        return {"socket": self.folder / "socket", "service": self.name}

    def provider_environment(self):
        return {}

    def service(self):
        return self.ask("GET", f"/services/{self.name}")

    def pids(self):
        containers = self.ask("GET", "/containers/json")
        return {each["Id"]: self.ask("GET", f"/containers/{each['Id']}/json")["State"]["Pid"]
                for each in containers}

    def gives_up(self):
        return False

    def stop(self):
        with contextlib.suppress(Exception):
            self.remove_services()
        super().stop()
