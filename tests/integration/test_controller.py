# SPDX-License-Identifier: Apache-2.0
"""turnout control: a controller in a process of its own, beside nodes that serve. Two of them stand
by for each other; they serve no events, act through their journal, and stop in order."""

import contextlib
import json
import os
import pathlib
import signal
import sys

import pytest

import rig
from rig import eventually

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
from postgres_pair import DATABASE  # noqa: E402
from receivers import Hook  # noqa: E402

WAIT_S = 30
BAD_CONFIG = 78
# The nodes leave it to the controllers.
NODE = {"TURNOUT_CONTROL_CANDIDATE": "no"}


def id_of(process):
    return f"{os.uname().nodename}:{process.port}"


class Plant:
    """Nodes and controllers on one database."""

    def __init__(self, pair, folder):
        self.pair = pair
        self.folder = folder
        self.made = []

    def start(self, command, *arguments, auth="off", **settings):
        folder = pathlib.Path(self.folder, f"{command}{len(self.made)}")
        folder.mkdir()
        process = rig.Server(folder, *arguments, command=command, store=self.pair.url(), auth=auth,
                             env={**self.pair.environment(), **settings})
        self.made.append(process)
        return process.start()

    def controller(self, *arguments, **settings):
        return self.start("control", *arguments, **settings)

    def node(self, *arguments, **settings):
        return self.start("serve", *arguments, **{**NODE, **settings})

    def sql(self, text):
        return self.pair.primary.sql(text, DATABASE)


@pytest.fixture
def plant(pair, tmp_path):
    made = Plant(pair, tmp_path)
    made.sql("DELETE FROM action_journal; DELETE FROM leases; DELETE FROM nodes; "
             "DELETE FROM control_orders; DELETE FROM notices")
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [process.kill() for process in made.made])
        yield made
        for process in made.made:
            process.stop()


def nodes_of(process, want):
    def look():
        with process.client() as client:
            answer = client.get("/v1/nodes")
            return answer.json if answer.status == 200 else None
    return eventually(look, lambda seen: seen is not None and want(seen), WAIT_S)


def leads(seen):
    return seen["controller"]["leads"]


def led_by(process):
    return lambda seen: seen["controller"]["leader"] == id_of(process)


def healthy(*nodes):
    return lambda seen: {one["id"] for one in seen["items"] if one["healthy"]} == \
        {id_of(node) for node in nodes}


def test_it_leads_the_nodes_and_is_none(plant):
    node, controller = plant.node(), plant.controller()
    seen = nodes_of(controller, lambda seen: leads(seen) and healthy(node)(seen))
    assert [one["id"] for one in seen["items"]] == [id_of(node)]
    assert seen["controller"]["url"] == controller.url
    nodes_of(node, led_by(controller))
    shown = rig.run("nodes", "--url", controller.url)
    assert f"leads: {id_of(controller)}" in shown.stdout and id_of(node) in shown.stdout


def test_a_standby_takes_over_and_gives_back_when_asked_to_stop(plant):
    node, first = plant.node(), plant.controller()
    nodes_of(first, leads)
    second = plant.controller()
    nodes_of(second, led_by(first))
    first.kill()
    seen = nodes_of(second, leads)
    nodes_of(node, led_by(second))
    third = plant.controller()
    nodes_of(third, led_by(second))
    second.stop()  # which checks that it ends with 0
    assert "event=stopped" in second.log_tail()
    assert nodes_of(third, leads)["controller"]["term"] > seen["controller"]["term"]


def test_a_frozen_one_is_followed_and_follows(plant):
    first = plant.controller()
    nodes_of(first, leads)
    second = plant.controller()
    os.kill(first.pid, signal.SIGSTOP)
    try:
        nodes_of(second, leads)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    nodes_of(first, led_by(second))


def test_it_serves_no_events(plant):
    controller = plant.controller()
    with controller.client() as client:
        for path in "/v1/events", "/v1/events/e/checkins", "/v1/events/e/stats", "/", "/v1/status":
            assert client.get(path).status in (404, 405), path
        assert client.post("/v1/events/e/checkins", {"token": "t", "gate": "g"}).status == 404
        assert client.get("/readyz").status == 200
        assert client.get("/v1/alerts").status == 200 and client.get("/v1/actions").status == 200
        assert client.get("/v1/nodes/optimal").code == "no_healthy_nodes"


def test_metrics_tell_of_the_nodes_and_who_leads(plant):
    node, controller = plant.node(), plant.controller()
    nodes_of(controller, lambda seen: leads(seen) and healthy(node)(seen))

    def metrics(process):
        with process.client() as client:
            return client.get("/metrics").body.decode()

    eventually(lambda: metrics(controller), lambda text: all(line in text for line in (
        "\nturnout_controller_leads 1\n", '\nturnout_cluster_nodes{state="healthy"} 1\n',
        '\nturnout_cluster_asks_total{outcome="answered"} ')), WAIT_S)
    eventually(lambda: metrics(node), lambda text: "\nturnout_controller_leads 0\n" in text, WAIT_S)


def test_it_acts_and_writes_it_down(plant, tmp_path):
    path = tmp_path / "turnout.ini"
    path.write_text("[recovery]\nverify = 0s\n[alert.always]\nmetric = connections_total\n"
                    "threshold = -1\naction = OPTIMIZE_QUERIES\ncooldown = 1h\n")
    node, controller = plant.node(), plant.controller("--config", str(path))
    nodes_of(controller, healthy(node))
    with controller.client() as client:
        rows = eventually(lambda: client.get("/v1/actions").json["items"], lambda rows: any(
            row["action"] == "OPTIMIZE_QUERIES" and row["outcome"] == "done" for row in rows),
            WAIT_S)
    assert {row["actor"] for row in rows if row["system"] == "recovery"} == {id_of(controller)}


# The figure stays as it is, whatever is done.
LADDER = """[recovery]
verify = 1s
budget = {budget}
[alert.always]
metric = healthy_nodes
threshold = 0
action = OPTIMIZE_QUERIES
then = SHED_LOAD
cooldown = 1h
"""


def test_the_next_one_goes_on_where_the_ladder_stood(plant, tmp_path):
    def controller(budget):
        path = tmp_path / f"{budget}.ini"
        path.write_text(LADDER.format(budget=budget))
        return plant.controller("--config", str(path))

    def rows(process):
        with process.client() as client:
            return [(row["action"], row["outcome"], row["actor"])
                    for row in client.get("/v1/actions").json["items"]
                    if row["system"] == "recovery" and row["evidence"].get("rule") == "always"]

    plant.node()
    first = controller(1)  # may not take the second rung any more
    judged = ("OPTIMIZE_QUERIES", "no effect", id_of(first))
    eventually(lambda: rows(first), lambda seen: judged in seen, WAIT_S)
    first.kill()
    second = controller(6)
    seen = eventually(lambda: rows(second), lambda seen: any(
        row[0] == "SHED_LOAD" and row[1] in ("done", "no effect") for row in seen), WAIT_S)
    assert [row for row in seen if row[0] == "OPTIMIZE_QUERIES"] == [judged]
    assert {row[2] for row in seen if row[:2] == seen[0][:2]} == {id_of(second)}


ALONE = """[alert.alone]
metric = healthy_nodes
op = <
threshold = 2
[notify.team]
type = webhook
url = {url}
group_wait = 0s
group_interval = 1s
"""


def test_the_next_one_tells_what_ended_while_nobody_led(plant, tmp_path):
    path = tmp_path / "turnout.ini"

    def told(hook):
        return [(alert["state"], document["from"])
                for document in (json.loads(one["body"]) for one in hook.kept.all())
                for alert in document["alerts"] if alert["rule"] == "alone"]

    with Hook() as hook:
        path.write_text(ALONE.format(url=hook.url))
        first_node = plant.node()
        first = plant.controller("--config", str(path))
        fires = ("firing", id_of(first))
        eventually(lambda: told(hook), lambda seen: seen == [fires], WAIT_S)
        delivered = "SELECT count(*) FROM notices WHERE state = 'delivered'"
        eventually(lambda: plant.sql(delivered), lambda count: count == "1", WAIT_S)
        first.kill()
        nodes_of(first_node, healthy(first_node, plant.node()))
        second = plant.controller("--config", str(path))
        eventually(lambda: told(hook), lambda seen: seen == [fires, ("resolved", id_of(second))],
                   WAIT_S)


def test_nodes_hear_what_a_controller_elsewhere_sheds(plant, tmp_path):
    path = tmp_path / "turnout.ini"
    path.write_text("[recovery]\nverify = 0s\nshed_for = 1m\n[alert.always]\n"
                    "metric = healthy_nodes\nthreshold = 0\naction = SHED_LOAD\ncooldown = 1h\n")
    nodes = plant.node(), plant.node()
    with nodes[0].client() as first, nodes[1].client() as second:
        event = rig.Venue(first)
        assert second.get(f"{event.path}/attendance").status == 200
        controller = plant.controller("--config", str(path))
        for client in first, second:
            eventually(lambda client=client: client.get(f"{event.path}/attendance"),
                       lambda answer: answer.status == 503 and answer.code == "load_shed", WAIT_S)
            assert client.get(f"{event.path}/stats").status == 200
        stopped = rig.run("control", "stop-acting", "--reason", "r", "--url", nodes[1].url)
        assert stopped.returncode == 0, stopped.stderr  # through any node
        eventually(lambda: rig.run("nodes", "--url", controller.url).stdout,
                   lambda text: "acting: stopped at " in text, WAIT_S)
        plant.sql("DELETE FROM control_orders; DELETE FROM notices")
        for client in first, second:
            eventually(lambda client=client: client.get(f"{event.path}/attendance").status,
                       lambda status: status == 200, WAIT_S)


def test_its_recording_replays_to_the_letter(plant, tmp_path):
    record = tmp_path / "record.jsonl"
    path = tmp_path / "turnout.ini"
    path.write_text(f"[control]\nrecord = {record}\n")
    nodes = plant.node(), plant.node()
    controller = plant.controller("--config", str(path))
    nodes_of(controller, healthy(*nodes))
    nodes[1].kill()
    nodes_of(controller, healthy(nodes[0]))
    eventually(lambda: len(record.read_text().splitlines()), lambda lines: lines > 3, WAIT_S)
    controller.stop()
    live = [line.split(',"decision":', 1)[1].removesuffix("}")
            for line in record.read_text().splitlines()]
    replayed = rig.run("control", "replay", "--config", str(path), stdin=record.read_text())
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout.splitlines() == live and len(live) > 3
    assert any('"current":2' in line for line in live)


def test_it_asks_for_keys_as_a_node_does(plant):
    made = rig.run("key", "create", "--name", "m", "--scope", "metrics", "--store",
                   plant.pair.url(), env=plant.pair.environment())
    controller = plant.controller(auth="required")
    with controller.client() as client:
        assert client.get("/v1/nodes").status == 401 and client.get("/livez").status == 200
    with controller.client(key=made.stdout.strip()) as client:
        assert client.get("/metrics").status == 200
        assert client.post("/v1/actions/1:approve").code == "wrong_scope"
    done = rig.run("control", "--listen", ":0", "--auth", "off", "--store", plant.pair.url(),
                   env=plant.pair.environment())
    assert done.returncode == BAD_CONFIG and "auth.mode" in done.stderr


def test_a_file_has_its_controller_inside(tmp_path):
    done = rig.run("control", "--store", f"sqlite:{tmp_path / 'a.db'}")
    assert done.returncode == BAD_CONFIG and "controller is inside" in done.stderr
    assert not (tmp_path / "a.db").exists()


def test_the_configuration_is_read_again_and_a_takeover_refused(plant, tmp_path):
    path = tmp_path / "turnout.ini"
    path.write_text("[log]\nlevel = info\n")
    controller = plant.controller("--config", str(path))
    path.write_text("[log]\nlevel = debug\n")
    os.kill(controller.pid, signal.SIGHUP)
    text = eventually(controller.log_path.read_text,
                      lambda text: "event=setting_changed setting=log.level" in text, WAIT_S)
    assert "event=setting_waits" not in text
    os.kill(controller.pid, signal.SIGUSR2)
    eventually(controller.log_path.read_text, lambda text: "event=order_refused" in text, WAIT_S)


def test_help_names_what_there_is():
    text = rig.run("control", "--help").stdout
    for word in "--listen", "--store", "replay", "test-rules", "SIGTERM":
        assert word in text
    wrong = rig.run("control", "reply")
    assert wrong.returncode == 2 and "replay" in wrong.stderr
