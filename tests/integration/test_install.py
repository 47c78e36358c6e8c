# SPDX-License-Identifier: Apache-2.0
"""The Debian package, installed by dpkg into a folder of its own, and what it brings.

dpkg knows there which packages this machine has, so that it checks dependencies for real; the
installed program runs with this machine's libraries. TURNOUT_SECURITY_MAX bounds the exposure that
systemd-analyze finds (1.5).
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

import rig
from rig import Venue, eventually, ok
from takeovers import Crowd, Node, another_build

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
UNITS = ["turnout.service", "turnout@.service", "turnout-control.service"]
SECURITY_MAX = float(os.environ.get("TURNOUT_SECURITY_MAX", "1.5"))


def run(*command, code=0, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=120, check=False, **options)
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


class Root:
    """A folder with packages in it, as far as dpkg is concerned: those that the package names, as
    this machine has them."""

    def __init__(self, folder, package, without=()):
        self.path = folder
        admin = folder / "var/lib/dpkg"
        for part in (admin / "info", admin / "updates", folder / "etc", folder / "bin"):
            part.mkdir(parents=True)
        depends = run("dpkg-deb", "--field", package, "Depends").stdout
        wanted = set(re.findall(r"[a-z0-9][a-z0-9.+-]+(?=[ ,\n])", depends)) - set(without)
        there = [one for one in pathlib.Path("/var/lib/dpkg/status").read_text().split("\n\n")
                 if one.partition("\n")[0].removeprefix("Package: ") in wanted]
        assert len(there) > 8
        # what those need in turn is not asked here
        kept = [re.sub(r"^(Pre-Depends|Depends|Conffiles):.*\n( .*\n)*", "", one + "\n", flags=re.M)
                for one in there]
        (admin / "status").write_text("\n".join(kept))
        shutil.copy("/bin/kill", folder / "bin/kill")

    def dpkg(self, *arguments, code=0):
        return run("dpkg", f"--root={self.path}", "--force-script-chrootless", "--force-not-root",
                   "--force-bad-path", f"--log={self.path}/dpkg.log", *arguments, code=code,
                   env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))

    def state(self):
        done = run("dpkg-query", f"--admindir={self.path}/var/lib/dpkg", "-W",
                   "-f=${db:Status-Abbrev} ${Version}", "turnout", code=None)
        return done.stdout.split()

    @property
    def program(self):
        return self.path / "usr/bin/turnout"


def build(folder, *arguments):
    return run(ROOT / "tools" / "deb", "--program", rig.BIN, "--output", folder / "turnout.deb",
               *arguments).stdout.strip()


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return build(tmp_path_factory.mktemp("package"), "--version", "1.0-1")


@pytest.fixture(scope="module")
def installed(tmp_path_factory, package):
    root = Root(tmp_path_factory.mktemp("root"), package)
    root.dpkg("-i", package)
    return root


# The package -------------------------------------------------------------------------------------

def test_a_package_that_misses_a_library_is_not_configured(tmp_path, package):
    root = Root(tmp_path / "bare", package, without=["libuv1"])
    said = root.dpkg("-i", package, code=1)
    assert "turnout depends on libuv1" in said.stderr
    assert root.state()[0] == "iU"


def test_it_is_installed_with_its_users_and_the_configuration_for_them_alone(installed):
    assert installed.state() == ["ii", "1.0-1"]
    users = (installed.path / "etc/passwd").read_text()
    assert "turnout:x:" in users and "turnout-control:x:" in users
    config = installed.path / "etc/turnout/turnout.ini"
    assert config.stat().st_mode & 0o777 == 0o640
    assert config.parent.stat().st_mode & 0o777 == 0o750
    group = re.search(r"^turnout:[^:]*:(\d+):(.*)$", (installed.path / "etc/group").read_text(),
                      re.M)
    assert "turnout-control" in group[2]
    if os.geteuid() == 0:
        assert config.stat().st_gid == int(group[1])


def test_nothing_of_it_can_be_changed_by_others(package):
    listed = run("dpkg-deb", "--contents", package).stdout.splitlines()
    assert len(listed) > 40
    for line in listed:
        mode, owner = line.split()[:2]
        assert owner == "root/root" and mode[5] != "w" and mode[8] != "w", line


def test_the_installed_program_tells_its_version_checks_its_configuration_and_serves(
        installed, tmp_path):
    said = rig.json.loads(run(installed.program, "version", "--json").stdout)
    assert said["version"]
    env = dict(os.environ, TURNOUT_STORE_URL=f"sqlite:{tmp_path}/turnout.db",
               TURNOUT_SERVER_LISTEN="127.0.0.1:0")
    config = installed.path / "etc/turnout/turnout.ini"
    checked = run(installed.program, "doctor", "--config", config, env=env, code=None)
    assert checked.returncode in (0, 1) and "127.0.0.1:0" in checked.stdout, checked.stderr
    node = Node(tmp_path, "--config", str(config), binary=installed.program).start()
    with node.client() as client:
        venue = Venue(client)
        venue.person("t")
        venue.admitted("t")
    node.stop()


def test_an_upgrade_under_load_keeps_the_configuration_and_fails_no_request(
        tmp_path, package):
    root = Root(tmp_path / "root", package)
    root.dpkg("-i", package)
    config = root.path / "etc/turnout/turnout.ini"
    config.write_text(config.read_text() + "\n[log]\nlevel = debug\n")
    newer = build(tmp_path, "--version", "1.1-1", "--program", another_build(tmp_path))
    node = Node(tmp_path, "--config", str(config), binary=root.program).start()
    try:
        with Crowd(node, 7, busy=2, idle=0) as crowd:
            root.dpkg("-i", newer)
            crowd.wait_for(50)
            since = node.mark()
            node.take_over()  # what postinst asks systemd for
            crowd.wait_for(50)
        crowd.check()
        assert re.search(r"takeover_offered new_pid=\d+ new_version=\S+X", node.log(since))
        assert root.state() == ["ii", "1.1-1"]
        assert "level = debug" in config.read_text()
        node.stop()
    finally:
        node.kill_all()
    records = root.path / "var/lib/turnout/turnout.db"
    records.parent.mkdir(parents=True)
    records.write_text("records")
    root.dpkg("-r", "turnout")
    assert not root.program.exists() and config.exists()
    root.dpkg("--purge", "turnout")
    assert not config.exists() and records.exists()


# Units -------------------------------------------------------------------------------------------

def analyze(root, *arguments, code=0):
    return run("systemd-analyze", f"--root={root}", *arguments, code=code,
               env=dict(os.environ, SYSTEMD_LOG_LEVEL="warning", SYSTEMD_PAGER="cat"))


@pytest.mark.parametrize("unit", [*UNITS, "turnout.socket"])
def test_systemd_takes_the_units(installed, unit):
    done = analyze(installed.path, "verify", "--man=no", "--recursive-errors=no",
                   unit.replace("@.", "@1."))
    assert done.stderr.strip() == "" and done.stdout.strip() == ""


def test_systemd_would_tell_of_a_mistake_in_a_unit(installed, tmp_path):
    broken = tmp_path / "etc/systemd/system/turnout.service"
    broken.parent.mkdir(parents=True)
    text = (PACKAGING / "systemd/turnout.service").read_text()
    broken.write_text(text.replace("ProtectHome=yes", "ProtectHouse=yes"))
    done = analyze(tmp_path, "verify", "--man=no", "--recursive-errors=no", "turnout.service",
                   code=None)
    assert "ProtectHouse" in done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_the_services_are_confined(installed, unit):
    done = analyze(installed.path, "security", "--offline=true", "--no-pager",
                   f"--threshold={SECURITY_MAX * 10:.0f}", unit.replace("@.", "@1."))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert 0 < float(found[1]) <= SECURITY_MAX


def filter_words(names):
    """Every system call of these sets, as systemd resolves them."""
    found = set()
    for name in names:
        if not name.startswith("@"):
            found.add(name)
            continue
        lines = run("systemd-analyze", "syscall-filter", name).stdout.splitlines()[1:]
        found |= filter_words([line.strip() for line in lines if line.startswith("    ") and
                               not line.strip().startswith("#")])
    return found


def allowed_calls():
    allowed = set()
    text = (PACKAGING / "systemd/turnout.service").read_text()
    for line in re.findall(r"^SystemCallFilter=(.*)$", text, re.M):
        calls = filter_words(line.lstrip("~").split())
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def test_a_node_needs_no_system_call_that_the_unit_forbids(tmp_path):
    """Under strace: it serves, reads its configuration again, is taken over from, stops."""
    trace = tmp_path / "trace"
    node = Node(tmp_path)
    node.launch(command=["strace", "-f", "-qq", "-e", "signal=none", "-o", str(trace),
                         *node.command()])
    found = node.wait(r"^ready url=http://127\.0\.0\.1:(\d+) pid=(\d+)$")
    node.listen = f"127.0.0.1:{found[1]}"
    node.pids.append(int(found[2]))
    try:
        with node.client() as client:
            venue = Venue(client)
            venue.person("t")
            venue.admitted("t")
            eventually(lambda: client.get("/v1/performance/kpi").status, lambda s: s == 200, 60)
            ok(client.get(f"{venue.path}/stats"))
            assert client.get("/metrics").status == 200
        since = node.mark()
        os.kill(node.pid, signal.SIGHUP)
        node.wait("event=reloaded", since)
        node.begin()
        found = node.wait(r"^ready url=\S+ pid=(\d+)$", since)
        node.wait("event=takeover_alone", since)
        os.kill(int(found[1]), signal.SIGTERM)
        [strace] = node.children
        assert strace.wait(60) == 0
    finally:
        node.kill_all()
    text = trace.read_text(errors="replace")
    used = set(re.findall(r"^\d+ +(\w+)\(", text, re.M))
    assert len(used) > 40 and {"accept4", "fdatasync", "execve"} <= used
    only_as_root = {"fchown"} if os.geteuid() == 0 else set()  # SQLite gives its files their owner
    assert used - allowed_calls() == only_as_root
    # MemoryDenyWriteExecute= and RestrictAddressFamilies=
    assert not re.search(r"\b(mmap|mprotect)\([^)]*PROT_WRITE\|PROT_EXEC", text)
    assert not re.search(r"\bmprotect\([^)]*PROT_EXEC", text)
    assert set(re.findall(r"\bsocket\((\w+)", text)) <= {"AF_UNIX", "AF_INET", "AF_INET6"}


POLKIT = """
let rule;
const polkit = {Result: {YES: "yes"}, addRule: (fn) => { rule = fn; }};
RULES
const ask = (id, user, unit, verb) => rule(
    {id, lookup: (name) => ({unit, verb})[name]}, {user}) === "yes";
const manage = "org.freedesktop.systemd1.manage-units", who = "turnout-control";
console.log(JSON.stringify([
    ["turnout@1.service", "start"], ["turnout@42.service", "stop"],
    ["turnout@1.service", "restart"],
].every(([unit, verb]) => ask(manage, who, unit, verb)) && ![
    [manage, who, "ssh.service", "stop"], [manage, who, "turnout@x.service", "start"],
    [manage, who, "turnout@1.service.d", "start"], [manage, who, "xturnout@1.service", "start"],
    [manage, who, "turnout@1.service", "kill"], [manage, "turnout", "turnout@1.service", "start"],
    ["org.freedesktop.login1.reboot", who, "turnout@1.service", "start"],
].some((words) => ask(...words))));
"""


def test_the_controller_may_start_and_stop_nodes_and_nothing_else():
    rules = (PACKAGING / "polkit/turnout.rules").read_text()
    said = run("node", "-e", POLKIT.replace("RULES", rules)).stdout.strip()
    assert said == "true"
