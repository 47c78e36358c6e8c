# SPDX-License-Identifier: Apache-2.0
"""/v1/database on real nodes: on SQLite, and on a PostgreSQL that really lacks something."""
import json
import threading
import time

import pytest

import rig
from test_optimizer import Cluster, Database, Session, of

WAIT_S = 30
QUERIES = ["participant_history", "gate_count", "active_token", "gate_counts"]


@pytest.fixture(scope="module")
def cluster():
    made = Cluster()
    yield made
    made.stop()


@pytest.fixture
def base(cluster):
    return Database(cluster)


@pytest.fixture
def node(base, tmp_path):
    server = rig.Server(tmp_path, store=base.url).start()
    yield server
    if server.process is not None:
        server.stop()


def ask(server, what):
    with server.client() as client:
        return rig.ok(client.get(f"/v1/database/{what}"))


def tell(server, what, body=None, status=200, timeout=60):
    with server.client(timeout=timeout) as client:
        answer = client.post(f"/v1/database:{what}", body)
    assert answer.status == status, answer
    return answer


def test_on_sqlite_queries_are_timed_indexes_listed_and_statistics_made(tmp_path):
    server = rig.Server(tmp_path, "--demo").start()
    try:
        with server.client() as client:
            for n in range(1, 6):
                client.post("/v1/events/demo/checkins", {"token": f"demo-{n:06}", "gate": "g01"})
        queries = ask(server, "queries")
        assert (queries["store"], queries["job"], queries["dry_run"]) == ("sqlite", "queries", True)
        assert [i["name"] for i in queries["items"]] == QUERIES
        for item in queries["items"]:
            assert item["facts"]["execution_ms"] >= 0
            assert item["facts"]["plan"]["indexes"], item
        indexes = {i["name"]: i for i in ask(server, "indexes")["items"]}
        assert indexes["idx_participants_token_active"]["facts"]["unique"] is True
        assert indexes["idx_attendance_gate_timestamp"]["facts"]["table"] == "attendance_records"
        assert ask(server, "partitions")["items"][0]["what"] == "not_needed"
        planned = tell(server, "maintain", {"dry_run": True}).json
        assert of(planned["items"], what="analyze", name="participants", state="planned")
        assert planned["counts"]["done"] == 0
        done = tell(server, "optimize").json
        assert of(done["items"], what="analyze", name="participants", state="done")
        assert of(done["items"], kind="effect")
        again = tell(server, "maintain").json["items"]
        assert not of(again, what="analyze")
        assert of(again, what="checkpoint", state="done")
    finally:
        server.stop()


def test_scopes_part_those_who_look_from_those_who_change(tmp_path):
    server = rig.Server(tmp_path, auth="required").start()
    try:
        wanted = {"admin": (200, 200), "analyst": (200, 403), "scanner": (403, 403),
                  "metrics": (403, 403)}
        for scope, statuses in wanted.items():
            with server.client(rig.create_key(server, scope)) as client:
                got = (client.get("/v1/database/partitions").status,
                       client.post("/v1/database:maintain", {"dry_run": True}).status)
                assert got == statuses, scope
        with server.client() as client:
            assert client.get("/v1/database/queries").status == 401
    finally:
        server.stop()


def test_a_missing_index_is_shown_built_measured_and_journaled(base, node):
    missing = of(ask(node, "indexes")["items"], what="missing")
    name = "idx_attendance_participant_timestamp"
    assert name in {i["name"] for i in missing}
    assert missing[0]["facts"]["bytes"] is None
    dry = tell(node, "optimize", {"dry_run": True}).json
    assert dry["dry_run"] and dry["counts"]["planned"] > 0 and dry["counts"]["done"] == 0
    assert name not in base.indexes()
    done = tell(node, "optimize").json
    assert of(done["items"], kind="effect", name=name, what="better")
    now = of(ask(node, "indexes")["items"], name=name)[0]
    assert now["what"] == "valid"
    assert now["facts"]["partitions"] == 4 and now["facts"]["bytes"] > 0
    actor = base.sql(f"SELECT actor FROM action_journal WHERE target = '{name}'")
    assert actor.endswith(f":{node.port}")


def test_partitions_are_listed_with_range_and_size(node):
    listed = of(ask(node, "partitions")["items"], what="attached")
    assert [i["name"] for i in listed] == [f"attendance_records_2026_q{n}" for n in (1, 2, 3, 4)]
    facts = listed[0]["facts"]
    assert (facts["from"], facts["to"]) == ("2026-01-01T00:00:00.000Z", "2026-04-01T00:00:00.000Z")
    assert facts["rows"] > 20000 and facts["bytes"] > 1 << 20


def test_how_far_partitions_reach_is_a_metric(base, tmp_path):
    base.db("partitions", "--ahead", "4")
    server = rig.Server(tmp_path, store=base.url).start()

    def read_days():
        with server.client() as client:
            lines = client.get("/metrics").body.decode().splitlines()
        found = [line.split()[1] for line in lines
                 if line.startswith("turnout_database_partition_horizon_seconds ")]
        return float(found[0]) / 86400 if found else 0

    try:
        rig.eventually(read_days, lambda days: 360 < days < 460)
    finally:
        server.stop()


def test_one_change_at_a_time_and_looks_beside_it(base, node):
    with Session(base, "SELECT pg_try_advisory_lock(hashtext('turnout.optimizer'), 1)"):
        refused = tell(node, "maintain", status=409)
        assert refused.code == "busy" and int(refused.headers["retry-after"]) > 0
    base.sql("DELETE FROM participants; SELECT pg_stat_force_next_flush()")
    answers = []
    with Session(base, "BEGIN; LOCK TABLE participants IN SHARE ROW EXCLUSIVE MODE"):
        first = threading.Thread(target=lambda: answers.append(tell(node, "maintain")))
        first.start()
        wait_for_run(base)
        assert tell(node, "optimize", status=409).code == "busy"
        assert ask(node, "queries")["items"]
    first.join(WAIT_S)
    assert answers[0].json["counts"]["done"] > 0


def wait_for_run(base):
    locks = ("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid"
             " FROM pg_database WHERE datname = current_database())")
    end = time.monotonic() + WAIT_S
    while base.sql(locks) == "0":
        assert time.monotonic() < end


def test_a_node_that_stops_waits_for_no_run(base, node):
    answers = []
    base.sql("DELETE FROM participants; SELECT pg_stat_force_next_flush()")
    with Session(base, "BEGIN; LOCK TABLE participants IN SHARE ROW EXCLUSIVE MODE"):
        run = threading.Thread(target=lambda: answers.append(tell(node, "maintain", status=503)))
        run.start()
        wait_for_run(base)
        node.stop()
        run.join(WAIT_S)
    assert answers[0].code == "draining"
    assert "stop_failed" not in node.log_tail()
    # the lock went with the session: the next one may begin
    base.db("maintain")


def test_without_a_server_the_answer_is_503(base, node):
    base.cluster.sql(f"ALTER DATABASE {base.name} ALLOW_CONNECTIONS false", "postgres")
    with node.client() as client:
        gone = client.get("/v1/database/indexes")
    assert (gone.status, gone.code) == (503, "store_unavailable")
    assert json.loads(gone.body)["detail"]
