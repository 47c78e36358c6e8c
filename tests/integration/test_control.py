# SPDX-License-Identifier: Apache-2.0
"""The controller inside a node: what it sees, decides, does and writes down, from outside."""

import json
import sqlite3
import subprocess

import pytest

import rig
from rig import create_key, eventually

WAIT_S = 30
OPTIMIZE = """[recovery]
mode = {mode}
verify = {verify}
[alert.in_use]
metric = connections_total
threshold = -1
action = OPTIMIZE_QUERIES
cooldown = 1h
"""


def config(folder, text):
    path = folder / "turnout.ini"
    path.write_text(text)
    return "--config", str(path)


def log_lines(server, *parts):
    return [line for line in server.log_path.read_text().splitlines()
            if all(part in line for part in parts)]


def actions(client, **query):
    path = "/v1/actions" + "".join(f"{'&' if i else '?'}{name}={value}"
                                   for i, (name, value) in enumerate(query.items()))
    answer = client.get(path)
    assert answer.status == 200, answer
    return answer.json["items"]


def settled(server, *outcomes):
    """The newest action, once its outcome is one of these."""
    with server.client() as client:
        return eventually(lambda: (actions(client, limit=1) or [{"outcome": None}])[0],
                          lambda one: one["outcome"] in outcomes, WAIT_S)


def when_seen(client):
    """/v1/nodes once the figures are there: before the first look there is no answer at all."""
    return eventually(lambda: client.get("/v1/nodes"), lambda answer: answer.status == 200 and
                      answer.json["items"][0]["cpu"] is not None, WAIT_S).json


# Nodes -----------------------------------------------------------------------------------------

def test_a_node_sees_itself(make_server):
    server = make_server()
    with server.client() as client:
        seen = when_seen(client)
        [node] = seen["items"]
        assert node["healthy"] is True and node["stale"] is False
        assert node["url"] == server.url and node["id"].endswith(f":{server.port}")
        assert 0 < node["memory"] <= 100 and 0 <= node["cpu"] <= 100 and node["connections"] >= 1
        assert seen["scale"]["current"] == 1
        assert set(seen["optimal"]) == {"analytics", "database", "cache", "general"}
        for kind in "analytics", "database", "cache", "general":
            choice = client.get(f"/v1/nodes/optimal?type={kind}").json
            assert choice["node"]["id"] == node["id"] and choice["type"] == kind
            assert choice["reason"]
        assert client.get("/v1/nodes/optimal").json["type"] == "general"
        assert "key" in client.get("/v1/nodes/optimal?type=cache&key=a").json["reason"]
        wrong = client.get("/v1/nodes/optimal?type=fastest")
        assert (wrong.status, wrong.code, wrong.field) == (400, "invalid_field", "type")


def test_figures_that_are_too_old_choose_no_node(make_server, tmp_path):
    server = make_server(*config(tmp_path, "[balancer]\nstale_after = 100ms\n"))
    with server.client() as client:
        answer = eventually(lambda: client.get("/v1/nodes/optimal"),
                            lambda one: one.status == 503 and one.code == "no_healthy_nodes",
                            WAIT_S)
        assert answer.status == 503 and answer.headers["retry-after"]
        assert answer.json["detail"] == "No healthy nodes available"


def test_the_command_shows_the_nodes(make_server):
    server = make_server()
    with server.client() as client:
        when_seen(client)
    table = rig.run("nodes", "--url", server.url)
    assert table.returncode == 0, table.stderr
    lines = table.stdout.splitlines()
    assert lines[0].split()[:2] == ["NODE", "STATE"]
    assert f":{server.port}" in lines[1] and "healthy" in lines[1] and server.url in lines[1]
    assert lines[2].startswith("scale: 1 of ") and lines[3].startswith("best:  analytics ")
    document = json.loads(rig.run("nodes", "--url", server.url, "--json").stdout)
    assert document["items"][0]["url"] == server.url
    assert rig.run("nodes", "--url", "http://127.0.0.1:1").returncode == 1
    assert rig.run("nodes", "--key", "a b").returncode == 2


# Alerts ----------------------------------------------------------------------------------------

def test_the_built_in_rules_are_listed(make_server):
    server = make_server()
    with server.client() as client:
        seen = eventually(lambda: client.get("/v1/alerts"), lambda one: one.status == 200).json
    assert seen["mode"] == "act"
    rules = {one["rule"]: one for one in seen["items"]}
    assert list(rules) == ["high_response_time", "database_slow_query", "memory_usage_high"]
    one = rules["high_response_time"]
    assert (one["metric"], one["op"], one["threshold"], one["for_s"], one["severity"],
            one["action"]) == ("avg_response_time_ms", ">", 2000, 30, "warning", "AUTO_SCALE")
    assert one["state"] == "inactive" and one["resolved_at"] is None


def test_a_slow_store_fires_is_journaled_and_survives_a_restart(make_server, tmp_path):
    # Judged by an average over the window: the test asks little until the rule has fired.
    server = make_server(*config(tmp_path, """[alert.high_response_time]
threshold = 150
for = 1s
"""))
    with server.client() as client:
        client.post("/v1/events", {"code": "e1", "name": "One"})
    blocker = subprocess.Popen(["sqlite3", str(server.store)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    blocker.stdin.write("BEGIN IMMEDIATE; SELECT 'held';\n")
    blocker.stdin.flush()
    assert blocker.stdout.readline() == "held\n"
    with server.client() as slow:
        slow.link.request("POST", "/v1/events", json.dumps({"code": "e2", "name": "Two"}),
                          {"Content-Type": "application/json"})
        with server.client() as client:  # the probe is no request of the API
            eventually(lambda: client.get("/metrics").body.decode(), lambda text:
                       'turnout_http_slow_requests_total{route="POST /v1/events"} 1' in text,
                       WAIT_S)
        blocker.stdin.close()
        blocker.wait(WAIT_S)
        blocker.stdout.close()
        assert slow.link.getresponse().read()
    eventually(lambda: log_lines(server, "event=alert ", "rule=high_response_time",
                                 "state=firing"), bool, WAIT_S)
    with server.client() as client:
        rule = client.get("/v1/alerts").json["items"][0]
        assert rule["rule"] == "high_response_time" and rule["value"] is not None
    row = settled(server, "advised")
    assert row["action"] == "AUTO_SCALE" and row["target"] == "nodes"
    assert row["trigger"].startswith("high_response_time: avg_response_time_ms ")
    assert row["evidence"]["rule"] == "high_response_time" and row["evidence"]["threshold"] == 150
    assert row["evidence"]["value"] > 150 and row["before"]["avg_response_time_ms"] > 150
    assert "SQLite" in row["detail"] and row["plan"]
    server.restart()
    with server.client() as client:
        again = [one for one in actions(client) if one["id"] == row["id"]]
        assert again == [row]


# Actions ---------------------------------------------------------------------------------------

def test_a_rule_lets_the_optimizer_work(make_server, tmp_path):
    server = make_server(*config(tmp_path, OPTIMIZE.format(mode="act", verify="1s")))
    with server.client() as client:
        client.post("/v1/events", {"code": "e1", "name": "One"})
    row = settled(server, "better", "no effect", "worse")
    assert row["action"] == "OPTIMIZE_QUERIES" and row["detail"].startswith("the optimizer did ")
    assert "slow_query_count" in row["before"] and "slow_query_count" in row["after"]
    with server.client() as client:
        assert len([one for one in actions(client) if one["system"] == "recovery"]) == 1


def test_the_cache_is_emptied_when_a_rule_asks_for_it(make_server, tmp_path):
    server = make_server(*config(tmp_path, """[recovery]
verify = 0s
[alert.busy]
metric = connections_total
threshold = 0
action = INVALIDATE_CACHE
"""))
    with server.client() as client:
        client.post("/v1/events", {"code": "e1", "name": "One"})
        row = settled(server, "done")
    assert row["action"] == "INVALIDATE_CACHE" and row["target"] == "cache"
    assert row["detail"].startswith("dropped: ")


def test_the_mode_ask_waits_for_an_admin(make_server, tmp_path):
    server = make_server(*config(tmp_path, OPTIMIZE.format(mode="ask", verify="0s")))
    with server.client() as client:
        client.post("/v1/events", {"code": "e1", "name": "One"})
    row = settled(server, "waiting")
    with server.client() as client:
        for unknown in "0", "x", "99999", "-1":
            assert client.post(f"/v1/actions/{unknown}:approve").code == "not_found"
        assert client.post(f"/v1/actions/{row['id']}:approve").status == 202
        assert client.post(f"/v1/actions/{row['id']}:approve").status == 404
    done = settled(server, "done")
    assert done["id"] == row["id"] and done["detail"].endswith("; approved by auth off")


def test_what_an_admin_refuses_is_left_undone_and_not_asked_again(make_server, tmp_path):
    server = make_server(*config(tmp_path, OPTIMIZE.format(mode="ask", verify="0s")))
    with server.client() as client:
        client.post("/v1/events", {"code": "e1", "name": "One"})
    row = settled(server, "waiting")
    wrong = rig.run("control", "refuse", "x", "--url", server.url)
    assert wrong.returncode == 2 and "no id" in wrong.stderr
    unknown = rig.run("control", "refuse", "99999", "--url", server.url)
    assert unknown.returncode == 1 and "not_found" in unknown.stderr
    done = rig.run("control", "refuse", row["id"], "--url", server.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    left = settled(server, "refused")
    assert left["id"] == row["id"] and left["detail"] == "refused by auth off"
    with server.client() as client:
        for verdict in "refuse", "approve":
            assert client.post(f"/v1/actions/{row['id']}:{verdict}").status == 404


def test_what_was_under_way_when_a_node_died_is_told_as_interrupted(make_server):
    server = make_server()
    server.kill()
    with sqlite3.connect(server.store) as db:
        for outcome in "begun", "waiting", "done":
            db.execute("INSERT INTO action_journal (at, system, actor, action, target, outcome,"
                       " evidence, figures_before, figures_after, detail) VALUES"
                       " (1, 'recovery', 'n', 'OPTIMIZE_QUERIES', 'store', ?, '{}', '{}', '{}',"
                       " '')",
                       (outcome,))
    server.start()
    with server.client() as client:
        rows = eventually(lambda: actions(client),
                          lambda rows: not {"begun", "waiting"} & {one["outcome"] for one in rows},
                          WAIT_S)
    assert [one["outcome"] for one in rows] == ["done", "expired", "interrupted"]


def test_the_journal_comes_in_pages(make_server):
    server = make_server()
    server.stop()
    with sqlite3.connect(server.store) as db:
        db.executemany("INSERT INTO action_journal (at, system, actor, action, target, outcome,"
                       " evidence, figures_before, figures_after, detail) VALUES"
                       " (?, 'recovery', 'n', 'AUTO_SCALE', 'nodes', 'advised',"
                       " '{\"trigger\":\"t\"}', '{}', '{}', '')", [(i,) for i in range(25)])
    server.start()
    with server.client() as client:
        seen, cursor = [], ""
        while cursor is not None:
            page = client.get("/v1/actions?limit=10" + (f"&cursor={cursor}" if cursor else "")).json
            seen += [int(one["id"]) for one in page["items"]]
            cursor = page["next"]
        assert seen == list(range(25, 0, -1))
        assert client.get("/v1/actions?limit=0").status == 400
        assert client.get("/v1/actions?cursor=x").code == "invalid_cursor"


# Replay ----------------------------------------------------------------------------------------

def test_replay_repeats_the_live_decisions_to_the_letter(make_server, tmp_path):
    record = tmp_path / "record.jsonl"
    arguments = config(tmp_path, f"""[control]
record = {record}
[alert.busy]
metric = connections_total
threshold = 0
for = 2s
severity = info
""")
    server = make_server(*arguments)
    with server.client() as client:
        client.post("/v1/events", {"code": "e1", "name": "One"})
        eventually(lambda: record.read_text().count("\n"), lambda lines: lines >= 6, WAIT_S)
    server.stop()
    live = [line.split(',"decision":', 1)[1].removesuffix("}")
            for line in record.read_text().splitlines()]
    replayed = rig.run("control", "replay", *arguments, stdin=record.read_text())
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout.splitlines() == live
    assert any('"rule":"busy","state":"firing"' in line for line in live)


# Keys ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("scope, read, approve", [
    ("admin", 200, 404), ("analyst", 200, 403), ("metrics", 200, 403), ("scanner", 403, 403)])
def test_who_may_see_and_approve(secured, scope, read, approve):
    with secured.stranger(create_key(secured, scope)) as client:
        for path in "/v1/nodes", "/v1/nodes/optimal", "/v1/alerts", "/v1/actions":
            # its first figures are there after two seconds: no node is chosen without
            eventually(lambda: client.get(path).status, lambda status: status == read, WAIT_S)
        for verdict in "approve", "refuse":
            assert client.post(f"/v1/actions/1:{verdict}").status == approve
    with secured.stranger() as client:
        assert client.get("/v1/actions").status == 401
