# SPDX-License-Identifier: Apache-2.0
"""What people tell all controllers, through any node: silences, and to stop acting. The command
line and the API, on the real program."""

import concurrent.futures
import json
import time

import pytest

import rig
from receivers import Hook
from rig import create_key, eventually

WAIT_S = 60
# Fires while a connection is open; its action is one that a node can do.
BUSY = """[alert.busy]
metric = connections_total
threshold = 0
severity = critical
action = INVALIDATE_CACHE
cooldown = 1s
[alert.calm]
metric = connections_total
threshold = 100000
[recovery]
budget = 64
verify = 0s
"""


def config(folder, text):
    path = folder / "turnout.ini"
    path.write_text(text)
    return "--config", str(path)


def control(server, *words, key=None):
    return rig.run("control", *words, "--url", server.url, *(("--key", key) if key else ()))


def rule(client, name="busy"):
    answer = client.get("/v1/alerts")
    return next((one for one in answer.json["items"] if one["rule"] == name), None) \
        if answer.status == 200 else None


def journal(client, action):
    return [one for one in client.get("/v1/actions?limit=1000").json["items"]
            if one["action"] == action]


@pytest.fixture(scope="module")
def acting(tmp_path_factory):
    """A node whose rule `busy` fires as long as somebody looks."""
    folder = tmp_path_factory.mktemp("acting")
    server = rig.Server(folder, *config(folder, BUSY)).start()
    yield server
    server.stop()


# Stop --------------------------------------------------------------------------------------------

def test_stop_acting_holds_it_over_a_restart_until_resume(acting):
    with acting.client() as client:
        client.post("/v1/events", {"code": "e", "name": "E"})
        eventually(lambda: journal(client, "INVALIDATE_CACHE"),
                   lambda rows: rows and rows[0]["outcome"] == "done", WAIT_S)
        done = control(acting, "stop-acting", "--reason", "we move the \"database\"")
        assert done.returncode == 0 and done.stdout == "acting is stopped\n", done.stderr
        begun = len([one for one in journal(client, "INVALIDATE_CACHE")
                     if one["outcome"] == "done"])
        [stop] = journal(client, "STOP_ACTING")
        assert stop["outcome"] == "done" and stop["trigger"] == "we move the \"database\""
        acts = eventually(lambda: client.get("/v1/alerts").json["acting"],
                          lambda acts: acts["state"] == "stopped", WAIT_S)
        assert acts["reason"] == "we move the \"database\"" and acts["by"] == "auth off"
        held = eventually(lambda: journal(client, "INVALIDATE_CACHE"),
                          lambda rows: rows[0]["outcome"] == "held", WAIT_S)
        assert held[0]["detail"].startswith("acting is stopped by auth off: we move")
        assert "acting: stopped at " in rig.run("nodes", "--url", acting.url).stdout
    acting.kill()
    acting.start()
    with acting.client() as client:
        state = eventually(lambda: rule(client), lambda one: one and one["state"] == "firing",
                           WAIT_S)
        assert state["action"] == "INVALIDATE_CACHE"
        eventually(lambda: journal(client, "INVALIDATE_CACHE")[0]["at"],
                   lambda at: at > held[0]["at"], WAIT_S)  # the new process holds it, too
        assert len([one for one in journal(client, "INVALIDATE_CACHE")
                    if one["outcome"] == "done"]) == begun
        done = control(acting, "resume-acting")
        assert done.returncode == 0 and done.stdout == "acting is on\n", done.stderr
        eventually(lambda: [one for one in journal(client, "INVALIDATE_CACHE")
                            if one["outcome"] == "done"],
                   lambda rows: len(rows) > begun, WAIT_S)
        assert len(journal(client, "RESUME_ACTING")) == 1
        assert control(acting, "resume-acting").returncode == 0  # it is on already
        assert len(journal(client, "RESUME_ACTING")) == 1
        assert "acting:" not in rig.run("nodes", "--url", acting.url).stdout


@pytest.mark.parametrize("body", [
    {}, {"reason": ""}, {"reason": "   "}, {"reason": "a\nb"}, {"reason": "x" * 201},
    {"reason": 7}, {"reason": None}, []], ids=str)
def test_a_stop_without_a_good_reason_is_refused(acting, body):
    with acting.client() as client:
        answer = client.post("/v1/actions:stop", body)
        assert answer.status == 400 and answer.code == "invalid_field", answer
        assert journal(client, "STOP_ACTING") == [one for one in journal(client, "STOP_ACTING")
                                                  if one["trigger"] != ""]
    assert control(acting, "stop-acting").returncode == 2


def test_only_admin_may_order(secured):
    analyst = create_key(secured, "analyst")
    admin = create_key(secured, "admin")
    with secured.client(analyst) as client:
        assert client.get("/v1/silences").status == 200
        for method, path, body in (("POST", "/v1/actions:stop", {"reason": "r"}),
                                   ("POST", "/v1/actions:resume", None),
                                   ("POST", "/v1/silences",
                                    {"rule": "*", "duration_s": 9, "reason": "r"}),
                                   ("DELETE", "/v1/silences/00", None)):
            answer = client.request(method, path, body)
            assert answer.status == 403 and answer.code == "wrong_scope", (path, answer)
    refused = control(secured, "stop-acting", "--reason", "r", key=analyst)
    assert refused.returncode == 1 and "wrong_scope" in refused.stderr
    done = control(secured, "silence", "add", "--severity", "info", "--for", "1h", "--reason",
                   "r", key=admin)
    assert done.returncode == 0, done.stderr
    with secured.client(admin) as client:
        [one] = [one for one in client.get("/v1/silences").json["items"]
                 if one["id"] == done.stdout.strip()]
        assert one["by"] == admin.removeprefix("tk_").split(".")[0]  # the key's id, no secret
        assert client.delete(f"/v1/silences/{one['id']}").status == 204


# Silences ----------------------------------------------------------------------------------------

def test_who_is_silenced_is_told_of_nothing_until_the_silence_ends(make_server, tmp_path):
    with Hook() as hook:
        server = make_server(*config(tmp_path, BUSY + f"""[notify.team]
type = webhook
url = {hook.url}
group_wait = 0s
group_interval = 1s
"""))
        done = control(server, "silence", "add", "--rule", "bu*", "--for", "1h", "--reason",
                       "the team knows")
        assert done.returncode == 0, done.stderr
        silence = done.stdout.strip()
        listed = control(server, "silence", "list")
        assert silence in listed.stdout and "the team knows (auth off)" in listed.stdout
        with server.client() as client:
            client.post("/v1/events", {"code": "e", "name": "E"})
            state = eventually(lambda: rule(client), lambda one: one and one["silenced"] and
                               one["state"] == "firing", WAIT_S)
            assert state["action"] == "INVALIDATE_CACHE"
            assert not rule(client, "calm")["silenced"]
            server.kill()  # the next controller obeys it from its first look on
            server.start()
        with server.client() as client:
            eventually(lambda: rule(client), lambda one: one and one["state"] == "firing" and
                       one["silenced"], WAIT_S)
            seen = rule(client)["since"]
            eventually(lambda: client.get("/v1/alerts").json["at"],
                       lambda at: rig.parse_time(at) > rig.parse_time(seen) + 2, WAIT_S)
            assert hook.kept.all() == []
            done = control(server, "silence", "end", silence)
            assert done.returncode == 0, done.stderr
            [first] = hook.kept.wait(1)[:1]
            assert json.loads(first["body"])["alerts"][0]["rule"] == "busy"
            assert client.get("/v1/silences").json == {"items": [], "next": None}
        done = control(server, "silence", "end", silence)
        assert done.returncode == 1 and "no such order stands" in done.stderr


def test_a_silence_ends_by_itself(acting):
    with acting.client() as client:
        until = rig.rfc3339(time.time() + 2)
        made = client.post("/v1/silences", {"rule": "busy", "until": until, "reason": "r"})
        assert made.status == 201 and made.json["until"] == until, made
        eventually(lambda: rule(client), lambda one: one and one["silenced"], WAIT_S)
        eventually(lambda: rule(client), lambda one: one and not one["silenced"], WAIT_S)
        assert made.json["id"] not in [one["id"] for one in
                                       client.get("/v1/silences").json["items"]]


GOOD = {"rule": "busy", "duration_s": 60, "reason": "r"}


@pytest.mark.parametrize("field, change", [
    ("rule", {"rule": "bus"}), ("rule", {"rule": "b*y"}), ("rule", {"rule": ""}),
    ("rule", {"rule": None}), ("rule", {"rule": 1}), ("rule", {"rule": "x" * 129}),
    ("node", {"node": "a b"}), ("node", {"node": "é"}), ("severity", {"severity": "grave"}),
    ("duration_s", {"duration_s": 0}), ("duration_s", {"duration_s": 2592001}),
    ("duration_s", {"duration_s": 1.5}), ("duration_s", {"duration_s": "60"}),
    ("until", {"duration_s": None}), ("until", {"duration_s": None, "until": "soon"}),
    ("until", {"duration_s": None, "until": "2020-01-01T00:00:00Z"}),
    ("until", {"duration_s": None, "until": "2999-01-01T00:00:00Z"}),
    ("reason", {"reason": ""}), ("reason", {"reason": "\t"}), ("reason", {"reason": "x" * 201}),
], ids=str)
def test_a_silence_that_says_nothing_good_is_refused(acting, field, change):
    with acting.client() as client:
        answer = client.post("/v1/silences", {**GOOD, **change})
        assert answer.status == 400 and answer.json["field"] == field, answer
        if change.get("rule") == "bus":
            assert answer.json["detail"] == "there is no such rule: did you mean busy"


def test_wrong_calls_of_the_command_line_are_refused(acting):
    for words in (("silence",), ("silence", "ad"), ("silence", "add"),
                  ("silence", "add", "--for", "1h"), ("silence", "end"),
                  ("silence", "add", "--for", "soon", "--reason", "r"),
                  ("silence", "end", "../events")):
        assert control(acting, *words).returncode == 2, words
    typo = control(acting, "silence", "add", "--rule", "bsuy", "--for", "1h", "--reason", "r")
    assert typo.returncode == 1 and "did you mean busy" in typo.stderr
    assert rig.run("control", "silence", "--help").returncode == 0


def test_silences_leave_room_for_the_order_to_stop(make_server):
    server = make_server()
    with server.client() as client:
        def silence(_):
            with server.client() as link:
                return link.post("/v1/silences", {"rule": "*", "duration_s": 600,
                                                  "reason": "r"}).status

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert set(pool.map(silence, range(900))) == {201}
        refused = client.post("/v1/silences", {"rule": "*", "duration_s": 600, "reason": "r"})
        assert refused.status == 413 and "900" in refused.json["detail"], refused
        assert len(client.get("/v1/silences").json["items"]) == 900
        assert client.post("/v1/actions:stop", {"reason": "r"}).status == 200
        eventually(lambda: client.get("/v1/alerts").json["acting"]["state"],
                   lambda state: state == "stopped", WAIT_S)
