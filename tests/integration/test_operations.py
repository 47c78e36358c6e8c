# SPDX-License-Identifier: Apache-2.0
"""docs/operations.md: its commands are run as they stand there, and each alert has its entry.

A block behind <!-- tried: NAME --> is run by a shell, with the paths of this test for those of an
installation and a systemctl that starts and stops the test's node.
"""

import os
import pathlib
import re
import signal
import subprocess

import pytest

import rig
from rig import Venue, ok
from takeovers import Crowd, Node

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
BLOCKS = dict(re.findall(r"<!-- tried: ([a-z-]+) -->\n```sh\n(.*?)```", PAGE, re.S))

SYSTEMCTL = """#!/bin/sh
[ "$2" = turnout ] || exit 4
case $1 in
stop)
    pid=$(cat {folder}/pid)
    kill -TERM "$pid"
    while [ -d "/proc/$pid" ] && ! grep -q "^State:.Z" "/proc/$pid/status"; do sleep 0.05; done ;;
start) {command} >>{folder}/node.log 2>&1 </dev/null & echo $! >{folder}/pid ;;
esac
"""


class Shell:
    """Runs blocks of the page."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("bin", "lib", "backups"):
            (folder / name).mkdir()
        (folder / "bin" / "turnout").symlink_to(rig.BIN)
        self.tool("runuser", 'shift 3; exec "$@"')
        self.tool("install", 'shift 6; exec cp "$@"')
        newest = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self.path = f"{folder}/bin:{newest}:{os.environ['PATH']}"

    def tool(self, name, text):
        path = self.folder / "bin" / name
        path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(self, name, **variables):
        text = BLOCKS[name].replace("/var/lib/turnout", f"{self.folder}/lib") \
            .replace("/var/backups/turnout", f"{self.folder}/backups")
        done = subprocess.run(["bash", "-eux", "-c", text], capture_output=True, text=True,
                              timeout=120, check=False,
                              env=dict(os.environ, PATH=self.path, **variables))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


def replays(venue, replies, bodies):
    """Each of these scans is answered as it was, and written once."""
    for nonce, reply in replies.items():
        again = ok(venue.client.post(f"{venue.path}/checkins", bodies[nonce]))
        assert again["replayed"] and again["record_id"] == reply["record_id"], (reply, again)


def scanned(crowd, act):
    """What was acknowledged before `act`, which runs while the crowd scans."""
    with crowd:
        with crowd.ledger.lock:
            known = dict(crowd.ledger.replies)
        act()
        crowd.wait_for(50)
    crowd.check()
    assert len(known) > 20
    return known


def test_a_sqlite_backup_under_load_is_whole_and_restores(shell, tmp_path):
    node = Node(tmp_path, store=f"sqlite:{shell.folder}/lib/turnout.db").start()
    try:
        crowd = Crowd(node, 11, busy=3, idle=0)
        known = scanned(crowd, lambda: shell.run("sqlite-backup"))
        [backup] = (shell.folder / "backups").glob("turnout-*.db")
        (tmp_path / "pid").write_text(str(node.pid))
        shell.tool("systemctl", SYSTEMCTL.format(folder=tmp_path,
                                                 command=" ".join(node.command())))
        since = node.mark()
        node.children.clear()  # the shell ends it
        shell.run("sqlite-restore", BACKUP=str(backup))
        node.wait("^ready", since)
        with node.client() as client:
            crowd.venue.client = client
            replays(crowd.venue, known, crowd.ledger.bodies)
            records = len(crowd.venue.attendance())
            assert len(known) <= records <= len(crowd.ledger.bodies)
        assert list((shell.folder / "lib" / "before").iterdir())
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    finally:
        node.kill_all()


def test_a_postgres_dump_and_base_backup_under_load_restore(shell, tmp_path, pair):
    environment = pair.environment()
    node = Node(tmp_path, store=pair.url(), env=environment).start()
    restored = None
    admin = f"postgres://postgres@127.0.0.1:{pair.primary.port}/postgres"
    addresses = {"TURNOUT": pair.url().rpartition("/")[0], "ADMIN": admin.rpartition("/")[0],
                 "REPLICATION": pair.url("", "replicator"), **environment}

    def back_up():
        shell.run("postgres-dump", **addresses)
        shell.run("postgres-base", **addresses)

    try:
        crowd = Crowd(node, 12, busy=3, idle=0)
        known = scanned(crowd, back_up)
        node.stop()
        said = shell.run("postgres-restore", **addresses)
        assert "is the newest" in said and "planned" not in said, said
        (tmp_path / "restored").mkdir()
        restored = Node(tmp_path / "restored", store=pair.url("turnout_restored"),
                        env=environment).start()
        with restored.client() as client:
            crowd.venue.client = client
            replays(crowd.venue, known, crowd.ledger.bodies)
        restored.stop()
    finally:
        node.kill_all()
        if restored is not None:
            restored.kill_all()
        subprocess.run(["psql", "-d", admin, "-c", "DROP DATABASE IF EXISTS turnout_restored"],
                       env=dict(os.environ, **environment), check=False, capture_output=True)


def test_the_commands_of_the_runbook_do_what_they_say(shell, tmp_path, pair):
    node = Node(tmp_path, store=pair.url(), env=pair.environment()).start()
    variables = {"NODE": f"http://{node.listen}", "TURNOUT_STORE_URL": pair.url(),
                 "TURNOUT_SERVER_LISTEN": node.listen, **pair.environment()}
    try:
        with node.client() as client:
            Venue(client).person("t")
            rig.eventually(lambda: client.get("/v1/nodes").status, lambda s: s == 200, 60)
            rig.eventually(lambda: client.get("/v1/alerts").status, lambda s: s == 200, 60)
            for name in BLOCKS:
                if name.startswith("runbook-"):
                    shell.run(name, **variables)
            assert ok(client.get("/v1/silences"))["items"]
        node.stop()
    finally:
        node.kill_all()


def headings():
    return set(re.findall(r"^### (\w+)$", PAGE, re.M))


def test_each_alert_has_an_entry_in_the_runbook():
    rules = (ROOT / "packaging/prometheus/turnout.rules.yml").read_text()
    alerts = set(re.findall(r"- alert: (\w+)", rules))
    built_in = set(re.findall(r"^\| `(\w+)` \| ", (
        ROOT / "docs/alerts-and-recovery.md").read_text().split("## What a rule compares")[0],
        re.M))
    assert len(alerts) >= 12 and "high_response_time" in built_in
    assert alerts | built_in <= headings()


def test_every_block_that_is_called_tried_is():
    text = pathlib.Path(__file__).read_text()
    for name in BLOCKS:
        assert f'"{name}"' in text or name.startswith("runbook-"), name
    assert len(BLOCKS) == PAGE.count("```sh") >= 10
