# SPDX-License-Identifier: Apache-2.0
"""turnout db on a real PostgreSQL: what is broken is really broken, and is mended in use."""
import csv
import glob
import gzip
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import zlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TURNOUT_BIN", str(ROOT / "build" / "turnout"))
DATA = ROOT / "tests" / "data" / "optimizer"
PROGRAMS = pathlib.Path(max(glob.glob("/usr/lib/postgresql/*/bin"), default="/usr/bin"))
DONE, FAILED, USAGE, BAD_CONFIG = 0, 1, 2, 78
WAIT_S = 30


class Cluster:
    """A server of the tests' own: a socket in a temporary folder, no port."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="turnout-pg-")
        self.count = 0
        self.user = None
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            self.user = "nobody"
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, -1)
        data = self.folder + "/data"
        subprocess.run([PROGRAMS / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E",
                        "UTF8", "--locale=C.UTF-8", "--no-sync"], user=self.user, check=True,
                       capture_output=True, cwd=self.folder)
        self.log = open(self.folder + "/log", "wb")
        self.server = subprocess.Popen(
            [PROGRAMS / "postgres", "-D", data, "-k", self.folder, "-c", "listen_addresses=",
             "-c", "fsync=off", "-c", "jit=off", "-c", "autovacuum=off",
             "-c", "shared_buffers=64MB", "-c", "shared_preload_libraries=pg_stat_statements"],
            user=self.user, cwd=self.folder, stdout=self.log, stderr=self.log)
        self.wait_ready()
        self.sql("CREATE DATABASE base", "postgres")
        url = f"postgres://postgres@/base?host={self.folder}"
        subprocess.run([BINARY, "db", "migrate", "--store", url], check=True, capture_output=True,
                       cwd=self.folder)
        self.sql((DATA / "rows.sql").read_text(), "base")

    def wait_ready(self):
        end = time.monotonic() + WAIT_S
        while subprocess.run([PROGRAMS / "pg_isready", "-q", "-h", self.folder],
                             check=False).returncode != 0:
            assert self.server.poll() is None and time.monotonic() < end, "no server"
            time.sleep(0.05)

    def psql(self, database):
        return [PROGRAMS / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U",
                "postgres", "-d", database]

    def sql(self, text, database, check=True):
        answer = subprocess.run(self.psql(database), input=text, capture_output=True, text=True,
                                timeout=60, check=False)
        assert not check or answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def stop(self):
        self.server.send_signal(signal.SIGQUIT)  # nothing of it is kept
        self.server.wait(WAIT_S)
        self.log.close()
        shutil.rmtree(self.folder)


class Database:
    """A copy of the base, for one test."""

    def __init__(self, cluster):
        cluster.count += 1
        self.cluster, self.name = cluster, f"t{cluster.count}"
        self.url = f"postgres://postgres@/{self.name}?host={cluster.folder}"
        cluster.sql(f"CREATE DATABASE {self.name} TEMPLATE base", "postgres")

    def sql(self, text, check=True):
        return self.cluster.sql(text, self.name, check)

    def start(self, *args, **env):
        return subprocess.Popen([BINARY, "db", *args, "--json", "--store", self.url],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                cwd=self.cluster.folder, env={**os.environ, **env})

    def db(self, *args, code=DONE, **env):
        return finish(self.start(*args, **env), code)

    def indexes(self):
        """{name: valid} of what is not a key."""
        rows = self.sql("SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE NOT"
                        " indisprimary AND indexrelid >= 16384")
        return {row.split("|")[0]: row.endswith("t") for row in rows.splitlines()}

    def partitions(self):
        return self.sql("SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent ="
                        " 'attendance_records'::regclass"
                        " ORDER BY inhrelid::regclass::text").splitlines()


class Session:
    """psql kept open, for what other sessions must find in their way."""

    def __init__(self, database, text):
        self.process = subprocess.Popen(database.cluster.psql(database.name), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdin.write(text + "; SELECT 'ready';\n")
        self.process.stdin.flush()
        while self.process.stdout.readline().strip() != "ready":
            assert self.process.poll() is None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(WAIT_S)
        self.process.stdout.close()


def finish(process, code=DONE):
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err + out
    return json.loads(out)["items"] if out else err


def of(items, **wanted):
    return [i for i in items if all(i[key] == value for key, value in wanted.items())]


@pytest.fixture(scope="module")
def cluster():
    made = Cluster()
    yield made
    made.stop()


@pytest.fixture
def base(cluster):
    return Database(cluster)


ATTENDANCE = [f"idx_attendance_{what}" for what in (
    "participant_timestamp", "gate_timestamp", "method_timestamp", "event_timestamp", "refused",
    "recorded")]
QUARTERS = [f"2026_q{n}" for n in (1, 2, 3, 4)]


def test_a_missing_index_is_found_built_on_every_leaf_and_used(base):
    before = of(base.db("analyze"), kind="query", name="participant_history")[0]
    assert before["state"] == "warning"
    assert before["facts"]["partitions"] == 4
    built = base.db("indexes")
    assert not of(built, state="failed")
    have = base.indexes()
    for name in ATTENDANCE:
        assert have[name]
        assert all(have[f"{name}_{quarter}"] for quarter in QUARTERS)
    again = base.db("indexes")
    assert {i["what"] for i in of(again, kind="index") if i["state"] != "warning"} == {"valid"}
    after = of(base.db("analyze"), kind="query", name="participant_history")[0]
    assert after["facts"]["buffers"]["touched"] < before["facts"]["buffers"]["touched"] / 10
    assert "idx_attendance_participant_timestamp_2026_q4" in after["facts"]["plan"]["indexes"]


def test_no_token_leaves_the_database_in_a_report(base):
    assert "tok-" not in json.dumps(base.db("analyze"))


def test_a_leaf_that_appears_before_the_frame_is_valid_is_built_too(base):
    base.sql("CREATE INDEX idx_attendance_gate_timestamp ON ONLY attendance_records"
             " (gate_id, \"timestamp\")")
    assert base.indexes()["idx_attendance_gate_timestamp"] is False
    base.db("indexes")
    assert base.indexes()["idx_attendance_gate_timestamp"] is True


def test_an_index_of_a_leaf_that_exists_under_another_name_is_attached_not_built(base):
    base.sql("CREATE INDEX by_hand ON attendance_records_2026_q2 (gate_id, \"timestamp\")")
    assert of(base.db("indexes"), what="attach", name="by_hand", state="done")
    assert "idx_attendance_gate_timestamp_2026_q2" not in base.indexes()


def test_an_invalid_unique_index_is_rebuilt_once_its_duplicates_are_gone(base):
    base.sql("DROP INDEX idx_participants_token_active;"
             "UPDATE participants SET token = 'tok-1' WHERE id = 2")
    base.sql("CREATE UNIQUE INDEX CONCURRENTLY idx_participants_token_active ON participants"
             " (token, event_id) WHERE status = 'active'", check=False)
    assert base.indexes()["idx_participants_token_active"] is False
    items = base.db("indexes", code=FAILED)
    assert "could not create unique index" in of(items, state="failed")[0]["detail"]
    assert "idx_participants_token_active" not in base.indexes()  # nothing broken is left behind
    base.sql("UPDATE participants SET token = 'tok-2' WHERE id = 2")
    base.db("indexes")
    assert base.indexes()["idx_participants_token_active"] is True


def test_an_invalid_index_of_a_leaf_is_repaired_attached_or_not(base):
    base.db("indexes")
    attached = "idx_attendance_gate_timestamp_2026_q3"
    base.sql(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{attached}'::regclass")
    base.sql("DROP INDEX idx_attendance_refused; CREATE INDEX idx_attendance_refused_2026_q1 ON"
             " attendance_records_2026_q1 (id); UPDATE pg_index SET indisvalid = false WHERE"
             " indexrelid = 'idx_attendance_refused_2026_q1'::regclass")
    items = base.db("indexes")
    assert of(items, what="rebuild", name=attached, state="done")
    assert of(items, what="drop_invalid", name="idx_attendance_refused_2026_q1", state="done")
    assert all(base.indexes().values())


def test_another_definition_under_a_declared_name_is_told_and_left_alone(base):
    base.sql("CREATE INDEX idx_participants_event ON participants (created_at)")
    told = of(base.db("indexes"), name="idx_participants_event")
    assert [(i["state"], i["what"]) for i in told] == [("warning", "different")]
    assert "created_at" in base.sql("SELECT pg_get_indexdef('idx_participants_event'::regclass)")


def test_a_doubled_index_is_told_and_never_dropped(base):
    base.sql("CREATE INDEX twin_a ON participants (email); CREATE INDEX twin_b ON participants"
             " (email)")
    assert of(base.db("indexes"), what="duplicate", name="twin_b", state="warning")
    assert {"twin_a", "twin_b"} <= set(base.indexes())


def test_who_holds_a_lock_too_long_is_named_and_a_second_optimizer_is_told_busy(base):
    with Session(base, "BEGIN; SELECT pg_backend_pid(); LOCK TABLE participants IN SHARE MODE"):
        first = base.start("indexes", "--budget", "3s")
        locks = ("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
                 " (SELECT oid FROM pg_database WHERE datname = current_database())")
        end = time.monotonic() + WAIT_S
        while base.sql(locks) == "0":
            assert first.poll() is None and time.monotonic() < end
        assert "busy" in base.db("maintain", code=FAILED)
        blocked = of(finish(first, FAILED), state="failed")[0]
    assert "locked by process" in blocked["detail"]
    assert "psql" in blocked["detail"]
    assert not [name for name, valid in base.indexes().items()
                if name.startswith("idx_participants") and not valid]
    base.db("indexes")


def test_stale_statistics_and_dead_rows_are_mended(base):
    base.sql("INSERT INTO attendance_records (id, event_id, participant_id, gate_id, method,"
             " direction, verdict, \"timestamp\", recorded_at) SELECT 1000000 + i, 2, i, 1, 'nfc',"
             " 'entry', 'admitted', '2026-11-01', '2026-11-01' FROM generate_series(1, 30000) i;"
             "DELETE FROM participants WHERE id <= 2000; SELECT pg_stat_force_next_flush()")
    planned = base.db("maintain", "--dry-run")
    assert of(planned, what="vacuum", name="participants", state="planned")
    items = base.db("maintain")
    assert of(items, what="vacuum", name="attendance_records_2026_q4", state="done")
    assert not of(items, name="attendance_records_2026_q1", state="done")
    assert int(base.sql("SELECT reltuples FROM pg_class WHERE relname ="
                        " 'attendance_records_2026_q4'")) > 50000
    assert int(base.sql("SELECT reltuples FROM pg_class WHERE relname = 'participants'")) == 3000
    assert not of(base.db("maintain"), kind="table")
    assert {i["what"] for i in of(items, kind="watch")} >= {"wraparound", "bloat", "replication"}


def test_large_leaves_with_default_settings_and_slots_without_a_reader_are_told(base):
    base.sql("UPDATE pg_class SET reltuples = 2000000 WHERE relname IN"
             " ('attendance_records_2026_q3', 'attendance_records_2026_q4');"
             "ALTER TABLE attendance_records_2026_q4 SET (autovacuum_vacuum_insert_scale_factor ="
             " 0.02); SELECT pg_create_physical_replication_slot('nobody')")
    try:
        items = of(base.db("maintain", "--dry-run"), kind="watch", state="warning")
    finally:
        base.sql("SELECT pg_drop_replication_slot('nobody')")
    assert [i["name"] for i in of(items, what="autovacuum")] == ["attendance_records_2026_q3"]
    assert "ALTER TABLE attendance_records_2026_q3 SET" in items[0]["detail"]
    assert [i["name"] for i in of(items, what="replication_slot")] == ["nobody"]


def test_outside_of_the_window_nothing_is_maintained(base):
    base.sql("DELETE FROM participants; SELECT pg_stat_force_next_flush()")
    hour = (time.gmtime().tm_hour + 12) % 24
    items = base.db("maintain", "--window", f"{hour:02}:00-{hour:02}:59")
    assert [i["what"] for i in of(items, kind="table")] == ["window"]


def test_partitions_are_made_ahead_across_the_end_of_a_quarter(base):
    base.db("partitions", "--now", "2026-12-31T23:59:59Z", "--ahead", "1")
    assert base.partitions()[-1] == "attendance_records_2027_q1"
    base.db("partitions", "--now", "2027-01-01T00:00:00Z", "--ahead", "1")
    assert base.partitions()[-1] == "attendance_records_2027_q2"
    base.sql("INSERT INTO attendance_records SELECT 9000000, event_id, participant_id, gate_id,"
             " method, direction, verdict, reason, overrode, '2027-04-01Z'::timestamptz - interval"
             " '1 ms', recorded_at FROM attendance_records LIMIT 1")
    assert base.sql("SELECT count(*) FROM attendance_records_2027_q1") == "1"
    assert not base.sql("SELECT conname FROM pg_constraint WHERE conname = 'bounds'")


def test_a_new_partition_has_every_declared_index_and_a_gap_is_filled(base):
    base.db("indexes")
    base.sql("DROP TABLE attendance_records_2026_q2")
    items = base.db("partitions", "--now", "2026-12-01T00:00:00Z")
    assert of(items, what="fill_gap", name="attendance_records_2026_q2", state="done")
    assert {i["what"] for i in of(base.db("indexes"), state="good")} == {"valid"}
    count = base.sql("SELECT count(*) FROM pg_index WHERE indrelid ="
                     " 'attendance_records_2026_q2'::regclass AND indisvalid")
    assert int(count) == len(ATTENDANCE) + 1


def test_a_detach_that_was_cut_short_is_finished(base):
    with Session(base, "BEGIN; SELECT count(*) FROM attendance_records_2026_q1"):
        base.sql("SET statement_timeout = '500ms'; ALTER TABLE attendance_records DETACH PARTITION"
                 " attendance_records_2026_q1 CONCURRENTLY", check=False)
    assert base.sql("SELECT inhrelid::regclass FROM pg_inherits WHERE inhdetachpending") == \
        "attendance_records_2026_q1"
    items = base.db("partitions")
    assert of(items, what="finalize", name="attendance_records_2026_q1", state="done")
    assert "attendance_records_2026_q1" not in base.partitions()
    assert int(base.sql("SELECT count(*) FROM attendance_records_2026_q1")) > 20000
    assert not of(base.db("partitions"), state="done")  # its gap is left alone


def test_retiring_is_detach_quarantine_drop_and_only_when_configured(base):
    assert not of(base.db("partitions"), what="detach")
    old = of(base.db("partitions", "--retention-days", "30"), what="detach", state="done")
    assert "attendance_records_2026_q1" in {i["name"] for i in old}
    assert base.sql("SELECT obj_description('attendance_records_2026_q1'::regclass)").startswith(
        "turnout detached=20")
    assert not of(base.db("partitions", "--retention-days", "30"), what="drop")
    base.sql("COMMENT ON TABLE attendance_records_2026_q1 IS 'turnout detached=2026-05-01T00:00:00Z"
             " from=2026-01-01T00:00:00Z to=2026-04-01T00:00:00Z'")
    dropped = of(base.db("partitions", "--retention-days", "30"), what="drop", state="done")
    assert [i["name"] for i in dropped] == ["attendance_records_2026_q1"]
    assert base.sql("SELECT to_regclass('attendance_records_2026_q1')") == ""


def test_a_pretended_time_retires_nothing(base):
    items = base.db("partitions", "--retention-days", "30", "--now", "2026-12-15T00:00:00Z")
    assert {i["state"] for i in of(items, what="detach")} == {"skipped"}
    assert {f"attendance_records_{quarter}" for quarter in QUARTERS} <= set(base.partitions())


def test_a_dry_run_changes_nothing_and_says_which_locks(base):
    everything = ("SELECT md5(string_agg(c.oid || relname || reltuples || coalesce(indisvalid,"
                  " true), ',' ORDER BY c.oid)) FROM pg_class c LEFT JOIN pg_index ON indexrelid ="
                  " c.oid WHERE c.oid >= 16384")
    base.sql("DELETE FROM participants WHERE id < 2000; SELECT pg_stat_force_next_flush()")
    before = base.sql(everything)
    for args in (["indexes"], ["partitions", "--retention-days", "30", "--now",
                 "2028-01-01T00:00:00Z"], ["maintain"], ["optimize"]):
        items = base.db(*args, "--dry-run")
        planned = of(items, state="planned")
        assert planned, args
        assert all(i["sql"] and i["lock"] for i in planned)
        assert not of(items, state="done")
    base.db("analyze")
    assert base.sql(everything) == before


def test_optimize_builds_what_is_missing_measures_it_and_keeps_a_journal(base):
    items = base.db("optimize")
    effects = {i["name"]: i["what"] for i in of(items, kind="effect")}
    assert len(effects) == 3
    base.db("optimize")
    base.db("optimize")
    rows = base.sql("SELECT outcome, figures_before -> 'participant_history' -> 'blocks',"
                    " figures_after -> 'participant_history' -> 'blocks' FROM action_journal"
                    " WHERE target = 'idx_attendance_participant_timestamp'").split("|")
    assert rows[0] == "better"
    assert float(rows[2]) < float(rows[1]) / 10
    assert all(base.indexes().values())
    last = base.db("optimize")
    assert of(last, what="nothing_to_do", state="good")
    assert not of(last, kind="effect")


def test_what_was_undone_lately_is_not_built_again(base):
    base.db("optimize")
    name = "idx_attendance_refused"
    base.sql(f"DROP INDEX IF EXISTS {name}; INSERT INTO action_journal (system, actor, action,"
             f" target, outcome) VALUES ('database', 'test', 'build index', '{name}', 'undone')")
    for _ in range(3):
        items = base.db("optimize")
    assert of(items, name=name, state="skipped")
    assert name not in base.indexes()


def test_a_new_index_that_only_harms_is_dropped_again(base):
    # Scattered rows, all of them within the time asked for, and a planner that is told that
    # fetching them one by one costs nothing.
    base.db("optimize")
    base.sql("DROP INDEX " + ", ".join(
        name for name in base.indexes() if name in ATTENDANCE or "participants" in name))
    base.sql("TRUNCATE attendance_records; INSERT INTO attendance_records (id, event_id,"
             " participant_id, gate_id, method, direction, verdict, \"timestamp\", recorded_at)"
             " SELECT i, 1, i, 1, 'qr', 'entry', 'admitted', '2026-11-01'::timestamptz + (i * 7919"
             " % 20000) * interval '30 ms', now() FROM generate_series(1, 20000) i;"
             " TRUNCATE action_journal; ANALYZE")
    for name in ["idx_participants_token_active", *ATTENDANCE]:
        if name != "idx_attendance_gate_timestamp":
            base.sql("INSERT INTO action_journal (system, actor, action, target, outcome)"
                     f" VALUES ('database', 'test', 'build index', '{name}', 'undone')")
    for setting in ("random_page_cost = 0", "enable_seqscan = off", "enable_bitmapscan = off"):
        base.sql(f"ALTER DATABASE {base.name} SET {setting}")
    items = [item for _ in range(2) for item in base.db("optimize")]
    assert of(items, state="undone", name="idx_attendance_gate_timestamp")
    assert "idx_attendance_gate_timestamp" not in base.indexes()
    assert base.sql("SELECT outcome FROM action_journal WHERE action = 'build index' AND target"
                    " = 'idx_attendance_gate_timestamp'") == "undone"


def test_slow_statements_of_the_server_are_told_without_their_constants(base):
    base.sql("CREATE EXTENSION pg_stat_statements")
    base.sql("SELECT pg_sleep(0.15), 'secret'")
    told = of(base.db("analyze"), kind="statement")
    assert any("pg_sleep($1)" in i["detail"] for i in told)
    assert "secret" not in json.dumps(told)


def test_without_rows_there_is_nothing_to_measure(base):
    base.sql("TRUNCATE participants; TRUNCATE attendance_records")
    assert {i["what"] for i in of(base.db("analyze"), kind="query")} == {"no_data"}


def test_wrong_calls_and_wrong_databases_are_refused(base):
    assert "--now takes" in base.db("partitions", "--now", "tomorrow", code=USAGE)
    assert "HH:MM-HH:MM" in base.db("maintain", "--window", "late", code=BAD_CONFIG)
    base.url = "sqlite:x.db"
    assert "postgres://" in base.db("indexes", code=BAD_CONFIG)
    base.url = f"postgres://postgres@/postgres?host={base.cluster.folder}"
    assert "no tables of turnout" in base.db("analyze", code=FAILED)
    base.url = f"postgres://postgres@/{base.name}?host={base.cluster.folder}/none"
    assert "cannot connect" in base.db("analyze", code=FAILED)


# Other periods, the end of a partition.

def spans(base):
    """[(name, from, to)] of the attached partitions, by time."""
    rows = base.sql("SET timezone = 'UTC'; SELECT c.relname,"
                    " substring(b FROM 'FROM \\(''([^'']+)'), substring(b FROM 'TO \\(''([^'']+)')"
                    " FROM (SELECT inhrelid, pg_get_expr("
                    "relpartbound, oid) AS b FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE"
                    " inhparent = 'attendance_records'::regclass) h JOIN pg_class c ON c.oid ="
                    " inhrelid ORDER BY 2")
    return [tuple(row.replace("attendance_records_", "").split("|")) for row in rows.splitlines()]


def test_periods_change_beside_a_load_without_overlap_or_gap(base):
    insert = ("INSERT INTO attendance_records (id, event_id, participant_id, gate_id, method,"
              " direction, verdict, \"timestamp\", recorded_at) SELECT 5000000 + i, 1, 1, 1, 'qr',"
              " 'entry', 'admitted', '2026-11-15'::timestamptz + i * interval '1 h', now() FROM"
              " generate_series(1, 400) i")
    with Session(base, "BEGIN; " + insert):  # a transaction that writes into it stays open
        made = base.db("partitions", "--period", "month", "--ahead", "4", "--now",
                       "2026-11-15T00:00:00Z")
        assert [i["name"][19:] for i in of(made, what="create", state="done")] == \
            ["2027_01", "2027_02", "2027_03"]
    base.db("partitions", "--period", "week", "--ahead", "21", "--now", "2026-11-15T00:00:00Z")
    found = spans(base)
    assert found[6:8] == [
        ("2027_03", "2027-03-01 00:00:00+00", "2027-04-01 00:00:00+00"),
        ("2027_w13_20270401", "2027-04-01 00:00:00+00", "2027-04-05 00:00:00+00")]
    for before, after in zip(found, found[1:]):
        assert before[2] == after[1], (before, after)
    # a node that finds none makes one of the same kind
    assert base.sql("SELECT convert_from(value, 'UTF8') FROM turnout_meta WHERE key ="
                    " 'partition_period'") == "week"
    base.sql("SELECT turnout_make_partition('2030-01-09')")
    assert base.partitions()[-1] == "attendance_records_2030_w02"
    assert "quarter or month or week" in base.db("partitions", "--period", "year", code=BAD_CONFIG)


def retire(base, *args, code=DONE):
    """Detaches what ended, lets the quarantine of one be over, and goes on."""
    base.db("partitions", "--retention-days", "30")
    base.sql("COMMENT ON TABLE attendance_records_2026_q1 IS 'turnout detached=2026-05-01T00:00:00Z"
             " from=2026-01-01T00:00:00Z to=2026-04-01T00:00:00Z'")
    return base.db("partitions", "--retention-days", "30", *args, code=code)


def test_rows_are_archived_and_nonces_forgotten_before_a_partition_is_dropped(base, cluster):
    base.sql("UPDATE attendance_records_2026_q1 SET nonce = 'n' || id,"
             " reason = E'two\\nlines \"q\"' WHERE id % 3 = 0;"
             "INSERT INTO scan_nonces SELECT event_id, nonce, id, \"timestamp\""
             " FROM attendance_records WHERE nonce IS NOT NULL; INSERT INTO scan_nonces VALUES"
             " (1, 'newer', 119999, '2026-12-01'), (2, 'n3', 119998, '2026-12-01')")
    rows = int(base.sql("SELECT count(*) FROM attendance_records_2026_q1"))
    total = int(base.sql("SELECT sum(id) FROM attendance_records_2026_q1"))
    folder = pathlib.Path(tempfile.mkdtemp(dir=cluster.folder))
    dry = retire(base, "--archive-dir", str(folder), "--dry-run")
    assert [i["what"] for i in of(dry, name="attendance_records_2026_q1", state="planned")] == \
        ["archive", "drop"]
    assert not list(folder.iterdir())
    done = base.db("partitions", "--retention-days", "30", "--archive-dir", str(folder))
    facts = of(done, what="archive", state="done")[0]["facts"]
    assert facts["rows"] == rows
    path = folder / "attendance_records_2026_q1.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        read = list(csv.DictReader(file))
    assert (len(read), sum(int(row["id"]) for row in read)) == (rows, total)
    assert read[2]["reason"] == 'two\nlines "q"'
    assert zlib.crc32(gzip.decompress(path.read_bytes())) == int(facts["crc32"], 16)
    assert list(folder.iterdir()) == [path]
    assert base.sql("SELECT to_regclass('attendance_records_2026_q1') IS NULL") == "t"
    assert base.sql("SELECT string_agg(nonce, ',' ORDER BY event_id) FROM scan_nonces") == \
        "newer,n3"
    journal = base.sql("SELECT action, outcome, evidence ->> 'rows' FROM action_journal"
                       " WHERE target = 'attendance_records_2026_q1' ORDER BY id").splitlines()
    assert journal == ["detach partition|done|", f"drop partition|done|{rows}"]


def test_what_cannot_be_archived_is_not_dropped(base, cluster):
    nowhere = pathlib.Path(cluster.folder) / "not" / "there"
    items = retire(base, "--archive-dir", str(nowhere), code=FAILED)
    failed = of(items, what="archive", state="failed")[0]
    assert "cannot make" in failed["detail"]
    full = pathlib.Path(tempfile.mkdtemp(dir=cluster.folder))
    (full / "attendance_records_2026_q1.csv.gz.part").symlink_to("/dev/full")
    items = base.db("partitions", "--retention-days", "30", "--archive-dir", str(full), code=FAILED)
    assert of(items, what="archive", state="failed")
    assert not of(items, what="drop", state="done")
    assert int(base.sql("SELECT count(*) FROM attendance_records_2026_q1")) > 20000
    assert not (full / "attendance_records_2026_q1.csv.gz").exists()


def test_maintenance_finishes_a_detach_first_also_outside_of_its_window(base):
    with Session(base, "BEGIN; SELECT count(*) FROM attendance_records_2026_q2"):
        base.sql("SET statement_timeout = '500ms'; ALTER TABLE attendance_records DETACH PARTITION"
                 " attendance_records_2026_q2 CONCURRENTLY", check=False)
    hour = (time.gmtime().tm_hour + 12) % 24
    items = base.db("maintain", "--window", f"{hour:02}:00-{hour:02}:59")
    assert of(items, what="finalize", name="attendance_records_2026_q2", state="done")
    assert base.sql("SELECT count(*) FROM pg_inherits WHERE inhdetachpending") == "0"


# Indexes for slow statements.

SLOW = {"TURNOUT_DATABASE_SLOW_QUERY": "1ms"}
ALLOWED = {**SLOW, "TURNOUT_DATABASE_BUILD_ADVISED": "yes"}
VISITS = """
    CREATE TABLE visits (id bigint PRIMARY KEY, person int, gate int, at timestamptz, note text,
                         done boolean, words tsvector, kind text);
    INSERT INTO visits SELECT i, i % 20000, i % 40,
        '2026-01-01'::timestamptz + i * interval '1 min', md5(i::text), i % 200 <> 0,
        to_tsvector('simple', 'w' || i % 5000), CASE WHEN i % 500 = 0 THEN 'rare' ELSE 'usual' END
        FROM generate_series(1, 100000) i;
    CREATE EXTENSION pg_stat_statements;
"""
VACUUM = "VACUUM ANALYZE visits; SELECT pg_stat_statements_reset()"


def advice(base, **wanted):
    return of(base.db("analyze", **SLOW), kind="advice", name="visits", **wanted)


@pytest.fixture
def visits(base):
    base.sql(VISITS)
    base.sql(VACUUM)
    return base


@pytest.mark.parametrize("statement, what, definition", [
    ("SELECT id, note FROM visits WHERE person = 7", "btree", "btree (person)"),
    ("SELECT id, note FROM visits WHERE at >= '2026-02-01' AND gate = 3", "multi_column",
     "btree (gate, at)"),
    ("SELECT id, note FROM visits v WHERE v.gate = 3 AND v.person IN (3, 43) ORDER BY at LIMIT 3",
     "multi_column", "btree (person, gate)"),
    ("SELECT id, note FROM visits WHERE gate = 3 ORDER BY at DESC LIMIT 5", "multi_column",
     "btree (gate, at)"),
    ("SELECT id, note FROM visits WHERE NOT done AND gate = 0", "partial",
     "btree (gate) WHERE (NOT done)"),
    ("SELECT id FROM visits WHERE words @@ 'w17'::tsquery", "gin", "gin (words)")])
def test_an_index_for_a_slow_statement_is_advised_without_any_extension(visits, statement, what,
                                                                       definition):
    visits.sql(statement)
    told = advice(visits)
    assert [(i["what"], i["facts"]["definition"]) for i in told] == [(what, definition)]
    assert told[0]["facts"]["cost_after"] is None
    assert definition in told[0]["sql"]
    missing = of(visits.db("analyze", **SLOW), kind="extension")
    assert [i["name"] for i in missing] == ["hypopg"]
    visits.sql(told[0]["sql"])
    assert not advice(visits)  # it has what it needs


def test_without_pg_stat_statements_it_is_said_how_to_get_it(base):
    missing = of(base.db("analyze"), kind="extension", name="pg_stat_statements")
    assert "shared_preload_libraries" in missing[0]["detail"]


def test_a_pattern_asks_for_trigrams(visits):
    visits.sql("SELECT id FROM visits WHERE note LIKE '%beef%'")
    items = visits.db("analyze", **SLOW)
    assert of(items, kind="extension", name="pg_trgm") and not of(items, kind="advice")
    visits.sql("CREATE EXTENSION pg_trgm")
    assert [i["facts"]["definition"] for i in advice(visits, what="trigram")] == [
        "gin (note gin_trgm_ops)"]


def test_with_hypopg_the_gain_is_shown_and_what_gains_nothing_is_not_told(visits):
    visits.sql("CREATE EXTENSION hypopg")
    visits.sql("SELECT id, note FROM visits WHERE person = 7;"
               "SELECT count(note) FROM visits WHERE done AND kind = 'usual'")
    told = advice(visits)
    assert [i["facts"]["definition"] for i in told] == ["btree (person)"]
    facts = told[0]["facts"]
    assert facts["cost_after"] < facts["cost_before"] / 10
    assert "% less" in told[0]["detail"]


def test_a_covering_index_is_told_where_it_saves_the_table(visits):
    visits.sql("CREATE EXTENSION hypopg")
    visits.sql("SELECT at, person FROM visits WHERE gate = 3")
    told = advice(visits)
    assert [(i["what"], i["facts"]["definition"]) for i in told] == [
        ("covering", "btree (gate) INCLUDE (at, person)")]


def test_statements_that_differ_in_a_list_are_one(visits):
    for ids in ("1", "1, 2", "1, 2, 3"):
        visits.sql(f"SELECT id, note FROM visits WHERE person IN ({ids})")
    told = of(visits.db("analyze", **SLOW), kind="statement")
    mine = [i for i in told if "person IN" in i["facts"]["query"]]
    assert [i["facts"]["calls"] for i in mine] == [3]
    assert len(mine[0]["facts"]["fingerprint"]) == 16
    assert len(advice(visits)) == 1


def test_optimize_builds_an_advised_index_only_if_allowed_and_keeps_it_if_it_helps(visits):
    visits.sql("CREATE EXTENSION hypopg")
    visits.sql("SELECT id, note FROM visits WHERE person = 7")
    for _ in range(3):
        visits.db("optimize", **SLOW)
    assert not [name for name in visits.indexes() if name.startswith("idx_advised")]
    planned = visits.db("optimize", "--dry-run", **ALLOWED)
    assert [i for i in of(planned, state="planned") if "idx_advised" in i["name"]]
    items = visits.db("optimize", **ALLOWED)
    built = [i for i in of(items, what="create", state="done") if "idx_advised" in i["name"]]
    assert len(built) == 1
    assert visits.indexes()[built[0]["name"]]
    row = visits.sql("SELECT outcome, evidence ->> 'fingerprint' <> '' FROM action_journal WHERE"
                     " action = 'build advised index'")
    assert row == "better|t"
    again = visits.db("optimize", **ALLOWED)
    assert not of(again, what="create")


def test_an_advised_index_that_does_not_help_is_dropped_again(visits):
    # What hypopg promises is not kept: once there is a real index, the planner is told that
    # reading it costs more than the table.
    visits.sql("CREATE EXTENSION hypopg")
    visits.sql("SELECT id, note FROM visits WHERE person = 7")
    for _ in range(3):
        visits.db("optimize", **SLOW)
    visits.sql("""
        CREATE FUNCTION spoil() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT FROM pg_class WHERE relname LIKE 'idx_advised%') THEN
                UPDATE pg_class SET relpages = 100000000 WHERE relname LIKE 'idx_advised%';
                PERFORM set_config('random_page_cost', '100000', false);
            END IF; END $$;
        CREATE EVENT TRIGGER spoil ON ddl_command_end WHEN TAG IN ('CREATE INDEX')
            EXECUTE FUNCTION spoil()""")
    items = visits.db("optimize", **ALLOWED)
    name = of(items, kind="index", state="undone")[0]["name"]
    assert name.startswith("idx_advised") and name not in visits.indexes()
    assert visits.sql(f"SELECT outcome FROM action_journal WHERE target = '{name}'") == "undone"
    assert not of(visits.db("optimize", **ALLOWED), what="create")  # nor tried again for a week


# A migration that is killed.

def is_whole(base):
    """Every declared index valid on every partition, partitions ahead, nothing half made."""
    have = base.indexes()
    declared = [*ATTENDANCE, "idx_participants_token_active", "idx_participants_token_inactive",
                "idx_participants_event", "idx_participants_search"]
    leaves = base.partitions()
    parts = int(base.sql("SELECT count(*) FROM pg_inherits h JOIN pg_class p ON p.oid = inhparent"
                         " WHERE p.relkind = 'I' AND p.relname LIKE 'idx_attendance%'"))
    stray = base.sql("SELECT relname FROM pg_class WHERE relkind = 'r' AND NOT relispartition AND"
                     " relname LIKE 'attendance_records_%'")
    return (all(have.get(name) for name in declared) and all(have.values()) and len(leaves) >= 5
            and parts == len(ATTENDANCE) * len(leaves) and stray == "")


def migrate_until_done(base):
    """The server may still be at what a killed one began: then the next is refused."""
    end = time.monotonic() + WAIT_S
    while True:
        process = base.start("migrate")
        out, err = process.communicate(timeout=60)
        if process.returncode == DONE:
            return json.loads(out)
        assert "busy" in err or "under way" in err or "locked" in err, err + out
        assert time.monotonic() < end


def kill(process):
    process.kill()
    process.communicate(timeout=WAIT_S)


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("filled", [True, False])
def test_a_migration_killed_at_any_moment_is_finished_by_the_next(cluster, filled, step):
    whole = Database(cluster)
    base = Database(cluster)
    if not filled:  # from nothing
        for database in (whole, base):
            database.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    begun = time.monotonic()
    migrate_until_done(whole)
    took = time.monotonic() - begun
    process = base.start("migrate")
    try:
        process.wait(took * (step + 0.5) / 5)
    except subprocess.TimeoutExpired:
        pass
    kill(process)
    migrate_until_done(base)
    assert is_whole(base)
    assert not of(migrate_until_done(base)["report"]["items"], state="done")


def test_a_migration_killed_in_its_schema_leaves_the_old_one_whole(base):
    base.sql("DELETE FROM turnout_schema WHERE version >= 2;"
             "DROP TABLE action_journal, change_marks, nodes, leases, control_orders, notices;"
             "DELETE FROM turnout_meta WHERE key = 'partition_period'")
    with Session(base, "BEGIN; LOCK TABLE turnout_meta IN SHARE MODE"):
        process = base.start("migrate")
        waits = ("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation ="
                 " 'turnout_meta'::regclass")
        end = time.monotonic() + WAIT_S
        while base.sql(waits) == "0":
            assert process.poll() is None and time.monotonic() < end
        kill(process)
        assert base.sql("SELECT max(version) FROM turnout_schema") == "1"
        assert base.sql("SELECT to_regclass('action_journal') IS NULL") == "t"
    migrate_until_done(base)
    assert is_whole(base)


def test_a_migration_killed_while_a_build_waits_for_old_snapshots_is_finished(base):
    invalid = ("SELECT count(*) FROM pg_index WHERE NOT indisvalid AND"
               " indexrelid::regclass::text ~ '_q'")
    old = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM participants"
    with Session(base, old):
        process = base.start("migrate")
        end = time.monotonic() + WAIT_S
        while base.sql(invalid) == "0":
            assert process.poll() is None and time.monotonic() < end
        kill(process)
        assert not is_whole(base)
    migrate_until_done(base)
    assert is_whole(base)
