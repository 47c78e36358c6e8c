# SPDX-License-Identifier: Apache-2.0
"""tools/cluster, which is behind `make cluster`: it starts all of production, serves from every
node and through HAProxy, and ends clean."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request

import pytest

import rig

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import processes  # noqa: E402
import redis_cluster  # noqa: E402
from postgres_pair import Pair  # noqa: E402

TOOL = rig.ROOT / "tools" / "cluster"


class Run:
    """One run of tools/cluster, ready."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        self.errors = folder.with_suffix(".err")
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(
                [TOOL, "--dir", folder, "--json", *arguments], stdout=subprocess.PIPE,
                stderr=errors, env={**os.environ, "TURNOUT_BIN": str(rig.BIN)}, text=True)
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        self.facts = json.loads(line)

    @property
    def pids(self):
        postgres = self.facts["postgres"]
        return [postgres["primary"]["pid"], postgres["standby"]["pid"],
                *self.facts["redis"]["pids"], self.facts["haproxy"]["pid"],
                *(each["pid"] for each in self.facts["controllers"]),
                *(node["pid"] for node in self.facts["nodes"])]

    def client(self, number):
        return self.client_of(self.facts["nodes"][number]["url"])

    def client_of(self, url):
        host, _, port = url.rpartition("/")[2].partition(":")
        key = pathlib.Path(self.facts["admin_key_file"]).read_text().strip()
        return rig.Client(host, int(port), key)

    def end(self, how=signal.SIGINT):
        self.process.send_signal(how)
        return self.process.wait(timeout=60)


def free_folder():
    """PostgreSQL runs as nobody under root: pytest's own folders are closed to it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="turnout-cluster-"))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def folder():
    made = free_folder()
    yield made / "cluster"
    processes.Ledger(made / "cluster" / "processes.json").end_leftovers()
    shutil.rmtree(made)


def test_it_serves_from_every_node_and_ends_clean(folder):
    run = Run(folder)
    assert len(run.pids) == 13 and all(processes.started_at(pid) for pid in run.pids)
    with run.client(0) as first, run.client(1) as second:
        event = "/v1/events/gala"
        assert first.post("/v1/events", {"code": "gala", "name": "Gala"}).status == 201
        assert second.post(f"{event}/gates", {"code": "north"}).status == 201
        assert first.post(f"{event}/participants", {"token": "t1", "name": "Ann"}).status == 201
        scan = {"token": "t1", "gate": "north", "nonce": "n1"}
        assert rig.ok(second.post(f"{event}/checkins", scan))["verdict"] == "admitted"
        assert rig.ok(first.post(f"{event}/checkins", scan))["replayed"]
        again = rig.ok(first.post(f"{event}/checkins", {"token": "t1", "gate": "north"}))
        assert again["reason"] == "already_used"
        for client in (first, second):
            assert rig.ok(client.get("/v1/performance"))["cache"]["l2"]["state"] == "closed"
    with run.client_of(run.facts["haproxy"]["url"]) as doors:
        assert rig.ok(doors.post(f"{event}/checkins", scan))["replayed"]
        assert b"turnout" in doors.get("/").body  # the dashboard
        seen = rig.eventually(lambda: rig.ok(doors.get("/v1/nodes")),
                              lambda seen: sum(one["healthy"] for one in seen["items"]) == 2, 60)
        assert {one["url"] for one in seen["items"]} == {one["url"] for one in run.facts["nodes"]}
        assert seen["controller"]["url"] in {one["url"] for one in run.facts["controllers"]}
        done = {one["action"] for one in rig.ok(doors.get("/v1/actions"))["items"]}
        assert {"AUTO_SCALE", "SCALE_OUT", "HAPROXY_ADD", "HAPROXY_READY"} <= done
    with urllib.request.urlopen(run.facts["haproxy"]["stats"], timeout=30) as page:
        assert b"Statistics Report" in page.read()
    assert os.stat(run.facts["admin_key_file"]).st_mode & 0o077 == 0
    assert os.stat(run.facts["postgres"]["passfile"]).st_mode & 0o077 == 0
    postgres = run.facts["postgres"]
    pair = Pair(folder / "postgres", (postgres["primary"]["port"], postgres["standby"]["port"]))
    assert pair.primary.sql("SELECT sync_state FROM pg_stat_replication") == "sync"
    rig.eventually(lambda: pair.standby.sql("SELECT count(*) FROM attendance_records", "turnout"),
                   lambda count: count == "2")
    assert run.end() == 0
    assert not any(processes.started_at(pid) for pid in run.pids)
    assert not (folder / "processes.json").exists()


def test_a_second_run_in_the_folder_is_refused_and_what_a_kill_left_is_ended(folder):
    run = Run(folder)
    with run.client(0) as client:
        assert client.post("/v1/events", {"code": "gala", "name": "Gala"}).status == 201
    second = subprocess.run([TOOL, "--dir", folder], capture_output=True, text=True, check=False,
                            timeout=60)
    assert second.returncode == 1 and f"pid {run.process.pid}" in second.stderr
    assert all(processes.started_at(pid) for pid in run.pids)
    run.end(signal.SIGKILL)
    assert all(processes.started_at(pid) for pid in run.pids)
    after = Run(folder, "--nodes", "1")
    assert not any(processes.started_at(pid) for pid in run.pids)
    with after.client(0) as client:  # with the key of before
        assert rig.ok(client.get("/v1/events/gala"))["name"] == "Gala"
    assert after.end(signal.SIGTERM) == 0
    assert not any(processes.started_at(pid) for pid in after.pids)


def test_a_pid_that_is_another_programs_by_now_is_left_alone(folder):
    folder.mkdir()
    other = subprocess.Popen(["sleep", "600"])
    try:
        ledger = processes.Ledger(folder / "processes.json")
        ledger.note("node1", other.pid)
        began = ledger.lines["node1"]["started_at"]
        text = ledger.path.read_text()
        ledger.path.write_text(text.replace(str(began), str(began - 1)))
        assert processes.Ledger(ledger.path).end_leftovers() == 0
        assert other.poll() is None
        ledger.path.write_text(text)
        assert processes.Ledger(ledger.path).end_leftovers() == 1
        assert other.wait(timeout=10) == -signal.SIGTERM
    finally:
        other.kill()
        other.wait()


def test_a_missing_package_is_named_with_the_mend(folder, tmp_path):
    for name in ("env", "psql", "setpriv", "test"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = subprocess.run([TOOL, "--dir", folder], capture_output=True, text=True, check=False,
                          timeout=60, env={**os.environ, "PATH": str(tmp_path)})
    assert done.returncode == 1
    assert "no redis-server: tools/setup test" in done.stderr


def test_after_a_failover_the_promoted_one_leads_and_the_other_is_copied(folder):
    folder.mkdir()
    pair = Pair(folder / "postgres", redis_cluster.free_ports(2))
    try:
        pair.start()
        pair.primary.kill()
        pair.promote()
        pair.primary.sql("CREATE TABLE after_failover AS SELECT 1 AS one", "turnout")
        pair.stop()
        again = Pair(folder / "postgres", redis_cluster.free_ports(2))
        try:
            again.start()
            assert again.primary.name == "pg2" and again.is_synchronous()
            rig.eventually(
                lambda: again.standby.sql("SELECT to_regclass('after_failover')", "turnout"),
                lambda name: name == "after_failover")
        finally:
            again.stop()
    finally:
        pair.stop()
