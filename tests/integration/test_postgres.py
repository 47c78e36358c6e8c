# SPDX-License-Identifier: Apache-2.0
"""Nodes on PostgreSQL, from the command line: migrate, serve twice, import, key, doctor."""
import json

import pytest

import rig
from postgres import SCHEMA, turnout

FAILED, BAD_CONFIG = 1, 78


@pytest.fixture(scope="module")
def migrated(postgres):
    database = postgres.create()
    turnout("db", "migrate", "--store", postgres.url(database))
    return database


def test_serve_asks_for_the_migration_first(postgres):
    url = postgres.url(postgres.create())
    done = turnout("serve", "--listen", "127.0.0.1:0", "--store", url, want=FAILED)
    assert "turnout db migrate" in done.stderr


def test_a_dry_run_changes_nothing(postgres):
    database = postgres.create()
    done = turnout("db", "migrate", "--dry-run", "--store", postgres.url(database))
    assert "planned" in done.stdout
    assert postgres.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'",
                        database) == "0"


def test_migrating_makes_tables_partitions_and_valid_indexes_and_is_done_then(postgres):
    database = postgres.create()
    first = json.loads(turnout("db", "migrate", "--json", "--ahead", "2", "--store",
                               postgres.url(database)).stdout)
    assert first["schema"] == {"from": 0, "to": SCHEMA}
    ends = postgres.sql("SELECT count(*) FROM pg_inherits WHERE inhparent ="
                        " 'attendance_records'::regclass", database)
    assert int(ends) >= 4  # the past, the current quarter and two ahead
    assert postgres.sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid", database) == "0"
    for name in ("idx_attendance_participant_timestamp", "idx_attendance_gate_timestamp",
                 "idx_attendance_method_timestamp", "idx_participants_token_active",
                 "idx_participants_search"):
        assert postgres.sql(f"SELECT to_regclass('{name}') IS NOT NULL", database) == "t"
    again = json.loads(turnout("db", "migrate", "--json", "--ahead", "2", "--store",
                               postgres.url(database)).stdout)
    assert again["schema"] == {"from": SCHEMA, "to": SCHEMA}
    assert again["report"]["counts"]["done"] == 0


def test_a_migration_that_was_cut_short_is_finished_by_the_next(postgres):
    database = postgres.create()
    turnout("db", "migrate", "--store", postgres.url(database))
    postgres.sql("DROP INDEX idx_attendance_gate_timestamp", database)
    postgres.sql("CREATE INDEX idx_attendance_gate_timestamp ON ONLY attendance_records"
                 " USING btree (gate_id, timestamp)", database)
    postgres.sql("DROP INDEX idx_participants_search", database)
    turnout("db", "migrate", "--store", postgres.url(database))
    assert postgres.sql("SELECT bool_and(indisvalid) FROM pg_index WHERE indexrelid IN"
                        " ('idx_attendance_gate_timestamp'::regclass,"
                        "  'idx_participants_search'::regclass)", database) == "t"


def test_an_older_schema_is_brought_forward_and_its_journal_kept(postgres):
    database = postgres.create()
    script = (rig.ROOT / "src" / "store" / "schema" / "postgres_1.sql").read_text()
    postgres.sql(script + """; INSERT INTO turnout_schema (version) VALUES (1);
        CREATE TABLE optimizer_actions (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at timestamptz NOT NULL DEFAULT now(), action text, target text, outcome text,
            figures_before jsonb, figures_after jsonb, detail text);
        INSERT INTO optimizer_actions (action, target, outcome, figures_before, figures_after)
        VALUES ('build index', 'i', 'better', '{"q": 1}', '{}')""", database)
    url = postgres.url(database)
    assert "db migrate" in turnout("db", "optimize", "--store", url, want=FAILED).stderr
    done = json.loads(turnout("db", "migrate", "--json", "--store", url).stdout)
    assert done["schema"] == {"from": 1, "to": SCHEMA}
    assert postgres.sql("SELECT system, target, outcome, figures_before, detail FROM"
                        " action_journal", database) == "database|i|better|{\"q\": 1}|"
    assert postgres.sql("SELECT to_regclass('optimizer_actions') IS NULL", database) == "t"


def test_a_record_finds_a_partition_of_the_period_cut_at_its_neighbours(postgres):
    database = postgres.create()
    turnout("db", "migrate", "--ahead", "1", "--store", postgres.url(database))
    made = "SELECT turnout_make_partition('{}'); "
    bounds = ("SELECT relname, pg_get_expr(relpartbound, oid) FROM pg_class WHERE relkind = 'r'"
              " AND relname LIKE 'attendance_records_203%' ORDER BY 1")
    postgres.sql("SET timezone = 'Asia/Seoul'; SELECT turnout_make_partition('2031-02-20');"
                 "UPDATE turnout_meta SET value = 'month' WHERE key = 'partition_period';"
                 "SELECT turnout_make_partition('2030-12-31 23:59:59Z');"
                 "UPDATE turnout_meta SET value = 'week' WHERE key = 'partition_period';"
                 "SELECT turnout_make_partition('2031-04-01Z');"
                 "SELECT turnout_make_partition('2030-11-30Z')", database)
    assert postgres.sql(made.format("2031-03-31 23:00Z") + made.format("1999-01-01"),
                        database) == "f\nf"
    found = postgres.sql("SET timezone = 'UTC'; " + bounds, database).splitlines()
    assert found == [
        "attendance_records_2030_12|FOR VALUES FROM ('2030-12-01 00:00:00+00') TO"
        " ('2031-01-01 00:00:00+00')",
        "attendance_records_2030_w48_20301125|FOR VALUES FROM ('2030-11-25 00:00:00+00') TO"
        " ('2030-12-01 00:00:00+00')",
        "attendance_records_2031_q1|FOR VALUES FROM ('2031-01-01 00:00:00+00') TO"
        " ('2031-04-01 00:00:00+00')",
        "attendance_records_2031_w14_20310401|FOR VALUES FROM ('2031-04-01 00:00:00+00') TO"
        " ('2031-04-07 00:00:00+00')"]


def test_a_newer_schema_is_refused_everywhere(postgres):
    database = postgres.create()
    url = postgres.url(database)
    turnout("db", "migrate", "--store", url)
    postgres.sql("INSERT INTO turnout_schema (version) VALUES (999)", database)
    assert "999" in turnout("db", "migrate", "--store", url, want=FAILED).stderr
    assert "999" in turnout("serve", "--listen", "127.0.0.1:0", "--store", url,
                            want=FAILED).stderr
    assert "999" in turnout("doctor", "--store", url, want=FAILED).stdout


def test_a_sqlite_file_needs_no_migration(tmp_path):
    done = turnout("db", "migrate", "--store", f"sqlite:{tmp_path}/x.db", want=BAD_CONFIG)
    assert "SQLite" in done.stderr
    assert not (tmp_path / "x.db").exists()


def test_two_nodes_are_one_event(postgres, migrated, tmp_path):
    url = postgres.url(migrated)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    nodes = [rig.Server(tmp_path / name, store=url) for name in ("a", "b")]
    try:
        for node in nodes:
            node.start()
        with nodes[0].client() as a, nodes[1].client() as b:
            event = "/v1/events/gala"
            assert a.post("/v1/events", {"code": "gala", "name": "Gala",
                                         "timezone": "UTC"}).status == 201
            assert a.post(f"{event}/gates", {"code": "north", "name": "North"}).status == 201
            assert b.post(f"{event}/participants",
                          {"token": "t1", "name": "Zoë Müller",
                           "email": "zoe@example.com"}).status == 201
            scan = {"token": "t1", "gate": "north", "nonce": "n1"}
            first = a.post(f"{event}/checkins", scan).json
            assert (first["verdict"], first["replayed"]) == ("admitted", False)
            again = b.post(f"{event}/checkins", scan).json
            assert (again["record_id"], again["replayed"]) == (first["record_id"], True)
            second = b.post(f"{event}/checkins", {"token": "t1", "gate": "north"}).json
            assert second["reason"] == "already_used"
            assert second["first"]["gate"] == "north"
            assert b.get(f"{event}/participants?q=muller").json["items"][0]["token"] == "t1"
            assert rig.eventually(lambda: a.get(f"{event}/stats").json["scans"],
                                  lambda scans: scans == 2)
            assert b.get("/readyz").status == 200
    finally:
        for node in nodes:
            node.kill()


def test_keys_and_doctor_work_on_it(postgres, migrated):
    url = postgres.url(migrated)
    made = turnout("key", "create", "--name", "door", "--scope", "admin", "--store", url)
    assert rig.KEY.fullmatch(made.stdout.strip())
    assert "door" in turnout("key", "list", "--store", url).stdout
    findings = json.loads(turnout("doctor", "--listen", "127.0.0.1:0", "--store", url,
                                  "--json").stdout)["findings"]
    levels = {finding["check"]: finding["level"] for finding in findings}
    for check in ("store", "fsync", "commit", "clock_skew", "schema", "indexes", "keys"):
        assert levels[check] == "ok", check


def test_doctor_tells_what_is_unsafe(postgres):
    database = postgres.create()
    done = turnout("doctor", "--store", postgres.url(database), want=FAILED)
    assert "turnout db migrate" in done.stdout
    done = turnout("doctor", "--store", "postgres://turnout:hunter2@127.0.0.1:1/x", want=FAILED)
    assert "cannot connect" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
