# SPDX-License-Identifier: Apache-2.0
"""SHED_LOAD on the real program: analytics are refused for a while, doors never, and it ends by
itself."""

import contextlib

import rig
from rig import eventually

WAIT_S = 60
CROWDED = """[alert.crowded]
metric = connections_total
threshold = {threshold}
action = SHED_LOAD
cooldown = 1s
[recovery]
verify = 0s
shed_for = 10s
budget = {budget}
"""
ANALYTICS = "attendance", "stats/timeline", "participants"
DOORS = "stats", "gates", "participants?token=T1", "participants?q=Ann"


@contextlib.contextmanager
def crowd(server):
    """Connections that stay open: the rule fires."""
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(server.client()).get("/livez")
        yield


def started(folder, make_server, budget, threshold=3):
    path = folder / "turnout.ini"
    path.write_text(CROWDED.format(budget=budget, threshold=threshold))
    return make_server("--config", str(path))


def shedding(client):
    answer = client.get("/v1/alerts")
    return answer.json["shedding"] if answer.status == 200 else None


def journal(client):
    return [one for one in client.get("/v1/actions").json["items"]
            if one["action"] == "SHED_LOAD"]


def metric(client, name):
    return next(float(line.split()[-1]) for line in client.get("/metrics").body.decode().split("\n")
                if line.startswith(name + " "))


def test_analytics_are_refused_while_the_rule_fires_and_doors_never(make_server, tmp_path):
    server = started(tmp_path, make_server, 64)
    with server.client() as client:
        venue = rig.Venue(client)
        base = venue.path
        client.post(f"{base}/participants", {"token": "T1", "name": "Ann"})
        for path in ANALYTICS + DOORS:
            assert client.get(f"{base}/{path}").status == 200, path
        with crowd(server):
            eventually(lambda: shedding(client), bool, WAIT_S)
            assert shedding(client)["rule"] == "crowded"
            before = client.get("/v1/performance").json["api"]
            for path in ANALYTICS:
                answer = eventually(lambda path=path: client.get(f"{base}/{path}"),
                                    lambda answer: answer.status == 503, WAIT_S)
                assert answer.code == "load_shed" and \
                    1 <= int(answer.headers["retry-after"]) <= 10, answer
            for path in DOORS:
                assert client.get(f"{base}/{path}").status == 200, path
            scan = client.post(f"{base}/checkins", {"token": "T1", "gate": "g1"})
            assert scan.status == 200 and scan.json["verdict"] == "admitted", scan
            assert client.get("/v1/performance").json["api"]["error_rate"] <= before["error_rate"]
            assert metric(client, "turnout_requests_shed_total") >= len(ANALYTICS)
        eventually(lambda: shedding(client), lambda now: now is None, WAIT_S)
        for path in ANALYTICS:
            eventually(lambda path=path: client.get(f"{base}/{path}").status,
                       lambda status: status == 200, WAIT_S)
        lifted, *_, first = journal(client)
        assert lifted["detail"] == "analytics are answered again"
        assert lifted["trigger"] == "crowded does not fire any more"
        assert first["detail"].startswith("analytics are refused until ")


def test_it_ends_by_itself_though_its_rule_goes_on_to_fire(make_server, tmp_path):
    server = started(tmp_path, make_server, 1, -1)  # which the budget allows once
    with server.client() as client:
        path = rig.Venue(client).path + "/attendance"
        until = eventually(lambda: shedding(client), bool, WAIT_S)["until"]
        eventually(lambda: client.get(path).status, lambda status: status == 503, WAIT_S)
        eventually(lambda: client.get(path).status, lambda status: status == 200, WAIT_S)
        assert rig.now_s() >= rig.parse_time(until)
        eventually(lambda: shedding(client), lambda now: now is None, WAIT_S)


def test_what_a_killed_controller_shed_is_lifted_by_the_next(make_server, tmp_path):
    server = started(tmp_path, make_server, 64)
    with server.client() as client, crowd(server):
        path = rig.Venue(client).path + "/attendance"
        eventually(lambda: shedding(client), bool, WAIT_S)
        server.kill()
    server.start()
    # It knows from its start on, and may lift it with its first look at the rules.
    _, restarted = server.log_path.read_text().rsplit("event=starting", 1)
    assert "event=load_shed rule=crowded" in restarted.split("event=ready")[0]
    with server.client() as client:
        eventually(lambda: client.get(path).status, lambda status: status == 200, WAIT_S)
