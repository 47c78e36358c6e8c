# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL that is not as it should be: who starts or looks at /readyz is told what to mend."""

import contextlib
import json
import subprocess
import sys

import pytest

import rig
from postgres import SCHEMA

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import processes  # noqa: E402
from postgres_pair import DATABASE, temporary_pair  # noqa: E402

DISK_MIB = 320  # the server takes some 150 of them


def migrate(pair):
    done = rig.run("db", "migrate", "--store", pair.url(), env=pair.environment())
    assert done.returncode == 0, done.stderr


def serve(pair, url=None, **environment):
    """A node that must not start; what it says."""
    done = rig.run("serve", "--listen", "127.0.0.1:0", "--store", url or pair.url(),
                   env={**pair.environment(), **environment}, timeout=60)
    assert done.returncode in (1, 78) and "ready url=" not in done.stdout
    return done.stderr


@contextlib.contextmanager
def running(pair, folder):
    node = rig.Server(folder, store=pair.url(), env=pair.environment())
    try:
        yield node.start()
        node.stop()
    finally:
        node.kill()


def reasons(client):
    answer = client.get("/readyz")
    return [reason["detail"] for reason in answer.json["reasons"]] if answer.status == 503 else []


def doctor(pair, url=None):
    done = rig.run("doctor", "--listen", "127.0.0.1:0", "--store", url or pair.url(), "--json",
                   env=pair.environment())
    assert done.returncode in (0, 1), done.stderr
    return {each["check"]: each for each in json.loads(done.stdout)["findings"]}


# What a node says when it starts ------------------------------------------------------------------

def test_a_role_that_may_not_read_the_tables_is_named(pair):
    pair.primary.sql("CREATE ROLE stranger LOGIN PASSWORD 'stranger-password'")
    url = pair.url().replace("turnout@", "stranger:stranger-password@")
    said = serve(pair, url)
    assert "permission denied" in said and "stranger-password" not in said
    done = rig.run("doctor", "--store", url, env=pair.environment())
    assert done.returncode == 1 and "permission denied" in done.stdout
    assert "stranger-password" not in done.stdout + done.stderr


def test_a_role_that_may_only_read_is_told_so(pair):
    pair.primary.sql("CREATE ROLE reader LOGIN PASSWORD 'reader-password'")
    pair.primary.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", DATABASE)
    said = serve(pair, pair.url().replace("turnout@", "reader:reader-password@"))
    assert "permission denied" in said and "reader-password" not in said


def test_a_wrong_password_is_told_without_it(pair):
    said = serve(pair, pair.url().replace("turnout@", "turnout:wrong-password@"))
    assert "password authentication failed" in said and "wrong-password" not in said


def test_a_schema_of_something_else_is_left_alone(pair):
    pair.create("other")
    pair.primary.sql("CREATE TABLE turnout_schema (version int);"
                     f"INSERT INTO turnout_schema VALUES ({SCHEMA});"
                     "GRANT ALL ON turnout_schema TO turnout", "other")
    said = serve(pair, pair.url("other"))
    assert "does not exist" in said or "schema" in said
    assert pair.primary.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'",
                            "other") == "1"


def test_a_server_that_is_read_only_is_named_at_the_start(pair):
    pair.primary.sql(f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = on")
    try:
        assert "read-only" in serve(pair)
    finally:
        pair.primary.sql(f"ALTER DATABASE {DATABASE} RESET default_transaction_read_only")


def test_only_a_standby_is_no_server_to_write_to(pair):
    url = f"postgres://turnout@127.0.0.1:{pair.standby.port}/{DATABASE}"
    said = serve(pair, url)
    assert "read-only" in said or "hot standby" in said


# What a node says while it serves -----------------------------------------------------------------

def test_a_server_that_becomes_read_only_serves_reads_and_says_why(pair, tmp_path):
    with running(pair, tmp_path) as node, node.client() as client:
        venue = rig.Venue(client)
        venue.person("t1")
        pair.primary.sql(f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = on")
        pair.primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                         " usename = 'turnout' AND backend_type = 'client backend'")
        try:
            said = processes.until(lambda: reasons(client))
            assert "writes:" in said[0]
            assert processes.until(lambda: "read-only" in " ".join(reasons(client)))
            answer = venue.try_scan("t1", nonce="n1")
            assert answer.status == 503 and answer.headers["retry-after"]
            assert venue.stats()["participants"] == 1
        finally:
            pair.primary.sql(f"ALTER DATABASE {DATABASE} RESET default_transaction_read_only")
        processes.until(lambda: not reasons(client), 60)
        assert venue.scan("t1", nonce="n1")["verdict"] == "admitted"


def test_permissions_that_are_taken_away_are_named_and_are_back_without_a_restart(pair, tmp_path):
    with running(pair, tmp_path) as node, node.client() as client:
        venue = rig.Venue(client)
        venue.person("t1")
        pair.primary.sql("REVOKE INSERT ON attendance_records FROM turnout", DATABASE)
        try:
            answer = venue.try_scan("t1", nonce="n1")
            assert answer.status == 503 and answer.headers["retry-after"], answer
            assert "permission denied for table attendance_records" in node.log_tail()
        finally:
            pair.primary.sql("GRANT INSERT ON attendance_records TO turnout", DATABASE)
        processes.until(lambda: venue.try_scan("t1", nonce="n1").status == 200, 60)
        assert venue.stats()["scans"] == 1


# What doctor says of the servers ------------------------------------------------------------------

def doctor_says(pair, check, level, words, url=None):
    """A reload is taken by the server a moment later."""
    def seen():
        finding = doctor(pair, url)[check]
        return finding["level"] == level and words in finding["message"] and finding
    return processes.until(seen)


def test_doctor_is_content_with_a_synchronous_standby(pair):
    doctor_says(pair, "standbys", "ok", "1 standbys stream, 1 of them synchronous")
    doctor_says(pair, "hosts", "ok", "several hosts")
    doctor_says(pair, "fsync", "ok", "are on")
    one = pair.url().replace(f",127.0.0.1:{pair.standby.port}", "").replace(
        f"127.0.0.1:{pair.standby.port},", "")
    found = doctor_says(pair, "hosts", "warning", "names one host", one)
    assert "HOST1,HOST2" in found["mend"]


def test_doctor_names_an_asynchronous_standby_and_switches_that_lose_records(pair):
    try:
        pair.primary.configure()
        pair.primary.reload()
        doctor_says(pair, "standbys", "warning", "asynchronous")
        pair.primary.configure(synchronous=pair.standby.name, more="synchronous_commit = local\n")
        pair.primary.reload()
        doctor_says(pair, "standbys", "warning", "asynchronous")
        pair.primary.configure(more="fsync = off\n")
        pair.primary.reload()
        doctor_says(pair, "fsync", "unsafe", "fsync is off")
        pair.primary.configure(more="full_page_writes = off\n")
        pair.primary.reload()
        doctor_says(pair, "fsync", "unsafe", "full_page_writes is off")
    finally:
        pair.be_synchronous()


def test_doctor_names_a_standby_that_is_missing(pair):
    pair.standby.stop()
    try:
        found = doctor_says(pair, "standbys", "unsafe", "every commit hangs")
        assert "synchronous_standby_names" in found["mend"]
        pair.primary.configure()
        pair.primary.reload()
        doctor_says(pair, "standbys", "warning", "no standby streams")
    finally:
        pair.standby.start()
        processes.until(pair.streams)
        pair.be_synchronous()


def test_doctor_does_not_guess_what_its_role_may_not_see(pair):
    pair.primary.sql("REVOKE pg_monitor FROM turnout")
    try:
        found = doctor_says(pair, "standbys", "warning", "may not see")
        assert found["mend"] == "GRANT pg_monitor TO the role"
    finally:
        pair.primary.sql("GRANT pg_monitor TO turnout")


# A disk that is full ------------------------------------------------------------------------------

class Disk:
    """A tmpfs that can be filled: ENOSPC as a disk has it."""

    def __init__(self, mount):
        self.mount = mount
        mount.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0755", "tmpfs",
                        str(mount)], check=True)
        self.filler = mount / "filler"

    def fill(self):
        with open(self.filler, "ab", buffering=0) as filler:
            for piece in (b"x" * (1 << 20), b"x" * 4096):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(piece)

    def relieve(self):
        self.filler.unlink()

    def close(self):
        subprocess.run(["umount", "-l", str(self.mount)], check=True)


@pytest.fixture
def full_pair():
    """A primary alone whose data lies on a small disk."""
    with temporary_pair(start=False) as pair:
        disk = Disk(pair.primary.folder)
        try:
            pair.start_primary()
            migrate(pair)
            yield pair, disk
        finally:
            pair.stop()
            disk.close()


def test_a_full_disk_is_503_and_logged_and_ends_when_there_is_space(full_pair, tmp_path):
    pair, disk = full_pair
    with running(pair, tmp_path) as node, node.client() as client:
        venue = rig.Venue(client)
        tokens = venue.crowd(3000)
        admitted = [token for token in tokens[:50]
                    if venue.scan(token, nonce=token)["verdict"] == "admitted"]
        assert len(admitted) == 50
        disk.fill()
        refused, asked = None, iter(tokens[50:])
        while refused is None:
            token = next(asked)
            answer = venue.try_scan(token, nonce=token)
            if answer.status == 200:
                admitted.append(token)
            else:
                assert answer.status == 503 and answer.headers["retry-after"], answer
                refused = token
            # The log of the server may have room yet where its tables have none: use it up.
            venue.client.post(f"{venue.path}/participants:import", "token,name\n" + "".join(
                f"x{token}{n},{'y' * 200}\n" for n in range(500)), rig.CSV)
            disk.fill()
        assert answer.code in ("no_space", "store_unavailable", "commit_unknown")
        assert "store_writes_failed" in node.log_tail()
        disk.relieve()
        if not pair.primary.is_running:  # it ends when its log cannot be written
            pair.primary.process.wait()
            pair.primary.start()
        processes.until(lambda: not reasons(client), 60)
        processes.until(lambda: venue.try_scan(refused, nonce=refused).status == 200, 60)
        for token in admitted:
            assert venue.scan(token, nonce=token)["replayed"]
        assert venue.stats()["scans"] == len(admitted) + 1
